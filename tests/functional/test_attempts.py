"""How often and how long a run is tried again where it makes no progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from botocore.exceptions import ClientError

from lnn import train
from lnn.messages import Message
from lnn.runs.record import Run
from lnn.runs.starvation import Silence
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "strategy": "fused",
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 3, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "checkpoint_seconds": 1e-6,
}
FAULT_SECONDS = train.FAULT_SECONDS
"""As it is; other tests wait for nothing."""
BEGAN = 1_800_000_000.0


class Killed(BaseException):
    """The process is gone: it tells nobody."""


class Clock:
    """The Trainer's clock, which the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = BEGAN
        monkeypatch.setattr(train, "moment", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(train, "FAULT_SECONDS", FAULT_SECONDS)
    return Clock(monkeypatch)


@pytest.fixture
def run_id(cloud: InProcessCloud, tmp_path: Path) -> str:
    return launched(cloud, tmp_path)


def launched(cloud: InProcessCloud, folder: Path) -> str:
    upload = cloud.upload(tiny_dataset(folder / "d.h5"), PARAMETERS)
    assert cloud.launch(upload) == "launched"
    return upload.run_id


@contextmanager
def no_reading(cloud: InProcessCloud) -> Iterator[None]:
    """S3 answers no read."""

    def refuse(**_: Any) -> NoReturn:
        raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": "try again"}}, "GetObject")

    cloud.s3.meta.events.register("before-call.*.GetObject", refuse)
    try:
        yield
    finally:
        cloud.s3.meta.events.unregister("before-call.*.GetObject", refuse)


def attempt(cloud: InProcessCloud, run_id: str) -> Run:
    """One generation of the Trainer, which fails or is killed; the run after it."""
    run = cloud.run(run_id)
    cloud.queue.messages.clear()
    try:
        train.handle(cloud.services, Message(run_id, run.generation + 1, "start"), lambda: 900.0)
    except (ClientError, Killed):
        cloud.let_leases_expire(run_id)
    return cloud.run(run_id)


def test_a_fault_of_less_than_two_minutes_ends_no_run_however_many_attempts_it_takes(
    cloud: InProcessCloud, clock: Clock, tmp_path: Path
) -> None:
    expected = cloud.outcome(cloud.run_to_end(launched(cloud, tmp_path)).run_id)
    run_id = launched(cloud, tmp_path)
    with no_reading(cloud):
        for _ in range(3 * train.ATTEMPTS_WITHOUT_PROGRESS):
            assert attempt(cloud, run_id).status == "RUNNING"
            clock.now += FAULT_SECONDS / (3 * train.ATTEMPTS_WITHOUT_PROGRESS)
    assert cloud.run_to_end(run_id).status == "COMPLETED"
    assert cloud.outcome(run_id) == expected


def test_a_fault_that_stays_ends_the_run_with_what_was_told_last(
    cloud: InProcessCloud, run_id: str, clock: Clock
) -> None:
    with no_reading(cloud):
        while not (run := attempt(cloud, run_id)).has_ended:
            assert clock.now - BEGAN < 2 * FAULT_SECONDS
            clock.now += 18.0
    assert clock.now - BEGAN >= FAULT_SECONDS
    assert run.status == "FAILED"
    assert "no progress after epoch 0 in 8 attempts" in run.reason
    assert "ServiceUnavailable" in run.reason


def test_a_kill_among_attempts_that_tell_a_fault_does_not_end_the_run(
    cloud: InProcessCloud, run_id: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_reading(cloud):
        for _ in range(train.ATTEMPTS_WITHOUT_PROGRESS - 1):
            attempt(cloud, run_id)
            clock.now += 3.0
    with monkeypatch.context() as killing:
        killing.setattr(train, "hopeless", kill)
        attempt(cloud, run_id)
    assert attempt(cloud, run_id).status == "COMPLETED"


def test_attempts_that_all_end_without_a_word_are_counted_alone(
    cloud: InProcessCloud, run_id: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killing:
        killing.setattr("lnn.strategies.registry.Strategy.load", kill)
        for _ in range(train.ATTEMPTS_WITHOUT_PROGRESS):
            assert attempt(cloud, run_id).status == "RUNNING"
        run = attempt(cloud, run_id)
    assert run.status == "FAILED"
    assert "nobody was left to say what went wrong" in run.reason


def test_a_host_whose_clock_is_behind_takes_no_fault_for_an_old_one(
    cloud: InProcessCloud, run_id: str, clock: Clock
) -> None:
    with no_reading(cloud):
        for _ in range(2 * train.ATTEMPTS_WITHOUT_PROGRESS):
            assert attempt(cloud, run_id).status == "RUNNING"
            clock.now -= 1.0


def test_time_without_capacity_is_no_time_of_a_fault(
    cloud: InProcessCloud, run_id: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_reading(cloud):
        for _ in range(train.ATTEMPTS_WITHOUT_PROGRESS):
            attempt(cloud, run_id)
    clock.now += 2 * FAULT_SECONDS
    with monkeypatch.context() as starved:
        starved.setattr(train, "silence_of", lambda *_: Silence(starved="no capacity", throttled=True))
        attempt(cloud, run_id)
    with no_reading(cloud):
        assert attempt(cloud, run_id).status == "RUNNING"


def kill(*_: Any) -> NoReturn:
    raise Killed
