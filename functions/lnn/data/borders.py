"""How bright the borders of pictures are: it tells light figures on dark ground from dark figures on light ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn.data.value_range import BYTES, Range

Border = tuple[float, float]
"""Mean and standard deviation, over pictures, of a border's brightness: 0 is black, 1 is white."""

DIGITS = 4
"""Digits that are kept: sums of floats differ in their last ones from machine to machine, and models must not."""


@dataclass(slots=True)
class Borders:
    """Sums over the borders of pictures, as values are stored."""

    pictures: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, pictures: npt.NDArray[Any]) -> None:
        """Count pictures (m, h, w) or (m, h, w, channels)."""
        means = _means(pictures)
        self.pictures += len(means)
        self.total += float(means.sum())
        self.squares += float(np.square(means).sum())

    def border(self, value_range: Range) -> Border | None:
        """None where no pictures were counted."""
        if not self.pictures:
            return None
        black, white = value_range
        mean = self.total / self.pictures
        spread = math.sqrt(max(0.0, self.squares / self.pictures - mean**2))
        return round((mean - black) / (white - black), DIGITS), round(spread / (white - black), DIGITS)


def looks_inverted(pixels: npt.NDArray[np.uint8], border: Border) -> bool:
    """True when nearly all training pictures have a border darker than mid-gray and this one a lighter, or vice versa.

    ``pixels`` are (h, w) or (h, w, channels). Of training pictures with all kinds of borders, as photographs have
    them, none looks inverted.
    """
    mean, spread = border
    brightness = float(_means(pixels[np.newaxis])[0]) / BYTES[1]
    return brightness > 0.5 > mean + 2 * spread or brightness < 0.5 < mean - 2 * spread


def _means(pictures: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The mean of each picture's outermost pixels, (m,)."""
    rows, columns = pictures[:, [0, -1]], pictures[:, 1:-1, [0, -1]]
    parts = [part.reshape(len(pictures), -1) for part in (rows, columns)]
    means: npt.NDArray[np.float64] = np.concatenate(parts, axis=1).mean(axis=1, dtype=np.float64)
    return means
