"""The arithmetic of a strategy that the tests add: the textbook's step."""

from __future__ import annotations

from lnn.data.in_memory import training_data
from lnn.job.plan import Plan
from lnn.models.checkpoint import Checkpoint
from lnn.models.store import Artifacts
from lnn.network import Tally
from lnn.network.batches import Batch
from lnn.network.types import Labels
from lnn.strategies.engine import Engine, StepResult


class Toy(Engine):
    def __init__(self, artifacts: Artifacts, run_id: str, plan: Plan, state: Checkpoint) -> None:
        self._plan, self._state = plan, state
        self._data = training_data(artifacts, run_id, plan)

    def step(self, batch: Batch, t: int, tally: bool, following: Batch = None) -> StepResult:
        chosen = slice(None) if batch is None else batch
        X, Y = self._data.X[:, chosen], self._data.Y[:, chosen]
        network, state = self._plan.network, self._state
        cost, seen = network.train_step(state.parameters, state.slots, X, Y, self._plan.update_rule_at(t), t)
        return StepResult(cost, seen)

    def train_tally(self) -> Tally:
        return self._plan.network.tally(self._state.parameters, self._data.X, self._data.y)

    def test_tally(self) -> Tally:
        return self._plan.network.tally(self._state.parameters, self._data.X_test, self._data.y_test)

    def test_counts(self) -> Labels:
        return self._plan.network.class_counts(self._state.parameters, self._data.X_test, self._data.y_test)

    def use_kept(self) -> None:
        """It keeps no parameters."""

    def checkpoint(self, epoch: int) -> Checkpoint:
        return Checkpoint(epoch, self._state.parameters, self._state.slots)
