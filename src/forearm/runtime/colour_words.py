"""Whether a place in a picture has a colour that a sentence names: what a plan points at must be what was asked for.

Read from the pixels alone, so that a model which misreads a word or a scene does not judge itself. Light may be warm or
dim: colours are compared with the picture's median, which a table fills.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from forearm.messages import Floats, Image
from forearm.sentence import words_of

HUES: Mapping[str, float] = MappingProxyType({"red": 1.0, "yellow": 49.0, "green": 128.0, "blue": 225.0})
"""Degrees round the colour circle, of the paints that the words were taught for."""
GREY = 0.25  # of full saturation: below it a pixel has no hue worth a name; a grey table's have less than 0.1
REACH = 0.025  # of the picture's width to each side of the point: a block's top is 0.08 wide
SHARE = 0.2  # of the pixels there; measured: at least 0.69 on blocks that are asked for, none beside them


def colours_named(sentence: str) -> frozenset[str]:
    """The colours that it names; none when it does not go by colour."""
    return frozenset(words_of(sentence)) & HUES.keys()


def is_coloured(image: Image, point: Floats, colours: frozenset[str]) -> bool:
    """Whether the picture shows one of the colours at `point` (2,), in fractions from the top left.

    A hue counts as the colour that it is nearest to among all that have a word; a place outside shows nothing.
    """
    height, width = image.pixels.shape[:2]
    column, row, reach = int(point[0] * width), int(point[1] * height), round(REACH * width)
    if not (0 <= column < width and 0 <= row < height):
        return False
    white = np.median(image.pixels, axis=(0, 1)).clip(min=1.0)
    patch = image.pixels[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    pixels = (patch / (white / white.mean())).reshape(-1, 3)
    hue, saturation = _hue_and_saturation(pixels)
    apart = np.abs((hue[:, None] - np.array(list(HUES.values())) + 180.0) % 360.0 - 180.0)
    is_named = np.array([name in colours for name in HUES])[apart.argmin(axis=1)]
    return bool((is_named & (saturation > GREY)).mean() >= SHARE)


def _hue_and_saturation(pixels: Floats) -> tuple[Floats, Floats]:
    """(P,) degrees and 0..1 of (P, 3) red, green and blue."""
    red, green, blue = pixels.T
    across, along = np.sqrt(3.0) / 2.0 * (green - blue), red - (green + blue) / 2.0
    return np.degrees(np.arctan2(across, along)), np.hypot(across, along) / pixels.max(axis=1).clip(min=1.0)
