"""Which strategy ``auto`` picks, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from lnn.errors import SettingsError
from lnn.settings import Settings
from lnn.strategies.planner import (
    choose,
    fused_epoch_seconds,
    multiplications,
    neuron_epoch_seconds,
    trainer_megabytes,
)


def settings(**changes: Any) -> Settings:
    return Settings.from_dict(
        {
            "epochs": 100,
            "layers": 4,
            "neurons": {"layer1": 20, "layer2": 7, "layer3": 5, "layer4": 1},
            "activations": {"layer1": "relu", "layer2": "relu", "layer3": "relu", "layer4": "sigmoid"},
            "learning_rate": 0.0075,
            **changes,
        }
    )


def test_auto_keeps_small_trainings_in_one_function_and_says_why() -> None:
    decision = choose(settings(), 12288, 209, 50, 3008)
    assert (decision.strategy, decision.workers) == ("fused", 1)
    assert "fused is estimated at" in decision.reason
    assert "neuron" in decision.reason


@pytest.mark.parametrize("strategy", ["neuron", "fused"])
def test_a_strategy_that_was_asked_for_is_kept(strategy: str) -> None:
    decision = choose(settings(strategy=strategy), 12288, 209, 50, 3008)
    assert decision.strategy == strategy
    assert "asked for" in decision.reason


@pytest.mark.parametrize("strategy", ["auto", "neuron", "fused"])
def test_what_does_not_fit_the_trainer_is_refused_with_the_ways_to_make_it_fit(strategy: str) -> None:
    with pytest.raises(SettingsError) as refused:
        choose(settings(strategy=strategy), 12288, 60_000, 10_000, 3008)
    message = str(refused.value)
    assert "3008 MB" in message
    assert "in Terraform" in message
    assert "float32" in message


def test_the_refusal_s_figure_is_enough_memory() -> None:
    needed = trainer_megabytes(settings(), [12288, 20, 7, 5, 1], 20_000, 1_000)
    choose(settings(), 12288, 20_000, 1_000, needed)
    with pytest.raises(SettingsError):
        choose(settings(), 12288, 20_000, 1_000, needed - 1)


def test_memory_counts_the_data_in_its_dtype() -> None:
    sizes = [12288, 20, 7, 5, 1]
    double, single = (trainer_megabytes(settings(dtype=dtype), sizes, 10_000, 0) for dtype in ("float64", "float32"))
    assert double - 160 == pytest.approx(2 * (single - 160), abs=2)
    assert double > 10_000 * 12288 * 8 / 2**20


def test_memory_grows_with_the_optimiser_s_slots() -> None:
    sizes = [12288, 5000, 1]
    needed = [trainer_megabytes(settings(optimizer=name), sizes, 100, 100) for name in ("sgd", "momentum", "adam")]
    one_copy = 12288 * 5000 * 8 / 2**20
    assert needed[1] - needed[0] == pytest.approx(one_copy, rel=0.01)
    assert needed[2] - needed[1] == pytest.approx(one_copy, rel=0.01)


def test_multiplications_are_those_of_the_passes() -> None:
    # Forward 5*4 + 4*3; dW the same; one delta, through layer 2's weights: 4*3. For each of 10 examples.
    assert multiplications([5, 4, 3], 10) == 10 * (2 * (20 + 12) + 12)


def test_time_estimates_grow_with_work_and_with_calls() -> None:
    sizes = [12288, 20, 7, 5, 1]
    assert fused_epoch_seconds(sizes, 2000) == pytest.approx(10 * fused_epoch_seconds(sizes, 200))
    full, batches = neuron_epoch_seconds(sizes, 2000, None), neuron_epoch_seconds(sizes, 2000, 100)
    assert batches > 10 * full
