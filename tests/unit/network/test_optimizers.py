"""Update rules against scalar arithmetic written down from their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lnn.network import OPTIMIZERS, Optimizer

RATE = 0.05
GRADIENTS = np.random.default_rng(0).standard_normal((30, 3, 4))


USUAL = {"momentum": 0.9, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
OTHER = {"momentum": 0.5, "beta1": 0.7, "beta2": 0.95, "epsilon": 0.03}


def follow(name: str, start: float, gradients: list[float], constants: dict[str, float], decay: float = 0.0) -> float:
    """One scalar parameter after all updates; PyTorch documents the rules of ``SGD`` and ``AdamW`` so."""
    mu, b1, b2, epsilon = (constants[key] for key in ("momentum", "beta1", "beta2", "epsilon"))
    x = start
    v = m = s = 0.0
    for t, g in enumerate(gradients, start=1):
        if name == "sgd":
            x = x - RATE * g
        elif name == "momentum":
            v = mu * v + g
            x = x - RATE * v
        elif name == "nesterov":
            v = mu * v + g
            x = x - RATE * (g + mu * v)
        else:
            x = x - RATE * decay * x
            m = b1 * m + (1 - b1) * g
            s = b2 * s + (1 - b2) * g**2
            x = x - RATE * (m / (1 - b1**t)) / (math.sqrt(s / (1 - b2**t)) + epsilon)
    return x


@pytest.mark.parametrize("constants", [{}, OTHER])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_an_array_of_parameters_follows_the_scalar_rule(name: str, constants: dict[str, float]) -> None:
    optimizer = Optimizer(name, RATE, **constants)
    param = np.random.default_rng(1).standard_normal((3, 4))
    expected = [
        [follow(name, param[i, j], GRADIENTS[:, i, j].tolist(), USUAL | constants) for j in range(4)] for i in range(3)
    ]
    slots = optimizer.new_slots(param)
    for t, gradient in enumerate(GRADIENTS, start=1):
        optimizer.update(param, gradient.copy(), slots, t)
    np.testing.assert_allclose(param, expected, rtol=1e-12)


def test_adamw_takes_its_share_of_weights_apart_from_their_gradients_and_none_of_biases() -> None:
    optimizer = Optimizer("adamw", RATE, weight_decay=0.4)
    weight, bias = np.array([[3.0]]), np.array([[3.0]])
    slots = [optimizer.new_slots(weight), optimizer.new_slots(bias)]
    for t, gradient in enumerate(GRADIENTS[:, :1, :1], start=1):
        optimizer.update_weights(weight, gradient.copy(), slots[0], t)
        optimizer.update(bias, gradient.copy(), slots[1], t)
    gradients = GRADIENTS[:, 0, 0].tolist()
    assert weight[0, 0] == pytest.approx(follow("adamw", 3.0, gradients, USUAL, decay=0.4), rel=1e-12)
    assert bias[0, 0] == pytest.approx(follow("adam", 3.0, gradients, USUAL), rel=1e-12)
    assert weight[0, 0] < bias[0, 0] - 0.1


def test_the_other_optimizers_decay_nothing() -> None:
    for name in OPTIMIZERS:
        W = np.array([[3.0]])
        Optimizer(name, RATE).decay(W)
        assert W[0, 0] == 3.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_a_row_updated_alone_ends_with_the_same_bits(name: str, dtype: str) -> None:
    optimizer = Optimizer(name, RATE)
    whole = np.random.default_rng(2).standard_normal((3, 4)).astype(dtype)
    rows = [whole[i : i + 1].copy() for i in range(3)]
    whole_slots, row_slots = optimizer.new_slots(whole), [optimizer.new_slots(row) for row in rows]
    for t, gradient in enumerate(GRADIENTS.astype(dtype), start=1):
        optimizer.update(whole, gradient.copy(), whole_slots, t)
        for i, row in enumerate(rows):
            optimizer.update(row, gradient[i : i + 1].copy(), row_slots[i], t)
    assert whole.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(whole, np.concatenate(rows))


def test_each_optimizer_asks_for_its_own_number_of_slots() -> None:
    slots = {name: Optimizer(name, RATE).slots for name in OPTIMIZERS}
    assert slots == {"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2, "adamw": 2}
    assert [slot.shape for slot in Optimizer("adam", RATE).new_slots(np.ones((5, 1)))] == [(5, 1), (5, 1)]
