"""Starting weights: their spread, and that the same seed means the same bits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lnn.network import init_parameters


@pytest.mark.parametrize(
    ("method", "activation", "variance"),
    [
        ("he", "relu", 2 / 600),
        ("xavier", "relu", 2 / (600 + 300)),
        ("auto", "relu", 2 / 600),
        ("auto", "leaky_relu", 2 / 600),
        ("auto", "elu", 2 / 600),
        ("auto", "gelu", 2 / 600),
        ("auto", "silu", 2 / 600),
        ("auto", "tanh", 2 / (600 + 300)),
        ("auto", "sigmoid", 2 / (600 + 300)),
        ("auto", "softmax", 2 / (600 + 300)),
    ],
)
def test_weights_have_the_variance_of_their_method(method: str, activation: str, variance: float) -> None:
    [(W, b)] = init_parameters([600, 300], [activation], method, 0, "float64")
    assert W.std() == pytest.approx(math.sqrt(variance), rel=0.01)
    assert abs(W.mean()) < 4 * math.sqrt(variance / W.size)
    assert not b.any()
    assert (W.shape, b.shape) == ((300, 600), (300, 1))


def test_zeros_are_zeros() -> None:
    [(W, b)] = init_parameters([4, 1], ["sigmoid"], "zeros", 5, "float32")
    assert not W.any()
    assert not b.any()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    sizes, activations = [6, 5, 4, 3], ["relu", "tanh", "softmax"]
    first, again, other = (init_parameters(sizes, activations, "auto", seed, "float64") for seed in (1, 1, 2))
    for (W, _), (W_again, _), (W_other, _) in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(W, W_again)
        assert not np.isin(W, W_other).any()


def test_a_layer_s_draw_does_not_depend_on_the_layers_after_it() -> None:
    shallow = init_parameters([6, 5, 4], ["relu", "relu"], "auto", 9, "float64")
    deep = init_parameters([6, 5, 4, 7], ["relu", "relu", "softmax"], "auto", 9, "float64")
    for (W, _), (W_deep, _) in zip(shallow, deep, strict=False):
        np.testing.assert_array_equal(W, W_deep)


def test_layers_of_one_shape_start_with_different_weights() -> None:
    (first, _), (second, _) = init_parameters([4, 4, 4], ["relu", "relu"], "he", 0, "float64")
    assert not np.isin(first, second).any()


def test_float32_weights_are_the_float64_ones_rounded() -> None:
    [(wide, _)] = init_parameters([8, 3], ["tanh"], "auto", 4, "float64")
    [(narrow, b)] = init_parameters([8, 3], ["tanh"], "auto", 4, "float32")
    assert narrow.dtype == b.dtype == np.float32
    np.testing.assert_array_equal(narrow, wide.astype(np.float32))


def test_an_unknown_method_is_an_error() -> None:
    with pytest.raises(KeyError):
        init_parameters([2, 1], ["sigmoid"], "Xavier", 0, "float64")
