"""Example space against the plain formulation: the same numbers, whatever the network and the batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn.network import (
    ACTIVATIONS,
    OPTIMIZERS,
    Clipping,
    Network,
    Optimizer,
    batch_slices,
    init_parameters,
    new_slots,
    take_examples,
)
from lnn.network.example_space import ExampleSpace, is_exact, multiplications, plain_multiplications

HIDDEN = sorted(ACTIVATIONS)


@st.composite
def trainings(draw: st.DrawFn) -> dict[str, object]:
    examples = draw(st.integers(2, 14))
    hidden = draw(st.lists(st.tuples(st.integers(1, 6), st.sampled_from(HIDDEN)), max_size=2))
    output = draw(st.sampled_from([(1, "sigmoid"), (3, "softmax"), (3, "sigmoid")]))
    return {
        "examples": examples,
        "features": examples + draw(st.integers(1, 20)),
        "layers": [*hidden, output],
        "optimizer": draw(st.sampled_from(["sgd", "momentum", "nesterov"])),
        "falling": draw(st.booleans()),
        "momentum": draw(st.sampled_from([0.0, 0.5, 0.9])),
        "l2": draw(st.sampled_from([0.0, 0.5])),
        "limit": draw(st.sampled_from([None, 0.05, 1e9])),
        "batch_size": draw(st.none() | st.integers(1, examples)),
        "seed": draw(st.integers(0, 1000)),
    }


def train_both(
    examples: int,
    features: int,
    layers: list[tuple[int, str]],
    optimizer: str,
    falling: bool,
    momentum: float,
    l2: float,
    limit: float | None,
    batch_size: int | None,
    seed: int,
    split: int | None = None,
) -> None:
    """Train four epochs in both formulations and compare all that can be seen of them."""
    rng = np.random.default_rng(seed)
    X, X_test = rng.standard_normal((examples, features)).T, rng.standard_normal((5, features)).T
    units, activations = [size for size, _ in layers], [activation for _, activation in layers]
    classes = max(2, units[-1])
    y, y_test = rng.integers(0, classes, examples), rng.integers(0, classes, 5)
    Y = y[np.newaxis].astype(float) if units[-1] == 1 else np.eye(classes)[:, y]
    update_rule = Optimizer(optimizer, 0.1, momentum)
    network = Network([features, *units], activations, l2)
    params = init_parameters(network.sizes, activations, "auto", seed, "float64")
    slots = new_slots(params, update_rule)
    other = [(W.copy(), b.copy()) for W, b in params]
    other_slots = new_slots(other, update_rule)
    clippings = [None if limit is None else Clipping(limit) for _ in range(2)]
    of_space: dict[str, Any] = {"clipping": clippings[1]}
    space = ExampleSpace(other, other_slots, X, X_test, update_rule, activations, l2, **of_space)
    t = 0
    for epoch in range(1, 5):
        for batch in batch_slices(examples, batch_size, seed, epoch):
            t += 1
            update_rule = Optimizer(optimizer, 0.1 / t if falling else 0.1, momentum)
            labels = take_examples(Y, batch)
            cost, correct = network.train_step(
                params, slots, take_examples(X, batch), labels, update_rule, t, clippings[0]
            )
            if t == split:
                # As after a crash: everything from what a checkpoint holds.
                state = {name: value.copy() for name, value in space.state().items()}
                space = ExampleSpace(other, other_slots, X, X_test, update_rule, activations, l2, state, **of_space)
            found = space.train_step(batch, labels, t, update_rule)
            assert found[0] == pytest.approx(cost, rel=1e-10, abs=1e-12)
            assert found[1] == correct
            norms = [clipping.norm for clipping in clippings if clipping is not None]
            assert norms == pytest.approx(norms[::-1], rel=1e-8, abs=1e-12)
    W1, slots_W1 = space.first_layer()
    np.testing.assert_allclose(W1, params[0][0], rtol=1e-9, atol=1e-12)
    for (_, b), (_, expected) in zip(other, params, strict=True):
        np.testing.assert_allclose(b, expected, rtol=1e-9, atol=1e-12)
    for slot, expected in zip(slots_W1, slots[0][0], strict=True):
        np.testing.assert_allclose(slot, expected, rtol=1e-9, atol=1e-12)
    assert space.test_tally(y_test).correct / len(y_test) == network.accuracy(params, X_test, y_test)


@settings(max_examples=60, deadline=None)
@given(trainings())
def test_it_trains_as_the_plain_formulation_does(training: dict[str, object]) -> None:
    train_both(**training)  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(trainings())
def test_it_goes_on_from_its_state(training: dict[str, object]) -> None:
    train_both(**training, split=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["momentum", "nesterov"])
def test_going_on_from_its_state_gives_the_same_bits(name: str) -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((9, 20)).T, rng.integers(0, 2, (1, 9)).astype(float)
    results = []
    for interrupted in (False, True):
        params = init_parameters([20, 4, 1], ["relu", "sigmoid"], "auto", 1, "float64")
        optimizer = Optimizer(name, 0.1)
        slots = new_slots(params, optimizer)
        space = ExampleSpace(params, slots, X, X, optimizer, ["relu", "sigmoid"], 0.3)
        for t in range(1, 11):
            if interrupted and t == 6:
                space = ExampleSpace(params, slots, X, X, optimizer, ["relu", "sigmoid"], 0.3, space.state())
            space.train_step(None, Y, t)
        results.append(space.first_layer()[0].tobytes())
    assert results[0] == results[1]


def test_it_is_exact_for_updates_that_are_linear_in_the_gradient_only() -> None:
    assert [name for name in OPTIMIZERS if is_exact(name)] == ["sgd", "momentum", "nesterov"]


def test_it_takes_fewer_multiplications_for_few_examples_of_many_features() -> None:
    assert multiplications([12288, 20], 209, 50, 2500) < plain_multiplications([12288, 20], 209, 50, 2500) / 30
    assert multiplications([64, 20], 1438, 359, 100) > plain_multiplications([64, 20], 1438, 359, 100)
