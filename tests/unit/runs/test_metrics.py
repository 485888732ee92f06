"""What becomes a metric: few lines whatever the number of epochs, and nothing is counted twice."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lnn.runs import metrics
from lnn.runs.log_size import METRICS_INTERVAL_SECONDS
from lnn.runs.log_size import METRICS_LINES as LINES
from lnn.runs.metrics import Curve, Metric
from lnn.runs.record import EpochRow, Run
from support.plans import plan

RUN = Run("20261121T101500Z-0a1b2c3d", "RUNNING", generation=2)


def rows(last: int, every: int = 1) -> list[EpochRow]:
    return [EpochRow(epoch, 1 / epoch, 0.5, 0.25, epoch / 1000) for epoch in range(every, last + 1, every)]


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def values(lines: list[dict[str, Any]], metric: Metric) -> list[float]:
    return [line[metric][0] for line in lines if metric in line]


@pytest.mark.parametrize(("epochs", "lines"), [(1, 1), (LINES, LINES), (LINES + 1, LINES), (2500, LINES)])
def test_the_lines_of_a_flush_are_few_and_stand_for_every_epoch(
    epochs: int, lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = Curve(RUN, plan(epochs=epochs))
    curve.add(rows(epochs))
    curve.write()
    found = written(capsys)
    assert len(found) == lines
    assert sum(values(found, Metric.EPOCHS)) == epochs
    assert found[-1]["epoch"] == epochs
    assert values(found, Metric.COST)[-1] == 1 / epochs
    weighted = zip(values(found, Metric.EPOCHS), values(found, Metric.EPOCH_SECONDS), strict=True)
    assert sum(count * mean for count, mean in weighted) == pytest.approx(sum(row.seconds for row in rows(epochs)))


def test_epochs_without_a_row_in_the_history_are_counted_too(capsys: pytest.CaptureFixture[str]) -> None:
    every_tenth = plan(epochs=37, record_every=10)
    curve = Curve(RUN, every_tenth)
    curve.add([*rows(30, every=10), EpochRow(37, 0.1, 0.5, 0.25, 0.001)])
    curve.write()
    assert values(written(capsys), Metric.EPOCHS) == [10, 10, 10, 7]


def test_a_line_is_a_metric_of_the_deployment_with_the_run_beside_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "team")
    metrics.recorded(RUN, plan(strategy="data"), EpochRow(3, 0.5, 0.75, 0.5, 0.2, waited=0.1))
    (line,) = written(capsys)
    (described,) = line["_aws"]["CloudWatchMetrics"]
    assert (described["Namespace"], described["Dimensions"], line["service"]) == ("LNN", [["service"]], "team")
    assert {name: line[name] for name in ("run_id", "generation", "epoch", "strategy")} == {
        "run_id": RUN.run_id,
        "generation": 2,
        "epoch": 3,
        "strategy": "data",
    }
    assert {metric["Name"]: (metric["Unit"], line[metric["Name"]]) for metric in described["Metrics"]} == {
        "Cost": ("None", [0.5]),
        "TrainAccuracy": ("Percent", [75.0]),
        "TestAccuracy": ("Percent", [50.0]),
        "Epochs": ("Count", [1.0]),
        "EpochSeconds": ("Seconds", [0.2]),
        "SynchronisationSeconds": ("Seconds", [0.1]),
    }


def test_waiting_is_told_for_each_epoch_and_only_where_workers_wait(capsys: pytest.CaptureFixture[str]) -> None:
    curve = Curve(RUN, plan(epochs=50, record_every=2))
    curve.add([EpochRow(epoch, 0.5, 0.5, 0.5, 0.1, waited=epoch / 100) for epoch in range(2, 101, 2)])
    curve.write()
    curve.add([EpochRow(102, 0.5, 0.5, 0.5, 0.1, waited=1.5)])
    curve.write()
    curve.add([EpochRow(104, 0.5, 0.5, 0.5, 0.1)])
    curve.write()
    found = values(written(capsys), Metric.SYNCHRONIZATION_SECONDS)
    assert found == [*([pytest.approx(0.01)] * LINES), pytest.approx(0.25)]


def test_a_training_that_goes_on_is_told_of_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("lnn.runs.metrics.time.monotonic", lambda: now)
    curve = Curve(RUN, plan())
    curve.add(rows(2))
    now += METRICS_INTERVAL_SECONDS - 1
    curve.write_now_and_then()
    assert written(capsys) == []
    now += 1
    curve.write_now_and_then()
    assert len(written(capsys)) == 2


def test_a_resumed_run_adds_only_what_it_used_since(capsys: pytest.CaptureFixture[str]) -> None:
    stopped = replace(RUN, status="STOPPED", invocations=3, step_invocations=40, usd=0.5)
    metrics.ended(stopped)
    completed = replace(RUN, status="COMPLETED", invocations=50, usd=0.75, told_use=stopped.use)
    metrics.ended(completed)
    first, second = written(capsys)
    assert (first["Invocations"], first["Dollars"], first["StoppedRuns"]) == ([43.0], [0.5], [1.0])
    assert (second["Invocations"], second["Dollars"], second["CompletedRuns"]) == ([7.0], [0.25], [1.0])


def test_a_regression_has_its_rmse_and_no_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    curve = Curve(RUN, plan(epochs=1))
    curve.add([EpochRow(1, 0.5, None, None, 0.1, train_rmse=1.5, test_rmse=2.5)])
    curve.write()
    (line,) = written(capsys)
    assert (line[Metric.TRAIN_RMSE], line[Metric.TEST_RMSE]) == ([1.5], [2.5])
    assert Metric.TRAIN_ACCURACY not in line
