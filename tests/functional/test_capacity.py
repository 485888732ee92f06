"""Runs with workers share what may run at once: each starts when all of its workers can, first come, first served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lnn import train
from lnn.errors import LedgerUnavailable
from lnn.messages import Message
from lnn.runs import finalize
from lnn.runs.capacity import CAPACITY, Capacity, Reservation
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

AT_ONCE = 8
PARAMETERS: dict[str, Any] = {
    "epochs": 4,
    "layers": 2,
    "neurons": {"layer1": 16, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "strategy": "resident",
    "workers": AT_ONCE,
}

Launch = Callable[..., str]


@pytest.fixture
def crowd(cloud: InProcessCloud) -> InProcessCloud:
    """A cloud that runs eight workers at once, and knows it."""
    cloud.services = cloud.services_with(neuron_concurrency=AT_ONCE)
    cloud.neuron_concurrency = AT_ONCE
    return cloud


@pytest.fixture
def capacity(crowd: InProcessCloud) -> Capacity:
    found = crowd.services.capacity
    assert found is not None
    return found


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> Launch:
    """Uploads a small job and launches it; returns the run's id."""
    dataset = tiny_dataset(tmp_path / "d.h5")

    def start(**changes: Any) -> str:
        upload = cloud.upload(dataset, {**PARAMETERS, **changes})
        assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
        return upload.run_id

    return start


def deliver_all(cloud: InProcessCloud) -> None:
    """Deliver messages until none is left that Lambda can run at this moment."""
    while cloud.queue.messages:
        waiting = len(cloud.queue.messages)
        for function, message in [cloud.queue.messages.pop(0) for _ in range(waiting)]:
            cloud.deliver(function, message)
        if len(cloud.queue.messages) >= waiting:
            return


def run_all_to_end(cloud: InProcessCloud, run_ids: list[str], seconds: float = 60.0) -> None:
    """Deliver messages, as many workers at once as may run, until all runs have ended. No watch comes."""
    deadline = time.monotonic() + seconds
    while any(cloud.run(run_id).is_unfinished for run_id in run_ids):
        assert time.monotonic() < deadline, [cloud.run(run_id) for run_id in run_ids]
        deliver_all(cloud)
        if cloud.running():
            cloud.workers[0].join(0.01)


def start_trainers(cloud: InProcessCloud) -> None:
    """Deliver the messages to the Trainer; what it sends to Neurons is lost."""
    messages, cloud.queue.messages = cloud.queue.messages, []
    for function, message in messages:
        cloud.deliver(function, message)
    cloud.queue.messages.clear()


def watch(cloud: InProcessCloud) -> list[tuple[str, Message]]:
    """What the watch sends."""
    cloud.queue.messages.clear()
    train.handle(cloud.services, Message("", 0, "watch"), lambda: 60.0)
    sent, cloud.queue.messages = cloud.queue.messages, []
    return sent


def test_eight_runs_of_eight_workers_with_eight_at_once_complete_in_turn(
    crowd: InProcessCloud, capacity: Capacity, launch: Launch
) -> None:
    run_ids = [launch(strategy=strategy, epochs=1) for strategy in ("resident", "data") for _ in range(4)]
    run_all_to_end(crowd, run_ids)
    runs = [crowd.run(run_id) for run_id in run_ids]
    assert [(run.status, run.generation) for run in runs] == [("COMPLETED", 1)] * 8
    assert [run.reason for run in runs] == [None] * 8
    begun = [run.training_started_at or 0.0 for run in runs]
    assert begun == sorted(begun), "first come, first served"
    assert capacity.read().runs == set()
    assert crowd.keys() == []


def test_a_run_that_waits_says_its_place_and_nobody_works_on_it(
    crowd: InProcessCloud, capacity: Capacity, launch: Launch
) -> None:
    run_ids = [launch() for _ in range(4)]
    start_trainers(crowd)
    assert crowd.run(run_ids[0]).status == "RUNNING"
    for place, run_id in enumerate(run_ids[1:], 1):
        run = crowd.run(run_id)
        assert (run.status, run.reason) == ("PENDING", f"waiting for capacity, place {place}")
        assert (run.generation, run.attempts) == (0, None)
        crowd.let_leases_expire(run_id)
    assert [sent.run_id for _, sent in watch(crowd)] == [], "waiting takes no message"
    assert capacity.read().used == AT_ONCE


def test_a_large_run_is_not_starved_by_small_ones_that_came_later(
    crowd: InProcessCloud, capacity: Capacity, launch: Launch
) -> None:
    small, large, late = launch(workers=4), launch(workers=8), launch(workers=4)
    start_trainers(crowd)
    assert capacity.read().place(large) == 1
    assert capacity.read().place(late) == 2, "though its four workers would find room"
    crowd.services.ledger.finish(small, 1, "STOPPED", "by the test")
    finalize.close(crowd.services, crowd.run(small))
    assert crowd.queue.messages == [("trainer", Message(large, 1, "start"))]
    assert crowd.run(late).reason == "waiting for capacity, place 1"


def test_fused_and_neuron_need_no_reservation(crowd: InProcessCloud, launch: Launch) -> None:
    for strategy in ("fused", "neuron"):
        run = crowd.run_to_end(launch(strategy=strategy, workers=None, epochs=1))
        assert run.status == "COMPLETED"
    assert "Item" not in crowd.dynamodb.get_item(TableName=NAMES.runs_table, Key={"run_id": {"S": CAPACITY}})


def test_an_undisturbed_run_takes_two_writes(
    crowd: InProcessCloud, capacity: Capacity, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    call = crowd.dynamodb._make_api_call

    def counting(operation: str, arguments: dict[str, Any]) -> Any:
        if CAPACITY in str(arguments.get("Key")):
            calls.append(operation)
        return call(operation, arguments)

    monkeypatch.setattr(crowd.dynamodb, "_make_api_call", counting)
    crowd.run_to_end(launch())
    assert calls == ["UpdateItem", "UpdateItem"]
    assert capacity.read().used == 0


def test_a_hand_over_keeps_the_reservation(crowd: InProcessCloud, capacity: Capacity, launch: Launch) -> None:
    first, second = launch(), launch()
    start_trainers(crowd)
    crowd.services.ledger.release(first, 1, "handed over")
    crowd.deliver("trainer", Message(first, 2, "start"))
    assert crowd.run(first).generation == 2
    assert capacity.read().held == {first: Reservation(first, 2, AT_ONCE)}
    assert capacity.read().place(second) == 1


def test_more_workers_than_can_ever_run_are_refused_with_the_cure(crowd: InProcessCloud, tmp_path: Path) -> None:
    upload = crowd.upload(tiny_dataset(tmp_path / "d.h5"), {**PARAMETERS, "workers": 9, "strategy": "data"})
    assert crowd.launch(upload) == "refused"
    reason = crowd.run(upload.run_id).reason
    assert reason is not None
    assert "workers: found 9; expected at most 8" in reason
    assert "functions.neuron.reserved_concurrency" in reason


# Crashes -------------------------------------------------------------------------------------------------------------


def test_a_start_that_is_lost_after_the_admission_is_sent_again_by_the_watch(
    crowd: InProcessCloud, launch: Launch
) -> None:
    first, second = launch(), launch()
    start_trainers(crowd)
    crowd.services.ledger.finish(first, 1, "STOPPED", "by the test")
    finalize.close(crowd.services, crowd.run(first))
    assert crowd.queue.messages == [("trainer", Message(second, 1, "start"))]
    crowd.let_leases_expire(second)
    assert watch(crowd) == [("trainer", Message(second, 1, "start"))]


def test_a_crash_before_the_workers_are_given_back_is_healed_by_the_watch(
    crowd: InProcessCloud, capacity: Capacity, launch: Launch
) -> None:
    first, second = launch(), launch()
    start_trainers(crowd)
    crowd.services.ledger.finish(first, 1, "STOPPED", "by the test")  # and here it dies
    assert watch(crowd) == [("trainer", Message(second, 1, "start"))]
    assert capacity.read().held.keys() == {second}


def test_what_a_late_start_of_an_ended_run_reserves_is_freed(
    crowd: InProcessCloud, capacity: Capacity, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch()
    ledger = crowd.services.ledger
    reserve = Capacity.reserve

    def ends_meanwhile(self: Capacity, *given: Any) -> int:
        ledger.finish(run_id, 0, "STOPPED", "by the test")
        return reserve(self, *given)

    with monkeypatch.context() as late:
        late.setattr(Capacity, "reserve", ends_meanwhile)
        start_trainers(crowd)
    assert capacity.read().runs == set()

    # It dies before it can free them: the watch does.
    capacity.reserve(run_id, 1, AT_ONCE)
    watch(crowd)
    assert capacity.read().runs == set()


def test_workers_of_a_run_that_was_deleted_are_freed(crowd: InProcessCloud, capacity: Capacity) -> None:
    capacity.reserve("20260102T030405Z-01234567", 1, AT_ONCE)
    watch(crowd)
    assert capacity.read().runs == set()


def test_a_late_end_frees_nothing_of_the_run_resumed_meanwhile(
    crowd: InProcessCloud, capacity: Capacity, launch: Launch
) -> None:
    run_id = launch()
    start_trainers(crowd)
    ended = crowd.services.ledger.finish(run_id, 1, "STOPPED", "by the test")
    assert ended is not None
    crowd.services.ledger.reopen(run_id)
    crowd.deliver("trainer", Message(run_id, 2, "start"))
    finalize.give_back(crowd.services, ended)  # the end of generation 1 wakes up
    capacity.recover(run_id)
    assert capacity.read().held == {run_id: Reservation(run_id, 2, AT_ONCE)}


def test_a_run_that_is_stopped_while_it_waits_ends_and_can_be_resumed(
    crowd: InProcessCloud, capacity: Capacity, launch: Launch
) -> None:
    first, second, third = launch(), launch(), launch()
    start_trainers(crowd)
    crowd.services.ledger.request_stop(second)
    watch(crowd)
    run = crowd.run(second)
    assert (run.status, run.closing) == ("STOPPED", False)
    assert run.reason == "stopped on request after epoch 0, while it waited for capacity"
    assert [one.run_id for one in capacity.read().waiting] == [third]
    generation = crowd.services.ledger.reopen(second)
    crowd.deliver("trainer", Message(second, generation, "start"))
    assert crowd.run(second).reason == "waiting for capacity, place 2"
    crowd.queue.messages.clear()
    crowd.services.ledger.finish(first, 1, "STOPPED", "by the test")
    finalize.close(crowd.services, crowd.run(first))
    run_all_to_end(crowd, [second, third])
    assert [crowd.run(run_id).status for run_id in (second, third)] == ["COMPLETED"] * 2


def test_a_table_that_does_not_take_the_workers_back_does_not_keep_the_end_from_people(
    crowd: InProcessCloud, capacity: Capacity, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch()
    start_trainers(crowd)

    def fail(*_: Any) -> bool:
        raise LedgerUnavailable("for a while")

    crowd.messages_sent()
    with monkeypatch.context() as away:
        away.setattr(Capacity, "give_back", fail)
        crowd.services.ledger.finish(run_id, 1, "STOPPED", "by the test")
        finalize.close(crowd.services, crowd.run(run_id))
        assert (crowd.run(run_id).told, crowd.run(run_id).closing) == (True, True)
        assert len(crowd.messages_sent()) == 1
    crowd.let_leases_expire(run_id)
    watch(crowd)
    assert capacity.read().runs == set()
    assert crowd.run(run_id).closing is False
    assert crowd.messages_sent() == []


# Many at once --------------------------------------------------------------------------------------------------------


def test_reservations_that_come_at_the_same_moment_never_exceed_the_limit(
    crowd: InProcessCloud, capacity: Capacity
) -> None:
    """Random requests and ends from many threads: never too many at once, nobody is forgotten, and none stays."""
    most: list[int] = []
    run_ids = [f"20260102T030405Z-{index:08x}" for index in range(10)]

    def live(run_id: str, workers: int) -> None:
        place = capacity.reserve(run_id, 1, workers)
        while place:
            time.sleep(0.005)
            capacity.admit()
            place = capacity.read().place(run_id)
        most.append(capacity.read().used)
        capacity.give_back(run_id, 1, workers)

    threads = [
        threading.Thread(target=live, args=(run_id, 1 + 5 * index % AT_ONCE)) for index, run_id in enumerate(run_ids)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(most) == len(run_ids)
    assert max(most) <= AT_ONCE
    assert capacity.read().runs == set()
    stored = crowd.dynamodb.get_item(TableName=NAMES.runs_table, Key={"run_id": {"S": CAPACITY}})["Item"]
    assert stored["used"] == {"N": "0"}


def test_no_list_of_runs_shows_the_capacity(crowd: InProcessCloud, capacity: Capacity, launch: Launch) -> None:
    run_id = launch()
    start_trainers(crowd)
    assert capacity.read().used
    ledger = crowd.services.ledger
    assert [run.run_id for run in ledger.list_runs()] == [run_id]
    assert [run.run_id for run in ledger.list_runs(crowd.run(run_id).dataset_key)] == [run_id]
    assert [run.run_id for run in ledger.watched_runs()] == [run_id]
    assert ledger.watch_unfinished_runs() == []
