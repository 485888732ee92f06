"""Which strategy ``auto`` picks, with how many workers, and what does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lnn.data.dataset import DatasetSummary
from lnn.errors import SettingsError
from lnn.job.hyperparameters import Settings, parse_settings
from lnn.planning.cost_model import CostModel
from lnn.planning.planner import Decision, candidates, choose, decide
from lnn.planning.workload import Functions, Job

CATS = DatasetSummary(209, 50, 12288, ["cat", "non-cat"], (64, 64, 3), "uint8", 255.0)
MANY = replace(CATS, m=60_000, m_test=10_000)


def settings(**changes: Any) -> Settings:
    return parse_settings(
        json.dumps(
            {
                "epochs": 100,
                "layers": 4,
                "neurons": {"layer1": 20, "layer2": 7, "layer3": 5, "layer4": 1},
                "activations": {"layer1": "relu", "layer2": "relu", "layer3": "relu", "layer4": "sigmoid"},
                "learning_rate": 0.0075,
                "dtype": "float64",
                **changes,
            }
        )
    )


def decision(summary: DatasetSummary = CATS, functions: Functions | None = None, **changes: Any) -> Decision:
    return choose(settings(**changes), summary, functions or Functions())


def test_auto_keeps_small_trainings_in_one_function_and_names_the_runners_up() -> None:
    chosen = decision()
    assert (chosen.strategy, chosen.workers) == ("fused", 1)
    assert chosen.reason.startswith("fused is estimated at ")
    for other in ("resident with", "data with", "neuron at"):
        assert other in chosen.reason


def test_auto_takes_workers_with_examples_of_their_own_for_what_one_function_cannot_hold() -> None:
    chosen = decision(MANY)
    assert chosen.strategy == "data"
    assert "fused does not fit (about" in chosen.reason
    assert "resident does not fit (about" in chosen.reason


@pytest.mark.parametrize("summary", [CATS, MANY], ids=["cats", "many"])
@pytest.mark.parametrize("batch_size", [None, 100])
@pytest.mark.parametrize("max_workers", [1, 4, 256])
def test_what_auto_picks_fits_and_nothing_that_fits_is_much_faster(
    summary: DatasetSummary, batch_size: int | None, max_workers: int
) -> None:
    asked, functions = settings(batch_size=batch_size), Functions(max_workers=max_workers, neuron_storage_mb=10_240)
    chosen = choose(asked, summary, functions).chosen
    assert chosen.fits
    found = candidates(asked, CostModel(Job.of(asked, summary), functions))
    assert {estimate.strategy for estimate in found} == {"fused", "resident", "data", "neuron"}
    assert chosen.seconds_total <= 1.1 * min(estimate.seconds_total for estimate in found if estimate.fits)
    assert chosen.workers <= max_workers


def test_auto_takes_the_cheaper_of_two_that_are_about_as_fast() -> None:
    found = candidates(asked := settings(), model := CostModel(Job.of(settings(), MANY)))
    chosen = decide(asked, model).chosen
    close = [e for e in found if e.fits and e.seconds_total <= 1.1 * min(o.seconds_total for o in found if o.fits)]
    assert len(close) > 1
    assert chosen.usd == min(estimate.usd for estimate in close)


def test_a_given_number_of_workers_is_kept_whatever_the_deployment_would_choose() -> None:
    chosen = decision(strategy="data", workers=100, functions=Functions(max_workers=2))
    assert chosen.workers == 100
    assert "asked for" in chosen.reason


@pytest.mark.parametrize(("strategy", "most"), [("resident", "80 units in layer 1"), ("data", "100 examples")])
def test_workers_that_would_have_nothing_to_do_are_left_out_and_the_reason_says_so(strategy: str, most: str) -> None:
    few = replace(CATS, m=100, features=50, image_shape=None)
    neurons = {"layer1": 80, "layer2": 7, "layer3": 5, "layer4": 1}
    chosen = decision(few, strategy=strategy, workers=256, neurons=neurons)
    assert chosen.workers == int(most.split(maxsplit=1)[0])
    assert f"instead of 256: there are {most}" in chosen.reason
    assert chosen.warnings == [f"workers: found 256; the run has {chosen.workers}, since more would have nothing to do"]


@pytest.mark.parametrize("asked", [{"strategy": "data", "workers": 100}, {"strategy": "fused", "workers": 256}, {}])
def test_nobody_is_warned_who_gets_what_was_asked_for(asked: dict[str, Any]) -> None:
    assert decision(**asked).warnings == []


@pytest.mark.parametrize("strategy", ["resident", "data"])
def test_the_number_of_workers_is_chosen_where_none_is_given(strategy: str) -> None:
    chosen = decision(strategy=strategy, functions=Functions(max_workers=8))
    assert chosen.strategy == strategy
    assert 1 <= chosen.workers <= 8
    assert "asked for" in chosen.reason


@pytest.mark.parametrize("strategy", ["neuron", "fused"])
def test_a_strategy_that_was_asked_for_is_kept(strategy: str) -> None:
    chosen = decision(strategy=strategy, workers=4)
    assert (chosen.strategy, chosen.workers) == (strategy, 1)
    assert "asked for" in chosen.reason


def test_a_run_that_is_stepped_takes_the_strategy_with_steps_and_an_invocation_more_for_each_pause() -> None:
    stepped, plain = decision(step=True), decision(strategy="neuron")
    assert (stepped.strategy, stepped.workers) == ("neuron", 1)
    pauses = 100 * (2 * 4 + 1)
    assert stepped.chosen.invocations - plain.chosen.invocations == pauses
    assert stepped.chosen.usd > plain.chosen.usd


@pytest.mark.parametrize("strategy", ["neuron", "fused", "resident"])
def test_what_does_not_fit_is_refused_with_the_ways_to_make_it_fit(strategy: str) -> None:
    with pytest.raises(SettingsError) as refused:
        decision(MANY, strategy=strategy)
    message = str(refused.value)
    assert "MB of memory" in message
    assert "in Terraform" in message
    assert '"dtype": "float32"' in message
    assert '"strategy": "data"' in message


NARROW = replace(CATS, features=64, image_shape=None)
WIDEST = {"neurons": {"layer1": 65_536, "layer2": 7, "layer3": 5, "layer4": 1}, "epochs": 1}


def test_a_layer_of_so_many_neurons_that_its_epochs_hardly_end_is_refused_with_the_estimate() -> None:
    with pytest.raises(SettingsError) as refused:
        decision(NARROW, strategy="neuron", **WIDEST)
    message = str(refused.value)
    assert "neuron: an epoch of one batch takes 131,106 invocations and about 1" in message
    assert "minutes; expected at most 5 minutes" in message
    assert 'use "strategy": "auto"' in message
    chosen = decision(NARROW, **WIDEST)
    assert chosen.strategy == "fused"
    assert "neuron does not fit (an epoch of one batch takes 131,106 invocations" in chosen.reason


def test_a_layer_of_some_thousand_neurons_may_have_an_invocation_for_each() -> None:
    neurons = {"layer1": 2_500, "layer2": 7, "layer3": 5, "layer4": 1}
    assert decision(NARROW, strategy="neuron", neurons=neurons, epochs=100).strategy == "neuron"


def test_more_invocations_than_a_year_has_seconds_for_are_refused_unless_something_else_ends_the_run() -> None:
    with pytest.raises(SettingsError) as refused:
        decision(NARROW, strategy="neuron", epochs=10_000_000)
    assert "expected at most 14 days and $1,000, or a threshold, max_seconds or max_usd" in str(refused.value)
    for limit in ({"threshold": 0.1}, {"max_seconds": 60}, {"max_usd": 1}):
        assert decision(NARROW, strategy="neuron", epochs=10_000_000, **limit).strategy == "neuron"
    assert decision(NARROW, epochs=10_000_000).strategy != "neuron"


def test_when_nothing_fits_the_error_names_every_strategy_and_a_way_out() -> None:
    with pytest.raises(SettingsError) as refused:
        decision(replace(MANY, m=6_000_000), functions=Functions(max_workers=4))
    message = str(refused.value)
    for strategy in ("fused", "resident", "data", "neuron"):
        assert f"{strategy}" in message
    assert "raise the functions' sizes in Terraform" in message


def test_auto_stays_below_max_usd_where_it_can() -> None:
    large = replace(MANY, features=784, image_shape=(28, 28))
    free = decision(large, epochs=2000)
    assert free.workers > 1
    bound = decision(large, epochs=2000, max_usd=free.chosen.usd * 0.8)
    assert bound.chosen.usd <= free.chosen.usd * 0.8
    assert bound.chosen.seconds_total > free.chosen.seconds_total
    assert "over max_usd" in bound.reason or bound.strategy == free.strategy


@pytest.mark.parametrize("limit", [{"max_usd": 1e-9}, {"max_seconds": 1e-6}], ids=str)
def test_a_limit_that_nothing_keeps_to_does_not_refuse_the_run_that_it_will_stop(limit: dict[str, float]) -> None:
    chosen = decision(**limit)
    assert "it may be stopped by max_" in chosen.reason


def test_what_is_expected_is_kept_with_the_run() -> None:
    chosen = decision()
    assert chosen.expected == {"seconds": chosen.chosen.seconds_total, "usd": chosen.chosen.usd}


def test_neuron_whose_tensors_may_not_fit_the_cache_runs_when_asked_for_only() -> None:
    several = replace(CATS, m=5000)
    big = Functions(trainer_memory_mb=10_240)
    assert decision(several, big, strategy="neuron").strategy == "neuron"
    assert "neuron does not fit (about" in decision(several, big).reason
