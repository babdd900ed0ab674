"""Insert the named peg in a socket that the other arm holds: 2.5 mm of play between peg and hole."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from forearm.cell.physics import Physics
from forearm.cell.posture import OTHER, OUTWARD, nearest_side, radial_yaw, start_joints, tool_ahead
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.tasks.blocks import Span, add_block, alone, lying, named_first, pick_up, scatter, to, together
from forearm.cell.tasks.interface import Move, Question, meaning
from forearm.cell.tasks.objects import Friction, Triple, add_body, add_part
from forearm.cell.tasks.phrasing import Phrasings
from forearm.cell.variation import COLOURS, Placement, sample_look
from forearm.geometry import Box, Goods, Pose

SENTENCES = {f"insert the {colour} peg in the socket": colour for colour in COLOURS}
PEGS = ("peg_1", "peg_2")
PEG_HALF_M: Triple = (0.010, 0.010, 0.033)  # m, standing
PEG_KG = 0.03
PEG_X_M: Span = (0.20, 0.35)  # m
PEG_OUT_M: Span = (0.15, 0.33)  # m from the midline, on the side of the arm that inserts
TAKEN_M = 0.013  # m above a peg's middle: fingertips hold its upper third
SEEN_M = 0.07  # m above where it is taken: there the wrist's camera sees all of a peg
CLEAR_M = 0.035  # m, the same: fingertips are above a peg and turn freely
SMOOTH: Friction = (0.25, 0.005, 0.0001)  # polished plastic, between peg and socket; fingers and table are rougher
PLAY_M = 0.0025  # m, by which the hole is wider than the peg
HOLE_HALF_M = PEG_HALF_M[0] + PLAY_M / 2
FLOOR_M = 0.005  # m, thickness of the socket's foot, on which the peg ends
DEPTH_M = 0.022  # m, of the hole
WALL_M = 0.005  # m
MOUTH_M = (0.012, 0.014)  # m, how far the hole's mouth opens to each side, and how high it is
FOOT_HALF_M: Triple = (0.03, 0.03, FLOOR_M / 2)  # m
HANDLE_HALF_M: Triple = (0.0425, 0.010, 0.012)  # m; its inner end is out of the mouth
HANDLE_M = (0.0655, 0.025)  # m, the handle's middle: behind the hole's axis and above the underside
HELD_M = (0.083, 0.027)  # m, the same, where it is held
TOGETHER = ("fingers", "gripper", "camera", "peg", "socket")  # what comes near when a peg goes in
PEG = Goods(name="peg", half=PEG_HALF_M, width_m=2 * PEG_HALF_M[1], centre=(0.0, 0.0, TAKEN_M), meets=TOGETHER)
BEHIND_M = HANDLE_M[0] + HANDLE_HALF_M[0] - HELD_M[0]  # m, from the hand to the handle's outer end
BEFORE_M = HELD_M[0] + FOOT_HALF_M[0]  # m, from the hand to the foot's far edge
RIM_M = FLOOR_M + DEPTH_M + MOUTH_M[1]  # m, height of the mouth's rim above the underside
SOCKET = Goods(
    name="socket",
    half=((BEFORE_M + BEHIND_M) / 2, FOOT_HALF_M[1], RIM_M / 2),
    width_m=2 * HANDLE_HALF_M[1],
    centre=((BEFORE_M - BEHIND_M) / 2, 0.0, HELD_M[1] - RIM_M / 2),
    meets=TOGETHER,
)
SOCKET_KG = 0.12
SOCKET_X_M = 0.29  # m, the hole's axis
SOCKET_SPREAD_M = 0.015  # m to either side in x and y
SOCKET_YAW_RAD = 0.80  # rad, the handle points to the arm that holds it: so far from straight back, outwards
SOCKET_TURN_RAD = 0.1  # rad to either side
SOCKET_COLOUR = (0.55, 0.57, 0.60, 1.0)
HANDLE_COLOUR = (0.22, 0.23, 0.25, 1.0)
DIP_RAD = np.radians(33.0)  # below the horizontal, the hand that holds the socket: the other one fits above the hole
READY_M = (0.24, 0.18, 0.13)  # m, x, from the midline and height: where that hand turns its camera away from its base
ABOVE_M = 0.07  # m above the handle, from where it comes
OVER_M = 0.04  # m, a peg's lower end above the mouth when it is carried
DEEP_M = 0.012  # m, a peg's end above the hole's at the most: half way down, so that a larger peg and socket count too
UPRIGHT = np.cos(np.radians(10.0))  # least vertical component of the axes of a peg that is in and of its hole
PHRASINGS = Phrasings(
    sentence="insert the {colour} peg in the socket",
    taught=(
        "insert the {colour} peg into the socket",
        "put the {colour} peg in the socket",
        "please push the {colour} peg into the hole",
        "the {colour} peg goes into the socket",
        "hold the socket and push the {colour} peg into it",
        "fit the {colour} pin in the socket",
        "could you put the {colour} pin into the hole of the socket please",
        "plug the {colour} pin into the socket",
    ),
    held_out=(
        "please insert the {colour} pin into the socket",
        "push the {colour} peg into the hole of the socket",
        "fit the {colour} peg into the hole",
        "hold the socket and insert the {colour} pin",
    ),
)


class InsertPeg:
    """Two pegs of different colours stand on one side, a socket in the middle has its handle on the other.

    The arm on the handle's side keeps the socket in place; the sentence names the peg that the other arm inserts.
    """

    name = "insert-peg"
    pattern = "insert the {red|green|blue|yellow} peg in the socket"
    phrasings = PHRASINGS

    def instructions(self) -> tuple[str, ...]:
        return tuple(SENTENCES)

    def furnish(self, spec: mujoco.MjSpec) -> None:
        for name in PEGS:
            add_block(spec, name, PEG_HALF_M, PEG_KG, SMOOTH)
        _add_socket(spec)

    def sample(self, seed: int, instruction: str | None = None, odd_start: bool = False) -> Setup:
        rng = np.random.default_rng(seed)
        colours = [str(colour) for colour in rng.permutation(list(COLOURS))[:2]]
        if instruction is not None:
            colours = named_first(colours, self.colour(instruction))[:2]
        worker = str(rng.choice(list(OTHER)))
        names = [str(name) for name in rng.permutation(PEGS)]
        places = scatter([worker, worker], PEG_X_M, PEG_OUT_M, rng)
        pegs = [lying(*each, rng, PEG_HALF_M[2]) for each in zip(names, colours, places, strict=True)]
        dx, dy = rng.uniform(-SOCKET_SPREAD_M, SOCKET_SPREAD_M, size=2).tolist()
        yaw = OUTWARD[worker] * (SOCKET_YAW_RAD + float(rng.uniform(-SOCKET_TURN_RAD, SOCKET_TURN_RAD)))
        socket = Placement(name="socket", position=(SOCKET_X_M + dx, MIDLINE_Y_M + dy, 0.0), yaw=yaw)
        return Setup(
            task=self.name,
            instruction=f"insert the {colours[0]} peg in the socket",
            seed=seed,
            placements=(*pegs, socket),
            look=sample_look(rng),
            start=start_joints(rng, frozenset(OTHER) if odd_start else frozenset()),
            time_limit_s=25.0,
        )

    def others(self, setup: Setup) -> tuple[Question, ...]:
        return tuple(_question(setup, name) for name in PEGS if name != self._asked(setup))

    def colour(self, instruction: str) -> str:
        """The colour word of one of this task's sentences.

        Raises:
            InstructionError: for any other sentence.
        """
        return meaning(instruction, SENTENCES)

    def fixtures(self, setup: Setup) -> tuple[Box, ...]:
        """None: the socket is held, and moves with the hand that holds it."""
        return ()

    def goods(self) -> tuple[Goods, ...]:
        """A peg is as wide as the socket's handle: neither hand can tell which of them it holds."""
        return (PEG, SOCKET)

    def reached(self, setup: Setup, physics: Physics) -> bool:
        asked = self._asked(setup)
        return _inserted(physics, asked) and not physics.touching(asked)

    def progress(self, setup: Setup, physics: Physics) -> float:
        asked = self._asked(setup)
        if _inserted(physics, asked):
            return 0.9 if physics.touching(asked) else 1.0
        return 0.2 * len(physics.holders("socket")) + 0.3 * len(physics.holders(asked))

    def script(self, setup: Setup, physics: Physics) -> Iterator[Move]:
        asked = self._asked(setup)
        worker = nearest_side(physics.object_pose(asked).translation[1])
        thing = f"the {setup.placement(asked).colour} peg"
        yield from together(_hold(physics, OTHER[worker]), _take(physics, worker, asked, thing))
        mouth = FLOOR_M + DEPTH_M + MOUTH_M[1]
        over = _hand_for(physics, worker, asked, mouth + OVER_M)
        yield to(worker, "carry it over the socket", over, 0.0)
        yield to(
            worker, "line it up with the hole", _hand_for(physics, worker, asked, mouth + 0.008), 0.0, precise=True
        )
        down = _hand_for(physics, worker, asked, FLOOR_M + 0.002)
        yield to(worker, "push it in", down, 0.0, precise=True, least_s=1.2)
        yield to(worker, "let it go", down, 1.0, precise=True)
        up = Pose(rotation=down.rotation, translation=down.translation + np.array([0.0, 0.0, 0.07]))
        yield to(worker, "move away", up, 1.0, precise=True)

    def _asked(self, setup: Setup) -> str:
        colour = self.colour(setup.instruction)
        return next(name for name in PEGS if setup.placement(name).colour == colour)


def _question(setup: Setup, name: str) -> Question:
    peg, socket = setup.placement(name), setup.placement("socket")
    worker, (x, y, z) = nearest_side(peg.position[1]), peg.position
    back, up = HELD_M
    sx, sy, sz = socket.position
    handle = (sx - back * float(np.cos(socket.yaw)), sy - back * float(np.sin(socket.yaw)), sz + up)
    grips = {worker: (x, y, z + TAKEN_M), OTHER[worker]: handle}
    return Question(instruction=f"insert the {peg.colour} peg in the socket", grips=grips)


def _add_socket(spec: mujoco.MjSpec) -> None:
    """A foot, four walls round a hole with an opening mouth, a handle; the frame is under the hole, on the table."""
    socket = add_body(spec, "socket", free=True)
    add_part(socket, (0.0, 0.0, FOOT_HALF_M[2]), FOOT_HALF_M, SOCKET_COLOUR, 0.6 * SOCKET_KG, friction=SMOOTH)
    x, z = HANDLE_M
    add_part(socket, (-x, 0.0, z), HANDLE_HALF_M, HANDLE_COLOUR, 0.1 * SOCKET_KG, friction=SMOOTH)
    (wide, high), top = MOUTH_M, FLOOR_M + DEPTH_M
    lean = float(np.arctan2(wide, high))
    wall: Triple = (WALL_M / 2, HOLE_HALF_M + WALL_M, DEPTH_M / 2)
    slanted: Triple = (WALL_M / 2, HOLE_HALF_M + WALL_M + wide, float(np.hypot(wide, high)) / 2)
    # m, from the axis and above the underside, the middle of a slanted wall: half a thickness behind its inner face.
    out = HOLE_HALF_M + wide / 2 + np.cos(lean) * WALL_M / 2
    up = top + high / 2 - np.sin(lean) * WALL_M / 2
    for turn in np.arange(4) * np.pi / 2:
        _add_side(socket, turn, (HOLE_HALF_M + WALL_M / 2, FLOOR_M + DEPTH_M / 2), wall, 0.0, 0.05 * SOCKET_KG)
        _add_side(socket, turn, (out, up), slanted, lean, 0.025 * SOCKET_KG)


def _add_side(
    socket: mujoco.MjsBody, turn: float, at: tuple[float, float], half: Triple, lean: float, mass_kg: float
) -> None:
    """A wall `at` m from the axis and above the underside, that leans outwards, `turn` rad round the axis from x."""
    out, up = at
    centre = (float(np.cos(turn)) * out, float(np.sin(turn)) * out, up)
    (c, s), (cl, sl) = ((float(np.cos(angle / 2)), float(np.sin(angle / 2))) for angle in (turn, lean))
    about_both = (c * cl, -s * sl, c * sl, s * cl)  # wxyz: about y by the lean, then about z by the turn
    add_part(socket, centre, half, SOCKET_COLOUR, mass_kg, friction=SMOOTH, quaternion=about_both)


def _hold(physics: Physics, holder: str) -> Iterator[Move]:
    """Takes the socket by its handle where it stands, with a hand that slants."""
    socket = physics.object_pose("socket")
    heading = float(np.arctan2(socket.rotation[1, 0], socket.rotation[0, 0]))
    x, z = HELD_M
    at = socket.apply(np.array([-x, 0.0, z]))
    above, held = (tool_ahead(at + np.array([0.0, 0.0, up]), heading, DIP_RAD) for up in (ABOVE_M, 0.0))
    x, out, z = READY_M
    y = MIDLINE_Y_M + OUTWARD[holder] * out
    yield to(holder, "reach for the socket", tool_ahead((x, y, z), radial_yaw(holder, x, y), np.pi / 2), 1.0)
    yield to(holder, "reach for the socket", above, 1.0)
    yield to(holder, "reach round its handle", held, 1.0, precise=True)
    yield to(holder, "hold the socket", held, 0.0, precise=True)


def _take(physics: Physics, arm: str, name: str, thing: str) -> Iterator[Move]:
    """Takes the standing peg `name`, called `thing`, by two of its sides, and lifts it.

    The hand comes as if the peg stood straight and turns to it from above: how a peg is turned shows in the wrist's
    camera alone, and there only from near. Who learns from a hand that was turned before that learns to guess.
    """
    pose = physics.object_pose(name)
    x, y, z = (float(value) for value in pose.translation)
    z += TAKEN_M
    turned = float(np.arctan2(pose.rotation[1, 0], pose.rotation[0, 0]))
    yaw = turned - np.pi / 2 * round(turned / (np.pi / 2))
    yield alone(arm, f"reach for {thing}", (x, y, z + SEEN_M), 0.0, 1.0)
    yield alone(arm, f"turn to {thing}", (x, y, z + CLEAR_M), yaw, 1.0)
    yield from pick_up(arm, thing, (x, y, z), yaw)


def _hand_for(physics: Physics, arm: str, name: str, height_m: float) -> Pose:
    """Where the tool must be for the peg, as it really lies in the hand, to stand `height_m` above the underside.

    Its hand is turned so that the camera is on the far side of the one that holds the socket.
    """
    socket, peg = physics.object_pose("socket"), physics.object_pose(name)
    heading = float(np.arctan2(socket.rotation[1, 0], socket.rotation[0, 0]))
    held = physics.tool_pose(arm).inverse() @ peg  # tool_from_peg
    rotation = tool_ahead((0.0, 0.0, 0.0), heading, np.pi / 2).rotation
    middle = socket.apply(np.array([0.0, 0.0, height_m + PEG_HALF_M[2]]))
    return Pose(rotation=rotation, translation=middle - rotation @ held.translation)


def _inserted(physics: Physics, name: str) -> bool:
    socket, peg = physics.object_pose("socket"), physics.object_pose(name)
    inside = socket.inverse() @ peg  # socket_from_peg
    x, y, z = (float(value) for value in inside.translation)
    deep = z - PEG_HALF_M[2] - FLOOR_M < DEEP_M
    upright = min(float(socket.rotation[2, 2]), abs(float(peg.rotation[2, 2]))) > UPRIGHT
    return bool(max(abs(x), abs(y)) < HOLE_HALF_M and deep and upright)
