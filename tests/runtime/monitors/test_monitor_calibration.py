from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forearm.errors import CheckpointError, InputError
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.monitors.calibration import (
    Calibration,
    Episode,
    Familiar,
    calibrated,
    cameras_digest,
    greatest_score,
)
from forearm.runtime.monitors.calibration_file import read_calibration, write_calibration

DECISIONS = 12


def went_well(generator: np.random.Generator, *, trouble: float = 0.0) -> Episode:
    """Signals of one run: lengths and speeds in their own units, and features; `trouble` is added at the end."""
    values = {
        "depth": generator.gamma(4.0, 2.0, DECISIONS),
        "trace": generator.normal(10.0, 3.0, DECISIONS),
        "chunk": np.abs(generator.normal(0.0, 0.05, DECISIONS)),
        "progress": generator.exponential(1.0, DECISIONS),
    }
    values["trace"][0] = np.nan
    values["trace"][-1] += trouble
    return Episode(values=values, features=generator.normal(size=(DECISIONS, 6)) * np.arange(1, 7))


def of(episodes: list[Episode], budget: float = 0.05) -> Calibration:
    return calibrated(
        episodes, budget=budget, model_digest="m" * 64, cameras=cameras_digest(), commit="abc", tasks=("lift",)
    )


@pytest.mark.slow
def test_on_average_no_more_than_the_budget_of_successful_runs_raise_an_alarm() -> None:
    generator = np.random.default_rng(0)
    budget, alarms, runs = 0.1, 0, 0
    for _ in range(60):
        calibration = of([went_well(generator) for _ in range(60)], budget)
        fresh = [went_well(generator) for _ in range(20)]
        alarms += sum(greatest_score(calibration, each) > calibration.threshold for each in fresh)
        runs += len(fresh)
    assert 0.05 < alarms / runs < 0.13  # 3/31 expected; the spread of 60 calibrations is 0.008


def test_what_was_never_seen_in_a_successful_run_is_beyond_the_threshold() -> None:
    generator = np.random.default_rng(1)
    calibration = of([went_well(generator) for _ in range(80)])
    assert greatest_score(calibration, went_well(generator, trouble=80.0)) > calibration.threshold


def test_a_signal_that_is_nearly_always_zero_leaves_the_others_their_alarms() -> None:
    generator = np.random.default_rng(8)
    episodes = [went_well(generator) for _ in range(60)]
    standing = [
        replace(each, values={**each.values, "progress": np.full(DECISIONS, 0.7 if number % 15 == 1 else 0.0)})
        for number, each in enumerate(episodes)
    ]
    calibration = of(standing)
    assert calibration.usual["progress"].middle == 0.0
    assert calibration.limits["trace"] < 60.0  # mm
    assert greatest_score(calibration, went_well(generator, trouble=80.0)) > calibration.threshold


def test_features_in_a_direction_that_never_varied_are_far_and_one_is_usual() -> None:
    generator = np.random.default_rng(2)
    features = np.concatenate([generator.normal(size=(500, 4)), np.zeros((500, 1))], axis=1)
    familiar = Familiar.of(features)
    typical = np.mean([familiar.distance(row) for row in features])
    assert 0.7 < typical < 1.2
    assert familiar.distance(np.array([0, 0, 0, 0, 3.0])) > 4.0
    assert np.isnan(familiar.distance(np.zeros(4)))


def test_beside_the_axes_every_direction_is_alike() -> None:
    generator = np.random.default_rng(7)
    spread = np.concatenate([np.full(32, 5.0), np.full(28, 0.5)])
    familiar = Familiar.of(generator.normal(size=(4000, 60)) * spread)
    assert familiar.rest == pytest.approx(0.5, rel=0.05)
    along, beside = np.eye(60)[3], np.eye(60)[50]
    assert familiar.distance(familiar.mean + 10 * beside) == pytest.approx(20 / np.sqrt(60), rel=0.1)
    assert familiar.distance(familiar.mean + 10 * along) == pytest.approx(2 / np.sqrt(60), rel=0.2)


def test_too_few_episodes_for_the_budget_are_refused_and_it_is_said_how_many_are_needed() -> None:
    generator = np.random.default_rng(3)
    with pytest.raises(InputError, match="at least 38 for a budget"):
        of([went_well(generator) for _ in range(37)])
    assert np.isfinite(of([went_well(generator) for _ in range(38)]).threshold)


@pytest.mark.parametrize("budget", [0.0, 1.0, -0.1, float("nan")])
def test_a_budget_that_is_no_share_is_refused(budget: float) -> None:
    with pytest.raises(InputError, match="share between 0 and 1"):
        of([went_well(np.random.default_rng(4)) for _ in range(50)], budget)


def test_a_model_without_plan_or_features_is_judged_by_what_it_has() -> None:
    generator = np.random.default_rng(5)
    silent = np.full(DECISIONS, np.nan)

    def bare(shift: float) -> Episode:
        chunk = np.abs(generator.normal(shift, 0.05, DECISIONS))
        values = {"depth": silent, "trace": silent, "progress": silent, "chunk": chunk}
        return Episode(values=values, features=np.empty((DECISIONS, 0)))

    calibration = of([bare(0.0) for _ in range(60)])
    assert set(calibration.usual) == {"chunk"}
    assert calibration.familiar is None
    assert greatest_score(calibration, bare(1.0)) > calibration.threshold


def test_a_calibration_comes_back_from_its_file_and_scores_alike(tmp_path: Path) -> None:
    generator = np.random.default_rng(6)
    calibration = of([went_well(generator) for _ in range(60)])
    write_calibration(tmp_path / "calibration.json", calibration)
    again = read_calibration(tmp_path / "calibration.json")
    assert again is not None
    assert again.text() == calibration.text()
    assert (again.threshold, again.tasks, again.cameras) == (calibration.threshold, ("lift",), cameras_digest())
    episode = went_well(generator)
    assert greatest_score(again, episode) == pytest.approx(greatest_score(calibration, episode), rel=1e-5)


def test_no_file_is_no_calibration_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    assert read_calibration(tmp_path / "none.json") is None
    for text in ("", "{}", '{"format": "another"}', "[]"):
        (tmp_path / "calibration.json").write_text(text)
        with pytest.raises(CheckpointError, match="calibrate again or delete it"):
            read_calibration(tmp_path / "calibration.json")


def test_a_camera_that_is_mounted_elsewhere_is_another_camera() -> None:
    top, *others = BIMANUAL_YAM.cameras
    assert top.cell_from_camera is not None
    moved = replace(top.cell_from_camera, translation=top.cell_from_camera.translation + np.array([0.001, 0.0, 0.0]))
    assert cameras_digest([replace(top, cell_from_camera=moved), *others]) != cameras_digest()
    assert cameras_digest([replace(top, fovy=top.fovy + 0.01), *others]) != cameras_digest()
    assert cameras_digest([top, *others]) == cameras_digest()


def test_episodes_in_which_no_signal_speaks_calibrate_nothing() -> None:
    silent = {name: np.full(DECISIONS, np.nan) for name in ("depth", "trace", "chunk", "progress")}
    with pytest.raises(InputError, match="no signal says anything"):
        of([Episode(values=silent, features=np.empty((DECISIONS, 0)))] * 40)
