"""What a trained network says about examples: for the prediction API and the command line alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lnn.artifacts import Model

WHITE = 255.0
"""The largest value of a picture's 8 bits."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Classes with their probabilities, in class order."""

    classes: list[str]
    probabilities: list[float]

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
    """A picture of the model's ``image_shape`` as one column of X (n,), on the scale that the model was trained on.

    Models of float data carry scale 1, and float pictures run from 0 to 1 by convention: so theirs is 255 too.
    """
    column: NDArray[np.float64] = pixels.reshape(-1) / (model.scale if model.scale != 1 else WHITE)
    return column


def column_of_values(model: Model, values: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]:
    """An example as its dataset holds it, (n,) values, as one column of X (n,)."""
    with np.errstate(over="ignore"):
        column: NDArray[np.float64] = np.asarray(values, dtype=np.float64).reshape(-1) / model.scale
    return column


def predict(model: Model, columns: Sequence[NDArray[np.float64]]) -> list[Prediction]:
    """What the model says about each column (n,); of infinite values it may say NaN."""
    with np.errstate(invalid="ignore"):
        probabilities = model.predict_proba(np.stack(columns, axis=1))
    return [
        Prediction(model.list_classes, [float(p) for p in probabilities[:, position]])
        for position in range(len(columns))
    ]
