"""How a model does on examples whose classes are known: accuracy, confusions, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Mistake:
    """An example that the model takes for another class."""

    example: int
    """Its position in the set."""
    label: str
    predicted: str
    probability: float
    """Of the predicted class."""
    probability_of_label: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model made of a set of examples."""

    classes: list[str]
    accuracy: float
    confusion: list[list[int]]
    """[label][predicted] counts examples."""
    mistakes: list[Mistake]
    """The worst first: those whose own class got the least probability."""

    @property
    def examples(self) -> int:
        return sum(map(sum, self.confusion))


def evaluate(
    classes: Sequence[str], probabilities: NDArray[Any], labels: NDArray[np.int64], worst: int | None = None
) -> Evaluation:
    """Probabilities (K, m) against class indices (m,); of the mistakes all, or the ``worst`` so many."""
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
