"""Judges a whole decision before its first step; the only maker of `VettedChunk`.

Invariant: every row that comes out of here is finite, in range, within the limits of speed, acceleration and jerk, and
can be reached from the measured pose with every clearance kept on the way, those of what is held too; and whatever
goes wrong in here is a stop.

What it may change, it says in a finding, and by how much: rows a rounding outside the range are clipped, a chunk that
is somewhat too fast, or could not be stopped in the room there is, is slowed down, where both arms are bound for the
same place one of them waits, and of a chunk that becomes unsafe otherwise only the safe beginning is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.messages import (
    ActionChunk,
    Decision,
    Finding,
    Floats,
    Held,
    Observation,
    Outcome,
    Plan,
    Verdict,
    VettedChunk,
)
from forearm.robot.embodiment import BIMANUAL_YAM, Embodiment
from forearm.robot.kinematics import tool_poses
from forearm.safety import checks
from forearm.safety.clearance import PAIRS, Pair, margins
from forearm.safety.depth_agreement import depth_agrees
from forearm.safety.freshness import AGES, Ages, same_model
from forearm.safety.limits import Limits
from forearm.safety.pacing import Pacing, one_tick
from forearm.safety.right_of_way import SOON_ROWS, late, waiting, who_waits
from forearm.safety.stated_plan import plan_is, still_reasons
from forearm.safety.surroundings import Surroundings
from forearm.safety.sweep import Near, Sweep, sweep
from forearm.safety.workspace import Workspace

Findings = tuple[Finding, ...]
MOST_HELD = 16  # that are remembered: more than a cell has goods, for each hand alone and for both
ROUNDING = 1e-9  # relative, of the slowed period, so that the slowed chunk itself passes


class Vetting:
    """The gate between a policy and the control loop. The same question gets the same answer, but for two things.

    It remembers in which session a plan was stated: there a decision without one is held. And it asks for the latency.

    Args:
        limits: what is allowed.
        embodiment: whose joints and arms they are.
        cameras: whose images must be there and fresh; the embodiment's by default.
        workspace: what the arms are kept clear of besides themselves; the table at the height of their bases by
            default.
        ages: how old what is answered may be.
        model_digest: of the weights that the session began with; empty for a policy without any.
        latency_s: the worst that was measured so far, s, from what happens until the arms are told; a tick by default.
    """

    def __init__(
        self,
        limits: Limits,
        embodiment: Embodiment = BIMANUAL_YAM,
        *,
        cameras: Sequence[str] | None = None,
        workspace: Workspace | None = None,
        ages: Ages = AGES,
        model_digest: str = "",
        latency_s: Callable[[], float] = one_tick,
    ) -> None:
        self._ages = ages
        self._model_digest = model_digest
        self._reasoned_in: int | None = None  # the session's epoch
        self._limits = limits
        self._embodiment = embodiment
        self._cameras = [camera.name for camera in embodiment.cameras] if cameras is None else list(cameras)
        workspace = workspace or Workspace()
        self._required = margins(limits, arms_m=limits.arm_clearance_m, table_m=workspace.table_m)
        self._late = np.where([pair.kind == "arms" for pair in PAIRS], 0.0, -np.inf)
        self._workspace = workspace
        self._around: dict[tuple[Held, ...], Surroundings] = {(): Surroundings(workspace, limits)}  # by what is held
        self._pacing = Pacing(limits, latency_s)

    def vet(self, decision: Decision, observation: Observation, now_ns: int) -> Verdict:
        """The verdict on `decision`, which answers `observation`; `vetted` is there unless it is HOLD or STOP.

        Takes 1 to 3 ms, and some 10 ms more where the arms have little room. Never raises: an exception is a STOP.
        """
        started = time.perf_counter()
        try:
            chunk, findings = self._judge(decision, observation, now_ns)
            vetted = None
            if checks.worst(findings) < Outcome.HOLD:
                ahead = _slowed_from(now_ns, chunk, decision.chunk.period_s)
                vetted = VettedChunk(chunk=ahead, sequence=decision.sequence, epoch=decision.epoch)
        except Exception as error:  # a check that fails has shown nothing, so nothing may move
            vetted, findings = None, checks.broken("vetting", error)
        return Verdict(
            outcome=checks.worst(findings), findings=findings, vetted=vetted, cost_s=time.perf_counter() - started
        )

    def _judge(self, decision: Decision, observation: Observation, now_ns: int) -> tuple[ActionChunk, Findings]:
        """The chunk as it may be followed, and every objection; from the cheap questions to the dear ones."""
        chunk = decision.chunk
        findings = self._well_formed(chunk, observation)
        if not findings:
            chunk = replace(chunk, positions=chunk.positions.copy())  # whoever made it may still write into its own
            findings = self._timely(decision, observation, now_ns)
        if not findings and decision.plan is not None:
            self._reasoned_in = decision.epoch
            findings = plan_is(decision.plan, chunk, self._embodiment, self._limits)
            findings = findings or self._sees_the_world(decision.plan, observation)
        if not findings:
            chunk, findings = self._in_range(chunk, observation)
        if decision.plan is not None and checks.worst(findings) < Outcome.HOLD:
            findings += self._as_planned(decision.plan, chunk)
        for judge in (self._in_pace, self._clear, self._can_stop):
            if checks.worst(findings) < Outcome.HOLD:
                chunk, more = judge(chunk, observation)
                findings += more
        if decision.plan is None:
            findings += still_reasons(self._reasoned_in == decision.epoch)
        return chunk, findings

    def _well_formed(self, chunk: ActionChunk, observation: Observation) -> Findings:
        """Numbers of the right kind and shape."""
        limits, width = self._limits, len(self._embodiment.joints)
        findings = checks.array_is("measured pose", observation.positions, width=width)
        findings += checks.array_is("chunk", chunk.positions, width=width, rows=limits.most_rows)
        return findings + checks.period_is(chunk.period_s, limits.shortest_period_s, limits.longest_period_s)

    def _timely(self, decision: Decision, observation: Observation, now_ns: int) -> Findings:
        """Of this session and its model, about this observation, and recent."""
        stamp_ns = observation.stamp_ns
        findings = checks.same_epoch("decision", decision.epoch, observation.epoch)
        findings += same_model(decision.model_digest, self._model_digest)
        findings += checks.answers(decision.chunk.stamp_ns, stamp_ns)
        findings += checks.fresh("decision's observation", stamp_ns, now_ns, self._ages.decision_s)
        for camera in self._cameras:
            findings += checks.cameras_fresh(observation, (camera,), stamp_ns, self._ages.image_s(camera))
        return findings

    def _sees_the_world(self, plan: Plan, observation: Observation) -> Findings:
        """The plan's depth map is what the main camera measures in the same observation."""
        limits = self._limits
        return depth_agrees(
            plan,
            observation,
            self._embodiment.cameras[0],
            limits,
            age_s=self._ages.image_s(self._embodiment.cameras[0].name),
        )

    def _in_range(self, chunk: ActionChunk, observation: Observation) -> tuple[ActionChunk, Findings]:
        """Rows clipped into the range where they are next to it; STOP where the arms are not where they can be."""
        limits, joints = self._limits, self._embodiment.joints
        lower, upper = limits.lower - limits.position_excess, limits.upper + limits.position_excess
        findings = checks.in_range("measured pose", observation.positions, lower, upper, joints, Outcome.STOP)
        findings += checks.in_range("chunk", chunk.positions, lower, upper, joints, Outcome.HOLD)
        outside = checks.in_range("chunk", chunk.positions, limits.lower, limits.upper, joints, Outcome.LIMIT)
        if findings or not outside:
            return chunk, findings
        by = abs(outside[0].measured - outside[0].limit)
        told = _told(outside, f" Its rows are clipped, by {by:.3f} {outside[0].unit} at the most.")
        return replace(chunk, positions=np.clip(chunk.positions, limits.lower, limits.upper)), told

    def _in_pace(self, chunk: ActionChunk, observation: Observation) -> tuple[ActionChunk, Findings]:
        """The chunk, slowed down where that brings its speed, acceleration and jerk within the limits."""
        limits, joints, period = self._limits, self._embodiment.joints, chunk.period_s
        first = np.abs(chunk.positions[0] - observation.positions)
        findings = checks.within(
            "first row",
            "is to jump by",
            "",
            first,
            limits.velocity * period + limits.tracking_error,
            joints,
            Outcome.HOLD,
        )
        slower = 1.0
        for order, (check, what, unit, limit) in enumerate(
            (
                ("speed", "is to move at", "/s", limits.velocity),
                ("acceleration", "is to accelerate at", "/s²", limits.acceleration),
                ("jerk", "is to jerk at", "/s³", limits.jerk),
            ),
            start=1,
        ):
            rates = np.diff(chunk.positions, n=order, axis=0) / period**order
            factor = float(np.max(np.abs(rates) / limit, initial=0.0)) ** (1.0 / order)
            outcome = Outcome.LIMIT if factor <= limits.slowing else Outcome.HOLD
            findings += checks.within(check, what, unit, rates, limit, joints, outcome)
            slower = max(slower, factor)
        if checks.worst(findings) >= Outcome.HOLD:
            return chunk, findings
        if slower > 1.0:
            slowed_s = period * slower * (1.0 + ROUNDING)
            findings = _told(findings, f" The chunk is slowed {slower:.2f} times, to {slowed_s * 1e3:.0f} ms a row.")
            chunk = replace(chunk, period_s=slowed_s)
        return chunk, findings + checks.lasts(chunk, limits.longest_chunk_s)

    def _clear(self, chunk: ActionChunk, observation: Observation) -> tuple[ActionChunk, Findings]:
        """The chunk where it keeps every clearance; else with one arm waiting, else its beginning that does."""
        rows = chunk.positions
        blocked = self._in_the_way(chunk, observation)
        if blocked is None:
            return chunk, ()
        yielding = self._yielding(chunk, observation, blocked)
        if yielding is not None:
            return yielding
        kept = blocked.swept.clear_rows
        outcome = Outcome.LIMIT if kept >= self._limits.fewest_rows else Outcome.HOLD
        text = f" The first {kept} of {len(rows)} rows are kept." if outcome is Outcome.LIMIT else ""
        return replace(chunk, positions=rows[:kept]), blocked.findings(outcome, text)

    def _can_stop(self, chunk: ActionChunk, observation: Observation) -> tuple[ActionChunk, Findings]:
        """The chunk at a pace from which the arms can stop in the room they have."""
        return self._pacing.slowed(chunk, observation.positions, self._surroundings(observation.held))

    def _yielding(
        self, chunk: ActionChunk, observation: Observation, blocked: _Blocked
    ) -> tuple[ActionChunk, Findings] | None:
        """The chunk with one arm waiting, where the arms will soon be in each other's way and that is clear.

        What comes of it goes through the same checks again.
        """
        start, rows = observation.positions, chunk.positions
        if not isinstance(blocked.pair, Pair) or blocked.pair.kind != "arms" or blocked.swept.clear_rows >= SOON_ROWS:
            return None
        arm = who_waits(start, rows[blocked.swept.clear_rows], blocked.pair)
        changed = waiting(chunk, observation, arm, self._limits)
        objections = self._in_range(changed, observation)[1] or self._in_pace(changed, observation)[1]
        if objections or self._in_the_way(changed, observation) is not None:
            return None
        tools, _ = tool_poses(np.stack([rows[-1], changed.positions[-1]]))
        short_m = float(np.linalg.norm(tools[0, arm] - tools[1, arm]))
        names = [each.name for each in self._embodiment.arms]
        text = (
            f" So the {names[arm]} arm waits until the {names[1 - arm]} one is out of the way; it stays "
            f"{short_m * 1e3:.0f} mm short of where the chunk led it."
        )
        return changed, blocked.findings(Outcome.LIMIT, text, check="right of way")

    def _in_the_way(self, chunk: ActionChunk, observation: Observation) -> _Blocked | None:
        """What first comes too near on that path, or would if one arm were a row late; None where nothing does."""
        start, rows = observation.positions, chunk.positions
        around = self._surroundings(observation.held)
        pairs: tuple[Sequence[Near], ...] = (PAIRS, around.pairs)
        found = [sweep(start, rows, self._required)]
        if pairs[1]:
            required = around.required(np.concatenate([start[None], rows]), chunk.period_s)
            found.append(sweep(start, rows, required, around))
        worst = min(range(len(found)), key=lambda number: found[number].clear_rows)
        if found[worst].clear_rows < len(rows):
            return _Blocked(pair=pairs[worst][found[worst].pair], swept=found[worst])
        if (found[0].late_m >= self._late).all():
            return None
        for arm, each in enumerate(self._embodiment.arms):
            swept = sweep(*late(start, rows, arm), self._late)
            if swept.clear_rows < len(rows):
                return _Blocked(pair=PAIRS[swept.pair], swept=swept, late=each.name)
        return None

    def _surroundings(self, held: tuple[Held, ...]) -> Surroundings:
        """What is around the arms, with what they hold; made in 2 ms when they begin to hold something else."""
        if held not in self._around:
            if len(self._around) > MOST_HELD:
                self._around = dict(list(self._around.items())[:1])
            self._around[held] = Surroundings(self._workspace, self._limits, held)
        return self._around[held]

    def _as_planned(self, plan: Plan, chunk: ActionChunk) -> Findings:
        """The plan's trace leads where the chunk leads, as far as it goes, before anything but clipping changed it."""
        period_s = chunk.period_s
        covered = plan.trace_times_s <= period_s * len(chunk.positions)
        tools, _ = tool_poses(_rows_at(plan.trace_times_s[covered], chunk.positions, period_s))
        trace = plan.trace[:, covered].transpose(1, 0, 2)
        return checks.trace_matches(trace, tools, self._embodiment, self._limits.trace_error_m)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Blocked:
    """What is in the way of a path, and of which late arm if it is in the way of that alone."""

    pair: Near
    swept: Sweep
    late: str = ""

    def findings(self, outcome: Outcome, text: str, check: str = "") -> Findings:
        """The objection, `text` saying what was done about it."""
        where = f"on the way to row {self.swept.clear_rows}"
        if self.late:
            where += f" if the {self.late} arm is late by a row"
        swept = self.swept
        found = checks.near(outcome, self.pair, swept.clearance_m, swept.required_m, where)
        return tuple(replace(each, check=check or each.check) for each in _told(found, text))


def _told(findings: Findings, change: str) -> Findings:
    """The findings, each saying what was changed because of it."""
    return tuple(replace(each, text=each.text + change) for each in findings)


def _slowed_from(now_ns: int, chunk: ActionChunk, period_s: float) -> ActionChunk:
    """The chunk, whose rows were `period_s` apart before it was slowed, with time going slower only from `now_ns` on.

    Rows that are past by then are left out: stretched like the others they would be ahead again, and the arms go back.
    """
    slower, gone_s = chunk.period_s / period_s, (now_ns - chunk.stamp_ns) / NANOSECONDS
    past = min(int(gone_s / period_s), len(chunk.positions) - 1)
    if slower == 1.0 or past == 0:
        return chunk
    since_s = gone_s - past * period_s  # the last row that is past
    stamp_ns = max(chunk.stamp_ns, now_ns - round(since_s * slower * NANOSECONDS))
    return replace(chunk, stamp_ns=stamp_ns, positions=chunk.positions[past:])


def _rows_at(times_s: Floats, rows: Floats, period_s: float) -> Floats:
    """Rows (T, J) at those times, on straight lines between the given ones; before the first, the first."""
    index = np.clip(times_s / period_s - 1.0, 0.0, len(rows) - 1)
    before = np.floor(index).astype(np.int64)
    after = np.minimum(before + 1, len(rows) - 1)
    share = (index - before)[:, None]
    return (1.0 - share) * rows[before] + share * rows[after]
