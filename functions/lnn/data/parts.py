"""The parts of a dataset that a run trains, validates and tests with."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lnn.data.dataset import DatasetSummary, load_labels, load_weights
from lnn.data.splits import held_out
from lnn.data.validation import FEATURES, LABELS, VALIDATION
from lnn.data.weights import relative
from lnn.job.plan import Split
from lnn.network.types import Targets


@dataclass(frozen=True, slots=True)
class Part:
    """The labels of a part, and where a file has its features."""

    y: Targets
    features: str
    """Name of the dataset in the file."""
    chosen: npt.NDArray[np.bool_] | None = None
    """Which of the examples there; None is all."""
    weights: npt.NDArray[np.float64] | None = None
    """Of the examples' losses (m,), whose mean is 1; None where all count alike."""


def parts_of(path: Path, summary: DatasetSummary, share: float | None, seed: int) -> dict[Split, Part]:
    """The parts of a file that ``inspect_dataset`` has passed, where ``share`` of the training set is held out.

    With a share of None the file's own validation set, if it has one, is the part ``validation``. Raises DatasetError
    if the labels cannot be read, or no example that is left to train with has a weight.
    """
    train, test = (Part(load_labels(path, y), x) for x, y in zip(FEATURES, LABELS, strict=True))
    parts: dict[Split, Part] = {"train": train, "test": test}
    if share is not None:
        out = held_out(train.y, share, seed)
        parts["train"] = Part(train.y[~out], train.features, ~out)
        parts["validation"] = Part(train.y[out], train.features, out)
    elif summary.m_validation:
        parts["validation"] = Part(load_labels(path, VALIDATION[1]), VALIDATION[0])
    if summary.weighted:
        weights, chosen = load_weights(path), parts["train"].chosen
        parts["train"] = replace(parts["train"], weights=relative(weights if chosen is None else weights[chosen]))
    return parts
