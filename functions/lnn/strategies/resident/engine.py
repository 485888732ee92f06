"""``resident``: each worker owns a block of the first layer's weights and keeps it from step to step.

The first layer has most of a network's weights, since it faces the features; it is cut along its longer side, by
neuron or by feature. The layers above are small, and every worker computes them, alike to the bit. So one all-gather
of the workers' parts of W1 X is all that travels in a step, and nothing needs to travel back: every
worker finds dZ by itself. docs/adr/20261121-where-resident-cuts.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Protocol, TypeAlias

import numpy as np

from lnn.data.in_memory import training_data
from lnn.job.plan import Plan
from lnn.models.checkpoint import Checkpoint
from lnn.models.store import Artifacts
from lnn.network import (
    Clipping,
    Tally,
    arrays_of,
    class_counts,
    differentiate_above,
    output_above,
    take_examples,
    tally_above,
    update,
)
from lnn.network.batches import Batch
from lnn.network.model import ALL
from lnn.network.types import Array, Labels, Parameters, Targets
from lnn.parameter_server.process_group import ProcessGroup
from lnn.parameter_server.resp import Buffer
from lnn.strategies.engine import Engine, StepResult, copied, norm_of
from lnn.strategies.resident.first_layer import FirstLayer

Block: TypeAlias = tuple[slice, slice]
"""Rows and columns of W1."""


NOT_HERE: Array = np.empty((0, 0))
"""Where a layer's weights would be in the parameters: the first layer's are elsewhere."""

SQUARE_BYTES = 8
"""The sum of the squares of a worker's weights, float64, comes before its parts of (W1 X)^T."""


class Cut(Protocol):
    """How the first layer is divided."""

    blocks: list[Block]
    """What each worker has of W1."""
    neurons: slice
    """The neurons whose dZ this worker needs."""

    def features(self, X: Array) -> Array:
        """What this worker computes with of the examples X (n, m)."""

    def put_together(self, parts: Sequence[Array]) -> Array:
        """(W1 X)^T, (m, units), from the parts of all workers, in rank order."""


class ByNeuron:
    """Each worker has whole neurons, and its part are their columns of (W1 X)^T."""

    def __init__(self, units: int, rank: int, size: int) -> None:
        slices = _divided(units, size)
        self.blocks = [(rows, ALL) for rows in slices]
        self.neurons = slices[rank]

    def features(self, X: Array) -> Array:
        return X

    def put_together(self, parts: Sequence[Array]) -> Array:
        return np.concatenate(parts, axis=1)


class ByFeature:
    """Each worker has some features of every example, and its part is what they add to every neuron of (W1 X)^T."""

    neurons = ALL

    def __init__(self, features: int, rank: int, size: int) -> None:
        slices = _divided(features, size)
        self.blocks = [(ALL, columns) for columns in slices]
        self._features = slices[rank]

    def features(self, X: Array) -> Array:
        return X[self._features]

    def put_together(self, parts: Sequence[Array]) -> Array:
        WX = parts[0].copy()
        for part in parts[1:]:
            WX += part
        return WX


def _divided(length: int, size: int) -> list[slice]:
    """Consecutive slices of nearly equal length."""
    return [slice(*ends) for ends in pairwise(length * rank // size for rank in range(size + 1))]


def cut_of(plan: Plan, group: ProcessGroup) -> Cut:
    features, units = plan.sizes[:2]
    return ByNeuron(units, group.rank, group.size) if units >= features else ByFeature(features, group.rank, group.size)


class Resident(Engine):
    """One worker's block; the engine of strategy ``resident`` (see ``Engine``).

    Every worker has all of b1: it is small, and its gradient costs nothing where dZ is known.
    """

    def __init__(self, artifacts: Artifacts, run_id: str, plan: Plan, state: Checkpoint, group: ProcessGroup) -> None:
        self._plan, self._group, self._optimizer_at = plan, group, plan.update_rule_at
        self._clipping = plan.clipping
        self._cut = cut_of(plan, group)
        data = training_data(artifacts, run_id, plan)
        self._Y, self._y, self._y_test, self._Y_test = data.Y, data.y, data.y_test, data.Y_test
        (W, b), *above = state.parameters
        (slots_W, slots_b), *slots_above = state.slots
        own = self._cut.blocks[group.rank]
        X, X_test, X_validation = map(self._cut.features, (data.X, data.X_test, data.validation.X))
        self._first = FirstLayer(X, X_test, X_validation, W[own], [slot[own] for slot in slots_W])
        self._validation = data.validation
        self._kept: Parameters | None = None
        """Of the first layer this worker's block."""
        if state.best_parameters is not None:
            (best_W, best_b), *best_above = state.best_parameters
            # A copy: a block of columns cannot be sent as it lies in memory.
            self._kept = [(best_W[own].copy(), best_b), *best_above]
        self._parameters = [(NOT_HERE, b), *above]
        self._slots = [([], slots_b), *slots_above]

    def step(self, batch: Batch, t: int, tally: bool, following: Batch = None) -> StepResult:  # noqa: ARG002
        plan, first = self._plan, self._first
        Y = take_examples(self._Y, batch)
        product = first.train_product(batch)
        Z, *of_test = self._all_gather([product, first.test_product()] if tally else [product])
        test = self._tally(of_test[0], self._y_test, self._Y_test) if tally else None
        optimizer, masks = self._optimizer_at(t), plan.masks(t, slice(0, Y.shape[1]))
        cost, seen, dZ, gradients = differentiate_above(
            self._parameters, Z, Y, plan.activations, plan.l2, ALL, plan.weighted_loss, masks
        )
        cost += self._penalty * plan.l2 / (2 * Y.shape[1])
        db = dZ.sum(axis=1, keepdims=True) / Y.shape[1]
        clip = None if self._clipping is None else partial(self._clip, self._clipping, [db, *arrays_of(gradients)])
        first.update(dZ[self._cut.neurons], optimizer, t, plan.l2, clip)
        update(self._parameters, self._slots, gradients, optimizer, t)
        optimizer.update(self._parameters[0][1], db, self._slots[0][1], t)
        return StepResult(cost, seen, test, norm_of(self._clipping))

    def _clip(self, clipping: Clipping, replicated: Sequence[Array], square: float) -> float:
        """Clip the gradients that all workers have, given the own block's square; returns the factor for the block."""
        return clipping.clip(replicated, self._group.sum_of_all(square))

    def train_tally(self) -> Tally:
        (Z,) = self._all_gather([self._first.train_product(None)])
        return self._tally(Z, self._y)

    def test_tally(self) -> Tally:
        (Z,) = self._all_gather([self._first.test_product()])
        return self._tally(Z, self._y_test, self._Y_test)

    def test_counts(self) -> Labels:
        (Z,) = self._all_gather([self._first.test_product()])
        return class_counts(output_above(self._parameters, Z, self._plan.activations), self._y_test)

    def validation_tally(self) -> Tally:
        (Z,) = self._all_gather([self._first.validation_product()])
        return self._tally(Z, self._validation.y, self._validation.Y)

    def keep(self) -> None:
        (_, b), *above = copied(self._parameters)
        self._kept = [(self._first.weights.copy(), b), *above]

    def use_kept(self) -> None:
        if self._kept is not None:
            (W, b), *above = self._kept
            self._first.use(W)
            self._parameters = [(NOT_HERE, b), *above]

    def checkpoint(self, epoch: int) -> Checkpoint | None:
        whole_W, *whole_slots = [self._gathered(array) for array in (self._first.weights, *self._first.slots)]
        best = None if self._kept is None else [(self._gathered(self._kept[0][0]), self._kept[0][1]), *self._kept[1:]]
        if self._group.rank:
            return None
        (_, b), (_, slots_b) = self._parameters[0], self._slots[0]
        return Checkpoint(
            epoch,
            [(whole_W, b), *self._parameters[1:]],
            [(whole_slots, slots_b), *self._slots[1:]],
            best_parameters=best,
        )

    def _gathered(self, own: Array) -> Array:
        """The whole of what ``own`` is this worker's block of; of use to worker 0 only."""
        parts = self._group.gather(own.data)
        if self._group.rank:
            return own
        whole = np.empty((self._plan.sizes[1], self._plan.sizes[0]), own.dtype)
        for block, part in zip(self._cut.blocks, parts, strict=True):
            whole[block] = np.frombuffer(part, own.dtype).reshape(whole[block].shape)
        return whole

    def _tally(self, Z: Array, y: Targets, Y: Array | None = None) -> Tally:
        return tally_above(self._parameters, Z, self._plan.activations, y, Y, self._plan.weighted_loss)

    def _all_gather(self, own: Sequence[Array]) -> list[Array]:
        """Z of some examples, from this worker's parts of (W1 X)^T; the squares of W1 go along where L2 needs them."""
        square = np.array([self._first.sum_of_squares() if self._plan.l2 else 0.0])
        received = self._group.all_gather((square.data, *(array.data for array in own)))
        received[self._group.rank] = square.data
        self._penalty = sum(float(np.frombuffer(part, np.float64, 1)[0]) for part in received)
        parts = [
            own if rank == self._group.rank else self._matrices(part, block, own)
            for rank, (part, block) in enumerate(zip(received, self._cut.blocks, strict=True))
        ]
        b = self._parameters[0][1]
        return [self._cut.put_together(of_all).T + b for of_all in zip(*parts, strict=True)]

    def _matrices(self, part: Buffer, block: Block, own: Sequence[Array]) -> list[Array]:
        """A worker's parts, of the same examples as ``own`` is of."""
        rows = len(range(*block[0].indices(self._plan.sizes[1])))
        counts = [rows * len(product) for product in own]
        values = np.frombuffer(part, own[0].dtype, sum(counts), SQUARE_BYTES)
        return [flat.reshape(-1, rows) for flat in np.split(values, np.cumsum(counts)[:-1])]
