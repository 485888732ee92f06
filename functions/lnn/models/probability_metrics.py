"""What the probabilities of a classifier are worth: do they order the examples, and do they hold?

All take the probabilities (K, m) of K classes for m examples. The definitions are scikit-learn's; see each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 10
"""Of equal width, in which probabilities are compared with shares."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The examples whose predicted class has a probability above ``low`` and up to ``high``."""

    low: float
    high: float
    examples: int
    confidence: float | None
    """Mean probability of the predicted class; None without examples."""
    accuracy: float | None
    """Share of them that is right; None without examples."""


def roc_auc(scores: NDArray[Any], positive: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve (``roc_auc_score``); None unless both kinds of examples are there.

    It is the share of the pairs of a positive and a negative example in which the positive has the higher of the
    ``scores`` (m,); a tie counts half. Mann and Whitney 1947.
    """
    positives = int(np.count_nonzero(positive))
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # of equal scores their mean
    return float((ranks[places][positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(scores: NDArray[Any], positive: NDArray[np.bool_]) -> float | None:
    """The precision at each score, weighted by what of the recall it adds (``average_precision_score``).

    None without positive examples. A model that orders examples at random has the share of the positive ones.
    """
    positives = int(np.count_nonzero(positive))
    if not positives:
        return None
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # the last of each group of equal scores
    found = np.cumsum(positive[order])[ends]
    return float((np.diff(found, prepend=0) * found / (ends + 1)).sum() / positives)


def log_loss(probabilities: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Mean of -log p of the true class (``log_loss``), whose p is kept from 0 and 1 by its type's epsilon.

    The probabilities of K sigmoid units need not add up to 1 and are divided by their sum.
    """
    of_label = probabilities[labels, np.arange(len(labels))].astype(np.float64)
    sums = probabilities.sum(axis=0, dtype=np.float64)
    epsilon = float(np.finfo(probabilities.dtype).eps)
    shares = np.divide(of_label, sums, out=np.zeros_like(of_label), where=sums > 0)
    return float(-np.log(np.clip(shares, epsilon, 1 - epsilon)).mean())


def reliability(probabilities: NDArray[Any], labels: NDArray[np.int64]) -> list[Bin]:
    """How often the predicted class is right, by its probability (``calibration_curve``, strategy "uniform")."""
    confidence = probabilities.max(axis=0).astype(np.float64)
    right = probabilities.argmax(axis=0) == labels
    edges = np.linspace(0, 1, BINS + 1)
    places = np.searchsorted(edges[1:-1], confidence)
    counts = np.bincount(places, minlength=BINS)
    sums = (np.bincount(places, weights=values, minlength=BINS) for values in (confidence, right))
    rows = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), *(of.tolist() for of in sums), strict=True)
    return [
        Bin(low, high, count, of_confidence / count if count else None, of_right / count if count else None)
        for low, high, count, of_confidence, of_right in rows
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error: mean over the examples of the distance between accuracy and confidence of their bin.

    Naeini, Cooper and Hauskrecht 2015; Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural
    networks".
    """
    distances = [
        one.examples * abs(one.accuracy - one.confidence)
        for one in bins
        if one.accuracy is not None and one.confidence is not None
    ]
    return sum(distances) / sum(one.examples for one in bins)
