"""The small reasoner's depth map as codes: equal steps over the range that its main camera can see. No torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DEPTH_CODES = 64  # codes over the range below: 14 mm each
DEPTH_RANGE_M = (0.55, 1.45)  # m, nearest and farthest surface of the cell from the top camera


def depth_codes(metres: NDArray[np.float32]) -> NDArray[np.int64]:
    """Codes (...) of depths in m (...), nearest first; -1 where the depth is unknown."""
    near, far = DEPTH_RANGE_M
    fractions = (metres.astype(np.float64) - near) / (far - near)
    codes = np.clip(np.floor(np.nan_to_num(fractions) * DEPTH_CODES), 0, DEPTH_CODES - 1)
    return np.where(np.isnan(metres), -1, codes).astype(np.int64)


def code_metres() -> NDArray[np.float64]:
    """(DEPTH_CODES,) m: the middle of what each code stands for."""
    near, far = DEPTH_RANGE_M
    return near + (np.arange(DEPTH_CODES) + 0.5) / DEPTH_CODES * (far - near)
