"""A dataset goes in, a model that predicts comes out: through the command line, as a newcomer would."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lnn_client.runs import BesideAccuracy
from support.e2e_cloud import CloudUnderTest, subjects
from support.e2e_jobs import encode, network, pictures

PICTURES = pictures()
PARAMETERS = network(5, 3, 1, hidden="relu", epochs=4, learning_rate=0.05, batch_size=10, notify_every=2)

BESIDE_ACCURACY = set(BesideAccuracy.__annotations__)


@pytest.fixture
def job(tmp_path: Path) -> list[Path | str]:
    """Arguments of ``lnn train`` for a small data set of pictures."""
    dataset, parameters = tmp_path / "datasets.h5", tmp_path / "parameters.json"
    dataset.write_bytes(encode(PICTURES))
    parameters.write_text(json.dumps(PARAMETERS))
    return [dataset, "--parameters", parameters]


@pytest.fixture(scope="module")
def trained(cloud: CloudUnderTest) -> str:
    """Id of a completed run."""
    run_id = cloud.start("trained", encode(PICTURES), PARAMETERS | {"strategy": "fused"})
    return str(cloud.completed(run_id).run_id)


@pytest.mark.parametrize(("strategy", "used"), [("auto", "fused"), ("fused", "fused"), ("neuron", "neuron")])
def test_training_leaves_a_model_results_a_history_and_messages(
    cloud: CloudUnderTest, job: list[Path | str], strategy: str, used: str
) -> None:
    answer = cloud.lnn_json("train", *job, "--strategy", strategy, "--wait")
    run_id = answer["run_id"]
    run = cloud.run(run_id)

    assert_accuracy_has_company(answer)
    assert {name: value for name, value in answer.items() if name not in BESIDE_ACCURACY} == {
        "run_id": run_id,
        "status": "COMPLETED",
        "reason": None,
        "strategy": used,
        "workers": 1,
        "epochs": 4,
        "final_cost": run.final_cost,
        "train_accuracy": run.train_accuracy,
        "test_accuracy": run.test_accuracy,
        "seconds": {
            "total": run.model_written_at - run.upload_started_at,
            "training": run.training_seconds,
        },
        "ms_per_epoch": pytest.approx(answer["seconds"]["training"] * 1000 / 4),
        "invocations": run.invocations,
        "model": f"s3://{cloud.names.bucket}/prediction_input/{run_id}/params.h5",
    }
    assert answer["seconds"]["total"] > answer["seconds"]["training"] > 0
    # Launch and one Trainer; in `neuron` each of 9 units in 3 batches of 4 epochs twice, and a Trainer for each step.
    assert answer["invocations"] == (2 if used == "fused" else 2 + 4 * 3 * 2 * (9 + 3))

    assert [row["epoch"] for row in cloud.history(run_id)] == [1, 2, 3, 4]
    assert cloud.history(run_id)[-1]["cost"] == answer["final_cost"]
    assert_model_stands_alone(cloud.model(run_id), run_id, answer)
    assert_published(cloud, run_id, answer)
    assert subjects(cloud, run_id, 3) == [
        "LNN: epoch 2 of 4",
        "LNN: training 48-5-3-1 has started",
        "LNN: training completed",
    ]
    cloud.await_no_keys(run_id)


def assert_accuracy_has_company(answer: dict[str, Any]) -> None:
    """The base rate and the figures by class, held to the labels."""
    y = PICTURES["test_set_y"].ravel()
    assert answer["base_rate"] == pytest.approx(max(np.mean(y), 1 - np.mean(y)))
    assert [one["examples"] for one in answer["by_class"]] == np.bincount(y).tolist()
    low, high = answer["accuracy_interval"]
    assert low <= answer["test_accuracy"] <= high
    recalls = [one["recall"] for one in answer["by_class"]]
    assert answer["balanced_accuracy"] == pytest.approx(np.mean(recalls))


def assert_model_stands_alone(model: bytes, run_id: str, answer: dict[str, Any]) -> None:
    """``params.h5`` holds what DESIGN says, and is enough to predict with: by formula, without the library."""
    with h5py.File(io.BytesIO(model)) as file:
        assert set(file) == {"W1", "b1", "W2", "b2", "W3", "b3"}
        assert [file[f"W{layer}"].shape for layer in (1, 2, 3)] == [(5, 48), (3, 5), (1, 3)]
        assert [file[f"b{layer}"].shape for layer in (1, 2, 3)] == [(5, 1), (3, 1), (1, 1)]
        assert file.attrs["run_id"] == run_id
        assert file.attrs["layers"] == 3
        assert json.loads(file.attrs["activations"]) == ["relu", "relu", "sigmoid"]
        assert json.loads(file.attrs["list_classes"]) == ["dark", "bright"]
        assert list(json.loads(file.attrs["image_shape"])) == [4, 4, 3]
        assert file.attrs["scale"] == 255

        for split in ("train", "test"):
            x, y = PICTURES[f"{split}_set_x"], PICTURES[f"{split}_set_y"].ravel()
            probability = probability_of_bright(file, x)
            assert np.mean((probability > 0.5) == y) == answer[f"{split}_accuracy"]


def probability_of_bright(model: h5py.File, x: NDArray[Any]) -> NDArray[Any]:
    A = x.reshape(len(x), -1).T / model.attrs["scale"]
    for layer in (1, 2):
        A = np.maximum(model[f"W{layer}"][()] @ A + model[f"b{layer}"][()], 0)
    probability: NDArray[Any] = 1 / (1 + np.exp(-(model["W3"][()] @ A + model["b3"][()])))
    return probability[0]


def assert_published(cloud: CloudUnderTest, run_id: str, answer: dict[str, Any]) -> None:
    """The run's own model and results are the latest, too."""
    bucket = cloud.names.bucket

    def read(key: str) -> bytes:
        body: bytes = cloud.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    assert read("prediction_input/params.h5") == read(f"prediction_input/{run_id}/params.h5")
    assert read("training_results/results.json") == read(f"training_results/{run_id}/results.json")
    results = json.loads(read(f"training_results/{run_id}/results.json"))
    for name in ("run_id", "status", "reason", "strategy", "workers", "epochs", "final_cost", "test_accuracy", "model"):
        assert results[name] == answer[name]
    assert results["settings"]["neurons"] == PARAMETERS["neurons"]
    assert results["dimensions"]["sizes"] == [48, 5, 3, 1]


def test_the_commands_agree_on_a_run(cloud: CloudUnderTest, trained: str) -> None:
    (listed,) = [run for run in cloud.lnn_json("runs", "--limit", "1000") if run["run_id"] == trained]
    shown = cloud.lnn_json("show", trained)
    assert shown == listed
    assert (shown["status"], shown["strategy"], shown["epoch"]) == ("COMPLETED", "fused", 4)
    assert [event["what"] for event in shown["events"]] == ["opened", "generation 1 started", "completed"]
    told, stored = cloud.lnn_json("history", trained), cloud.history(trained)
    assert [{name: row[name] for name in stored[0]} for row in told] == stored
    final = cloud.run(trained)
    assert final.test_metrics is not None
    assert {row["base_rate"] for row in told} == {final.base_rate("test")}
    assert [row["lowest_recall"] for row in told] == [None] * 3 + [final.test_metrics.lowest_recall]


def test_watching_a_completed_run_succeeds(cloud: CloudUnderTest, trained: str) -> None:
    done = cloud.lnn("watch", trained)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{trained} completed 4 epochs")


def test_a_run_that_does_not_exist_is_one_line_of_error(cloud: CloudUnderTest) -> None:
    for command in ("show", "history", "watch", "stop", "resume"):
        done = cloud.lnn(command, "20200101T000000Z-00000000")
        assert done.returncode == 1
        assert done.stderr == "error: there is no run '20200101T000000Z-00000000'; list them with: lnn runs\n"


def test_a_completed_run_can_be_neither_stopped_nor_resumed(cloud: CloudUnderTest, trained: str) -> None:
    before = cloud.run(trained)
    for command in ("stop", "resume"):
        done = cloud.lnn(command, trained)
        assert done.returncode == 1
        assert "it is COMPLETED, and only a" in done.stderr
    assert cloud.run(trained) == before


def test_prediction_names_the_class_that_the_model_computes(
    cloud: CloudUnderTest, trained: str, tmp_path: Path
) -> None:
    paths = []
    for index, pixels in enumerate(PICTURES["test_set_x"]):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(pixels).save(paths[-1])
    answers = cloud.lnn_json("predict", *paths, "--model", trained)
    with h5py.File(io.BytesIO(cloud.model(trained))) as file:
        expected = probability_of_bright(file, PICTURES["test_set_x"])
    assert [answer["class"] for answer in answers] == ["bright" if p > 0.5 else "dark" for p in expected]
    assert [answer["probabilities"]["bright"] for answer in answers] == pytest.approx(list(expected))


def test_a_threshold_ends_a_training_early(cloud: CloudUnderTest) -> None:
    parameters = PARAMETERS | {"epochs": 500, "threshold": 0.3, "learning_rate": 0.5, "record_every": 1000}
    run = cloud.completed(cloud.start("threshold", encode(PICTURES), parameters))
    assert run.epoch < 500
    assert run.final_cost <= 0.3
    assert "reached the threshold 0.3" in run.reason
    assert [row["epoch"] for row in cloud.history(run.run_id)] == [run.epoch]


def test_a_training_that_diverges_fails_and_says_what_to_do(cloud: CloudUnderTest) -> None:
    parameters = PARAMETERS | {"learning_rate": 1e200, "epochs": 20}
    run = cloud.ended(cloud.start("diverging", encode(PICTURES), parameters))
    assert run.status == "FAILED"
    assert "training diverged" in run.reason
    assert "lower learning_rate" in run.reason
