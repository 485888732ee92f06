"""A worker's block of the first layer, with all examples at once and in batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lnn.network import linear_backward, sum_of_squares
from lnn.network.optimizers import OPTIMIZERS, Optimizer
from lnn.network.types import Array
from lnn.strategies.resident.first_layer import Clip, FirstLayer

FEATURES, UNITS, M = 30, 3, 8


def block_of(optimizer: Optimizer) -> dict[str, Any]:
    """What a layer is made of."""
    rng = np.random.default_rng(1)
    return {
        "X": rng.random((M, FEATURES)).T,
        "X_test": rng.random((2, FEATURES)).T,
        "X_validation": rng.random((4, FEATURES)).T,
        "block": rng.standard_normal((UNITS, FEATURES)),
        "slots": [rng.random((UNITS, FEATURES)) for _ in range(optimizer.slots)],
    }


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
@pytest.mark.parametrize("clip", [None, lambda square: 0.1 / square], ids=["not clipped", "clipped"])
def test_a_block_trains_as_its_weights_do_in_the_whole_layer(name: str, clip: Clip | None) -> None:
    optimizer = Optimizer(name, 0.1)
    made_of = block_of(optimizer)
    layer = FirstLayer(**made_of)
    W, slots = made_of["block"].copy(), [slot.copy() for slot in made_of["slots"]]
    rng = np.random.default_rng(2)
    for t, batch in enumerate((None, np.array([5, 0, 2]), None), start=1):
        X: Array = made_of["X"] if batch is None else made_of["X"][:, batch]
        np.testing.assert_allclose(layer.train_product(batch), (W @ X).T)
        np.testing.assert_allclose(layer.test_product(), (W @ made_of["X_test"]).T)
        np.testing.assert_allclose(layer.validation_product(), (W @ made_of["X_validation"]).T)
        assert layer.sum_of_squares() == pytest.approx((W**2).sum())
        dZ: Array = rng.standard_normal((UNITS, X.shape[1]))
        dW, _ = linear_backward(dZ, X, W, 0.5)
        if clip is not None:
            dW *= clip(sum_of_squares(dW))
        layer.update(dZ, optimizer, t, 0.5, clip)
        optimizer.update_weights(W, dW, slots, t)
    np.testing.assert_allclose(layer.weights, W)
    for ours, theirs in zip(layer.slots, slots, strict=True):
        np.testing.assert_allclose(ours, theirs)
    layer.use(made_of["block"])
    np.testing.assert_array_equal(layer.weights, made_of["block"])


def test_who_goes_on_from_saved_weights_has_the_same_bits() -> None:
    optimizer = Optimizer("momentum", 0.1)
    made_of = block_of(optimizer)
    first = FirstLayer(**made_of)
    dZ = np.random.default_rng(2).standard_normal((UNITS, M))
    first.update(dZ, optimizer, 1, 0.1)
    second = FirstLayer(**{**made_of, "block": first.weights, "slots": first.slots})
    for layer in (first, second):
        layer.update(dZ, optimizer, 2, 0.1)
    assert np.array_equal(first.weights, second.weights)
    assert np.array_equal(first.train_product(None), second.train_product(None))
    assert np.array_equal(first.slots, second.slots)
