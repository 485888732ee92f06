"""Predicted classes and their accuracy, errors of predicted numbers, and the sums that both come from."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np

from lnn.network.types import Array, Labels, Targets


class Tally(NamedTuple):
    """Sums over examples: those of parts of a set add up to those of the set."""

    cost: float
    """Of the examples' costs, without L2's penalty; 0 where it was not asked for."""
    correct: int
    """Examples whose class was predicted; 0 in regression."""
    squared: tuple[float, ...] = ()
    """Sum of the squared errors of each target; empty in classification."""
    absolute: tuple[float, ...] = ()
    """Sum of the absolute errors of each target; empty in classification."""

    @classmethod
    def total(cls, parts: Iterable[Self]) -> Self:
        """The sums over all parts, added in their order."""
        costs, counts, squared, absolute = zip(cls(0.0, 0), *parts, strict=True)
        return cls(sum(costs), sum(counts), added(*squared), added(*absolute))


class Errors(NamedTuple):
    """The errors of predicted numbers, as scikit-learn defines them, with all targets weighted alike."""

    rmse: float
    """Root of the mean squared error over examples and targets (``mean_squared_error``)."""
    mae: float
    """Mean absolute error over examples and targets (``mean_absolute_error``)."""
    r2: float | None
    """Coefficient of determination, mean over the targets (``r2_score``); None where a target is constant."""


def predicted_classes(A: Array) -> Labels:
    """Class indices (m,) of an output A: 1 where A (1, m) exceeds one half, or the most probable class of A (K, m)."""
    classes: Labels = (A[0] > 0.5 if A.shape[0] == 1 else A.argmax(axis=0)).astype(np.int64, copy=False)
    return classes


def correct_count(A: Array, Y: Array) -> int:
    """How many of the m examples the output A gets right; Y is the label matrix, of A's shape."""
    return int(np.count_nonzero(predicted_classes(A) == predicted_classes(Y)))


def class_counts(A: Array, y: Labels) -> Labels:
    """Counts of examples by class, (3, K): true, predicted, and both; those of parts of a set add up.

    A (1 or K, m) is the output; y (m,) holds class indices.
    """
    classes, predicted = max(2, len(A)), predicted_classes(A)
    counts = [np.bincount(of, minlength=classes) for of in (y, predicted, y[predicted == y])]
    return np.stack(counts).astype(np.int64, copy=False)


def accuracy(A: Array, y: Labels) -> float:
    """Share of the examples that the output A (1 or K, m) gets right; y (m,) holds class indices."""
    return float(np.mean(predicted_classes(A) == y))


def error_sums(A: Array, Y: Targets) -> Tally:
    """The errors of a linear output A (targets, m) against Y of the same shape, summed in float64; no cost."""
    with np.errstate(over="ignore", invalid="ignore"):  # a training that diverges overflows on its way
        error = A.astype(np.float64, copy=False) - Y
        squared, absolute = np.square(error).sum(axis=1), np.abs(error).sum(axis=1)
    return Tally(0.0, 0, tuple(squared.tolist()), tuple(absolute.tolist()))


def errors(sums: Tally, examples: int, variation: Sequence[float]) -> Errors:
    """RMSE, MAE and R2 of so many examples, given ``variation_of`` their targets.

    R2 of a target is 1 - squared / variation. A variation of 0 leaves nothing to explain, so R2 is undefined there.
    """
    values = examples * len(sums.squared)
    r2 = None
    if all(variation):
        r2 = 1 - sum(square / of for square, of in zip(sums.squared, variation, strict=True)) / len(variation)
    return Errors(math.sqrt(sum(sums.squared) / values), sum(sums.absolute) / values, r2)


def variation_of(y: Targets) -> list[float]:
    """Each target's sum of squared deviations from its mean, of y (m, targets); exactly 0 where it is constant."""
    changes = (y != y[0]).any(axis=0)
    squares = np.square(y - y.mean(axis=0)).sum(axis=0)
    return [float(square) if changing else 0.0 for square, changing in zip(squares, changes, strict=True)]


def added(*parts: tuple[float, ...]) -> tuple[float, ...]:
    """Sums by target, added in their order; a part without examples has no targets either."""
    return tuple(map(sum, zip(*filter(None, parts), strict=True)))
