"""Which examples are for training and which are held out: drawn class by class, always alike for one seed."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lnn.network.types import Targets

CHUNK = 2**17
"""Labels that are sorted at once: sorting all takes 30 bytes for each, and there may be many millions."""


def held_out(labels: Targets, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which of the examples are held out, (m,): of classes (m,) a share of each, of numbers (m, targets) of all.

    A class of two or more examples keeps at least one on each side; a single one is for training. It takes about
    5 bytes for each example while it draws.
    """
    if labels.ndim > 1:
        labels = np.zeros(len(labels), np.int8)
    chosen = np.zeros(len(labels), np.bool_)
    for label, positions in _classes(labels):
        np.random.default_rng([seed, label]).shuffle(positions)
        drawn = positions[: _held_out_of(len(positions), share)]
        for start in range(0, len(drawn), CHUNK):  # numpy makes 8 bytes of every index
            chosen[drawn[start : start + CHUNK]] = True
    return chosen


def _classes(labels: npt.NDArray[np.integer]) -> Iterator[tuple[int, npt.NDArray[np.unsignedinteger]]]:
    """Each class in order, with the positions of its examples in order."""
    chunks = range(0, len(labels), CHUNK)
    counts: Counter[int] = Counter()
    for at in chunks:
        found, numbers = np.unique(labels[at : at + CHUNK], return_counts=True)
        counts.update(dict(zip(found.tolist(), numbers.tolist(), strict=True)))
    classes = sorted(counts)
    starts = np.cumsum([0, *(counts[label] for label in classes)]).tolist()
    ends = dict(zip(classes, starts[:-1], strict=True))
    positions = np.empty(len(labels), np.min_scalar_type(len(labels)))
    for at in chunks:
        chunk = labels[at : at + CHUNK]
        order = np.argsort(chunk, kind="stable")
        found, first = np.unique(chunk[order], return_index=True)
        for label, of_class in zip(found.tolist(), np.split(order, first[1:]), strict=True):
            end = ends[label]
            ends[label] = end + len(of_class)
            positions[end : ends[label]] = of_class + at
    for label, start, end in zip(classes, starts[:-1], starts[1:], strict=True):
        yield label, positions[start:end]


def held_out_count(counts: Sequence[int], share: float) -> int:
    """How many examples ``held_out`` holds out, given the examples of each class; numbers are as one class."""
    return sum(_held_out_of(count, share) for count in counts)


def _held_out_of(count: int, share: float) -> int:
    return max(0, min(max(1, round(count * share)), count - 1))
