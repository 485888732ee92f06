"""How long a training took is told by the clocks of those who trained, each for its own part."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from lnn.messages import Message
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

STRATEGIES = pytest.mark.parametrize("strategy", ["fused", "neuron", "resident"])


def launched(cloud: InProcessCloud, tmp_path: Path, strategy: str, **settings: Any) -> str:
    parameters = {
        "epochs": 3,
        "layers": 2,
        "neurons": {"layer1": 4, "layer2": 1},
        "activations": {"layer1": "relu", "layer2": "sigmoid"},
        "learning_rate": 0.1,
        "strategy": strategy,
    }
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), parameters | settings)
    assert cloud.launch(upload) == "launched"
    return upload.run_id


@STRATEGIES
@pytest.mark.parametrize("off", [-300.0, 300.0])
def test_generations_whose_clocks_differ_add_up_what_each_took(
    strategy: str, off: float, cloud: InProcessCloud, tmp_path: Path
) -> None:
    run_id = launched(cloud, tmp_path, strategy)
    cloud.queue.messages.clear()
    ledger = cloud.services.ledger
    ledger.claim(run_id, 1, "a machine whose clock is off")
    ledger.renew(run_id, 1, training_started_at=time.time() + off, trained_seconds=40.0)
    ledger.release(run_id, 1, "generation 1 hands over")
    cloud.queue.messages.append(("trainer", Message(run_id, 2, "start")))
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    assert 40.0 < run.training_seconds < 40.0 + 200.0
    assert run.trained_seconds == run.training_seconds


@STRATEGIES
def test_a_wall_clock_that_is_set_back_all_the_time_makes_no_duration_negative(
    strategy: str, cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launched(cloud, tmp_path, strategy)
    now = time.time()

    def set_back() -> float:
        nonlocal now
        now -= 60.0
        return now

    monkeypatch.setattr(time, "time", set_back)
    run = cloud.run_to_end(run_id)
    assert run.status == "COMPLETED"
    assert run.training_seconds > 0
    assert run.usd > 0
    assert all(row.seconds > 0 for row in cloud.services.ledger.history(run_id))


def test_a_resumed_run_has_the_time_that_it_has_not_used(cloud: InProcessCloud, tmp_path: Path) -> None:
    """It was stopped an hour ago: that hour is no training."""
    run_id = launched(cloud, tmp_path, "fused", max_seconds=600)
    ledger = cloud.services.ledger
    cloud.queue.messages.clear()
    ledger.claim(run_id, 1, "owner")
    ledger.renew(run_id, 1, training_started_at=time.time() - 3600.0, trained_seconds=2.0)
    ledger.finish(run_id, 1, "STOPPED", "on request")
    ledger.close(cloud.run(run_id))
    cloud.queue.messages.append(("trainer", Message(run_id, ledger.reopen(run_id), "start")))
    run = cloud.run_to_end(run_id)
    assert (run.status, run.epoch) == ("COMPLETED", 3)
    assert run.training_seconds < 600
