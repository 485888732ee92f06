"""Which trial of a sweep begins when: as soon as any has ended, unless it is drawn from what others have come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn.data.dataset import DatasetSummary, write_dataset
from lnn_client import sweep_plan, sweeps
from lnn_client.datasets import check_dataset
from lnn_client.sweep_storage import LARGE
from lnn_client.sweeps import Plan, Sweep, Trial
from support.sweep_cloud import Cloud

SPACE = {"learning_rate": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps.time, "sleep", lambda _: None)


def plan_of(sampler: Any, pruner: Any = "none") -> Plan:
    parameters = {"epochs": 1, "layers": 1, "neurons": {"layer1": 1}, "activations": {"layer1": "sigmoid"}}
    return Plan("s", SPACE, {**parameters, "learning_rate": 0.1}, 6, parallel=2, sampler=sampler, pruner=pruner)


def played(sampler: Any, pruner: Any = "none") -> tuple[list[Trial], int]:
    """The trials of a sweep, and the most that had begun while the first one was at work."""
    plan = plan_of(sampler, pruner)
    begun = 0

    def look(sweep: Sweep) -> None:
        nonlocal begun
        if sweep.trials[0].state == "running":
            begun = max(begun, len(sweep.trials))

    monitored = Sweep(Cloud(), plan)  # type: ignore[arg-type]
    monitored._hopeless = lambda _: False  # type: ignore[method-assign]
    return monitored.run(look), begun


@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_a_trial_that_takes_long_holds_up_no_others(sampler: str) -> None:
    trials, begun = played(sampler)
    assert begun == 6
    assert [trial.state for trial in trials] == ["complete"] * 6
    assert len({trial.run_id for trial in trials}) == 6


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "none"), ("grid", "median"), ("random", "halving")])
def test_a_trial_that_is_drawn_from_others_waits_for_them(sampler: str, pruner: str) -> None:
    trials, begun = played(sampler, pruner)
    assert begun == 2
    assert [trial.state for trial in trials] == ["complete"] * 6


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_a_look_at_a_sweep_finds_what_was_begun_and_begins_nothing(sampler: str) -> None:
    cloud: Any = Cloud()
    driver = Sweep(cloud, plan_of(sampler))
    looks = 0

    def interrupted(_: Sweep) -> None:
        nonlocal looks
        looks += 1
        if looks == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.run(interrupted)
    uploaded = len(cloud.looks)
    assert 2 <= uploaded < 6

    found = Sweep(cloud, plan_of(sampler)).look()

    assert [trial.settings for trial in found] == [trial.settings for trial in driver.trials]
    assert [trial.run_id for trial in found] == [trial.run_id for trial in driver.trials if trial.run_id]
    assert found[0].state == "running"
    assert {trial.state for trial in found} == {"running", "complete"}
    assert len(cloud.looks) == uploaded


def test_the_same_sweep_draws_the_same_settings() -> None:
    first, again = (played("random")[0] for _ in range(2))
    assert [trial.settings for trial in first] == [trial.settings for trial in again]
    grid = [trial.settings["learning_rate"] for trial in played("grid")[0]]
    assert grid == SPACE["learning_rate"]


@pytest.mark.parametrize("is_new", [True, False])
def test_s3_is_asked_for_the_size_of_the_dataset_once_and_for_a_trial_only_where_another_driver_may_have_begun_it(
    is_new: bool,
) -> None:
    cloud = Cloud()
    trials = Sweep(cloud, plan_of("grid"), is_new=is_new).run()  # type: ignore[arg-type]
    folder = plan_of("grid").folder
    asked = [f"{folder}{trial.number:04d}/datasets.h5" for trial in trials]
    assert sorted(cloud.heads) == sorted([f"{folder}dataset", *([] if is_new else asked)])
    assert sorted(cloud.looks) == asked
    assert cloud.in_parts == 0


@pytest.mark.parametrize("has_its_own", [True, False])
def test_a_fifth_is_held_out_unless_the_dataset_has_validation_examples_and_the_dataset_is_read_once(
    has_its_own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, X, y = tmp_path / "d.h5", np.linspace(0, 1, 40).reshape(20, 2), np.arange(20) % 2
    write_dataset(file, X, y, X, y, ["a", "b"], validation=(X, y) if has_its_own else None)
    looks: list[Path] = []

    def check(path: Path) -> DatasetSummary:
        looks.append(path)
        return check_dataset(path)

    monkeypatch.setattr(sweep_plan, "check_dataset", check)
    monkeypatch.setattr("lnn_client.datasets.check_dataset", check)
    plan = sweeps.checked(plan_of("grid"), file)
    assert plan.parameters.get("validation") == (None if has_its_own else sweeps.VALIDATION_SHARE)
    assert looks == [file]


def test_a_large_dataset_is_copied_in_parts() -> None:
    cloud = Cloud()
    cloud.size = LARGE + 1
    Sweep(cloud, plan_of("grid"), is_new=True).run()  # type: ignore[arg-type]
    assert cloud.in_parts == 6
