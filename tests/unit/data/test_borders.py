"""How bright the borders of pictures are."""

from __future__ import annotations

import numpy as np
import pytest

from lnn.data.borders import Border, Borders, looks_inverted


def framed(frame: int, inside: int, shape: tuple[int, ...] = (5, 4)) -> np.ndarray:
    picture = np.full(shape, frame, np.uint8)
    picture[1:-1, 1:-1] = inside
    return picture


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_the_outermost_pixels_count_and_no_others(shape: tuple[int, ...]) -> None:
    borders = Borders()
    borders.add(np.stack([framed(0, 255, shape), framed(51, 7, shape)]))
    borders.add(framed(102, 0, shape)[np.newaxis])
    assert borders.border((0.0, 255.0)) == (0.2, pytest.approx(np.std([0.0, 0.2, 0.4]), abs=1e-4))


def test_a_pixel_counts_once() -> None:
    picture = framed(0, 0)
    picture[0, 0] = 140
    borders = Borders()
    borders.add(picture[np.newaxis])
    assert borders.border((0.0, 1.0)) == (10.0, 0.0)


def test_brightness_is_a_share_of_the_range() -> None:
    borders = Borders()
    borders.add(np.full((2, 3, 3), 0.5))
    assert borders.border((-1.0, 1.0)) == (0.75, 0.0)


def test_without_pictures_there_is_no_border() -> None:
    assert Borders().border((0.0, 1.0)) is None


@pytest.mark.parametrize(
    ("border", "brightness", "expected"),
    [
        ((0.1, 0.05), 240, True),
        ((0.1, 0.05), 30, False),
        ((0.9, 0.05), 30, True),
        ((0.9, 0.05), 240, False),
        ((0.4, 0.2), 240, False),
        ((0.6, 0.2), 30, False),
    ],
)
def test_a_light_border_among_dark_ones_looks_inverted(border: Border, brightness: int, expected: bool) -> None:
    assert looks_inverted(framed(brightness, 128), border) is expected
