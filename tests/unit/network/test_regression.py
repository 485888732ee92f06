"""Losses and errors of regression: scikit-learn, and the definitions in scalars, are the oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from lnn.data.dataset import label_matrix
from lnn.network import (
    LINEAR,
    Loss,
    Network,
    Optimizer,
    Tally,
    cost_from_logits,
    error_sums,
    errors,
    init_parameters,
    new_slots,
    variation_of,
)
from lnn.network.example_space import ExampleSpace
from lnn.network.types import Array


def example_of(targets: int) -> tuple[Array, Array]:
    """Predictions and true values, (m, targets)."""
    random = np.random.default_rng(3)
    y = 5 + 2 * random.standard_normal((40, targets))
    return y + random.standard_normal((40, targets)), y


@pytest.mark.parametrize("targets", [1, 2])
def test_mse_and_mae_are_those_of_scikit_learn(targets: int) -> None:
    Z, y = example_of(targets)
    assert cost_from_logits(LINEAR, Z.T, y.T, Loss("mse")) == pytest.approx(mean_squared_error(y, Z), rel=1e-12)
    assert cost_from_logits(LINEAR, Z.T, y.T, Loss("mae")) == pytest.approx(mean_absolute_error(y, Z), rel=1e-12)


def test_huber_is_quadratic_up_to_an_error_of_one_and_linear_beyond() -> None:
    Z, Y = np.array([[0.5, -1.0, 1.0, 3.0, -4.0]]), np.zeros((1, 5))
    expected = [0.125, 0.5, 0.5, 2.5, 3.5]
    assert cost_from_logits(LINEAR, Z, Y, Loss("huber")) == pytest.approx(sum(expected) / 5, rel=1e-15)


def test_a_cost_that_overflows_is_infinite_so_that_the_run_counts_as_diverged() -> None:
    Z = np.array([[np.finfo("float64").max]])
    assert math.isinf(cost_from_logits(LINEAR, Z, np.zeros((1, 1)), Loss("mse")))


@pytest.mark.parametrize("targets", [1, 2])
def test_errors_of_parts_add_up_to_those_of_scikit_learn(targets: int) -> None:
    predicted, y = example_of(targets)
    parts = [error_sums(predicted[some].T, y[some].T) for some in (slice(7), slice(7, 40))]

    found = errors(Tally.total([*parts, Tally(0.0, 0)]), len(y), variation_of(y))

    assert found.rmse == pytest.approx(math.sqrt(mean_squared_error(y, predicted)), rel=1e-12)
    assert found.mae == pytest.approx(mean_absolute_error(y, predicted), rel=1e-12)
    assert found.r2 == pytest.approx(r2_score(y, predicted), rel=1e-12)


def test_predicting_the_mean_has_an_r2_of_zero() -> None:
    _, y = example_of(1)
    assert errors(error_sums(np.full_like(y.T, y.mean()), y.T), len(y), variation_of(y)).r2 == pytest.approx(
        0, abs=1e-12
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3])
def test_r2_of_a_constant_target_is_undefined(value: float) -> None:
    _, y = example_of(2)
    y[:, 1] = value
    assert variation_of(y)[1] == 0
    assert errors(error_sums(y.T + 1, y.T), len(y), variation_of(y)).r2 is None


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
@pytest.mark.parametrize(("optimizer", "batch_size"), [("sgd", None), ("momentum", 3)])
def test_example_space_trains_regression_as_the_plain_formulation_does(
    loss: str, optimizer: str, batch_size: int | None
) -> None:
    random = np.random.default_rng(4)
    X, X_test = random.standard_normal((20, 8)), random.standard_normal((20, 5))
    y, y_test = 3 * random.standard_normal((8, 2)), 3 * random.standard_normal((5, 2))
    network = Network([20, 4, 2], ["tanh", LINEAR], 0.1, loss=Loss(loss))
    rule = Optimizer(optimizer, 0.05)
    plain, space = (init_parameters(network.sizes, network.activations, "auto", 2, "float64") for _ in range(2))
    slots = new_slots(plain, rule)
    trained = ExampleSpace(
        space, new_slots(space, rule), X, X_test, rule, network.activations, network.l2, loss=network.loss
    )
    Y = label_matrix(y, 2, "float64")
    for t in range(1, 31):
        batch = None if batch_size is None else random.permutation(8)[:batch_size]
        X_now, Y_now = (X, Y) if batch is None else (X[:, batch], Y[:, batch])
        cost, seen = network.train_step(plain, slots, X_now, Y_now, rule, t)
        found_cost, found = trained.train_step(batch, Y_now, t)
        assert found_cost == pytest.approx(cost, rel=1e-9)
        assert found.squared == pytest.approx(seen.squared, rel=1e-9)
        assert found.absolute == pytest.approx(seen.absolute, rel=1e-9)

    wanted = network.tally(plain, X_test, y_test)
    assert trained.test_tally(y_test).squared == pytest.approx(wanted.squared, rel=1e-9)
