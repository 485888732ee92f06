"""Predicted classes from probabilities, their accuracy, and the sums that figures of a set of examples come from."""

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np

from lnn.network.types import Array, Labels


class Tally(NamedTuple):
    """Sums over examples: those of parts of a set add up to those of the set."""

    cost: float
    """Of the examples' costs, without L2's penalty; 0 where it was not asked for."""
    correct: int
    """Examples that were predicted right."""

    @classmethod
    def total(cls, parts: Iterable[Self]) -> Self:
        """The sums over all parts, added in their order."""
        return cls(*(sum(values) for values in zip(cls(0.0, 0), *parts, strict=True)))


def predicted_classes(A: Array) -> Labels:
    """Class indices (m,) of an output A: 1 where A (1, m) exceeds one half, or the most probable class of A (K, m)."""
    classes: Labels = (A[0] > 0.5 if A.shape[0] == 1 else A.argmax(axis=0)).astype(np.int64, copy=False)
    return classes


def correct_count(A: Array, Y: Array) -> int:
    """How many of the m examples the output A gets right; Y is the label matrix, of A's shape."""
    return int(np.count_nonzero(predicted_classes(A) == predicted_classes(Y)))


def accuracy(A: Array, y: Labels) -> float:
    """Share of the examples that the output A (1 or K, m) gets right; y (m,) holds class indices."""
    return float(np.mean(predicted_classes(A) == y))
