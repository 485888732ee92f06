"""Update rules against scalar arithmetic written down from their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lnn.network import OPTIMIZERS, Optimizer

RATE = 0.05
GRADIENTS = np.random.default_rng(0).standard_normal((30, 3, 4))


def follow(name: str, start: float, gradients: list[float]) -> float:
    """One scalar parameter after all updates."""
    x = start
    v = m = s = 0.0
    for t, g in enumerate(gradients, start=1):
        if name == "sgd":
            x = x - RATE * g
        elif name == "momentum":
            v = 0.9 * v + g
            x = x - RATE * v
        else:
            m = 0.9 * m + 0.1 * g
            s = 0.999 * s + 0.001 * g**2
            x = x - RATE * (m / (1 - 0.9**t)) / (math.sqrt(s / (1 - 0.999**t)) + 1e-8)
    return x


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_an_array_of_parameters_follows_the_scalar_rule(name: str) -> None:
    optimizer = Optimizer(name, RATE)
    param = np.random.default_rng(1).standard_normal((3, 4))
    expected = [[follow(name, param[i, j], GRADIENTS[:, i, j].tolist()) for j in range(4)] for i in range(3)]
    slots = optimizer.new_slots(param)
    for t, gradient in enumerate(GRADIENTS, start=1):
        optimizer.update(param, gradient.copy(), slots, t)
    np.testing.assert_allclose(param, expected, rtol=1e-12)


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
    assert {name: Optimizer(name, RATE).slots for name in OPTIMIZERS} == {"sgd": 0, "momentum": 1, "adam": 2}
    assert [slot.shape for slot in Optimizer("adam", RATE).new_slots(np.ones((5, 1)))] == [(5, 1), (5, 1)]
