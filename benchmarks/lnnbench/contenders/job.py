"""A contender's input, and its output."""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lnn.data.hdf5 import open_file

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Job:
    """The data in memory, examples first, and the settings."""

    x: Array
    """(m, n), in the job's dtype"""
    y: Array
    """(m,) class indices"""
    x_test: Array
    y_test: Array
    weights: list[tuple[Array, Array]]
    """(W, b) of each layer: (units, inputs) and (units, 1)"""
    order: Array | None
    """(epochs, m): the examples of each epoch, in the order of the batches"""
    epochs: int
    batch_size: int | None
    learning_rate: float
    accuracies: bool
    """Whether to compute the training and test accuracy in every epoch, as LNN does"""

    def batches(self, epoch: int) -> Iterator[Array | None]:
        """The indices of each batch's examples, for an epoch counted from 0; None means all examples."""
        if self.order is None or self.batch_size is None:
            yield None
            return
        for start in range(0, len(self.x), self.batch_size):
            yield self.order[epoch, start : start + self.batch_size]


def read_job() -> Job:
    """The job that the command line names."""
    parser = argparse.ArgumentParser(description="Train in one process; print seconds and costs as JSON.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("start", type=Path, help=".npz: W1, b1, ... and, for mini-batches, order")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--accuracies", action="store_true")
    arguments = parser.parse_args()
    with open_file(arguments.dataset) as file:
        x, y, x_test, y_test = (
            file.dataset(name)[:] for name in ("train_set_x", "train_set_y", "test_set_x", "test_set_y")
        )
    start = np.load(arguments.start)
    layers = sum(name.startswith("W") for name in start.files)
    return Job(
        x=vectors(x, arguments.dtype),
        y=y.reshape(-1).astype(np.int64),
        x_test=vectors(x_test, arguments.dtype),
        y_test=y_test.reshape(-1).astype(np.int64),
        weights=[(start[f"W{layer}"], start[f"b{layer}"]) for layer in range(1, layers + 1)],
        order=start["order"] if "order" in start.files else None,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.rate,
        accuracies=arguments.accuracies,
    )


def vectors(pictures: Array, dtype: str) -> Array:
    """(m, n), between 0 and 1."""
    x = pictures.reshape(len(pictures), -1).astype(dtype)
    if pictures.dtype == np.uint8:
        x /= 255
    return x


def answer(job: Job, seconds: float, costs: Sequence[float], accuracies: Sequence[tuple[float, float]] = ()) -> None:
    """Prints the result as JSON, which the benchmark reads."""
    train, test = accuracies[-1] if accuracies else (None, None)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "ms_per_epoch": seconds * 1000 / job.epochs,
                "costs": list(costs),
                "train_accuracy": train,
                "test_accuracy": test,
            }
        )
    )
