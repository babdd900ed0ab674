from pathlib import Path

import numpy as np
import pytest

from forearm.cell import meshes
from forearm.errors import RobotError

TIP = "arm/yam/v1/assets/tip_left.stl"


def test_a_light_mesh_keeps_its_outline_to_three_millimetres_with_few_faces() -> None:
    full = meshes.read_stl(meshes.vendor_folder() / TIP)
    light = meshes.lighten(full)
    assert len(full.faces) > 5 * len(light.faces)
    assert 100 < len(light.faces) <= meshes.FACES + 50
    np.testing.assert_allclose(light.vertices.min(axis=0), full.vertices.min(axis=0), atol=0.003)
    np.testing.assert_allclose(light.vertices.max(axis=0), full.vertices.max(axis=0), atol=0.003)


def test_meshes_are_cached_whole_where_the_cache_folder_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = meshes.vendor_folder() / TIP
    first, again = meshes.load(path), meshes.load(path)
    assert [file.name for file in meshes.cache_folder().iterdir()] == ["tip_left.npz"]
    assert meshes.cache_folder().is_relative_to(tmp_path)
    np.testing.assert_array_equal(first.vertices, again.vertices)
    np.testing.assert_array_equal(first.faces, again.faces)


def test_a_damaged_cache_file_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = meshes.vendor_folder() / TIP
    good = meshes.load(path)
    stored = meshes.cache_folder() / "tip_left.npz"
    stored.write_bytes(stored.read_bytes()[:100])
    np.testing.assert_array_equal(meshes.load(path).faces, good.faces)


def test_a_missing_or_truncated_stl_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RobotError, match=r"absent\.stl.*reinstall"):
        meshes.read_stl(tmp_path / "absent.stl")
    whole = (meshes.vendor_folder() / TIP).read_bytes()
    (tmp_path / "cut.stl").write_bytes(whole[:-7])
    with pytest.raises(RobotError, match=r"cut\.stl.*reinstall"):
        meshes.read_stl(tmp_path / "cut.stl")
