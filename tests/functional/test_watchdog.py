"""The watch: what has gone quiet goes on, what is at work is left alone, what was left undone is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lnn import train
from lnn.messages import Message
from lnn.runs import lease, watchdog
from lnn.runs.store import LEASE_SECONDS
from lnn.runs.watchdog import (
    CLOCKS_DIFFER_SECONDS,
    CLOSING_SECONDS,
    POLL_SECONDS,
    QUIET_SECONDS,
    START_SECONDS,
    launch_seconds,
)
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 2,
    "layers": 1,
    "neurons": {"layer1": 1},
    "activations": {"layer1": "sigmoid"},
    "learning_rate": 0.1,
    "strategy": "fused",
}

PATIENCE = watchdog.patience


@pytest.fixture
def launched(cloud: InProcessCloud, tmp_path: Path) -> str:
    """A run whose Trainer has been invoked but has not begun."""
    upload = cloud.upload(tiny_dataset(tmp_path / "made.h5"), PARAMETERS)
    assert cloud.launch(upload) == "launched"
    cloud.queue.messages.clear()
    cloud.messages_sent()
    return upload.run_id


def watch_after(cloud: InProcessCloud, seconds: float, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Message]]:
    """What the watch sends when it runs so many seconds from now."""
    now = time.time()
    with monkeypatch.context() as later:
        later.setattr(time, "time", lambda: now + seconds)
        train.handle(cloud.services, Message("", 0, "watch"), lambda: 60.0)
    sent, cloud.queue.messages = cloud.queue.messages, []
    return sent


def test_nothing_to_watch_is_no_trouble(cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watch_after(cloud, 0, monkeypatch) == []


def test_a_launched_run_whose_trainer_never_came_is_started(
    cloud: InProcessCloud, launched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watch_after(cloud, START_SECONDS - 5, monkeypatch) == []
    assert watch_after(cloud, START_SECONDS + 1, monkeypatch) == [("trainer", Message(launched, 1, "start"))]


def test_a_run_at_work_is_left_alone_until_its_lease_is_over(
    cloud: InProcessCloud, launched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.services.ledger.claim(launched, 1, "owner")
    assert watch_after(cloud, LEASE_SECONDS - 5, monkeypatch) == []
    assert watch_after(cloud, LEASE_SECONDS + 1, monkeypatch) == [("trainer", Message(launched, 2, "start"))]


def test_a_renewed_lease_keeps_the_watch_away(
    cloud: InProcessCloud, launched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, now = cloud.services.ledger, time.time()
    ledger.claim(launched, 1, "owner")
    with monkeypatch.context() as later:
        later.setattr(time, "time", lambda: now + 100)
        ledger.renew(launched, 1)
    assert watch_after(cloud, 100 + LEASE_SECONDS - 5, monkeypatch) == []


def test_the_lease_is_kept_while_a_trainer_between_two_steps_waits_for_s3(
    cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "INTERVAL_SECONDS", 0.01)
    upload = cloud.upload(tiny_dataset(tmp_path / "made.h5"), {**PARAMETERS, "strategy": "neuron"})
    assert cloud.launch(upload) == "launched"
    waited = []

    def answers_once_the_lease_is_renewed(**_: Any) -> None:
        if waited:
            return
        cloud.let_leases_expire(upload.run_id)
        deadline = time.monotonic() + 10
        while cloud.run(upload.run_id).lease_expires < time.time():
            assert time.monotonic() < deadline, "nobody keeps the lease"
            time.sleep(0.01)
        waited.append(upload.run_id)

    while cloud.queue.messages:
        function, message = cloud.queue.messages.pop(0)
        if message.state == "forward" and function == "trainer":
            cloud.s3.meta.events.register("before-call.s3.GetObject", answers_once_the_lease_is_renewed)
        cloud.deliver(function, message)
    assert waited
    assert cloud.run(upload.run_id).status == "COMPLETED"


def test_a_released_lease_is_taken_up_at_once(
    cloud: InProcessCloud, launched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.services.ledger.claim(launched, 1, "owner")
    cloud.services.ledger.release(launched, 1, "failed")
    assert watch_after(cloud, 0, monkeypatch) == [("trainer", Message(launched, 2, "start"))]


def test_a_resumed_run_whose_trainer_never_came_is_started(
    cloud: InProcessCloud, launched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = cloud.services.ledger
    ledger.claim(launched, 1, "owner")
    ledger.finish(launched, 1, "STOPPED", "on request")
    ledger.close(cloud.run(launched))
    assert ledger.reopen(launched) == 2
    assert watch_after(cloud, 1, monkeypatch) == []
    assert watch_after(cloud, START_SECONDS + 1, monkeypatch) == [("trainer", Message(launched, 2, "start"))]


def test_what_the_watch_sends_twice_is_done_once(
    cloud: InProcessCloud, launched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = watch_after(cloud, START_SECONDS + 1, monkeypatch) + watch_after(cloud, START_SECONDS + 1, monkeypatch)
    for function, message in sent:
        cloud.deliver(function, message)
    run = cloud.run(launched)
    assert (run.status, run.generation) == ("COMPLETED", 1)
    (subject,) = cloud.messages_sent()
    assert subject.startswith(f"LNN: training completed, test accuracy {run.test_accuracy:.1%}")


def test_a_run_that_launch_never_finished_fails_once_launch_can_no_longer_come(
    cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.services.ledger.open_run("run-1")
    longest = launch_seconds(cloud.services.environment.launch_timeout)
    assert longest == 3 * 900 + 180 + CLOCKS_DIFFER_SECONDS
    assert watch_after(cloud, longest - 5, monkeypatch) == []
    assert cloud.run("run-1").status == "PENDING"
    assert watch_after(cloud, longest + 1, monkeypatch) == []
    run = cloud.run("run-1")
    assert (run.status, run.closing) == ("FAILED", False)
    assert "Launch" in run.reason
    assert cloud.messages_sent() == ["LNN: training failed"]


def test_an_end_that_was_not_carried_out_is_carried_out(
    cloud: InProcessCloud, launched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> None:
        raise ConnectionError("cut off")

    with monkeypatch.context() as broken:
        broken.setattr("lnn.runs.finalize.close", crash)
        with pytest.raises(ConnectionError):
            cloud.deliver("trainer", Message(launched, 1, "start"))
    run = cloud.run(launched)
    assert (run.status, run.closing) == ("COMPLETED", True)
    assert cloud.messages_sent() == []

    watch_after(cloud, CLOSING_SECONDS - 5, monkeypatch)
    assert cloud.messages_sent() == [], "whoever ended it may still be at work"
    watch_after(cloud, CLOSING_SECONDS + 1, monkeypatch)
    assert cloud.run(launched).closing is False
    assert len(cloud.messages_sent()) == 1
    assert cloud.s3.head_object(Bucket=NAMES.bucket, Key="prediction_input/params.h5")
    watch_after(cloud, CLOSING_SECONDS + 100, monkeypatch)
    assert cloud.messages_sent() == [], "once is enough"


@pytest.mark.parametrize(
    ("broken", "kept"),
    [("REMOVE #status", None), ("SET launched_at = :null, heartbeat = :null, created_at = :null", TypeError)],
)
def test_one_record_that_is_no_run_s_does_not_keep_the_watch_from_the_others(
    broken: str, kept: type[Exception] | None, cloud: InProcessCloud, launched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.services.ledger.open_run("a-bad-one")
    cloud.dynamodb.update_item(
        TableName=NAMES.runs_table,
        Key={"run_id": {"S": "a-bad-one"}},
        UpdateExpression=broken,
        **({"ExpressionAttributeNames": {"#status": "status"}} if "#" in broken else {}),
        **({"ExpressionAttributeValues": {":null": {"NULL": True}}} if ":" in broken else {}),
    )
    now = time.time()
    with monkeypatch.context() as later, pytest.raises(kept) if kept else nullcontext():
        later.setattr(time, "time", lambda: now + START_SECONDS + 1)
        train.handle(cloud.services, Message("", 0, "watch"), lambda: 60.0)
    assert cloud.queue.messages == [("trainer", Message(launched, 1, "start"))]


def test_runs_that_have_ended_are_left_alone(
    cloud: InProcessCloud, launched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.deliver("trainer", Message(launched, 1, "start"))
    before = cloud.run(launched)
    assert watch_after(cloud, 10**6, monkeypatch) == []
    assert cloud.run(launched) == before


# Clocks that differ: by them the watch only suspects a run


class Observation:
    """The watch's own clock while it observes: what it waits, and what others do meanwhile."""

    def __init__(self) -> None:
        self.waited = 0.0
        self.meanwhile: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.waited += seconds
        self.meanwhile()


@pytest.fixture
def observation(monkeypatch: pytest.MonkeyPatch) -> Observation:
    """A watch that trusts its own clock alone, in an environment that has not looked yet."""
    observed = Observation()
    monkeypatch.setattr(watchdog, "patience", PATIENCE)
    monkeypatch.setattr(watchdog, "_seen", {})
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(sleep=observed.sleep))
    return observed


def by_a_clock(off: float, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """What a machine does whose clock is off by so many seconds."""
    now = time.time()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(time, "time", lambda: now + off)
        work()


@pytest.mark.parametrize("off", [-300.0, -LEASE_SECONDS - 1, 300.0])
def test_a_trainer_at_work_keeps_its_run_whatever_its_clock_shows(
    off: float, cloud: InProcessCloud, launched: str, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = cloud.services.ledger
    by_a_clock(off, monkeypatch, lambda: ledger.claim(launched, 1, "owner"))
    observation.meanwhile = lambda: by_a_clock(off, monkeypatch, lambda: ledger.renew(launched, 1))
    assert watch_after(cloud, LEASE_SECONDS / 2, monkeypatch) == []
    assert observation.waited == POLL_SECONDS, "one sign of life is enough"
    assert cloud.run(launched).generation == 1


@pytest.mark.parametrize("off", [-300.0, 0.0, 300.0])
def test_a_dead_trainer_is_found_whatever_its_clock_showed(
    off: float, cloud: InProcessCloud, launched: str, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_a_clock(off, monkeypatch, lambda: cloud.services.ledger.claim(launched, 1, "owner"))
    assert watch_after(cloud, LEASE_SECONDS + 1, monkeypatch) == [("trainer", Message(launched, 2, "start"))]
    assert observation.waited == pytest.approx(LEASE_SECONDS)


def test_the_first_look_at_a_dead_trainer_s_run_is_enough_while_its_lease_still_lasts(
    cloud: InProcessCloud, launched: str, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.services.ledger.claim(launched, 1, "owner")
    sent = watch_after(cloud, QUIET_SECONDS + 0.5, monkeypatch)
    assert sent == [("trainer", Message(launched, 2, "start"))]
    assert observation.waited == pytest.approx(LEASE_SECONDS)


def test_a_lease_that_was_renewed_just_now_is_not_observed(
    cloud: InProcessCloud, launched: str, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.services.ledger.claim(launched, 1, "owner")
    assert watch_after(cloud, QUIET_SECONDS / 2, monkeypatch) == []
    assert observation.waited == 0


def test_the_first_look_at_an_end_that_nobody_carries_out_is_enough(
    cloud: InProcessCloud, launched: str, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = cloud.services.ledger
    ledger.claim(launched, 1, "owner")
    ledger.finish(launched, 1, "FAILED", "the reason")
    watch_after(cloud, 0, monkeypatch)
    assert observation.waited == pytest.approx(CLOSING_SECONDS)
    assert cloud.run(launched).closing is False
    assert cloud.messages_sent() == ["LNN: training failed"]


def test_the_watch_takes_each_suspect_up_when_it_has_been_silent_for_long_enough(
    cloud: InProcessCloud, tmp_path: Path, launched: str, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = cloud.services.ledger
    ledger.claim(launched, 1, "owner")
    upload = cloud.upload(tiny_dataset(tmp_path / "other.h5"), PARAMETERS)
    assert cloud.launch(upload) == "launched"
    ledger.claim(upload.run_id, 1, "owner")
    ledger.finish(upload.run_id, 1, "FAILED", "the reason")
    cloud.queue.messages.clear()
    begun: list[float] = []

    def note_the_start() -> None:
        if cloud.queue.messages and not begun:
            begun.append(observation.waited - POLL_SECONDS)

    observation.meanwhile = note_the_start
    assert watch_after(cloud, LEASE_SECONDS + 1, monkeypatch) == [("trainer", Message(launched, 2, "start"))]
    assert begun == pytest.approx([LEASE_SECONDS]), "it did not wait for the run that is observed for longer"
    assert observation.waited == pytest.approx(CLOSING_SECONDS)
    assert cloud.run(upload.run_id).closing is False


def test_looks_that_follow_each_other_are_one_observation(
    cloud: InProcessCloud, launched: str, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.services.ledger.claim(launched, 1, "owner")
    assert watch_after(cloud, QUIET_SECONDS / 2, monkeypatch) == []
    assert observation.waited == 0
    later = QUIET_SECONDS / 2 + 5
    assert watch_after(cloud, later, monkeypatch) == [("trainer", Message(launched, 2, "start"))]
    assert observation.waited == pytest.approx(LEASE_SECONDS - 5, abs=0.5)


def test_what_was_seen_before_the_watch_s_own_clock_was_set_back_counts_for_nothing(
    cloud: InProcessCloud, launched: str, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.services.ledger.claim(launched, 1, "owner")
    assert watch_after(cloud, QUIET_SECONDS / 2, monkeypatch) == []
    assert watch_after(cloud, -300, monkeypatch) == [("trainer", Message(launched, 2, "start"))]
    assert observation.waited == pytest.approx(LEASE_SECONDS)


def test_a_watch_without_the_time_to_observe_leaves_the_run_to_the_next_look(
    cloud: InProcessCloud, launched: str, observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_a_clock(-300, monkeypatch, lambda: cloud.services.ledger.claim(launched, 1, "owner"))
    train.handle(cloud.services, Message("", 0, "watch"), lambda: LEASE_SECONDS)
    assert (cloud.queue.messages, observation.waited) == ([], 0)


@pytest.mark.parametrize("off", [-300.0, 300.0])
def test_an_end_that_is_being_carried_out_is_left_to_whoever_does_it(
    off: float,
    cloud: InProcessCloud,
    launched: str,
    observation: Observation,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "lnn.runs.watchdog")
    ledger = cloud.services.ledger
    ledger.claim(launched, 1, "owner")
    by_a_clock(off, monkeypatch, lambda: ledger.finish(launched, 1, "FAILED", "the reason"))
    observation.meanwhile = lambda: ledger.close(cloud.run(launched))
    assert watch_after(cloud, 0, monkeypatch) == []
    assert observation.waited == POLL_SECONDS
    assert cloud.messages_sent() == []
    assert not caplog.records, "nothing is wrong with the run, and its log says nothing of it"


def test_a_run_that_is_resumed_before_its_end_was_carried_out_goes_on(
    cloud: InProcessCloud, launched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = cloud.services.ledger
    ledger.claim(launched, 1, "owner")
    ledger.finish(launched, 1, "STOPPED", "on request")
    assert ledger.reopen(launched) == 2
    assert watch_after(cloud, START_SECONDS + 1, monkeypatch) == [("trainer", Message(launched, 2, "start"))]
