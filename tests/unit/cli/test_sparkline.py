"""Curves in a line of text."""

from __future__ import annotations

import pytest

from lnn_cli.ui.sparkline import BLOCKS, PLAIN, sparkline


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 10, ""),
        ([1.0], 10, "▁"),
        ([2.0, 2.0, 2.0], 10, "▁▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, BLOCKS),
        ([7, 6, 5, 4, 3, 2, 1, 0], 8, BLOCKS[::-1]),
        ([0, 10], 0, ""),
        ([3.0, float("nan"), 1.0, float("inf")], 4, "█ ▁ "),
    ],
)
def test_a_line_has_the_lowest_value_low_and_the_highest_high(values: list[float], width: int, line: str) -> None:
    assert sparkline(values, width) == line


def test_many_values_are_averaged_into_the_width_that_there_is() -> None:
    line = sparkline([float(value) for value in range(10_000)], 8)
    assert line == BLOCKS


def test_a_plain_line_is_ascii() -> None:
    assert sparkline([0, 1, 2, 3, 4], 5, PLAIN) == PLAIN
    assert sparkline([0, 1, 2, 3, 4], 5, PLAIN).isascii()
