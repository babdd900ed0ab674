"""Everything that can be made to go wrong in a run of the cell, and when it is due.

A trouble is a class that overrides the one hook at which it interferes: the world, what is read, what is decided, when
an answer comes, what the cell and a person want, how the loop's time goes. `KINDS` lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from forearm.cell import faults, lapses
from forearm.cell.stage import Fault, Stage
from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Decision
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.operator import Act, HandBack, Hold, JogTool, Resume, TakeOver

WHO = "campaign"


class Moment:
    """When a trouble is on: from `delay_s` after the `number`-th thing first enters `phase`, for `seconds`."""

    def __init__(self, phase: str, number: int, delay_s: float, seconds: float) -> None:
        self.phase, self.number, self.delay_s, self.seconds = phase, number, delay_s, seconds
        self.begins_ns: int | None = None
        self.begun = False

    def note(self, entered: int, now_ns: int) -> None:
        """So many things have entered the phase so far."""
        if entered >= self.number and self.begins_ns is None:
            self.begins_ns = now_ns + round(self.delay_s * NANOSECONDS)
        self.begun = self.begun or (self.begins_ns is not None and now_ns >= self.begins_ns)

    def since_s(self, now_ns: int) -> float:
        """Time since it began, s; negative before."""
        return -1.0 if self.begins_ns is None else (now_ns - self.begins_ns) / NANOSECONDS

    def on(self, now_ns: int) -> bool:
        """Whether the trouble is on."""
        return 0.0 <= self.since_s(now_ns) < self.seconds


class Trouble:
    """Nothing goes wrong. Each kind overrides one hook; `says` is what only it explains when a stop gives it as reason."""

    says: ClassVar[str] = ""

    def __init__(self, moment: Moment, rng: np.random.Generator) -> None:
        self.moment, self.rng = moment, rng

    def faults(self) -> tuple[Fault, ...]:
        """What happens to the world."""
        return ()

    def decided(self, decision: Decision, now_ns: int) -> Decision:
        """What the policy answers instead."""
        return decision

    def passes(self, now_ns: int) -> bool:
        """Whether an answer that is ready gets to the loop."""
        return True

    def stall_s(self, now_ns: int) -> float:
        """By how much the loop's time jumps now, s."""
        return 0.0

    def external(self, now_ns: int) -> str:
        """What the cell's stop input says."""
        return ""

    def interrupted(self, now_ns: int) -> str:
        """Why the process is to end."""
        return ""

    def act(self, now_ns: int) -> Act | None:
        """What a person does now."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A fault of the world that waits for its moment."""

    kind: ClassVar[str] = "due"
    fault: Fault
    moment: Moment

    @property
    def seconds(self) -> float:
        return self.fault.seconds

    def begins(self, stage: Stage) -> bool:
        return self.moment.begun and self.fault.begins(stage)

    def ends(self, stage: Stage) -> None:
        self.fault.ends(stage)


Make = Callable[[Moment, np.random.Generator], Trouble]


def world(made: Callable[[float, np.random.Generator], Fault], says: str = "") -> Make:
    """A trouble made of a fault of the cell, given its s and a generator."""

    class World(Trouble):
        def faults(self) -> tuple[Fault, ...]:
            return (Due(fault=made(self.moment.seconds, self.rng), moment=self.moment),)

    World.says = says
    return World


class InferenceFails(Trouble):
    """The policy raises."""

    def decided(self, decision: Decision, now_ns: int) -> Decision:
        if self.moment.on(now_ns):
            raise RuntimeError("out of memory")
        return decision


class NotANumber(Trouble):
    """One joint of a chunk is NaN."""

    def decided(self, decision: Decision, now_ns: int) -> Decision:
        if not self.moment.on(now_ns):
            return decision
        rows = decision.chunk.positions.copy()
        rows[self.rng.integers(len(rows)), self.rng.integers(rows.shape[1])] = np.nan
        return _with_rows(decision, rows)


class Wild(Trouble):
    """A chunk leads anywhere within the joints' range."""

    def decided(self, decision: Decision, now_ns: int) -> Decision:
        if not self.moment.on(now_ns):
            return decision
        to = self.rng.uniform(BIMANUAL_YAM.lower, BIMANUAL_YAM.upper)
        rows = decision.chunk.positions
        shares = np.linspace(0.0, 1.0, len(rows))[:, None]
        return _with_rows(decision, rows[:1] + shares * (to - rows[:1]))


class Replayed(Trouble):
    """An earlier decision is answered again."""

    def __init__(self, moment: Moment, rng: np.random.Generator) -> None:
        super().__init__(moment, rng)
        self._first: Decision | None = None

    def decided(self, decision: Decision, now_ns: int) -> Decision:
        self._first = self._first or decision
        return self._first if self.moment.on(now_ns) else decision


class OtherSession(Trouble):
    """Decisions of the session before."""

    def decided(self, decision: Decision, now_ns: int) -> Decision:
        return replace(decision, epoch=decision.epoch - 1) if self.moment.on(now_ns) else decision


class OtherWeights(Trouble):
    """Decisions of another model."""

    def decided(self, decision: Decision, now_ns: int) -> Decision:
        return replace(decision, model_digest="0" * 64) if self.moment.on(now_ns) else decision


class Hangs(Trouble):
    """Inference never answers again."""

    def passes(self, now_ns: int) -> bool:
        return self.moment.since_s(now_ns) < 0.0


class LateReply(Trouble):
    """Answers come late by what is left of the trouble's time."""

    def passes(self, now_ns: int) -> bool:
        return not self.moment.on(now_ns)


class Stalls(Trouble):
    """The loop's process does not run for a while: its clock jumps on."""

    def __init__(self, moment: Moment, rng: np.random.Generator) -> None:
        super().__init__(moment, rng)
        self._left_s = float(rng.uniform(0.05, 1.0))

    def stall_s(self, now_ns: int) -> float:
        if not self.moment.on(now_ns):
            return 0.0
        jump, self._left_s = self._left_s, 0.0
        return jump


class StopInput(Trouble):
    """The cell's stop input asks for a stop."""

    says = "External stop: the guard door is open"

    def external(self, now_ns: int) -> str:
        return "the guard door is open" if self.moment.on(now_ns) else ""


class StopInputFails(Trouble):
    """The cell's stop input cannot be read."""

    says = "The external stop input failed: OSError: no answer"

    def external(self, now_ns: int) -> str:
        if self.moment.on(now_ns):
            raise OSError("no answer")
        return ""


class AskedToEnd(Trouble):
    """A person ends the process."""

    says = "The process was asked to end"

    def interrupted(self, now_ns: int) -> str:
        return "The process was asked to end (SIGTERM)." if self.moment.on(now_ns) else ""


class Acts(Trouble):
    """What a person does, at s after the moment."""

    def __init__(self, moment: Moment, rng: np.random.Generator) -> None:
        super().__init__(moment, rng)
        self._acts = self.script()

    def script(self) -> list[tuple[float, Act]]:
        """The acts in order."""
        return []

    def act(self, now_ns: int) -> Act | None:
        if not self._acts or self.moment.since_s(now_ns) < self._acts[0][0]:
            return None
        return self._acts.pop(0)[1]


class Holds(Acts):
    """A person holds, and resumes."""

    def script(self) -> list[tuple[float, Act]]:
        return [(0.0, Hold(who=WHO)), (self.moment.seconds, Resume(who=WHO))]


class Steers(Acts):
    """A person takes over, jogs a tool up and aside, and hands back."""

    def script(self) -> list[tuple[float, Act]]:
        arm = "left" if self.rng.random() < 0.5 else "right"
        by = (0.0, float(self.rng.uniform(-0.02, 0.02)), 0.02)
        jog = JogTool(who=WHO, arm=arm, by_m=by)
        return [(0.0, TakeOver(who=WHO)), (0.4, jog), (0.4 + self.moment.seconds, HandBack(who=WHO))]


def _with_rows(decision: Decision, rows: np.ndarray) -> Decision:
    chunk = decision.chunk
    return replace(decision, chunk=ActionChunk(stamp_ns=chunk.stamp_ns, period_s=chunk.period_s, positions=rows))


def _one_camera(rng: np.random.Generator) -> tuple[str, ...]:
    return (lapses.CAMERAS[int(rng.integers(len(lapses.CAMERAS)))],)


def _joint(rng: np.random.Generator) -> int:
    return int(rng.choice(np.delete(np.arange(len(BIMANUAL_YAM.joints)), BIMANUAL_YAM.grippers)))


def _backwards(low_s: float, high_s: float) -> Make:
    return world(lambda seconds, rng: lapses.Backwards(seconds=seconds, by_s=float(rng.uniform(low_s, high_s))))


def _encoder(off_rad: Callable[[np.random.Generator], float]) -> Make:
    return world(lambda seconds, rng: lapses.Encoder(seconds=seconds, joint=_joint(rng), off_rad=off_rad(rng)))


KINDS: Mapping[str, Make] = {
    "nothing": Trouble,
    "camera stops": world(lambda seconds, rng: lapses.StaleImages(seconds=seconds, cameras=_one_camera(rng))),
    "all cameras stop": world(lambda seconds, _: lapses.StaleImages(seconds=seconds)),
    "camera freezes": world(lambda seconds, rng: lapses.FrozenImages(seconds=seconds, cameras=_one_camera(rng))),
    "all cameras freeze": world(lambda seconds, _: lapses.FrozenImages(seconds=seconds)),
    "late frames": world(lambda seconds, rng: lapses.LateImages(seconds=seconds, late_s=float(rng.uniform(0.1, 0.8)))),
    "depth holes": world(lambda seconds, rng: lapses.DepthHoles(seconds=seconds, share=float(rng.uniform(0.3, 1.0)))),
    "encoder off": _encoder(lambda rng: float(rng.choice([-1.0, 1.0]) * rng.uniform(0.05, 0.6))),
    "encoder dead": _encoder(lambda _: float("nan")),
    "joints repeat": world(lambda seconds, _: lapses.StillJoints(seconds=seconds)),
    "reading repeats": world(lambda seconds, _: lapses.OldJoints(seconds=seconds)),
    "bus silent": world(lambda seconds, _: lapses.Silence(seconds=seconds), says="got no answer for 20 ms"),
    "stamps go back": _backwards(0.005, 0.04),
    "clocks apart": _backwards(0.1, 0.6),
    "arms do not follow": world(lambda seconds, _: faults.Freeze(after_s=0.0, seconds=seconds)),
    "path blocked": world(lambda seconds, _: faults.Jam(after_s=0.0, seconds=seconds)),
    "gripper dead": world(lambda seconds, rng: faults.DeadGripper(arm=rng.choice(["left", "right"]), seconds=seconds)),
    "failed grasp": world(lambda _, __: faults.Nudge()),
    "dropped object": world(lambda _, __: faults.Slip()),
    "slipped hand-over": world(lambda _, __: faults.SlipAtHandOver()),
    "inference fails": InferenceFails,
    "inference hangs": Hangs,
    "late reply": LateReply,
    "NaN chunk": NotANumber,
    "wild chunk": Wild,
    "replayed reply": Replayed,
    "another session's reply": OtherSession,
    "other weights": OtherWeights,
    "loop stalls": Stalls,
    "stop input": StopInput,
    "stop input fails": StopInputFails,
    "operator holds": Holds,
    "operator steers": Steers,
    "asked to end": AskedToEnd,
}
ONLY: Mapping[str, tuple[str, ...]] = {
    "nothing": ("approach",),
    "failed grasp": ("approach",),  # it happens by itself when fingers close
    "dropped object": ("carry", "exchange", "place"),
    "slipped hand-over": ("exchange",),
}
"""Phases of kinds that make no sense in all of them."""
