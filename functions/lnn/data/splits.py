"""Which examples are for training and which are held out: drawn class by class, always alike for one seed."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lnn.network.types import Targets


def split_classes(
    labels: npt.NDArray[np.integer], share: float, seed: int
) -> Iterator[tuple[npt.NDArray[np.unsignedinteger], npt.NDArray[np.unsignedinteger]]]:
    """The positions of each class's examples, shuffled: (for training, held out).

    A class of two or more examples keeps at least one on each side; a single one is for training.
    """
    order = np.argsort(labels, kind="stable").astype(np.min_scalar_type(len(labels)))  # half as large, or less
    found, starts = np.unique(labels[order], return_index=True)
    for label, of_class in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
        shuffled = np.random.default_rng([seed, label]).permutation(of_class)
        held_out = _held_out_of(len(of_class), share)
        yield shuffled[held_out:], shuffled[:held_out]


def held_out(labels: Targets, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which of the examples are held out, (m,): of classes (m,) a share of each, of numbers (m, targets) of all."""
    if labels.ndim > 1:
        labels = np.zeros(len(labels), np.int64)
    chosen = np.zeros(len(labels), np.bool_)
    for _, positions in split_classes(labels, share, seed):
        chosen[positions] = True
    return chosen


def held_out_count(counts: Sequence[int], share: float) -> int:
    """How many examples ``held_out`` holds out, given the examples of each class; numbers are as one class."""
    return sum(_held_out_of(count, share) for count in counts)


def _held_out_of(count: int, share: float) -> int:
    return max(0, min(max(1, round(count * share)), count - 1))
