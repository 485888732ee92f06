"""Costs from logits, and the output activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error
from sklearn.utils.class_weight import compute_class_weight

from lnn.data.dataset import label_matrix
from lnn.network import (
    ACTIVATIONS,
    LINEAR,
    Loss,
    balanced_weights,
    batch_tally,
    cost_from_logits,
    output_activation,
    output_delta,
    softmax,
)

OUTPUTS = [("sigmoid", 1), ("sigmoid", 3), ("softmax", 3)]


def textbook_cost(name: str, Z: list[list[float]], Y: list[list[float]]) -> float:
    """Straight from the definition, in scalars; only good for moderate logits."""
    total = 0.0
    for z, y in zip(zip(*Z, strict=True), zip(*Y, strict=True), strict=True):
        if name == "softmax":
            total -= math.log(sum(math.exp(value) * label for value, label in zip(z, y, strict=True)))
            total += math.log(sum(map(math.exp, z)))
        else:
            for value, label in zip(z, y, strict=True):
                a = 1 / (1 + math.exp(-value))
                total -= label * math.log(a) + (1 - label) * math.log(1 - a)
    return total / len(Z[0])


@pytest.mark.parametrize(("name", "units"), OUTPUTS)
def test_the_cost_is_the_textbook_s_for_moderate_logits(name: str, units: int) -> None:
    random = np.random.default_rng(0)
    Z = random.uniform(-8, 8, (units, 20))
    Y = label_matrix(random.integers(0, max(units, 2), 20), units, "float64")
    assert cost_from_logits(name, Z, Y) == pytest.approx(textbook_cost(name, Z.tolist(), Y.tolist()), rel=1e-12)


@pytest.mark.parametrize(("name", "units"), OUTPUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(deadline=None)
@given(data=st.data())
def test_the_cost_and_the_probabilities_are_finite_for_every_finite_logit(
    data: st.DataObject, dtype: str, name: str, units: int
) -> None:
    largest = float(np.finfo(dtype).max)
    values = st.floats(-largest, largest, width=32 if dtype == "float32" else 64)
    Z = data.draw(arrays(dtype, (units, 4), elements=values))
    Y = label_matrix(np.array([0, 1, 1, max(units, 2) - 1]), units, dtype)

    A = output_activation(name, Z)

    assert math.isfinite(cost_from_logits(name, Z, Y))
    assert cost_from_logits(name, Z, Y) >= 0
    assert np.isfinite(A).all()
    assert np.isfinite(output_delta(A, Y)).all()
    assert ((A >= 0) & (A <= 1)).all()


@pytest.mark.parametrize("name", ["sigmoid", "softmax"])
def test_a_confident_mistake_costs_as_much_as_its_logit(name: str) -> None:
    Z = np.array([[1000.0], [0.0]])
    Y = np.array([[0.0], [1.0]])
    assert cost_from_logits(name, Z, Y) == pytest.approx(1000 + (math.log(2) if name == "sigmoid" else 0))


def test_an_infinite_logit_costs_much_but_not_infinitely_much() -> None:
    assert math.isfinite(cost_from_logits("sigmoid", np.array([[np.inf, -np.inf]]), np.array([[1.0, 1.0]])))


def test_softmax_columns_add_up_to_one_and_do_not_change_with_a_shift() -> None:
    Z = np.random.default_rng(1).standard_normal((5, 7))
    np.testing.assert_allclose(softmax(Z).sum(axis=0), 1, rtol=1e-14)
    np.testing.assert_allclose(softmax(Z + 500), softmax(Z), rtol=1e-12)


def test_softmax_over_two_units_is_the_sigmoid_of_their_difference() -> None:
    Z = np.random.default_rng(2).standard_normal((2, 9)) * 4
    difference = Z[1:] - Z[:1]
    np.testing.assert_allclose(softmax(Z)[1:], ACTIVATIONS["sigmoid"].apply(difference), rtol=1e-12)
    y = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1])
    assert cost_from_logits("softmax", Z, label_matrix(y, 2, "float64")) == pytest.approx(
        cost_from_logits("sigmoid", difference, label_matrix(y, 1, "float64")), rel=1e-12
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_keep_the_type_and_stay_finite(name: str, dtype: str) -> None:
    Z = np.array([[-1e30, -100, -1, 0, 1, 100, 1e30]], dtype)
    A = ACTIVATIONS[name].apply(Z)
    g = ACTIVATIONS[name].derivative(ACTIVATIONS[name].kept(Z, A))
    assert A.dtype == g.dtype == np.dtype(dtype)
    assert np.isfinite(A).all()
    assert np.isfinite(g).all()


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("elu", lambda z: z if z > 0 else math.exp(z) - 1),
        ("gelu", lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2),
        ("silu", lambda z: z / (1 + math.exp(-z))),
    ],
)
def test_smooth_activations_follow_their_definitions(name: str, formula: Callable[[float], float]) -> None:
    """gelu is computed in its tanh form, which its authors put within 0.0005 of the definition."""
    Z = np.linspace(-6, 6, 49)
    A = ACTIVATIONS[name].apply(Z)
    np.testing.assert_allclose(A, list(map(formula, Z)), rtol=0, atol=5e-4 if name == "gelu" else 1e-15)


def test_the_sigmoid_keeps_its_precision_far_below_zero() -> None:
    assert ACTIVATIONS["sigmoid"].apply(np.array([-50.0]))[0] == pytest.approx(math.exp(-50), rel=1e-12)


@pytest.mark.parametrize(("name", "units"), [("sigmoid", 1), ("softmax", 2), ("softmax", 3)])
def test_weights_of_classes_weight_the_losses_as_sample_weights_do_in_scikit_learn(name: str, units: int) -> None:
    random = np.random.default_rng(1)
    classes = max(units, 2)
    Z, y = random.uniform(-4, 4, (units, 30)), random.integers(0, classes, 30)
    weights = [0.5, 8.0, 2.0][:classes]
    A = output_activation(name, Z)
    # log_loss divides by the sum of the weights, training by the number of examples.
    of_examples = np.array(weights)[y]
    expected = log_loss(y, A[0] if units == 1 else A.T, sample_weight=of_examples, labels=range(classes))
    found = cost_from_logits(name, Z, label_matrix(y, units, "float64"), Loss(class_weight=weights))
    assert found == pytest.approx(expected * of_examples.sum() / 30, rel=1e-12)


@pytest.mark.parametrize("classes", [(), (0.5, 8.0, 2.0)], ids=["of examples", "of examples and classes"])
@pytest.mark.parametrize(("name", "units"), [("sigmoid", 1), ("softmax", 2), ("softmax", 3)])
def test_weights_of_examples_weight_the_losses_as_in_scikit_learn(name: str, units: int, classes: Any) -> None:
    random = np.random.default_rng(3)
    Z, y, weights = random.uniform(-4, 4, (units, 30)), random.integers(0, max(units, 2), 30), random.exponential(1, 30)
    A, loss = output_activation(name, Z), Loss(class_weight=classes[: max(units, 2)])
    of_examples = weights * np.array(classes)[y] if classes else weights
    labels = range(max(units, 2))
    expected = log_loss(y, A[0] if units == 1 else A.T, sample_weight=of_examples, labels=labels)
    Y = label_matrix(y, units, "float64", weights)
    assert Y.shape == (units + 1, 30)
    assert cost_from_logits(name, Z, Y, loss) == pytest.approx(expected * of_examples.sum() / 30, rel=1e-12)
    plain = output_delta(A, Y[:-1])
    np.testing.assert_allclose(output_delta(A, Y, loss), plain * of_examples, rtol=1e-14)
    assert batch_tally(name, A, Y) == batch_tally(name, A, Y[:-1]), "all count alike in the accuracy"


@pytest.mark.parametrize(("loss", "metric"), [("mse", mean_squared_error), ("mae", mean_absolute_error)])
@pytest.mark.parametrize("targets", [1, 2])
def test_weights_of_examples_weight_the_losses_of_regression(loss: str, metric: Any, targets: int) -> None:
    random = np.random.default_rng(4)
    Z, y, weights = random.normal(size=(targets, 20)), random.normal(size=(20, targets)), random.exponential(1, 20)
    Y = label_matrix(y, targets, "float64", weights)
    expected = metric(y, Z.T, sample_weight=weights) * weights.sum() / 20
    assert cost_from_logits(LINEAR, Z, Y, Loss(loss)) == pytest.approx(expected, rel=1e-12)


def test_one_against_all_weights_each_example_in_every_unit() -> None:
    random = np.random.default_rng(2)
    Z, y = random.uniform(-4, 4, (3, 20)), random.integers(0, 3, 20)
    Y, weights = label_matrix(y, 3, "float64"), [0.5, 8.0, 2.0]
    expected = sum(
        weight * (y == index).sum() * cost_from_logits("sigmoid", Z[:, y == index], Y[:, y == index])
        for index, weight in enumerate(weights)
    )
    assert cost_from_logits("sigmoid", Z, Y, Loss(class_weight=weights)) == pytest.approx(expected / 20, rel=1e-12)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    y = np.repeat([0, 1, 2], [50, 3, 7])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y)
    assert balanced_weights([50, 3, 7]) == pytest.approx(expected, rel=1e-15)
    assert balanced_weights([50, 0, 10]) == pytest.approx([0.6, 1, 3], rel=1e-15), "a class without examples"
