"""Axes in another order than examples, height, width, channels: what is said, and that the transpose is right."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lnn.data.axis_order import examples_elsewhere, picture_warning


def as_told(x: np.ndarray, text: str, which: int = 0) -> np.ndarray:
    """The array after the first (or another) transpose that the text says to write."""
    found = re.findall(r"x\.T\b|x\.transpose\([\d, ]+\)|x\[\.\.\., :3\]", text)[which]
    return eval(found, {"x": x})  # noqa: S307 - what a reader would paste


PICTURES = np.arange(20 * 6 * 5 * 3).reshape(20, 6, 5, 3)
GRAY = PICTURES[..., 0]
ROWS = PICTURES.reshape(20, -1)

ELSEWHERE = {
    "MATLAB's own file of (m, h, w, c)": (PICTURES.T, 0, PICTURES),
    "MATLAB's own file of (m, h, w)": (GRAY.T, 0, GRAY),
    "an example in each column": (ROWS.T, 0, ROWS),
    "examples last, as in SVHN": (PICTURES.transpose(1, 2, 3, 0), 0, PICTURES),
    "gray examples last": (GRAY.transpose(1, 2, 0), 1, GRAY),
    "examples in the middle": (PICTURES.transpose(1, 0, 2, 3), 0, PICTURES),
}


@pytest.mark.parametrize("order", ELSEWHERE)
def test_examples_along_another_axis_come_with_the_transpose_that_mends_them(order: str) -> None:
    stored, which, expected = ELSEWHERE[order]
    text = examples_elsewhere(stored.shape, 20)
    assert text is not None
    np.testing.assert_array_equal(as_told(stored, text, which), expected)


def test_examples_on_the_first_axis_or_on_none_are_no_matter_of_axes() -> None:
    assert examples_elsewhere((20, 6, 20), 20) is None
    assert examples_elsewhere((21, 6, 5), 20) is None
    assert examples_elsewhere((20,), 20) is None


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_first_come_with_the_transpose(channels: int) -> None:
    pictures = np.arange(2 * 6 * 5 * channels).reshape(2, 6, 5, channels)
    text = picture_warning((channels, 6, 5), matlab=False)
    assert text is not None
    assert "channels first" in text
    np.testing.assert_array_equal(as_told(np.moveaxis(pictures, -1, 1), text), pictures)
    np.testing.assert_array_equal(as_told(pictures.transpose(0, 3, 2, 1), text, 1), pictures)
    assert ("[..., :3]" in text) == (channels == 4)


def test_pictures_with_transparency_come_with_what_leaves_it_out() -> None:
    text = picture_warning((6, 5, 4), matlab=False)
    assert text is not None
    assert "with transparency" in text
    assert as_told(np.zeros((2, 6, 5, 4)), text).shape == (2, 6, 5, 3)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3)])
def test_pictures_as_they_should_be_need_no_words_unless_matlab_wrote_them(shape: tuple[int, ...]) -> None:
    assert picture_warning(shape, matlab=False) is None
    text = picture_warning(shape, matlab=True)
    assert text is not None
    assert as_told(np.zeros((2, *shape)), text).shape == (2, shape[1], shape[0], *shape[2:])
