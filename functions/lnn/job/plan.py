"""The plan of a run. Launch makes it once; Trainer and Neuron need nothing else of the settings and the dataset.

A plan is plain JSON, so that neither has to import the settings model or the dataset reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lnn.messages import Step
from lnn.network import Network, Optimizer, batch_slices
from lnn.network.batches import Batch
from lnn.parameter_server.codec import TensorKey

PLAIN, EXAMPLE_SPACE = "plain", "example_space"
"""Formulations of the mathematics of a run."""

WHOLE_UP_TO = 2
"""Workers of ``data`` among whom arrays are exchanged whole: with more it would be more bytes than in pieces."""

BUDGET_FACTOR = 6.0
BUDGET_ALLOWANCE = 100
"""The invocation budget of a run is FACTOR times its planned invocations plus ALLOWANCE. Lambda may deliver each
message several times, and a runaway loop passes any factor soon; the allowance covers retries of a short run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's settings, the dimensions of its dataset, and the planner's decision."""

    sizes: list[int]
    """[n, units of layer 1, ..., units of layer L]."""
    activations: list[str]
    epochs: int
    batch_size: int | None
    learning_rate: float
    optimizer: str
    l2: float
    dtype: str
    seed: int
    threshold: float | None
    record_every: int
    checkpoint_seconds: float
    notify_every: int | None
    max_seconds: float | None
    max_usd: float | None
    examples: int
    test_examples: int
    list_classes: list[str]
    image_shape: list[int] | None
    scale: float
    strategy: str
    workers: int
    shard_rows: int
    """Examples in each stored shard of features; the last shard may have fewer."""
    formulation: str = PLAIN
    """Of strategy ``fused``: ``plain`` or ``example_space``, which gives the same history faster where it fits."""
    average_every: int | None = None
    """Of strategy ``data``: updates that a worker makes by itself before all average their parameters; None is none."""
    value_range: list[float] | None = None
    """The stored values of black and white; see ``lnn.data.value_range``."""

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Plan:
        """The inverse of ``as_json``."""
        return cls(**raw)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def layers(self) -> int:
        return len(self.sizes) - 1

    @property
    def network(self) -> Network:
        return Network(self.sizes, self.activations, self.l2, self.dtype)

    @property
    def update_rule(self) -> Optimizer:
        return Optimizer(self.optimizer, self.learning_rate)

    def batches(self, epoch: int) -> list[Batch]:
        """The example indices of each batch of an epoch."""
        return batch_slices(self.examples, self.batch_size, self.seed, epoch)

    @property
    def batches_per_epoch(self) -> int:
        return 1 if self.batch_size is None else -(-self.examples // self.batch_size)

    def meets_after(self, t: int) -> bool:
        """Whether all workers have one model after update ``t`` (from 1): it may be stored, and they may part.

        With ``average_every`` only every so often, and at an epoch's end.
        """
        return t % (self.average_every or 1) == 0 or t % self.batches_per_epoch == 0

    def place(self, epoch: int, batches: int) -> str:
        """A place in training, for people: after ``epoch`` epochs and ``batches`` batches of the next."""
        if not batches:
            return f"epoch {epoch}"
        return f"epoch {epoch} and {batches} of the {self.batches_per_epoch} batches of epoch {epoch + 1}"

    def batch_examples(self, batch: int) -> int:
        """The number of examples in a batch, counted from 0; an epoch's last batch may be short."""
        if self.batch_size is None:
            return self.examples
        return min(self.batch_size, self.examples - batch * self.batch_size)

    def recorded(self, epoch: int) -> bool:
        """True when the history has a row for this epoch; the last epoch always has one."""
        return epoch % self.record_every == 0 or epoch == self.epochs

    @property
    def neuron_invocations(self) -> int:
        """Invocations of strategy ``neuron``: each neuron and, once a layer, the Trainer, both ways."""
        per_step = sum(self.sizes[1:]) + self.layers
        return 2 * per_step * self.batches_per_epoch * self.epochs

    @property
    def budget(self) -> int:
        """Invocations after which a run of strategy ``neuron`` counts as a runaway loop."""
        return int(self.neuron_invocations * BUDGET_FACTOR) + BUDGET_ALLOWANCE

    # Positions of strategy ``neuron``

    def first_step(self, generation: int, epoch: int, batch: int = 0) -> Step:
        return Step(generation, epoch, batch, "forward", 1)

    def following(self, step: Step) -> Step | None:
        """The step after ``step``; None after the last one of the last epoch."""
        generation, epoch, batch, layer = step.generation, step.epoch, step.batch, step.layer
        if step.direction == "forward":
            if layer < self.layers:
                return Step(generation, epoch, batch, "forward", layer + 1)
            return Step(generation, epoch, batch, "backward", layer)
        if layer > 1:
            return Step(generation, epoch, batch, "backward", layer - 1)
        if batch + 1 < self.batches_per_epoch:
            return self.first_step(generation, epoch, batch + 1)
        return self.first_step(generation, epoch + 1) if epoch < self.epochs else None

    def ends_batch(self, step: Step) -> bool:
        return step.direction == "backward" and step.layer == 1

    def ends_epoch(self, step: Step) -> bool:
        return self.ends_batch(step) and step.batch + 1 == self.batches_per_epoch

    def updates_before(self, step: Step) -> int:
        """The number of updates before the batch of ``step``."""
        return (step.epoch - 1) * self.batches_per_epoch + step.batch

    # Where strategy ``neuron`` keeps its tensors in the parameter server

    def input_key(self) -> TensorKey:
        """The training set, examples first: (m, n)."""
        return self._key("X", self.examples, self.sizes[0])

    def output_key(self, step: Step) -> TensorKey:
        """The matrix that a forward step writes: A, or the logits Z in the output layer."""
        name = f"A{step.layer}" if step.layer < self.layers else f"Z{step.layer}"
        return self._key(name, self.sizes[step.layer], self.batch_examples(step.batch))

    def activation_key(self, layer: int, batch: int) -> TensorKey:
        return self._key(f"A{layer}", self.sizes[layer], self.batch_examples(batch))

    def delta_key(self, layer: int, batch: int) -> TensorKey:
        return self._key(f"dZ{layer}", self.sizes[layer], self.batch_examples(batch))

    def parameter_keys(self, layer: int, updates: int) -> tuple[list[TensorKey], list[TensorKey]]:
        """W and b of a layer after ``updates`` updates, each followed by the optimizer's slots for it.

        Two sets of keys alternate: a step reads one set and writes the other, so that a repeated
        step reads the same values.
        """
        side = "ab"[updates % 2]
        units, inputs = self.sizes[layer], self.sizes[layer - 1]
        slots = range(self.update_rule.slots)
        weights = [f"W{layer}.{side}", *(f"W{layer}.{side}.{slot}" for slot in slots)]
        biases = [f"b{layer}.{side}", *(f"b{layer}.{side}.{slot}" for slot in slots)]
        return (
            [self._key(name, units, inputs) for name in weights],
            [self._key(name, units, 1) for name in biases],
        )

    def _key(self, name: str, *shape: int) -> TensorKey:
        return TensorKey(name, np.dtype(self.dtype), shape)
