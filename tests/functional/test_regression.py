"""Numbers instead of classes: from a dataset of floats to every place where people see a run, held to scikit-learn."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnxruntime
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from lnn.errors import InputError
from lnn.models.inference import Numbers, predict
from lnn.models.model_file import Model, load_model
from support.aws_account import run_cli, surroundings
from support.inprocess_cloud import InProcessCloud, tiny_dataset

__all__ = ["surroundings"]

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 4,
    "layers": 2,
    "neurons": {"layer1": 5, "layer2": 2},
    "activations": {"layer1": "tanh", "layer2": "linear"},
    "learning_rate": 0.05,
    "strategy": "fused",
}
METRICS = {
    "rmse": lambda y, predicted: np.sqrt(mean_squared_error(y, predicted)),
    "mae": mean_absolute_error,
    "r2": r2_score,
}


def forward(model: Model, X: Any) -> Any:
    """The numbers (m, targets) for examples X (m, n), computed by hand."""
    (W1, b1), (W2, b2) = model.parameters
    return np.tanh(X @ W1.T + b1.T) @ W2.T + b2.T


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.h5"
    tiny_dataset(path, targets=2)
    return path


@pytest.fixture
def trained(cloud: InProcessCloud, dataset: Path) -> str:
    upload = cloud.upload(dataset.read_bytes(), PARAMETERS)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    assert cloud.run_to_end(upload.run_id).status == "COMPLETED"
    return upload.run_id


def scored(cloud: InProcessCloud, run_id: str, dataset: Path) -> dict[str, float]:
    """What scikit-learn says of the run's model."""
    model = load_model(cloud.read(f"prediction_input/{run_id}/params.h5"))
    with h5py.File(dataset) as file:
        splits = {split: (file[f"{split}_set_x"][:], file[f"{split}_set_y"][:]) for split in ("train", "test")}
    return {
        f"{split}_{name}": metric(y, forward(model, X))
        for split, (X, y) in splits.items()
        for name, metric in METRICS.items()
    }


def test_the_scores_of_a_run_are_scikit_learn_s_in_record_results_and_command(
    cloud: InProcessCloud, trained: str, dataset: Path
) -> None:
    expected = {name: pytest.approx(value, rel=1e-12) for name, value in scored(cloud, trained, dataset).items()}
    run = cloud.run(trained)
    assert {name: getattr(run, name) for name in expected} == expected
    assert (run.train_accuracy, run.test_accuracy, run.plan["loss"]) == (None, None, "mse")
    last = cloud.services.ledger.history(trained)[-1]
    assert {name: getattr(last, name) for name in expected if name.startswith("test")} == {
        name: value for name, value in expected.items() if name.startswith("test")
    }
    results = json.loads(cloud.read(f"training_results/{trained}/results.json"))
    shown = json.loads(run_cli("show", trained, "--json").stdout)
    compared = json.loads(run_cli("compare", trained, again(cloud, dataset), "--json").stdout)[0]
    for told in (results, shown, compared):
        assert {name: told[name] for name in expected} == expected
        assert not [name for name in told if "accuracy" in name]


def again(cloud: InProcessCloud, dataset: Path, **changes: Any) -> str:
    upload = cloud.upload(dataset.read_bytes(), PARAMETERS | changes)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    return cloud.run_to_end(upload.run_id).run_id


def test_commands_name_rmse_mae_and_r2_and_no_accuracy(cloud: InProcessCloud, trained: str, dataset: Path) -> None:
    other = again(cloud, dataset, loss="huber")
    run = cloud.run(trained)
    told = {
        "runs": (f"R2 {run.test_r2:.3g}", "COMPLETED"),
        f"show {trained}": ("test RMSE", "test MAE", "test R2", "training R2", "to predict target 0, target 1"),
        f"history {trained}": ("training RMSE", "test R2"),
        f"watch {trained}": (f"test R2 {run.test_r2:.3g}",),
        f"compare {trained} {other} -o compare.svg": ("test RMSE", "loss", "huber"),
        f"report {trained} -o report.md": (),
        f"report {trained} -o report.html": (),
    }
    for command, expected in told.items():
        result = run_cli(*command.split())
        assert result.exit_code == 0, result.output
        for text in expected:
            assert text in " ".join(result.output.split()), (command, result.output)
        assert "accuracy" not in result.output.lower(), command
    text = Path("report.md").read_text()
    assert "test RMSE | test MAE | test R2" in text
    assert "Predicted and true numbers" in text
    assert "accuracy" not in text.lower()
    # The page of the network comes with its code, which has words for both kinds of models.
    page = re.sub(r'srcdoc="[^"]*"', "", Path("report.html").read_text())
    assert "Predicted and true numbers" in page
    assert "accuracy" not in page.lower()


def test_the_history_has_the_scores_of_each_epoch_in_json_and_csv(cloud: InProcessCloud, trained: str) -> None:
    names = ["epoch", "cost", *(f"{split}_{name}" for split in ("train", "test") for name in METRICS)]
    rows = json.loads(run_cli("history", trained, "--json").stdout)
    assert [list(row) for row in rows] == [[*names, "learning_rate"]] * 4
    assert all(row["test_rmse"] > 0 for row in rows)
    # Of one full batch, the mean squared error of an epoch's own forward pass is its cost.
    assert [row["train_rmse"] ** 2 for row in rows] == pytest.approx([row["cost"] for row in rows])
    assert run_cli("export", trained, "--format", "csv", "-o", "h.csv").exit_code == 0
    with Path("h.csv").open() as file:
        assert list(next(csv.reader(file))) == [*names, "learning_rate", "seconds"]


def test_evaluate_gives_the_errors_of_each_target_and_the_largest_first(
    cloud: InProcessCloud, trained: str, dataset: Path
) -> None:
    content = cloud.read(f"prediction_input/{trained}/params.h5")
    Path("params.h5").write_bytes(content)
    with h5py.File(dataset) as file:
        X, y = file["test_set_x"][:], file["test_set_y"][:]
    predicted = forward(load_model(content), X)
    result = run_cli("evaluate", dataset, "--model", "params.h5", "--json")
    found = json.loads(result.stdout)
    assert (found["rmse"], found["mae"], found["r2"]) == pytest.approx([of(y, predicted) for of in METRICS.values()])
    for index, one in enumerate(found["targets"]):
        of_one = [of(y[:, index], predicted[:, index]) for of in METRICS.values()]
        assert (one["rmse"], one["mae"], one["r2"]) == pytest.approx(of_one)
        assert (one["mean"], one["deviation"]) == pytest.approx((y[:, index].mean(), y[:, index].std()))
    worst = found["mistakes"][0]
    shares = np.abs(predicted - y) / y.std(axis=0)
    example, target = np.unravel_index(shares.argmax(), shares.shape)
    assert (worst["example"], worst["target"]) == (example, f"target {target}")
    assert (worst["true"], worst["predicted"]) == pytest.approx((y[example, target], predicted[example, target]))
    shown = run_cli("evaluate", dataset, "--model", "params.h5").output
    assert "RMSE" in shown
    assert "accuracy" not in shown


def test_a_model_predicts_its_numbers_by_name_in_python_and_onnx(
    cloud: InProcessCloud, trained: str, dataset: Path
) -> None:
    model = load_model(cloud.read(f"prediction_input/{trained}/params.h5"))
    with h5py.File(dataset) as file:
        X = file["test_set_x"][:]
    expected = forward(model, X)
    (first, *_) = predict(model, X.T)
    assert isinstance(first, Numbers)
    assert first.to_json()["values"] == {f"target {k}": pytest.approx(expected[0, k]) for k in (0, 1)}
    assert run_cli("export", trained, "--format", "onnx", "-o", "m.onnx").exit_code == 0
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["values"]
    np.testing.assert_allclose(session.run(None, {"X": X})[0], expected, rtol=0, atol=1e-12)


OF_CLASSES = {"layer1": "tanh", "layer2": "softmax"}


@pytest.mark.parametrize(
    ("targets", "changes", "told"),
    [
        (2, {"loss": "cross_entropy"}, ['loss: found "cross_entropy" with "linear"', '"mse", "mae" or "huber"']),
        (
            2,
            {"loss": "cross_entropy", "activations": OF_CLASSES},
            ['neurons.layer2: found 2 with "softmax" and "loss": "cross_entropy"', 'expected 2 with "linear"'],
        ),
        (2, {"activations": OF_CLASSES}, ['found 2 with "softmax"', 'expected 2 with "linear"', "list_classes"]),
        (1, {}, ['neurons.layer2: found 2 with "linear"', 'expected 1 with "linear"']),
        (0, {"loss": "mse"}, ['found 2 with "linear" and "loss": "mse"', 'expected 1 with "sigmoid"', "float64"]),
        (
            0,
            {"loss": "mae", "activations": OF_CLASSES},
            ['loss: found "mae" with "softmax"', '"linear" in activations'],
        ),
        (2, {"loss": "rmse"}, ['loss: found "rmse"; expected "auto", "cross_entropy", "mse", "mae" or "huber"']),
    ],
)
def test_a_loss_that_does_not_fit_the_labels_has_one_error_that_says_how_to_mend_it(
    targets: int, changes: dict[str, Any], told: list[str], cloud: InProcessCloud, tmp_path: Path
) -> None:
    dataset = tiny_dataset(tmp_path / "d.h5", targets=targets)
    upload = cloud.upload(dataset, {**PARAMETERS, **changes})
    assert cloud.launch(upload) == "refused"
    reason = str(cloud.run(upload.run_id).reason)
    assert all(text in reason for text in told), reason
    assert str(InputError([reason])).count("found") == 1, reason


def test_a_training_that_diverges_names_the_targets_too(cloud: InProcessCloud, dataset: Path) -> None:
    run = cloud.run(again(cloud, dataset, learning_rate=1e6, epochs=200))
    assert run.status == "FAILED"
    assert "lower learning_rate (it is 1e+06), or scale the targets down" in str(run.reason)
