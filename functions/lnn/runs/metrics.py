"""The figures that become CloudWatch metrics: one line of the log each time, in Embedded Metric Format.

CloudWatch makes metrics of them as they arrive, so nobody waits for an answer. They have one dimension, the deployment,
since each combination of values would be a metric to pay for; the run is told beside them, for queries. A line holds
one value of each figure: the queries of CloudWatch Logs make a curve of such lines, and not of arrays.

Terraform's dashboard and alarms show these metrics by name; ``tests/terraform`` holds the two together.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from lnn.runs import logs
from lnn.runs.log_size import METRICS_INTERVAL_SECONDS, METRICS_LINES

if TYPE_CHECKING:
    from lnn.job.plan import Plan
    from lnn.runs.record import EpochRow, Run

SHARE = 100.0
"""A share of 1 as CloudWatch's Percent."""


class Metric(StrEnum):
    """Every metric, by name."""

    COST = "Cost"
    TRAIN_ACCURACY = "TrainAccuracy"
    TEST_ACCURACY = "TestAccuracy"
    BASE_RATE = "BaseRate"
    BALANCED_ACCURACY = "BalancedAccuracy"
    LOWEST_RECALL = "LowestRecall"
    TRAIN_RMSE = "TrainRmse"
    TEST_RMSE = "TestRmse"
    EPOCHS = "Epochs"
    EPOCH_SECONDS = "EpochSeconds"
    SYNCHRONIZATION_SECONDS = "SynchronisationSeconds"
    COMPLETED_RUNS = "CompletedRuns"
    FAILED_RUNS = "FailedRuns"
    STOPPED_RUNS = "StoppedRuns"
    INVOCATIONS = "Invocations"
    DOLLARS = "Dollars"
    ACTIVE_RUNS = "ActiveRuns"
    STALLED_RUNS = "StalledRuns"


UNITS = {
    Metric.COST: "None",
    Metric.TRAIN_ACCURACY: "Percent",
    Metric.TEST_ACCURACY: "Percent",
    Metric.BASE_RATE: "Percent",
    Metric.BALANCED_ACCURACY: "Percent",
    Metric.LOWEST_RECALL: "Percent",
    Metric.TRAIN_RMSE: "None",
    Metric.TEST_RMSE: "None",
    Metric.EPOCH_SECONDS: "Seconds",
    Metric.SYNCHRONIZATION_SECONDS: "Seconds",
    Metric.DOLLARS: "None",
}
"""Of all others: Count."""

_ENDS = {"COMPLETED": Metric.COMPLETED_RUNS, "FAILED": Metric.FAILED_RUNS, "STOPPED": Metric.STOPPED_RUNS}


class Curve:
    """The epochs of one run, as its trainer gets to know them."""

    def __init__(self, run: Run, plan: Plan) -> None:
        self._about = {"run_id": run.run_id, "generation": run.generation, "strategy": plan.strategy}
        self._record_every = plan.record_every
        self._base_rate = run.base_rate("test")
        saved = run.checkpoint
        self._counted = 0 if saved is None or saved.get("batches") else saved["epoch"]
        """The last epoch that is among the metrics, where ``record_every`` does not tell: a checkpoint's has a row."""
        self._rows: list[EpochRow] = []
        self._waited = 0.0
        self.lines = 0
        """Lines written so far."""
        self._written = time.monotonic()

    def add(self, rows: Iterable[EpochRow]) -> None:
        """Rows of the history, in order."""
        self._rows += rows

    def write_now_and_then(self) -> None:
        if time.monotonic() - self._written >= METRICS_INTERVAL_SECONDS:
            self.write()

    def write(self) -> None:
        """Write what is waiting. Where it is much, a line stands for several rows: the cost and the scores are the last
        one's, times are means, and epochs are counted.
        """
        count = min(len(self._rows), METRICS_LINES)
        for line in range(count):
            self._write(self._rows[line * len(self._rows) // count : (line + 1) * len(self._rows) // count])
        self.lines += count
        self._rows = []
        self._written = time.monotonic()

    def _write(self, rows: list[EpochRow]) -> None:
        last, epochs = rows[-1], sum(self._epochs_of(row) for row in rows)
        figures = {
            Metric.COST: last.cost,
            **_scores_of(last, self._base_rate),
            Metric.EPOCHS: epochs,
            Metric.EPOCH_SECONDS: sum(row.seconds for row in rows) / len(rows),
        }
        if last.waited is not None:
            figures[Metric.SYNCHRONIZATION_SECONDS] = (last.waited - self._waited) / epochs
            self._waited = last.waited
        emit("epochs", figures, self._about | {"epoch": last.epoch})

    def _epochs_of(self, row: EpochRow) -> int:
        """How many epochs went by since the row before: the history has only some of them."""
        before = max((row.epoch - 1) // self._record_every * self._record_every, self._counted)
        self._counted = row.epoch
        return row.epoch - before


def _scores_of(row: EpochRow, base_rate: float | None) -> dict[Metric, float]:
    """The accuracies of a row with the base rate, or the RMSE of a regression; what is not known is left out.

    The recall of an epoch is not known: only the end of a run counts by class.
    """
    scores = {
        Metric.TRAIN_ACCURACY: None if row.train_accuracy is None else row.train_accuracy * SHARE,
        Metric.TEST_ACCURACY: None if row.test_accuracy is None else row.test_accuracy * SHARE,
        Metric.BASE_RATE: None if base_rate is None else base_rate * SHARE,
        Metric.TRAIN_RMSE: row.train_rmse,
        Metric.TEST_RMSE: row.test_rmse,
    }
    return {metric: value for metric, value in scores.items() if value is not None}


def recorded(run: Run, plan: Plan, row: EpochRow) -> None:
    """An epoch is in the history: for who knows of one only."""
    curve = Curve(run, plan)
    curve.add([row])
    curve.write()


def ended(run: Run) -> None:
    """Emit the usage since the last emission, and what the model's test accuracy is to be read with.

    A resumed run ends more than once and must not be counted twice.
    """
    told = run.told_use or {"invocations": 0, "usd": 0.0}
    figures = {
        _ENDS[run.status]: 1,
        Metric.INVOCATIONS: run.use["invocations"] - told["invocations"],
        Metric.DOLLARS: run.use["usd"] - float(told["usd"]),
    }
    # A resumed run that fails keeps the counts of the model that it has had before.
    if run.status != "FAILED" and (metrics := run.test_metrics) is not None:
        figures[Metric.BALANCED_ACCURACY] = metrics.balanced_accuracy * SHARE
        figures[Metric.LOWEST_RECALL] = metrics.lowest_recall * SHARE
    about = {name: run.attribute(name) for name in ("run_id", "generation", "strategy", "epoch", "status")}
    emit("run ended", figures, about)


def watched(active: int, stalled: int) -> None:
    """What the watch has found: runs that are going, and those of them that nobody worked on."""
    emit("runs watched", {Metric.ACTIVE_RUNS: active, Metric.STALLED_RUNS: stalled}, {})


def emit(message: str, figures: Mapping[Metric, float], about: Mapping[str, Any]) -> None:
    """Write one line; ``about`` is told beside the figures."""
    # Powertools takes namespace and dimension from the environment. Imported here: a single neuron has no figures.
    from aws_lambda_powertools.metrics import EphemeralMetrics

    line = EphemeralMetrics()
    for metric, value in figures.items():
        line.add_metric(metric, UNITS.get(metric, "Count"), value)
    for name, value in {"message": message, **logs.place(), **about}.items():
        line.add_metadata(name, value)
    line.flush_metrics()
