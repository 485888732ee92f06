"""Learning rate schedules against rates worked out by hand, and by going from epoch to epoch as PyTorch does."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lnn.network import Schedule
from support.plans import plan

EPOCHS, BATCHES = 9, 3


def shares(**fields: Any) -> list[float]:
    """The share of every update of a run."""
    schedule = Schedule(**fields)
    return [schedule.share(t, BATCHES, EPOCHS) for t in range(1, EPOCHS * BATCHES + 1)]


def first_of_epochs(values: list[float]) -> list[float]:
    epochs = [values[start : start + BATCHES] for start in range(0, len(values), BATCHES)]
    assert all(len(set(epoch)) == 1 for epoch in epochs), "one rate within an epoch"
    return [epoch[0] for epoch in epochs]


def test_constant_is_the_learning_rate() -> None:
    assert shares(kind="constant") == [1.0] * (EPOCHS * BATCHES)


def test_step_takes_a_factor_every_few_epochs() -> None:
    assert first_of_epochs(shares(kind="step", every=4, factor=0.5)) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_exponential_takes_a_factor_every_epoch() -> None:
    expected = [1.0]
    while len(expected) < EPOCHS:
        expected.append(expected[-1] * 0.8)
    assert first_of_epochs(shares(kind="exponential", factor=0.8)) == pytest.approx(expected, rel=1e-12)


def test_cosine_falls_along_half_a_wave() -> None:
    """By the recursion that PyTorch documents for CosineAnnealingLR."""
    expected = [1.0]
    for epoch in range(1, EPOCHS):
        ratio = (1 + math.cos(epoch * math.pi / EPOCHS)) / (1 + math.cos((epoch - 1) * math.pi / EPOCHS))
        expected.append(expected[-1] * ratio)
    assert first_of_epochs(shares(kind="cosine")) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "fields", [{"kind": "constant"}, {"kind": "step", "every": 2, "factor": 0.5}, {"kind": "cosine"}]
)
def test_a_warm_up_rises_with_every_update_and_the_schedule_begins_after_it(fields: dict[str, Any]) -> None:
    found = shares(**fields, warmup_epochs=2)
    assert found[: 2 * BATCHES] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1], rel=1e-15)
    shorter = Schedule(**fields)
    rest = [shorter.share(t, BATCHES, EPOCHS - 2) for t in range(1, (EPOCHS - 2) * BATCHES + 1)]
    assert found[2 * BATCHES :] == rest


def test_a_plan_has_the_rate_of_each_update() -> None:
    scheduled = plan(batch_size=5, epochs=4, learning_rate=0.5, schedule={"kind": "exponential", "factor": 0.5})
    rates = [scheduled.update_rule_at(t).learning_rate for t in range(1, 13)]
    assert rates == [0.5] * 3 + [0.25] * 3 + [0.125] * 3 + [0.0625] * 3
    assert plan().update_rule_at(7) == plan().update_rule
