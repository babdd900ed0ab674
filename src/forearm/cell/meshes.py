"""The station's meshes, light enough to render on a processor: made once from the vendor's STL files, then cached.

The vendor's 164,556 faces become about 500 a mesh. Quadric decimation alone sticks at 4,000 to 7,000 faces on these
many-shelled files, so vertices are first clustered on a grid that grows until few enough faces are left.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import fast_simplification
import numpy as np
from numpy.typing import NDArray

from forearm.errors import RobotError

VENDOR = "dreamscale-i2rt"  # MIT, holds the station's description beside its driver
RECIPE = 3  # raised when the lines below would make other meshes from the same files

FACES = 500  # per mesh: 72 px and 120 px views show no more
CLUSTERED_FACES = 3500  # few enough for quadric decimation not to stick
GRID_M = 0.0015  # m, first clustering grid
GRID_GROWTH = 1.3  # per attempt


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mesh:
    """A triangle mesh: `vertices` (V, 3) float32 m in the file's own frame, `faces` (F, 3) int32."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]


def vendor_folder() -> Path:
    """The folder of the vendor's robot models, found without importing the vendor's driver.

    Raises:
        RobotError: when the package is not installed.
    """
    spec = importlib.util.find_spec("i2rt")
    if spec is None or not spec.submodule_search_locations:
        raise RobotError(f"station model: got no package i2rt, {VENDOR} has it; run `pip install {VENDOR}`")
    return Path(next(iter(spec.submodule_search_locations))) / "robot_models"


def load(path: Path) -> Mesh:
    """The light form of one binary STL file, from the cache or (about 0.3 s) made now.

    Raises:
        RobotError: when the file is missing or not a binary STL.
    """
    cached = cache_folder() / f"{path.stem}.npz"
    try:
        with cached.open("rb") as file, np.load(file) as stored:
            return Mesh(vertices=stored["vertices"], faces=stored["faces"])
    except (OSError, ValueError, KeyError, BadZipFile):  # absent or damaged: make it (again)
        mesh = lighten(read_stl(path))
        _write(cached, mesh)
        return mesh


def cache_folder() -> Path:
    """Where the light meshes of this vendor version and recipe lie; safe to delete at any time."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "forearm" / f"meshes-{importlib.metadata.version(VENDOR)}-{RECIPE}"


def _write(path: Path, mesh: Mesh) -> None:
    """Stores `mesh` so that another process sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
        np.savez(file, vertices=mesh.vertices, faces=mesh.faces)
    Path(file.name).replace(path)


def read_stl(path: Path) -> Mesh:
    """The triangles of a binary STL file with equal vertices merged.

    Raises:
        RobotError: when the file is missing or its length contradicts its header.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RobotError(f"mesh {path.name}: got {error}, a readable file is needed; reinstall {VENDOR}") from error
    count = int.from_bytes(content[80:84], "little")
    if len(content) != 84 + 50 * count:  # header, then 50 bytes a triangle
        raise RobotError(
            f"mesh {path.name}: got {len(content)} bytes, its header says {count} triangles; reinstall {VENDOR}"
        )
    triangle = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    corners = np.frombuffer(content, triangle, count=count, offset=84)["corners"].reshape(-1, 3)
    vertices, inverse = np.unique(corners, axis=0, return_inverse=True)
    return Mesh(vertices=vertices, faces=_clean(inverse.reshape(-1, 3)))


def lighten(mesh: Mesh) -> Mesh:
    """A mesh of at most about `FACES` faces with the same outline to within millimetres."""
    clustered, grid = mesh, GRID_M
    while len(clustered.faces) > CLUSTERED_FACES:
        clustered = cluster(mesh, grid)
        grid *= GRID_GROWTH
    if len(clustered.faces) <= FACES:
        return clustered
    vertices, faces = fast_simplification.simplify(clustered.vertices, clustered.faces, target_count=FACES, agg=7)
    return Mesh(vertices=np.asarray(vertices, dtype=np.float32), faces=np.asarray(faces, dtype=np.int32))


def cluster(mesh: Mesh, grid_m: float) -> Mesh:
    """The mesh with all vertices in one grid cell (edge `grid_m`) replaced by their mean."""
    cells = np.round(mesh.vertices / grid_m).astype(np.int64)
    _, inverse, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    sums = np.zeros((len(counts), 3))
    np.add.at(sums, inverse, mesh.vertices)
    return Mesh(vertices=(sums / counts[:, None]).astype(np.float32), faces=_clean(inverse[mesh.faces]))


def _clean(faces: NDArray[np.int64]) -> NDArray[np.int32]:
    """Faces without those that collapsed or occur twice."""
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    return faces[np.sort(first)].astype(np.int32)
