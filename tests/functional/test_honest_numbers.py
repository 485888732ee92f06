"""Trainings whose accuracy proves nothing say so: in the record, results.json, the mail and the metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn.data.dataset import write_dataset
from lnn.names import results_key
from lnn.runs.metrics import Metric
from lnn.runs.record import Run
from support.inprocess_cloud import NAMES, InProcessCloud
from support.metric_lines import emitted

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

Frauds = Callable[[float], bytes]

PARAMETERS: dict[str, Any] = {
    "epochs": 20,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.001,
}

LOGISTIC = {"epochs": 5, "layers": 1, "neurons": {"layer1": 1}, "activations": {"layer1": "sigmoid"}}
"""From zeros it answers the same to everything, and in a few epochs only learns which class is rare."""


@pytest.fixture
def frauds(tmp_path: Path) -> Frauds:
    """A dataset with two frauds in a hundred examples, so far apart from the others."""

    def made(distance: float) -> bytes:
        rng = np.random.default_rng(1)
        sets = []
        for m in (200, 100):
            y = (np.arange(m) % 50 == 0).astype(np.int64)
            sets += [rng.normal(size=(m, 6)) + distance * y[:, None], y]
        write_dataset(tmp_path / "frauds.h5", *sets, ["ok", "fraud"])
        return (tmp_path / "frauds.h5").read_bytes()

    return made


def trained(cloud: InProcessCloud, dataset: bytes, **changes: Any) -> Run:
    upload = cloud.upload(dataset, PARAMETERS | changes)
    assert cloud.launch(upload) == "launched"
    run = cloud.run_to_end(upload.run_id)
    assert run.status == "COMPLETED"
    return run


@pytest.mark.parametrize("strategy", ["fused", "neuron", "resident", "data"])
def test_a_model_that_finds_no_fraud_says_so_everywhere(
    cloud: InProcessCloud, frauds: Frauds, strategy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(cloud, frauds(0.5), **LOGISTIC, weight_init="zeros", strategy=strategy)
    assert (run.test_accuracy, run.test_classes) == (
        0.98,
        {"examples": [98, 2], "predicted": [100, 0], "right": [98, 0]},
    )
    assert run.remarks == ["on the test examples the model is no better than always answering 'ok' (98.0%)"]
    assert cloud.messages_sent()[-1] == "LNN: training completed, test accuracy 98.0% (base rate 98.0%)"
    results = json.loads(cloud.s3.get_object(Bucket=NAMES.bucket, Key=results_key(run.run_id))["Body"].read())
    assert (results["base_rate"], results["balanced_accuracy"], results["beats_base_rate"]) == (0.98, 0.5, False)
    assert [one["recall"] for one in results["by_class"]] == [1.0, 0.0]
    *epochs, end = [line for line in emitted(capsys) if line["run_id"] == run.run_id]
    assert [(line[Metric.TEST_ACCURACY], line[Metric.BASE_RATE]) for line in epochs] == [([98.0], [98.0])] * 5
    assert (end[Metric.BALANCED_ACCURACY], end[Metric.LOWEST_RECALL]) == ([50.0], [0.0])


def test_with_balanced_weights_the_frauds_are_found_and_the_record_has_their_recall(
    cloud: InProcessCloud, frauds: Frauds
) -> None:
    run = trained(cloud, frauds(2.5), class_weight="balanced", epochs=200, learning_rate=0.1)
    assert run.test_metrics is not None
    assert run.test_metrics.by_class[1].recall == 1.0
    assert run.test_metrics.skill > 0.8


def test_a_training_that_was_thrown_out_of_its_valley_ends_with_the_cure(cloud: InProcessCloud, frauds: Frauds) -> None:
    run = trained(cloud, frauds(2.5), learning_rate=300.0, epochs=3)
    assert run.final_cost is not None
    assert run.final_cost > 2 * np.log(2)
    assert any("lower learning_rate (it is 300)" in remark for remark in run.remarks)
