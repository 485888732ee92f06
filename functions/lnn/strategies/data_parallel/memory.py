"""The memory of one worker of ``data``: what it needs in any case, and how many of its examples the rest may hold."""

import math

from lnn.planning import memory

BLOCK_MB = 64
"""A block of training examples with what the layers make of it, about 32 MB, one of test examples, 8 MB, and up to 24
MB of examples for mini-batches."""

LABELS_AND_ORDER = 32
"""Bytes for each training example of the whole set: labels (8), weights (8), an epoch's shuffled order (16)."""

LEAST_HELD_MB = 24
"""Of the own examples, held in memory whatever its size: a part of ``BLOCK_MB``."""

RESERVE = 0.15
"""Share of a function's memory that examples leave free: Lambda ends a function that goes beyond its memory."""


def needed_mb(
    *, parameters: int, slots: int, best_parameters: int, parts: int, features: int, examples: int, item: int
) -> int:
    """For the parameters a few times, labels, one block of examples: whatever the workers.

    Flat parameters, gradient and one more for each further part of a batch, pieces sent and received, slots, and the
    best epoch's; in worker 0 a checkpoint as it is serialized. ``examples`` are those of the whole training set,
    ``item`` the bytes of a value.
    """
    values = (6 + parts + 3 * slots) * parameters + 3 * best_parameters
    wide = 2 * features  # a block has one example at least
    labels = LABELS_AND_ORDER * examples / 2**20
    return memory.RUNTIME_MB + memory.SHARD_MB + BLOCK_MB + math.ceil((values + wide) * item / 2**20 + labels)


def held_mb(memory_mb: int, needed: int) -> int:
    """How much of the own examples a function of so much memory holds, given ``needed_mb``."""
    return LEAST_HELD_MB + max(0, math.floor(memory_mb * (1 - RESERVE)) - needed)
