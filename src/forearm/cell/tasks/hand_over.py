"""Hand a bar from one arm to the other in mid-air, then lay it on the pad."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from forearm.cell.physics import Physics
from forearm.cell.posture import OTHER, OUTWARD, nearest_side, radial_yaw, start_joints, tool_down
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.tasks.blocks import alone
from forearm.cell.tasks.interface import Move, Question, Reach, canonical
from forearm.cell.tasks.objects import add_body, add_part
from forearm.cell.tasks.phrasing import Phrasings
from forearm.cell.variation import COLOURS, Placement, sample_look, sample_shade
from forearm.errors import InstructionError, unknown
from forearm.geometry import Box, Goods

BAR_HALF_M = (0.016, 0.13, 0.016)  # m; long enough that both wrists fit over it side by side
BAR_KG = 0.06
BAR_X_M = (0.25, 0.36)  # m
BAR_OUT_M = (0.20, 0.27)  # m from the midline, on the giver's side
BAR_YAW_RAD = 0.3  # rad to either side
GRIP_M = 0.105  # m from the bar's centre to where each arm takes it
INSIDE_M = 0.007  # m from the end of a shorter bar to where an arm takes that: nearer to each other wrists have no room
BAR_IN_HAND_M = (BAR_HALF_M[1] + GRIP_M, BAR_HALF_M[0], BAR_HALF_M[2])  # m, lying across the fingers
PAD_HALF_M = (0.07, 0.12, 0.002)  # m
PAD_X_M = 0.29  # m
PAD_OUT_M = 0.22  # m from the midline, on the receiver's side
PAD_SPREAD_M = 0.03  # m to either side in x and y
PAD_COLOUR = (0.30, 0.32, 0.36, 1.0)
HOVER_Z_M = 0.12  # m
GRIP_Z_M = 0.018  # m
MEET_M = (0.34, MIDLINE_Y_M, 0.10)  # m, the bar's centre when it changes hands
WAIT_Z_M = 0.14  # m, the receiver above its end of the bar
FLAT = np.cos(np.radians(10.0))  # least upward component of the bar's up axis when it lies flat
PHRASINGS = Phrasings(
    sentence="hand the {colour} bar to the {side} arm and place it on the pad",
    taught=(
        "pass the {colour} bar to the {side} arm and put it on the pad",
        "give the {colour} bar to the {side} arm and lay it on the pad",
        "hand the {colour} rod to the {side} arm and lay it on the pad",
        "please pass the {side} arm the {colour} bar and place it on the pad",
        "give the {side} arm the {colour} rod and put it on the pad",
        "let the {side} arm take the {colour} bar and place it on the pad",
        "please hand the {side} arm the {colour} bar and lay it on the pad",
        "use the {side} arm to lay the {colour} bar on the pad",
        "the {side} arm should put the {colour} rod on the pad",
    ),
    held_out=(
        "pass the {colour} rod to the {side} arm and lay it on the pad",
        "give the {side} arm the {colour} bar and place it on the pad",
        "let the {side} arm lay the {colour} rod on the pad",
        "use the {side} arm to put the {colour} rod on the pad",
    ),
)


class HandOver:
    """A bar on the giver's side, a pad on the receiver's; the sentence names the bar's colour and the receiver."""

    name = "hand-over"
    pattern = "hand the {red|green|blue|yellow} bar to the {left|right} arm and place it on the pad"
    phrasings = PHRASINGS

    def instructions(self) -> tuple[str, ...]:
        return tuple(_sentence(colour, arm) for colour in COLOURS for arm in OTHER)

    def furnish(self, spec: mujoco.MjSpec) -> None:
        bar = add_body(spec, "bar", free=True)
        add_part(bar, (0.0, 0.0, 0.0), BAR_HALF_M, (0.5, 0.5, 0.5, 1.0), BAR_KG)
        pad = add_body(spec, "pad", free=False)
        add_part(pad, (0.0, 0.0, PAD_HALF_M[2]), PAD_HALF_M, PAD_COLOUR)

    def sample(self, seed: int, instruction: str | None = None, odd_start: bool = False) -> Setup:
        rng = np.random.default_rng(seed)
        colour, receiver = str(rng.choice(list(COLOURS))), str(rng.choice(list(OTHER)))
        if instruction is not None:
            colour, receiver = self.words(instruction)
        bar_y = MIDLINE_Y_M - OUTWARD[receiver] * rng.uniform(*BAR_OUT_M)
        dx, dy = rng.uniform(-PAD_SPREAD_M, PAD_SPREAD_M, size=2)
        bar = Placement(
            name="bar",
            position=(float(rng.uniform(*BAR_X_M)), float(bar_y), BAR_HALF_M[2]),
            yaw=float(rng.uniform(-BAR_YAW_RAD, BAR_YAW_RAD)),
            colour=colour,
            rgba=sample_shade(colour, rng),
        )
        pad_y = MIDLINE_Y_M + OUTWARD[receiver] * PAD_OUT_M + dy
        return Setup(
            task=self.name,
            instruction=_sentence(colour, receiver),
            seed=seed,
            placements=(bar, Placement(name="pad", position=(PAD_X_M + float(dx), float(pad_y), 0.0))),
            look=sample_look(rng),
            start=start_joints(rng, frozenset(OTHER) if odd_start else frozenset()),
            time_limit_s=22.0,
        )

    def others(self, setup: Setup) -> tuple[Question, ...]:
        return ()

    def words(self, instruction: str) -> tuple[str, str]:
        """The bar's colour and the receiving arm of one of this task's sentences.

        Raises:
            InstructionError: for any other sentence.
        """
        for colour in COLOURS:
            for arm in OTHER:
                if canonical(instruction) == _sentence(colour, arm):
                    return colour, arm
        raise InstructionError(unknown("instruction", instruction, self.instructions()))

    def fixtures(self, setup: Setup) -> tuple[Box, ...]:
        """None: the pad is as flat as the table, and fingers that lay a bar down press on it."""
        return ()

    def goods(self) -> tuple[Goods, ...]:
        """The bar, taken at either end; the other hand's fingers take it over."""
        return (Goods(name="bar", half=BAR_IN_HAND_M, width_m=2 * BAR_HALF_M[0], meets=("fingers", "bar")),)

    def reached(self, setup: Setup, physics: Physics) -> bool:
        return _on_pad(physics) and not physics.touching("bar")

    def progress(self, setup: Setup, physics: Physics) -> float:
        if _on_pad(physics):
            return 0.9 if physics.touching("bar") else 1.0
        _, receiver = self.words(setup.instruction)
        holders = physics.holders("bar")
        if receiver in holders:
            return 0.5 if OTHER[receiver] in holders else 0.7
        return 0.3 if OTHER[receiver] in holders else 0.0

    def script(self, setup: Setup, physics: Physics) -> Iterator[Move]:
        colour, receiver = self.words(setup.instruction)
        giver, thing = nearest_side(physics.object_pose("bar").translation[1]), f"the {colour} bar"
        out = OUTWARD[giver]
        grip = min(GRIP_M, setup.matter.size * BAR_HALF_M[1] - INSIDE_M)
        yield from _fetch(physics, giver, thing, grip)

        x, y, z = MEET_M
        give = Reach(pose=tool_down(giver, (x, y + out * grip, z), 0.0), opening=0.0)
        wait = Reach(pose=tool_down(receiver, (x, y - out * grip, WAIT_Z_M), 0.0), opening=1.0)
        meeting = f"bring {thing} to the middle"
        yield Move(subtask=meeting, reaches={giver: give, receiver: wait})
        end, yaw = _grip(physics, -out, grip)
        yield alone(receiver, f"take {thing} with the {receiver} arm", end, yaw, 1.0, precise=True)
        yield alone(receiver, f"take {thing} with the {receiver} arm", end, yaw, 0.0, precise=True)
        leaving = f"let go with the {giver} arm"
        at = physics.tool_pose(giver)
        yield Move(subtask=leaving, reaches={giver: Reach(pose=at, opening=1.0)}, precise=True)
        above = at.translation + np.array([0.0, 0.0, 0.04])
        yield Move(
            subtask=leaving, reaches={giver: Reach(pose=tool_down(giver, above, 0.0), opening=1.0)}, precise=True
        )
        yield from _lay_down(physics, giver, receiver)


def _fetch(physics: Physics, giver: str, thing: str, grip: float) -> Iterator[Move]:
    end, yaw = _grip(physics, OUTWARD[giver], grip)
    high = np.array([end[0], end[1], HOVER_Z_M])
    low = np.array([end[0], end[1], GRIP_Z_M])
    yield alone(giver, f"reach for {thing}", high, yaw, 1.0)
    yield alone(giver, f"lower onto {thing}", low, yaw, 1.0, precise=True)
    yield alone(giver, f"grasp {thing}", low, yaw, 0.0, precise=True)
    yield alone(giver, "lift it", np.array([end[0], end[1], MEET_M[2]]), yaw, 0.0)


def _lay_down(physics: Physics, giver: str, receiver: str) -> Iterator[Move]:
    out = OUTWARD[receiver]
    bar, tool, pad = physics.object_pose("bar"), physics.tool_pose(receiver), physics.object_pose("pad").translation
    held = tool.inverse() @ bar  # tool_from_bar, as it really lies in the hand
    flat = 2 * PAD_HALF_M[2] + BAR_HALF_M[2]

    def over(height: float) -> Reach:
        level = tool_down(receiver, (0.0, 0.0, 0.0), 0.0)
        target = pad + np.array([0.0, 0.0, flat + height])
        return Reach(pose=tool_down(receiver, target - level.rotation @ held.translation, 0.0), opening=0.0)

    away = (0.24, MIDLINE_Y_M - out * 0.28, 0.14)
    leave = Reach(pose=tool_down(giver, away, radial_yaw(giver, *away[:2])), opening=1.0)
    yield Move(subtask="carry it to the pad", reaches={receiver: over(0.07), giver: leave})
    yield Move(subtask="lay it on the pad", reaches={receiver: over(0.002)}, precise=True, least_s=0.6)
    at = over(0.002)
    yield Move(subtask="let it go", reaches={receiver: Reach(pose=at.pose, opening=1.0)}, precise=True)
    up = at.pose.translation + np.array([0.0, 0.0, 0.09])
    yield alone(receiver, "move away", up, 0.0, 1.0)


def _grip(physics: Physics, direction: float, out_m: float) -> tuple[np.ndarray, float]:
    """Where to take the bar `out_m` from its centre along y × `direction`: the point m, and the tool's yaw rad."""
    bar = physics.object_pose("bar")
    axis = bar.rotation[:, 1] * np.sign(bar.rotation[1, 1])
    return bar.translation + axis * direction * out_m, float(np.arctan2(-axis[0], axis[1]))


def _on_pad(physics: Physics) -> bool:
    bar, pad = physics.object_pose("bar"), physics.object_pose("pad").translation
    offset = np.abs(bar.translation - pad)
    lying = bar.translation[2] - pad[2] < 2 * PAD_HALF_M[2] + BAR_HALF_M[2] + 0.006
    return bool(offset[0] < PAD_HALF_M[0] and offset[1] < PAD_HALF_M[1] and lying and abs(bar.rotation[2, 2]) > FLAT)


def _sentence(colour: str, receiver: str) -> str:
    return f"hand the {colour} bar to the {receiver} arm and place it on the pad"
