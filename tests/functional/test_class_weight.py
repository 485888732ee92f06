"""A rare class: training finds it when it counts as much as the others."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from sklearn.metrics import recall_score

from lnn.data.dataset import write_dataset
from lnn.models.model_file import load_model
from support.inprocess_cloud import InProcessCloud

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 20,
    "layers": 2,
    "neurons": {"layer1": 3, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.01,
    "batch_size": 100,
    "optimizer": "adam",
}


@pytest.fixture
def transactions(tmp_path: Path) -> bytes:
    """2 % fraud, which overlaps with the rest."""
    random = np.random.default_rng(11)
    y, y_test = (random.random(examples) < 0.02 for examples in (2000, 2000))
    X, X_test = (random.standard_normal((len(of), 6)) + of[:, np.newaxis] for of in (y, y_test))
    path = tmp_path / "datasets.h5"
    write_dataset(path, X, y.astype(int), X_test, y_test.astype(int), ["honest", "fraud"])
    return path.read_bytes()


def recall(cloud: InProcessCloud, transactions: bytes, weights: object) -> float:
    """Share of the test set's frauds that the model of a run finds."""
    upload = cloud.upload(transactions, {**PARAMETERS, "class_weight": weights})
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    assert cloud.run_to_end(upload.run_id).status == "COMPLETED"
    model = load_model(cloud.read(f"prediction_input/{upload.run_id}/params.h5"))
    with h5py.File(BytesIO(transactions)) as file:
        X, y = file["test_set_x"][:], file["test_set_y"][:].ravel()
    return float(recall_score(y, model.predict_proba(X.T)[1] > 0.5))


def test_balanced_classes_find_the_frauds_that_are_overlooked_otherwise(
    cloud: InProcessCloud, transactions: bytes
) -> None:
    assert recall(cloud, transactions, None) < 0.5
    assert recall(cloud, transactions, "balanced") >= 0.8
    assert recall(cloud, transactions, {"fraud": 49}) >= 0.8
