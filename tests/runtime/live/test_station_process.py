from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from forearm.cell.physics import Physics
from forearm.cell.shutter import Views
from forearm.cell.tasks import task_named
from forearm.clock import SimulatedClock
from forearm.errors import RobotError
from forearm.messages import Floats
from forearm.runtime.live.board import Board, J, Part, Phase, Setpoint
from forearm.runtime.live.brake import Brake
from forearm.runtime.live.diary import Diary, read_diary
from forearm.runtime.live.pictures import Pictures
from forearm.runtime.live.station import STEP_NS, Motors, Station
from forearm.runtime.live.watchdog import HOLD_S, ROUND_S, Silence, Watchdog
from forearm.safety.limits import TICK_S, Limits

MS = 1_000_000  # ns
EPOCH = 7
LIMITS = Limits.of()
TICK_NS, ROUND_NS = round(TICK_S * 1e9), round(ROUND_S * 1e9)


class Blind:
    """Cameras that see nothing: what moves the arms here needs none. They can fail, though."""

    failure = ""

    def open(self, physics: Physics, names: Sequence[str], stamp_ns: int) -> None: ...
    def press(self, physics: Physics, stamp_ns: int) -> None: ...
    def newest(self) -> Views:
        if self.failure:
            raise RobotError(f"cell cameras: got {self.failure}, pictures are needed; connect again")
        return Views(images={}, depths={})

    def close(self) -> None: ...


class Bench:
    """All parts of a live run on a simulated clock, each of which can be silenced at an instant of its own."""

    def __init__(self, folder: Path) -> None:
        setup = task_named("put-in-box").sample(0)
        self.clock, self.board, self.path = SimulatedClock(MS), Board(), folder / "station.jsonl"
        self.cameras = Blind()
        self.motors = Motors(setup=setup, clock=self.clock, shutter=self.cameras)
        self.motors.connect(EPOCH)
        self.home = np.array(setup.start)
        self.diary, self.watchdogs_diary = Diary(self.path), Diary(folder / "watchdog.jsonl")
        self.station = Station(self.board, Pictures.of(), self.motors, self.diary, Silence(), EPOCH)
        self.watchdog = Watchdog(self.board, self.watchdogs_diary, Silence())
        self.silenced: dict[Part, int] = {}
        self._sequence = 0

    def play(self, seconds: float) -> None:
        until_ns = self.clock.now_ns() + round(seconds * 1e9)
        while self.clock.now_ns() < until_ns:
            self._millisecond(self.clock.now_ns())
            self.clock.advance(0.001)

    def close(self) -> None:
        self.motors.close()
        self.diary.close()
        self.watchdogs_diary.close()

    def at(self, now_ns: int) -> Floats:
        """Where the wave is that the loop asks for: up to 1.5 rad/s at the left base, from rest."""
        target = self.home.copy()
        target[0] += 0.5 * (1.0 - np.cos(3.0 * now_ns / 1e9))
        return target

    def _millisecond(self, now_ns: int) -> None:
        lives = {part for part in Part if now_ns < self.silenced.get(part, now_ns + 1)}
        if now_ns % TICK_NS == 0 and Part.LOOP in lives:
            self._sequence += 1
            self.board.give_setpoint(Setpoint(EPOCH, self._sequence, now_ns, False, self.at(now_ns)))
        for part in lives & {Part.LOOP, Part.INFERENCE, Part.RECORDER}:
            if now_ns % TICK_NS == 0:
                self.board.give_beat(part, now_ns, Phase.WORKING)
        if now_ns % ROUND_NS == 3 * MS and Part.WATCHDOG in lives:
            self.watchdog.round(now_ns, orphaned=False)
        if now_ns % STEP_NS == 0 and Part.STATION in lives:
            self.station.step(now_ns)


def spread(bench: Bench, seconds: float) -> float:
    """How far any joint of the arms goes within `seconds`, rad."""
    poses: list[Floats] = []
    for _ in range(round(seconds * 100)):
        bench.play(0.01)
        poses.append(np.delete(bench.board.state().positions, [6, 13]))
    return float(np.ptp(poses, axis=0).max())


@pytest.mark.parametrize("part", [Part.LOOP, Part.INFERENCE, Part.RECORDER, Part.WATCHDOG])
def test_whoever_falls_silent_in_the_middle_of_a_motion_the_arms_are_held_within_200_ms(
    part: Part, tmp_path: Path
) -> None:
    bench = Bench(tmp_path)
    bench.play(0.5)
    assert bench.board.report().held_ns == 0
    assert np.abs(bench.board.state().velocities).max() > 1.0
    silenced_ns = bench.silenced[part] = bench.clock.now_ns()
    bench.play(1.0)
    report = bench.board.report()
    assert 0 < report.held_ns - silenced_ns <= HOLD_S * 1e9
    assert str(part) in report.reason
    assert 0 <= report.standing_ns - report.held_ns < 0.35 * 1e9
    assert report.moved_m < 0.15
    assert spread(bench, 0.5) < 0.002
    bench.close()
    lines = read_diary(bench.path)
    assert [line["kind"] for line in lines] == ["held", "standing"]
    assert max(speed for _, speed, *_ in lines[1]["trail"]) > 1.0


def test_a_watchdog_and_a_loop_that_die_together_do_not_keep_the_arms_from_being_held(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.play(0.5)
    bench.silenced = dict.fromkeys((Part.LOOP, Part.WATCHDOG, Part.INFERENCE, Part.RECORDER), bench.clock.now_ns())
    silenced_ns = bench.clock.now_ns()
    bench.play(0.5)
    assert 0 < bench.board.report().held_ns - silenced_ns <= HOLD_S * 1e9
    assert bench.board.report().standing_ns > 0
    bench.close()


def test_what_the_loop_wants_after_a_hold_moves_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.play(0.5)
    bench.silenced[Part.RECORDER] = bench.clock.now_ns()
    bench.play(0.8)
    bench.silenced.clear()  # it is back, and the loop was never away
    assert spread(bench, 1.0) < 0.002
    bench.close()


def test_set_points_are_followed_only_while_a_watchdog_is_at_work(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.silenced[Part.WATCHDOG] = 0
    bench.play(0.3)
    assert "no watchdog was at work" in bench.board.report().reason
    assert np.abs(bench.board.state().positions - bench.home).max() < 0.02
    bench.close()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 2.0])
def test_a_set_point_that_no_guard_let_through_is_a_hold(wrong: float, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.play(0.1)
    positions = bench.home.copy()
    positions[3] += wrong
    bench.silenced[Part.LOOP] = bench.clock.now_ns()
    bench.board.give_setpoint(Setpoint(EPOCH, 10_000, bench.clock.now_ns(), False, positions))
    bench.play(0.05)
    assert bench.board.report().reason.startswith("A set-point was")
    assert np.abs(bench.board.state().positions[3] - bench.home[3]) < 0.02
    bench.close()


def test_a_set_point_of_another_session_is_a_hold_and_its_stop_a_stop(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.play(0.5)
    assert bench.board.state().epoch == EPOCH
    bench.silenced[Part.LOOP] = bench.clock.now_ns()
    bench.board.give_setpoint(Setpoint(EPOCH - 1, 10_000, bench.clock.now_ns(), True, np.zeros(J)))
    bench.board.give_beat(Part.LOOP, bench.clock.now_ns(), Phase.RESTING)
    bench.play(0.5)
    assert bench.board.report().held_ns == 0
    here = bench.board.state().positions
    there = here.copy()
    there[0] += 0.1
    bench.board.give_setpoint(Setpoint(EPOCH - 1, 10_001, bench.clock.now_ns(), False, there))
    bench.play(0.5)
    assert bench.board.report().reason == "A set-point belongs to session 6; this is session 7."
    assert bench.board.state().positions[0] == pytest.approx(here[0], abs=0.002)
    bench.close()


def test_cameras_that_fail_have_the_arms_held_and_whether_they_stand_is_unknown(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.play(0.5)
    bench.cameras.failure = "no light"
    bench.play(0.1)
    assert "no light" in bench.board.report().reason
    assert "no light" in bench.board.beat(Part.STATION).failure
    assert "no light" in bench.board.word().reason
    bench.play(1.0)
    assert bench.board.report().standing_ns == 0
    before = bench.motors.measured()
    bench.play(0.5)
    assert np.abs(bench.motors.measured() - before).max() < 0.002
    bench.close()


def test_the_loops_own_stop_stands_where_the_arms_are_and_can_be_followed_by_motion(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.play(0.5)
    bench.silenced[Part.LOOP] = bench.clock.now_ns()
    bench.board.give_setpoint(Setpoint(EPOCH, 10_000, bench.clock.now_ns(), True, np.zeros(J)))
    bench.board.give_beat(Part.LOOP, bench.clock.now_ns(), Phase.RESTING)
    bench.play(0.5)
    assert bench.board.report().held_ns == 0
    here = bench.board.state().positions
    there = here.copy()
    there[0] += 0.1
    bench.board.give_setpoint(Setpoint(EPOCH, 10_001, bench.clock.now_ns(), False, there))
    bench.play(0.5)
    assert bench.board.state().positions[0] - here[0] == pytest.approx(0.1, abs=0.02)
    bench.close()


def test_the_station_is_over_when_the_loop_is_done_or_gone_and_the_arms_stand(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.play(0.5)
    assert not bench.station.is_over(bench.clock.now_ns(), orphaned=True)  # nobody has said hold yet
    bench.silenced[Part.LOOP] = bench.clock.now_ns()
    bench.play(0.1)
    assert bench.board.report().held_ns > 0
    assert not bench.station.is_over(bench.clock.now_ns(), orphaned=False)
    bench.play(0.5)
    assert bench.station.is_over(bench.clock.now_ns(), orphaned=True)
    assert not bench.station.is_over(bench.clock.now_ns(), orphaned=False)
    bench.board.give_beat(Part.LOOP, bench.clock.now_ns(), Phase.DONE)
    assert bench.station.is_over(bench.clock.now_ns(), orphaned=False)
    bench.close()


def test_a_brake_goes_on_along_the_motion_and_keeps_the_limits() -> None:
    times = np.arange(3)[:, None] * TICK_S
    recent = np.zeros((3, J)) + 1.0 + np.linspace(-2.0, 2.0, J) * times
    brake = Brake(LIMITS, list(recent))
    path = np.array([*recent, *(brake.at(TICK_S * tick) for tick in range(1, 60))])
    for order, limit in enumerate((LIMITS.velocity, LIMITS.acceleration, LIMITS.jerk), start=1):
        # Without the grippers' one tick of rounding at the range's end, which is where an open gripper stands.
        rates = np.abs(np.diff(path, order, axis=0)) / TICK_S**order
        arms = [joint for joint in range(J) if joint not in (6, 13)]
        assert (rates[:, arms].max(axis=0) <= limit[arms] * 1.01).all()
    assert (path[-1] == path[-2]).all()
    assert path[-1, 0] < recent[-1, 0]


def test_a_brake_from_a_single_set_point_stays_there() -> None:
    pose = np.linspace(0.1, 0.9, J)
    brake = Brake(LIMITS, [pose])
    assert brake.duration_s == 0.0
    assert (brake.at(0.0) == pose).all()
    assert (brake.at(5.0) == pose).all()


def test_a_brake_does_not_leave_the_joints_range() -> None:
    upper = LIMITS.upper
    recent = [upper - 0.04, upper - 0.02, upper - 0.001]
    brake = Brake(LIMITS, recent)
    assert all((brake.at(0.01 * tick) <= upper).all() for tick in range(50))
