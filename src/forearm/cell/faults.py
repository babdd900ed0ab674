"""Failures made on purpose, so that recovering from them can be measured.

Invariant: a fault changes what the world does, never what comes of it: an object is shifted or greased, an arm jammed
or frozen, a camera repeats itself; MuJoCo decides the rest. Equal setups, commands and faults give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from forearm.cell.lapses import StaleImages
from forearm.cell.physics import Physics
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.stage import Fault, Stage
from forearm.errors import InputError, unknown
from forearm.messages import Floats, Observation
from forearm.robot.embodiment import BIMANUAL_YAM, Arm

LIFTED_M = 0.05  # m above where it lay: nothing but fingers carries it
OPENING = 0.01  # between two commands: the gripper begins to open
AMID_M = 0.01  # m round an object's boxes within which a tool is about to take it

_GRIPPERS = np.isin(np.arange(len(BIMANUAL_YAM.joints)), BIMANUAL_YAM.grippers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nudge:
    """A failed grasp: the object slides `shift_m` along the jaws just before they close on it."""

    kind: ClassVar[str] = "failed grasp"
    shift_m: float = 0.04  # m; half a block and half a fingertip are 0.029, the bar's end needs 0.034
    seconds: float = 0.0

    def begins(self, stage: Stage) -> bool:
        ways = [(name, by) for arm in BIMANUAL_YAM.arms if stage.closing(arm) for name, by in self._ways(stage, arm)]
        if not ways:
            return False
        # A tray, taken by both arms at once, goes towards the middle: further out no arm could take it again.
        heres = [stage.physics.object_pose(name).translation for name, _ in ways]
        offs = [abs(float(here[1] + by[1]) - MIDLINE_Y_M) for here, (_, by) in zip(heres, ways, strict=True)]
        name, by = ways[int(np.argmin(offs))]
        stage.physics.shift(name, by)
        return True

    def _ways(self, stage: Stage, arm: Arm) -> Iterator[tuple[str, Floats]]:
        """Each object that the arm is about to take, and the shift m (3,) that keeps it from it."""
        tool = stage.physics.tool_pose(arm.name)
        along = tool.rotation[:, 0]
        for name in stage.things:
            if stage.physics.surrounds(name, tool.translation, AMID_M):
                away = float((stage.physics.object_pose(name).translation - tool.translation) @ along)
                # Outwards where the tool is off the centre; for a block, held in its middle, either way.
                sign = np.sign(away) if abs(away) > AMID_M else stage.rng.choice([-1.0, 1.0])
                yield name, along * sign * self.shift_m

    def ends(self, stage: Stage) -> None:
        """What was shifted stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slip:
    """A drop: the lifted object is greased for `seconds` and slides out of the fingers."""

    kind: ClassVar[str] = "dropped object"
    seconds: float = 0.4

    def begins(self, stage: Stage) -> bool:
        for name in stage.things:
            risen = stage.physics.object_pose(name).translation[2] - stage.setup.placement(name).position[2]
            if risen > LIFTED_M and len(stage.physics.holders(name)) > 0:
                stage.physics.grease(name, True)
                return True
        return False

    def ends(self, stage: Stage) -> None:
        for name in stage.things:
            stage.physics.grease(name, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlipAtHandOver:
    """A slipped hand-over: what two arms hold is greased for `seconds` when one of them lets go."""

    kind: ClassVar[str] = "slipped hand-over"
    seconds: float = 0.4

    def begins(self, stage: Stage) -> bool:
        if not (stage.command > stage.command_before + OPENING)[BIMANUAL_YAM.grippers].any():
            return False
        for name in stage.things:
            if len(stage.physics.holders(name)) > 1:
                stage.physics.grease(name, True)
                return True
        return False

    def ends(self, stage: Stage) -> None:
        for name in stage.things:
            stage.physics.grease(name, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """An interruption: in mid-motion the motors hold where they are for `seconds`, whatever they are told."""

    kind: ClassVar[str] = "interruption"
    after_s: float = 1.0
    seconds: float = 3.0

    def begins(self, stage: Stage) -> bool:
        if stage.elapsed_s < self.after_s or not stage.moving():
            return False
        stage.deaf[:] = True
        return True

    def ends(self, stage: Stage) -> None:
        stage.deaf[:] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadGripper:
    """A gripper failure: the fingers of `arm` stay as far apart as they are for `seconds`, whatever they are told."""

    kind: ClassVar[str] = "dead gripper"
    arm: Literal["left", "right"] = "left"
    seconds: float = 3.0

    def begins(self, stage: Stage) -> bool:
        stage.deaf[_gripper(self.arm)] = True
        return True

    def ends(self, stage: Stage) -> None:
        stage.deaf[_gripper(self.arm)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Jam:
    """A blocked path: in mid-motion the joints of the moving arm are jammed for `seconds`; its motors push in vain."""

    kind: ClassVar[str] = "blocked path"
    after_s: float = 1.0
    seconds: float = 3.0

    def begins(self, stage: Stage) -> bool:
        if stage.elapsed_s < self.after_s or not stage.moving():
            return False
        speeds = np.abs(stage.physics.velocities)
        fastest = max(BIMANUAL_YAM.arms, key=lambda arm: float(speeds[arm.joints].max()))
        stage.physics.jam(fastest.name, True)
        return True

    def ends(self, stage: Stage) -> None:
        for arm in BIMANUAL_YAM.arms:
            stage.physics.jam(arm.name, False)


KINDS = ("failed grasp", "dropped object", "slipped hand-over", "interruption", "blocked path", "stale perception")
AFTER_S = (0.8, 2.0)  # s into the run: every task is in mid-motion then
LASTS_S = (2.5, 4.0)  # s: longer than a hold may last on its own


def drawn(kind: str, seed: int) -> Fault:
    """A fault of that kind; when and for how long, where it is not the object that says so, comes from `seed`.

    Raises:
        InputError: for a kind that there is none of.
    """
    rng = np.random.default_rng((seed, 6))
    after_s, seconds = float(rng.uniform(*AFTER_S)), float(rng.uniform(*LASTS_S))
    camera = BIMANUAL_YAM.cameras[int(rng.integers(len(BIMANUAL_YAM.cameras)))].name
    faults: tuple[Fault, ...] = (
        Nudge(),
        Slip(),
        SlipAtHandOver(),
        Freeze(after_s=after_s, seconds=seconds),
        Jam(after_s=after_s, seconds=seconds),
        StaleImages(after_s=after_s, seconds=seconds, cameras=(camera,)),
    )
    for fault in faults:
        if fault.kind == kind:
            return fault
    raise InputError(unknown("fault", kind, KINDS))


class Faults:
    """Lets each fault happen once, when it is due. Made anew at every connect.

    Args:
        faults: what is to go wrong.
        physics: the cell they happen in.
        setup: the scene.
    """

    def __init__(self, faults: Sequence[Fault], physics: Physics, setup: Setup) -> None:
        self._waiting = list(faults)
        self._lasting: list[tuple[float, Fault]] = []
        self._stage = Stage(physics, setup)
        self._held: Floats = np.array(setup.start)
        self._deaf = np.zeros(len(self._held), dtype=np.bool_)
        self.happened: list[str] = []
        """The kinds that have begun, in order."""

    def pass_to(self, elapsed_s: float, command: Floats) -> Floats:
        """Lets begin and end what is due at `elapsed_s`; gives what the motors are really told, given `command`."""
        stage = self._stage
        stage.elapsed_s, stage.command_before, stage.command = elapsed_s, stage.command, command
        for until_s, fault in self._lasting:
            if elapsed_s >= until_s:
                fault.ends(stage)
        self._lasting = [(until_s, fault) for until_s, fault in self._lasting if elapsed_s < until_s]
        for fault in list(self._waiting):
            if fault.begins(stage):
                self._waiting.remove(fault)
                self._lasting.append((elapsed_s + fault.seconds, fault))
                self.happened.append(fault.kind)
        newly = stage.deaf & ~self._deaf
        self._held[newly] = stage.physics.positions[newly]
        grippers = newly & _GRIPPERS  # fingers go on pressing on what they hold
        self._held[grippers] = command[grippers]
        self._deaf = stage.deaf.copy()
        return np.where(self._deaf, self._held, command)

    def sensed(self, observation: Observation) -> Observation:
        """What the robot says where `observation` is the truth.

        Raises:
            RobotError: where it does not answer.
        """
        for distortion in self._stage.distortions.values():
            observation = distortion(observation)
        return observation


def _gripper(name: str) -> int:
    """The index of the gripper of the arm of that name."""
    return next(arm.gripper for arm in BIMANUAL_YAM.arms if arm.name == name)
