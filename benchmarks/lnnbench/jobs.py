"""The trainings that are timed: a dataset, and the parameters to train it with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lnn.dataset import inspect_dataset, write_dataset

CAT_SIZES = [12288, 20, 7, 5, 1]
CAT_ACTIVATIONS = ["relu", "relu", "relu", "sigmoid"]
CAT_LEARNING_RATE = 0.0075
CAT_EXAMPLES, CAT_TEST_EXAMPLES, CAT_SHAPE = 209, 50, (64, 64, 3)


@dataclass(frozen=True, slots=True)
class Job:
    """One training; ``data`` says in words what it is trained on."""

    name: str
    data: str
    dataset: Path
    sizes: list[int]
    activations: list[str]
    learning_rate: float
    dtype: str = "float64"

    def parameters(self, epochs: int, **changes: Any) -> dict[str, Any]:
        """The ``parameters.json`` for so many epochs on the full batch."""
        layers = range(1, len(self.sizes))
        return {
            "epochs": epochs,
            "layers": len(layers),
            "neurons": {f"layer{layer}": self.sizes[layer] for layer in layers},
            "activations": {f"layer{layer}": self.activations[layer - 1] for layer in layers},
            "learning_rate": self.learning_rate,
            "batch_size": None,
            "dtype": self.dtype,
        } | changes

    def facts(self) -> dict[str, Any]:
        """What the report says of it; no path."""
        summary = inspect_dataset(self.dataset)
        return {
            "name": self.name,
            "data": self.data,
            "network": "-".join(map(str, self.sizes)),
            "activations": self.activations,
            "learning_rate": self.learning_rate,
            "batch_size": None,
            "dtype": self.dtype,
            "examples": summary.m,
            "test_examples": summary.m_test,
        }

    def write_parameters(self, path: Path, epochs: int, **changes: Any) -> Path:
        path.write_text(json.dumps(self.parameters(epochs, **changes)))
        return path


def cat_job(dataset: Path | None, scratch: Path) -> Job:
    """Cat or no cat, 12288-20-7-5-1: on the real pictures if ``dataset`` names them, else on made-up ones."""
    if dataset is None:
        dataset, data = scratch / "datasets.h5", "synthetic pictures of the same shape"
        write_synthetic_cats(dataset)
    else:
        data = "cat pictures (209 for training, 50 for test)"
        summary = inspect_dataset(dataset)
        if (summary.m, summary.m_test, summary.image_shape) != (CAT_EXAMPLES, CAT_TEST_EXAMPLES, CAT_SHAPE):
            raise SystemExit(
                f"{dataset} holds {summary.m} and {summary.m_test} examples of shape {summary.image_shape}; "
                f"expected the cat pictures: {CAT_EXAMPLES} and {CAT_TEST_EXAMPLES} of shape {CAT_SHAPE}"
            )
    return Job("cat", data, dataset, CAT_SIZES, CAT_ACTIVATIONS, CAT_LEARNING_RATE)


def write_synthetic_cats(path: Path) -> None:
    """Noise with a bright or a dark centre: as many bytes as the real pictures, and something to learn."""
    random = np.random.default_rng(0)

    def pictures(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        y = random.integers(0, 2, count)
        x = random.integers(0, 200, (count, *CAT_SHAPE), dtype=np.uint8)
        x[y == 1, 16:48, 16:48] += 55
        return x, y

    write_dataset(path, *pictures(CAT_EXAMPLES), *pictures(CAT_TEST_EXAMPLES), ["other", "cat"])
