"""A checkpoint: the complete state from which training continues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from lnn.network import Tally
from lnn.network.types import AnyArray, Parameters, Slots

if TYPE_CHECKING:
    from lnn.runs.attributes import CheckpointPointer

EXAMPLE_SPACE = "example_space."
"""Prefix of that formulation's arrays in a checkpoint."""

BEST = "best"
"""Name of the array in a checkpoint that holds ``Best``, and prefix of those of its parameters."""

EPOCH_SO_FAR = "epoch_so_far"
"""Name of the array in a checkpoint that holds ``EpochSoFar``; a checkpoint after a whole epoch has none."""


@dataclass(frozen=True, slots=True)
class EpochSoFar:
    """Sums over the batches of an epoch that are done."""

    batches: int = 0
    cost_sum: float = 0.0
    """Sum of the batches' costs, each multiplied by its number of examples."""
    correct: int = 0
    """Examples predicted correctly before their batch's update."""
    seconds: float = 0.0
    squared: tuple[float, ...] = ()
    """Squared errors of each target before their batch's update; empty in classification, as ``absolute``."""
    absolute: tuple[float, ...] = ()

    @classmethod
    def of(cls, stored: AnyArray) -> Self:
        """The inverse of ``as_array``."""
        batches, cost_sum, correct, seconds, *sums = stored.tolist()
        targets = len(sums) // 2
        return cls(int(batches), cost_sum, int(correct), seconds, tuple(sums[:targets]), tuple(sums[targets:]))

    def as_array(self) -> AnyArray:
        """All figures in a row, as float64: counts are exact below 2^53."""
        figures = (self.batches, self.cost_sum, self.correct, self.seconds, *self.squared, *self.absolute)
        return np.array(figures, np.float64)

    @property
    def seen(self) -> Tally:
        """The sums over the examples, without the cost."""
        return Tally(0.0, self.correct, self.squared, self.absolute)


class Best(NamedTuple):
    """The epoch with the lowest validation cost so far."""

    epoch: int
    cost: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after ``epoch`` whole epochs and ``so_far.batches`` batches of the next one."""

    epoch: int
    parameters: Parameters
    slots: Slots
    example_space: Mapping[str, AnyArray] | None = None
    """The first layer as the example-space formulation holds it; None in the plain one."""
    so_far: EpochSoFar = EpochSoFar()
    best: Best | None = None
    """None in a run without a validation set, and before its first epoch has ended."""
    best_parameters: Parameters | None = None
    """Those after epoch ``best.epoch``; None where the run keeps the last ones."""

    @property
    def model(self) -> Parameters:
        """The parameters of the model, if the run ends here."""
        return self.best_parameters or self.parameters

    def stored_as(self, key: str, cost: float | None = None) -> CheckpointPointer:
        """The reference to this checkpoint in a run's record; ``cost`` is that of its last whole epoch."""
        return {"epoch": self.epoch, "batches": self.so_far.batches, "key": key, "cost": cost}
