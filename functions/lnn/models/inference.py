"""Predictions of a trained network, for the prediction API and the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn.data.axis_order import is_picture
from lnn.data.value_range import BYTES, bytes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lnn.data.summary import DatasetSummary
    from lnn.models.model_file import Model


LARGEST = float(np.finfo(np.float32).max)
"""Of the numbers that either precision holds."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers that a model of regression predicts, in the order of its targets."""

    targets: list[str]
    values: list[float]

    @property
    def is_finite(self) -> bool:
        """False where a value is too large to compute with: the network clips it to the largest float."""
        return all(abs(value) < LARGEST for value in self.values)

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON types."""
        return {"values": dict(zip(self.targets, self.values, strict=True))}


@dataclass(frozen=True, slots=True)
class Prediction:
    """Classes with their probabilities, in class order."""

    classes: list[str]
    probabilities: list[float]

    @property
    def is_finite(self) -> bool:
        return all(map(math.isfinite, self.probabilities))

    @property
    def index(self) -> int:
        """Index of the most probable class."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)

    def to_json(self) -> dict[str, Any]:
        """The prediction as JSON types."""
        return {
            "class": self.classes[self.index],
            "index": self.index,
            "probability": self.probabilities[self.index],
            "probabilities": dict(zip(self.classes, self.probabilities, strict=True)),
        }


def column_of_picture(model: Model, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """A picture of the model's ``image_shape`` as one column of X (n,), as the network saw its training examples.

    A model file of an early release has no value range; then a scale of 1 means floats from 0 (black) to 1 (white).
    """
    white_byte = BYTES[1]
    column: NDArray[np.float64]
    if model.value_range is None:
        column = pixels.reshape(-1) / (model.scale if model.scale != 1 else white_byte)
    else:
        black, white = model.value_range
        column = black / model.scale + pixels.reshape(-1) / white_byte * ((white - black) / model.scale)
    return column


def takes_pictures_of(model: Model, summary: DatasetSummary) -> bool:
    """True when the dataset's examples are pictures that the model can predict."""
    return model.image_shape is not None and summary.image_shape is not None and is_picture(summary.image_shape)


def column_of_example(model: Model, summary: DatasetSummary, values: NDArray[Any]) -> NDArray[np.float64]:
    """An example of any dataset that the model fits, (n,) values as stored, as one column of X (n,).

    A picture is converted to bytes first, as a user's picture is: the dataset's values may have another scale than
    those that the model was trained on.
    """
    if summary.value_range is None or not takes_pictures_of(model, summary):
        return column_of_values(model, values)
    return column_of_picture(model, bytes_of(values, summary.value_range))


def column_of_values(model: Model, values: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]:
    """One example, (n,) values as stored in a dataset, as one column of X (n,)."""
    with np.errstate(over="ignore"):
        column: NDArray[np.float64] = np.asarray(values, dtype=np.float64).reshape(-1) / model.scale
    return column


def predict(model: Model, X: NDArray[np.float64]) -> Sequence[Prediction | Numbers]:
    """A prediction for each column of X (n, m). Infinite values may give NaN probabilities or numbers."""
    return named(model, outputs_of(model, X))


def outputs_of(model: Model, X: NDArray[np.float64]) -> NDArray[Any]:
    """Probabilities of the classes (m, K), or numbers (m, targets), for the columns of X (n, m)."""
    with np.errstate(over="ignore", invalid="ignore"):
        outputs: NDArray[Any] = model.predict_proba(X).T
    return outputs


def named(model: Model, outputs: NDArray[Any]) -> Sequence[Prediction | Numbers]:
    """The rows of ``outputs_of`` as predictions."""
    if model.list_targets:
        return [Numbers(model.list_targets, values) for values in outputs.tolist()]
    return [Prediction(model.list_classes, probabilities) for probabilities in outputs.tolist()]
