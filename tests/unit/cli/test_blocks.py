"""Numbers as a small picture in text."""

from __future__ import annotations

import numpy as np

from lnn_cli.ui.blocks import NEGATIVE, PLAIN_POSITIVE, POSITIVE, blocks, legend


def test_the_largest_is_the_darkest_and_the_sign_shows() -> None:
    values = np.array([[4.0, 1.0, 0.2], [-4.0, -2.0, 0.0]])
    assert list(blocks(values)) == ["██░░", "##=="]
    assert list(blocks(values, PLAIN_POSITIVE)) == ["@@..", "##=="]


def test_no_numbers_and_no_size_are_no_error() -> None:
    assert list(blocks(np.zeros((2, 2)))) == ["", ""]
    assert list(blocks(np.array([[np.nan, 1.0]]))) == ["????"]


def test_the_legend_has_every_step() -> None:
    assert len(POSITIVE) == len(NEGATIVE) == len(PLAIN_POSITIVE)
    assert set(POSITIVE + NEGATIVE) < set(legend())
