"""Other people's datasets: read as they describe themselves, converted by a mapping, refused by name."""

import json
import shutil
from dataclasses import replace
from math import radians, tan
from pathlib import Path

import foreign
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forearm.data.dataset import load
from forearm.data.dataset_writer import finalize, video_file, write_shard
from forearm.data.episode import NO_SEED, Episode
from forearm.data.importing import cells, import_dataset, problems
from forearm.data.lerobot import Source
from forearm.data.mapping import FeatureMapping, Vector, View, of_recordings, read_mapping
from forearm.data.survey import survey
from forearm.errors import ConfigError, DatasetError, InputError
from forearm.robot.embodiment import BIMANUAL_YAM

CAMERAS = {camera.name: (camera.height, camera.width) for camera in BIMANUAL_YAM.cameras}


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> foreign.Written:
    return foreign.write(tmp_path_factory.mktemp("theirs"))


@pytest.fixture
def mapping(tmp_path: Path) -> FeatureMapping:
    path = tmp_path / "theirs.toml"
    path.write_text(foreign.mapping_text())
    return read_mapping(path)


@pytest.mark.slow
def test_a_dataset_of_another_robot_becomes_ours(
    theirs: foreign.Written, mapping: FeatureMapping, tmp_path: Path
) -> None:
    assert import_dataset(theirs.root, mapping, tmp_path / "ours") == 2
    data = load(tmp_path / "ours")
    assert data.starts.tolist() == [0, 20, 35]  # 2 s and 1.5 s at 10 Hz
    assert data.instructions == ("Put the red block in the box.", "fold the towel")
    assert data.seeds.tolist() == [NO_SEED, NO_SEED]
    assert data.subtasks[0] == "Put the red block in the box."
    # Every third row is measured at a tick; what is to be reached at the next tick is the last of the three commands.
    np.testing.assert_allclose(data.positions[:20], theirs.measured[0][::3], atol=1e-5)
    np.testing.assert_allclose(data.actions[:20], theirs.ours[0][2::3], atol=1e-5)
    np.testing.assert_allclose(data.actions[:19], data.positions[1:20], atol=1e-5)
    # Pictures are those of their ticks, cut to what our camera sees: the border is outside.
    seen = data.images["top"].reshape(35, -1, 3)
    assert abs(int(seen[20].mean()) - (20 + 60)) < 4  # first frame of the second episode
    assert seen.max() < 200
    assert abs(int(data.images["right"][20].mean()) - 100) < 4  # from images in the rows
    np.testing.assert_allclose(data.depth_cells, theirs.metres, atol=2e-3)
    stats = json.loads((tmp_path / "ours/meta/stats.json").read_text())
    assert len(stats["observation.state"]["q01"]) == len(stats["action"]["q99"]) == 14


@pytest.mark.slow
def test_our_own_writer_in_other_conventions_comes_back_as_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = foreign.motion(12, 10.0).astype(np.float32)
    theirs = rows.copy()
    theirs[:, BIMANUAL_YAM.grippers] = 1.0 - rows[:, BIMANUAL_YAM.grippers]  # closed counts as 1
    episode = Episode(
        instruction="lift the tray with both arms",
        images={name: np.full((12, *size, 3), 90, np.uint8) for name, size in CAMERAS.items()},
        depth_cells=rng.uniform(0.6, 1.3, (12, 10, 10)).astype(np.float32),
        positions=theirs,
        actions=theirs,
        subtasks=tuple(f"part {tick % 2}" for tick in range(12)),
        seed=3,
    )
    root = tmp_path / "theirs"
    write_shard(root, 0, [episode], 0)
    finalize(root, 1, CAMERAS)
    rename(root, {"observation.state": "observation.qpos", "observation.images.top": "observation.images.front"})
    inverted = Vector(feature="action", grippers=(6, 13), closed=1.0, open=0.0)
    ours = of_recordings()
    said = replace(
        ours,
        cameras={**ours.cameras, "top": View(feature="observation.images.front")},
        state=replace(inverted, feature="observation.qpos"),
        action=inverted,
    )
    import_dataset(root, said, tmp_path / "ours")
    data = load(tmp_path / "ours")
    np.testing.assert_allclose(data.positions, rows, atol=1e-6)
    np.testing.assert_allclose(data.actions, rows, atol=1e-6)
    np.testing.assert_allclose(data.depth_cells, episode.depth_cells, atol=1e-6)
    assert data.subtasks.tolist() == list(episode.subtasks)


def rename(root: Path, names: dict[str, str]) -> None:
    info = root / "meta/info.json"
    described = json.loads(info.read_text())
    described["features"] = {names.get(name, name): each for name, each in described["features"].items()}
    info.write_text(json.dumps(described))
    for path in [*root.glob("data/**/*.parquet"), *root.glob("meta/episodes/**/*.parquet")]:
        table = pq.read_table(path)
        columns = table.column_names
        for old, new in names.items():
            columns = [column.replace(old, new) for column in columns]
        pq.write_table(table.rename_columns(columns), path)
    for old, new in names.items():
        if (root / "videos" / old).is_dir():
            (root / "videos" / old).rename(root / "videos" / new)


def test_without_depth_every_cell_is_unknown_and_the_dataset_is_still_whole(
    mapping: FeatureMapping, tmp_path: Path
) -> None:
    written = foreign.write(tmp_path / "theirs", depth=False, lengths=(30,))
    import_dataset(written.root, replace(mapping, depth=None), tmp_path / "ours")
    assert np.isnan(load(tmp_path / "ours").depth_cells).all()
    assert "NaN" not in (tmp_path / "ours/meta/stats.json").read_text()


@pytest.mark.slow
def test_a_rate_that_is_no_multiple_of_ours_is_interpolated(mapping: FeatureMapping, tmp_path: Path) -> None:
    written = foreign.write(tmp_path / "theirs", fps=25, lengths=(50,), depth=False)
    import_dataset(written.root, replace(mapping, depth=None), tmp_path / "ours")
    data = load(tmp_path / "ours")
    assert len(data) == 20
    # The waist turns at 0.3 rad/s, a row behind its command; after the first row it is where it should be at each tick.
    np.testing.assert_allclose(data.positions[1:, 0], 0.6 + 0.3 * (np.arange(1, 20) / 10 - 1 / 25), atol=1e-5)


@pytest.mark.slow
def test_an_import_that_was_stopped_goes_on(theirs: foreign.Written, mapping: FeatureMapping, tmp_path: Path) -> None:
    import_dataset(theirs.root, mapping, tmp_path / "ours")
    whole = load(tmp_path / "ours").actions
    (tmp_path / "ours/meta/info.json").unlink()
    before = video_file(tmp_path / "ours", "top", 0).stat().st_mtime_ns
    import_dataset(theirs.root, mapping, tmp_path / "ours")
    np.testing.assert_array_equal(load(tmp_path / "ours").actions, whole)
    assert video_file(tmp_path / "ours", "top", 0).stat().st_mtime_ns == before  # not encoded again
    with pytest.raises(InputError, match="another plan"):
        import_dataset(theirs.root, replace(mapping, depth=None), tmp_path / "ours")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"depth": "observation.depth.front"}, r"depth: there is no feature 'observation.depth.front'"),
        ({"cameras": {"top": View(feature="observation.images.cam_high", fovy=60.0)}}, r"got no left or right"),
        ({"cameras": {"top": View(feature="action")}}, r"camera top: action holds no pictures"),
        ({"cameras": {"top": View(feature="observation.images.cam_high", fovy=40.0)}}, r"shows less than our camera"),
        ({"state": {"unit": "rad"}}, r"state: left_joint1 goes from 34"),
        ({"action": {"open": 1.0, "closed": 0.5}}, r"action: left_gripper goes from -1.00 .* closed and open"),
        ({"state": {"grippers": ()}}, r"left_gripper or right_gripper must be its grippers"),
        ({"state": {"channels": (0, 1, 2), "grippers": ()}}, r"state: got 3 channels, allowed are 14"),
        ({"state": {"channels": ("left_knee.pos",)}}, r"channel: got 'left_knee.pos'"),
        ({"action": {"feature": "observation.images.cam_high"}}, r"allowed is a list of numbers"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    theirs: foreign.Written, mapping: FeatureMapping, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    fields = {
        name: replace(getattr(mapping, name), **value) if name in ("state", "action") else value
        for name, value in change.items()
    }
    with pytest.raises(DatasetError, match=reason):
        import_dataset(theirs.root, replace(mapping, **fields), tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_radians_that_are_called_degrees_are_noticed(mapping: FeatureMapping, tmp_path: Path) -> None:
    written = foreign.write(tmp_path / "theirs", depth=False, lengths=(30,))
    path = written.root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    state = np.radians(np.stack(table["observation.state"].to_numpy()))
    column = pa.FixedSizeListArray.from_arrays(pa.array(state.astype(np.float32).reshape(-1)), 14)
    index = table.schema.get_field_index("observation.state")
    pq.write_table(table.set_column(index, "observation.state", column), path)
    found = problems(Source(written.root), replace(mapping, depth=None))
    assert any("no joint turns further" in each for each in found)


def test_a_slow_recording_is_refused_with_the_remedy(mapping: FeatureMapping, tmp_path: Path) -> None:
    written = foreign.write(tmp_path / "theirs", fps=5, lengths=(20,), depth=False)
    assert any(each.startswith("fps: got 5, allowed is ≥ 10") for each in problems(Source(written.root), mapping))


def test_a_video_that_ends_early_is_named(theirs: foreign.Written, mapping: FeatureMapping, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(theirs.root, copy)
    key = "observation.images.cam_left_wrist"
    path = copy / f"videos/{key}/chunk-000/file-000.mp4"
    foreign.video(path, [foreign.picture(72, 72, 0)] * 40, 30, "libsvtav1", "rgb24", "yuv420p")
    with pytest.raises(DatasetError, match=r"cam_left_wrist.*has no frame at"):
        import_dataset(copy, mapping, tmp_path / "ours")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[state]\nfeature = 'a'\n[action]\nfeature = 'a'", "got no table of cameras"),
        ("[cameras]\ntop = {feature = 'a', fov = 2}\n", "got 'fov', allowed are feature or fovy; did you mean 'fovy'"),
        ("[cameras]\ntop = {feature = 'a'}\n[state]\nunit = 'deg'", "state: names no feature"),
        ("[cameras]\ntop = {feature = 'a'}\n[state]\nfeature = 'a'\nunit = 'grad'", "unit: got 'grad'"),
        ("[cameras]\ntop = {feature = 'a'}\n[state]\nfeature = 'a'\nopen = 0", "closed and an open gripper"),
        ("[cameras]\ntop = {feature = 'a'}\n[state]\nfeature = 'a'\nopen = 'wide'", "of another kind"),
        ("[cameras\n", "is not TOML"),
        ("speed = 3", "got 'speed'"),
    ],
)
def test_a_mapping_that_says_something_else_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        read_mapping(path)


def test_a_cell_is_the_median_of_what_was_measured_in_it() -> None:
    camera = BIMANUAL_YAM.cameras[0]
    metres = np.full((240, 320), 0.8, np.float32)
    metres[:, :160] = 1.0
    metres[:24, :] = np.nan
    fovy = np.degrees(2 * np.arctan(2 * tan(camera.fovy / 2)))  # sees twice as much as ours, a side
    found = cells(metres, camera, float(fovy))
    assert found.shape == (10, 10)
    np.testing.assert_allclose(found[:, :5], 1.0)
    np.testing.assert_allclose(found[:, 5:], 0.8)
    whole = cells(metres, camera, None)
    assert np.isnan(whole[0]).all()
    assert np.isfinite(whole[1:]).all()
    assert radians(fovy) > camera.fovy


def test_a_survey_says_what_is_there_and_what_is_missing(theirs: foreign.Written, mapping: FeatureMapping) -> None:
    page = survey(theirs.root, mapping)
    assert "aloha, 2 episodes, 105 frames at 30 Hz" in page
    assert "“fold the towel”" in page
    assert "missing: quantiles q01 and q99 of action, observation.state" in page
    assert "can be imported by this mapping" in page
    assert "cannot be imported: state: left_joint1" in survey(
        theirs.root, replace(mapping, state=replace(mapping.state, unit="rad"))
    )


def test_a_dataset_of_another_version_or_without_meta_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no meta/info\.json"):
        Source(tmp_path)
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text('{"codebase_version": "v2.1"}')
    with pytest.raises(DatasetError, match=r"got version v2\.1, allowed is v3\.0; convert it"):
        Source(tmp_path)
    (tmp_path / "meta/info.json").write_text('{"codebase_version": "v3.0", "fps": 30}')
    with pytest.raises(DatasetError, match="does not describe a dataset"):
        Source(tmp_path)
