from dataclasses import dataclass

import numpy as np
import pytest

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Floats, Observation, VettedChunk
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.chunks import SLOW, ChunkBuffer
from forearm.safety.limits import TICK_S, Limits

YAM_LIMITS = Limits.of(BIMANUAL_YAM)
J = len(BIMANUAL_YAM.joints)
ARMS = [joint for joint in range(J) if joint not in BIMANUAL_YAM.grippers]
HOME = (BIMANUAL_YAM.lower + BIMANUAL_YAM.upper) / 2


def ns(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def observation(positions: Floats, stamp_ns: int = 0, epoch: int = 1) -> Observation:
    zeros = np.zeros(J)
    return Observation(
        stamp_ns=stamp_ns, sequence=0, epoch=epoch, positions=positions, velocities=zeros, efforts=zeros,
        images={}, depths={}, instruction="",
    )  # fmt: skip


def vetted(rows: Floats, stamp_ns: int = 0, epoch: int = 1) -> VettedChunk:
    return VettedChunk(chunk=ActionChunk(stamp_ns=stamp_ns, period_s=0.1, positions=rows), sequence=0, epoch=epoch)


def started(positions: Floats = HOME) -> ChunkBuffer:
    buffer = ChunkBuffer(YAM_LIMITS)
    buffer.start(observation(positions))
    return buffer


@dataclass(frozen=True)
class Demo:
    """Moves like the demonstrator's: from pose to pose in 0.7 s, each a smooth step; grippers in 0.2 s."""

    poses: Floats

    @staticmethod
    def seeded(seed: int) -> "Demo":
        steps = np.random.default_rng(seed).uniform(-0.3, 0.3, (9, J))
        poses = np.clip(HOME + np.cumsum(steps, axis=0), BIMANUAL_YAM.lower, BIMANUAL_YAM.upper)
        poses[:, BIMANUAL_YAM.grippers] = np.round(poses[:, BIMANUAL_YAM.grippers])
        return Demo(poses)

    def at(self, seconds: float) -> Floats:
        move = min(max(int(seconds / 0.7), 0), len(self.poses) - 2)
        share = min(max(seconds / 0.7 - move, 0.0), 1.0)
        start, end = self.poses[move], self.poses[move + 1]
        target = start + (end - start) * share * share * (3 - 2 * share)
        for gripper in BIMANUAL_YAM.grippers:
            target[gripper] = start[gripper] + (end[gripper] - start[gripper]) * min(1.0, share * 0.7 / 0.2)
        return target

    def rows(self, stamp_s: float, count: int = 16) -> Floats:
        return np.stack([self.at(stamp_s + 0.1 * (k + 1)) for k in range(count)])


def follow(demo: Demo, *, seconds: float, latency_s: float = 0.05, noise: float = 0.0) -> Floats:
    """(N, J) set-points of a run in which a new chunk arrives every 0.75 s, as it does beside the loop."""
    rng = np.random.default_rng(0)
    buffer = started(demo.at(0.0))
    points, stamp_s = [], 0.0
    for tick in range(round(seconds / TICK_S)):
        now_s = tick * TICK_S
        if now_s >= stamp_s + latency_s:
            rows = demo.rows(stamp_s)
            assert buffer.accept(vetted(rows + noise * rng.normal(size=(1, J)), ns(stamp_s)), ns(now_s))
            stamp_s += 0.75
        points.append(buffer.command_at(ns(now_s)).positions)
    return np.stack(points)


@pytest.mark.parametrize("seed", range(5))
def test_it_follows_a_demonstration_within_a_hundredth_of_a_radian_and_a_few_milliseconds(seed: int) -> None:
    demo = Demo.seeded(seed)
    points = follow(demo, seconds=5.0)[:, ARMS]
    wanted = np.stack([demo.at(tick * TICK_S) for tick in range(len(points))])[:, ARMS]
    settled = slice(20, None)  # the first row is only reached 0.1 s after the first observation
    errors, speeds = (wanted - points)[settled], np.gradient(wanted, TICK_S, axis=0)[settled]
    lag_s = float((errors * speeds).sum() / (speeds * speeds).sum())
    assert abs(lag_s) < 0.004
    assert np.abs(errors).max() < 0.01
    assert np.abs(errors).mean() < 0.002


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.5])
def test_no_chunks_whatever_they_are_make_a_set_point_break_a_limit(noise: float) -> None:
    points = follow(Demo.seeded(1), seconds=5.0, noise=noise)
    speed = np.diff(points, axis=0) / TICK_S
    acceleration = np.diff(speed, axis=0) / TICK_S
    jerk = np.diff(acceleration, axis=0) / TICK_S
    for measured, limit in (
        (speed, YAM_LIMITS.velocity),
        (acceleration, YAM_LIMITS.acceleration),
        (jerk, YAM_LIMITS.jerk),
    ):
        assert (np.abs(measured) <= limit * 1.001).all()


def test_a_target_inside_the_range_is_never_overshot() -> None:
    buffer = started(HOME)
    top = np.tile(BIMANUAL_YAM.upper, (16, 1))
    buffer.accept(vetted(top), 0)
    points = np.stack([buffer.command_at(ns(tick * TICK_S)).positions for tick in range(300)])
    assert (points <= BIMANUAL_YAM.upper + 1e-9).all()
    assert points[-1] == pytest.approx(BIMANUAL_YAM.upper, abs=1e-6)


def test_rows_in_the_past_are_skipped() -> None:
    buffer = started()
    rows = HOME + np.concatenate([np.full((4, J), -0.3), np.full((12, J), 0.05)])
    buffer.accept(vetted(rows), ns(0.45))
    points = np.stack([buffer.command_at(ns(0.45 + tick * TICK_S)).positions for tick in range(100)])
    assert (points >= HOME - 1e-9).all()


def test_the_newest_observation_wins_and_an_older_answer_is_dropped() -> None:
    buffer = started()
    assert buffer.accept(vetted(np.tile(HOME, (16, 1)), ns(0.2)), ns(0.3))
    assert not buffer.accept(vetted(np.tile(HOME, (16, 1)), ns(0.1)), ns(0.3))
    assert buffer.needed_ns == ns(0.2 + 0.8)


def test_a_chunk_of_another_session_is_dropped() -> None:
    assert not started().accept(vetted(np.tile(HOME, (16, 1)), epoch=2), 0)


def test_a_chunk_wholly_in_the_past_is_dropped() -> None:
    buffer = started()
    assert not buffer.accept(vetted(np.tile(HOME, (16, 1))), ns(1.6))
    assert buffer.is_dry(ns(1.6))


def test_a_chunk_cut_too_short_to_last_until_the_next_answer_does_not_end_one_that_lasts_longer() -> None:
    buffer = started()
    whole, cut = vetted(np.tile(HOME, (16, 1)), 0), vetted(np.tile(HOME, (4, 1)), ns(0.4))
    assert buffer.accept(whole, ns(0.3))
    assert not buffer.accept(cut, ns(0.7))  # it took 0.3 s and has 0.1 s left
    assert buffer.following is whole
    assert buffer.accept(cut, ns(0.5))  # it took 0.1 s and has 0.3 s left
    assert buffer.following is cut


def test_where_nothing_lasts_longer_a_chunk_cut_short_is_followed() -> None:
    buffer = started()
    cut = vetted(np.tile(HOME, (4, 1)), 0)
    assert buffer.accept(cut, ns(0.3))
    assert buffer.accept(vetted(np.tile(HOME, (4, 1)), ns(0.3)), ns(0.6))


def test_an_answer_to_what_was_seen_before_a_stop_is_dropped_after_it() -> None:
    buffer = started()
    buffer.start(observation(HOME, stamp_ns=ns(1.0)))
    assert not buffer.accept(vetted(np.tile(HOME, (16, 1)), ns(0.9)), ns(1.0))
    assert buffer.accept(vetted(np.tile(HOME, (16, 1)), ns(1.0)), ns(1.05))


def test_when_the_rows_run_out_it_comes_to_rest_at_the_last_one() -> None:
    demo = Demo.seeded(2)
    buffer = started(demo.at(0.0))
    rows = demo.rows(0.0)
    buffer.accept(vetted(rows), 0)
    points = np.stack([buffer.command_at(ns(tick * TICK_S)).positions for tick in range(200)])
    assert not buffer.is_dry(ns(1.6))
    assert buffer.is_dry(ns(1.61))
    assert points[-1] == pytest.approx(rows[-1], abs=1e-6)


def test_hold_brakes_to_rest_without_a_jump_and_a_new_chunk_moves_on_from_there() -> None:
    demo = Demo.seeded(3)
    buffer = started(demo.at(0.0))
    buffer.accept(vetted(demo.rows(0.0)), 0)
    points = [buffer.command_at(ns(tick * TICK_S)).positions for tick in range(35)]
    buffer.hold()
    points += [buffer.command_at(ns(tick * TICK_S)).positions for tick in range(35, 100)]
    path = np.stack(points)
    acceleration = np.diff(path, n=2, axis=0) / TICK_S**2
    assert (np.abs(acceleration) <= YAM_LIMITS.acceleration * 1.001).all()
    assert np.abs(path[-1] - path[-2]).max() < 1e-9
    assert buffer.is_dry(ns(1.0))
    assert buffer.accept(vetted(demo.rows(0.0), ns(1.0)), ns(1.05))
    assert np.abs(buffer.command_at(ns(1.05)).positions - path[-1]).max() < 0.01


def test_a_slow_set_point_keeps_to_its_share_of_the_speed_for_as_long_as_it_was_told() -> None:
    buffer = started()
    buffer.slow(ns(0.6))
    far = HOME + 0.9 * (np.arange(J) == 0)
    buffer.accept(vetted(np.tile(far, (16, 1))), 0)
    path = np.array([buffer.command_at(tick * ns(TICK_S)).positions[0] for tick in range(120)])
    speeds = np.diff(path) / TICK_S
    assert speeds[:58].max() == pytest.approx(SLOW * YAM_LIMITS.velocity[0], rel=1e-6)
    assert path[-1] == pytest.approx(far[0])
    buffer.accept(vetted(np.tile(HOME, (16, 1)), stamp_ns=ns(1.2)), ns(1.2))
    back = np.array([buffer.command_at(ns(1.2) + tick * ns(TICK_S)).positions[0] for tick in range(60)])
    assert np.abs(np.diff(back)).max() / TICK_S > 1.2 * SLOW * YAM_LIMITS.velocity[0]
