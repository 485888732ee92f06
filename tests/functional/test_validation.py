"""A validation set: what is held out, what it measures, which model is kept, and when a run stops early."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from sklearn.metrics import log_loss

from lnn.data.dataset import write_dataset
from lnn.models.model_file import load_model
from lnn_client.runs import result
from support.aws_account import run_cli, surroundings
from support.inprocess_cloud import InProcessCloud, tiny_dataset

__all__ = ["surroundings"]

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 30,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 2.0,
    "optimizer": "momentum",
    "strategy": "fused",
}


def ended(cloud: InProcessCloud, dataset: bytes, **changes: Any) -> Any:
    upload = cloud.upload(dataset, PARAMETERS | changes)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    run = cloud.run_to_end(upload.run_id)
    assert run.status == "COMPLETED", run
    return run


def refusal(cloud: InProcessCloud, dataset: bytes, **changes: Any) -> str:
    upload = cloud.upload(dataset, PARAMETERS | changes)
    assert cloud.launch(upload) == "refused"
    return str(cloud.run(upload.run_id).reason)


def probabilities(cloud: InProcessCloud, run_id: str, X: Any) -> Any:
    """Of the second class for examples X (m, n), computed by hand."""
    (W1, b1), (W2, b2) = load_model(cloud.read(f"prediction_input/{run_id}/params.h5")).parameters
    return 1 / (1 + np.exp(-(np.tanh(X @ W1.T + b1.T) @ W2.T + b2.T)[:, 0]))


def noise(path: Path, features: int = 5) -> bytes:
    """Classes that features say nothing of: training longer makes the validation cost higher."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(40, features)), rng.permutation(np.arange(40) % 2)
    write_dataset(path, X, y, X[:8] + 1, y[:8], ["no", "yes"])
    return path.read_bytes()


def own_validation_set(path: Path) -> bytes:
    rng = np.random.default_rng(3)
    sets = [(rng.normal(size=(m, 4)), np.arange(m) % 2) for m in (12, 7, 5)]
    (X, y), (X_test, y_test), (X_validation, y_validation) = [(X + y[:, np.newaxis], y) for X, y in sets]
    write_dataset(path, X, y, X_test, y_test, ["no", "yes"], validation=(X_validation, y_validation))
    return path.read_bytes()


def test_the_dataset_s_own_validation_set_measures_the_model_that_is_kept(
    cloud: InProcessCloud, tmp_path: Path
) -> None:
    run = ended(cloud, own_validation_set(tmp_path / "d.h5"), epochs=12, l2=0.1)
    assert run.dimensions["validation_examples"] == 5
    assert run.dimensions["examples"] == 12
    with h5py.File(tmp_path / "d.h5") as file:
        X, y = file["validation_set_x"][:], file["validation_set_y"][:]
    found = probabilities(cloud, run.run_id, X)
    assert run.validation_cost == pytest.approx(log_loss(y, found), rel=1e-12), "without the penalty of l2"
    assert run.validation_accuracy == pytest.approx(np.mean((found > 0.5) == y))
    rows = cloud.services.ledger.history(run.run_id)
    assert run.best_epoch == min(rows, key=lambda row: row.validation_cost).epoch
    assert run.validation_cost == rows[run.best_epoch - 1].validation_cost
    assert run.test_accuracy == rows[run.best_epoch - 1].test_accuracy


@pytest.mark.parametrize("features", [5, 200])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_kept_model_is_that_of_a_run_that_ends_with_the_best_epoch(
    features: int, seed: int, cloud: InProcessCloud, tmp_path: Path
) -> None:
    dataset = noise(tmp_path / "d.h5", features)
    changes = {"validation": 0.3, "seed": seed, "batch_size": 4, "l2": 0.1}
    run = ended(cloud, dataset, **changes)
    assert run.plan["formulation"] == ("plain" if features == 5 else "example_space")
    assert run.best_epoch < run.epoch, "else this shows nothing"
    short = ended(cloud, dataset, **changes, epochs=run.best_epoch, keep="last")
    kept, last = (load_model(cloud.read(f"prediction_input/{one.run_id}/params.h5")) for one in (run, short))
    # So few epochs may not be worth example space, whose bits are others.
    tolerance = 0 if short.plan["formulation"] == run.plan["formulation"] else 1e-7
    for layers in zip(kept.parameters, last.parameters, strict=True):
        for ours, theirs in zip(*layers, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance / 1000)
    assert (run.train_accuracy, run.test_accuracy) == (short.train_accuracy, short.test_accuracy)
    assert run.validation_accuracy == short.validation_accuracy


def test_what_is_held_out_is_a_share_of_each_class_and_not_trained_with(cloud: InProcessCloud, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [30, 10])
    X = rng.normal(size=(40, 3))
    write_dataset(tmp_path / "d.h5", X, y, X[:4] + 1, y[:4], ["a", "b"])
    run = ended(cloud, (tmp_path / "d.h5").read_bytes(), epochs=2, validation=0.2)
    stored = cloud.services.artifacts
    parts = {
        part: (stored.get_shard(run.run_id, f"{part}_x", 0), stored.get_tensor(run.run_id, f"{part}_y"))
        for part in ("train", "validation")
    }
    assert Counter(parts["validation"][1].tolist()) == {0: 6, 1: 2}
    assert Counter(parts["train"][1].tolist()) == {0: 24, 1: 8}
    rows = [tuple(row) for features, _ in parts.values() for row in features.tolist()]
    assert sorted(rows) == sorted(map(tuple, X.tolist())), "every example is in one part"


def test_patience_ends_a_run_that_gets_no_better(cloud: InProcessCloud, tmp_path: Path) -> None:
    dataset = noise(tmp_path / "d.h5")
    run = ended(cloud, dataset, epochs=500, validation=0.3, patience=7)
    assert run.epoch == run.best_epoch + 7
    assert run.reason == (
        f"patience: no lower validation cost than {run.validation_cost:.6g} of epoch {run.best_epoch} in 7 epochs"
    )
    rows = cloud.services.ledger.history(run.run_id)
    assert min(row.validation_cost for row in rows) == run.validation_cost
    lazy = ended(cloud, dataset, epochs=500, validation=0.3, patience=7, min_delta=10.0)
    assert (lazy.best_epoch, lazy.epoch) == (1, 8), "nothing is lower by 10"


def test_settings_that_the_dataset_does_not_go_with_are_refused(cloud: InProcessCloud, tmp_path: Path) -> None:
    own, none = own_validation_set(tmp_path / "own.h5"), tiny_dataset(tmp_path / "none.h5")
    assert "validation: found 0.2, and validation_set_x with 5 examples; expected one" in refusal(
        cloud, own, validation=0.2
    )
    assert "patience: found 3 and no validation set; expected null, or a share" in refusal(cloud, none, patience=3)
    assert "batch_size: found 13; expected at most 9, the examples in train_set_x that are not held out" in refusal(
        cloud, none, validation=0.3, batch_size=13
    )
    X = np.eye(2)
    write_dataset(tmp_path / "two.h5", X, [0, 1], X + 1, [0, 1], ["a", "b"])
    assert "validation: found 0.5 of a training set with one example of each class" in refusal(
        cloud, (tmp_path / "two.h5").read_bytes(), validation=0.5
    )


def test_people_see_what_the_validation_set_says(cloud: InProcessCloud, tmp_path: Path) -> None:
    run = ended(cloud, own_validation_set(tmp_path / "d.h5"), epochs=12)
    rows = cloud.services.ledger.history(run.run_id)
    shown = " ".join(run_cli("show", run.run_id).stdout.split())
    assert "12 for training, 5 for validation, 7 for testing" in shown
    assert f"lowest cost {run.validation_cost:.6g}, of epoch {run.best_epoch}, whose model this is" in shown
    assert "validation accuracy" in shown
    assert "validation cost" in run_cli("history", run.run_id).stdout
    told = json.loads(run_cli("history", run.run_id, "--json").stdout)
    assert [(row["validation_cost"], row["test_cost"]) for row in told] == [
        (row.validation_cost, row.test_cost) for row in rows
    ]
    assert None not in [row.test_cost for row in rows]
    assert [row["epoch"] for row in told if row["lowest_recall"] is not None] == [run.best_epoch]
    table = run_cli("export", run.run_id, "--format", "csv", "-o", str(tmp_path / "h.csv"))
    assert table.exit_code == 0, table.output
    exported = list(csv.DictReader(io.StringIO((tmp_path / "h.csv").read_text())))
    assert [float(row["validation_cost"]) for row in exported] == [row.validation_cost for row in rows]
    summary = result(run)
    assert (summary["best_epoch"], summary["validation_cost"]) == (run.best_epoch, run.validation_cost)
    results = json.loads(cloud.read(f"training_results/{run.run_id}/results.json"))
    assert (results["best_epoch"], results["validation_cost"]) == (run.best_epoch, run.validation_cost)
    checked = run_cli("dataset", "check", str(tmp_path / "d.h5")).stdout
    assert "5 examples" in checked.partition("validation")[2]
