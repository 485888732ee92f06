"""The pauses of a stepped run are its steps in their order, and one more after each batch's cost."""

from __future__ import annotations

import pytest

from lnn.job.pauses import Pause, Pauses
from lnn.messages import Step
from lnn.strategies.neuron.layout import Layout, pauses_of_batch
from support.plans import plan

PLANS = [plan(), plan(batch_size=5, clip_norm=1.0), plan(sizes=[5, 1], activations=["sigmoid"], batch_size=4)]


@pytest.mark.parametrize("layout", PLANS)
def test_numbers_follow_the_order_of_the_steps(layout: Layout) -> None:
    pauses = Pauses.of(layout.as_json())
    step: Step | None = layout.first_step(1, 1)
    number = 0
    while step is not None:
        number += 1
        pause = Pause(step.epoch, step.batch, step.direction, step.layer)
        assert (pauses.number(pause), pauses.at(number)) == (number, pause)
        assert pause.direction == step.direction
        if step.direction == "forward" and step.layer == layout.layers:
            number += 1
            cost = Pause(step.epoch, step.batch, "cost", step.layer)
            assert (pauses.number(cost), pauses.at(number), cost.direction) == (number, cost, "forward")
        step = layout.following(step)
    assert pauses.at(number + 1) is None
    assert number == pauses.per_epoch * layout.epochs
    assert pauses.per_epoch == layout.batches_per_epoch * pauses_of_batch(layout.layers, layout.clip_norm)


def test_the_end_of_an_epoch_is_its_last_pause() -> None:
    pauses = Pauses(layers=2, batches=1, epochs=3, clipped=False)
    assert pauses.per_epoch == 5
    assert [pauses.end_of_epoch(number, 1) for number in (1, 5, 6)] == [5, 5, 10]
    assert pauses.end_of_epoch(2, 3) == 15
