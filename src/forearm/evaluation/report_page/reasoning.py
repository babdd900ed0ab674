"""What the policy said at each decision, beside what the sensors and the joints then showed."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forearm.clock import NANOSECONDS
from forearm.evaluation.report_page.packing import Json, millimetres, number, numbers, thinned
from forearm.evaluation.report_page.pictures import newest
from forearm.events import Decided
from forearm.messages import DepthImage, Floats, Plan
from forearm.robot.embodiment import BIMANUAL_YAM, Camera
from forearm.robot.kinematics import link_poses, tool_poses
from forearm.telemetry.log import RunLog

PATH_MOST = 800  # samples of the tools' paths: 20 s at 40 Hz


def fractions(camera: Camera, points: Floats) -> Floats:
    """Where points (..., 3) m of the cell are in the image, as fractions (..., 2) of its width and height."""
    if camera.cell_from_camera is None:
        return np.full((*points.shape[:-1], 2), np.nan)
    pixels = camera.pinhole.project(camera.cell_from_camera.inverse().apply(points))
    return pixels / np.array([camera.width, camera.height])


def tool_paths(log: RunLog, camera: Camera) -> Json | None:
    """Both tools and all links over time; None where the joints are not those of the YAM station."""
    if log.positions.shape[-1] != len(BIMANUAL_YAM.joints):
        return None
    kept = thinned(len(log.positions), PATH_MOST)
    tools, _ = tool_poses(log.positions[kept])
    links, _ = link_poses(log.positions[kept])
    return {
        "times": [round(log.seconds(int(log.stamps_ns[i])), 4) for i in kept],
        "tools": numbers(np.moveaxis(tools, 1, 0), 4),
        "links": numbers(np.moveaxis(links, 1, 0), 3),
        "pixels": numbers(np.moveaxis(fractions(camera, tools), 1, 0), 4),
    }


def trace_errors(log: RunLog, decided: Decided) -> Floats:
    """(A, T) m between each predicted waypoint and where that tool was then; NaN where the log does not reach."""
    plan = decided.decision.plan
    assert plan is not None
    if not len(log.stamps_ns) or log.positions.shape[-1] != len(BIMANUAL_YAM.joints):
        return np.full(plan.trace.shape[:2], np.nan)
    at_ns = decided.decision.chunk.stamp_ns + np.rint(plan.trace_times_s * NANOSECONDS).astype(np.int64)
    index = np.minimum(np.searchsorted(log.stamps_ns, at_ns), len(log.stamps_ns) - 1)
    tools, _ = tool_poses(log.positions[index])
    errors = np.linalg.norm(plan.trace - np.moveaxis(tools, 0, 1), axis=-1)
    return np.where(at_ns <= log.stamps_ns[-1], errors, np.nan)


def measured_cells(depth: DepthImage, shape: tuple[int, ...]) -> Floats:
    """Median depth in m per cell of a grid `shape` (h, w) laid over the image; NaN where a cell saw nothing."""
    rows, columns = (_edges(size, cells) for size, cells in zip(depth.metres.shape, shape, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a cell without one known pixel: NaN is the answer
        cells = [
            [np.nanmedian(depth.metres[top:bottom, left:right]) for left, right in pairwise(columns)]
            for top, bottom in pairwise(rows)
        ]
    return np.array(cells, dtype=np.float64)


def _edges(size: int, cells: int) -> list[int]:
    """Where equal parts of a side begin and the last one ends, in whole pixels; none is empty unless pixels run out."""
    return [round(size * cell / cells) for cell in range(cells + 1)]


def depth_errors(log: RunLog, decided: Decided, camera: Camera) -> tuple[Floats, Floats] | None:
    """The measured cells in m and predicted minus measured, in the grid of the plan; None without either."""
    plan = decided.decision.plan
    depth = newest(log.depths.get(camera.name, ()), decided.decision.chunk.stamp_ns)
    if plan is None or depth is None or plan.depth_map.ndim != 2 or not plan.depth_map.size:
        return None
    measured = measured_cells(depth, plan.depth_map.shape)
    return measured, plan.depth_map - measured


def _plan(log: RunLog, decided: Decided, plan: Plan, camera: Camera) -> Json:
    shown: Json = {
        "subtask": plan.subtask,
        "names": list(plan.names),
        "confidence": number(plan.confidence, 3),
        "points": numbers(plan.points, 4),
        "trace": numbers(plan.trace, 4),
        "pixels": numbers(fractions(camera, plan.trace), 4),
        "grippers": numbers(plan.trace_grippers, 2),
        "times": numbers(plan.trace_times_s, 2),
        "trace_error_mm": median_mm(trace_errors(log, decided)),
        "depth": None,
    }
    compared = depth_errors(log, decided, camera)
    if compared is not None:
        measured, difference = compared
        shown["depth"] = {
            "height": plan.depth_map.shape[0],
            "width": plan.depth_map.shape[1],
            "predicted": millimetres(plan.depth_map),
            "measured": millimetres(measured),
            "median_mm": median_mm(np.abs(difference)),
        }
    return shown


def decision(log: RunLog, decided: Decided, camera: Camera) -> Json:
    """One decision: when it was made and about what, how long it took, and its plan where it states one."""
    made = decided.decision
    plan = made.plan
    return {
        "time": round(log.seconds(decided.stamp_ns), 4),
        "about": round(log.seconds(made.chunk.stamp_ns), 4),
        "until": round(log.seconds(made.chunk.stamp_ns) + made.chunk.period_s * len(made.chunk.positions), 4),
        "sequence": made.sequence,
        "latency_ms": number(made.latency_s * 1e3, 3),
        "timings_ms": {part: number(spent * 1e3, 3) for part, spent in made.timings_s.items()},
        "plan": None if plan is None or plan.trace.ndim != 3 else _plan(log, decided, plan, camera),
    }


def median_mm(lengths: NDArray[Any]) -> float | None:
    """The median of lengths in m, in mm; None where none is known."""
    known = lengths[np.isfinite(lengths)]
    return round(float(np.median(known)) * 1e3, 1) if known.size else None
