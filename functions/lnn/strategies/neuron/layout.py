"""The order of the steps of strategy ``neuron``, and where its tensors are in the parameter server."""

import numpy as np

from lnn.job.plan import Plan
from lnn.messages import Step
from lnn.parameter_server.codec import TensorKey

BUDGET_FACTOR = 6.0
BUDGET_ALLOWANCE = 100
"""The invocation budget of a run is FACTOR times its planned invocations plus ALLOWANCE. Lambda may deliver each
message several times, and a runaway loop passes any factor soon; the allowance covers retries of a short run."""


class Layout(Plan):
    """A plan, step by step and tensor by tensor."""

    __slots__ = ()  # it has no fields of its own

    @property
    def neuron_invocations(self) -> int:
        """Invocations of strategy ``neuron``: each neuron and, once a layer, the Trainer, both ways."""
        per_step = sum(self.sizes[1:]) + self.layers
        return 2 * per_step * self.batches_per_epoch * self.epochs

    @property
    def budget(self) -> int:
        """Invocations after which a run of strategy ``neuron`` counts as a runaway loop."""
        return int(self.neuron_invocations * BUDGET_FACTOR) + BUDGET_ALLOWANCE

    # Steps

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

    # Tensors

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
