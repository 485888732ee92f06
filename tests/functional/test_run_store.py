"""The runs and costs tables: who may change a run, and that figures come back as they were."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from lnn import train
from lnn.aws.dynamodb_items import attribute
from lnn.errors import LedgerUnavailable, RunStateError, StaleGeneration
from lnn.messages import Message
from lnn.runs.attributes import Paused
from lnn.runs.record import ALLOWED_IN, ENDED, GOING, LEADS_TO, Change, EpochRow, Run
from lnn.runs.store import WATCHED_INDEX, Ledger
from support.inprocess_cloud import NAMES, InProcessCloud

RUN = "20260304T050607Z-0123abcd"


@pytest.fixture
def ledger(cloud: InProcessCloud) -> Ledger:
    return cloud.services.ledger


@pytest.fixture
def opened(ledger: Ledger) -> Ledger:
    """A ledger with one PENDING run."""
    assert ledger.open_run(RUN, dataset_key="training_input/a.h5")
    return ledger


@pytest.fixture
def running(opened: Ledger) -> Ledger:
    """A ledger whose run has been claimed by generation 1."""
    assert opened.claim(RUN, 1, "owner")
    return opened


def run_of(ledger: Ledger) -> Run:
    run = ledger.get_run(RUN)
    assert run is not None
    return run


# Opening and describing


def test_a_run_is_opened_once(opened: Ledger) -> None:
    before = run_of(opened)
    assert (before.status, before.generation, before.epoch, before.invocations) == ("PENDING", 0, 0, 1)
    assert not opened.open_run(RUN, dataset_key="training_input/other.h5")
    assert run_of(opened) == before


def test_an_unknown_run_is_none_and_stays_unknown(ledger: Ledger) -> None:
    assert ledger.get_run(RUN) is None
    assert not ledger.describe(RUN, epochs=3)
    assert ledger.claim(RUN, 1, "owner") is None
    assert ledger.finish(RUN, 1, "COMPLETED", None) is None
    assert not ledger.note(RUN, 0, "hello")
    ledger.release(RUN, 1, "released")
    assert not ledger.close(Run(RUN, "FAILED"))
    with pytest.raises(StaleGeneration):
        ledger.renew(RUN, 1)
    assert ledger.list_runs() == []


def test_launch_describes_a_run_only_until_it_is_claimed(opened: Ledger) -> None:
    assert opened.describe(RUN, epochs=3, strategy="fused", upload_started_at=None)
    opened.claim(RUN, 1, "owner")
    assert not opened.describe(RUN, epochs=99)
    assert run_of(opened).epochs == 3


def test_settings_and_plan_come_back_as_they_were_whatever_their_numbers(opened: Ledger) -> None:
    settings = {"learning_rate": 1e-300, "l2": 0.0, "neurons": {"layer1": 3}, "threshold": None, "epochs": 10**30}
    opened.describe(RUN, settings=settings)
    assert run_of(opened).settings == settings


# The lease


def test_a_claim_makes_the_run_running_under_its_generation(running: Ledger) -> None:
    run = run_of(running)
    assert (run.status, run.generation, run.owner, run.invocations) == ("RUNNING", 1, "owner", 2)
    assert run.lease_expires > run.heartbeat


def test_a_generation_is_claimed_once(running: Ledger) -> None:
    before = run_of(running)
    assert running.claim(RUN, 1, "a second copy of the message") is None
    assert run_of(running) == before


@pytest.mark.parametrize("generation", [0, 3, 7])
def test_only_the_next_generation_may_be_claimed(running: Ledger, generation: int) -> None:
    assert running.claim(RUN, generation, "other") is None
    assert run_of(running).generation == 1


def test_a_released_generation_may_be_claimed_again_once(running: Ledger) -> None:
    running.release(RUN, 1, "failed and will be repeated")
    assert running.claim(RUN, 1, "retry")
    assert running.claim(RUN, 1, "another retry") is None
    assert run_of(running).owner == "retry"


def test_after_a_release_a_successor_may_take_over_and_the_old_generation_may_not_return(running: Ledger) -> None:
    running.release(RUN, 1, "hands over")
    assert running.claim(RUN, 2, "successor")
    running.release(RUN, 1, "too late")
    assert running.claim(RUN, 1, "late copy") is None
    assert run_of(running).generation == 2
    assert run_of(running).lease_expires > 0


def test_renewing_notes_progress_and_returns_the_run(running: Ledger) -> None:
    before = run_of(running)
    run = running.renew(RUN, 1, epoch=4, cost=0.25)
    assert (run.epoch, run.cost) == (4, 0.25)
    assert run.lease_expires >= before.lease_expires
    assert run == run_of(running)


def test_an_older_generation_can_change_nothing(running: Ledger) -> None:
    running.claim(RUN, 2, "successor")
    before = run_of(running)
    with pytest.raises(StaleGeneration, match="generation 1"):
        running.renew(RUN, 1, epoch=99)
    assert running.finish(RUN, 1, "FAILED", "late") is None
    assert not running.note(RUN, 1, "late")
    running.release(RUN, 1, "late")
    assert run_of(running) == before


# Ending, stopping, resuming


def test_a_run_ends_once(running: Ledger) -> None:
    ended = running.finish(RUN, 1, "COMPLETED", None, final_cost=0.5)
    assert ended is not None
    assert (ended.status, ended.final_cost, ended.closing) == ("COMPLETED", 0.5, True)
    before = run_of(running)
    assert running.finish(RUN, 1, "FAILED", "a second opinion") is None
    assert run_of(running) == before


def test_nothing_goes_on_after_the_end(running: Ledger) -> None:
    running.finish(RUN, 1, "STOPPED", "on request")
    assert running.claim(RUN, 1, "late") is None
    assert running.claim(RUN, 2, "late") is None
    with pytest.raises(StaleGeneration):
        running.renew(RUN, 1)


def test_launch_may_end_a_run_that_nobody_has_claimed(opened: Ledger) -> None:
    ended = opened.finish(RUN, 0, "FAILED", "epochs: missing")
    assert ended is not None
    assert ended.reason == "epochs: missing"


def test_closing_marks_the_end_as_carried_out_and_may_be_repeated(running: Ledger) -> None:
    running.finish(RUN, 1, "COMPLETED", None)
    running.close(run_of(running))
    running.close(run_of(running))
    assert run_of(running).closing is False
    assert run_of(running).status == "COMPLETED"


@pytest.mark.parametrize("fixture", ["opened", "running"])
def test_a_run_that_is_going_can_be_asked_to_stop(fixture: str, request: pytest.FixtureRequest) -> None:
    ledger: Ledger = request.getfixturevalue(fixture)
    assert ledger.request_stop(RUN).stop_requested is True


def test_what_has_ended_or_never_was_cannot_be_stopped(running: Ledger) -> None:
    running.finish(RUN, 1, "COMPLETED", None)
    with pytest.raises(RunStateError, match=r"cannot be stopped: it is COMPLETED"):
        running.request_stop(RUN)
    with pytest.raises(RunStateError, match=r"there is no run nobody"):
        running.request_stop("nobody")


@pytest.mark.parametrize("status", ["STOPPED", "FAILED"])
def test_a_run_with_a_checkpoint_is_reopened_for_its_next_generation(running: Ledger, status: Any) -> None:
    running.request_stop(RUN)
    running.finish(RUN, 1, status, "some reason", checkpoint={"epoch": 3, "key": "k"})
    assert running.reopen(RUN) == 2
    run = run_of(running)
    assert (run.status, run.stop_requested, run.reason, run.finished_at) == ("PENDING", False, None, None)
    claimed = running.claim(RUN, 2, "owner")
    assert claimed is not None
    assert claimed.checkpoint == {"epoch": 3, "key": "k"}


def test_a_run_is_reopened_once(running: Ledger) -> None:
    running.finish(RUN, 1, "STOPPED", None, checkpoint={"epoch": 3, "key": "k"})
    running.reopen(RUN)
    with pytest.raises(RunStateError, match="it is PENDING"):
        running.reopen(RUN)


def test_what_cannot_go_on_cannot_be_reopened(running: Ledger) -> None:
    with pytest.raises(RunStateError, match="it is RUNNING"):
        running.reopen(RUN)
    with pytest.raises(RunStateError, match="there is no run nobody"):
        running.reopen("nobody")
    running.finish(RUN, 1, "FAILED", "epochs: missing")
    with pytest.raises(RunStateError, match=r"before training could start \(epochs: missing\)"):
        running.reopen(RUN)


def test_a_run_tells_its_story_in_order(running: Ledger) -> None:
    running.note(RUN, 1, "something happened")
    running.finish(RUN, 1, "FAILED", "diverged")
    events = run_of(running).events
    assert [event["what"] for event in events] == [
        "opened",
        "generation 1 started",
        "something happened",
        "failed: diverged",
    ]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)


# Finding runs


def test_runs_are_listed_newest_first_and_by_their_dataset(ledger: Ledger) -> None:
    for day in (2, 3, 1):
        ledger.open_run(f"2026030{day}T000000Z-00000000", dataset_key="odd" if day % 2 else "even")
    assert [run.run_id[7] for run in ledger.list_runs()] == ["3", "2", "1"]
    assert [run.run_id[7] for run in ledger.list_runs("odd")] == ["3", "1"]
    assert ledger.list_runs("neither") == []


def test_more_runs_than_one_answer_holds_are_all_listed(ledger: Ledger) -> None:
    for number in range(5):
        ledger.open_run(f"run-{number}", dataset_key="a key", strategy_reason="x" * 380_000)
    assert len(ledger.list_runs()) == 5
    assert len(ledger.list_runs("a key")) == 5


def test_the_run_of_an_upload_is_found_by_version_or_etag(ledger: Ledger) -> None:
    for number, version in enumerate(["v1", "v2", None]):
        dataset = {"bucket": "bucket", "key": "training_input/a.h5", "version_id": version, "etag": f"e{number}"}
        ledger.open_run(f"run-{number}", dataset_key="training_input/a.h5", dataset=dataset)

    def found(bucket: str, key: str, version: str) -> str | None:
        run = ledger.find_run_of_upload(bucket, key, version)
        return run.run_id if run else None

    assert found("bucket", "training_input/a.h5", "v2") == "run-1"
    assert found("bucket", "training_input/a.h5", '"e2"') == "run-2"
    assert found("bucket", "training_input/a.h5", "v3") is None
    assert found("bucket", "training_input/b.h5", "v2") is None
    assert found("other", "training_input/a.h5", "v2") is None


# The history


FIGURES = [
    0.0,
    1.0,
    0.1 + 0.2,
    1 / 3,
    math.pi * 1e-100,
    1.2345678901234567e-127,
    math.nextafter(1.0, 2.0),
    1e22,
    1.7976931348623157e124,
    -2.5e-7,
]


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_come_back_exactly(ledger: Ledger, figure: float) -> None:
    ledger.record(RUN, [EpochRow(1, figure, 0.5, 1.0, figure)])
    (row,) = ledger.history(RUN)
    assert (row.cost, row.seconds) == (figure, figure)
    assert all(type(getattr(row, name)) is float for name in ("cost", "train_accuracy", "test_accuracy", "seconds"))


@pytest.mark.parametrize(("figure", "stored"), [(5e-324, 0.0), (-1e-200, 0.0), (1e300, 1e125), (-1e300, -1e125)])
def test_figures_beyond_dynamodb_s_numbers_are_cut_off(ledger: Ledger, figure: float, stored: float) -> None:
    ledger.record(RUN, [EpochRow(1, figure, 0.5, 1.0, 0.0)])
    assert ledger.history(RUN)[0].cost == stored


def test_a_long_history_is_written_in_batches_and_read_in_order(ledger: Ledger) -> None:
    ledger.record(RUN, [EpochRow(epoch, epoch / 7, 0.5, 0.25, 0.1) for epoch in reversed(range(1, 62))])
    ledger.record("another", [EpochRow(1, 9.0, 0.5, 0.25, 0.1)])
    history = ledger.history(RUN)
    assert [row.epoch for row in history] == list(range(1, 62))
    assert [row.cost for row in history] == [epoch / 7 for epoch in range(1, 62)]


def test_an_epoch_written_again_replaces_its_row(ledger: Ledger) -> None:
    ledger.record(RUN, [EpochRow(1, 0.5, 0.1, 0.2, 3.0)])
    ledger.record(RUN, [EpochRow(1, 0.5, 0.1, 0.2, 4.0), EpochRow(2, 0.4, 0.1, 0.2, 3.0)])
    assert [(row.epoch, row.seconds) for row in ledger.history(RUN)] == [(1, 4.0), (2, 3.0)]


def test_rows_that_come_late_and_the_row_of_a_stop_that_was_resumed_are_no_part_of_the_history(opened: Ledger) -> None:
    def recorded(*epochs: int) -> list[int]:
        opened.record(RUN, [EpochRow(epoch, 1 / epoch, 0.5, 0.25, 0.1) for epoch in epochs])
        return [row.epoch for row in opened.history(RUN)]

    opened.describe(RUN, settings={"record_every": 10}, epochs=45, checkpoint={"epoch": 0, "key": "k"})
    opened.claim(RUN, 1, "owner")
    assert recorded(10, 20, 23) == [10, 20]
    opened.finish(RUN, 1, "STOPPED", "on request", epoch=23)
    assert recorded() == [10, 20, 23], "the last is always there"
    assert recorded(27, 30) == [10, 20, 23], "a frozen generation wakes up"
    opened.claim(RUN, opened.reopen(RUN), "successor")
    assert recorded(30, 40, 45) == [10, 20, 30, 40, 45]
    opened.finish(RUN, 2, "COMPLETED", None, epoch=45)
    assert recorded(23, 27) == [10, 20, 30, 40, 45]


def test_no_rows_are_no_call(ledger: Ledger, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud.dynamodb, "batch_write_item", None)
    ledger.record(RUN, [])
    assert ledger.history(RUN) == []


def test_a_hundred_rows_are_one_item_and_are_read_like_others(ledger: Ledger, cloud: InProcessCloud) -> None:
    rows = [EpochRow(epoch, 1 / epoch, 0.1, None, 3.0, learning_rate=0.1) for epoch in range(50, 351)]
    ledger.record(RUN, rows)
    stored = cloud.dynamodb.scan(TableName=NAMES.costs_table)["Items"]
    assert len(stored) == 51 + 2 + 50
    assert ledger.history(RUN) == rows
    for after in (99, 150, 199, 200, 201, 299, 300, 349, 350):
        assert ledger.history(RUN, after) == [row for row in rows if row.epoch > after]


def test_rows_of_a_superseded_generation_are_none_of_the_run_in_a_block_either(opened: Ledger) -> None:
    opened.claim(RUN, 1, "a")
    opened.record(RUN, [EpochRow(epoch, 0.5, 0.1, 0.2, 3.0) for epoch in range(1, 201)])
    opened.renew(RUN, 1, epoch=150)
    opened.finish(RUN, 1, "STOPPED", "stopped", epoch=150)
    assert [row.epoch for row in opened.history(RUN)] == list(range(1, 151))


def test_a_history_longer_than_one_answer_is_read_whole(ledger: Ledger, cloud: InProcessCloud) -> None:
    ledger.record(RUN, [EpochRow(epoch, 0.5, 0.1, 0.2, 3.0) for epoch in range(1, 7)])
    for epoch in range(1, 7):
        cloud.dynamodb.update_item(
            TableName=NAMES.costs_table,
            Key={"run_id": {"S": RUN}, "epoch": {"N": str(epoch)}},
            UpdateExpression="SET padding = :padding",
            ExpressionAttributeValues={":padding": {"S": "x" * 380_000}},
        )
    first = cloud.dynamodb.query(
        TableName=NAMES.costs_table,
        KeyConditionExpression="run_id = :run",
        ExpressionAttributeValues={":run": {"S": RUN}},
    )
    assert "LastEvaluatedKey" in first, "this test needs more than one page"
    assert [row.epoch for row in ledger.history(RUN)] == [1, 2, 3, 4, 5, 6]


def test_rows_that_dynamodb_leaves_unprocessed_are_written_again(
    ledger: Ledger, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = cloud.dynamodb.batch_write_item
    sizes = []

    def busy(RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
        ((table, requests),) = RequestItems.items()
        sizes.append(len(requests))
        write(RequestItems={table: requests[:10]})
        left = requests[10:]
        return {"UnprocessedItems": {table: left} if left else {}}

    monkeypatch.setattr(cloud.dynamodb, "batch_write_item", busy)
    ledger.record(RUN, [EpochRow(epoch, 0.5, 0.1, 0.2, 3.0) for epoch in range(1, 41)])
    assert len(ledger.history(RUN)) == 40
    assert max(sizes) <= 25


# Trouble


@pytest.mark.parametrize(
    "fault",
    [
        ClientError(
            {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "slow down"}}, "UpdateItem"
        ),
        ReadTimeoutError(endpoint_url="https://dynamodb"),
    ],
    ids=["refused", "silent"],
)
def test_trouble_with_dynamodb_is_told_from_a_lost_lease(
    running: Ledger, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(**_: Any) -> None:
        raise fault

    monkeypatch.setattr(cloud.dynamodb, "update_item", fail)
    monkeypatch.setattr(cloud.dynamodb, "batch_write_item", fail)
    with pytest.raises(LedgerUnavailable):
        running.renew(RUN, 1)
    with pytest.raises(LedgerUnavailable):
        running.record(RUN, [EpochRow(1, 0.5, 0.1, 0.2, 3.0)])


def test_a_run_of_many_generations_has_a_short_story_and_true_sums(running: Ledger) -> None:
    for generation in range(2, 92):
        running.give_up(RUN, generation - 1, "x" * 10_000)
        assert running.claim(RUN, generation, "owner")
    run = run_of(running)
    assert len(run.events) <= 61
    assert run.disturbances["takeovers"] == 90
    assert run.events[-1]["generation"] == 91


# What the watch reads


def indexed(cloud: InProcessCloud) -> list[str]:
    """The ids that the sparse index holds."""
    items = cloud.dynamodb.scan(TableName=NAMES.runs_table, IndexName=WATCHED_INDEX)["Items"]
    return sorted(item["run_id"]["S"] for item in items)


def test_a_run_is_in_the_index_from_its_opening_until_its_end_was_carried_out(
    cloud: InProcessCloud, ledger: Ledger
) -> None:
    ledger.open_run(RUN)
    assert [run.run_id for run in ledger.watched_runs()] == [RUN]
    ledger.claim(RUN, 1, "owner")
    assert [run.status for run in ledger.watched_runs()] == ["RUNNING"]
    ledger.finish(RUN, 1, "STOPPED", "on request", checkpoint={"epoch": 1, "key": "k"})
    ledger.close(run_of(ledger), done=False)
    assert [run.closing for run in ledger.watched_runs()] == [True]
    ledger.close(run_of(ledger))
    assert (ledger.watched_runs(), indexed(cloud)) == ([], [])
    ledger.reopen(RUN)
    assert indexed(cloud) == [RUN]


def test_the_watch_reads_the_index_and_the_runs_in_it_and_never_the_table(
    cloud: InProcessCloud, ledger: Ledger
) -> None:
    for number in range(20):
        ledger.open_run(f"run-{number}")
        ended = ledger.finish(f"run-{number}", 0, "FAILED", "done with")
        assert ended is not None
        ledger.close(ended)
    ledger.open_run(RUN)
    calls: list[str] = []
    cloud.dynamodb.meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))
    train.handle(cloud.services, Message("", 0, "watch"), lambda: 60.0)
    assert calls == ["Query", "GetItem"]


def test_an_index_that_is_behind_the_table_misleads_nobody(
    cloud: InProcessCloud, running: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has ended meanwhile, one that was deleted, and one that is not in the index yet."""
    stale = [{"run_id": {"S": RUN}}, {"run_id": {"S": "deleted"}}]
    running.finish(RUN, 1, "COMPLETED", None)
    running.close(run_of(running))
    running.open_run("too-new")
    ended = run_of(running)
    with monkeypatch.context() as behind:
        behind.setattr(
            cloud.dynamodb, "get_paginator", lambda _: SimpleNamespace(paginate=lambda **_: [{"Items": stale}])
        )
        assert running.watched_runs() == []
    assert run_of(running) == ended
    assert [run.run_id for run in running.watched_runs()] == ["too-new"]


def without_index(cloud: InProcessCloud, run_id: str) -> None:
    """A run as a release without the index has left it."""
    cloud.dynamodb.update_item(
        TableName=NAMES.runs_table,
        Key={"run_id": {"S": run_id}},
        UpdateExpression="REMOVE #watched",
        ExpressionAttributeNames={"#watched": WATCHED_INDEX},
    )


def test_runs_that_the_release_before_left_unfinished_are_found_once_they_are_entered(
    cloud: InProcessCloud, ledger: Ledger
) -> None:
    for run_id in ("pending", "running", "ended", "closed"):
        ledger.open_run(run_id)
    ledger.claim("running", 1, "owner")
    ledger.finish("ended", 0, "FAILED", "a reason")
    closed = ledger.finish("closed", 0, "FAILED", "a reason")
    assert closed is not None
    ledger.close(closed)
    for run_id in ("pending", "running", "ended"):
        without_index(cloud, run_id)
    assert ledger.watched_runs() == []
    assert ledger.watch_unfinished_runs() == ["ended", "pending", "running"]
    assert [run.run_id for run in ledger.watched_runs()] == ["ended", "pending", "running"]
    assert ledger.watch_unfinished_runs() == [], "there is nothing left to enter"


@pytest.mark.parametrize("change", ["claim", "renew", "finish", "request_stop"])
def test_a_run_of_the_release_before_enters_the_index_with_its_next_change(
    cloud: InProcessCloud, running: Ledger, change: str
) -> None:
    without_index(cloud, RUN)
    arguments: dict[str, tuple[Any, ...]] = {
        "claim": (RUN, 2, "owner"),
        "renew": (RUN, 1),
        "finish": (RUN, 1, "FAILED", "a reason"),
        "request_stop": (RUN,),
    }
    assert getattr(running, change)(*arguments[change])
    assert indexed(cloud) == [RUN]


def test_a_run_that_a_function_of_the_release_before_has_closed_leaves_the_index_at_the_next_look(
    cloud: InProcessCloud, running: Ledger
) -> None:
    running.finish(RUN, 1, "COMPLETED", None)
    running.close(run_of(running))
    cloud.dynamodb.update_item(
        TableName=NAMES.runs_table,
        Key={"run_id": {"S": RUN}},
        UpdateExpression="SET #watched = :yes",
        ExpressionAttributeNames={"#watched": WATCHED_INDEX},
        ExpressionAttributeValues={":yes": {"S": "yes"}},
    )
    assert running.watched_runs() == []
    assert indexed(cloud) == []


def test_the_late_end_of_a_run_that_was_resumed_meanwhile_closes_nothing(running: Ledger) -> None:
    ended = running.finish(RUN, 1, "STOPPED", "on request", checkpoint={"epoch": 1, "key": "k"})
    assert ended is not None
    running.reopen(RUN)
    assert not running.close(ended)
    assert run_of(running).told is False
    assert [run.run_id for run in running.watched_runs()] == [RUN]


# A write whose answer is lost


@contextmanager
def answers_lost(cloud: InProcessCloud, *operations: str) -> Iterator[None]:
    """Every call of these operations is made twice, as botocore makes it when the first answer does not arrive."""
    call = cloud.dynamodb._make_api_call

    def twice(operation: str, arguments: Any) -> Any:
        if operation in operations:
            call(operation, arguments)
        return call(operation, arguments)

    cloud.dynamodb._make_api_call = twice
    yield
    cloud.dynamodb._make_api_call = call


def test_a_write_whose_answer_was_lost_is_known_for_its_own(cloud: InProcessCloud, ledger: Ledger) -> None:
    with answers_lost(cloud, "PutItem", "UpdateItem"):
        assert ledger.open_run(RUN)
        assert ledger.describe(RUN, checkpoint={"epoch": 0, "key": "k"})
        claimed = ledger.claim(RUN, 1, "owner")
        assert claimed is not None
        assert (claimed.generation, claimed.owner, claimed.invocations) == (1, "owner", 2)
        assert ledger.renew(RUN, 1, epoch=1).epoch == 1
        assert ledger.note(RUN, 1, "noted")
        assert ledger.request_stop(RUN).stop_requested
        ended = ledger.finish(RUN, 1, "STOPPED", "on request")
        assert ended is not None
        assert ended.ends == 1
        assert ledger.close(ended)
        assert ledger.reopen(RUN) == 2
    assert [event["what"] for event in run_of(ledger).events] == [
        *("opened", "generation 1 started", "noted", "stop requested", "stopped: on request", "resumed")
    ]


def test_what_somebody_else_has_written_is_not_taken_for_its_own(ledger: Ledger) -> None:
    assert ledger.open_run(RUN)
    assert not ledger.open_run(RUN)
    assert ledger.claim(RUN, 1, "one")
    assert ledger.claim(RUN, 1, "other") is None
    assert ledger.finish(RUN, 1, "FAILED", "a reason")
    assert ledger.finish(RUN, 1, "FAILED", "a reason") is None


# The table of transitions

PAUSED: Paused = {
    "number": 1,
    "generation": 1,
    "since": 1.0,
    "epoch": 1,
    "batch": 0,
    "after": "forward",
    "layer": 1,
}


STATUSES = (*GOING, *ENDED)
CHANGES: dict[Change, Callable[[Ledger], Any]] = {
    "describe": lambda ledger: ledger.describe(RUN, epochs=3),
    "wait": lambda ledger: ledger.wait(RUN, 1, "waiting for capacity, place 1", first=True),
    "claim": lambda ledger: ledger.claim(RUN, 2, "owner"),
    "renew": lambda ledger: ledger.renew(RUN, 1, epoch=4),
    "pause": lambda ledger: ledger.pause(RUN, 1, PAUSED),
    "allow_steps": lambda ledger: ledger.allow_steps(run_of(ledger), 3),
    "release": lambda ledger: ledger.release(RUN, 1, "hands over"),
    "finish": lambda ledger: ledger.finish(RUN, 1, "FAILED", "a reason"),
    "close": lambda ledger: ledger.close(run_of(ledger)),
    "request_stop": lambda ledger: ledger.request_stop(RUN),
    "reopen": lambda ledger: ledger.reopen(RUN, 99),
    "note": lambda ledger: ledger.note(RUN, 1, "noted"),
}


def stored_with(cloud: InProcessCloud, status: str) -> None:
    cloud.dynamodb.update_item(
        TableName=NAMES.runs_table,
        Key={"run_id": {"S": RUN}},
        UpdateExpression="SET #status = :status, #checkpoint = :checkpoint",
        ExpressionAttributeNames={"#status": "status", "#checkpoint": "checkpoint"},
        ExpressionAttributeValues={
            ":status": attribute(status),
            ":checkpoint": attribute({"epoch": 3, "key": "k"}),
        },
    )


@pytest.mark.parametrize("change", ALLOWED_IN)
def test_a_change_is_made_in_the_statuses_that_the_table_allows_and_in_no_other(
    cloud: InProcessCloud, running: Ledger, change: Change
) -> None:
    for status in STATUSES:
        stored_with(cloud, status)
        before = run_of(running)
        with suppress(RunStateError, StaleGeneration):
            CHANGES[change](running)
        after = run_of(running)
        assert (after != before) == (status in ALLOWED_IN[change]), status
        allowed = LEADS_TO.get(change, (status,)) if status in ALLOWED_IN[change] else (status,)
        assert after.status in allowed, status
        running_again(cloud)


def running_again(cloud: InProcessCloud) -> None:
    """The run as generation 1 holds it."""
    cloud.dynamodb.update_item(
        TableName=NAMES.runs_table,
        Key={"run_id": {"S": RUN}},
        UpdateExpression="SET generation = :one REMOVE closing, told, stop_requested, paused, steps_allowed",
        ExpressionAttributeValues={":one": attribute(1)},
    )
