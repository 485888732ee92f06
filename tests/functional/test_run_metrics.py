"""Every metric is emitted by some training or by the watch, and says what the run's own record says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lnn import train
from lnn.messages import Message
from lnn.runs.metrics import Metric
from support.inprocess_cloud import InProcessCloud, tiny_dataset
from support.metric_lines import emitted

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 7,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "record_every": 2,
}


@pytest.fixture
def start(cloud: InProcessCloud, tmp_path: Path) -> Callable[..., str]:
    """Launches a training with these changes of its parameters; returns the run's id."""

    def launch(targets: int = 0, **changes: Any) -> str:
        upload = cloud.upload(tiny_dataset(tmp_path / "datasets.h5", targets=targets), PARAMETERS | changes)
        cloud.launch(upload)
        return upload.run_id

    return launch


@pytest.mark.parametrize(
    ("strategy", "workers", "waits"),
    [("fused", 1, False), ("neuron", 1, False), ("resident", 2, True), ("data", 2, True)],
)
def test_a_training_emits_its_curve_and_once_what_it_used(
    strategy: str,
    workers: int,
    waits: bool,
    cloud: InProcessCloud,
    start: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = cloud.run_to_end(start(strategy=strategy, workers=workers))
    assert run.status == "COMPLETED"
    lines = emitted(capsys)
    assert {line["run_id"] for line in lines if line["message"] != "runs watched"} == {run.run_id}

    curve = [line for line in lines if Metric.EPOCHS in line]
    history = cloud.services.ledger.history(run.run_id)
    assert [line["epoch"] for line in curve] == [row.epoch for row in history] == [2, 4, 6, 7]
    assert [line[Metric.COST][0] for line in curve] == pytest.approx([row.cost for row in history])
    assert [line[Metric.TEST_ACCURACY][0] for line in curve] == pytest.approx(
        [100 * row.test_accuracy for row in history]
    )
    base_rate = run.base_rate("test")
    assert base_rate is not None
    assert [line[Metric.BASE_RATE] for line in curve] == [[pytest.approx(100 * base_rate)]] * len(curve)
    assert sum(line[Metric.EPOCHS][0] for line in curve) == PARAMETERS["epochs"]
    for line in curve:
        assert (Metric.SYNCHRONIZATION_SECONDS in line) == waits
        if waits:
            assert 0 < line[Metric.SYNCHRONIZATION_SECONDS][0] < 10

    (end,) = [line for line in lines if Metric.DOLLARS in line]
    assert (end[Metric.COMPLETED_RUNS], end[Metric.INVOCATIONS]) == ([1.0], [run.invocations])
    assert end[Metric.DOLLARS] == [pytest.approx(run.usd)]
    assert run.test_metrics is not None
    assert end[Metric.BALANCED_ACCURACY] == [pytest.approx(100 * run.test_metrics.balanced_accuracy)]
    assert end[Metric.LOWEST_RECALL] == [pytest.approx(100 * run.test_metrics.lowest_recall)]


def test_trainings_and_the_watch_together_emit_every_metric(
    cloud: InProcessCloud, start: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.run_to_end(start(strategy="resident", workers=2))
    assert cloud.run_to_end(start(strategy="fused", max_seconds=1e-9)).status == "STOPPED"
    assert cloud.run_to_end(start(learning_rate=-1)).status == "FAILED"
    linear = {**PARAMETERS["activations"], f"layer{PARAMETERS['layers']}": "linear"}
    regression = cloud.run_to_end(start(targets=1, activations=linear))
    assert regression.status == "COMPLETED"
    train.handle(cloud.services, Message("", 0, "watch"), lambda: 900.0)
    lines = emitted(capsys)
    assert {metric for line in lines for metric in Metric if metric in line} == set(Metric)
    of_classes = {Metric.TEST_ACCURACY, Metric.BASE_RATE, Metric.BALANCED_ACCURACY, Metric.LOWEST_RECALL}
    assert not any(of_classes & set(line) for line in lines if line.get("run_id") == regression.run_id)


def test_the_watch_counts_the_runs_that_nobody_works_on(
    cloud: InProcessCloud, start: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    def look() -> tuple[float, float]:
        train.handle(cloud.services, Message("", 0, "watch"), lambda: 900.0)
        (line,) = [line for line in emitted(capsys) if line["message"] == "runs watched"]
        return line[Metric.ACTIVE_RUNS][0], line[Metric.STALLED_RUNS][0]

    assert look() == (0, 0)
    run_id = start(strategy="fused")
    assert look() == (1, 0)
    cloud.let_leases_expire(run_id)
    assert look() == (1, 1)
    cloud.run_to_end(run_id)
    assert look() == (0, 0)
