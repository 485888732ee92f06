"""A worker's block of the first layer, with all examples at once, panel by panel, and in any batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn.network.optimizers import OPTIMIZERS, Optimizer
from lnn.network.types import Array
from lnn.strategies.resident import first_layer
from lnn.strategies.resident.first_layer import Paneled, Unpaneled


def block_of(shape: tuple[int, int, int, int], optimizer: Optimizer, seed: int) -> dict[str, Any]:
    """What a layer is made of, for so many features, units, training and test examples."""
    features, units, m, m_test = shape
    rng = np.random.default_rng(seed)
    return {
        "X": rng.random((m, features)).T,
        "X_test": rng.random((m_test, features)).T,
        "X_validation": rng.random((m_test + 1, features)).T,
        "block": rng.standard_normal((units, features)),
        "slots": [rng.random((units, features)) for _ in range(optimizer.slots)],
    }


shapes = st.tuples(st.integers(1, 40), st.integers(1, 5), st.integers(1, 9), st.integers(1, 4))


@given(
    shape=shapes,
    panel=st.integers(1, 50),
    tile=st.integers(1, 12),
    small=st.sampled_from([0, 10**6]),
    name=st.sampled_from(sorted(OPTIMIZERS)),
    l2=st.sampled_from([0.0, 0.5]),
)
@settings(deadline=None, max_examples=60)
def test_panels_train_as_the_whole_does(
    shape: tuple[int, int, int, int], panel: int, tile: int, small: int, name: str, l2: float
) -> None:
    optimizer = Optimizer(name, 0.1)
    made_of = block_of(shape, optimizer, seed=panel)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(first_layer, "PANEL_FEATURES", panel)
        patched.setattr(first_layer, "TILE_FEATURES", tile)
        patched.setattr(first_layer, "SMALL_PRODUCT", small)
        paneled, plain = Paneled(**made_of), Unpaneled(**made_of)
    rng = np.random.default_rng(shape[2])
    for t in range(1, 4):
        dZ: Array = rng.standard_normal((shape[1], shape[2]))
        np.testing.assert_allclose(paneled.train_product(None), plain.train_product(None), rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(paneled.test_product(), plain.test_product(), rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(paneled.validation_product(), plain.validation_product(), rtol=1e-9, atol=1e-11)
        assert paneled.sum_of_squares() == pytest.approx(plain.sum_of_squares())
        paneled.update(dZ, optimizer, t, l2)
        plain.update(dZ, optimizer, t, l2)
    np.testing.assert_allclose(paneled.weights, plain.weights, rtol=1e-9, atol=1e-11)
    assert len(paneled.slots) == optimizer.slots
    for ours, theirs in zip(paneled.slots, plain.slots, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)
    for layer in (paneled, plain):
        layer.use(made_of["block"])
    assert np.array_equal(paneled.weights, plain.weights)
    np.testing.assert_allclose(paneled.validation_product(), plain.validation_product(), rtol=1e-9, atol=1e-11)


def test_who_goes_on_from_saved_weights_has_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_layer, "PANEL_FEATURES", 14)
    monkeypatch.setattr(first_layer, "TILE_FEATURES", 7)
    optimizer = Optimizer("momentum", 0.1)
    made_of = block_of((30, 3, 8, 2), optimizer, seed=1)
    first = Paneled(**made_of)
    dZ = np.random.default_rng(2).standard_normal((3, 8))
    first.update(dZ, optimizer, 1, 0.1)
    second = Paneled(**{**made_of, "block": first.weights, "slots": first.slots})
    for layer in (first, second):
        layer.update(dZ, optimizer, 2, 0.1)
    assert np.array_equal(first.weights, second.weights)
    assert np.array_equal(first.train_product(None), second.train_product(None))
    assert np.array_equal(first.slots, second.slots)


def test_panels_refuse_a_part_of_the_examples() -> None:
    layer = Paneled(**block_of((4, 2, 3, 1), Optimizer("sgd", 0.1), seed=0))
    with pytest.raises(ValueError, match="full batch"):
        layer.train_product(np.array([0, 1]))
