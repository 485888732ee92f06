"""The parts of a batch in ``fused``, differentiated side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from lnn.data.in_memory import TrainingData
from lnn.environment import vcpus
from lnn.job.plan import Plan
from lnn.network import Tally, take_examples
from lnn.network.batches import Batch
from lnn.network.parameter_vector import flattened, layers_of
from lnn.network.parts import Differentiated, Part, differentiate
from lnn.network.processes import Processes, shared
from lnn.network.types import Parameters


class Task(NamedTuple):
    """A part of a batch, for whoever differentiates it."""

    number: int
    """Of the part, counted from 0."""
    places: slice
    """Of its examples in the batch."""
    examples: Batch
    """Their indices; None in the full batch, where they are the places."""
    m: int
    """Examples of the whole batch."""
    t: int


class Sums(NamedTuple):
    """Of a part, as in ``Differentiated``; the gradients are in their place."""

    cost: float
    seen: Tally


class SharedParts:
    """Differentiates so many parts of a batch with a process for each vCPU.

    It copies the parameters to memory that the processes share: an update must change those that are here.
    """

    def __init__(self, plan: Plan, data: TrainingData, parameters: Parameters, parts: int) -> None:
        values = flattened(parameters, plan.dtype)
        flat, *gradients = (shared(len(values), plan.dtype) for _ in range(1 + parts))
        flat[...] = values
        self.parameters = layers_of(flat, plan.sizes)
        self._gradients = [layers_of(gradient, plan.sizes) for gradient in gradients]
        work = partial(_differentiate, plan, data, self.parameters, self._gradients)
        self._processes = Processes(min(vcpus(), parts), work)

    def differentiate(self, batch: Batch, parts: Sequence[slice], t: int) -> list[Differentiated]:
        """What each part adds to update ``t``; the gradients are good until the next call."""
        m = parts[-1].stop
        tasks = [
            Task(number, places, None if batch is None else batch[places], m, t) for number, places in enumerate(parts)
        ]
        sums = self._processes(tasks)
        return [Differentiated(*some, gradients) for some, gradients in zip(sums, self._gradients, strict=False)]

    def close(self) -> None:
        self._processes.close()


def _differentiate(
    plan: Plan, data: TrainingData, parameters: Parameters, gradients: Sequence[Parameters], task: Task
) -> Sums:
    part = part_of(plan, data, task.examples, task.places, task.t)
    found = differentiate(plan.network, parameters, part, task.m, gradients[task.number])
    return Sums(found.cost, found.seen)


def part_of(plan: Plan, data: TrainingData, examples: Batch, places: slice, t: int) -> Part:
    """The examples with these indices, which are at these places of the batch of update ``t``; see ``Task``."""
    if examples is None:
        X, Y = data.X[:, places], data.Y[:, places]
    else:
        X, Y = take_examples(data.X, examples), take_examples(data.Y, examples)
    return Part(X, Y, plan.masks(t, places) if plan.dropout_rates else ())
