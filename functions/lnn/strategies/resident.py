"""``resident``: each worker owns a block of the first layer's neurons and keeps it from step to step.

The first layer has most of a network's weights, since it faces the features; it is sharded by neuron. The layers above
are small, and every worker computes them, alike to the bit. So one all-gather of the first layer's Z is all that
travels in a step, and nothing needs to travel back: a worker's dZ comes from W2's columns, which it has.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lnn.artifacts import Artifacts, Checkpoint
from lnn.gang import Gang
from lnn.network import classes_above, linear_backward, linear_forward, take_examples, train_above
from lnn.network.batches import Batch
from lnn.network.types import Array, Labels
from lnn.plan import Plan
from lnn.strategies.workers import Stepped
from lnn.training_data import training_data


class Resident:
    """One worker's neurons; the engine of strategy ``resident`` (see ``workers.Engine``)."""

    def __init__(self, artifacts: Artifacts, run_id: str, plan: Plan, gang: Gang, state: Checkpoint) -> None:
        self._plan, self._gang = plan, gang
        self._data = training_data(artifacts, run_id, plan)
        units = plan.sizes[1]
        bounds = [units * rank // gang.size for rank in range(gang.size + 1)]
        self._blocks = [slice(first, end) for first, end in pairwise(bounds)]
        own = self._blocks[gang.rank]
        (W, b), *above = state.parameters
        (slots_W, slots_b), *slots_above = state.slots
        self._parameters = [(W[own].copy(), b[own].copy()), *above]
        self._slots = [([slot[own].copy() for slot in slots_W], [slot[own].copy() for slot in slots_b]), *slots_above]

    def step(self, batch: Batch, t: int, tally: bool) -> Stepped:
        plan, data = self._plan, self._data
        X, Y = take_examples(data.X, batch), take_examples(data.Y, batch)
        (W, b), (slots_W, slots_b) = self._parameters[0], self._slots[0]
        own = [linear_forward(W, b, X)]
        if tally:
            own.append(linear_forward(W, b, data.X_test))
        Z, *of_test = self._all_gather(own)
        test_correct = self._correct(of_test[0], data.y_test) if tally else None
        cost, correct, dZ = train_above(
            self._parameters,
            self._slots,
            Z,
            Y,
            plan.optimiser,
            t,
            plan.activations,
            plan.l2,
            self._blocks[self._gang.rank],
        )
        cost += self._first_penalty * plan.l2 / (2 * Y.shape[1])
        dW, db = linear_backward(dZ, X, W, plan.l2)
        plan.optimiser.update(W, dW, slots_W, t)
        plan.optimiser.update(b, db, slots_b, t)
        return Stepped(cost, correct, test_correct)

    def train_correct(self) -> int:
        return self._count(self._data.X, self._data.y)

    def test_correct(self) -> int:
        return self._count(self._data.X_test, self._data.y_test)

    def checkpoint(self, epoch: int) -> Checkpoint | None:
        (W, b), (slots_W, slots_b) = self._parameters[0], self._slots[0]
        block = np.concatenate([W, *slots_W, b, *slots_b], axis=1)
        parts = self._gang.gather(np.ascontiguousarray(block).data.cast("B"))
        if self._gang.rank:
            return None
        whole = np.concatenate([np.frombuffer(part, block.dtype).reshape(-1, block.shape[1]) for part in parts])
        n, slots = W.shape[1], len(slots_W)
        of_W = [whole[:, n * i : n * (i + 1)].copy() for i in range(slots + 1)]
        of_b = [whole[:, n * (slots + 1) + i, np.newaxis].copy() for i in range(slots + 1)]
        return Checkpoint(
            epoch,
            [(of_W[0], of_b[0]), *self._parameters[1:]],
            [(of_W[1:], of_b[1:]), *self._slots[1:]],
        )

    def _count(self, X: Array, y: Labels) -> int:
        (Z,) = self._all_gather([linear_forward(*self._parameters[0], X)])
        return self._correct(Z, y)

    def _correct(self, Z: Array, y: Labels) -> int:
        return int(np.count_nonzero(classes_above(self._parameters, Z, self._plan.activations) == y))

    def _all_gather(self, own: list[Array]) -> list[Array]:
        """Every worker's rows of some matrices, given this one's; the squares of W1 go along where L2 needs them."""
        square = np.zeros(1)
        if self._plan.l2:
            square[0] = np.square(self._parameters[0][0], dtype=np.float64).sum()
        part = b"".join(array.tobytes() for array in (square, *own))
        whole = [np.empty((self._plan.sizes[1], array.shape[1]), array.dtype) for array in own]
        self._first_penalty = 0.0
        for rows, received in zip(self._blocks, self._gang.all_gather(part), strict=True):
            self._first_penalty += float(np.frombuffer(received, np.float64, 1)[0])
            offset = square.nbytes
            for matrix in whole:
                block = matrix[rows]
                block[...] = np.frombuffer(received, matrix.dtype, block.size, offset).reshape(block.shape)
                offset += block.nbytes
        return whole
