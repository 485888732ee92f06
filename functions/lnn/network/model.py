"""Layers in a row: the forward pass, the backward pass, and one training step."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from lnn.network.activations import ACTIVATIONS
from lnn.network.clipping import Clipping
from lnn.network.dropout import Masks
from lnn.network.lanes import Map
from lnn.network.layers import linear_backward, linear_forward, penalty, propagate_delta
from lnn.network.losses import (
    LINEAR,
    UNWEIGHTED,
    Loss,
    cost_from_logits,
    output_activation,
    output_delta,
    without_weights,
)
from lnn.network.metrics import Tally, class_counts, correct_count, error_sums, predicted_classes
from lnn.network.optimizers import Optimizer
from lnn.network.types import Array, Labels, Parameters, Slots, Targets

ALL = slice(None)

CHUNK_BYTES = 8 * 2**20
"""Memory of the widest layer in predictions, which run in chunks of examples: to bound it, and side by side."""


LayerGradient: TypeAlias = tuple[int, Array, Array]
"""A layer, counted from 0, its dW and its db."""


class ForwardPass(NamedTuple):
    """The results of a forward pass."""

    A: list[Array]
    """A[0] = X (n, m), then every layer's output (units, m); the last holds the probabilities, or numbers.

    Of a hidden layer with dropout the output that is left.
    """

    logits: Array
    """Z of the output layer, (units, m)."""

    kept: list[Array]
    """For each hidden layer what its activation's derivative takes, (units, m): its A before dropout, or its Z."""


def forward(params: Parameters, X: Array, activations: Sequence[str], masks: Masks = ()) -> ForwardPass:
    """X (n, m) through every layer; ``masks`` are those of a training with dropout."""
    A, kept = [X], []
    for layer, ((W, b), activation) in enumerate(zip(params[:-1], activations[:-1], strict=True)):
        Z = linear_forward(W, b, A[-1])
        A.append(ACTIVATIONS[activation].apply(Z))
        kept.append(ACTIVATIONS[activation].kept(Z, A[-1]))
        if masks:
            A[-1] = dropped_out(A[-1], masks[layer])
    logits = linear_forward(*params[-1], A[-1])
    A.append(output_activation(activations[-1], logits))
    return ForwardPass(A, logits, kept)


def mask_of(masks: Masks, layer: int, rows: slice) -> Array | None:
    """The mask of a hidden layer, counted from 0, for the units in ``rows``; None where nothing is dropped."""
    mask = masks[layer]
    return None if mask is None else mask[rows]


def dropped_out(A: Array, mask: Array | None) -> Array:
    """A hidden layer's output (units, m) after dropout: a new array, where anything is dropped."""
    return A if mask is None else A * mask


def backward(
    params: Parameters,
    passed: ForwardPass,
    Y: Array,
    activations: Sequence[str],
    l2: float,
    m: int | None = None,
    out: Parameters | None = None,
    loss: Loss = UNWEIGHTED,
    masks: Masks = (),
) -> Iterator[LayerGradient]:
    """(layer, dW, db) of every layer, the last first, from the forward pass and Y (units of the output, m).

    The caller may update a layer as soon as its gradients are yielded: dZ of the layer before is computed already.
    ``m`` is the number of examples to average over, if not Y's; ``out`` receives each dW: see ``linear_backward``;
    ``masks`` are those of the forward pass.
    """
    A = passed.A
    dZ = output_delta(A[-1], Y, loss)
    for layer in reversed(range(len(params))):
        W, _ = params[layer]
        dW, db = linear_backward(dZ, A[layer], W, l2, None if out is None else out[layer][0], m)
        if layer > 0:
            mask = masks[layer - 1] if masks else None
            dZ = propagate_delta(W, dZ, passed.kept[layer - 1], activations[layer - 1], mask)
        yield layer, dW, db


def batch_cost(
    params: Parameters, logits: Array, Y: Array, activations: Sequence[str], l2: float, loss: Loss = UNWEIGHTED
) -> float:
    """Mean cost of the batch, L2 penalty included. It is NaN only if weights are not finite: training has diverged."""
    return cost_from_logits(activations[-1], logits, Y, loss) + penalty((W for W, _ in params), l2, Y.shape[1])


def train_step(
    params: Parameters,
    slots: Slots,
    X: Array,
    Y: Array,
    optimizer: Optimizer,
    t: int,
    activations: Sequence[str],
    l2: float = 0.0,
    loss: Loss = UNWEIGHTED,
    clipping: Clipping | None = None,
    masks: Masks = (),
) -> tuple[float, Tally]:
    """Forward, backward and update on one batch: ``params`` and ``slots`` change in place.

    X (n, m), Y (units of the output, m); ``t`` counts updates from 1; ``masks`` are those of dropout. Returns the
    batch's cost and its tally (without the cost), both from before the update.
    """
    passed = forward(params, X, activations, masks)
    cost = batch_cost(params, passed.logits, Y, activations, l2, loss)
    seen = batch_tally(activations[-1], passed.A[-1], Y)
    gradients: Iterable[LayerGradient] = backward(params, passed, Y, activations, l2, loss=loss, masks=masks)
    if clipping is not None:
        gradients = list(gradients)
        clipping.clip(arrays_of(gradients))
    update(params, slots, gradients, optimizer, t)
    return cost, seen


def update(params: Parameters, slots: Slots, gradients: Iterable[LayerGradient], optimizer: Optimizer, t: int) -> None:
    """Update number ``t`` of the layers that the gradients are of, in place; the gradients are overwritten."""
    for layer, dW, db in gradients:
        (W, b), (slots_W, slots_b) = params[layer], slots[layer]
        optimizer.update_weights(W, dW, slots_W, t)
        optimizer.update(b, db, slots_b, t)


def arrays_of(gradients: Iterable[LayerGradient]) -> list[Array]:
    return [gradient for _, dW, db in gradients for gradient in (dW, db)]


def differentiate_above(
    params: Parameters,
    Z: Array,
    Y: Array,
    activations: Sequence[str],
    l2: float,
    rows: slice = ALL,
    loss: Loss = UNWEIGHTED,
    masks: Masks = (),
) -> tuple[float, Tally, Array, list[LayerGradient]]:
    """``train_step`` up to the update, given Z (units, m) of layer 1, for callers that train layer 1 themselves.

    Layer 1's ``params`` are not used. Returns the cost without layer 1's penalty, the tally (without the cost), layer
    1's dZ for the units in ``rows``, not yet divided by m, and the gradients of the layers above.
    """
    A, kept, logits = [Z], [Z], Z  # A[layer] is the input of that layer; layer 1's own is not needed
    for layer, ((W, b), activation) in enumerate(zip(params[1:], activations[:-1], strict=True)):
        A.append(ACTIVATIONS[activation].apply(logits))
        kept.append(ACTIVATIONS[activation].kept(logits, A[-1]))
        if masks:
            A[-1] = dropped_out(A[-1], masks[layer])
        logits = linear_forward(W, b, A[-1])
    output = output_activation(activations[-1], logits)
    m = Y.shape[1]
    cost = cost_from_logits(activations[-1], logits, Y, loss) + penalty((W for W, _ in params[1:]), l2, m)
    seen = batch_tally(activations[-1], output, Y)

    dZ = output_delta(output, Y, loss)
    if len(params) == 1:
        return cost, seen, dZ[rows], []
    gradients = []
    for layer in range(len(params) - 1, 0, -1):
        W, _ = params[layer]
        gradients.append((layer, *linear_backward(dZ, A[layer], W, l2)))
        own = rows if layer == 1 else ALL
        mask = mask_of(masks, layer - 1, own) if masks else None
        dZ = propagate_delta(W[:, own], dZ, kept[layer][own], activations[layer - 1], mask)
    return cost, seen, dZ, gradients


def tally_above(
    params: Parameters,
    Z: Array,
    activations: Sequence[str],
    y: Targets,
    Y: Array | None = None,
    loss: Loss = UNWEIGHTED,
) -> Tally:
    """The sums over examples, given Z (units, m) of layer 1; ``y`` and ``Y`` as in ``tally_of_output``."""
    logits = _logits_above(params, Z, activations)
    return tally_of_output(activations[-1], output_activation(activations[-1], logits), logits, y, Y, loss)


def output_above(params: Parameters, Z: Array, activations: Sequence[str]) -> Array:
    """The output layer's A (units, m), given Z (units, m) of layer 1."""
    return output_activation(activations[-1], _logits_above(params, Z, activations))


def _logits_above(params: Parameters, Z: Array, activations: Sequence[str]) -> Array:
    for (W, b), activation in zip(params[1:], activations[:-1], strict=True):
        Z = linear_forward(W, b, ACTIVATIONS[activation].apply(Z))
    return Z


def tally_of_output(
    activation: str, A: Array, logits: Array, y: Targets, Y: Array | None = None, loss: Loss = UNWEIGHTED
) -> Tally:
    """The sums over examples, given the output layer's A and logits, both (units, m).

    ``y`` holds their classes (m,), or of a linear output their numbers (m, targets). Y (units, m) asks for the cost,
    too.
    """
    cost = 0.0 if Y is None or not len(y) else cost_from_logits(activation, logits, Y, loss) * len(y)
    if activation == LINEAR:
        return error_sums(A, y.T)._replace(cost=cost)
    return Tally(cost, int(np.count_nonzero(predicted_classes(A) == y)))


def batch_tally(activation: str, A: Array, Y: Array) -> Tally:
    """The sums over a batch, given the output layer's A and Y, both (units, m); without the cost.

    All examples count alike, whatever weights they have.
    """
    Y, _ = without_weights(Y, len(A))
    return error_sums(A, Y) if activation == LINEAR else Tally(0.0, correct_count(A, Y))


def new_slots(params: Parameters, optimizer: Optimizer) -> Slots:
    """The optimizer's state before the first update: zeros."""
    return [(optimizer.new_slots(W), optimizer.new_slots(b)) for W, b in params]


@dataclass(frozen=True, slots=True)
class Network:
    """A network's shape; the parameters come with every call."""

    sizes: Sequence[int]
    """[n, units of layer 1, ..., units of layer L]."""

    activations: Sequence[str]
    """One for each layer, the output's last."""

    l2: float = 0.0
    dtype: str = "float64"
    loss: Loss = UNWEIGHTED

    def forward(self, params: Parameters, X: Array, masks: Masks = ()) -> ForwardPass:
        """X (n, m) -> the outputs of all layers, X itself first, and the logits of the last."""
        return forward(params, X, self.activations, masks)

    def cost(self, params: Parameters, X: Array, Y: Array, masks: Masks = ()) -> float:
        """Mean cost of X (n, m) against Y (units, m), L2 penalty included."""
        return batch_cost(params, self.forward(params, X, masks).logits, Y, self.activations, self.l2, self.loss)

    def gradients(self, params: Parameters, X: Array, Y: Array, masks: Masks = ()) -> Parameters:
        """(dW, db) of every layer for the batch X (n, m), Y (units, m)."""
        passed = self.forward(params, X, masks)
        steps = backward(params, passed, Y, self.activations, self.l2, loss=self.loss, masks=masks)
        return [(dW, db) for _, dW, db in steps][::-1]

    def train_step(
        self,
        params: Parameters,
        slots: Slots,
        X: Array,
        Y: Array,
        optimizer: Optimizer,
        t: int,
        clipping: Clipping | None = None,
        masks: Masks = (),
    ) -> tuple[float, Tally]:
        """One training step: see the function ``train_step``."""
        return train_step(params, slots, X, Y, optimizer, t, self.activations, self.l2, self.loss, clipping, masks)

    def predict_proba(self, params: Parameters, X: Array) -> Array:
        """Probabilities: (1, m) for one output unit, (K, m) otherwise. Of a linear output: numbers (targets, m)."""
        parts = [self.forward(params, X[:, some]).A[-1] for some in self._chunks(X)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _chunks(self, X: Array) -> list[slice]:
        """Consecutive examples of X (n, m), so few at a time that the widest layer takes ``CHUNK_BYTES``."""
        columns = max(1, CHUNK_BYTES // (max(self.sizes) * X.itemsize))
        return [slice(start, start + columns) for start in range(0, X.shape[1], columns)]

    def tally(self, params: Parameters, X: Array, y: Targets, Y: Array | None = None, side_by_side: Map = map) -> Tally:
        """The sums over X (n, m), in chunks of bounded memory; ``y`` and ``Y`` as in ``tally_of_output``."""

        def tally(some: slice) -> Tally:
            passed = self.forward(params, X[:, some])
            labels = None if Y is None else Y[:, some]
            return tally_of_output(self.activations[-1], passed.A[-1], passed.logits, y[some], labels, self.loss)

        parts = list(side_by_side(tally, self._chunks(X)))
        return parts[0] if len(parts) == 1 else Tally.total(parts)

    def class_counts(self, params: Parameters, X: Array, y: Labels, side_by_side: Map = map) -> Labels:
        """Counts of the examples X (n, m) by class, (3, K): see the function ``class_counts``."""

        def counts(some: slice) -> Labels:
            return class_counts(self.forward(params, X[:, some]).A[-1], y[some])

        first, *others = side_by_side(counts, self._chunks(X))
        return sum(others, start=first)

    def predict_classes(self, params: Parameters, X: Array) -> Labels:
        """The class index of each example, (m,)."""
        return predicted_classes(self.predict_proba(params, X))

    def accuracy(self, params: Parameters, X: Array, y: Labels) -> float:
        """Share of the examples X (n, m) whose class y (m,) is predicted correctly."""
        return float(np.mean(self.predict_classes(params, X) == y))
