"""Where a stepped run pauses: after each layer's work in each direction, and after the cost. Pure.

Pauses are numbered through the whole run, from 1, whatever happens to it. So one number says how far a person has let a
run go, and a generation that repeats steps from a checkpoint passes those pauses again without waiting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from lnn.messages import Direction

After = Literal["forward", "cost", "backward", "update"]

WAITING_SECONDS = 1800.0
"""How long a run waits at a pause; then the watch stops it."""


@dataclass(frozen=True, slots=True)
class Pause:
    """``layer`` has been computed in a direction, or the cost of a batch is known; numbers are as in a ``Step``."""

    epoch: int
    batch: int
    after: After
    layer: int

    @property
    def direction(self) -> Direction:
        """That of the step that waits to be concluded."""
        return "forward" if self.after == "cost" else self.after


@dataclass(frozen=True, slots=True)
class Pauses:
    """All pauses of a run."""

    layers: int
    batches: int
    """Of an epoch."""
    epochs: int
    clipped: bool
    """Updates come in a direction of their own."""

    @classmethod
    def of(cls, plan: Mapping[str, Any]) -> Self:
        """Those of a plan, as the run's record has it."""
        batch_size = plan["batch_size"] or plan["examples"]
        batches = math.ceil(plan["examples"] / batch_size)
        return cls(len(plan["sizes"]) - 1, batches, plan["epochs"], plan.get("clip_norm") is not None)

    @property
    def per_epoch(self) -> int:
        return self.batches * len(self._of_batch())

    def number(self, pause: Pause) -> int:
        """The number of a pause, from 1."""
        batches = (pause.epoch - 1) * self.batches + pause.batch
        of_batch = self._of_batch()
        return batches * len(of_batch) + of_batch.index((pause.after, pause.layer)) + 1

    def at(self, number: int) -> Pause | None:
        """The pause of a number; None after the last one."""
        of_batch = self._of_batch()
        batches, place = divmod(number - 1, len(of_batch))
        epoch, batch = divmod(batches, self.batches)
        after, layer = of_batch[place]
        return Pause(epoch + 1, batch, after, layer) if epoch < self.epochs else None

    def end_of_epoch(self, number: int, epochs: int) -> int:
        """The last pause of the ``epochs``-th epoch from pause ``number`` on, the one that has it included."""
        return ((number - 1) // self.per_epoch + epochs) * self.per_epoch

    def _of_batch(self) -> list[tuple[After, int]]:
        up, down = range(1, self.layers + 1), range(self.layers, 0, -1)
        pauses: list[tuple[After, int]] = [*(("forward", layer) for layer in up), ("cost", self.layers)]
        pauses += [("backward", layer) for layer in down]
        return pauses + ([("update", layer) for layer in down] if self.clipped else [])
