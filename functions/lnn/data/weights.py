"""Weights of training examples: how much each counts in the cost of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lnn.errors import DatasetError

if TYPE_CHECKING:
    import h5py

WEIGHTS = "train_set_w"
"""The dataset's name; a file may have none."""

LARGEST = 1e30
"""As of the numbers to predict: sums of weights stay finite. What trains is relative to their mean."""


def shape_flaw(shape: tuple[int, ...], examples: int) -> str | None:
    """What is wrong with weights of this shape for so many examples; None if nothing is."""
    if shape not in ((examples,), (examples, 1), (1, examples)):
        return f"found shape {shape}; expected ({examples},), a weight for each example in train_set_x"
    return None


def flaw(weights: npt.NDArray[np.float64]) -> str | None:
    """What is wrong with the values of weights (m,); None if nothing is."""
    wrong = np.flatnonzero(~((weights >= 0) & (weights <= LARGEST)))
    if len(wrong):
        return (
            f"found {weights[wrong[0]]:g} at index {wrong[0]} ({len(wrong):,} such values); expected numbers from 0, "
            f"which leaves an example out of the cost, to {LARGEST:g}"
        )
    return None if weights.any() else "found only 0; expected examples that count"


def as_weights(stored: h5py.Dataset) -> npt.NDArray[np.float64]:
    """The weights (m,) that a file has."""
    weights: npt.NDArray[np.float64] = stored[...].ravel().astype(np.float64, copy=False)
    return weights


def relative(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The weights (m,) divided by their mean, so that 1 is what an example without a weight has.

    Raises DatasetError if all are 0: a part of a dataset may have those alone.
    """
    if not weights.any():
        raise DatasetError(
            f"{WEIGHTS}: found a weight of 0 for each of the {len(weights):,} examples that are left to train with; "
            "hold out fewer, or give others a weight"
        )
    shares = weights / weights.max()  # the mean of tiny weights may be 0
    scaled: npt.NDArray[np.float64] = shares / shares.mean()
    return scaled
