"""``data``: every worker has a share of the examples and all of the parameters.

A step adds up the workers' gradients: each gives every other the piece of its gradient that the other one looks after,
adds up what it was given in rank order, so that a rerun gives the same bits, updates its piece of the parameters with
its piece of the optimizer's slots, and gives the piece to all. Two exchanges, whatever the number of workers, in which
each sends and receives the parameters about twice (reduce-scatter and all-gather: Thakur, Rabenseifner, Gropp 2005,
"Optimization of collective communication operations in MPICH"). Two workers exchange as much by giving each other
the whole gradient, at once, and each makes the whole update.

With ``average_every`` each makes so many updates by itself, with its own examples of each batch, and then the
parameters and slots of all are averaged (local SGD: Stich 2019, "Local SGD converges fast and communicates little").
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lnn.data.in_memory import TEST_X, TEST_Y, TRAIN_W, TRAIN_X, TRAIN_Y, VALIDATION_X, VALIDATION_Y
from lnn.data.matrices import label_matrix
from lnn.data.on_disk import OwnExamples
from lnn.environment import memory_mb, vcpus
from lnn.job.plan import WHOLE_UP_TO, Plan
from lnn.models.checkpoint import Checkpoint
from lnn.models.store import Artifacts
from lnn.network import (
    Masks,
    Tally,
    class_counts,
    penalty,
    sum_of_squares,
    tally_of_output,
)
from lnn.network.batches import Batch
from lnn.network.lanes import Lanes
from lnn.network.parameter_vector import flattened, layers_of, weight_ranges
from lnn.network.parts import Differentiated, Part, add, cut, differentiate
from lnn.network.types import Array, Labels, Parameters
from lnn.parameter_server.process_group import ProcessGroup
from lnn.parameter_server.resp import Buffer
from lnn.strategies.data_parallel.exchange import gather_pieces, piece_in, pieces_of, sum_own_piece
from lnn.strategies.data_parallel.memory import held_mb, needed_mb
from lnn.strategies.engine import Engine, StepResult, norm_of

COUNTED_BYTES = 8 * 2**20
"""Of a block whose examples are only counted: one that stays in the processor's cache is faster."""


class Figures(NamedTuple):
    """What a worker tells of its own examples, sums all of them, before its piece of an array."""

    seen: Tally
    """Of training examples, before their batch's update; the cost has L2's penalty."""
    test: Tally


class TallyFormat:
    """Tallies of one run as bytes of one length: cost, count, and two sums for each of its targets."""

    def __init__(self, targets: int) -> None:
        self._targets = targets
        self._struct = struct.Struct(f"<dq{2 * targets}d")
        self.size = self._struct.size
        self.nothing = Tally(0.0, 0, (0.0,) * targets, (0.0,) * targets)
        """The sums over no examples: a worker may have none."""

    def pack(self, *tallies: Tally) -> bytes:
        return b"".join(self._struct.pack(one.cost, one.correct, *one.squared, *one.absolute) for one in tallies)

    def unpack(self, raw: Buffer, place: int = 0) -> Tally:
        """The tally at a place, counted from 0."""
        cost, correct, *sums = self._struct.unpack_from(raw, place * self.size)
        return Tally(cost, correct, tuple(sums[: self._targets]), tuple(sums[self._targets :]))


class Data(Engine):
    """One worker's examples, the parameters, and its part of the optimizer's memory."""

    def __init__(self, artifacts: Artifacts, run_id: str, plan: Plan, state: Checkpoint, group: ProcessGroup) -> None:
        self._plan, self._group = plan, group
        self._network, self._optimizer_at, self._clipping = plan.network, plan.update_rule_at, plan.clipping
        own = share(plan.examples, group)
        held, w = held_bytes(plan, group.size), TRAIN_W if plan.weighted_examples else None
        self._train = OwnExamples(artifacts, run_id, TRAIN_X, TRAIN_Y, plan, *own, held_bytes=held, w=w)
        test = share(plan.test_examples, group)
        self._test = OwnExamples(artifacts, run_id, TEST_X, TEST_Y, plan, *test, block_bytes=COUNTED_BYTES)
        validation = share(plan.validation_examples, group)
        self._validation = (
            OwnExamples(artifacts, run_id, VALIDATION_X, VALIDATION_Y, plan, *validation, block_bytes=COUNTED_BYTES)
            if plan.validation_examples
            else None
        )
        self._flat = flattened(state.parameters, plan.dtype)
        self._kept = None if state.best_parameters is None else flattened(state.best_parameters, plan.dtype)
        self._parameters = layers_of(self._flat, plan.sizes)
        self._gradient = np.empty_like(self._flat)
        self._gradients = layers_of(self._gradient, plan.sizes)
        self._alone = plan.average_every is not None
        # Who updates everything needs the whole of the optimizer's memory, who shares the updates a piece.
        self._whole = self._alone or group.size <= WHOLE_UP_TO
        start, stop = (0, len(self._flat)) if self._whole else share(len(self._flat), group)
        self._own = self._flat[start:stop]
        self._own_weights = weight_ranges(plan.sizes, start, stop)
        self._slots = [flat[start:stop].copy() for flat in flat_slots(state, plan)]
        self._weights = sum(W.size for W, _ in self._parameters)
        self._lanes = Lanes(vcpus())
        self._format = TallyFormat(plan.targets)
        self._untold = self._nothing()
        self._tallied = False
        self._following: Batch = None
        self._prepared: tuple[Batch, npt.NDArray[np.int64] | None] = None, None

    def step(self, batch: Batch, t: int, tally: bool, following: Batch = None) -> StepResult:
        """See ``Engine``.

        With ``average_every`` only a step that averages tells cost and counts, for all steps since the last that did.
        """
        m = self._plan.examples if batch is None else len(batch)
        own = self._own_examples(batch)
        self._following = following
        if tally and not self._tallied:
            self._untold = self._untold._replace(test=self._own_test())
            self._tallied = True
        if self._alone:
            self._update_alone(batch, own, m, t)
            if not self._plan.meets_after(t):
                return StepResult(0.0, self._format.nothing)
            summed = self._average()
        else:
            summed = self._update_together(batch, own, m, t)
        tallied, self._untold, self._tallied = self._tallied, self._nothing(), False
        return StepResult(summed.seen.cost / m, summed.seen, summed.test if tallied else None, norm_of(self._clipping))

    def train_tally(self) -> Tally:
        return self._add_up(self._own_tally(self._train))

    def test_tally(self) -> Tally:
        return self._add_up(self._own_test())

    def test_counts(self) -> Labels:
        own: Labels = np.zeros((3, len(self._plan.list_classes)), np.int64)
        for X, y, _ in self._test.blocks():
            own += class_counts(self._network.forward(self._parameters, X).A[-1], y)
        parts = self._group.all_gather(own.tobytes())
        return sum((np.frombuffer(part, np.int64).reshape(own.shape) for part in parts), start=np.zeros_like(own))

    def validation_tally(self) -> Tally:
        of = self._validation
        return self._add_up(self._format.nothing if of is None else self._own_tally(of, with_cost=True))

    def keep(self) -> None:
        self._kept = self._flat.copy()

    def use_kept(self) -> None:
        if self._kept is not None:  # a checkpoint has the arrays of the last parameters
            self._flat = self._kept
            self._parameters = layers_of(self._flat, self._plan.sizes)

    def checkpoint(self, epoch: int) -> Checkpoint | None:
        slots = self._slots
        if slots and not self._whole:
            gathered = self._group.gather(np.concatenate(slots).data)
        if self._group.rank:
            return None
        if slots and not self._whole:
            # Each worker's pieces of all slots, one after the other: put together the pieces of each slot.
            parts = [piece_in(part, self._flat.dtype).reshape(len(slots), -1) for part in gathered]
            slots = [np.concatenate([part[slot] for part in parts]) for slot in range(len(slots))]
        layers = [layers_of(flat, self._plan.sizes) for flat in slots]
        return Checkpoint(
            epoch,
            self._parameters,
            [
                ([of_slot[layer][0] for of_slot in layers], [of_slot[layer][1] for of_slot in layers])
                for layer in range(self._plan.layers)
            ],
            best_parameters=None if self._kept is None else layers_of(self._kept, self._plan.sizes),
        )

    def _nothing(self) -> Figures:
        return Figures(self._format.nothing, self._format.nothing)

    # Own examples

    def _own_examples(self, batch: Batch) -> npt.NDArray[np.int64] | None:
        if batch is None:
            return None
        prepared_for, own = self._prepared
        return own if prepared_for is batch else self._train.of(batch)

    def _prepare(self) -> None:
        """Read the next batch's examples."""
        if self._following is not None:
            own = self._train.of(self._following)
            self._train.prepare(own)
            self._prepared = self._following, own

    def _differentiate(self, batch: Batch, own: npt.NDArray[np.int64] | None, m: int, t: int) -> None:
        """The own examples' part of the gradient of a mean over ``m``; notes their sums."""
        seen, done = [self._untold.seen], 0
        for X, y, weights in self._train.blocks(own):
            Y = label_matrix(y, self._plan.sizes[-1], self._plan.dtype, weights)
            masks = partial(self._masks, batch, t, done)
            # The first part's gradients go to their place in the flat one; those of the others are added to it.
            share = partial(self._share, X, Y, masks, m, None if done else self._gradients)
            for one in self._lanes(share, cut(len(y), self._weights, self._flat.itemsize)):
                seen.append(one.seen._replace(cost=one.cost))
                if one.gradients is not self._gradients:
                    add(one.gradients, self._gradients)
            done += len(y)
        if not done:
            self._gradient.fill(0)
        self._untold = self._untold._replace(seen=Tally.total(seen))

    def _share(
        self, X: Array, Y: Array, masks: Callable[[slice], Masks], m: int, out: Parameters | None, places: slice
    ) -> Differentiated:
        """What the examples at these places of a block add to a batch of ``m``; ``out`` is for the first of them."""
        part = Part(X[:, places], Y[:, places], masks(places))
        return differentiate(self._network, self._parameters, part, m, None if places.start else out)

    def _masks(self, batch: Batch, t: int, done: int, places: slice) -> Masks:
        """The masks of dropout for the own examples in a batch at these places after so many others."""
        if self._plan.dropout is None:
            return ()
        start, stop = done + places.start, done + places.stop
        if batch is None:
            return self._plan.masks(t, slice(self._train.first + start, self._train.first + stop))
        return self._plan.masks(t, self._train.places_in(batch)[start:stop])

    def _own_test(self) -> Tally:
        return self._own_tally(self._test, with_cost=self._plan.has_test_cost)

    def _own_tally(self, examples: OwnExamples, *, with_cost: bool = False) -> Tally:
        """The sums over the own examples of a set."""
        output, units, parts = self._plan.activations[-1], self._plan.sizes[-1], [self._format.nothing]
        for X, y, _ in examples.blocks():
            passed = self._network.forward(self._parameters, X)
            Y = label_matrix(y, units, self._plan.dtype) if with_cost else None
            parts.append(tally_of_output(output, passed.A[-1], passed.logits, y, Y, self._plan.weighted_loss))
        return Tally.total(parts)

    def _add_up(self, own: Tally) -> Tally:
        """The sums over the whole set, alike to the bit in every worker."""
        return Tally.total(map(self._format.unpack, self._group.all_gather(self._format.pack(own))))

    # Updates

    def _update_together(self, batch: Batch, own: npt.NDArray[np.int64] | None, m: int, t: int) -> Figures:
        """One update by the mean gradient over all examples of the batch."""
        self._differentiate(batch, own, m, t)
        gradient, summed = self._sum_own_piece(self._gradient)
        cost = summed.seen.cost + m * self._penalty(m)
        self._update(gradient, m, t)
        if not self._whole:
            gather_pieces(self._group, self._flat)
        return summed._replace(seen=summed.seen._replace(cost=cost))

    def _update_alone(self, batch: Batch, own: npt.NDArray[np.int64] | None, m: int, t: int) -> None:
        """One update by the mean gradient over the own examples of the batch; none if there are no such examples."""
        examples = len(self._train) if own is None else len(own)
        cost = m * self._penalty(m) / self._group.size
        self._differentiate(batch, own, max(1, examples), t)
        seen = self._untold.seen
        self._untold = self._untold._replace(seen=seen._replace(cost=seen.cost + cost))
        if examples:
            self._update(self._gradient, m, t)

    def _average(self) -> Figures:
        """Every worker's parameters and slots become their mean over all workers."""
        state = np.concatenate([self._flat, *self._slots])
        own, summed = self._sum_own_piece(state)
        own /= self._group.size
        if len(own) == len(state):
            state = own
        else:
            pieces_of(state, self._group.size)[self._group.rank][...] = own
            gather_pieces(self._group, state)
        for target, values in zip([self._flat, *self._slots], np.split(state, 1 + len(self._slots)), strict=True):
            target[...] = values
        return summed

    def _update(self, gradient: Array, m: int, t: int) -> None:
        """Update the own parameters; L2's part of the gradient, and any other decay, is for weights only."""
        optimizer = self._optimizer_at(t)
        for weights in self._own_weights:
            if self._plan.l2:
                gradient[weights] += (self._plan.l2 / m) * self._own[weights]
            optimizer.decay(self._own[weights])
        if self._clipping is not None:
            square = sum_of_squares(gradient)
            gradient *= self._clipping.factor(square if self._whole else self._group.sum_of_all(square))
        optimizer.update(self._own, gradient, self._slots, t)

    def _penalty(self, m: int) -> float:
        return penalty((W for W, _ in self._parameters), self._plan.l2, m)

    # Exchanges

    def _sum_own_piece(self, values: Array) -> tuple[Array, Figures]:
        """This worker's piece of the sum over all workers of ``values``, and the sum of the figures not yet told.

        The piece of one or two workers is everything.
        """
        figures = self._format.pack(*self._untold)
        own, parts = sum_own_piece(self._group, values, figures, self._prepare)
        seen, test = ([self._format.unpack(part, place) for part in parts] for place in range(len(self._untold)))
        return own, Figures(Tally.total(seen), Tally.total(test))


def held_bytes(plan: Plan, workers: int) -> int:
    """Bytes of the own examples that a worker keeps in memory."""
    parameters = sum((inputs + 1) * units for inputs, units in pairwise(plan.sizes))
    item = np.dtype(plan.dtype).itemsize
    batch = min(plan.batch_size or plan.examples, plan.examples)
    needed = needed_mb(
        parameters=parameters,
        slots=plan.update_rule.slots,
        best_parameters=parameters if plan.keeps_best else 0,
        parts=len(cut(-(-batch // workers), parameters, item)),
        features=plan.sizes[0],
        examples=plan.examples,
        item=item,
    )
    return held_mb(memory_mb(), needed) * 2**20


def share(count: int, group: ProcessGroup) -> tuple[int, int]:
    """First and last (exclusive) of the ``count`` things that belong to a worker."""
    return count * group.rank // group.size, count * (group.rank + 1) // group.size


def flat_slots(state: Checkpoint, plan: Plan) -> list[Array]:
    """Each of the optimizer's slots as one array, in the order of the parameters."""
    return [
        flattened([(of_W[slot], of_b[slot]) for of_W, of_b in state.slots], plan.dtype)
        for slot in range(plan.update_rule.slots)
    ]
