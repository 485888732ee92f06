"""One neuron in numbers, against formulas written out here; epochs that a run has passed are computed again."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from lnn.models.model_file import load_model
from lnn.names import checkpoint_key
from support.aws_account import run_cli, surroundings
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset

__all__ = ["surroundings"]

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

L2 = 0.1
PARAMETERS: dict[str, Any] = {
    "epochs": 6,
    "layers": 3,
    "neurons": {"layer1": 4, "layer2": 3, "layer3": 1},
    "activations": {"layer1": "tanh", "layer2": "relu", "layer3": "sigmoid"},
    "learning_rate": 0.3,
    "l2": L2,
    "batch_size": 5,
    "seed": 4,
}
WAYS: dict[str, dict[str, Any]] = {
    "fused": {"strategy": "fused", "optimizer": "adam", "learning_rate": 0.02},
    "example space": {"strategy": "fused", "optimizer": "momentum", "batch_size": None},
    "resident": {"strategy": "resident", "workers": 2, "dropout": {"layer1": 0.3}},
    "data": {"strategy": "data", "workers": 3, "clip_norm": 0.2},
    "weights of examples": {"strategy": "resident", "workers": 2},
    "neuron": {"strategy": "neuron", "clip_norm": 0.2, "schedule": {"kind": "step", "every": 2, "factor": 0.5}},
}


def shown(*arguments: Any) -> dict[str, Any]:
    result = run_cli("neuron", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def dataset(tmp_path: Path, way: str) -> bytes:
    features, weighted = 400 if way == "example space" else 5, way == "weights of examples"
    return tiny_dataset(tmp_path / "d.h5", examples=13, features=features, weighted=weighted)


def trained(cloud: InProcessCloud, content: bytes, **changes: Any) -> Any:
    upload = cloud.upload(content, PARAMETERS | changes)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    run = cloud.run_to_end(upload.run_id)
    assert run.status == "COMPLETED", run.reason
    return run


def by_hand(cloud: InProcessCloud, content: bytes, run_id: str) -> list[dict[str, NDArray[np.float64]]]:
    """What every layer of the run's model has for the training examples, by the course's formulas."""
    (W1, b1), (W2, b2), (W3, b3) = load_model(cloud.read(f"prediction_input/{run_id}/params.h5")).parameters
    with h5py.File(io.BytesIO(content)) as file:
        X, Y = file["train_set_x"][...].T, file["train_set_y"][...].reshape(1, -1)
        weights = file["train_set_w"][...] if "train_set_w" in file else np.ones(len(X.T))
    m = X.shape[1]
    Z1 = W1 @ X + b1
    A1 = np.tanh(Z1)
    Z2 = W2 @ A1 + b2
    A2 = np.maximum(Z2, 0)
    Z3 = W3 @ A2 + b3
    A3 = 1 / (1 + np.exp(-Z3))
    dZ3 = (A3 - Y) * weights / weights.mean()
    dZ2 = (W3.T @ dZ3) * (Z2 > 0)
    dZ1 = (W2.T @ dZ2) * (1 - A1**2)
    return [
        {"w": W, "b": b, "z": Z, "a": A, "dz": dZ, "dw": dZ @ before.T / m + L2 / m * W, "db": dZ.mean(axis=1)}
        for W, b, Z, A, dZ, before in ((W1, b1, Z1, A1, dZ1, X), (W2, b2, Z2, A2, dZ2, A1), (W3, b3, Z3, A3, dZ3, A2))
    ]


def assert_is(found: dict[str, Any], layers: list[dict[str, NDArray[np.float64]]], tolerance: float) -> None:
    of_layer, row = layers[found["layer"] - 1], found["neuron"] - 1
    close = {"rtol": tolerance, "atol": tolerance}
    for name in ("w", "dw"):
        np.testing.assert_allclose(found[name], of_layer[name][row], **close)
    for name in ("b", "db"):
        np.testing.assert_allclose(found[name], of_layer[name][row].item(), **close)
    assert found["examples"]
    for example in found["examples"]:
        for name in ("z", "a", "dz"):
            np.testing.assert_allclose(example[name], of_layer[name][row, example["index"]], **close)


@pytest.fixture
def log(cloud: InProcessCloud) -> None:
    boto3.client("logs", region_name="us-east-1").create_log_group(logGroupName=NAMES.log_group("neuron"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("log")
def test_a_neuron_s_numbers_are_those_of_the_formulas(way: str, cloud: InProcessCloud, tmp_path: Path) -> None:
    content = dataset(tmp_path, way)
    run = trained(cloud, content, **WAYS[way])
    assert run.plan["formulation"] == ("example_space" if way == "example space" else "plain")
    layers = by_hand(cloud, content, run.run_id)
    for layer, neuron in ((1, 3), (2, 1), (2, 3), (3, 1)):
        found = shown(run.run_id, "--layer", layer, "--neuron", neuron)
        assert (found["layer"], found["neuron"], found["epoch"]) == (layer, neuron, 6)
        assert_is(found, layers, 1e-12)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("log")
def test_an_earlier_epoch_is_that_of_a_run_that_ended_there(way: str, cloud: InProcessCloud, tmp_path: Path) -> None:
    content = dataset(tmp_path, way)
    run = trained(cloud, content, **WAYS[way], checkpoint_seconds=0.001)
    shorter = trained(cloud, content, **WAYS[way], epochs=3)
    found = shown(run.run_id, "--layer", "2", "--epoch", "3", "--example", "0", "--example", "12")
    assert [example["index"] for example in found["examples"]] == [0, 12]
    assert [example["label"] for example in found["examples"]] == ["class 0", "class 0"]
    assert_is(found, by_hand(cloud, content, shorter.run_id), 1e-12)


@pytest.mark.usefixtures("log")
def test_every_strategy_has_the_same_neuron(cloud: InProcessCloud, tmp_path: Path) -> None:
    content = dataset(tmp_path, "")
    alike: dict[str, dict[str, Any]] = {
        "fused": {},
        "neuron": {},
        "resident": {"workers": 2},
        "data": {"workers": 2},
    }
    found = [
        shown(trained(cloud, content, strategy=strategy, **more).run_id, "--neuron", "3", "--epoch", "4")
        for strategy, more in alike.items()
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other["dw"], found[0]["dw"], rtol=1e-9, atol=1e-12)
        assert [example["index"] for example in other["examples"]] == [e["index"] for e in found[0]["examples"]]


def test_the_start_is_the_first_checkpoint_and_few_examples_of_each_class_are_shown(
    cloud: InProcessCloud, tmp_path: Path
) -> None:
    content = tiny_dataset(tmp_path / "d.h5", classes=3, examples=60)
    three = {"neurons": {"layer1": 4, "layer2": 3, "layer3": 3}}
    three["activations"] = PARAMETERS["activations"] | {"layer3": "softmax"}
    run = trained(cloud, content, **three, strategy="fused")
    found = shown(run.run_id, "--epoch", "0", "--neuron", "2")
    start = cloud.services.artifacts.get_checkpoint(checkpoint_key(run.run_id, 0, 0), 0)
    np.testing.assert_array_equal(found["w"], start.parameters[0][0][1])
    assert Counter(example["label"] for example in found["examples"]) == {f"class {label}": 4 for label in range(3)}


def test_a_regression_has_numbers_for_labels(cloud: InProcessCloud, tmp_path: Path) -> None:
    content = tiny_dataset(tmp_path / "d.h5", targets=1, examples=30)
    changes = {"activations": PARAMETERS["activations"] | {"layer3": "linear"}, "learning_rate": 0.01}
    run = trained(cloud, content, **changes, strategy="fused")
    found = shown(run.run_id, "--layer", "3", "--example", "4")
    with h5py.File(io.BytesIO(content)) as file:
        y = float(file["train_set_y"][4].item())
    (example,) = found["examples"]
    assert example["label"] == y
    assert example["a"] == example["z"]
    assert example["dz"] == pytest.approx(2 * (example["a"] - y), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--layer", "4"), "there is no layer 4; expected 1 to 3"),
        (("--layer", "2", "--neuron", "4"), "there is no neuron 4 in layer 2; expected 1 to 3"),
        (("--epoch", "7"), "has trained 6 epochs; 0 is the start"),
        (("--example", "13"), "there is no example 13; expected 0 to 12"),
    ],
)
def test_what_is_not_there_is_one_clear_error(
    arguments: tuple[str, ...], told: str, cloud: InProcessCloud, tmp_path: Path
) -> None:
    run = trained(cloud, dataset(tmp_path, ""), strategy="fused")
    result = run_cli("neuron", run.run_id, *arguments)
    assert result.exit_code == 1
    assert told in result.stderr
    assert result.stdout == ""


def test_a_history_that_is_not_computed_again_is_said(cloud: InProcessCloud, tmp_path: Path) -> None:
    run = trained(cloud, dataset(tmp_path, ""), strategy="fused")
    (row,) = (row for row in cloud.services.ledger.history(run.run_id) if row.epoch == 2)
    cloud.services.ledger.record(run.run_id, [row._replace(cost=row.cost * 1.001)])
    result = run_cli("neuron", run.run_id, "--epoch", "3")
    assert result.exit_code == 1
    assert "cannot be computed again on this machine: epoch 2 has the cost" in result.stderr


def test_a_run_whose_files_are_deleted_says_so(cloud: InProcessCloud, tmp_path: Path) -> None:
    run = trained(cloud, dataset(tmp_path, ""), strategy="fused")
    stored = cloud.s3.list_objects_v2(Bucket=NAMES.bucket, Prefix=f"runs/{run.run_id}/checkpoints")["Contents"]
    for entry in stored:
        cloud.s3.delete_object(Bucket=NAMES.bucket, Key=entry["Key"])
    result = run_cli("neuron", run.run_id)
    assert result.exit_code == 1
    assert "its examples and checkpoints are deleted" in result.stderr


def test_parameters_that_workers_average_are_not_computed_again(cloud: InProcessCloud, tmp_path: Path) -> None:
    run = trained(cloud, dataset(tmp_path, ""), strategy="data", workers=2, average_every=2)
    result = run_cli("neuron", run.run_id)
    assert result.exit_code == 1
    assert "its 2 workers average their parameters every 2 updates (average_every)" in result.stderr


def test_the_table_is_for_people(cloud: InProcessCloud, tmp_path: Path) -> None:
    run = trained(cloud, dataset(tmp_path, ""), strategy="fused")
    result = run_cli("neuron", run.run_id, "--layer", "2", "--neuron", "1", "--example", "0")
    assert result.exit_code == 0, result.output
    found = shown(run.run_id, "--layer", "2", "--neuron", "1", "--example", "0")
    assert "1 of layer 2, after epoch 6" in result.stdout
    assert "a = relu(z)" in result.stdout
    example = next(line for line in result.stdout.splitlines() if "class 0" in line).split()
    assert float(example[3]) == pytest.approx(found["examples"][0]["z"], rel=1e-5)
