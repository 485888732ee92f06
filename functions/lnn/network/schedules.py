"""Learning rate schedules: which share of the learning rate an update takes, from the update's number alone.

Nothing is kept between updates, so a run that another process continues goes on with the same rates.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SCHEDULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"constant": (), "step": ("every", "factor"), "exponential": ("factor",), "cosine": ()}
)
"""The kinds of schedules, each with the keys that it needs."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule counts whole epochs after its warm-up, as PyTorch's schedulers do that step once an epoch.

    constant:     1
    step:         factor^(epochs // every)      (PyTorch's StepLR)
    exponential:  factor^epochs      (ExponentialLR)
    cosine:       (1 + cos(pi epochs / all)) / 2      (Loshchilov, Hutter 2017, "SGDR", eq. 5; CosineAnnealingLR)
    """

    kind: str
    every: int = 1
    factor: float = 1.0
    warmup_epochs: int = 0
    """Epochs in which the share rises from 0 to 1 by as much with every update."""

    def share(self, t: int, batches: int, epochs: int) -> float:
        """The share in update ``t``, from 1, of a run of ``epochs`` epochs of ``batches`` updates each."""
        warmup = self.warmup_epochs * batches
        if t <= warmup:
            return t / warmup
        passed = (t - 1) // batches - self.warmup_epochs
        if self.kind == "step":
            return self.factor ** (passed // self.every)
        if self.kind == "exponential":
            return self.factor**passed
        if self.kind == "cosine":
            return (1 + math.cos(math.pi * passed / (epochs - self.warmup_epochs))) / 2
        return 1.0
