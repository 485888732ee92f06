"""A model in a program's hands: what it predicts, it predicts as ONNX, too."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from lnn.models.model_file import Model as Stored
from lnn.network import init_parameters
from lnn_client import Model
from lnn_client.errors import MissingPackage


@pytest.fixture
def model() -> Model:
    activations = ["tanh", "softmax"]
    parameters = init_parameters([4, 5, 3], activations, "xavier", 1, "float64")
    return Model(Stored(parameters, "r", activations, ["a", "b", "c"], None, 1.0))


def test_a_model_says_as_onnx_what_it_says_itself(model: Model, tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(20, 4))
    path = model.to_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"X": X})
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=1e-12)
    assert np.ptp(probabilities, axis=0).min() > 0


def test_without_the_package_the_error_says_how_to_get_it(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingPackage, match="pip install onnx"):
        model.to_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
