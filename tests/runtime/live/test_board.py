import multiprocessing
import struct
import threading
from multiprocessing.connection import Connection

import numpy as np
import pytest

from forearm.errors import RobotError
from forearm.messages import DepthImage, Image
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.live.board import TEXT_BYTES, Board, J, Part, Phase, Report, Setpoint, State, Word
from forearm.runtime.live.memory import Memory
from forearm.runtime.live.pictures import Frame, Pictures


def test_what_was_never_written_is_zeros() -> None:
    board = Board()
    assert all(board.beat(part).phase is Phase.ABSENT for part in Part)
    assert board.word() == Word()
    assert (board.setpoint().sequence, board.state().sequence, board.report()) == (0, 0, Report())


def test_every_value_comes_back_as_it_was_given() -> None:
    board, joints = Board(), np.linspace(-1.0, 1.0, J)
    board.give_beat(Part.RECORDER, 5, Phase.FAILED, due_ns=7, failure="No space left on device – ü")
    board.give_word(Word(3, "why"))
    board.give_report(Report(held_ns=1, standing_ns=2, moved_m=0.25, reason="why"))
    board.give_setpoint(Setpoint(7, 9, 8, True, joints))
    board.give_state(State(7, 4, 6, True, 0.5, joints, 2 * joints, 3 * joints))
    beat = board.beat(Part.RECORDER)
    assert (beat.stamp_ns, beat.phase, beat.due_ns, beat.failure) == (
        5,
        Phase.FAILED,
        7,
        "No space left on device – ü",
    )
    assert board.beat(Part.LOOP).phase is Phase.ABSENT
    assert board.word() == Word(3, "why")
    assert board.report() == Report(1, 2, 0.25, "why")
    setpoint, state = board.setpoint(), board.state()
    assert (setpoint.epoch, setpoint.sequence, setpoint.stamp_ns, setpoint.stop) == (7, 9, 8, True)
    assert (setpoint.positions == joints).all()
    assert (state.epoch, state.sequence, state.stamp_ns, state.succeeded, state.progress) == (7, 4, 6, True, 0.5)
    assert (state.efforts == 3 * joints).all()


def test_a_reason_that_is_too_long_is_cut() -> None:
    board = Board()
    board.give_word(Word(1, "é" * TEXT_BYTES))
    assert board.word().reason.startswith("é" * (TEXT_BYTES // 2 - 1))


def test_a_value_that_was_changed_behind_the_writers_back_is_refused() -> None:
    memory = Memory([8])
    memory.slots[0].write(struct.pack("q", 1))
    memory.slots[0]._copies[1][-1] = 255
    with pytest.raises(RobotError, match="broken values"):
        memory.slots[0].read()


def test_readers_never_see_half_a_value_while_it_is_written_again_and_again() -> None:
    slot, over = Memory([1600]).slots[0], threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            slot.write(struct.pack("200q", *[number] * 200))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [set(struct.unpack("200q", slot.read())) for _ in range(300)]
    finally:
        over.set()
        writer.join()
    assert {len(numbers) for numbers in seen} == {1}


def answer(board: Board, pipe: Connection) -> None:
    board.give_word(Word(board.beat(Part.LOOP).stamp_ns, "seen"))
    pipe.send("done")


def test_another_process_has_the_same_board() -> None:
    board = Board()
    board.give_beat(Part.LOOP, 77, Phase.WORKING)
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=answer, args=(board, theirs))
    process.start()
    ours.recv()
    process.join()
    assert board.word() == Word(77, "seen")
    for each in (ours, theirs, board):
        each.close()


def test_pictures_come_back_as_they_were_taken_and_are_the_same_objects_until_there_are_new_ones() -> None:
    pictures = Pictures.of(BIMANUAL_YAM.cameras, Frame("outside", 4, 6, has_depth=False))
    assert pictures.newest() == ({}, {})
    rng = np.random.default_rng(0)
    top = Image(stamp_ns=5, pixels=rng.integers(0, 255, (120, 120, 3), dtype=np.uint8))
    depth = DepthImage(stamp_ns=5, metres=rng.random((120, 120), dtype=np.float32))
    outside = Image(stamp_ns=6, pixels=rng.integers(0, 255, (4, 6, 3), dtype=np.uint8))
    pictures.give({"top": top, "outside": outside}, {"top": depth})
    images, depths = pictures.newest()
    assert (images["top"].stamp_ns, images["outside"].stamp_ns) == (5, 6)
    assert (images["top"].pixels == top.pixels).all()
    assert (images["outside"].pixels == outside.pixels).all()
    assert (depths["top"].metres == depth.metres).all()
    assert list(depths) == ["top"]
    assert not images["top"].pixels.flags.writeable
    pictures.give({"top": top, "outside": Image(stamp_ns=7, pixels=outside.pixels)}, {"top": depth})
    again, _ = pictures.newest()
    assert again["top"] is images["top"]
    assert again["outside"].stamp_ns == 7
