"""What Launch, Trainer and Neuron send each other: ids and positions, never tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import IntFlag
from typing import Any, Literal

Direction = Literal["forward", "backward", "update"]
State = Literal["start", "forward", "backward", "update", "watch"]

DIRECTIONS: tuple[Direction, ...] = ("forward", "backward", "update")


class Flag(IntFlag):
    """A request that a worker sends with its part. If any worker sends a flag, all workers act on it."""

    STOP = 1
    """End the run after this step."""
    HAND_OVER = 2
    """Hand over to the next generation after this step."""
    CHECKPOINT = 4
    """Store a checkpoint after this step."""
    LEFT = 8
    """The sender has left the group; waiting for it is pointless."""


@dataclass(frozen=True, slots=True)
class Message:
    """What Launch, Trainer and Neuron send each other: ids and positions, never tensors.

    ``forward``, ``backward`` and ``update`` (where gradients are clipped) tell the Trainer that every
    neuron of ``layer`` is done in that direction, and tell a Neuron what to compute for ``neuron``.
    Epochs and layers count from 1, batches and neurons from 0; ``place`` converts for people.
    """

    run_id: str
    generation: int
    state: State
    epoch: int = 0
    batch: int = 0
    layer: int = 0
    neuron: int | None = None

    @classmethod
    def parse(cls, event: Mapping[str, Any]) -> Message:
        """The message in an event. Raises TypeError for an unknown or missing field.

        The ``watch`` event of the schedule names no run.
        """
        return cls(**{"run_id": "", "generation": 0, **event} if event.get("state") == "watch" else event)

    def as_json(self) -> dict[str, Any]:
        return {field: value for field, value in asdict(self).items() if value is not None}

    @property
    def neuron_number(self) -> int | None:
        """The neuron as people count, from 1; None for a message to the Trainer."""
        return None if self.neuron is None else self.neuron + 1

    def place(self) -> dict[str, Any]:
        """The message as log lines show it: neurons count from 1, as layers do, and workers by their rank."""
        neuron = self.neuron if self.state == "start" else self.neuron_number
        return replace(self, neuron=neuron).as_json()

    def restart(self) -> Message:
        """The message that makes the Trainer begin the run's next generation."""
        return Message(self.run_id, self.generation + 1, "start")


@dataclass(frozen=True, slots=True)
class Step:
    """One layer's work in one direction: the unit at which the neurons of a run meet."""

    generation: int
    epoch: int
    batch: int
    direction: Direction
    layer: int
    fill: str = ""
    """Name of the parameter server's fill that the step works with; messages, and so ``of``, leave it out."""

    @property
    def id(self) -> str:
        return f"{self.generation}:{self.place}"

    @property
    def place(self) -> str:
        """The id without the generation: what a step that is adopted keeps."""
        place = f"{self.epoch}:{self.batch}:{self.direction}:{self.layer}"
        return f"{place}:{self.fill}" if self.fill else place

    def is_named_by(self, other: Step) -> bool:
        """Whether a message that names ``other``, perhaps without a fill, is about this step."""
        return other in (self, replace(self, fill=""))

    @classmethod
    def parse(cls, step_id: str) -> Step:
        generation, epoch, batch, named, layer, *fill = step_id.split(":")
        return cls(int(generation), int(epoch), int(batch), _direction(named), int(layer), *fill)

    @classmethod
    def of(cls, message: Message) -> Step:
        return cls(message.generation, message.epoch, message.batch, _direction(message.state), message.layer)

    def message(self, run_id: str, neuron: int | None = None) -> Message:
        return Message(
            run_id,
            self.generation,
            self.direction,
            self.epoch,
            self.batch,
            self.layer,
            neuron,
        )


def _direction(named: str) -> Direction:
    for direction in DIRECTIONS:
        if direction == named:
            return direction
    raise ValueError(f"not the direction of a step: {named!r}")
