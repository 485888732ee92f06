"""The backward pass against central finite differences of the cost, in float64."""

from __future__ import annotations

import numpy as np
import pytest

from lnn.data.dataset import label_matrix
from lnn.network import ACTIVATIONS, LINEAR, REGRESSION_LOSSES, Dropout, Loss, Masks, Network, init_parameters
from lnn.network.types import Array, Parameters

STEP = 1e-6
OUTPUTS = [("sigmoid", 1), ("sigmoid", 4), ("softmax", 2), ("softmax", 4)]


def numerical_gradient(
    network: Network, params: Parameters, array: Array, X: Array, Y: Array, masks: Masks = ()
) -> Array:
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + STEP
        above = network.cost(params, X, Y, masks)
        array[index] = value - STEP
        below = network.cost(params, X, Y, masks)
        array[index] = value
        gradient[index] = (above - below) / (2 * STEP)
    return gradient


@pytest.mark.parametrize("l2", [0.0, 0.7])
@pytest.mark.parametrize(("output", "units"), OUTPUTS)
@pytest.mark.parametrize("hidden", sorted(ACTIVATIONS))
def test_every_gradient_equals_the_slope_of_the_cost(hidden: str, output: str, units: int, l2: float) -> None:
    random = np.random.default_rng(7)
    network = Network([5, 4, 3, units], [hidden, hidden, output], l2)
    params = init_parameters(network.sizes, network.activations, "auto", 3, "float64")
    for _, b in params:
        b[:] = 0.1 * random.standard_normal(b.shape)
    X = random.standard_normal((5, 6))
    Y = label_matrix(random.integers(0, max(units, 2), 6), units, "float64")

    gradients = network.gradients(params, X, Y)

    for (W, b), (dW, db) in zip(params, gradients, strict=True):
        np.testing.assert_allclose(dW, numerical_gradient(network, params, W, X, Y), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(db, numerical_gradient(network, params, b, X, Y), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("output", "units"), OUTPUTS)
def test_the_gradients_of_weighted_classes_equal_the_slope_of_the_cost(output: str, units: int) -> None:
    random = np.random.default_rng(10)
    classes = max(units, 2)
    network = Network([5, 4, units], ["tanh", output], 0.3, loss=Loss(class_weight=[0.2, 7.0, 3.0, 1.5][:classes]))
    params = init_parameters(network.sizes, network.activations, "auto", 3, "float64")
    X, Y = random.standard_normal((5, 12)), label_matrix(random.integers(0, classes, 12), units, "float64")

    gradients = network.gradients(params, X, Y)

    for (W, b), (dW, db) in zip(params, gradients, strict=True):
        np.testing.assert_allclose(dW, numerical_gradient(network, params, W, X, Y), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(db, numerical_gradient(network, params, b, X, Y), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", ["cross_entropy", *sorted(REGRESSION_LOSSES)])
def test_the_gradients_of_weighted_examples_equal_the_slope_of_the_cost(loss: str) -> None:
    random = np.random.default_rng(12)
    of_numbers = loss in REGRESSION_LOSSES
    network = Network([5, 4, 2], ["tanh", LINEAR if of_numbers else "softmax"], 0.3, loss=Loss(loss))
    params = init_parameters(network.sizes, network.activations, "auto", 3, "float64")
    X, y = random.standard_normal((5, 12)), random.standard_normal((12, 2)) if of_numbers else np.arange(12) % 2
    Y = label_matrix(y, 2, "float64", np.arange(12) % 4)

    gradients = network.gradients(params, X, Y)

    for (W, b), (dW, db) in zip(params, gradients, strict=True):
        np.testing.assert_allclose(dW, numerical_gradient(network, params, W, X, Y), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(db, numerical_gradient(network, params, b, X, Y), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("hidden", sorted(ACTIVATIONS))
def test_the_gradients_with_dropout_equal_the_slope_of_the_cost_under_the_same_masks(hidden: str) -> None:
    random = np.random.default_rng(11)
    network = Network([5, 4, 6, 3], [hidden, hidden, "softmax"], 0.3)
    params = init_parameters(network.sizes, network.activations, "auto", 3, "float64")
    for _, b in params:  # where all inputs are dropped, Z = b: not at the bend of relu
        b[:] = 0.1 * random.standard_normal(b.shape)
    X, Y = random.standard_normal((5, 12)), label_matrix(random.integers(0, 3, 12), 3, "float64")
    masks = Dropout([0.3, 0.5], [4, 6], seed=2).masks(1, 0, slice(0, 12), "float64")

    gradients = network.gradients(params, X, Y, masks)

    assert network.cost(params, X, Y, masks) != network.cost(params, X, Y)
    for (W, b), (dW, db) in zip(params, gradients, strict=True):
        np.testing.assert_allclose(dW, numerical_gradient(network, params, W, X, Y, masks), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(db, numerical_gradient(network, params, b, X, Y, masks), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("output", "units"), OUTPUTS)
def test_the_gradients_of_a_single_layer_equal_the_slope_of_the_cost(output: str, units: int) -> None:
    random = np.random.default_rng(8)
    network = Network([6, units], [output], 0.3)
    params = init_parameters(network.sizes, network.activations, "xavier", 1, "float64")
    X = random.standard_normal((6, 5))
    Y = label_matrix(random.integers(0, max(units, 2), 5), units, "float64")

    [(dW, db)] = network.gradients(params, X, Y)

    np.testing.assert_allclose(dW, numerical_gradient(network, params, params[0][0], X, Y), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(db, numerical_gradient(network, params, params[0][1], X, Y), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("loss", sorted(REGRESSION_LOSSES))
def test_the_gradients_of_every_loss_of_regression_equal_the_slope_of_the_cost(loss: str, targets: int) -> None:
    random = np.random.default_rng(9)
    network = Network([5, 4, targets], ["tanh", LINEAR], 0.3, loss=Loss(loss))
    params = init_parameters(network.sizes, network.activations, "auto", 3, "float64")
    X, Y = random.standard_normal((5, 12)), 3 * random.standard_normal((targets, 12))

    gradients = network.gradients(params, X, Y)

    for (W, b), (dW, db) in zip(params, gradients, strict=True):
        np.testing.assert_allclose(dW, numerical_gradient(network, params, W, X, Y), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(db, numerical_gradient(network, params, b, X, Y), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_a_derivative_taken_from_what_is_kept_is_the_slope_at_the_input(name: str) -> None:
    activation = ACTIVATIONS[name]
    Z = np.array([[-20.0, -3.0, -0.5, -1e-3, 1e-3, 0.5, 3.0, 20.0]])
    slope = (activation.apply(Z + STEP) - activation.apply(Z - STEP)) / (2 * STEP)
    np.testing.assert_allclose(
        activation.derivative(activation.kept(Z, activation.apply(Z))), slope, rtol=1e-6, atol=1e-9
    )
