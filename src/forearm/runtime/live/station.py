"""The process that owns the motors: it follows the loop's set-points, and holds on its own as soon as anybody must.

Invariant: the watchdog's word counts for more than the loop's, and a watchdog that falls silent counts as a word. A
hold brakes to rest under power, and only a new run ends it: there is no way back from it in here.

In the cell the motors are MuJoCo's, stepped in real time; on real arms this is the process on the CAN bus.
"""

from __future__ import annotations

import os
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from forearm.cell.setup import Setup
from forearm.cell.shutter import BackgroundShutter
from forearm.cell.simulator import CellRobot
from forearm.cell.stage import Fault
from forearm.clock import NANOSECONDS, RealClock
from forearm.errors import RobotError, SafetyError
from forearm.messages import Floats, Observation
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.live.board import Board, Part, Phase, Report, Setpoint, State
from forearm.runtime.live.brake import HISTORY, Brake
from forearm.runtime.live.diary import Diary
from forearm.runtime.live.pictures import Pictures
from forearm.runtime.live.watchdog import STANDING_S, Silence, silent
from forearm.safety.limits import TICK_S, Limits

STEP_NS = 4_000_000  # ns, two steps of the physics: a set-point waits no longer than that to be followed
FLOWING_NS = 3 * round(TICK_S * NANOSECONDS)  # ns without a new set-point after which the motion has ended by itself
REACH = 1.5  # times the guard's tracking error: a set-point farther than that from the measured pose is not the guard's
STILL_RAD_S = 0.02  # rad/s, slower is standing: 0.1 mm between two ticks at the stretched arm's end
STILL_NS = 50_000_000  # ns that it must have lasted
TRAIL = 250  # steps of the arms' way that are kept: a second
ARM_JOINTS = np.concatenate([np.arange(arm.joints.start, arm.joints.stop) for arm in BIMANUAL_YAM.arms])


class Motors(CellRobot):
    """The cell below the guard's gate: what reaches it over the board passed the gate in the loop's process."""

    def drive(self, positions: Floats) -> None:
        """Sets the joint targets (J,)."""
        self._set(positions)

    def measured(self) -> Floats:
        """(J,) where the joints are, at the last step."""
        return self._physics.positions


class Station:
    """Obeys the board, step by step.

    Args:
        board: of the run.
        pictures: where the captures go.
        motors: connected.
        epoch: the one session whose set-points are followed.
        silence: that the watchdog may keep.
        diary: gets what was done about a hold, and the arms' way around it.
    """

    def __init__(
        self, board: Board, pictures: Pictures, motors: Motors, diary: Diary, silence: Silence, epoch: int
    ) -> None:
        self._board, self._pictures, self._motors, self._diary = board, pictures, motors, diary
        self._epoch = epoch
        self._silence, self._limits = silence, Limits.of()
        self._sequence = 0
        self._recent: deque[tuple[int, Floats]] = deque(maxlen=HISTORY)
        self._brake: Brake | None = None
        self._report = Report()
        self._trail: deque[tuple[int, float, Floats]] = deque(maxlen=TRAIL)
        self._still_since_ns: int | None = None

    def step(self, now_ns: int) -> None:
        """One look at the board, one step of the arms, one report."""
        setpoint = self._board.setpoint()
        if not self._report.held_ns and (reason := self._why_hold(setpoint, now_ns)):
            self._hold(reason, now_ns)
        if self._report.held_ns:
            self._brake_on(now_ns)
        elif setpoint.sequence != self._sequence:
            self._obey(setpoint, now_ns)
        try:
            observation = self._motors.read()
        except RobotError as error:  # of the cameras: the arms were moved on before they were asked
            if not self._report.held_ns:
                self._hold(str(error), now_ns)
            self._board.give_beat(Part.STATION, now_ns, Phase.FAILED, failure=str(error))
            return
        self._publish(observation)
        self._look(observation)
        self._board.give_beat(Part.STATION, now_ns, Phase.WORKING)

    def is_over(self, now_ns: int, *, orphaned: bool) -> bool:
        """Whether nothing more will be asked of the station, and the arms stand or had their time to."""
        loop = self._board.beat(Part.LOOP)
        if loop.phase is not Phase.DONE and not (orphaned and self._report.held_ns):
            return False
        since_ns = self._report.held_ns or loop.stamp_ns
        return self._stands() or now_ns - since_ns > STANDING_S * NANOSECONDS

    def _why_hold(self, setpoint: Setpoint, now_ns: int) -> str:
        """Who says that the arms must hold, in words; empty while nobody does."""
        if word := self._board.word().reason:
            return word
        if setpoint.sequence == 0:
            return ""
        watchdog = self._board.beat(Part.WATCHDOG)
        if why := silent(Part.WATCHDOG, watchdog, now_ns, self._silence):
            return why
        if setpoint.sequence == self._sequence or setpoint.stop:
            return ""
        if watchdog.phase is not Phase.WORKING:
            return "A set-point came while no watchdog was at work."
        return self._why_refuse(setpoint)

    def _why_refuse(self, setpoint: Setpoint) -> str:
        """What no guard would have let through, whatever happened on the way here."""
        if setpoint.epoch != self._epoch:
            return f"A set-point belongs to session {setpoint.epoch}; this is session {self._epoch}."
        if not np.isfinite(setpoint.positions).all():
            return "A set-point was not finite."
        away = np.abs(setpoint.positions - self._motors.measured())
        joint = int(np.argmax(away / self._limits.tracking_error))
        if away[joint] <= REACH * self._limits.tracking_error[joint]:
            return ""
        name = BIMANUAL_YAM.joints[joint].name
        return f"A set-point was {away[joint]:.2f} away from where {name} is."

    def _obey(self, setpoint: Setpoint, now_ns: int) -> None:
        if setpoint.sequence != self._sequence + 1:
            self._recent.clear()  # one was missed: they are not a tick apart
        self._sequence = setpoint.sequence
        if setpoint.stop:
            self._motors.stop()
            self._recent.clear()
        else:
            self._motors.drive(setpoint.positions)
            self._recent.append((now_ns, setpoint.positions))

    def _hold(self, reason: str, now_ns: int) -> None:
        """Brakes from here on. What cannot be braked smoothly stays at the pose it is in."""
        self._report = Report(held_ns=now_ns, reason=reason)
        self._board.give_report(self._report)
        recent = [positions for _, positions in self._recent]
        if recent and now_ns - self._recent[-1][0] > FLOWING_NS:
            recent = recent[-1:]
        try:
            self._brake = Brake(self._limits, recent) if recent else None
        except SafetyError:
            self._motors.stop()
        self._diary.write(now_ns, "held", reason=reason)

    def _brake_on(self, now_ns: int) -> None:
        if self._brake is not None:
            self._motors.drive(self._brake.at((now_ns - self._report.held_ns) / NANOSECONDS))

    def _publish(self, seen: Observation) -> None:
        self._board.give_state(
            State(
                epoch=seen.epoch,
                sequence=seen.sequence,
                stamp_ns=seen.stamp_ns,
                succeeded=self._motors.succeeded(),
                progress=self._motors.progress(),
                positions=seen.positions,
                velocities=seen.velocities,
                efforts=seen.efforts,
            )
        )
        self._pictures.give(seen.images, seen.depths)

    def _look(self, seen: Observation) -> None:
        """Whether the arms stand, and which way they came."""
        speed = float(np.abs(seen.velocities[ARM_JOINTS]).max())
        tools = np.stack([self._motors.tool_pose(arm.name).translation for arm in BIMANUAL_YAM.arms])
        self._trail.append((seen.stamp_ns, speed, tools))
        if speed >= STILL_RAD_S:
            self._still_since_ns = None
        elif self._still_since_ns is None:
            self._still_since_ns = seen.stamp_ns
        report = self._report
        if not report.held_ns or report.standing_ns or not self._stands():
            return
        assert self._still_since_ns is not None  # it stands
        standing_ns = max(self._still_since_ns, report.held_ns)
        way = np.stack(
            [tools for stamp_ns, _, tools in self._trail if report.held_ns <= stamp_ns <= standing_ns] or [tools]
        )
        moved_m = float(np.linalg.norm(np.diff(way, axis=0), axis=2).sum(axis=0).max())
        self._report = report._replace(standing_ns=standing_ns, moved_m=moved_m)
        self._board.give_report(self._report)
        trail = [
            [stamp_ns, round(speed, 3), *tools.round(4).ravel().tolist()] for stamp_ns, speed, tools in self._trail
        ]
        self._diary.write(standing_ns, "standing", moved_mm=round(moved_m * 1e3, 1), trail=trail)

    def _stands(self) -> bool:
        """Whether the arms have stood still for long enough to say so, and the way to rest is at its end."""
        if self._still_since_ns is None or not self._trail:
            return False
        now_ns = self._trail[-1][0]
        braked_ns = round(self._brake.duration_s * NANOSECONDS) if self._brake is not None else 0
        return now_ns - self._still_since_ns >= STILL_NS and now_ns >= self._report.held_ns + braked_ns


def run_station(
    board: Board,
    pictures: Pictures,
    setup: Setup,
    outside_view: bool,
    faults: tuple[Fault, ...],
    silence: Silence,
    epoch: int,
    path: Path,
    pipe: Connection,
) -> None:
    """The station's process, from the first physics step until the loop is done and the arms stand. Blocks.

    It has nothing to say on the pipe: whatever the station says is on the board.
    """
    pipe.close()
    clock = RealClock()
    shutter = BackgroundShutter()
    motors = Motors(setup=setup, clock=clock, outside_view=outside_view, shutter=shutter, faults=faults)
    motors.connect(epoch)
    parent = board.beat(Part.LOOP).pid
    with Diary(path) as diary:
        station = Station(board, pictures, motors, diary, silence, epoch)
        now_ns = clock.now_ns()
        while not station.is_over(now_ns, orphaned=os.getppid() != parent):
            station.step(now_ns)
            clock.sleep_until(now_ns + STEP_NS)
            now_ns = clock.now_ns()
    board.give_beat(Part.STATION, now_ns, Phase.DONE)
    motors.close()
