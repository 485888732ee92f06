"""Reports, comparisons and exports of real runs, with the logs that real invocations leave."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from lnn.models.model_file import load_model
from support.e2e_cloud import CloudUnderTest, eventually
from support.e2e_jobs import encode, network, pictures

EPOCHS = 2


@pytest.fixture(scope="module")
def runs(cloud: CloudUnderTest) -> list[str]:
    """The same small training, neuron by neuron and in one piece."""
    jobs = [
        (f"report-{strategy}", encode(pictures()), network(3, 1, strategy=strategy, epochs=EPOCHS))
        for strategy in ("neuron", "fused")
    ]
    return [run.run_id for run in cloud.train_all(jobs)]


def test_a_report_has_every_invocation_of_the_run_and_all_its_pictures(
    cloud: CloudUnderTest, runs: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    planned = cloud.run(runs[0]).invocations

    def complete() -> bool:
        # A log is there once its invocation has ended, a moment after the run has.
        done = cloud.lnn("report", runs[0], "-o", path, "--force")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        shown = re.search(r"alt=\"(\d+) invocations: 1 of Launch, (\d+) of Trainer, (\d+) of Neuron", path.read_text())
        return shown is not None and int(shown[1]) >= planned and int(shown[3]) >= EPOCHS * 2 * 4

    assert eventually(complete, f"{planned} invocations in the report", seconds=60, state=path.read_text)
    for section in ("curves", "confusion", "weights", "later-weights", "timeline", "expenses", "story", "settings"):
        assert f'<section id="{section}">' in path.read_text()


def test_a_report_of_a_training_in_one_piece_has_its_few_invocations(
    cloud: CloudUnderTest, runs: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"

    def complete() -> bool:
        done = cloud.lnn("report", runs[1], "-o", path, "--force")
        return done.returncode == 0 and 'alt="2 invocations: 1 of Launch, 1 of Trainer;' in path.read_text()

    assert eventually(complete, "both invocations in the report", seconds=60, state=path.read_text)


def test_exports_say_what_the_model_in_the_bucket_says(cloud: CloudUnderTest, runs: list[str], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    done = cloud.lnn("export", runs[0], "--format", "onnx", "-o", path)
    assert done.returncode == 0, done.stderr
    X = np.random.default_rng(0).random((48, 10))
    (probabilities,) = onnxruntime.InferenceSession(path).run(None, {"X": X.T.copy()})
    bright = load_model(cloud.model(runs[0])).predict_proba(X)[1]
    np.testing.assert_allclose(probabilities[:, 0], bright, rtol=0, atol=1e-12)


def test_runs_are_compared_by_what_they_came_to(cloud: CloudUnderTest, runs: list[str], tmp_path: Path) -> None:
    neuron, fused = cloud.lnn_json("compare", *runs, "-o", tmp_path / "compare.png")
    assert neuron["final_cost"] == pytest.approx(fused["final_cost"], rel=1e-9)
    assert json.dumps(neuron["settings"]) == "{}"  # they differ in how they were run only
    assert (tmp_path / "compare.png").stat().st_size > 10_000
