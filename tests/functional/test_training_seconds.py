"""How long a training took is told by the clocks of those who trained, each for its own part."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from lnn.aws.clocks import service_clock
from lnn.messages import Message
from lnn_client.runs import seconds_total
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


def test_a_generation_that_dies_at_once_leaves_no_difference_of_two_clocks(
    cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began by a clock that is 100 s behind, and did not live to report how long it trained."""
    run_id = launched(cloud, tmp_path, "fused")
    cloud.queue.messages.clear()
    ledger, now = cloud.services.ledger, time.time
    monkeypatch.setattr(time, "time", lambda: now() - 100.0)
    run = ledger.claim(run_id, 1, "a machine whose clock is off")
    assert run is not None
    ledger.go_back(run, **run.training_begins())
    monkeypatch.setattr(time, "time", now)
    cloud.queue.messages.append(("trainer", Message(run_id, 2, "start")))
    run = cloud.run_to_end(run_id)
    assert 0 < run.training_seconds < 60


@pytest.fixture
def _aws_tells_the_time(cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS's answers have dates, by its own clock, whatever this machine's clock says."""
    now = time.time
    service_clock.offset = 0.0
    for client in (cloud.dynamodb, cloud.s3):
        client.meta.events.register_first("after-call", lambda parsed, **_: date(parsed, now()))
        service_clock.follow(client.meta.events)
    yield
    service_clock.offset = 0.0


def date(parsed: dict[str, Any], now: float) -> None:
    parsed["ResponseMetadata"].setdefault("HTTPHeaders", {})["date"] = formatdate(now, usegmt=True)


@pytest.mark.usefixtures("_aws_tells_the_time")
@pytest.mark.parametrize("off", [-300.0, 300.0])
def test_durations_between_two_machines_are_told_by_aws_s_clock(
    off: float, cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launched(cloud, tmp_path, "fused")
    ledger, now = cloud.services.ledger, time.time
    before = now() - 10
    ledger.describe(run_id, upload_started_at=before)
    assert ledger.claim(run_id, 1, "owner")
    monkeypatch.setattr(time, "time", lambda: now() + off)
    cloud.queue.messages[:] = [("trainer", Message(run_id, 2, "start"))]
    run = cloud.run_to_end(run_id)
    seconds = now() - before
    assert run.status == "COMPLETED"
    assert 9 < seconds_total(run) < seconds + 1, "AWS's dates are whole seconds"
    assert run.disturbances["silent_seconds"] < seconds + 2
    moments = [run.created_at, *(event["at"] for event in run.events), run.training_ended_at, run.finished_at]
    assert max(moments) - min(moments) < seconds + 62, "launching took less than a minute"
    assert run.training_ended_at >= run.training_started_at
