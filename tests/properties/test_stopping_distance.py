"""Nothing that passes vetting leads the arms so fast that they could not stop clear of each other, told so late.

The judge is another one than the accused: another generator's time-optimal braking, MuJoCo's distances of the capsules.
"""

from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import mujoco
import numpy as np
import pytest
import ruckig
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from forearm.messages import ActionChunk, Decision, Observation, Outcome
from forearm.robot.embodiment import GRIPPER_STROKE_M
from forearm.safety.capsules import CAPSULES
from forearm.safety.limits import Limits
from forearm.safety.sweep import RESOLUTION_M
from forearm.safety.vetting import Vetting

LIMITS = Limits.of()
HOME = np.array([0.611, 1.467, 1.299, -1.403, 0.0, -1.571, 1.0])
BOTH_HOME = np.concatenate([HOME, HOME * [-1, 1, 1, 1, -1, -1, 1]])
EXAMPLES, BATCH, ROWS, STILL = 30, 20, 6, 2
answered = {"as it was": 0, "slowed": 0, "cut or refused": 0}


SIDES = ("left", "right")
STATION = "yam_station_linear_4310_d405"


@cache
def between_arms() -> tuple[mujoco.MjModel, mujoco.MjData, tuple[tuple[int, int], ...]]:
    """The station with capsules for meshes; every capsule of one arm with every one of the other that it can meet."""
    folder = Path(find_spec("i2rt").submodule_search_locations[0]) / "robot_models" / "station" / STATION
    station = mujoco.MjSpec.from_file(str(folder / f"{STATION}.xml"))
    for geom in list(station.geoms):
        station.delete(geom)
    for side in SIDES:
        for number, capsule in enumerate(CAPSULES):
            station.body(f"{side}_{capsule.link}").add_geom(
                name=f"{side}/{number}",
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=[*capsule.start, *capsule.end],
                size=[capsule.radius, 0, 0],
            )
    model = station.compile()
    numbered = [(number, capsule.part in ("base", "shoulder")) for number, capsule in enumerate(CAPSULES)]
    pairs = tuple(
        (model.geom(f"left/{one}").id, model.geom(f"right/{other}").id)
        for one, stands in numbered
        for other, stands_too in numbered
        if not (stands and stands_too)
    )
    return model, mujoco.MjData(model), pairs


def apart(pose: np.ndarray) -> float:
    """The least distance of the two arms, m, up to 0.1 m."""
    model, data, pairs = between_arms()
    for side, own in zip(SIDES, (pose[:7], pose[7:]), strict=True):
        for number, value in enumerate([*own[:6], *[own[6] * GRIPPER_STROKE_M] * 2], start=1):
            data.qpos[model.joint(f"{side}_joint{number}").qposadr[0]] = value
    mujoco.mj_kinematics(model, data)
    return min(mujoco.mj_geomDistance(model, data, one, other, 0.1, None) for one, other in pairs)


def braked(speed: np.ndarray) -> np.ndarray:
    """(J,) how far each joint goes from that steady speed to rest."""
    motion = ruckig.InputParameter(14)
    motion.control_interface = ruckig.ControlInterface.Velocity
    motion.synchronization = ruckig.Synchronization.No
    motion.current_velocity = list(speed)
    motion.max_velocity = [100.0] * 14
    motion.max_acceleration, motion.max_jerk = list(LIMITS.acceleration), list(LIMITS.jerk)
    trajectory = ruckig.Trajectory(14)
    ruckig.Ruckig(14).calculate(motion, trajectory)
    return np.array(trajectory.at_time(trajectory.duration)[0])


def some_chunk(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A start and rows: the arms come towards each other, at all speeds, and stop, or not, where they are near."""
    there = BOTH_HOME + generator.normal(0, 0.15, 14)
    inwards = generator.uniform(0.8, 1.0, 2)
    there[[0, 7]] = -inwards[0], inwards[1]
    there[[6, 13]] = 1.0
    speed = generator.normal(0, 0.4, 14) * generator.choice([0.1, 1.0, 2.0])
    speed[[6, 13]] = 0.0
    speed[[0, 7]] = generator.uniform(0, 1.6, 2) * (-1, 1)
    left = np.maximum(np.arange(ROWS, -1, -1) - generator.integers(STILL + 1), 0)[:, None]
    path = np.clip(there - 0.1 * left * speed, LIMITS.lower, LIMITS.upper)
    return path[0], path[1:]


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.integers(0, 2**32 - 1))
def chunks_can_be_stopped(seed: int) -> None:
    generator = np.random.default_rng(seed)
    for _ in range(BATCH):
        (start, rows), latency_s = some_chunk(generator), float(generator.uniform(0.01, 0.15))
        seen = Observation(
            stamp_ns=0, sequence=1, epoch=1, positions=start, velocities=np.zeros(14), efforts=np.zeros(14), images={},
            depths={}, instruction="",
        )  # fmt: skip
        chunk = ActionChunk(stamp_ns=0, period_s=0.1, positions=rows)
        decision = Decision(sequence=1, epoch=1, plan=None, chunk=chunk, latency_s=0.0, model_digest="")
        verdict = Vetting(LIMITS, cameras=(), latency_s=lambda late_s=latency_s: late_s).vet(decision, seen, 0)
        assert verdict.outcome is not Outcome.STOP
        if verdict.vetted is None or len(verdict.vetted.chunk.positions) < ROWS:
            answered["cut or refused"] += 1
        else:
            slowed = any(finding.check == "stopping" for finding in verdict.findings)
            assert slowed or verdict.vetted.chunk.period_s == 0.1 or verdict.outcome is Outcome.LIMIT
            answered["slowed" if slowed else "as it was"] += 1
        if verdict.vetted is None:
            continue
        path = np.concatenate([start[None], verdict.vetted.chunk.positions])
        needed = min(LIMITS.arm_clearance_now_m, apart(start) - RESOLUTION_M)
        for before, here in pairwise(path):
            speed = np.clip((here - before) / verdict.vetted.chunk.period_s, -LIMITS.velocity, LIMITS.velocity)
            assert apart(here + speed * latency_s + braked(speed)) >= needed - 1e-5


@pytest.mark.slow
def test_every_row_that_passes_vetting_is_followed_no_faster_than_the_arms_can_stop_in_the_room_they_have() -> None:
    chunks_can_be_stopped()
    assert min(answered.values()) > 25, answered  # the property was not empty
