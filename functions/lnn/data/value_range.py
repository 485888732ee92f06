"""The value range of pictures: the stored values of black and white, and the divisor for training.

A picture to predict has bytes from 0 to 255. The training examples may have been bytes, floats from 0 to 1, floats from
0 to 255, or others; the range maps a byte to the corresponding stored value.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Range = tuple[float, float]
"""The stored values of black and of white."""

BYTES: Range = (0.0, 255.0)
DIVIDED = (255.0, 65535.0)
"""White of 8 and 16 bits. Floats with this range are converted integers, and are divided by white as uint8 is."""
FULL_SCALES = (1.0, *DIVIDED)
OVERSHOOT = 0.1
"""How far, as a share of the full scale, values may exceed it after resizing with a sharp filter (bicubic, Lanczos)."""
APART = 16.0
"""Training and test values whose magnitudes differ by this factor have different scales."""


def range_of(dtype: npt.DTypeLike, low: float, high: float) -> Range:
    """Black and white of pictures with values from ``low`` to ``high``."""
    if dtype == np.uint8:
        return BYTES
    for white in FULL_SCALES:
        # Dark pictures need not reach white, but one below half of it has another white. Only sharpening passes black.
        least = (1 - OVERSHOOT) * white if low < 0 else 0.0 if white == 1.0 else white / 2
        if -OVERSHOOT * white <= low and least <= high <= (1 + OVERSHOOT) * white:
            return 0.0, white
    if low >= 0:
        return 0.0, high
    return low, high if high > low else low + 1.0


def scale_of(dtype: npt.DTypeLike, value_range: Range | None) -> float:
    """The divisor of ``standardize``, given the range of pictures (None: rows of features)."""
    if dtype == np.uint8:
        return BYTES[1]
    return value_range[1] if value_range is not None and value_range[1] in DIVIDED else 1.0


def bytes_of(values: npt.NDArray[Any], value_range: Range) -> npt.NDArray[np.uint8]:
    """Stored values as bytes, as in a picture file."""
    if values.dtype == np.uint8:
        return values
    black, white = value_range
    shares = (values.astype(np.float64) - black) / (white - black)
    return np.rint(np.clip(shares, 0, 1) * BYTES[1]).astype(np.uint8)


def value_warnings(dtype: npt.DTypeLike, pictures: bool, low: float, high: float) -> Iterator[str]:
    """Warnings about training values from ``low`` to ``high``, each with its fix."""
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
    """A warning if training and test values, each (least, largest), have different scales."""
    largest = [max(abs(low), abs(high)) for low, high in (train, test)]
    if min(largest) > 0 and max(largest) / min(largest) >= APART:
        yield (
            f"found values from {test[0]:g} to {test[1]:g}, and train_set_x goes from {train[0]:g} to {train[1]:g}; "
            "scale both alike"
        )
