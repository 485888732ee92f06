"""A model's accuracy, confusion matrix and worst mistakes on labeled examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
class Evaluation:
    """The result of evaluating a model on a set of examples."""

    classes: list[str]
    accuracy: float
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
    return Evaluation(
        classes=list(classes),
        accuracy=float(np.mean(predicted == labels)),
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
