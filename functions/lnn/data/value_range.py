"""What the stored values of pictures mean: which is black, which is white, and what training divides them by.

A picture for a prediction comes as bytes, from 0 to 255. What the network was trained on may have been bytes, floats
from 0 to 1, floats from 0 to 255, or anything else; the range says which of them a byte stands for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Range = tuple[float, float]
"""The stored values of black and of white."""

BYTES: Range = (0.0, 255.0)
DIVIDED = (255.0, 65535.0)
"""White of 8 and of 16 bits: floats that reach so far are integers that were converted, and are divided as uint8 is."""
FULL_SCALES = (1.0, *DIVIDED)
OVERSHOOT = 0.1
"""Resizing with a sharp filter (bicubic, Lanczos) leaves values so far outside of the full scale, as a share of it."""
APART = 16.0
"""Training and test values whose sizes differ by this factor were not scaled alike."""


def range_of(dtype: npt.DTypeLike, low: float, high: float) -> Range:
    """Black and white of pictures whose values go from ``low`` to ``high``."""
    if dtype == np.uint8:
        return BYTES
    for white in FULL_SCALES:
        # Dark pictures need not reach white, but those below half of it have another. Only sharpening passes black.
        least = (1 - OVERSHOOT) * white if low < 0 else 0.0 if white == 1.0 else white / 2
        if -OVERSHOOT * white <= low and least <= high <= (1 + OVERSHOOT) * white:
            return 0.0, white
    if low >= 0:
        return 0.0, high
    return low, high if high > low else low + 1.0


def scale_of(dtype: npt.DTypeLike, value_range: Range | None) -> float:
    """What ``standardize`` divides by, given the range of pictures (None: rows of features)."""
    if dtype == np.uint8:
        return BYTES[1]
    return value_range[1] if value_range is not None and value_range[1] in DIVIDED else 1.0


def bytes_of(values: npt.NDArray[Any], value_range: Range) -> npt.NDArray[np.uint8]:
    """Stored values as a picture's bytes: what a picture file of them would hold."""
    if values.dtype == np.uint8:
        return values
    black, white = value_range
    shares = (values.astype(np.float64) - black) / (white - black)
    return np.rint(np.clip(shares, 0, 1) * BYTES[1]).astype(np.uint8)


def value_warnings(dtype: npt.DTypeLike, pictures: bool, low: float, high: float) -> Iterator[str]:
    """What is odd about training values from ``low`` to ``high``, each with its cure."""
    if dtype == np.uint8:
        if high == 1:
            yield (
                "found uint8 whose largest value is 1, and training divides uint8 by 255, which leaves almost nothing; "
                'save it as .astype("float32"), or floats of 0 to 1 that were cut off as (x * 255).astype("uint8")'
            )
        elif pictures and 1 < high < BYTES[1] / 2:
            yield (
                f"found uint8 whose largest value is {high:g}, and white is 255 in pictures to predict; if it is "
                f'{high:g} here, save (x * (255 / {high:g})).astype("uint8")'
            )
    elif pictures:
        yield from _float_warnings(low, high)


def _float_warnings(low: float, high: float) -> Iterator[str]:
    black, white = range_of(np.float64, low, high)
    if black < 0:
        yield (
            f"found float pictures from {low:g} to {high:g}: for predictions {black:g} is taken for black and "
            f"{white:g} for white, which is wrong if channels were moved or scaled apart; save them as uint8, or "
            "from 0 (black) to 1 (white)"
        )
    elif white not in FULL_SCALES:
        yield (
            f"found float pictures from {low:g} to {high:g}: {white:g} is taken for white, and training does not "
            f"divide by it; save x / {white:g}, from 0 (black) to 1 (white)"
        )
    elif white == 1.0 and 0 < high < 2 / BYTES[1]:
        yield (
            f"found float pictures whose largest value is {high:g}, and white is 1 in pictures to predict; if they "
            "were divided twice, save x * 255"
        )


def apart_warnings(train: Range, test: Range) -> Iterator[str]:
    """Whether training and test values, from least to largest, were scaled alike."""
    largest = [max(abs(low), abs(high)) for low, high in (train, test)]
    if min(largest) > 0 and max(largest) / min(largest) >= APART:
        yield (
            f"found values from {test[0]:g} to {test[1]:g}, and train_set_x goes from {train[0]:g} to {train[1]:g}; "
            "scale both alike"
        )
