"""Clipped gradients: their norm is the limit, their direction stays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lnn.network import Clipping, Network, Optimizer, init_parameters, new_slots
from lnn.network.types import Array


def gradients() -> list[Array]:
    random = np.random.default_rng(1)
    return [random.standard_normal(shape) for shape in ((4, 5), (4, 1), (1, 4))]


def test_a_gradient_above_the_limit_is_scaled_down_to_it() -> None:
    before, after, clipping = gradients(), gradients(), Clipping(0.5)
    norm = float(np.linalg.norm(np.concatenate([gradient.ravel() for gradient in before])))
    assert clipping.clip(after) == pytest.approx(0.5 / norm)
    assert clipping.norm == pytest.approx(norm)
    for ours, theirs in zip(after, before, strict=True):
        np.testing.assert_allclose(ours, theirs * 0.5 / norm)


def test_entries_that_are_elsewhere_count_in_the_norm() -> None:
    whole, part = Clipping(0.5), Clipping(0.5)
    first, *others = gradients()
    factor = whole.clip(gradients())
    assert part.clip(others, float(np.square(first).sum())) == pytest.approx(factor)
    assert part.norm == pytest.approx(whole.norm)


@pytest.mark.parametrize("limit", [1e3, math.inf])
def test_a_gradient_within_the_limit_keeps_its_bits(limit: float) -> None:
    after = gradients()
    assert Clipping(limit).clip(after) == 1
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(after, gradients(), strict=True))


def test_a_gradient_that_is_not_finite_stays_so_for_the_run_to_be_found_diverged() -> None:
    for value in (math.nan, math.inf):
        gradient = np.array([[value, 1.0]])
        with np.errstate(invalid="ignore"):
            Clipping(1.0).clip([gradient])
        assert not np.isfinite(gradient).all()


def test_a_step_moves_the_parameters_by_the_limit_and_l2_is_part_of_the_gradient() -> None:
    random = np.random.default_rng(2)
    network = Network([5, 4, 1], ["tanh", "sigmoid"], l2=3.0)
    X, Y = random.standard_normal((5, 9)), random.integers(0, 2, (1, 9)).astype(float)
    params = init_parameters(network.sizes, network.activations, "auto", 3, "float64")
    before = [(W.copy(), b.copy()) for W, b in params]
    gradient = np.concatenate([array.ravel() for pair in network.gradients(params, X, Y) for array in pair])
    clipping, rule = Clipping(0.01), Optimizer("sgd", 0.5)

    network.train_step(params, new_slots(params, rule), X, Y, rule, 1, clipping)

    pairs = [(old, new) for olds, news in zip(before, params, strict=True) for old, new in zip(olds, news, strict=True)]
    moved = np.concatenate([(old - new).ravel() for old, new in pairs])
    np.testing.assert_allclose(moved, 0.5 * 0.01 * gradient / np.linalg.norm(gradient), rtol=1e-9, atol=1e-15)
    assert clipping.norm == pytest.approx(np.linalg.norm(gradient))
