"""A step on a batch in parts is the step on the whole batch, whoever computes the parts."""

from __future__ import annotations

import copy
import threading
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn.data.dataset import label_matrix
from lnn.network import Clipping, Dropout, Loss, Network, Optimizer, Tally, init_parameters, new_slots
from lnn.network.lanes import Lanes
from lnn.network.parts import (
    GRADIENT_BYTES,
    LEAST_EXAMPLES,
    LEAST_MULTIPLICATIONS,
    Part,
    cut,
    differentiate,
    update_by_parts,
)
from lnn.network.types import Array, Parameters

M = 37
RNG = np.random.default_rng(4)
X = RNG.normal(size=(6, M))
DROPOUT = Dropout((0.5, 0.25), (5, 4), seed=2)
PARTS = [slice(*ends) for ends in pairwise((0, 9, 18, 27, M))]


def network_of(kind: str, dtype: str, l2: float) -> tuple[Network, Array]:
    """A network and the Y (units of the output, M) that it trains with."""
    if kind == "regression":
        Y = RNG.normal(size=(2, M)).astype(dtype)
        return Network([6, 5, 4, 2], ["relu", "gelu", "linear"], l2, dtype, Loss("huber")), Y
    Y = label_matrix(np.arange(M) % 3, 3, dtype, RNG.exponential(size=M) if kind == "weighted" else None)
    loss = Loss(class_weight=(1.0, 2.0, 0.5)) if kind == "weighted" else Loss()
    return Network([6, 5, 4, 3], ["relu", "tanh", "softmax"], l2, dtype, loss), Y


def trained(
    network: Network, Y: Array, parts: list[slice] | None, *, threads: int = 1, dropout: bool = False, limit: float = 0
) -> tuple[list[tuple[float, Tally]], Parameters]:
    """What three steps tell, and the parameters after them; ``parts`` None is the whole batch at once."""
    rule = Optimizer("adam", 0.01)
    params = init_parameters(network.sizes, network.activations, "auto", 0, network.dtype)
    slots, features = new_slots(params, rule), X.astype(network.dtype)
    told = []

    def part_of(places: slice, t: int) -> Part:
        masks = DROPOUT.masks(1, t, places, network.dtype) if dropout else ()
        return Part(features[:, places], Y[:, places], masks)

    lanes = Lanes(threads)
    for t in (1, 2, 3):
        clipping = Clipping(limit) if limit else None
        if parts is None:
            whole = part_of(slice(0, M), t)
            told.append(network.train_step(params, slots, whole.X, whole.Y, rule, t, clipping, whole.masks))
        else:
            found = list(lanes(lambda some: differentiate(network, params, part_of(some, t), M), parts))  # noqa: B023
            told.append(update_by_parts(network, params, slots, found, M, rule, t, clipping))
    return told, params


@pytest.mark.parametrize("kind", ["plain", "weighted", "regression"])
@pytest.mark.parametrize("given_", [{}, {"dropout": True}, {"limit": 0.05}], ids=["plainly", "dropout", "clipping"])
def test_parts_add_up_to_the_batch(kind: str, given_: dict[str, Any]) -> None:
    network, Y = network_of(kind, "float64", 0.1)
    whole, params = trained(network, Y, None, **given_)
    told, params_of_parts = trained(network, Y, PARTS, **given_)
    for (cost, seen), (cost_of_parts, seen_of_parts) in zip(whole, told, strict=True):
        assert cost_of_parts == pytest.approx(cost, rel=1e-13)
        assert seen_of_parts.correct == seen.correct
        assert seen_of_parts.squared == pytest.approx(seen.squared, rel=1e-13)
    for (W, b), (W_of_parts, b_of_parts) in zip(params, params_of_parts, strict=True):
        np.testing.assert_allclose(W_of_parts, W, rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(b_of_parts, b, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_number_of_threads_changes_no_bit(dtype: str) -> None:
    network, Y = network_of("plain", dtype, 0.1)
    once, params = trained(network, Y, PARTS)
    for threads in (2, 4, 8):
        told, others = trained(network, Y, PARTS, threads=threads)
        assert told == once
        assert [(W.tobytes(), b.tobytes()) for W, b in others] == [(W.tobytes(), b.tobytes()) for W, b in params]


@given(examples=st.integers(1, 10**6), weights=st.integers(1, 10**8), item=st.sampled_from([4, 8]))
def test_a_cut_has_every_example_once_and_its_parts_are_worth_it(examples: int, weights: int, item: int) -> None:
    parts = cut(examples, weights, item)
    assert all(one.stop == following.start for one, following in pairwise(parts))
    assert (parts[0].start, parts[-1].stop) == (0, examples)
    assert len(parts) in {1, 2, 4}
    if len(parts) > 1:
        shortest = min(part.stop - part.start for part in parts)
        assert shortest >= LEAST_EXAMPLES
        assert (shortest + 1) * weights >= LEAST_MULTIPLICATIONS
        assert len(parts) * weights * item <= GRADIENT_BYTES


def test_results_of_lanes_come_in_order_and_their_work_runs_at_once() -> None:
    meeting = threading.Barrier(2, timeout=30)

    def work(number: int) -> int:
        meeting.wait()
        return number * number

    assert list(Lanes(2)(work, [1, 2, 3, 4])) == [1, 4, 9, 16]


def test_an_error_in_a_lane_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(Lanes(2)(lambda number: 1 // number, [1, 0]))


def test_what_the_caller_decided_about_overflows_holds_in_every_lane() -> None:
    large = np.full(3, 1e200)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(over="ignore"):
            assert all(np.isinf(product).all() for product in Lanes(2)(lambda one: large * large * one, [1, 2]))
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            list(Lanes(2)(lambda one: large * large * one, [1, 2]))


def test_the_parameters_stay_where_they_are() -> None:
    """Engines, checkpoints and views hold the arrays themselves."""
    network, Y = network_of("plain", "float64", 0.0)
    params = init_parameters(network.sizes, network.activations, "auto", 0, "float64")
    kept, before = [array for layer in params for array in layer], copy.deepcopy(params)
    rule = Optimizer("sgd", 0.1)
    found = [differentiate(network, params, Part(X[:, some], Y[:, some]), M) for some in PARTS]
    update_by_parts(network, params, new_slots(params, rule), found, M, rule, 1)
    assert all(array is now for array, now in zip(kept, (array for layer in params for array in layer), strict=True))
    assert any((W_before != W).any() for (W, _), (W_before, _) in zip(params, before, strict=True))
