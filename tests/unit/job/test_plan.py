"""The order of steps, the batches and the fuse of a run."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn.messages import Step
from lnn.strategies.neuron.layout import Layout
from support.plans import plan

SHAPES = [
    {"sizes": [5, 1], "activations": ["sigmoid"]},
    {"sizes": [5, 4, 3, 1]},
    {"sizes": [5, 1], "activations": ["sigmoid"], "batch_size": 4},
    {"sizes": [5, 2, 3], "activations": ["relu", "softmax"], "batch_size": 5, "epochs": 4},
    {"batch_size": 13},
    {"batch_size": 14},
    {"batch_size": 1, "epochs": 2},
    {"batch_size": 5, "clip_norm": 1.0},
    {"sizes": [5, 1], "activations": ["sigmoid"], "clip_norm": 1.0},
]


def walk(of: Layout) -> list[Step]:
    steps: list[Step] = []
    following: Step | None = of.first_step(7, 1)
    while following is not None:
        steps.append(following)
        assert len(steps) < 10_000, "the walk never ends"
        following = of.following(following)
    return steps


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_run_passes_every_layer_once_in_each_direction_for_every_batch_of_every_epoch(shape: dict[str, Any]) -> None:
    run = plan(**shape)
    layers = range(1, run.layers + 1)
    expected = [
        Step(7, epoch, batch, direction, layer)
        for epoch in range(1, run.epochs + 1)
        for batch in range(len(run.batches(epoch)))
        for direction, order in (("forward", layers), ("backward", reversed(layers)), ("update", reversed(layers)))
        for layer in order
        if direction != "update" or run.clip_norm is not None
    ]
    assert walk(run) == expected


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_each_epoch_ends_once_at_its_last_step(shape: dict[str, Any]) -> None:
    run = plan(**shape)
    steps = walk(run)
    ends = [step for step in steps if run.ends_epoch(step)]
    assert [step.epoch for step in ends] == list(range(1, run.epochs + 1))
    for step, following in pairwise(steps):
        assert run.ends_epoch(step) == (following.epoch > step.epoch)
    assert run.ends_epoch(steps[-1])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_updates_are_counted_over_batches_and_epochs(shape: dict[str, Any]) -> None:
    run = plan(**shape)
    last = "backward" if run.clip_norm is None else "update"
    ends_of_batches = [step for step in walk(run) if step.direction == last and step.layer == 1]
    assert [run.updates_before(step) for step in ends_of_batches] == list(range(len(ends_of_batches)))


@given(examples=st.integers(1, 60), batch_size=st.none() | st.integers(1, 70), epoch=st.integers(1, 5))
def test_the_sizes_of_batches_are_those_of_the_batches_themselves(
    examples: int, batch_size: int | None, epoch: int
) -> None:
    run = plan(examples=examples, batch_size=batch_size)
    batches = run.batches(epoch)
    sizes = [examples if batch is None else len(batch) for batch in batches]
    assert run.batches_per_epoch == len(batches)
    assert [run.batch_examples(number) for number in range(len(batches))] == sizes
    assert sum(sizes) == examples


def test_a_step_reads_one_set_of_parameters_and_writes_the_other() -> None:
    run = plan(optimizer="adam")
    for updates in range(3):
        read, written = run.parameter_keys(2, updates), run.parameter_keys(2, updates + 1)
        names = [{str(key) for keys in side for key in keys} for side in (read, written)]
        assert not names[0] & names[1]
        assert len(names[0]) == 2 * (1 + 2)
        after = run.parameter_keys(2, updates + 2)
        assert [str(key) for keys in after for key in keys] == [str(key) for keys in read for key in keys]
        assert {key.version for keys in after for key in keys} == {updates + 2}


def test_tensors_have_the_shapes_of_the_formulas() -> None:
    run = plan(batch_size=5, dtype="float32")
    assert run.input_key().shape == (13, 5)
    assert run.output_key(Step(1, 1, 0, "forward", 1)).shape == (4, 5)
    assert run.output_key(Step(1, 1, 2, "forward", 3)).shape == (1, 3)
    assert run.delta_key(2, Step(1, 1, 2, "backward", 2)).shape == (3, 3)
    (weights,), (biases,) = run.parameter_keys(1, 0)
    assert (weights.shape, biases.shape) == ((4, 5), (4, 1))
    assert weights.dtype == np.float32


def test_the_output_layer_keeps_logits_where_others_keep_activations() -> None:
    run = plan()
    assert run.output_key(Step(1, 1, 0, "forward", 3)).name == "Z3"
    assert run.output_key(Step(1, 1, 0, "forward", 2)) == run.activation_key(2, Step(1, 1, 0, "forward", 3))


@pytest.mark.parametrize(("every", "recorded"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (4, [4, 5]), (100, [5])])
def test_every_nth_epoch_has_a_row_and_the_last_always(every: int, recorded: list[int]) -> None:
    run = plan(epochs=5, record_every=every)
    assert [epoch for epoch in range(1, 6) if run.recorded(epoch)] == recorded


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_fuse_is_one_and_a_half_times_what_the_run_needs(shape: dict[str, Any]) -> None:
    run = plan(**shape)
    needed = sum(run.sizes[step.layer] + 1 for step in walk(run))
    assert run.neuron_invocations == needed
    assert run.budget == 6 * needed + 100


def test_a_plan_survives_the_way_through_json() -> None:
    run = plan(image_shape=[8, 8, 3], learning_rate=1e-200, threshold=0.1 + 0.2)
    assert Layout.parse(json.loads(json.dumps(run.as_json()))) == run
