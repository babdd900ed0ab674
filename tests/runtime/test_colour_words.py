"""The colour of a place is told from the pixels alone, in any light, and only where a sentence goes by colour."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forearm.cell.variation import COLOURS, TABLE
from forearm.messages import Floats, Image
from forearm.runtime.colour_words import HUES, colours_named, is_coloured

SIDE = 120  # px
AT: Floats = np.array([0.5, 0.5])
NAMES = sorted(COLOURS)


def picture(name: str, light: tuple[float, float, float] = (1.0, 1.0, 1.0), size: int = 8, noise: float = 0.0) -> Image:
    """A block of that colour in the middle of the table, `size` px wide."""
    pixels = np.full((SIDE, SIDE, 3), TABLE[:3])
    low, high = SIDE // 2 - size // 2, SIDE // 2 + size // 2 + 1
    pixels[low:high, low:high] = COLOURS[name][:3]
    pixels = pixels * light + noise * np.random.default_rng(0).standard_normal(pixels.shape)
    return Image(stamp_ns=0, pixels=(255 * pixels).clip(0, 255).astype(np.uint8))


def test_every_colour_that_a_task_names_has_a_hue() -> None:
    assert HUES.keys() == COLOURS.keys()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "light",
    [(1.0, 1.0, 1.0), (0.3, 0.3, 0.3), (1.2, 1.0, 0.6), (0.75, 0.95, 1.25)],
    ids=["as ever", "dim", "warm", "cold"],
)
def test_a_block_has_its_own_colour_and_no_other_in_any_light(name: str, light: tuple[float, float, float]) -> None:
    image = picture(name, light, noise=0.02)
    assert [each for each in NAMES if is_coloured(image, AT, frozenset({each}))] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_the_table_beside_a_block_has_none_of_the_colours(name: str) -> None:
    assert not is_coloured(picture(name, noise=0.02), np.array([0.3, 0.6]), frozenset(NAMES))


def test_one_of_several_colours_is_enough() -> None:
    assert is_coloured(picture("blue"), AT, frozenset({"red", "blue"}))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_place_outside_the_picture_has_no_colour(x: float, y: float) -> None:
    outside = not (0 <= int(x * SIDE) < SIDE and 0 <= int(y * SIDE) < SIDE)
    whole = Image(stamp_ns=0, pixels=np.tile(np.array([180, 190, 20], np.uint8), (SIDE, SIDE, 1)))
    if outside:
        assert not is_coloured(whole, np.array([x, y]), frozenset(NAMES))


def test_black_pixels_are_no_colour_and_no_error() -> None:
    black = Image(stamp_ns=0, pixels=np.zeros((SIDE, SIDE, 3), np.uint8))
    assert not is_coloured(black, AT, frozenset(NAMES))


def test_colours_are_read_from_the_sentence_whatever_else_it_says() -> None:
    assert colours_named("Put the RED block, please, in the box!") == {"red"}
    assert colours_named("stack the green block on the blue block") == {"green", "blue"}
    assert colours_named("lift the tray with both arms") == frozenset()
    assert colours_named("take the reddish one") == frozenset()
