"""Which examples are for training and which for testing: drawn class by class, always alike for one seed."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def split_classes(
    labels: NDArray[np.integer], test_share: float, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The positions of each class's examples, shuffled: (for training, for testing).

    A class of two or more examples keeps at least one on each side; a single one is for training.
    """
    order = np.argsort(labels, kind="stable")
    found, starts = np.unique(labels[order], return_index=True)
    for label, of_class in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
        shuffled = np.random.default_rng([seed, label]).permutation(of_class)
        held_out = min(max(1, round(len(of_class) * test_share)), len(of_class) - 1)
        yield shuffled[held_out:], shuffled[:held_out]
