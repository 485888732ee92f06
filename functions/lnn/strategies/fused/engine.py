"""``fused``: the whole run inside one Trainer invocation, in either formulation of the arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lnn.data.in_memory import TrainingData, training_data
from lnn.environment import vcpus
from lnn.job.plan import EXAMPLE_SPACE, Plan
from lnn.models.checkpoint import Checkpoint
from lnn.models.store import Artifacts
from lnn.network import Tally, take_examples
from lnn.network.batches import Batch
from lnn.network.example_space import ExampleSpace
from lnn.network.lanes import Lanes
from lnn.network.parts import Part, cut, train_step_in_parts
from lnn.network.types import Labels, Parameters
from lnn.strategies.engine import Engine, StepResult, copied, norm_of


def engine(artifacts: Artifacts, run_id: str, plan: Plan, state: Checkpoint) -> Engine:
    """The engine for the plan's formulation, with all of the data."""
    kind = InExampleSpace if plan.formulation == EXAMPLE_SPACE else Textbook
    return kind(plan, training_data(artifacts, run_id, plan), state)


class Textbook:
    """The plain formulation: every layer forward, every layer backward."""

    def __init__(self, plan: Plan, data: TrainingData, state: Checkpoint) -> None:
        self._network, self._optimizer_at, self._data = plan.network, plan.update_rule_at, data
        self._parameters, self._slots, self._kept = state.parameters, state.slots, state.best_parameters
        self._clipping, self._masks = plan.clipping, plan.masks if plan.dropout_rates else None
        self._lanes = Lanes(vcpus())
        self._weights = sum(W.size for W, _ in state.parameters)

    def step(self, batch: Batch, t: int, tally: bool, following: Batch = None) -> StepResult:  # noqa: ARG002
        test = self.test_tally() if tally else None
        m = self._data.Y.shape[1] if batch is None else len(batch)
        parts = cut(m, self._weights, self._data.X.itemsize)
        rule = self._optimizer_at(t)
        if len(parts) == 1:
            X, Y, masks = self._part(batch, t, parts[0])
            cost, seen = self._network.train_step(self._parameters, self._slots, X, Y, rule, t, self._clipping, masks)
        else:
            cost, seen = train_step_in_parts(
                self._network,
                self._parameters,
                self._slots,
                parts,
                partial(self._part, batch, t),
                rule,
                t,
                self._clipping,
                self._lanes,
            )
        return StepResult(cost, seen, test, norm_of(self._clipping))

    def _part(self, batch: Batch, t: int, places: slice) -> Part:
        """The examples at these places of a batch, in update ``t``."""
        X, Y = self._data.X, self._data.Y
        if batch is None:
            X, Y = X[:, places], Y[:, places]
        else:
            X, Y = take_examples(X, batch[places]), take_examples(Y, batch[places])
        return Part(X, Y, self._masks(t, places) if self._masks else ())

    def train_tally(self) -> Tally:
        return self._network.tally(self._parameters, self._data.X, self._data.y, side_by_side=self._lanes)

    def test_tally(self) -> Tally:
        of = self._data
        return self._network.tally(self._parameters, of.X_test, of.y_test, of.Y_test, self._lanes)

    def test_counts(self) -> Labels:
        return self._network.class_counts(self._parameters, self._data.X_test, self._data.y_test, self._lanes)

    def validation_tally(self) -> Tally:
        of = self._data.validation
        return self._network.tally(self._parameters, of.X, of.y, of.Y, self._lanes)

    def keep(self) -> None:
        self._kept = copied(self._parameters)

    def use_kept(self) -> None:
        self._parameters = self._kept or self._parameters

    def checkpoint(self, epoch: int) -> Checkpoint:
        return Checkpoint(epoch, self._parameters, self._slots, best_parameters=self._kept)


class InExampleSpace:
    """The first layer as a combination of the examples: see ``lnn.network.example_space``."""

    def __init__(self, plan: Plan, data: TrainingData, state: Checkpoint) -> None:
        self._data, self._parameters, self._slots = data, state.parameters, state.slots
        self._optimizer_at, self._clipping = plan.update_rule_at, plan.clipping
        self._masks = plan.masks if plan.dropout_rates else None
        self._space = ExampleSpace(
            state.parameters,
            state.slots,
            data.X,
            data.X_test,
            plan.update_rule,
            plan.activations,
            plan.l2,
            state.example_space,
            plan.weighted_loss,
            data.validation.X,
            self._clipping,
        )
        self._network = plan.network
        self._used: Parameters | None = None
        """What ``use_kept`` took."""
        best = state.best_parameters
        self._kept: Callable[[], Parameters] | None = None if best is None else lambda: best

    def step(self, batch: Batch, t: int, tally: bool, following: Batch = None) -> StepResult:  # noqa: ARG002
        test = self.test_tally() if tally else None
        Y = take_examples(self._data.Y, batch)
        masks = self._masks(t, slice(0, Y.shape[1])) if self._masks else ()
        cost, seen = self._space.train_step(batch, Y, t, self._optimizer_at(t), masks)
        return StepResult(cost, seen, test, norm_of(self._clipping))

    def train_tally(self) -> Tally:
        if self._used is not None:
            return self._network.tally(self._used, self._data.X, self._data.y)
        return self._space.train_tally(self._data.y)

    def test_tally(self) -> Tally:
        if self._used is not None:
            return self._network.tally(self._used, self._data.X_test, self._data.y_test, self._data.Y_test)
        return self._space.test_tally(self._data.y_test, self._data.Y_test)

    def test_counts(self) -> Labels:
        if self._used is not None:
            return self._network.class_counts(self._used, self._data.X_test, self._data.y_test)
        return self._space.test_counts(self._data.y_test)

    def validation_tally(self) -> Tally:
        of = self._data.validation
        if self._used is not None:
            return self._network.tally(self._used, of.X, of.y, of.Y)
        return self._space.validation_tally(of.y, of.Y)

    def keep(self) -> None:
        # W1 is not made before somebody needs it: an epoch that is the best so far may not stay it.
        first, ((_, b1), *above) = self._space.first_layer_so_far(), copied(self._parameters)
        self._kept = lambda: [(first(), b1), *above]

    def use_kept(self) -> None:
        self._used = None if self._kept is None else self._kept()

    def checkpoint(self, epoch: int) -> Checkpoint:
        W1, slots_W1 = self._space.first_layer()
        (_, b1), *parameters = self._parameters
        (_, slots_b1), *slots = self._slots
        return Checkpoint(
            epoch,
            [(W1, b1), *parameters],
            [(slots_W1, slots_b1), *slots],
            self._space.state(),
            best_parameters=None if self._kept is None else self._kept(),
        )
