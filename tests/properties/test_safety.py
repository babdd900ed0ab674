"""Nothing that passes vetting or guard violates a limit or a clearance, whatever comes in.

The judge is another one than the accused: differences of the sent positions, and MuJoCo's own collision detection of
the capsules at dense samples of the path. That the capsules hold the real meshes is tested beside them.
"""

from dataclasses import replace
from functools import cache

import mujoco
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Command, Decision, Observation, Outcome
from forearm.safety.capsules import CAPSULES
from forearm.safety.guard import Guard
from forearm.safety.limits import TICK_S, Limits
from forearm.safety.vetting import Vetting

LIMITS = Limits.of()
ROWS, BATCH, EXAMPLES = 6, 100, 100  # 10,000 chunks
TICKS, RIDES = 250, 40  # 10,000 commands
DENSE = 4  # samples per row
HERE = 1e-5  # m, of MuJoCo's distances and of rounding
FIXED = ("base", "shoulder")


class Judge:
    """MuJoCo's opinion on which capsules are too near, by margins that are the limits'."""

    def __init__(self, arms_m: float) -> None:
        package = mujoco.MjSpec.from_file(_station())
        for geom in list(package.geoms):
            package.delete(geom)
        capsule = mujoco.mjtGeom.mjGEOM_CAPSULE
        for arm, side in enumerate(("left", "right")):
            for number, each in enumerate(CAPSULES):
                hand, near = each.part in ("gripper", "camera", "fingers"), each.part in (*FIXED, "upper arm")
                fixed = each.part in FIXED
                # Bits: 0, 1 the left and right moving parts, 2, 3 the fixed ones, 4, 5 own hand and base, 6 the table.
                package.body(f"{side}_{each.link}").add_geom(
                    name=f"{side}/{number}/{each.part}",
                    type=capsule,
                    fromto=[*each.start, *each.end],
                    size=[each.radius, 0, 0],
                    contype=(1 << (2 + arm) if fixed else 1 << arm) | (hand << (4 + arm)),
                    conaffinity=(0 if fixed else (1 << (1 - arm)) | (1 << (3 - arm)) | 1 << 6) | (near << (4 + arm)),
                    margin=0.02,
                )
        package.worldbody.add_geom(
            name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1], contype=1 << 6, conaffinity=0, margin=0.02
        )
        for joint in package.joints:
            joint.limited = mujoco.mjtLimited.mjLIMITED_FALSE
        self.model = package.compile()
        self.data = mujoco.MjData(self.model)
        self.names = [self.model.geom(index).name for index in range(self.model.ngeom)]
        self.arms_m = arms_m
        count = range(len(self.names))
        self.needed = np.array([[self.required(one, other) for other in count] for one in count])
        sides = [(side, number) for side in ("left", "right") for number in range(1, 9)]
        self.addresses = np.array([self.model.joint(f"{s}_joint{n}").qposadr[0] for s, n in sides])

    def spare(self, positions: np.ndarray) -> float:
        """The least distance beyond what is required, m; 0.005 or more is 0.005."""
        fingers = positions[[6, 6, 13, 13]] * 0.04695
        self.data.qpos[self.addresses] = np.concatenate([positions[:6], fingers[:2], positions[7:13], fingers[2:]])
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_collision(self.model, self.data)
        contacts = self.data.contact
        spares = contacts.dist - self.needed[contacts.geom[:, 0], contacts.geom[:, 1]]
        return float(spares.min(initial=0.005))

    def required(self, first: int, second: int) -> float:
        one, other = self.names[first], self.names[second]
        if "table" in (one, other):
            part = (one + other).replace("table", "").split("/")[-1]
            return LIMITS.finger_height_m if part == "fingers" else LIMITS.link_height_m
        return LIMITS.self_clearance_m if one.split("/")[0] == other.split("/")[0] else self.arms_m


def _station() -> str:
    from importlib.util import find_spec
    from pathlib import Path

    folder = Path(find_spec("i2rt").submodule_search_locations[0]) / "robot_models" / "station"
    return str(folder / "yam_station_linear_4310_d405" / "yam_station_linear_4310_d405.xml")


@cache
def judge(arms_m: float) -> Judge:
    return Judge(arms_m)


@cache
def starts() -> np.ndarray:
    """Clear poses; the arms often stretched towards each other and towards the table."""
    generator = np.random.default_rng(0)
    home = np.array([0.611, 1.467, 1.299, -1.403, 0.0, -1.571, 1.0])
    both = np.concatenate([home, home * [-1, 1, 1, 1, -1, -1, 1]])
    found = []
    while len(found) < 300:
        pose = both + generator.normal(0, 0.4, 14)
        inward = generator.uniform(0, 1.6)
        pose[[0, 7]] += [-inward, inward * generator.uniform(0, 1)]
        pose = np.clip(pose, LIMITS.lower, LIMITS.upper)
        if judge(LIMITS.arm_clearance_m).spare(pose) > 0.002:
            found.append(pose)
    return np.array(found)


def seen(positions: np.ndarray, now_ns: int = 0) -> Observation:
    return Observation(
        stamp_ns=now_ns,
        sequence=now_ns,
        epoch=1,
        positions=positions,
        velocities=positions,
        efforts=positions,
        images={},
        depths={},
        instruction="",
    )


def some_chunk(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A start and rows: sensible, fast, shaken, jumping, out of range, in the wrong unit or order, or not numbers."""
    start = starts()[generator.integers(len(starts()))]
    kind = generator.integers(10)
    speed = generator.normal(0, 1, 14) * generator.choice([0.05, 0.4, 1.0, 2.0])
    if kind < 6:  # a smooth way to somewhere, often too far
        share = np.linspace(0, 1, ROWS + 1)[1:, None]
        rows = start + share * speed * 0.1 * ROWS
    elif kind == 6:
        rows = start + np.cumsum(generator.normal(0, 0.05, (ROWS, 14)), axis=0)
    elif kind == 7:  # to another pose, at once or on a straight line
        other = starts()[generator.integers(len(starts()))]
        rows = np.linspace(start, other, ROWS + 1)[1:] if generator.random() < 0.5 else np.tile(other, (ROWS, 1))
    elif kind == 8:  # degrees, another order, relative, huge
        rows = np.tile(start, (ROWS, 1))
        rows = generator.choice([np.degrees(rows), np.roll(rows, 7, axis=1), rows[:, ::-1], rows * 0, rows * 1e9])
    else:
        rows = np.tile(start, (ROWS, 1))
        rows[generator.integers(ROWS), generator.integers(14)] = generator.choice([np.nan, np.inf, -np.inf])
    if generator.random() < 0.7:
        rows = np.clip(rows, LIMITS.lower - 0.04, LIMITS.upper + 0.04)
    return start, rows


def judged_safe(start: np.ndarray, chunk: ActionChunk) -> None:
    rows, period = chunk.positions, chunk.period_s
    assert np.isfinite(rows).all()
    assert ((rows >= LIMITS.lower) & (rows <= LIMITS.upper)).all()
    assert (np.abs(rows[0] - start) <= LIMITS.velocity * period + LIMITS.tracking_error + 1e-12).all()
    for order, limit in enumerate((LIMITS.velocity, LIMITS.acceleration, LIMITS.jerk), start=1):
        assert (np.abs(np.diff(rows, n=order, axis=0)) / period**order <= limit + 1e-9).all()
    path = np.concatenate([start[None], rows])
    at = np.arange(0, len(rows) + 1e-9, 1 / DENSE)
    dense = np.stack([np.interp(at, np.arange(len(path)), joint) for joint in path.T], axis=-1)
    worst = min(judge(LIMITS.arm_clearance_m).spare(pose) for pose in dense)
    assert worst >= -HERE


passed = {"chunks": 0, "commands": 0}


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.integers(0, 2**32 - 1))
def chunks_are_vetted_safely(seed: int) -> None:
    generator = np.random.default_rng(seed)
    vetting = Vetting(LIMITS, cameras=())
    for _ in range(BATCH):
        start, rows = some_chunk(generator)
        chunk = ActionChunk(stamp_ns=0, period_s=0.1, positions=rows)
        decision = Decision(sequence=1, epoch=1, plan=None, chunk=chunk, latency_s=0.0, model_digest="")
        verdict = vetting.vet(decision, seen(start), 0)
        assert (verdict.vetted is not None) == (verdict.outcome < Outcome.HOLD)
        assert verdict.outcome is Outcome.ALLOW or verdict.findings
        if verdict.vetted is not None:
            passed["chunks"] += 1
            judged_safe(start, verdict.vetted.chunk)


@pytest.mark.slow
def test_no_chunk_that_passes_vetting_violates_a_limit_or_a_clearance() -> None:
    chunks_are_vetted_safely()
    assert passed["chunks"] > 0.15 * BATCH * EXAMPLES  # the property was not empty


def some_positions(generator: np.random.Generator, sent: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The next command: mostly nearly the last step again, sometimes something wild."""
    if generator.random() < 0.95:
        return sent + step * generator.uniform(0.9, 1.1) + generator.normal(0, 1e-4, 14) * (generator.random() < 0.5)
    wild = sent.copy()
    joint = generator.integers(14)
    wild[joint] = generator.choice([np.nan, np.inf, -9.0, 9.0, sent[joint] + 0.05, sent[joint] - 0.5])
    return wild


@settings(max_examples=RIDES, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.integers(0, 2**32 - 1))
def commands_are_guarded_safely(seed: int) -> None:
    generator = np.random.default_rng(seed)
    loose = replace(LIMITS, jerk=LIMITS.jerk * 1e3)  # or nothing but a jerk-limited planner would ever get going
    guard, limits = (
        (Guard(LIMITS, cameras=()), LIMITS) if generator.random() < 0.3 else (Guard(loose, cameras=()), loose)
    )
    at = starts()[generator.integers(len(starts()))].copy()
    history, goal = [at] * 3, generator.normal(0, 1, 14) * generator.choice([0.2, 1.0, 3.0])
    spare = judge(limits.arm_clearance_now_m).spare(at)
    for tick in range(TICKS):
        step = history[-1] - history[-2]
        step += np.clip(goal * TICK_S - step, -1, 1) * LIMITS.acceleration * TICK_S**2 * generator.uniform(0, 1)
        positions = some_positions(generator, history[-1], step)
        now_ns = tick * NANOSECONDS // 100
        command = Command(stamp_ns=now_ns, sequence=tick, epoch=1, positions=positions)
        verdict = guard.review(command, seen(at, now_ns), now_ns)
        assert (verdict.command is not None) == (verdict.outcome is Outcome.ALLOW)
        if verdict.command is None:
            history, goal = [at] * 3, -goal * generator.uniform(0.5, 1.5, 14)
            spare = judge(limits.arm_clearance_now_m).spare(at)
            continue
        passed["commands"] += 1
        sent = verdict.command.positions
        assert ((sent >= LIMITS.lower) & (sent <= LIMITS.upper)).all()
        history = [*history[-3:], np.array(sent)]
        for order, limit in enumerate((limits.velocity, limits.acceleration, limits.jerk), start=1):
            assert (np.abs(np.diff(history, n=order, axis=0)[-1]) <= limit * TICK_S**order + 2e-6).all()
        after = judge(limits.arm_clearance_now_m).spare(at := np.array(sent))
        assert after >= min(-HERE, spare - HERE)
        spare = after


@pytest.mark.slow
def test_no_command_that_passes_the_guard_violates_a_limit_or_nears_a_clearance() -> None:
    commands_are_guarded_safely()
    assert passed["commands"] > 0.5 * TICKS * RIDES  # the property was not empty
