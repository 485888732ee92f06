"""A small picture of numbers in a terminal."""

from collections.abc import Iterator

import numpy as np

from lnn.network.types import Array

POSITIVE, NEGATIVE = "░▒▓█", "-=*#"
"""From small to large. They differ in shape, so that they need no color."""
PLAIN_POSITIVE = ".oO@"
"""For terminals that know ASCII only."""


def blocks(values: Array, positive: str = POSITIVE) -> Iterator[str]:
    """A line of text for each row of ``values`` (rows, columns), two characters a number; the largest is the darkest.

    A number below an eighth of the largest, by size, is left blank.
    """
    largest = float(np.abs(values).max(initial=0.0))
    for row in values:
        yield "".join(_block(float(value) / largest if largest else 0.0, positive) * 2 for value in row).rstrip()


def legend(positive: str = POSITIVE) -> str:
    return f"{positive} positive, {NEGATIVE} negative, small to large"


def _block(share: float, positive: str) -> str:
    """``share`` is from -1 to 1; what is no number is a question mark."""
    if np.isnan(share):
        return "?"
    step = round(abs(share) * len(NEGATIVE))
    return " " if step == 0 else (positive if share > 0 else NEGATIVE)[step - 1]
