"""Judges a whole decision before its first step; the only maker of `VettedChunk`.

Invariant: every row that comes out of here is finite, in range, within the limits of speed, acceleration and jerk, and
can be reached from the measured pose with every clearance kept on the way; and whatever goes wrong in here is a stop.

What it may change, it says in a finding: rows a rounding outside the range are clipped, a chunk that is somewhat too
fast is slowed down, and of a chunk that becomes unsafe only the safe beginning is kept.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from forearm.messages import ActionChunk, Decision, Finding, Floats, Observation, Outcome, Plan, Verdict, VettedChunk
from forearm.robot.embodiment import BIMANUAL_YAM, Embodiment
from forearm.robot.kinematics import tool_poses
from forearm.safety import checks
from forearm.safety.clearance import PAIRS, margins
from forearm.safety.freshness import AGES, Ages, same_model
from forearm.safety.limits import Limits
from forearm.safety.sweep import sweep

Findings = tuple[Finding, ...]
ROUNDING = 1e-9  # relative, of the slowed period, so that the slowed chunk itself passes


class Vetting:
    """The gate between a policy and the control loop. Keeps no state: the same question gets the same answer.

    Args:
        limits: what is allowed.
        embodiment: whose joints and arms they are.
        cameras: whose images must be there and fresh; the embodiment's by default.
        ages: how old what is answered may be.
        model_digest: of the weights that the session began with; None where any may answer.
    """

    def __init__(
        self,
        limits: Limits,
        embodiment: Embodiment = BIMANUAL_YAM,
        *,
        cameras: Sequence[str] | None = None,
        ages: Ages = AGES,
        model_digest: str | None = None,
    ) -> None:
        self._ages = ages
        self._model_digest = model_digest
        self._limits = limits
        self._embodiment = embodiment
        self._cameras = [camera.name for camera in embodiment.cameras] if cameras is None else list(cameras)
        self._required = margins(limits, arms_m=limits.arm_clearance_m)

    def vet(self, decision: Decision, observation: Observation, now_ns: int) -> Verdict:
        """The verdict on `decision`, which answers `observation`; `vetted` is there unless it is HOLD or STOP.

        Takes about 3 ms for 30 rows. Never raises: an exception in here is a STOP.
        """
        started = time.perf_counter()
        try:
            chunk, findings = self._judge(decision, observation, now_ns)
            vetted = None
            if checks.worst(findings) < Outcome.HOLD:
                vetted = VettedChunk(chunk=chunk, sequence=decision.sequence, epoch=decision.epoch)
        except Exception as error:  # a check that fails has shown nothing, so nothing may move
            vetted, findings = None, checks.broken("vetting", error)
        return Verdict(
            outcome=checks.worst(findings), findings=findings, vetted=vetted, cost_s=time.perf_counter() - started
        )

    def _judge(self, decision: Decision, observation: Observation, now_ns: int) -> tuple[ActionChunk, Findings]:
        """The chunk as it may be followed, and every objection; from the cheap questions to the dear ones."""
        chunk = decision.chunk
        findings = self._well_formed(chunk, observation) or self._timely(decision, observation, now_ns)
        if not findings:
            chunk, findings = self._in_range(chunk, observation)
        for judge in (self._in_pace, self._clear):
            if checks.worst(findings) < Outcome.HOLD:
                chunk, more = judge(chunk, observation)
                findings += more
        if decision.plan is not None and checks.worst(findings) < Outcome.HOLD:
            findings += self._as_planned(decision.plan, chunk, decision.chunk.period_s)
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
        if self._model_digest is not None:
            findings += same_model(decision.model_digest, self._model_digest)
        findings += checks.answers(decision.chunk.stamp_ns, stamp_ns)
        findings += checks.fresh("decision's observation", stamp_ns, now_ns, self._ages.decision_s)
        for camera in self._cameras:
            findings += checks.cameras_fresh(observation, (camera,), stamp_ns, self._ages.image_s(camera))
        return findings

    def _in_range(self, chunk: ActionChunk, observation: Observation) -> tuple[ActionChunk, Findings]:
        """Rows clipped into the range where they are next to it; STOP where the arms are not where they can be."""
        limits, joints = self._limits, self._embodiment.joints
        lower, upper = limits.lower - limits.position_excess, limits.upper + limits.position_excess
        findings = checks.in_range("measured pose", observation.positions, lower, upper, joints, Outcome.STOP)
        findings += checks.in_range("chunk", chunk.positions, lower, upper, joints, Outcome.HOLD)
        outside = checks.in_range(
            "chunk, until it was clipped,", chunk.positions, limits.lower, limits.upper, joints, Outcome.LIMIT
        )
        if findings or not outside:
            return chunk, findings
        return replace(chunk, positions=np.clip(chunk.positions, limits.lower, limits.upper)), outside

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
        if slower > 1.0:
            chunk = replace(chunk, period_s=period * slower * (1.0 + ROUNDING))
        return chunk, findings

    def _clear(self, chunk: ActionChunk, observation: Observation) -> tuple[ActionChunk, Findings]:
        """The beginning of the chunk that keeps every clearance."""
        swept = sweep(observation.positions, chunk.positions, self._required)
        if swept.clear_rows == len(chunk.positions):
            return chunk, ()
        outcome = Outcome.LIMIT if swept.clear_rows >= self._limits.fewest_rows else Outcome.HOLD
        where = f"on the way to row {swept.clear_rows}"
        findings = checks.near(outcome, PAIRS[swept.pair], swept.clearance_m, swept.required_m, where)
        return replace(chunk, positions=chunk.positions[: swept.clear_rows]), findings

    def _as_planned(self, plan: Plan, chunk: ActionChunk, period_s: float) -> Findings:
        """The plan's trace leads where the chunk leads, as far as the chunk goes, in times before any slowing."""
        covered = plan.trace_times_s <= period_s * len(chunk.positions)
        tools, _ = tool_poses(_rows_at(plan.trace_times_s[covered], chunk.positions, period_s))
        trace = plan.trace[:, covered].transpose(1, 0, 2)
        return checks.trace_matches(trace, tools, self._embodiment, self._limits.trace_error_m)


def _rows_at(times_s: Floats, rows: Floats, period_s: float) -> Floats:
    """Rows (T, J) at those times, on straight lines between the given ones; before the first, the first."""
    index = np.clip(times_s / period_s - 1.0, 0.0, len(rows) - 1)
    before = np.floor(index).astype(np.int64)
    after = np.minimum(before + 1, len(rows) - 1)
    share = (index - before)[:, None]
    return (1.0 - share) * rows[before] + share * rows[after]
