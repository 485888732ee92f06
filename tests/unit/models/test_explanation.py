"""The neurons that spoke for an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lnn.models.explanation import MOST_NEURONS, explanation
from lnn.models.inference import predict
from lnn.models.model_file import Model

RNG = np.random.default_rng(1)


def layer(units: int, inputs: int) -> tuple[Any, Any]:
    return RNG.normal(size=(units, inputs)), RNG.normal(size=(units, 1))


def model_of(outputs: int, activation: str, classes: list[str], targets: list[str]) -> Model:
    layers = [layer(20, 3), layer(outputs, 20)]
    return Model(layers, "r", ["tanh", activation], classes, None, 1.0, None, targets)


def explained(model: Model, x: Any) -> Any:
    return explanation(model, x, predict(model, x[:, np.newaxis])[0])


@pytest.mark.parametrize(
    "model",
    [
        model_of(3, "softmax", ["a", "b", "c"], []),
        model_of(1, "sigmoid", ["no", "yes"], []),
        model_of(2, "linear", [], ["price", "area"]),
    ],
)
def test_the_terms_make_the_z_of_the_answer(model: Model) -> None:
    (W1, b1), (W2, b2) = model.parameters
    for _ in range(6):
        x = RNG.normal(size=3)
        found = explained(model, x)
        a = np.tanh(W1 @ x + b1[:, 0])
        z = W2 @ a + b2[:, 0]
        of_classes = z.max() if len(z) > 1 else abs(z[0])  # of two classes the likelier has a positive z
        expected = z[0] if model.list_targets else of_classes
        assert found["z"] == pytest.approx(expected)
        assert found["z"] == pytest.approx(sum(one["term"] for one in found["neurons"]) + found["others"] + found["b"])
        assert found["layer"] == 1
        assert len(found["neurons"]) == MOST_NEURONS
        strengths = [abs(one["term"]) for one in found["neurons"]]
        assert strengths == sorted(strengths, reverse=True)
        for one in found["neurons"]:
            assert one["term"] == pytest.approx(one["a"] * one["w"])
            assert one["a"] == pytest.approx(a[one["neuron"] - 1])


def test_a_network_without_a_hidden_layer_has_no_neurons_to_name() -> None:
    model = Model([layer(2, 3)], "r", ["softmax"], ["a", "b"], None, 1.0)
    found = explained(model, np.ones(3))
    assert (found["layer"], found["neurons"]) == (0, [])
    assert found["z"] == pytest.approx(found["others"] + found["b"])
