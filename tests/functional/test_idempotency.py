"""Powertools' idempotency as Launch uses it: one answer for each event, however often it comes."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError

from lnn.aws import idempotency
from lnn.aws.idempotency import Idempotency
from support.inprocess_cloud import NAMES, InProcessCloud


class Context:
    """As much of Lambda's context as matters here."""

    aws_request_id = "request"

    def __init__(self, seconds_left: float = 300.0) -> None:
        self._milliseconds = int(seconds_left * 1000)

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


@pytest.fixture
def records(cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Idempotency]:
    """The invocations table, with short waits."""
    cloud.dynamodb.create_table(
        TableName=NAMES.invocations_table,
        KeySchema=[{"AttributeName": "invocation", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "invocation", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    monkeypatch.setattr(idempotency, "POLL_SECONDS", 0.02)
    return Idempotency(NAMES.invocations_table)


def run(records: Idempotency, invocation: str, work: Any, seconds_left: float = 300.0) -> str:
    return records.run(invocation, work, Context(seconds_left))  # type: ignore[arg-type]


def test_a_second_copy_gets_the_first_one_s_answer(records: Idempotency) -> None:
    answers = iter(["launched", "never given"])
    assert [run(records, "run-1", lambda: next(answers)) for _ in range(3)] == ["launched"] * 3


def test_other_events_have_answers_of_their_own(records: Idempotency) -> None:
    assert [run(records, name, lambda name=name: f"answer to {name}") for name in ("a", "b")] == [
        "answer to a",
        "answer to b",
    ]


def test_a_record_has_an_expiry(records: Idempotency, cloud: InProcessCloud) -> None:
    run(records, "run-1", lambda: "launched")
    (item,) = cloud.dynamodb.scan(TableName=NAMES.invocations_table)["Items"]
    assert set(item) >= {"invocation", "expires_at"}


def test_work_that_fails_may_be_repeated(records: Idempotency) -> None:
    def fail() -> str:
        raise ConnectionError("cut off")

    with pytest.raises(ConnectionError):
        run(records, "run-1", fail)
    assert run(records, "run-1", lambda: "launched") == "launched"


def test_a_copy_that_comes_while_the_first_is_at_work_waits_for_its_answer(records: Idempotency) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert may_end.wait(30)
        return "launched"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(run, records, "run-1", slow)
        assert begun.wait(30)
        second = pool.submit(run, records, "run-1", lambda: "worked twice")
        assert not second.done()
        may_end.set()
        assert (first.result(30), second.result(30)) == ("launched", "launched")


def test_a_claim_whose_holder_died_lapses(records: Idempotency, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """Lambda ends a process without a word."""

    monkeypatch.setattr(idempotency, "LOCK_SECONDS", 1)
    # What a killed process cannot do: Powertools would give the claim back.
    with monkeypatch.context() as dead:
        dead.setattr(type(records._store), "delete_record", lambda *_, **__: None)

        def die() -> str:
            raise Killed

        with pytest.raises(Killed):
            run(records, "run-1", die)
    assert run(records, "run-1", lambda: "launched") == "launched"


def test_a_copy_with_too_little_time_to_wait_gives_up_so_that_lambda_repeats_it(records: Idempotency) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert may_end.wait(30)
        return "launched"

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, records, "run-1", slow)
        assert begun.wait(30)
        with pytest.raises(IdempotencyAlreadyInProgressError):
            run(records, "run-1", lambda: "worked twice", seconds_left=idempotency.LOCK_SECONDS)
        may_end.set()
        assert first.result(30) == "launched"


class Later(dt.datetime):
    """What Powertools reads the time from, 40 minutes on."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Later:  # type: ignore[override]
        return cls.fromtimestamp(time.time() + 2400, tz)


@pytest.fixture
def thaw(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """An environment that was frozen for 40 minutes: Lambda stops the monotonic clock meanwhile."""

    def pass_by() -> None:
        frozen = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: frozen)
        monkeypatch.setattr(dt, "datetime", Later)

    return pass_by


def test_a_record_holds_in_an_environment_that_was_frozen(records: Idempotency, thaw: Callable[[], None]) -> None:
    assert run(records, "run-1", lambda: "launched") == "launched"
    thaw()
    assert run(records, "run-1", lambda: "worked twice") == "launched"


def test_the_claim_of_who_died_before_the_freeze_is_over_after_it(
    records: Idempotency, thaw: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(records._store), "delete_record", lambda *_, **__: None)

    def die() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(records, "run-1", die)
    monkeypatch.setattr(idempotency, "POLL_SECONDS", 60)
    thaw()
    assert run(records, "run-1", lambda: "launched") == "launched"
