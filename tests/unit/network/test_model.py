"""Layers in a row: training steps, single rows, predictions."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from lnn.data.dataset import label_matrix
from lnn.network import (
    ACTIVATIONS,
    OPTIMIZERS,
    Network,
    Optimizer,
    accuracy,
    correct_count,
    init_parameters,
    linear_backward,
    linear_forward,
    model,
    new_slots,
    output_delta,
    predicted_classes,
    propagate_delta,
)
from lnn.network.types import Array, Labels, Parameters

SIZES = [7, 5, 4, 3]
KINDS = ["relu", "tanh", "softmax"]


def blobs(classes: int, m: int = 60, n: int = 7, seed: int = 0) -> tuple[Array, Labels]:
    """m points in n dimensions around one center for each class."""
    random = np.random.default_rng(seed)
    y = np.arange(m) % classes
    X = 2 * random.standard_normal((classes, n))[y] + random.standard_normal((m, n))
    return X.T, y


def train(network: Network, X: Array, y: Labels, optimizer: Optimizer, steps: int) -> tuple[Parameters, list[float]]:
    params = init_parameters(network.sizes, network.activations, "auto", 0, network.dtype)
    slots = new_slots(params, optimizer)
    X, Y = X.astype(network.dtype), label_matrix(y, network.sizes[-1], network.dtype)
    costs = [network.train_step(params, slots, X, Y, optimizer, t)[0] for t in range(1, steps + 1)]
    return params, costs


def test_one_layer_is_logistic_regression() -> None:
    """The same weights as a loop over examples and features that knows nothing of layers."""
    X, y = blobs(2, m=12, n=3)
    network, rate, l2, steps = Network([3, 1], ["sigmoid"], 0.2), 0.3, 0.2, 25
    params = init_parameters(network.sizes, network.activations, "zeros", 0, "float64")
    for t in range(1, steps + 1):
        cost, _ = network.train_step(params, [([], [])], X, label_matrix(y, 1, "float64"), Optimizer("sgd", rate), t)

    w, bias, expected_cost = [0.0] * 3, 0.0, 0.0
    for _ in range(steps):
        dw, db, expected_cost = [l2 / 12 * value for value in w], 0.0, l2 / 24 * sum(value**2 for value in w)
        for i in range(12):
            a = 1 / (1 + math.exp(-bias - sum(w[j] * X[j, i] for j in range(3))))
            expected_cost -= math.log(a if y[i] else 1 - a) / 12
            for j in range(3):
                dw[j] += (a - y[i]) * X[j, i] / 12
            db += (a - y[i]) / 12
        w, bias = [value - rate * slope for value, slope in zip(w, dw, strict=True)], bias - rate * db

    np.testing.assert_allclose(params[0][0], [w], rtol=1e-10)
    assert params[0][1][0, 0] == pytest.approx(bias, rel=1e-10)
    assert cost == pytest.approx(expected_cost, rel=1e-10)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_a_training_step_applies_the_gradients_at_the_weights_it_began_with(name: str) -> None:
    X, y = blobs(3)
    Y = label_matrix(y, 3, "float64")
    network, optimizer = Network(SIZES, KINDS, 0.1), Optimizer(name, 0.1)
    params = init_parameters(SIZES, KINDS, "auto", 0, "float64")
    expected = copy.deepcopy(params)
    slots, expected_slots = new_slots(params, optimizer), new_slots(params, optimizer)
    for t in range(1, 4):
        cost, seen = network.train_step(params, slots, X, Y, optimizer, t)
        assert cost == network.cost(expected, X, Y)
        assert seen.correct == round(60 * network.accuracy(expected, X, y))
        gradients = network.gradients(expected, X, Y)
        for param, gradient, slot in zip(expected, gradients, expected_slots, strict=True):
            for i in range(2):
                optimizer.update(param[i], gradient[i], slot[i], t)
    for (W, b), (W_expected, b_expected) in zip(params, expected, strict=True):
        np.testing.assert_array_equal(W, W_expected)
        np.testing.assert_array_equal(b, b_expected)


@pytest.mark.parametrize("hidden", sorted(ACTIVATIONS))
def test_rows_computed_alone_equal_the_whole_layer(hidden: str) -> None:
    """What a single neuron computes from its own row is what the whole network computes."""
    X, y = blobs(3)
    network = Network(SIZES, [hidden, hidden, "softmax"], 0.4)
    params = init_parameters(SIZES, network.activations, "auto", 2, "float64")
    A, logits, kept = network.forward(params, X)
    gradients = network.gradients(params, X, label_matrix(y, 3, "float64"))
    dZ_next = output_delta(A[-1], label_matrix(y, 3, "float64"))
    for layer in (2, 1, 0):
        W, b = params[layer]
        dZ = np.empty_like(A[layer + 1])
        for i in range(W.shape[0]):
            row = slice(i, i + 1)
            Z = linear_forward(W[row], b[row], A[layer])
            if layer == 2:
                np.testing.assert_allclose(Z, logits[row], rtol=1e-12, atol=1e-12)
                dZ[row] = dZ_next[row]
            else:
                np.testing.assert_allclose(ACTIVATIONS[hidden].apply(Z), A[layer + 1][row], rtol=1e-12, atol=1e-12)
                dZ[row] = propagate_delta(params[layer + 1][0][:, row], dZ_next, kept[layer][row], hidden)
            dW, db = linear_backward(dZ[row], A[layer], W[row], 0.4)
            np.testing.assert_allclose(dW, gradients[layer][0][row], rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(db, gradients[layer][1][row], rtol=1e-12, atol=1e-12)
        dZ_next = dZ


@pytest.mark.parametrize("optimizer", [Optimizer("sgd", 0.2), Optimizer("momentum", 0.05), Optimizer("adam", 0.02)])
@pytest.mark.parametrize(
    ("classes", "units", "output"), [(2, 1, "sigmoid"), (2, 2, "softmax"), (4, 4, "softmax"), (4, 4, "sigmoid")]
)
def test_every_kind_of_output_learns_separable_classes(
    classes: int, units: int, output: str, optimizer: Optimizer
) -> None:
    X, y = blobs(classes)
    network = Network([7, 8, units], ["leaky_relu", output])
    params, costs = train(network, X, y, optimizer, 150)
    assert costs[-1] < 0.25 * costs[0]
    assert network.accuracy(params, X, y) >= 0.95


def test_float32_stays_float32_and_ends_where_float64_does() -> None:
    X, y = blobs(3)
    runs = {}
    for dtype in ("float32", "float64"):
        for optimizer in (Optimizer(name, 0.01) for name in OPTIMIZERS):
            network = Network(SIZES, KINDS, 0.1, dtype)
            params, costs = train(network, X, y, optimizer, 40)
            assert {array.dtype.name for layer in params for array in layer} == {dtype}
            assert {A.dtype.name for A in network.forward(params, X.astype(dtype)).A} == {dtype}
            gradients = network.gradients(params, X.astype(dtype), label_matrix(y, 3, dtype))
            assert {array.dtype.name for layer in gradients for array in layer} == {dtype}
            runs[dtype, optimizer.name] = costs
    for name in OPTIMIZERS:
        np.testing.assert_allclose(runs["float32", name], runs["float64", name], rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("units", "output"), [(1, "sigmoid"), (3, "softmax"), (3, "sigmoid")])
def test_the_cost_stays_finite_when_training_goes_wild(units: int, output: str, dtype: str) -> None:
    """A learning rate far too large: a cost taken from the probabilities would be log(0) within a few steps."""
    X, y = blobs(max(units, 2))
    _, costs = train(Network([7, 6, units], ["relu", output], 0.0, dtype), 10 * X, y, Optimizer("sgd", 0.5), 30)
    assert all(map(math.isfinite, costs))
    assert max(costs) > 100


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", sorted(ACTIVATIONS))
@pytest.mark.parametrize(("units", "output"), [(1, "sigmoid"), (3, "softmax")])
def test_the_cost_is_finite_for_weights_as_large_as_their_type_allows(
    units: int, output: str, hidden: str, dtype: str
) -> None:
    X, y = blobs(3 if units == 3 else 2)
    X = X.astype(dtype)
    network = Network([7, 5, 4, units], [hidden, hidden, output], 0.5, dtype)
    params = init_parameters(network.sizes, network.activations, "auto", 0, dtype)
    for exponent in (0.25, 0.5, 0.75, 0.9, 0.99):
        huge = [(W * np.finfo(dtype).max ** exponent, b + np.finfo(dtype).max / 2) for W, b in params]
        huge = [(W.astype(dtype), b.astype(dtype)) for W, b in huge]
        assert all(np.isfinite(W).all() for W, _ in huge)
        cost = network.cost(huge, X, label_matrix(y, units, dtype))
        assert math.isfinite(cost)
        assert cost > 0
        assert np.isfinite(network.predict_proba(huge, X)).all()


def test_sums_that_overflow_are_cut_off_at_the_largest_value_and_keep_their_sign() -> None:
    largest = np.finfo("float64").max
    W = np.array([[1e200, 1e200], [-1e200, 0.0], [1e200, -1e200], [1e100, 0.0]])
    A_prev = np.array([[1e200, 1.0], [1e200, 2.0]])
    Z = linear_forward(W, np.zeros((4, 1)), A_prev)
    np.testing.assert_allclose(Z, [[largest, 3e200], [-largest, -1e200], [0.0, -1e200], [1e300, 1e100]], rtol=1e-12)


def test_weights_that_are_not_finite_show_in_the_cost() -> None:
    X, y = blobs(3)
    params = init_parameters(SIZES, KINDS, "auto", 0, "float64")
    params[1][0][2, 3] = np.nan
    assert math.isnan(Network(SIZES, KINDS).cost(params, X, label_matrix(y, 3, "float64")))


def test_predictions_in_chunks_are_those_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs(3)
    network = Network(SIZES, KINDS)
    params = init_parameters(SIZES, KINDS, "auto", 0, "float64")
    whole = network.predict_proba(params, X)
    monkeypatch.setattr(model, "CHUNK_BYTES", 7 * 8 * 7)  # 7 examples of 7 features: 60 are 8 chunks and a rest
    np.testing.assert_allclose(network.predict_proba(params, X), whole, rtol=1e-13)
    assert whole.shape == (3, 60)
    assert network.accuracy(params, X, y) == accuracy(whole, y)
    np.testing.assert_array_equal(network.predict_classes(params, X), whole.argmax(axis=0))


def test_one_output_unit_predicts_the_second_class_above_one_half() -> None:
    A = np.array([[0.2, 0.5, 0.51, 0.9]])
    assert predicted_classes(A).tolist() == [0, 0, 1, 1]
    assert correct_count(A, np.array([[0.0, 1.0, 1.0, 1.0]])) == 3


def test_the_penalty_counts_weights_and_not_biases() -> None:
    X, y = blobs(3)
    Y = label_matrix(y, 3, "float64")
    params = init_parameters(SIZES, KINDS, "auto", 0, "float64")
    params[0][1][:] = 100.0
    squares = sum(float((W**2).sum()) for W, _ in params)
    difference = Network(SIZES, KINDS, 0.5).cost(params, X, Y) - Network(SIZES, KINDS).cost(params, X, Y)
    assert difference == pytest.approx(0.5 / (2 * 60) * squares)


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
@pytest.mark.parametrize("classes", [2, 4])
def test_counts_by_class_are_the_sums_of_scikit_learns_confusion_matrix(
    output: str, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn.network.model.CHUNK_BYTES", 1000)  # several chunks
    units = 1 if (output, classes) == ("sigmoid", 2) else classes
    rng = np.random.default_rng(classes)
    network = Network([6, 5, units], ["tanh", output])
    params = init_parameters([6, 5, units], ["tanh", output], "xavier", 1, "float64")
    X, y = rng.normal(size=(6, 70)), rng.integers(0, classes, 70)
    matrix = confusion_matrix(y, network.predict_classes(params, X), labels=range(classes))
    examples, predicted, right = network.class_counts(params, X, y)
    np.testing.assert_array_equal(examples, matrix.sum(axis=1))
    np.testing.assert_array_equal(predicted, matrix.sum(axis=0))
    np.testing.assert_array_equal(right, matrix.diagonal())
    assert right.sum() == network.tally(params, X, y).correct
