"""A strategy is a folder and one row of the registry: this one is the tests' own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lnn.errors import SettingsError
from lnn.job.hyperparameters import parse_settings
from lnn.strategies.registry import STRATEGIES, Strategy
from support.crashes import killed
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

FOLDER = "functional.toy_strategy"
PARAMETERS: dict[str, Any] = {
    "epochs": 4,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "optimizer": "adam",
    "batch_size": 5,
}


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, "toy", Strategy("toy", costs=f"{FOLDER}.costs:Toy", engine=f"{FOLDER}.engine:Toy"))


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> Callable[..., str]:
    def start(strategy: str, **changes: Any) -> str:
        upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), PARAMETERS | {"strategy": strategy} | changes)
        assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
        return upload.run_id

    return start


def test_it_trains_through_the_handlers_to_the_model_and_history_of_fused(
    cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    fused, toy = (cloud.run_to_end(launch(strategy)) for strategy in ("fused", "toy"))
    assert (toy.status, toy.strategy) == ("COMPLETED", "toy")
    assert cloud.outcome(toy.run_id) == cloud.outcome(fused.run_id)
    assert (toy.train_accuracy, toy.test_accuracy) == (fused.train_accuracy, fused.test_accuracy)
    assert toy.test_classes == fused.test_classes


def test_it_is_supervised_like_every_other(cloud: InProcessCloud, launch: Callable[..., str]) -> None:
    expected = cloud.outcome(cloud.run_to_end(launch("fused")).run_id)
    run_id = launch("toy", checkpoint_seconds=1e-6)
    with killed("checkpoint", after=True, countdown=1):
        cloud.run_to_end(run_id)
    cloud.invocation_seconds = 0.9  # less than is kept for handing over: a batch for each generation
    run = cloud.run_to_end(run_id)
    assert run.status == "COMPLETED"
    assert run.generation > PARAMETERS["epochs"]
    assert cloud.outcome(run_id) == expected
    stopped = cloud.run_to_end(launch("toy", max_seconds=1e-6))
    assert (stopped.status, stopped.epoch) == ("STOPPED", 1)


def test_the_planner_weighs_it_and_no_deployment_without_its_row_takes_its_name(
    cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "toy" in str(cloud.run(launch("auto")).strategy_reason)
    monkeypatch.delitem(STRATEGIES, "toy")
    with pytest.raises(SettingsError, match='strategy: found "toy"'):
        parse_settings('{"strategy": "toy"}')
