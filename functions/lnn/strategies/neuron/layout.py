"""The order of the steps of strategy ``neuron``, and where its tensors are in the parameter server."""

from dataclasses import replace

import numpy as np

from lnn.job.plan import Plan
from lnn.messages import Step
from lnn.network import ACTIVATIONS
from lnn.network.types import Array
from lnn.parameter_server.codec import NEVER, TensorKey

BUDGET_FACTOR = 6.0
BUDGET_ALLOWANCE = 100
"""The invocation budget of a run is FACTOR times its planned invocations plus ALLOWANCE. Lambda may deliver each
message several times, and a runaway loop passes any factor soon; the allowance covers retries of a short run."""


class Layout(Plan):
    """A plan, step by step and tensor by tensor."""

    __slots__ = ()  # it has no fields of its own

    @property
    def neuron_invocations(self) -> int:
        """Invocations of strategy ``neuron``: each neuron and, once a layer, the Trainer, in every direction; in a
        stepped run the Trainer once more at each pause.
        """
        of_batch = directions_of(self.clip_norm) * (sum(self.sizes[1:]) + self.layers)
        if self.stepped:
            of_batch += pauses_of_batch(self.layers, self.clip_norm)
        return of_batch * self.batches_per_epoch * self.epochs

    @property
    def budget(self) -> int:
        """Invocations after which a run of strategy ``neuron`` counts as a runaway loop."""
        return int(self.neuron_invocations * BUDGET_FACTOR) + BUDGET_ALLOWANCE

    # Steps

    def first_step(self, generation: int, epoch: int, batch: int = 0, fill: str = "") -> Step:
        return Step(generation, epoch, batch, "forward", 1, fill)

    def following(self, step: Step) -> Step | None:
        """The step after ``step``; None after the last one of the last epoch."""
        if step.direction == "forward":
            if step.layer < self.layers:
                return replace(step, layer=step.layer + 1)
            return replace(step, direction="backward")
        if step.layer > 1:
            return replace(step, layer=step.layer - 1)
        if self.ends_gradients(step):
            return replace(step, direction="update", layer=self.layers)
        if step.batch + 1 < self.batches_per_epoch:
            return self.first_step(step.generation, step.epoch, step.batch + 1, step.fill)
        return self.first_step(step.generation, step.epoch + 1, 0, step.fill) if step.epoch < self.epochs else None

    def needs_all(self, step: Step) -> bool:
        """Whether the Trainer computes, after ``step``, what follows from all of its neurons together."""
        return self.ends_gradients(step) or (step.direction == "forward" and step.layer == self.layers)

    def ends_gradients(self, step: Step) -> bool:
        """Whether all gradients are known after ``step``, none of which is applied before their norm is known."""
        return self.clip_norm is not None and step.direction == "backward" and step.layer == 1

    def ends_batch(self, step: Step) -> bool:
        return step.direction == ("backward" if self.clip_norm is None else "update") and step.layer == 1

    def ends_epoch(self, step: Step) -> bool:
        return self.ends_batch(step) and step.batch + 1 == self.batches_per_epoch

    def updates_before(self, step: Step) -> int:
        """The number of updates before the batch of ``step``."""
        return (step.epoch - 1) * self.batches_per_epoch + step.batch

    # Tensors. All that the steps of an update write has its number, from 1, as version.

    def input_key(self) -> TensorKey:
        """The training set, examples first: (m, n). It never changes."""
        return TensorKey("X", np.dtype(self.dtype), (self.examples, self.sizes[0]))

    def output_key(self, step: Step) -> TensorKey:
        """The matrix that a forward step writes: A, or the logits Z in the output layer."""
        name = f"A{step.layer}" if step.layer < self.layers else f"Z{step.layer}"
        return self._of_update(step, name, self.sizes[step.layer], self.batch_examples(step.batch))

    def activation_key(self, layer: int, step: Step) -> TensorKey:
        """A of a layer, for the batch of ``step``."""
        return self._of_update(step, f"A{layer}", self.sizes[layer], self.batch_examples(step.batch))

    def kept_key(self, layer: int, step: Step) -> TensorKey:
        """What a hidden layer's derivative takes, for the batch of ``step``: A, or Z where the activation keeps it.

        Where outputs are dropped, A as it was before has a key of its own.
        """
        keeps_input = ACTIVATIONS[self.activations[layer - 1]].keeps_input
        if not keeps_input and not self.drops(layer):
            return self.activation_key(layer, step)
        name = f"Z{layer}" if keeps_input else f"A{layer}.whole"
        return self._of_update(step, name, self.sizes[layer], self.batch_examples(step.batch))

    def drops(self, layer: int) -> bool:
        """Whether training drops outputs of a layer."""
        return layer <= len(self.dropout_rates) and self.dropout_rates[layer - 1] > 0

    def mask_row(self, step: Step, layer: int, neuron: int) -> Array | None:
        """A hidden neuron's row of its layer's mask for a batch, (1, m); None where nothing is dropped."""
        if self.dropout is None:
            return None
        batch = slice(0, self.batch_examples(step.batch))
        mask = self.dropout.mask(layer, step.epoch, step.batch, batch, self.dtype)
        return None if mask is None else mask[[neuron]]

    def delta_key(self, layer: int, step: Step) -> TensorKey:
        """The matrix dZ of a layer, for the batch of ``step``."""
        return self._of_update(step, f"dZ{layer}", self.sizes[layer], self.batch_examples(step.batch))

    def squares_key(self, layer: int, step: Step) -> TensorKey:
        """The sum of the squares of each neuron's gradient, in float64; only where gradients are clipped."""
        return self._of_update(step, f"dW{layer}.squares", self.sizes[layer], 1, dtype="float64")

    def factor_key(self, step: Step) -> TensorKey:
        """What every gradient is multiplied by, one number in float64; only where gradients are clipped."""
        return self._of_update(step, "factor", 1, 1, dtype="float64")

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
            [self._key(updates, name, units, inputs) for name in weights],
            [self._key(updates, name, units, 1) for name in biases],
        )

    def all_parameter_keys(self, updates: int) -> list[TensorKey]:
        """Those of every layer, in order."""
        layers = [self.parameter_keys(layer, updates) for layer in range(1, self.layers + 1)]
        return [key for weights, biases in layers for key in (*weights, *biases)]

    def best_keys(self, epoch: int = NEVER) -> list[TensorKey]:
        """W and b of every layer as they were after the best epoch so far, which is their version; none is kept else.

        They change with the step that ends a better epoch alone.
        """
        if not self.keeps_best:
            return []
        return [
            self._key(epoch, f"{of}{layer}.best", self.sizes[layer], columns)
            for layer in range(1, self.layers + 1)
            for of, columns in (("W", self.sizes[layer - 1]), ("b", 1))
        ]

    def unwritten_keys(self, updates: int) -> list[TensorKey]:
        """All that steps after ``updates`` updates write rows of, as it is before."""
        # The batches of an epoch have at most two sizes: all others are like the first, the last may be short.
        steps = [
            Step(0, 1, batch, "forward", layer)
            for batch in {0, self.batches_per_epoch - 1}
            for layer in range(1, self.layers + 1)
        ]
        written = [key for step in steps for key in (self.output_key(step), self.delta_key(step.layer, step))]
        written += [self.kept_key(step.layer, step) for step in steps if step.layer < self.layers]
        if self.clip_norm is not None:
            written += [self.factor_key(steps[0]), *(self.squares_key(step.layer, step) for step in steps)]
        keys = [replace(key, version=NEVER) for key in (*written, *self.all_parameter_keys(updates + 1))]
        return list(dict.fromkeys(keys))

    def _of_update(self, step: Step, name: str, *shape: int, dtype: str | None = None) -> TensorKey:
        return self._key(self.updates_before(step) + 1, name, *shape, dtype=dtype)

    def _key(self, version: int, name: str, *shape: int, dtype: str | None = None) -> TensorKey:
        return TensorKey(name, np.dtype(dtype or self.dtype), shape, version)


def pauses_of_batch(layers: int, clip_norm: float | None) -> int:
    """How often a stepped run pauses in a batch: after each step, and after the cost."""
    return directions_of(clip_norm) * layers + 1


def directions_of(clip_norm: float | None) -> int:
    """In how many directions each batch goes through the layers: the updates of clipped gradients come last."""
    return 2 if clip_norm is None else 3
