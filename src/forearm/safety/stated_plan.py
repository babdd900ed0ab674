"""Whether what a plan states can be compared with anything: numbers, in order, about the time its chunk covers.

Invariant: a plan that cannot be compared is not taken for one that agrees.
"""

from __future__ import annotations

import numpy as np

from forearm.messages import ActionChunk, Finding, Outcome, Plan
from forearm.robot.embodiment import Embodiment
from forearm.safety import checks
from forearm.safety.limits import Limits

Findings = tuple[Finding, ...]


def plan_is(plan: Plan, chunk: ActionChunk, embodiment: Embodiment, limits: Limits) -> Findings:
    """STOP for arrays that are none, HOLD for waypoints out of order, none within the chunk, or impossible openings."""
    findings = checks.numbers_are("plan's times", plan.trace_times_s, (None,))
    if findings:
        return findings
    times_s, arms = plan.trace_times_s, len(embodiment.arms)
    findings = checks.numbers_are("plan's trace", plan.trace, (arms, len(times_s), 3))
    findings += checks.numbers_are("plan's openings", plan.trace_grippers, (arms, len(times_s)))
    return findings or _in_order(plan, chunk) + _possible(plan, embodiment, limits)


def _in_order(plan: Plan, chunk: ActionChunk) -> Findings:
    """Its waypoints follow each other, and one of them at least says where the chunk leads."""
    times_s, lasts_s = plan.trace_times_s, chunk.period_s * len(chunk.positions)
    steps_s = np.diff(times_s, prepend=0.0)
    if not (steps_s > 0.0).all():
        text = f"The plan's waypoints are at {times_s.round(3).tolist()} s; each has to be later than the one before."
        return checks.finding("plan", Outcome.HOLD, "times", float(steps_s.min()), 0.0, "s", text)
    if times_s[0] <= lasts_s:
        return ()
    text = f"The plan's first waypoint is {times_s[0]:.3g} s ahead; its chunk ends after {lasts_s:.3g} s."
    return checks.finding("plan", Outcome.HOLD, "times", float(times_s[0]), lasts_s, "s", text)


def _possible(plan: Plan, embodiment: Embodiment, limits: Limits) -> Findings:
    """Its openings are those of grippers, as near as a chunk's rows have to be."""
    own = embodiment.grippers
    beyond = np.maximum(limits.lower[own] - plan.trace_grippers.T, plan.trace_grippers.T - limits.upper[own])
    if (beyond <= limits.position_excess[own]).all():
        return ()
    waypoint, arm = np.unravel_index(int(np.argmax(beyond)), beyond.shape)
    opening, name = float(plan.trace_grippers[arm, waypoint]), embodiment.arms[int(arm)].name
    text = f"The plan says that the {name} gripper will be open by {opening:.3g}; 0 to 1 is allowed."
    return checks.finding("plan", Outcome.HOLD, name, opening, 1.0, "opening", text)


def still_reasons(reasoned: bool) -> Findings:
    """HOLD for a decision without a plan in a session that has `reasoned` before: what it means to do is not known."""
    if not reasoned:
        return ()
    text = "The decision has no plan, and one before it had; a policy that reasons may not stop saying what it will do."
    return checks.finding("plan", Outcome.HOLD, "decision", 0.0, 1.0, "plans", text)
