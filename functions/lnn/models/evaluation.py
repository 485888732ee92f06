"""How a model does on labeled examples: its figures, confusion and mistakes, or the errors of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn.job.class_metrics import ClassMetrics, Interval, OfClass
from lnn.models.probability_metrics import (
    Bin,
    average_precision,
    calibration_error,
    log_loss,
    reliability,
    roc_auc,
)
from lnn.network.metrics import error_sums, errors, variation_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Mistake:
    """An example for which the model predicts a wrong class."""

    example: int
    """Its position in the set."""
    label: str
    predicted: str
    probability: float
    """Of the predicted class."""
    probability_of_label: float


@dataclass(frozen=True, slots=True)
class ClassFigures(OfClass):
    """How a model does on one class."""

    average_precision: float | None
    """Of the class's probability as a score, in a model of two classes; None for more."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of evaluating a model on a set of examples.

    ``lnn.job.class_metrics`` and ``lnn.models.probability_metrics`` define the figures.
    """

    classes: list[str]
    accuracy: float
    accuracy_interval: Interval
    """Of 95% confidence."""
    base_rate: float
    """The accuracy of always answering ``most_frequent``."""
    most_frequent: str
    beats_base_rate: bool
    remark: str | None
    """One line where the model does not beat the base rate."""
    balanced_accuracy: float
    by_class: list[ClassFigures]
    roc_auc: float | None
    """Of two classes; None for more, and where one of them has no example."""
    average_precision: float | None
    """Of the second of two classes, as ``roc_auc``; ``by_class`` has each one's."""
    log_loss: float
    calibration_error: float
    """Expected: mean distance of the predicted class's probability from the share that is right."""
    reliability: list[Bin]
    confusion: list[list[int]]
    """[label][predicted] counts examples."""
    mistakes: list[Mistake]
    """Worst first: sorted by the probability of the true class, lowest first."""

    @property
    def examples(self) -> int:
        return sum(map(sum, self.confusion))


def evaluate(
    classes: Sequence[str], probabilities: NDArray[Any], labels: NDArray[np.int64], worst: int | None = None
) -> Evaluation:
    """Compare probabilities (K, m) with class indices (m,); ``worst`` limits the mistakes that are listed."""
    predicted = probabilities.argmax(axis=0)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    wrong = np.flatnonzero(predicted != labels)
    of_label = probabilities[labels, np.arange(len(labels))]
    ordered = wrong[np.argsort(of_label[wrong], kind="stable")][:worst]
    found = ClassMetrics(
        classes,
        {
            "examples": confusion.sum(axis=1).tolist(),
            "predicted": confusion.sum(axis=0).tolist(),
            "right": confusion.diagonal().tolist(),
        },
    )
    precisions: Sequence[float | None] = [None] * len(classes)
    if len(classes) == 2:
        precisions = [average_precision(of_class, labels == index) for index, of_class in enumerate(probabilities)]
    bins = reliability(probabilities, labels)
    return Evaluation(
        classes=list(classes),
        accuracy=found.accuracy,
        accuracy_interval=found.interval,
        base_rate=found.base_rate,
        most_frequent=found.most_frequent,
        beats_base_rate=found.beats_base_rate,
        remark=found.remark,
        balanced_accuracy=found.balanced_accuracy,
        by_class=[
            ClassFigures(**asdict(one), average_precision=each)
            for one, each in zip(found.by_class, precisions, strict=True)
        ],
        roc_auc=roc_auc(probabilities[1], labels == 1) if len(classes) == 2 else None,
        average_precision=precisions[1] if len(classes) == 2 else None,
        log_loss=log_loss(probabilities, labels),
        calibration_error=calibration_error(bins),
        reliability=bins,
        confusion=confusion.tolist(),
        mistakes=[
            Mistake(
                example=int(index),
                label=classes[labels[index]],
                predicted=classes[predicted[index]],
                probability=float(probabilities[predicted[index], index]),
                probability_of_label=float(of_label[index]),
            )
            for index in ordered
        ],
    )


@dataclass(frozen=True, slots=True)
class TargetErrors:
    """The errors of one predicted number, as ``lnn.network.metrics.Errors`` defines them."""

    target: str
    rmse: float
    mae: float
    r2: float | None
    mean: float
    """Of the true numbers. Who always predicts it has an R2 of 0, and an RMSE of ``deviation``."""
    deviation: float
    """Standard deviation of the true numbers."""


@dataclass(frozen=True, slots=True)
class Miss:
    """An example, one of its true numbers and the number that the model predicts."""

    example: int
    """Its position in the set."""
    target: str
    true: float
    predicted: float


@dataclass(frozen=True, slots=True)
class NumbersEvaluation:
    """The result of evaluating a model of regression on a set of examples."""

    targets: list[TargetErrors]
    rmse: float
    mae: float
    r2: float | None
    examples: int
    mistakes: list[Miss]
    """Largest errors first, each as a share of its target's standard deviation."""


def evaluate_numbers(
    targets: Sequence[str], predicted: NDArray[Any], y: NDArray[np.float64], worst: int | None = None
) -> NumbersEvaluation:
    """Compare predicted numbers (targets, m) with true ones (m, targets); ``worst`` limits the mistakes listed."""
    examples, variation = len(y), variation_of(y)
    of_each = []
    for target, numbers, true, of_true in zip(targets, predicted, y.T, variation, strict=True):
        found = errors(error_sums(numbers[np.newaxis], true[np.newaxis]), examples, [of_true])
        mean, deviation = float(true.mean()), float(true.std())
        of_each.append(TargetErrors(target, found.rmse, found.mae, found.r2, mean, deviation))
    scale = np.array([each.deviation or 1.0 for each in of_each])
    sizes = np.abs(predicted.T - y) / scale
    order = np.argsort(-sizes, axis=None, kind="stable")[:worst]
    mistakes = [
        Miss(int(example), targets[target], float(y[example, target]), float(predicted[target, example]))
        for example, target in zip(*np.unravel_index(order, sizes.shape), strict=True)
    ]
    of_all = errors(error_sums(predicted, y.T), examples, variation)
    return NumbersEvaluation(of_each, *of_all, examples, mistakes)
