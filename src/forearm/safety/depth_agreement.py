"""Whether a plan sees the world that is there: the depth map it states against the depth its main camera measures.

Invariant: a stated map that cannot be compared, or says nothing, is not taken for a map that agrees, and neither is a
cell that says nothing of what the camera measures.

Both are of one observation, so arms in front of the camera are in both. A cell of a plan's coarse map often covers two
surfaces, an arm and the table behind it, and either is a fair answer; so a cell agrees when what was said lies within
the middle of what its pixels measure, or near that. A pole close under the camera is nearer than a map can say, and its
nearest stands for that. What is smaller than a cell cannot be seen this way.

A plan may overlook an arm: where the arms are is known from their joints, and every check of motion goes by that. So
what is measured nearer than was said is left aside where the arms' own shapes are; what else is measured there is not.
"""

from __future__ import annotations

from math import nan

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from forearm.messages import Finding, Observation, Outcome, Plan
from forearm.robot.embodiment import Camera
from forearm.safety.checks import finding, fresh
from forearm.safety.limits import Limits
from forearm.safety.own_arms import of_the_arms, points_measured

SAMPLES = 12  # pixels looked at per cell and axis, evenly spaced: every pixel of a 120 by 120 image on a 10 by 10 grid
SPARSE = 4  # of those, one in so many is asked whether it shows an arm
MIDDLE = (0.35, 0.65)  # quantiles of a cell's pixels between which any depth is a fair answer
NEAREST_M = 0.55  # m from the camera, the nearest that a map can say: above all that arms reach


def depth_agrees(
    plan: Plan, observation: Observation, camera: Camera, limits: Limits, *, age_s: float
) -> tuple[Finding, ...]:
    """HOLD where the plan's depth map disagrees with what `camera` measured, or cannot be compared with it.

    `age_s` is how much older than the observation the depth may be. A plan that states no depth says nothing of the
    world, which no check could hold it to: a policy that sees none has no plan. A camera without depth contradicts
    nothing. About 0.3 ms.
    """
    if not np.isfinite(plan.depth_map).any():
        text = "The plan states no depth of anything, so it cannot be checked against the world; say what is seen."
        return finding("depth", Outcome.HOLD, camera.name, 0.0, limits.depth_compared, "of the cells", text)
    if not camera.has_depth:
        return ()
    depth = observation.depths.get(camera.name)
    if depth is None:
        text = f"The {camera.name} camera measured no depth, so the plan's depth map cannot be compared with it."
        return finding("depth", Outcome.HOLD, camera.name, nan, age_s, "s", text)
    stale = fresh(f"depth of the {camera.name} camera", depth.stamp_ns, observation.stamp_ns, age_s)
    return stale or _compared(plan.depth_map, depth.metres.astype(np.float64), camera, observation.positions, limits)


def _compared(
    said: Float64[ndarray, "h w"],
    metres: Float64[ndarray, "H W"],
    camera: Camera,
    positions: Float64[ndarray, " 14"],
    limits: Limits,
) -> tuple[Finding, ...]:
    middle, gaps = depth_gaps(said, metres, limits.depth_pixels)
    measured, known = np.isfinite(middle), np.isfinite(gaps)
    share = float(known.mean())
    if not share >= limits.depth_compared:
        text = (
            f"Of {said.size} cells of the plan's depth map only {known.sum()} can be compared with the {camera.name} "
            f"camera's depth; {limits.depth_compared:.0%} are needed."
        )
        return finding("depth", Outcome.HOLD, camera.name, share, limits.depth_compared, "of the cells", text)
    silent, off = measured & ~known, known & (gaps > limits.depth_error_m)
    total, wrong = int(measured.sum()), int(off.sum() + silent.sum())
    if wrong > limits.depth_cells * total:  # rare, and the arms are not looked for otherwise
        off &= ~_only_arms_in_front(off, said, metres, camera, positions, limits)
        wrong = int(off.sum() + silent.sum())
    if wrong <= limits.depth_cells * total:
        return ()
    text = ""
    if off.any():
        row, column = np.unravel_index(int(np.argmax(np.where(off, gaps, -1.0))), said.shape)
        apart = float(middle[row, column] - said[row, column])
        text = (
            f"In row {row + 1}, column {column + 1} of the {camera.name} camera's view the plan sees a surface at "
            f"{said[row, column]:.2f} m, and the camera measures {middle[row, column]:.2f} m: something is "
            f"{abs(apart) * 1e3:.0f} mm {'farther' if apart > 0 else 'nearer'} than the plan knows. "
        )
    unsaid = f" and {silent.sum()} are not stated" if silent.any() else ""
    text += (
        f"{off.sum()} of {total} cells differ by more than {limits.depth_error_m * 1e3:.0f} mm{unsaid}; "
        f"{int(limits.depth_cells * total)} may."
    )
    return finding("depth", Outcome.HOLD, camera.name, wrong / total, limits.depth_cells, "of the cells", text)


def depth_gaps(
    said: Float64[ndarray, "h w"], metres: Float64[ndarray, "H W"], pixels: float
) -> tuple[Float64[ndarray, "h w"], Float64[ndarray, "h w"]]:
    """What each cell's pixels measure in the middle, m, and how far outside their middle the cell was said to be, m.

    NaN where fewer than the share `pixels` of a cell's pixels measured anything. What is nearer than `NEAREST_M` is
    compared as if it were there.
    """
    rows, columns = _pixels_of(said.shape, metres.shape)
    near, middle, far = _middles(metres[rows, columns], pixels)
    return middle, _apart(said, near, far)


def _only_arms_in_front(
    off: Bool[ndarray, "h w"],
    said: Float64[ndarray, "h w"],
    metres: Float64[ndarray, "H W"],
    camera: Camera,
    positions: Float64[ndarray, " 14"],
    limits: Limits,
) -> Bool[ndarray, "h w"]:
    """Of cells that are `off`, those that are as said but for the arms in front of that. About 0.1 ms a cell."""
    if camera.cell_from_camera is None:
        return np.zeros_like(off)
    grid = np.broadcast_arrays(*_pixels_of(said.shape, metres.shape))
    rows, columns = (each[off][:, ::SPARSE].ravel() for each in grid)
    points = points_measured(metres, rows, columns, camera, camera.cell_from_camera)
    there, cells = metres[rows, columns], (-1, SAMPLES * SAMPLES // SPARSE)
    others = np.where(of_the_arms(points, positions), np.nan, there).reshape(cells)
    near, _, far = _middles(others, limits.depth_pixels)
    _, middle, _ = _middles(there.reshape(cells), limits.depth_pixels)
    only = off.copy()
    only[off] = (_apart(said[off], near, far) <= limits.depth_error_m) | (np.isnan(near) & (said[off] > middle))
    return only


def _apart(
    said: Float64[ndarray, "*cells"], near: Float64[ndarray, "*cells"], far: Float64[ndarray, "*cells"]
) -> Float64[ndarray, "*cells"]:
    """How far outside what was measured each cell was said to be, m."""
    said, near, far = (np.maximum(each, NEAREST_M) for each in (said, near, far))
    return np.maximum(np.maximum(near - said, said - far), 0.0)


def _pixels_of(
    cells: tuple[int, ...], image: tuple[int, ...]
) -> tuple[Int64[ndarray, "h 1 144"], Int64[ndarray, "1 w 144"]]:
    """Rows and columns of the pixels that are looked at in each cell of a map over an image."""
    within, (rows, columns) = np.arange(SAMPLES**2), (np.arange(count)[:, None] * SAMPLES for count in cells)
    down, across = rows + within // SAMPLES, columns + within % SAMPLES
    down, across = (
        ((each + 0.5) / (count * SAMPLES) * size).astype(np.int64)
        for each, count, size in zip((down, across), cells, image, strict=True)
    )
    return down[:, None], across[None]


def _middles(
    cells: Float64[ndarray, "*cells N"], pixels: float
) -> tuple[Float64[ndarray, "*cells"], Float64[ndarray, "*cells"], Float64[ndarray, "*cells"]]:
    """Near end, middle and far end of what each cell's pixels measure, m; NaN where too few of them measured it."""
    cells = np.sort(np.where(cells > 0.0, cells, np.nan), axis=-1)  # NaN, and the 0 of some drivers, come last
    count = np.isfinite(cells).sum(axis=-1)
    low, high = ((share * np.maximum(count - 1, 0)) for share in MIDDLE)
    indices = np.stack([np.floor(low), np.maximum(count - 1, 0) // 2, np.ceil(high)], axis=-1).astype(np.int64)
    found = np.take_along_axis(cells, indices, axis=-1)
    found[count < pixels * cells.shape[-1]] = np.nan
    return found[..., 0], found[..., 1], found[..., 2]
