"""``fused``: the whole run inside one Trainer invocation, in either formulation of the arithmetic."""

from __future__ import annotations

from collections.abc import Callable

from lnn.data.in_memory import TrainingData, training_data
from lnn.environment import vcpus
from lnn.job.plan import EXAMPLE_SPACE, Plan
from lnn.models.checkpoint import Checkpoint
from lnn.models.store import Artifacts
from lnn.network import Tally, take_examples
from lnn.network.batches import Batch
from lnn.network.example_space import ExampleSpace
from lnn.network.lanes import Lanes
from lnn.network.parts import cut, update_by_parts
from lnn.network.types import Labels, Parameters
from lnn.strategies.engine import Engine, StepResult, copied, norm_of
from lnn.strategies.fused.parts import SharedParts, part_of


def engine(artifacts: Artifacts, run_id: str, plan: Plan, state: Checkpoint) -> Engine:
    """The engine for the plan's formulation, with all of the data."""
    kind = InExampleSpace if plan.formulation == EXAMPLE_SPACE else Textbook
    return kind(plan, training_data(artifacts, run_id, plan), state)


class Textbook(Engine):
    """The plain formulation: every layer forward, every layer backward."""

    def __init__(self, plan: Plan, data: TrainingData, state: Checkpoint) -> None:
        self._network, self._optimizer_at, self._data = plan.network, plan.update_rule_at, data
        self._plan, self._parameters, self._slots = plan, state.parameters, state.slots
        self._kept, self._clipping = state.best_parameters, plan.clipping
        self._lanes = Lanes(vcpus())
        self._weights = sum(W.size for W, _ in state.parameters)
        self._in_parts: SharedParts | None = None
        most = len(self._cut(plan.batch_examples(0)))
        if most > 1:
            self._in_parts = SharedParts(plan, data, state.parameters, most)
            self._parameters = self._in_parts.parameters

    def step(self, batch: Batch, t: int, tally: bool, following: Batch = None) -> StepResult:  # noqa: ARG002
        test = self.test_tally() if tally else None
        parts = self._cut(self._data.Y.shape[1] if batch is None else len(batch))
        rule = self._optimizer_at(t)
        to = (self._parameters, self._slots)
        if len(parts) == 1 or self._in_parts is None:
            X, Y, masks = part_of(self._plan, self._data, batch, parts[0], t)
            cost, seen = self._network.train_step(*to, X, Y, rule, t, self._clipping, masks)
        else:
            found = self._in_parts.differentiate(batch, parts, t)
            cost, seen = update_by_parts(self._network, *to, found, parts[-1].stop, rule, t, self._clipping)
        return StepResult(cost, seen, test, norm_of(self._clipping))

    def _cut(self, m: int) -> list[slice]:
        return cut(m, self._weights, self._data.X.itemsize)

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

    def close(self) -> None:
        if self._in_parts is not None:
            self._in_parts.close()


class InExampleSpace(Engine):
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
