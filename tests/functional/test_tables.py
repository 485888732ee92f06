"""A table from its file to a prediction: the model of every strategy takes raw rows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from lnn.data.dataset import load_preprocessing
from lnn.data.preprocessing import PREPROCESSING
from lnn.errors import ResourceDeleted
from lnn.models.model_file import load_model
from lnn.models.validation import inspect_model
from lnn.names import params_key
from lnn_client.models import predict_rows
from lnn_client.table_datasets import Choices, make_dataset
from lnn_client.tables import open_table
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

NAMES = ["sepal length", "sepal width", "petal length", "petal width", "part", "species"]
SETTINGS: dict[str, Any] = {
    "epochs": 40,
    "layers": 2,
    "neurons": {"layer1": 8, "layer2": 3},
    "activations": {"layer1": "tanh", "layer2": "softmax"},
    "learning_rate": 0.05,
    "optimizer": "adam",
}


@pytest.mark.parametrize("strategy", ["fused", "neuron", "resident", "data"])
def test_the_model_of_a_table_takes_its_raw_rows(cloud: InProcessCloud, tmp_path: Path, strategy: str) -> None:
    iris = load_iris()
    parts = ["test" if place % 5 == 0 else "train" for place in range(len(iris.data))]
    table = tmp_path / "iris.csv"
    with table.open("w", newline="") as file:
        species = iris.target_names[iris.target]
        csv.writer(file).writerows(
            [NAMES, *([*x, part, name] for x, part, name in zip(iris.data.tolist(), parts, species, strict=True))]
        )
    path = tmp_path / "iris.h5"
    make_dataset(path, open_table(table), Choices("species", "part"), lambda rows: None)
    # In neuron every unit and step is an invocation.
    settings = {**SETTINGS, "epochs": 2} if strategy == "neuron" else SETTINGS
    upload = cloud.upload(path.read_bytes(), {**settings, "strategy": strategy})
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    run = cloud.run_to_end(upload.run_id)
    assert run.status == "COMPLETED", run
    content = cloud.read(params_key(run.run_id))
    model = load_model(content)
    assert model.preprocessing == load_preprocessing(path)
    assert inspect_model(content).preprocessing == model.preprocessing

    said = [prediction for batch in predict_rows(model, open_table(table)) for prediction in batch]
    training = np.array([part == "train" for part in parts])
    scaler = StandardScaler().fit(iris.data[training])
    expected = model.predict_proba(scaler.transform(iris.data).T)
    np.testing.assert_allclose(np.array([row.probabilities for row in said]).T, expected, rtol=0, atol=1e-9)
    right = np.array([prediction.index for prediction in said]) == iris.target
    # What the run counted of the preprocessed features is what raw rows give.
    assert right[~training].mean() == pytest.approx(run.test_accuracy)
    if strategy != "neuron":
        assert run.test_accuracy > 0.9


def test_the_model_of_a_table_of_numbers_to_predict_answers_numbers(cloud: InProcessCloud, tmp_path: Path) -> None:
    X, y = load_diabetes(return_X_y=True, scaled=False)
    parts = ["test" if place % 5 == 0 else "train" for place in range(len(X))]
    names = [f"x{place}" for place in range(X.shape[1])]
    table = tmp_path / "diabetes.parquet"
    pl.DataFrame(X, schema=names).with_columns(pl.Series("part", parts), pl.Series("target", y)).write_parquet(table)
    path = tmp_path / "diabetes.h5"
    made = make_dataset(path, open_table(table), Choices("target", "part"), lambda rows: None)
    assert made.classes == []
    settings = {
        **SETTINGS,
        "epochs": 150,
        "neurons": {"layer1": 16, "layer2": 1},
        "activations": {"layer1": "relu", "layer2": "linear"},
        "batch_size": 32,
    }
    upload = cloud.upload(path.read_bytes(), {**settings, "strategy": "fused"})
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    run = cloud.run_to_end(upload.run_id)
    assert run.status == "COMPLETED", run
    model = load_model(cloud.read(params_key(run.run_id)))
    assert list(model.list_targets) == ["target"]

    said = [prediction.values[0] for batch in predict_rows(model, open_table(table)) for prediction in batch]
    training = np.array([part == "train" for part in parts])
    scaler = StandardScaler().fit(X[training])
    (W1, b1), (W2, b2) = model.parameters
    expected = W2 @ np.maximum(W1 @ scaler.transform(X).astype(np.float32).T + b1, 0) + b2
    np.testing.assert_allclose(said, expected[0], rtol=1e-5)
    assert r2_score(y[~training], np.array(said)[~training]) == pytest.approx(run.test_r2, abs=1e-5)
    assert run.test_r2 > 0.35


def test_a_run_of_other_examples_stores_no_preprocessing(cloud: InProcessCloud, tmp_path: Path) -> None:
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5", 3), {**SETTINGS, "epochs": 1})
    assert cloud.launch(upload) == "launched"
    model = load_model(cloud.read(params_key(cloud.run_to_end(upload.run_id).run_id)))
    assert model.preprocessing is None
    with pytest.raises(ResourceDeleted):
        cloud.services.artifacts.get_tensor(upload.run_id, PREPROCESSING)
