"""A run's training computed again on this machine: the parameters after any epoch that it has trained.

A run is made of its stored examples, its plan and its seed, and nothing else: whoever has these computes the same
history (docs/adr/20261129-a-run-is-replayed.md). The replay begins at the last checkpoint before the epoch. It compares
the costs that it comes by with those that the run has recorded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lnn.aws.dynamodb_items import LARGEST
from lnn.data.preprocessing import PREPROCESSING, Preprocessing
from lnn.errors import ResourceDeleted
from lnn.models.store import Artifacts
from lnn.names import checkpoints_prefix, place_of_checkpoint
from lnn_client.errors import CannotReplay

if TYPE_CHECKING:
    from lnn.data.in_memory import TrainingData
    from lnn.models.checkpoint import Checkpoint
    from lnn.network.types import Parameters
    from lnn.runs.record import EpochRow, Run
    from lnn.strategies.engine import Engine
    from lnn_client.cloud import Cloud

TOLERANCES = {"float64": 1e-6, "float32": 1e-2}
"""Largest relative difference of a cost from the recorded one, by dtype. Strategies add up in other orders."""


class Replay:
    """The training of one run, as far as the run has come.

    Raises:
        RunStateError: Launch has not prepared the run.
        CannotReplay: its files are deleted, or its workers average their parameters.
    """

    def __init__(self, cloud: Cloud, run: Run) -> None:
        from lnn.data.in_memory import training_data

        self.run, self.plan = run, run.parsed_plan
        self._cloud = cloud
        self._artifacts = Artifacts(cloud.s3, cloud.names.bucket)
        if self.plan.average_every is not None and self.plan.workers > 1:
            raise CannotReplay(
                f"run {run.run_id} cannot be computed again: its {self.plan.workers} workers average their parameters "
                f"every {self.plan.average_every} updates (average_every)"
            )
        try:
            self.data: TrainingData = training_data(self._artifacts, run.run_id, self.plan)
        except ResourceDeleted as error:
            raise _deleted(run) from error
        self.features = _features(self._artifacts, run.run_id) if self.plan.preprocessed else []
        """The names of the network's inputs; empty where only a table's columns would have some."""
        self._rows: dict[int, EpochRow] = {}
        self.complete_to = 0
        """The history has every row up to this epoch."""
        self._read_history()
        self._epoch = -1
        self._engine: Engine | None = None

    def follow(self) -> Run:
        """The run as it is now: it may have trained further."""
        if not self.run.has_ended:
            self.run = self._cloud.find_run(self.run.run_id)
            self._read_history()
        return self.run

    @property
    def history(self) -> list[EpochRow]:
        return list(self._rows.values())

    def _read_history(self) -> None:
        """Read the rows that are new. Writers work side by side: rows may come before those of earlier epochs."""
        every = int(self.run.settings.get("record_every", 1))
        if self.run.has_ended:  # of which only now is clear which rows belong to it
            self._rows, self.complete_to = {}, 0
        elif self.complete_to + every > self.run.epoch:
            return
        for row in self._cloud.ledger.history(self.run.run_id, self.complete_to):
            self._rows[row.epoch] = row
        self._rows = dict(sorted(self._rows.items()))
        while self.complete_to + every in self._rows and self.complete_to + every <= self.run.epoch:
            self.complete_to += every

    def parameters(self, epoch: int) -> Parameters:
        """W (units, units of the layer before) and b (units, 1) of every layer after ``epoch`` epochs; 0 is the start.

        They are the caller's. Asking for later and later epochs is fastest.

        Raises:
            CannotReplay: the run has not trained so many epochs, a cost differs from the recorded one, or the run's
                files are deleted.
        """
        if not 0 <= epoch <= self.run.epoch:
            raise CannotReplay(
                f"epoch {epoch}: run {self.run.run_id} has trained {self.run.epoch} epochs; 0 is the start"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            self._go_to(epoch)
        if self._engine is None or (state := self._engine.checkpoint(epoch)) is None:
            raise AssertionError("one worker has all of the state")
        return [(W.copy(), b.copy()) for W, b in state.parameters]

    def _go_to(self, epoch: int) -> None:
        from lnn.strategies.fused.engine import engine

        key = max(
            (key for key in self._checkpoints() if place_of_checkpoint(key) <= (epoch, 0)), key=place_of_checkpoint
        )
        stored, batches = place_of_checkpoint(key)
        so_far = 0.0
        if self._engine is None or not stored <= self._epoch <= epoch:
            state = self._checkpoint(key, stored)
            so_far = state.so_far.cost_sum
            self._engine, self._epoch = engine(self._artifacts, self.run.run_id, self.plan, state), stored
        else:
            batches = 0
        while self._epoch < epoch:
            self._train(self._epoch + 1, batches, so_far)
            batches, so_far = 0, 0.0

    def _train(self, epoch: int, done: int, cost_sum: float) -> None:
        """An epoch, of which so many batches are done."""
        plan, engine = self.plan, self._engine
        if engine is None:
            raise AssertionError("an engine is made before it trains")
        for number, batch in enumerate(plan.batches(epoch)[done:], start=done):
            result = engine.step(batch, (epoch - 1) * plan.batches_per_epoch + number + 1, tally=False)
            cost_sum += result.cost * plan.batch_examples(number)
        self._epoch = epoch
        self._compare(epoch, cost_sum / plan.examples)

    def _compare(self, epoch: int, cost: float) -> None:
        recorded = self._rows[epoch].cost if epoch in self._rows else None
        stored = min(cost, LARGEST)
        if recorded is None or math.isclose(stored, recorded, rel_tol=TOLERANCES[self.plan.dtype], abs_tol=1e-12):
            return
        self._engine = None
        raise CannotReplay(
            f"run {self.run.run_id} cannot be computed again on this machine: epoch {epoch} has the cost {cost!r} "
            f"here, and {recorded!r} in the run's history"
        )

    def _checkpoints(self) -> list[str]:
        pages = self._cloud.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._cloud.names.bucket, Prefix=checkpoints_prefix(self.run.run_id)
        )
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        if not any(place_of_checkpoint(key) == (0, 0) for key in keys):
            raise _deleted(self.run)
        return keys

    def _checkpoint(self, key: str, epoch: int) -> Checkpoint:
        try:
            return self._artifacts.get_checkpoint(key, epoch)
        except ResourceDeleted as error:
            raise _deleted(self.run) from error


def _features(artifacts: Artifacts, run_id: str) -> list[str]:
    return Preprocessing.decode(artifacts.get_tensor(run_id, PREPROCESSING)).features


def _deleted(run: Run) -> CannotReplay:
    return CannotReplay(
        f"run {run.run_id} cannot be computed again: its examples and checkpoints are deleted, as the files of an "
        "ended run are after some days (runs_expiry_days in Terraform)"
    )
