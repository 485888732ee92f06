"""The readers that the notebook Codebook imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn.models.model_file import load_model
from lnn.names import params_key
from lnn.network import linear_forward
from lnn.parameter_server.server import ParameterServer
from lnn_cli.codebook import load_examples, look
from support.aws_account import surroundings
from support.inprocess_cloud import Chaos, InProcessCloud, tiny_dataset
from support.scaled_digits import DIGITS

__all__ = ["surroundings"]

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.5,
    "strategy": "neuron",
}


def test_whoever_looks_after_each_message_sees_every_array_of_every_epoch(
    cloud: InProcessCloud, tmp_path: Path
) -> None:
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5", features=2), PARAMETERS)
    assert cloud.launch(upload) == "launched"
    server, seen, order = ParameterServer(cloud.redis, upload.run_id), {}, Chaos(0)
    while cloud.queue.messages and not cloud.run(upload.run_id).has_ended:
        order.deliver_one(cloud)
        look(server, seen)
    names = ("A1", "Z2", "dZ2", "W2", "b2", "dZ1", "W1", "b1")
    assert sorted(seen) == sorted((epoch, name) for epoch in (1, 2, 3) for name in names)
    (W1, _), _ = load_model(cloud.read(params_key(upload.run_id))).parameters
    np.testing.assert_array_equal(seen[3, "W1"], W1)
    np.testing.assert_allclose(seen[2, "Z2"], linear_forward(seen[1, "W2"], seen[1, "b2"], seen[2, "A1"]))


def test_examples_are_columns_between_0_and_1_with_their_classes() -> None:
    found = load_examples(DIGITS)
    assert (found.X.shape, found.Y.shape, found.y.shape) == ((64, 1438), (10, 1438), (1438,))
    assert (found.X.min(), found.X.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(found.Y.argmax(axis=0), found.y)
