"""A curve in one line of text."""

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-=#"
"""For terminals that know ASCII only."""


def sparkline(values: Sequence[float], width: int, steps: str = BLOCKS) -> str:
    """The values, first to last, in ``width`` characters at most: the lowest is the first of ``steps``.

    More values than characters are averaged; a value that is no finite number leaves a blank.
    """
    if not values or width < 1:
        return ""
    means = [_mean(part) for part in _parts(values, min(width, len(values)))]
    known = [mean for mean in means if math.isfinite(mean)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join(_step(mean, low, high, steps) for mean in means)


def _parts(values: Sequence[float], count: int) -> list[Sequence[float]]:
    edges = [round(place * len(values) / count) for place in range(count + 1)]
    return [values[start:stop] for start, stop in pairwise(edges)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _step(value: float, low: float, high: float, steps: str) -> str:
    if not math.isfinite(value):
        return " "
    if high == low:
        return steps[0]
    return steps[min(int((value - low) / (high - low) * len(steps)), len(steps) - 1)]
