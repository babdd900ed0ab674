import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import SimulatedClock
from forearm.errors import InstructionError, LogError, ModelError, RobotError
from forearm.events import Commanded, SessionStarted
from forearm.messages import ActionChunk, Decision, Image, Observation, Request, SafeCommand, VettedChunk
from forearm.policy.choice import policy_named
from forearm.runtime.interruption import Interruption
from forearm.runtime.live.board import Board, J, Part, Phase, Report, State
from forearm.runtime.live.inference import GRACE_S, About, RemotePolicy, deadline_ns, run_inference
from forearm.runtime.live.parts import TERMINAL, deaf_to_the_terminal
from forearm.runtime.live.pictures import Pictures
from forearm.runtime.live.recording import RemoteLog, run_recorder
from forearm.runtime.live.robot import RemoteRobot
from forearm.runtime.live.run import Live
from forearm.runtime.live.watchdog import Silence, silent
from forearm.runtime.patience import Patience
from forearm.telemetry.log import read_run

SETUP = task_named("lift").sample(0)
S = 1_000_000_000  # ns
EPOCH = 3


def seen(instruction: str = "wave") -> Observation:
    image = Image(stamp_ns=3, pixels=np.ones((2, 2, 3), dtype=np.uint8))
    return Observation(
        stamp_ns=5, sequence=1, epoch=1, positions=np.zeros(J), velocities=np.zeros(J), efforts=np.zeros(J),
        images={"top": image}, depths={}, instruction=instruction,
    )  # fmt: skip


def chunk(stamp_ns: int) -> ActionChunk:
    return ActionChunk(stamp_ns=stamp_ns, period_s=0.1, positions=np.zeros((16, J)))


class Capricious:
    """Does what the instruction says."""

    name, model_digest, recipe = "capricious", "abc", {"steps": 3}

    def __init__(self) -> None:
        self.seed = -1
        self.released = threading.Event()

    def reset(self, *, seed: int) -> None:
        self.seed = seed

    def decide(self, request: Request) -> Decision:
        if request.observation.instruction == "fail":
            raise ZeroDivisionError("weights gone")
        if request.observation.instruction == "refuse":
            raise InstructionError("instruction: got 'refuse', allowed is 'wave'; say that")
        if request.observation.instruction == "hang":
            self.released.wait(30)
        return Decision(sequence=self.seed, epoch=1, plan=None, chunk=chunk(5), latency_s=0.0, model_digest="abc")


class Thinking:
    """The inference's side and the loop's, in two threads of this process."""

    def __init__(self) -> None:
        self.board, self.policy = Board(), Capricious()
        self.board.give_beat(Part.LOOP, 0, Phase.WORKING)
        ours, theirs = Pipe()
        self._pipe = ours
        self._thread = threading.Thread(target=self._work, args=(theirs,))
        self._thread.start()
        self.about: About = ours.recv()
        self.remote = RemotePolicy(self.about, ours)

    def _work(self, pipe: Connection) -> None:
        run_inference(self.board, self._make, SETUP, Patience(), pipe)
        pipe.close()

    def _make(self, robot: CellRobot) -> Capricious:
        return self.policy

    def close(self) -> None:
        self._pipe.close()
        self._thread.join()


def until(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.005)


def test_a_policy_in_another_process_answers_as_it_would_here_and_its_errors_come_back() -> None:
    thinking = Thinking()
    assert (thinking.remote.name, thinking.remote.model_digest, thinking.remote.recipe) == (
        "capricious",
        "abc",
        {"steps": 3},
    )
    until(lambda: thinking.board.beat(Part.INFERENCE).phase is Phase.RESTING)
    thinking.remote.reset(seed=7)
    assert thinking.remote.decide(Request(observation=seen())).sequence == 7
    until(lambda: thinking.board.beat(Part.INFERENCE).phase is Phase.WORKING)
    with pytest.raises(ModelError, match="ZeroDivisionError: weights gone"):
        thinking.remote.decide(Request(observation=seen("fail")))
    with pytest.raises(InstructionError, match="allowed is 'wave'"):
        thinking.remote.decide(Request(observation=seen("refuse")))
    thinking.close()
    assert thinking.board.beat(Part.INFERENCE).phase is Phase.WORKING  # the loop had not said that it was done
    with pytest.raises(ModelError, match="its process has ended"):
        thinking.remote.decide(Request(observation=seen()))


def test_a_heart_goes_on_beating_while_its_policy_hangs_and_says_when_that_should_have_ended() -> None:
    thinking = Thinking()
    asking = threading.Thread(target=thinking.remote.decide, args=(Request(observation=seen("hang")),))
    asking.start()
    until(lambda: thinking.board.beat(Part.INFERENCE).due_ns > 0)
    first = thinking.board.beat(Part.INFERENCE)
    until(lambda: thinking.board.beat(Part.INFERENCE).stamp_ns > first.stamp_ns)
    late = thinking.board.beat(Part.INFERENCE)._replace(stamp_ns=first.due_ns)
    assert "past its deadline" in silent(Part.INFERENCE, late, first.due_ns + 1, Silence())
    thinking.policy.released.set()
    asking.join()
    until(lambda: thinking.board.beat(Part.INFERENCE).due_ns == 0)
    thinking.board.give_beat(Part.LOOP, 1, Phase.DONE)
    thinking.close()
    assert thinking.board.beat(Part.INFERENCE).phase is Phase.DONE


def test_an_answer_is_due_when_the_rows_are_spent_and_the_loops_patience_is() -> None:
    patience = Patience(patience_s=2.0, warm_up_s=10.0)
    request = Request(observation=seen())
    assert deadline_ns(request, 3 * S, patience) == 3 * S + round((10.0 + GRACE_S) * S)
    following = VettedChunk.__new__(VettedChunk)
    for name, value in {"chunk": chunk(2 * S), "sequence": 1, "epoch": 1}.items():
        object.__setattr__(following, name, value)
    under_way = Request(observation=seen(), following=following)
    assert deadline_ns(under_way, 3 * S, patience) == round((3.6 + 2.0 + GRACE_S) * S)
    assert deadline_ns(under_way, 9 * S, patience) == round((9.0 + 2.0 + GRACE_S) * S)


def test_messages_are_as_read_only_in_another_process() -> None:
    copied = pickle.loads(pickle.dumps(Request(observation=seen()))).observation
    assert copied.images["top"].pixels.tolist() == np.ones((2, 2, 3)).tolist()
    assert not copied.positions.flags.writeable
    assert not copied.images["top"].pixels.flags.writeable
    with pytest.raises(TypeError):
        copied.images["top"] = None


def test_every_live_session_has_an_epoch_of_its_own_that_json_holds_exactly(tmp_path: Path) -> None:
    lives = [Live(SETUP, policy_named("hold"), tmp_path) for _ in range(2)]
    first, second = (live._charge(0, "", "{}").epoch for live in lives)
    assert first != second
    assert all(1 < epoch < 2**53 for epoch in (first, second))
    for live in lives:
        live.__exit__(None, None, None)


def test_what_a_terminal_sends_while_a_part_begins_is_heard_once_it_has() -> None:
    with Interruption() as interruption:
        with deaf_to_the_terminal():
            os.kill(os.getpid(), signal.SIGHUP)
        assert interruption.signal is signal.SIGHUP
    assert not TERMINAL & signal.pthread_sigmask(signal.SIG_BLOCK, [])


class Writing:
    """The recorder's two sides, in two threads of this process."""

    def __init__(self, path: Path) -> None:
        self.board = Board()
        ours, theirs = Pipe()
        self._thread = threading.Thread(target=self._work, args=(path, theirs))
        self._thread.start()
        self.said = ours.recv()
        self.log, self._pipe = RemoteLog(ours), ours

    def _work(self, path: Path, pipe: Connection) -> None:
        run_recorder(self.board, path, pipe)
        pipe.close()

    def end(self) -> None:
        self._pipe.close()
        self._thread.join()


def test_events_reach_the_log_in_order_and_one_that_cannot_be_written_is_said_at_the_end(tmp_path: Path) -> None:
    writing = Writing(tmp_path / "run.mcap")
    assert writing.said == "ready"
    writing.log.append(
        SessionStarted(
            stamp_ns=0, epoch=1, instruction="", robot="", policy="", model_digest="", seed=0, commit="", recipe="{}"
        )
    )
    writing.log.append(Commanded(stamp_ns=1, sequence=0, positions=(0.5,)))
    writing.log.append(Commanded(stamp_ns=2, sequence=1, positions=(object(),)))  # type: ignore[arg-type]
    writing.log.append(Commanded(stamp_ns=3, sequence=2, positions=(0.7,)))
    writing.log.flush()
    with pytest.raises(OSError, match="log value"):
        writing.log.close()
    writing.end()
    assert read_run(tmp_path / "run.mcap").command_stamps_ns.tolist() == [1, 3]


def test_a_folder_that_has_a_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.mcap").touch()
    writing = Writing(tmp_path / "run.mcap")
    writing.end()
    assert isinstance(writing.said, LogError)


def test_a_writer_that_is_gone_is_an_error_that_says_so(tmp_path: Path) -> None:
    writing = Writing(tmp_path / "run.mcap")
    writing.log.close()
    writing._thread.join()
    with pytest.raises(OSError, match="process has ended"):
        writing.log.append(Commanded(stamp_ns=1, sequence=0, positions=(0.5,)))
    writing.end()


class Remote:
    """A robot at the other end of a board on which the station gave one state at 1 s."""

    def __init__(self) -> None:
        self.clock, self.board = SimulatedClock(S), Board()
        self.robot = RemoteRobot(self.board, Pictures.of(), "wave", self.clock, Silence())
        self.board.give_state(State(EPOCH, 1, S, True, 0.5, np.full(J, 0.1), np.zeros(J), np.zeros(J)))


def test_a_remote_robot_reads_what_the_station_measured() -> None:
    remote = Remote()
    remote.robot.connect(EPOCH)
    observation = remote.robot.read()
    assert (observation.stamp_ns, observation.sequence, observation.epoch, observation.instruction) == (S, 1, 3, "wave")
    assert (observation.positions == 0.1).all()
    assert (remote.robot.succeeded(), remote.robot.progress()) == (True, 0.5)


def test_a_state_that_is_too_old_or_never_came_is_unknown() -> None:
    remote = Remote()
    remote.clock.advance(0.3)
    with pytest.raises(RobotError, match="300 ms old"):
        remote.robot.read()
    with pytest.raises(RobotError, match="station"):
        RemoteRobot(Board(), Pictures.of(), "wave", remote.clock, Silence()).connect(EPOCH)


def test_a_state_of_another_session_is_refused() -> None:
    remote = Remote()
    with pytest.raises(RobotError, match="got a state of session 3, allowed is session 4"):
        remote.robot.connect(4)


def test_commands_stops_and_the_end_are_on_the_board_with_the_loops_heartbeat() -> None:
    remote = Remote()
    remote.robot.connect(EPOCH)
    command = SafeCommand.__new__(SafeCommand)  # only the guard makes one
    object.__setattr__(command, "positions", np.full(J, 0.2))
    remote.robot.send(command)
    setpoint = remote.board.setpoint()
    assert (setpoint.epoch, setpoint.sequence, setpoint.stop, setpoint.positions[0]) == (EPOCH, 1, False, 0.2)
    assert remote.board.beat(Part.LOOP).phase is Phase.WORKING
    remote.robot.stop()
    assert (remote.board.setpoint().sequence, remote.board.setpoint().stop) == (2, True)
    assert remote.board.beat(Part.LOOP).phase is Phase.RESTING
    remote.robot.close()
    remote.robot.stop()
    remote.robot.close()
    assert remote.board.beat(Part.LOOP).phase is Phase.DONE
    assert remote.robot.held() == ""
    remote.board.give_report(Report(held_ns=1, reason="why"))
    assert remote.robot.held() == "why"
