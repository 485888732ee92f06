"""Mean and standard deviation of values that come batch by batch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Figure = float | NDArray[np.float64]
"""Of one feature, or (n,) of n features."""


@dataclass(slots=True)
class Moments:
    """Count, mean and squared distances of the values so far."""

    count: int = 0
    mean: Figure = 0.0
    squares: Figure = 0.0
    """Sum of the squared distances from the mean."""

    def add(self, values: NDArray[np.float64]) -> None:
        """The next values (m,), or rows of features (m, n)."""
        if len(values):
            mean = values.mean(axis=0)
            self.merge(len(values), mean, ((values - mean) ** 2).sum(axis=0))

    def merge(self, count: int, mean: Figure, squares: Figure) -> None:
        """Add values by their figures: Chan, Golub, LeVeque, 1979, "Updating Formulae", (2.1)."""
        total = self.count + count
        apart = mean - self.mean
        self.squares = self.squares + squares + apart * apart * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    @property
    def scale(self) -> Figure:
        """The standard deviation. A constant has 1, as in scikit-learn; its deviation may be a rounding error."""
        deviation = np.sqrt(self.squares / self.count)
        return np.where(deviation <= 10 * np.finfo(np.float64).eps * np.abs(self.mean), 1.0, deviation)
