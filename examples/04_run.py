"""A whole session on a simulated clock, watched through its events."""

from functools import partial

from forearm.cell.tasks import find_task
from forearm.events import Decided, Event, Judged, ModeChanged
from forearm.policy.choice import policy_named
from forearm.runtime.simulation import Simulation


def show(said: set[str], event: Event) -> None:
    """Prints each new subtask, every mode change and every objection."""
    if isinstance(event, Decided) and event.decision.plan is not None and event.decision.plan.subtask not in said:
        said.add(event.decision.plan.subtask)
        print(f"{event.stamp_ns / 1e9:6.2f} s  {event.decision.plan.subtask}")
    elif isinstance(event, ModeChanged):
        print(f"{event.stamp_ns / 1e9:6.2f} s  {event.before} → {event.after}: {event.reason}")
    elif isinstance(event, Judged):
        for finding in event.findings:
            print(f"{event.stamp_ns / 1e9:6.2f} s  {event.gate}: {finding.text}")


def main() -> None:
    """Lifts the tray with the weights that come with the package."""
    setup = find_task("lift the tray with both arms").sample(seed=3)
    simulation = Simulation(setup, policy_named("model"))
    run = simulation.run(seed=3, emit=partial(show, set[str]()))
    print(f"{run.ended.outcome} after {run.duration_s:.1f} s: {run.ended.reason}")


if __name__ == "__main__":
    main()
