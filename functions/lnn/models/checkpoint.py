"""A checkpoint: everything that training goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from lnn.network.types import Parameters, Slots

Array = NDArray[Any]

EXAMPLE_SPACE = "example_space."
"""Prefix of that formulation's arrays in a checkpoint."""

EPOCH_SO_FAR = "epoch_so_far"
"""Name of the array in a checkpoint that holds ``EpochSoFar``; a checkpoint after a whole epoch has none."""


@dataclass(frozen=True, slots=True)
class EpochSoFar:
    """What the first batches of an epoch have come to."""

    batches: int = 0
    cost_sum: float = 0.0
    """Of their costs, each times its batch's examples."""
    correct: int = 0
    """Examples of them that were predicted right before the update."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that training goes on from: the state after ``epoch`` epochs, and what there is of the next."""

    epoch: int
    parameters: Parameters
    slots: Slots
    example_space: Mapping[str, Array] | None = None
    """The first layer as the example-space formulation holds it; None in the plain one."""
    so_far: EpochSoFar = EpochSoFar()

    def stored_as(self, key: str) -> dict[str, Any]:
        """What a run's record says of it."""
        return {"epoch": self.epoch, "batches": self.so_far.batches, "key": key}
