"""Lift a tray by its two handles, with both arms at once."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from forearm.cell.physics import Physics
from forearm.cell.posture import OTHER, OUTWARD, start_joints, tool_down
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.tasks.interface import Move, Question, Reach, canonical
from forearm.cell.tasks.objects import add_body, add_part
from forearm.cell.tasks.phrasing import Phrasings
from forearm.cell.variation import Placement, sample_look
from forearm.errors import InstructionError, unknown
from forearm.geometry import Box, Goods

SENTENCE = "lift the tray with both arms"
TRAY_HALF_M = (0.08, 0.115, 0.004)  # m, the plate
TRAY_KG = 0.15
RIM_M = 0.012  # m, height of the long rims above the plate
HANDLE_HALF_M = (0.011, 0.016, 0.016)  # m
HANDLE_OUT_M = 0.131  # m from the tray's centre
HANDLE_Z_M = 0.026  # m above the tray's underside, its centre
# m, across, along and below the fingers that hold either handle: the far handle, a long rim, the underside.
TRAY_IN_HAND_M = (2 * HANDLE_OUT_M + HANDLE_HALF_M[1], TRAY_HALF_M[0], HANDLE_Z_M)
TRAY_X_M = (0.26, 0.36)  # m
TRAY_SPREAD_M = 0.03  # m to either side in y
TRAY_YAW_RAD = 0.2  # rad to either side
HOVER_Z_M = 0.12  # m
LIFT_Z_M = 0.115  # m, tools when the tray is up
LIFTED_M = 0.075  # m, height of the tray's underside that counts as lifted
LEVEL = np.cos(np.radians(12.0))  # least upward component of the tray's up axis
TRAY_COLOUR = (0.80, 0.62, 0.42, 1.0)  # beech
HANDLE_COLOUR = (0.22, 0.23, 0.25, 1.0)
PHRASINGS = Phrasings(
    sentence=SENTENCE,
    taught=(
        "raise the tray with both arms",
        "pick up the tray with both hands",
        "please lift the tray with both arms",
        "use both arms to lift the tray",
        "lift the tray by its two handles",
        "take the tray by both handles and lift it",
        "with both arms pick the tray up",
        "could you raise the tray with two hands please",
    ),
    held_out=(
        "please raise the tray by its handles",
        "use both hands to pick up the tray",
        "take the tray with two arms and raise it",
        "could you lift the tray with both hands",
    ),
)


class Lift:
    """A tray across the midline with a handle at either end; each arm takes the one on its side."""

    name = "lift"
    pattern = SENTENCE
    phrasings = PHRASINGS

    def instructions(self) -> tuple[str, ...]:
        return (SENTENCE,)

    def furnish(self, spec: mujoco.MjSpec) -> None:
        tray = add_body(spec, "tray", free=True)
        x, y, thin = TRAY_HALF_M
        add_part(tray, (0.0, 0.0, thin), TRAY_HALF_M, TRAY_COLOUR, TRAY_KG * 0.6)
        for sign in (-1.0, 1.0):
            rim = (sign * (x - 0.003), 0.0, thin + RIM_M / 2)
            add_part(tray, rim, (0.003, y, RIM_M / 2), TRAY_COLOUR, TRAY_KG * 0.05)
            foot = (0.0, sign * HANDLE_OUT_M, (HANDLE_Z_M - HANDLE_HALF_M[2]) / 2)
            add_part(tray, foot, (0.02, 0.016, foot[2]), TRAY_COLOUR, TRAY_KG * 0.05)
            handle = (0.0, sign * HANDLE_OUT_M, HANDLE_Z_M)
            add_part(tray, handle, HANDLE_HALF_M, HANDLE_COLOUR, TRAY_KG * 0.1)

    def sample(self, seed: int, instruction: str | None = None, odd_start: bool = False) -> Setup:
        if instruction is not None and canonical(instruction) != SENTENCE:
            raise InstructionError(unknown("instruction", instruction, self.instructions()))
        rng = np.random.default_rng(seed)
        y = MIDLINE_Y_M + rng.uniform(-TRAY_SPREAD_M, TRAY_SPREAD_M)
        tray = Placement(
            name="tray",
            position=(float(rng.uniform(*TRAY_X_M)), float(y), 0.0005),
            yaw=float(rng.uniform(-TRAY_YAW_RAD, TRAY_YAW_RAD)),
        )
        return Setup(
            task=self.name,
            instruction=SENTENCE,
            seed=seed,
            placements=(tray,),
            look=sample_look(rng),
            start=start_joints(rng, frozenset(OTHER) if odd_start else frozenset()),
            time_limit_s=12.0,
        )

    def others(self, setup: Setup) -> tuple[Question, ...]:
        return ()

    def fixtures(self, setup: Setup) -> tuple[Box, ...]:
        """None: the tray is what is to be moved."""
        return ()

    def goods(self) -> tuple[Goods, ...]:
        return (Goods(name="tray", half=TRAY_IN_HAND_M, width_m=2 * HANDLE_HALF_M[0], meets=("fingers", "gripper")),)

    def reached(self, setup: Setup, physics: Physics) -> bool:
        tray = physics.object_pose("tray")
        return bool(tray.translation[2] > LIFTED_M and tray.rotation[2, 2] > LEVEL)

    def progress(self, setup: Setup, physics: Physics) -> float:
        if self.reached(setup, physics):
            return 1.0
        height = float(np.clip(physics.object_pose("tray").translation[2] / LIFTED_M, 0.0, 1.0))
        return 0.2 * len(physics.holders("tray")) + 0.5 * height

    def script(self, setup: Setup, physics: Physics) -> Iterator[Move]:
        tray = physics.object_pose("tray")
        yaw = float(np.arctan2(tray.rotation[1, 0], tray.rotation[0, 0]))
        handles = {arm: tray.apply(np.array([0.0, OUTWARD[arm] * HANDLE_OUT_M, 0.0])) for arm in OTHER}

        def both(subtask: str, height: float, opening: float, precise: bool, least_s: float = 0.4) -> Move:
            reaches = {
                arm: Reach(pose=tool_down(arm, (x, y, height), yaw), opening=opening)
                for arm, (x, y, _) in handles.items()
            }
            return Move(subtask=subtask, reaches=reaches, precise=precise, least_s=least_s)

        yield both("reach for the handles", HOVER_Z_M, 1.0, False)
        yield both("lower onto the handles", HANDLE_Z_M, 1.0, True)
        yield both("grasp the handles", HANDLE_Z_M, 0.0, True)
        yield both("lift the tray", LIFT_Z_M, 0.0, True, least_s=1.0)
