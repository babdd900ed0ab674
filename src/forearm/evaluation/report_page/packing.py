"""Arrays and pictures as what fits into a JSON text inside a page."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Json = dict[str, Any]


def in_base64(data: bytes) -> str:
    """The bytes as text."""
    return base64.b64encode(data).decode("ascii")


def millimetres(metres: NDArray[Any]) -> str:
    """Any shape of lengths in m as little-endian uint16 mm in base64; 0 where nothing is known, 65.5 m at the most."""
    rounded = np.clip(np.nan_to_num(metres, nan=0.0, posinf=0.0, neginf=0.0) * 1000.0, 0.0, 65535.0)
    return in_base64(np.rint(rounded).astype("<u2").tobytes())


def numbers(values: NDArray[Any], decimals: int) -> Any:
    """Nested lists of rounded numbers, None where one is not finite: JSON has no NaN."""
    rounded = np.round(values, decimals).astype(object)
    rounded[np.logical_not(np.isfinite(values))] = None
    return rounded.tolist()


def number(value: float, decimals: int) -> float | None:
    """A rounded number, None where it is not finite."""
    return round(value, decimals) if math.isfinite(value) else None


def thinned(count: int, most: int) -> list[int]:
    """Indices of at most `most` of `count` items, evenly spread, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)] if most > 1 else [0]
