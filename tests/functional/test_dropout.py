"""Dropout is of the training alone: what a model says, and its scores, come from the whole network."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lnn.models.model_file import load_model
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 6, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.5,
    "dropout": {"layer1": 0.5},
}


@pytest.mark.parametrize("strategy", ["neuron", "fused", "resident", "data"])
def test_scores_are_those_of_the_whole_network(strategy: str, cloud: InProcessCloud, tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "d.h5")
    upload = cloud.upload(dataset, {**PARAMETERS, "strategy": strategy})
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    run = cloud.run_to_end(upload.run_id)
    (W1, b1), (W2, b2) = load_model(cloud.read(f"prediction_input/{run.run_id}/params.h5")).parameters
    with h5py.File(BytesIO(dataset)) as file:
        for split in ("train", "test"):
            X, y = file[f"{split}_set_x"][:], file[f"{split}_set_y"][:].ravel()
            found = (np.tanh(X @ W1.T + b1.T) @ W2.T + b2.T)[:, 0] > 0
            assert getattr(run, f"{split}_accuracy") == pytest.approx((found == y).mean())
