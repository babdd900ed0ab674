import json
import subprocess
import sys
from pathlib import Path

import pytest

from forearm.errors import ConfigError
from forearm.runtime.live.board import Beat, Board, Part, Phase, Report
from forearm.runtime.live.diary import Diary, read_diary
from forearm.runtime.live.watchdog import HOLD_S, ROUND_S, STANDING_S, Silence, Watchdog, objection, silent

MS = 1_000_000  # ns
NOW = 10_000 * MS


def beats(phase: Phase = Phase.WORKING, *, age_ms: int = 0) -> dict[Part, Beat]:
    return dict.fromkeys(Part, Beat(NOW - age_ms * MS, phase, 1))


@pytest.mark.parametrize("part", Part)
def test_every_part_may_be_silent_for_its_limit_and_not_longer(part: Part) -> None:
    allowed_ms = round(Silence().allowed_s(part) * 1e3)
    assert not silent(part, Beat(NOW - allowed_ms * MS, Phase.WORKING, 1), NOW, Silence())
    late = Beat(NOW - (allowed_ms + 1) * MS, Phase.WORKING, 1)
    assert silent(part, late, NOW, Silence()) == (
        f"The {part} has been silent for {allowed_ms + 1} ms; {allowed_ms} ms is allowed."
    )


@pytest.mark.parametrize("part", Part)
def test_the_limits_leave_time_for_a_round_a_step_and_a_busy_machine(part: Part) -> None:
    assert Silence().allowed_s(part) + ROUND_S + 0.004 <= HOLD_S - 0.05


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_part_without_a_limit_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="times > 0"):
        Silence(recorder=seconds)


def test_a_part_at_rest_may_be_silent_for_longer_but_not_for_ever() -> None:
    assert not silent(Part.LOOP, Beat(NOW - 9_000 * MS, Phase.RESTING, 1), NOW, Silence())
    assert silent(Part.LOOP, Beat(NOW - 16_000 * MS, Phase.RESTING, 1), NOW * 2, Silence())


def test_a_part_that_failed_is_an_objection_however_young_its_beat() -> None:
    failed = beats() | {Part.RECORDER: Beat(NOW, Phase.FAILED, 1, failure="No space left on device")}
    assert objection(failed, NOW, Silence(), orphaned=False) == (
        Part.RECORDER,
        "The recorder failed: No space left on device",
    )


def test_work_past_its_deadline_is_an_objection_while_the_heart_still_beats() -> None:
    hung = beats() | {Part.INFERENCE: Beat(NOW, Phase.WORKING, 1, due_ns=NOW - 30 * MS)}
    found = objection(hung, NOW, Silence(), orphaned=False)
    assert found == (Part.INFERENCE, "The inference's work is 30 ms past its deadline.")
    in_time = beats() | {Part.INFERENCE: Beat(NOW, Phase.WORKING, 1, due_ns=NOW + 30 * MS)}
    assert objection(in_time, NOW, Silence(), orphaned=False) is None


def test_who_ends_while_the_loop_is_at_work_is_an_objection_and_afterwards_not() -> None:
    left = beats() | {Part.RECORDER: Beat(NOW, Phase.DONE, 1)}
    assert objection(left, NOW, Silence(), orphaned=False) == (
        Part.RECORDER,
        "The recorder ended while the loop was at work.",
    )
    resting = left | {Part.LOOP: Beat(NOW, Phase.RESTING, 1)}
    assert objection(resting, NOW, Silence(), orphaned=False) is None


def test_a_loop_whose_process_is_gone_is_an_objection_unless_it_had_said_so() -> None:
    assert objection(beats(), NOW, Silence(), orphaned=True) is not None
    assert objection(beats(Phase.DONE), NOW, Silence(), orphaned=True) is None


def test_before_the_loops_first_command_nobody_is_watched_but_its_process() -> None:
    starting = beats(age_ms=500) | {Part.LOOP: Beat(0, Phase.ABSENT, 1)}
    assert objection(starting, NOW, Silence(), orphaned=False) is None
    assert objection(starting, NOW, Silence(), orphaned=True) is not None


def test_the_watchdog_does_not_judge_itself() -> None:
    paused = beats() | {Part.WATCHDOG: Beat(0, Phase.WORKING, 1)}
    assert objection(paused, NOW, Silence(), orphaned=False) is None


class Bench:
    """A board on which everybody is well, and a watchdog that looks at it."""

    def __init__(self, folder: Path) -> None:
        self.board, self.path = Board(), folder / "watchdog.jsonl"
        self.diary = Diary(self.path)
        self.watchdog = Watchdog(self.board, self.diary, Silence())
        for part in Part:
            self.board.give_beat(part, NOW, Phase.WORKING)

    def lines(self) -> list[dict[str, object]]:
        self.diary.close()
        return read_diary(self.path)

    def kinds(self) -> list[object]:
        return [line["kind"] for line in self.lines()]


def test_while_all_is_well_there_is_no_word(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.watchdog.round(NOW + MS, orphaned=False)
    assert bench.board.word().hold_ns == 0
    assert bench.board.beat(Part.WATCHDOG).stamp_ns == NOW + MS
    bench.board.give_beat(Part.LOOP, NOW, Phase.DONE)
    assert not bench.watchdog.round(NOW + 2 * MS, orphaned=False)
    bench.watchdog.end(NOW + 2 * MS)
    assert bench.kinds() == ["watching", "ended"]
    assert bench.lines()[-1]["tripped"] is False


def test_a_word_is_never_taken_back_and_its_reason_never_changed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.board.give_beat(Part.RECORDER, NOW, Phase.FAILED, failure="disk full")
    bench.watchdog.round(NOW + 5 * MS, orphaned=False)
    word = bench.board.word()
    assert (word.hold_ns, word.reason) == (NOW + 5 * MS, "The recorder failed: disk full")
    bench.board.give_beat(Part.RECORDER, NOW + 6 * MS, Phase.WORKING)
    bench.watchdog.round(NOW + 500 * MS, orphaned=False)
    assert bench.board.word() == word
    assert bench.kinds().count("tripped") == 1


def test_it_stays_until_the_arms_were_seen_to_stand(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.watchdog.round(NOW + MS, orphaned=True)
    bench.board.give_report(Report(held_ns=NOW + 2 * MS, reason="gone"))
    assert bench.watchdog.round(NOW + 20 * MS, orphaned=True)
    bench.board.give_report(Report(held_ns=NOW + 2 * MS, standing_ns=NOW + 102 * MS, moved_m=0.0123, reason="gone"))
    assert not bench.watchdog.round(NOW + 160 * MS, orphaned=True)
    standing = bench.lines()[-1]
    assert bench.kinds() == ["tripped", "watching", "held", "standing"]
    assert (standing["after_ms"], standing["moved_mm"]) == (100.0, 12.3)


def test_a_station_that_says_nothing_is_unknown_and_never_standing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    late_ns = NOW + 90 * MS
    for part in (Part.LOOP, Part.INFERENCE, Part.RECORDER):
        bench.board.give_beat(part, late_ns, Phase.WORKING)
    assert bench.watchdog.round(late_ns, orphaned=False)
    assert bench.watchdog.round(late_ns + round(STANDING_S * 1e9), orphaned=True)
    assert not bench.watchdog.round(late_ns + round(STANDING_S * 1e9) + MS, orphaned=True)
    lines = bench.lines()
    assert (lines[0]["kind"], lines[0]["part"]) == ("tripped", "station")
    assert bench.kinds()[-1] == "unknown"
    assert "standing" not in bench.kinds()


def test_a_hold_that_the_station_began_by_itself_is_in_the_diary_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.board.give_report(Report(held_ns=NOW, reason="The watchdog has been silent."))
    bench.watchdog.round(NOW + MS, orphaned=False)
    held = next(line for line in bench.lines() if line["kind"] == "held")
    assert held["reason"] == "The watchdog has been silent."
    assert bench.board.word().hold_ns == 0


def test_a_diary_is_readable_at_any_moment_and_has_no_padding_once_closed(tmp_path: Path) -> None:
    path = tmp_path / "diary.jsonl"
    with Diary(path) as diary:
        diary.write(1, "first", reason="ü")
        while not path.read_bytes().startswith(b"{"):
            pass
        assert path.stat().st_size == 64 * 1024
        assert read_diary(path) == [{"stamp_ns": 1, "kind": "first", "reason": "ü"}]
    assert json.loads(path.read_text())["kind"] == "first"


def test_the_watchdog_loads_nothing_of_what_it_watches() -> None:
    heavy = {"torch", "mujoco", "ruckig", "forearm.cell", "forearm.policy"}
    code = f"import sys, forearm.runtime.live.watchdog; print({heavy!r} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
