"""The jobs: a dataset each, and the parameters of its training."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lnn.data.dataset import inspect_dataset, write_dataset
from lnn.network import batch_slices, init_parameters

SEED = 0

CAT_UNITS = [20, 7, 5, 1]
CAT_LEARNING_RATE = 0.0075
CAT_EXAMPLES, CAT_TEST_EXAMPLES, CAT_SHAPE = 209, 50, (64, 64, 3)
CAT_FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "cat" / "datasets.h5"
"""Beside the repository, since the license of the course's pictures does not allow to distribute them."""

BATCH_EXAMPLES, BATCH_TEST_EXAMPLES, BATCH_FEATURES, BATCH_CLASSES = 60_000, 10_000, 784, 10

TABLE_EXAMPLES, TABLE_FEATURES = 3_000_000, 28


@dataclass(frozen=True, slots=True)
class Job:
    """One job; ``data`` describes its examples in words."""

    name: str
    data: str
    dataset: Path
    features: int
    examples: int
    test_examples: int
    units: list[int]
    output: str
    learning_rate: float
    batch_size: int | None = None
    dtype: str = "float64"

    @property
    def sizes(self) -> list[int]:
        """[n, units of layer 1, ..., units of the output]."""
        return [self.features, *self.units]

    @property
    def activations(self) -> list[str]:
        return ["relu"] * (len(self.units) - 1) + [self.output]

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return -(-self.examples // (self.batch_size or self.examples))

    def parameters(self, epochs: int, **changes: Any) -> dict[str, Any]:
        """The ``parameters.json`` for ``epochs``."""
        layers = range(1, len(self.units) + 1)
        return {
            "epochs": epochs,
            "layers": len(layers),
            "neurons": {f"layer{layer}": self.units[layer - 1] for layer in layers},
            "activations": {f"layer{layer}": self.activations[layer - 1] for layer in layers},
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "dtype": self.dtype,
            "seed": SEED,
        } | changes

    def write_parameters(self, path: Path, epochs: int, **changes: Any) -> Path:
        path.write_text(json.dumps(self.parameters(epochs, **changes)))
        return path

    def write_start(self, path: Path, epochs: int) -> Path:
        """Writes LNN's starting weights and batches, for programs that share no code with it."""
        arrays: dict[str, NDArray[Any]] = {}
        weights = init_parameters(self.sizes, self.activations, "auto", SEED, self.dtype)
        for layer, (W, b) in enumerate(weights, start=1):
            arrays |= {f"W{layer}": W, f"b{layer}": b}
        if self.batch_size:
            epochs_batches = (batch_slices(self.examples, self.batch_size, SEED, epoch + 1) for epoch in range(epochs))
            arrays["order"] = np.array([np.concatenate(batches) for batches in epochs_batches])  # type: ignore[arg-type]
        np.savez(path, **arrays)  # type: ignore[arg-type]
        return path

    def facts(self) -> dict[str, Any]:
        """The job's facts for the report, without paths."""
        return {
            "name": self.name,
            "data": self.data,
            "network": "-".join(map(str, self.sizes)),
            "activations": self.activations,
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "dtype": self.dtype,
            "examples": self.examples,
            "test_examples": self.test_examples,
        }


def cat_job(dataset: Path | None, scratch: Path) -> Job:
    """Cat or no cat, 12288-20-7-5-1: the real pictures in ``dataset``, or synthetic ones without it."""
    if dataset is None:
        dataset, data = scratch / "cat.h5", "synthetic pictures of the cat pictures' shape"
        write_synthetic_cats(dataset)
    else:
        data = "cat pictures (209 for training, 50 for test)"
        summary = inspect_dataset(dataset)
        if (summary.m, summary.m_test, summary.image_shape) != (CAT_EXAMPLES, CAT_TEST_EXAMPLES, CAT_SHAPE):
            raise SystemExit(
                f"{dataset} holds {summary.m} and {summary.m_test} examples of shape {summary.image_shape}; "
                f"expected the cat pictures: {CAT_EXAMPLES} and {CAT_TEST_EXAMPLES} of shape {CAT_SHAPE}"
            )
    features = int(np.prod(CAT_SHAPE))
    return Job("cat", data, dataset, features, CAT_EXAMPLES, CAT_TEST_EXAMPLES, CAT_UNITS, "sigmoid", CAT_LEARNING_RATE)


def batch_job(scratch: Path, examples: int = BATCH_EXAMPLES) -> Job:
    """Mini-batches of 512 on synthetic uint8 data: 784-128-64-10, float32."""
    return synthetic_job(
        scratch,
        "batches",
        examples,
        BATCH_FEATURES,
        [128, 64, BATCH_CLASSES],
        test_examples=BATCH_TEST_EXAMPLES,
        learning_rate=0.05,
        batch_size=512,
        dtype="float32",
    )


def table_job(scratch: Path, examples: int = TABLE_EXAMPLES) -> Job:
    """Many rows of few numbers, as of the Higgs data set: 28-64-32-1, batches of 4,096, float32."""
    return synthetic_job(
        scratch,
        "table",
        examples,
        TABLE_FEATURES,
        [64, 32, 1],
        test_examples=examples // 30,
        learning_rate=0.05,
        batch_size=4096,
        dtype="float32",
    )


def synthetic_job(
    scratch: Path,
    name: str,
    examples: int,
    features: int,
    units: Sequence[int],
    *,
    test_examples: int,
    learning_rate: float,
    batch_size: int | None = None,
    dtype: str = "float64",
) -> Job:
    """A job with a class for each neuron of the output, or two; each has features of its own, under noise."""
    path = scratch / f"{name}-{examples}-{features}-{units[-1]}.h5"
    if not path.exists():
        write_synthetic_classes(path, examples, test_examples, features, max(2, units[-1]))
    return Job(
        name,
        "synthetic: a pattern for each class, under noise",
        path,
        features,
        examples,
        test_examples,
        list(units),
        "sigmoid" if units[-1] == 1 else "softmax",
        learning_rate,
        batch_size,
        dtype,
    )


def write_synthetic_classes(path: Path, examples: int, test_examples: int, features: int, classes: int) -> None:
    """Writes uint8 examples of which four fifths are zero, as in pictures of digits."""
    random = np.random.default_rng(SEED)
    patterns = random.random((classes, features)) < 0.2

    def draw(count: int) -> tuple[NDArray[Any], NDArray[Any]]:
        y = random.integers(0, classes, count)
        x = random.integers(0, 256, (count, features), dtype=np.uint8)
        # A class has its own features more often than others, so some examples look like another class.
        shown = random.random((count, features), dtype=np.float32)
        x[shown > np.where(patterns[y], np.float32(0.25), np.float32(0.15))] = 0
        return x, y

    # Like `write_dataset`, but with the fastest compression: the best takes a minute for the largest job.
    with h5py.File(path, "w") as file:
        for part, count in (("train", examples), ("test", test_examples)):
            x, y = draw(count)
            file.create_dataset(f"{part}_set_x", data=x, compression="gzip", compression_opts=1)
            file.create_dataset(f"{part}_set_y", data=y)
        file.create_dataset("list_classes", data=[f"class {k}" for k in range(classes)])


def write_synthetic_cats(path: Path) -> None:
    """Writes noise with a bright or dark center: of the real pictures' size, and possible to learn."""
    random = np.random.default_rng(SEED)

    def pictures(count: int) -> tuple[NDArray[Any], NDArray[Any]]:
        y = random.integers(0, 2, count)
        x = random.integers(0, 200, (count, *CAT_SHAPE), dtype=np.uint8)
        x[y == 1, 16:48, 16:48] += 55
        return x, y

    write_dataset(path, *pictures(CAT_EXAMPLES), *pictures(CAT_TEST_EXAMPLES), ["other", "cat"])
