"""The examples of each training step."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lnn.network.types import Array

Batch: TypeAlias = npt.NDArray[np.int64] | None
"""Example indices; None is the full batch, all of them in order."""

STREAM = 1
"""First spawn key of the shuffles' random streams (``initializers`` has 0)."""


def batch_slices(m: int, batch_size: int | None, seed: int, epoch: int) -> list[Batch]:
    """The batches of one epoch, as arrays of example indices; every example is in exactly one, the last may be short.

    ``[None]``, "all examples, in order", for the full batch (``batch_size`` None, or not below m). The shuffle
    depends on (seed, epoch) only, so that every worker and every repetition of an epoch sees the same batches.
    """
    if batch_size is None or batch_size >= m:
        return [None]
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM, epoch))).permutation(m)
    return [order[start : start + batch_size] for start in range(0, m, batch_size)]


def take_examples(X: Array, batch: Batch) -> Array:
    """The batch's columns of X (n, m), in X's order of memory: of features whole examples are copied."""
    if batch is None:
        return X
    examples = X.T
    # ``take`` is twice as fast as an index, but would first copy the whole of an array that is not contiguous.
    return examples.take(batch, axis=0).T if examples.flags.c_contiguous else X.take(batch, axis=1)
