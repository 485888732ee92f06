"""``lnn export``: models and histories in other programs' formats, compared with the network itself."""

from __future__ import annotations

import csv
import json
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
from safetensors import safe_open

from lnn.data.preprocessing import Column, Preprocessing
from lnn.models.model_file import Model
from lnn.network import ACTIVATIONS, OUTPUT_ACTIVATIONS, Network, init_parameters
from lnn.runs.record import EpochRow
from lnn_cli.export.tensors import encode_safetensors
from lnn_cli.export.tracking import as_given
from lnn_client.onnx_model import encode_onnx

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

OUTPUTS = [("sigmoid", 1), ("sigmoid", 4), ("softmax", 2), ("softmax", 4), ("linear", 1), ("linear", 3)]
KINDS = [*product(ACTIVATIONS, OUTPUTS, ("float64", "float32"))]


def a_model(hidden: list[str], output: tuple[str, int], dtype: str) -> Model:
    name, units = output
    sizes = [6, *(5 for _ in hidden), units]
    parameters = init_parameters(sizes, [*hidden, name], "xavier", 3, dtype)
    rng = np.random.default_rng(4)
    # Biases as training would leave them, and logits that are far apart.
    parameters = [(W * 3, rng.normal(size=b.shape).astype(dtype)) for W, b in parameters]
    if name == "linear":
        return Model(parameters, "r", [*hidden, name], [], (2, 3), 255.0, None, [f"target {k}" for k in range(units)])
    return Model(parameters, "r", [*hidden, name], [f"class {k}" for k in range(max(units, 2))], (2, 3), 255.0)


def by_the_network(model: Model, X: np.ndarray) -> np.ndarray:
    sizes = [model.features, *(len(W) for W, _ in model.parameters)]
    return Network(sizes, model.activations).predict_proba(model.parameters, X)


def test_every_output_of_the_network_is_among_the_kinds() -> None:
    assert {name for name, _ in OUTPUTS} == set(OUTPUT_ACTIVATIONS)


@pytest.mark.parametrize(("hidden", "output", "dtype"), KINDS)
def test_an_onnx_model_says_what_the_network_says(hidden: str, output: tuple[str, int], dtype: str) -> None:
    model = a_model([hidden, hidden], output, dtype)
    X = np.random.default_rng(5).normal(size=(6, 400)).astype(dtype) * 4
    session = onnxruntime.InferenceSession(encode_onnx(model), providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"X": X.T.copy()})
    expected = by_the_network(model, X)
    assert probabilities.dtype == expected.dtype
    size = max(1.0, np.abs(expected).max())  # numbers of regression may be far above 1, unlike probabilities
    assert np.abs(probabilities.T - expected).max() <= size * (1e-12 if dtype == "float64" else 1e-5)
    # The model must not be one that says the same of everything.
    assert np.ptp(expected, axis=1).min() > 0.1


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_onnx_model_of_one_layer_and_any_number_of_examples(output: tuple[str, int]) -> None:
    model = a_model([], output, "float64")
    session = onnxruntime.InferenceSession(encode_onnx(model), providers=["CPUExecutionProvider"])
    for m in (1, 7):
        X = np.random.default_rng(6).normal(size=(6, m))
        (probabilities,) = session.run(None, {"X": X.T.copy()})
        np.testing.assert_allclose(probabilities.T, by_the_network(model, X), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("hidden", "output", "dtype"), KINDS)
def test_safetensors_hold_the_parameters_bit_for_bit_and_what_they_mean(
    hidden: str, output: tuple[str, int], dtype: str, tmp_path: Path
) -> None:
    model = a_model([hidden], output, dtype)
    path = tmp_path / "model.safetensors"
    path.write_bytes(encode_safetensors(model))
    with safe_open(path, "numpy") as file:
        told = file.metadata()
        loaded = [(file.get_tensor(f"W{layer}"), file.get_tensor(f"b{layer}")) for layer in (1, 2)]
        assert sorted(file.keys()) == ["W1", "W2", "b1", "b2"]
    assert json.loads(told["activations"]) == [hidden, output[0]]
    again = Model(
        loaded,
        told["run_id"],
        json.loads(told["activations"]),
        json.loads(told["list_classes"]),
        tuple(json.loads(told["image_shape"])),
        float(told["scale"]),
    )
    X = np.random.default_rng(5).normal(size=(6, 9)).astype(dtype)
    assert again.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
    assert (again.list_classes, again.image_shape, again.scale) == (model.list_classes, model.image_shape, model.scale)


def test_a_run_s_model_is_exported_under_the_run_s_name(cli: RunCli, world: World) -> None:
    model = world.train_whole("20261121T000000Z-aaaaaaaa", classes=("a", "b", "c"), activations=("tanh", "softmax"))
    result = cli("export", "latest", "--format", "onnx")
    assert result.exit_code == 0, result.output
    session = onnxruntime.InferenceSession("20261121T000000Z-aaaaaaaa.onnx", providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["list_classes"]) == ["a", "b", "c"]
    X = np.random.default_rng(0).random((16, 3))
    np.testing.assert_allclose(session.run(None, {"X": X.T.copy()})[0].T, model.predict_proba(X), atol=1e-12)
    assert cli("export", "latest", "--format", "safetensors", "-o", "m.safetensors").exit_code == 0
    refused = cli("export", "latest", "--format", "safetensors", "-o", "m.safetensors")
    assert refused.exit_code == 1
    assert "--force" in refused.stderr


def test_a_history_as_csv_has_every_recorded_epoch_in_full_precision(cli: RunCli, world: World) -> None:
    world.train_whole("20261121T000000Z-aaaaaaaa", epochs=7)
    assert cli("export", "latest", "--format", "csv", "-o", "history.csv").exit_code == 0
    with Path("history.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert [EpochRow(**row) for row in rows] == world.ledger.history("20261121T000000Z-aaaaaaaa")
    assert rows[2]["cost"] == 1 / 3


def test_an_exported_accuracy_comes_with_base_rate_and_recall(cli: RunCli, world: World) -> None:
    counts = {"examples": [49, 1], "predicted": [50, 0], "right": [49, 0]}
    world.train_whole("20261121T000000Z-aaaaaaaa", ending={"test_accuracy": 0.98, "test_classes": counts})
    exported = cli("export", "latest", "--format", "csv", "-o", "history.csv")
    assert "base rate: 98.0% test, by always answering the most frequent class" in exported.stderr
    assert "recall of the final model: 'dark' 100.0%, 'light' 0.0%; balanced accuracy 50.0%" in exported.stderr
    with Path("history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["base_rate"] for row in rows] == ["0.98"] * 4
    assert [(row["balanced_accuracy"], row["lowest_recall"]) for row in rows] == [("", "")] * 3 + [("0.5", "0.0")]


@pytest.mark.parametrize("kind", ["onnx", "safetensors", "csv", "tensorboard"])
def test_a_run_without_model_or_history_is_refused_with_its_status(cli: RunCli, world: World, kind: str) -> None:
    world.open_run("20261121T000000Z-aaaaaaaa")
    result = cli("export", "latest", "--format", kind, "-o", "out")
    assert result.exit_code == 1
    assert "PENDING" in result.stderr
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("kind", "package"), [("onnx", "onnx"), ("safetensors", "safetensors"), ("tensorboard", "tensorboardX")]
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    cli: RunCli, world: World, kind: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train_whole("20261121T000000Z-aaaaaaaa")
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    result = cli("export", "latest", "--format", kind, "-o", "out")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.endswith(f"{sys.executable} -m pip install {package}")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "--tracking-uri"),
        (["--tracking-uri", "http://127.0.0.1:1", "-o", "out"], "--tracking-uri"),
        (["--tracking-uri", "http://127.0.0.1:1"], "pip install mlflow"),
    ],
)
def test_mlflow_needs_an_address_and_its_package(
    cli: RunCli, world: World, options: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train_whole("20261121T000000Z-aaaaaaaa")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    result = cli("export", "latest", "--format", "mlflow", *options)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert expected in line


def test_a_run_goes_to_mlflow_when_it_has_ended(cli: RunCli, world: World) -> None:
    world.open_run("20261121T000000Z-aaaaaaaa")
    result = cli("export", "latest", "--format", "mlflow", "--tracking-uri", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "20261121T000000Z-aaaaaaaa is PENDING: wait for its end" in result.stderr


def test_the_example_of_a_table_is_what_the_onnx_model_takes() -> None:
    table = Preprocessing([Column("level", "number", 4.0, 2.0), Column("wet", "boolean")], "class")
    model = Model([(np.ones((1, 2)), np.ones((1, 1)))], "r", ["sigmoid"], ["a", "b"], None, 1.0, preprocessing=table)
    rows = [[5.0, True], [3.5, False]]
    assert as_given(model, table.matrix(rows).T).tolist() == [[5.0, 1.0], [3.5, 0.0]]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_onnx_model_of_a_table_standardizes_numbers_itself(dtype: str) -> None:
    table = Preprocessing(
        [
            Column("level", "number", 1e6, 3.0),
            Column("wet", "boolean"),
            Column("color", "category", categories=["blue", "red"]),
        ],
        "class",
    )
    rng = np.random.default_rng(8)
    parameters = [(rng.normal(size=(3, 4)).astype(dtype), rng.normal(size=(3, 1)).astype(dtype))]
    model = Model(parameters, "r", ["softmax"], ["a", "b", "c"], None, 1.0, preprocessing=table)
    levels = rng.normal(1e6, 3.0, 9)
    rows = [[level, bool(place % 2), ("red", "blue")[place % 3 == 0]] for place, level in enumerate(levels.tolist())]
    X = np.array([[level, wet, color == "blue", color == "red"] for level, wet, color in rows], dtype=float)
    encoded = encode_onnx(model)
    session = onnxruntime.InferenceSession(encoded, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"X": X})
    expected = model.predict_proba(table.matrix(rows))
    assert np.abs(probabilities.T - expected).max() <= (1e-12 if dtype == "float64" else 1e-5)
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["features"]) == ["level", "wet", "color=blue", "color=red"]
    assert "numbers as the table has them" in told["input"]


def test_safetensors_of_a_model_of_a_table_say_how_rows_become_its_input(tmp_path: Path) -> None:
    table = Preprocessing([Column("level", "number", 2.0, 3.0)], "class")
    model = Model([(np.ones((1, 1)), np.ones((1, 1)))], "r", ["sigmoid"], ["a", "b"], None, 1.0, preprocessing=table)
    path = tmp_path / "model.safetensors"
    path.write_bytes(encode_safetensors(model))
    with safe_open(path, "numpy") as file:
        told = file.metadata()
    assert Preprocessing.decode(np.frombuffer(told["preprocessing"].encode(), np.uint8)) == table
    assert "less mean, divided by scale" in told["input"]
