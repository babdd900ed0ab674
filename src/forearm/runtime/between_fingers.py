"""What a wrist camera's depth image shows between the fingers: something at the tool, or what lies behind it.

Invariant: unknown is never nothing; what was not measured says neither.
"""

from __future__ import annotations

import numpy as np

from forearm.messages import DepthImage, Floats
from forearm.robot.embodiment import BIMANUAL_YAM, GRIPPER_STROKE_M, TOOL_FROM_WRIST_CAMERA, Arm

# Offsets along the optical axis from the tool's depth, 91 mm. In demonstrations of all ten tasks in the cell, seed
# 1000, 782 images of what is held, from pegs 20 mm wide to blocks of 40, show -26 to -9 mm. The same hands in the
# places where they took it, with nothing there and the fingers 19 to 94 mm apart, show 25 mm where they are lowest,
# 18 mm over the table, and more elsewhere. Of images of what is held, moved by 6 pixels, as by a camera that is turned
# by 7°, none shows more than 2 mm.
THROUGH_M = 0.015  # m behind the tool from which it is what lies behind
ASIDE_M = 0.003  # m beside the fingers' inner faces that are left out: a pixel's width and half another one
LEAST_M = 0.006  # m that must be left between them: three pixels
ALONG_M = 0.008  # m before and behind the tool that are looked at: what the fingertips cover
MEASURED = 0.5  # share of those pixels that must be measured


def between_fingers(arm: Arm, opening: float, depth: DepthImage | None) -> float:
    """How far what the camera sees between the arm's fingers lies behind its tool, m; NaN where that is not known.

    Args:
        arm: whose wrist camera, of the arm's name, took the image.
        opening: 0..1, of its gripper.
        depth: the image, None for none. A third of its pixels, at most, are looked at: 40 µs.
    """
    half = GRIPPER_STROKE_M * opening - ASIDE_M
    if depth is None or half < LEAST_M / 2.0:
        return float("nan")
    corners = np.array([[0.0, half, -ALONG_M], [0.0, -half, ALONG_M]])
    seen = _CAMERA_FROM_TOOL.apply(corners)
    (left, bottom), (right, top) = BIMANUAL_YAM.camera(arm.name).pinhole.project(seen)
    rows, columns = slice(int(np.floor(top)), int(np.ceil(bottom))), slice(int(np.ceil(left)), int(np.floor(right)))
    return _median_beyond(depth.metres[rows, columns].ravel().astype(np.float64))


def _median_beyond(metres: Floats) -> float:
    measured = metres[np.isfinite(metres)]
    if not len(measured) or len(measured) < MEASURED * len(metres):
        return float("nan")
    return float(np.median(measured)) - _TOOL_DEPTH_M


_CAMERA_FROM_TOOL = TOOL_FROM_WRIST_CAMERA.inverse()
_TOOL_DEPTH_M = float(_CAMERA_FROM_TOOL.translation[2])
