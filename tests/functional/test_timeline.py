"""A run of strategy ``neuron`` records its own invocations: each once, no other run's, and it says what is missing."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from lnn.errors import LnnError
from lnn.messages import Message
from lnn.models.store import Artifacts
from lnn.parameter_server import barrier, record_list
from lnn.parameter_server.record_list import Records
from lnn.parameter_server.records import MOST_BYTES, Invocation, Mark, decode, encode, told
from lnn.runs import timeline as storing
from lnn.strategies.neuron import neuron
from lnn_client.invocations import Feed, Follower, Recorded
from lnn_client.timeline import Timeline, timeline
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

EPOCHS, SIZES = 4, (3, 2)
PARAMETERS: dict[str, Any] = {
    "epochs": EPOCHS,
    "layers": 2,
    "neurons": {"layer1": SIZES[0], "layer2": SIZES[1]},
    "activations": {"layer1": "tanh", "layer2": "softmax"},
    "learning_rate": 0.1,
    "strategy": "neuron",
}
OF_AN_EPOCH = 2 * (sum(SIZES) + len(SIZES))
"""Neurons of both layers, and the Trainer after each layer, forward and backward."""

Launch = Callable[..., str]


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> Launch:
    dataset = tiny_dataset(tmp_path / "made.h5")

    def launched(**changes: Any) -> str:
        upload = cloud.upload(dataset, PARAMETERS | changes)
        assert cloud.launch(upload) == "launched"
        return upload.run_id

    return launched


@pytest.fixture
def reader(cloud: InProcessCloud, aws: boto3.Session) -> Any:
    """What a client needs of a deployment; nobody has written a log there."""
    return SimpleNamespace(s3=cloud.s3, names=NAMES, logs=aws.client("logs"))


@pytest.fixture
def stored_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every neuron that arrives stores what waits."""
    monkeypatch.setattr(barrier, "STORING_SECONDS", 0.0)


def places(invocations: list[Invocation]) -> Counter[tuple[Any, ...]]:
    return Counter((one.role, one.state, one.epoch, one.layer, one.neuron) for one in invocations)


def expected_places() -> Counter[tuple[Any, ...]]:
    """One of each neuron, direction and epoch, one Trainer after each step, and the Trainer that begins."""
    steps = [
        (state, epoch, layer) for epoch in range(1, EPOCHS + 1) for state in ("forward", "backward") for layer in (1, 2)
    ]
    neurons = [
        ("neuron", state, epoch, layer, number)
        for state, epoch, layer in steps
        for number in range(1, SIZES[layer - 1] + 1)
    ]
    return Counter([*neurons, *(("trainer", *step, None) for step in steps), ("trainer", "start", None, None, None)])


def deliver_until(cloud: InProcessCloud, count: int) -> None:
    for _ in range(count):
        cloud.deliver(*cloud.queue.messages.pop(0))


@pytest.mark.parametrize("often", [False, True], ids=["at the end", "all the time"])
def test_the_timeline_has_exactly_the_run_s_own_invocations(
    cloud: InProcessCloud, launch: Launch, reader: Any, often: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if often:
        monkeypatch.setattr(barrier, "STORING_SECONDS", 0.0)
    run = cloud.run_to_end(launch())
    found = timeline(reader, run)
    assert found.complete
    assert places(found.invocations) == expected_places()
    assert len(found.invocations) == run.use["invocations"] - 1, "all but Launch's, which no log tells of here"
    assert {one.memory_mb for one in found.invocations if one.role == "neuron"} == {1769}
    assert {(one.attempt, one.failed, one.generation, one.batch) for one in found.invocations if one.epoch} == {
        (1, False, 1, 0)
    }
    assert cloud.keys() == []


def test_two_runs_at_once_do_not_mix(cloud: InProcessCloud, launch: Launch, reader: Any, stored_at_once: None) -> None:
    first, second = launch(), launch()
    cloud.run_to_end(first)
    cloud.run_to_end(second)
    for run_id in (first, second):
        assert places(timeline(reader, cloud.run(run_id)).invocations) == expected_places()


def test_the_records_say_when_in_the_order_of_the_run(cloud: InProcessCloud, launch: Launch, reader: Any) -> None:
    run_id = launch()
    cloud.run_to_end(run_id)
    found = [one for one in Recorded(reader, run_id).new() if one.epoch]
    steps = [
        (one.epoch, one.state == "backward", -one.layer if one.state == "backward" else one.layer) for one in found
    ]
    assert steps == sorted(steps)
    ends = [one.start + one.seconds for one in found]
    assert ends == pytest.approx(sorted(ends), abs=1e-6)


def test_whoever_follows_reads_each_record_once_as_it_is_stored(
    cloud: InProcessCloud, launch: Launch, reader: Any, stored_at_once: None
) -> None:
    run_id = launch()
    follower, seen = Recorded(reader, run_id), []
    while cloud.queue.messages:
        deliver_until(cloud, 1)
        newer = follower.new(most_parts=1)
        assert len(newer) < OF_AN_EPOCH
        seen += newer
    seen += follower.new()
    assert places(seen) == expected_places()
    assert follower.new() == []


def test_whoever_watches_learns_the_neurons_that_worked_last_and_the_pace(
    cloud: InProcessCloud, launch: Launch, reader: Any, stored_at_once: None
) -> None:
    run_id = launch()
    follower = Follower(reader, run_id)
    assert follower.pulse() is None
    deliver_until(cloud, 3)
    pulse = follower.pulse()
    assert pulse is not None
    assert (pulse.state, pulse.layer, pulse.neurons) == ("forward", 1, [1, 2])
    assert pulse.per_second is not None
    assert pulse.per_second > 0
    cloud.run_to_end(run_id)
    last = follower.pulse()
    assert last is not None
    assert (last.state, last.layer, last.neurons) == ("backward", 1, [1, 2, 3])


def test_a_page_gets_what_it_has_not_had_and_a_neuron_s_own(
    cloud: InProcessCloud, launch: Launch, reader: Any, stored_at_once: None
) -> None:
    run_id = launch()
    feed, first = Feed(reader, run_id), Feed(reader, run_id)
    assert feed.since(0) == {"next": 0, "rows": []}
    deliver_until(cloud, 1 + SIZES[0])
    some = first.since(0)
    assert [row["neuron"] for row in some["rows"]] == [None, 1, 2, 3]
    cloud.run_to_end(run_id)
    rest = first.since(some["next"])
    assert len(some["rows"]) + len(rest["rows"]) == rest["next"] == sum(expected_places().values())
    assert first.since(rest["next"]) == {"next": rest["next"], "rows": []}
    assert first.since(0)["rows"] == some["rows"] + rest["rows"], "another page, or one that is loaded again"
    assert len(feed.of_epoch(3)["rows"]) == OF_AN_EPOCH
    own = feed.of_neuron(3, 1, 2)["invocations"]
    assert [(one["state"], one["attempt"], one["memory_mb"]) for one in own] == [
        ("forward", 1, 1769),
        ("backward", 1, 1769),
    ]


def test_who_begins_to_follow_a_long_run_reads_the_newest_parts_alone(
    cloud: InProcessCloud, launch: Launch, reader: Any, stored_at_once: None
) -> None:
    run_id = launch()
    cloud.run_to_end(run_id)
    newest = Follower(reader, run_id).new()
    assert 0 < len(newest) < OF_AN_EPOCH
    assert newest == Recorded(reader, run_id).new()[-len(newest) :]


def test_an_epoch_s_records_are_found_without_reading_the_others(
    cloud: InProcessCloud, launch: Launch, reader: Any, stored_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch()
    cloud.run_to_end(run_id)
    recorded, read = Recorded(reader, run_id), []
    original = Recorded._part
    monkeypatch.setattr(Recorded, "_part", lambda self, key: read.append(key) or original(self, key))
    of_epoch = recorded.of_epoch(2)
    assert len(of_epoch) == OF_AN_EPOCH
    parts = len(list(recorded._keys()))
    assert 0 < len(read) < parts / 2
    assert recorded.of_epoch(2) == of_epoch
    assert len(read) < parts / 2, "a second look reads none again"
    assert recorded.of_epoch(EPOCHS + 1) == []


@pytest.mark.parametrize("point", [(Artifacts, "put_timeline"), (Records, "forget")], ids=["stored", "forgotten"])
def test_who_dies_after_storing_loses_and_doubles_nothing(
    cloud: InProcessCloud,
    launch: Launch,
    reader: Any,
    stored_at_once: None,
    point: tuple[type, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner, name = point
    original, left = getattr(owner, name), [6]

    def dying(*arguments: Any) -> None:
        left[0] -= 1
        if left[0] >= 0 and left[0] % 2 and name == "forget":
            raise LnnError("dead before it is forgotten")
        original(*arguments)
        if left[0] >= 0 and left[0] % 2:
            raise LnnError("dead")

    monkeypatch.setattr(owner, name, dying)
    run = cloud.run_to_end(launch())
    assert left[0] < 0
    assert places(timeline(reader, run).invocations) == expected_places()


def test_two_who_store_at_once_lose_and_double_nothing(
    cloud: InProcessCloud, launch: Launch, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one has read fewer records, and stores them after the faster one has taken all of them away."""
    run_id = launch()
    deliver_until(cloud, 8)
    server = cloud.services.server(run_id)
    records = Records(server)
    (fill,) = records.fills(1)
    slow = records.waiting(fill)
    deliver_until(cloud, 6)
    storing.store_records(cloud.services, run_id, [fill])
    assert records.waiting(fill) == []
    deliver_until(cloud, 6)
    storing._store(cloud.services, run_id, fill, slow)
    records.forget(fill, slow)
    run = cloud.run_to_end(run_id)
    assert places(timeline(reader, run).invocations) == expected_places()


def test_a_repeat_is_a_second_attempt(cloud: InProcessCloud, launch: Launch, reader: Any) -> None:
    run_id = launch()
    deliver_until(cloud, 1)
    function, message = cloud.queue.messages[0]
    cloud.deliver(function, message)
    cloud.deliver(function, message)
    run = cloud.run_to_end(run_id)
    found = timeline(reader, run)
    counted = [one for one in found.invocations if one.counts]
    assert places(counted) == expected_places() + Counter([("neuron", "forward", 1, 1, 1)])
    assert [(one.neuron, one.attempt) for one in counted if one.attempt > 1] == [(1, 2)]
    assert len(counted) == run.use["invocations"] - 1


def test_late_copies_have_lines_and_do_not_count(cloud: InProcessCloud, launch: Launch, reader: Any) -> None:
    """A neuron's message comes again one step later, its Trainer's too, and both again an epoch later."""
    run_id = launch()
    deliver_until(cloud, 1)
    first = cloud.queue.messages[0]
    deliver_until(cloud, SIZES[0])
    trainers = cloud.queue.messages[0]
    assert (trainers[0], first[0]) == ("trainer", "neuron")
    deliver_until(cloud, 1)
    for later in (1, OF_AN_EPOCH):
        for copy in (first, trainers):
            cloud.deliver(*copy)
        deliver_until(cloud, later)
    run = cloud.run_to_end(run_id)
    found = timeline(reader, run)
    assert found.complete
    late = [one for one in found.invocations if one.late]
    assert places(late) == Counter(
        [*[("neuron", "forward", 1, 1, first[1].neuron + 1)] * 2, *[("trainer", "forward", 1, 1, None)] * 2]
    )
    assert places([one for one in found.invocations if one.counts]) == expected_places()
    assert len(found.invocations) - len(late) == run.use["invocations"] - 1
    assert [one.late for one in Recorded(reader, run_id).of_epoch(1)].count(True) == 4


def test_a_copy_whose_step_ends_while_it_works_has_a_line(
    cloud: InProcessCloud, launch: Launch, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch()
    deliver_until(cloud, 1)
    copy, compute = cloud.queue.messages[0], neuron.forward

    def slow(*arguments: Any) -> Any:
        monkeypatch.setattr(neuron, "forward", compute)
        deliver_until(cloud, SIZES[0] + 1)
        return compute(*arguments)

    monkeypatch.setattr(neuron, "forward", slow)
    cloud.deliver(*copy)
    run = cloud.run_to_end(run_id)
    found = timeline(reader, run)
    late = [one for one in found.invocations if one.late]
    assert places(late) == Counter([("neuron", "forward", 1, 1, copy[1].neuron + 1)])
    assert places([one for one in found.invocations if one.counts]) == expected_places()


def test_neurons_that_never_arrived_are_named_by_the_next_generation(
    cloud: InProcessCloud, launch: Launch, reader: Any
) -> None:
    run_id = launch()
    deliver_until(cloud, 2)
    killed = [message.neuron + 1 for _, message in cloud.queue.messages]
    cloud.queue.messages.clear()
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    found = timeline(reader, run)
    missed = [one for one in found.invocations if one.missed]
    assert [(one.generation, one.epoch, one.state, one.layer, one.neuron) for one in missed] == [
        (1, 1, "forward", 1, number) for number in killed
    ]
    assert len(killed) == SIZES[0] - 1
    assert found.complete
    assert sum(one.counts for one in found.invocations) == run.use["invocations"] - 1
    (own,) = [one for one in Feed(reader, run_id).of_neuron(1, 1, killed[0])["invocations"] if one["missed"]]
    assert (own["state"], own["seconds"]) == ("forward", 0.0)


def test_whoever_watches_is_not_told_of_late_copies_as_neurons_at_work(
    cloud: InProcessCloud, launch: Launch, reader: Any, stored_at_once: None
) -> None:
    run_id = launch()
    deliver_until(cloud, 1)
    first = cloud.queue.messages[0]
    deliver_until(cloud, SIZES[0] + 2)
    cloud.deliver(*first)
    deliver_until(cloud, 1)
    follower = Follower(reader, run_id)
    pulse = follower.pulse()
    assert pulse is not None
    assert (pulse.state, pulse.layer) == ("forward", 2)


def test_a_neuron_that_fails_is_marked_and_the_run_s_next_generation_is_in_the_timeline(
    cloud: InProcessCloud, launch: Launch, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch()
    deliver_until(cloud, 2)

    def broken(*_: object) -> Any:
        raise ZeroDivisionError("a fault of the environment")

    with monkeypatch.context() as patch, suppress(ZeroDivisionError):
        patch.setattr(neuron, "forward", broken)
        deliver_until(cloud, 1)
    run = cloud.run_to_end(run_id)
    found = timeline(reader, run)
    assert [(one.layer, one.neuron) for one in found.invocations if one.failed] == [(1, 2)]
    assert [one.generation for one in found.invocations if one.state == "start"] == [1, 2]
    of_neurons = {place for place in places(found.invocations) if place[0] == "neuron"}
    assert of_neurons == {place for place in expected_places() if place[0] == "neuron"}


def test_what_redis_had_not_given_away_is_lost_with_it_and_the_timeline_says_so_or_has_all_that_counts(
    cloud: InProcessCloud, launch: Launch, reader: Any
) -> None:
    run_id = launch(checkpoint_seconds=1e-6)
    deliver_until(cloud, 1 + 2 * OF_AN_EPOCH)
    cloud.redis.flushall()
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    found = timeline(reader, run)
    assert not found.complete
    shown, counted = sum(one.counts for one in found.invocations), run.use["invocations"] - 1
    assert found.shown == f"{shown} of {counted}, up to epoch {EPOCHS} of {EPOCHS}"
    assert min(one.epoch for one in found.invocations if one.epoch) > 1


def test_a_run_stops_recording_at_its_bound_and_the_timeline_says_what_it_shows(
    cloud: InProcessCloud, launch: Launch, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = OF_AN_EPOCH + 10
    monkeypatch.setattr(Records, "most", most)
    run = cloud.run_to_end(launch())
    found = timeline(reader, run)
    assert len(found.invocations) == most - 1 - 1, "Launch's and the start's claim have been counted before"
    assert found.shown == f"{most - 2} of {run.use['invocations'] - 1}, up to epoch 2 of {EPOCHS}"


def test_where_nobody_stores_records_redis_keeps_so_many_and_no_more(
    cloud: InProcessCloud, launch: Launch, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_list, "_LIMITS", record_list._LIMITS.replace(str(record_list.MOST_WAITING), "20"))
    run_id = launch()
    deliver_until(cloud, 3 * OF_AN_EPOCH)
    (fill,) = Records(cloud.services.server(run_id)).fills(1)
    assert cloud.redis.llen(cloud.services.server(run_id).records_path(fill)) == 20
    run = cloud.run_to_end(run_id)
    assert run.status == "COMPLETED"
    assert timeline(reader, run).shown.startswith("20 of ")


def test_a_run_ends_the_same_where_its_timeline_cannot_be_stored(
    cloud: InProcessCloud, launch: Launch, reader: Any, stored_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = cloud.outcome(cloud.run_to_end(launch()).run_id)

    def refused(*_: object) -> None:
        raise LnnError("no")

    monkeypatch.setattr(Artifacts, "put_timeline", refused)
    run = cloud.run_to_end(launch())
    assert run.status == "COMPLETED"
    assert cloud.outcome(run.run_id) == expected
    assert timeline(reader_without_logs(reader), run) == Timeline([])


def reader_without_logs(reader: Any) -> Any:
    """The logs are there and hold nothing of the run."""
    for role in ("launch", "trainer", "neuron"):
        reader.logs.create_log_group(logGroupName=NAMES.log_group(role))
    return reader


def test_a_stopped_and_resumed_run_has_both_parts_in_its_timeline(
    cloud: InProcessCloud, launch: Launch, reader: Any
) -> None:
    run_id = launch()
    deliver_until(cloud, 1 + OF_AN_EPOCH + 3)
    cloud.services.ledger.request_stop(run_id)
    assert cloud.run_to_end(run_id).status == "STOPPED"
    cloud.queue.invoke_trainer(Message(run_id, cloud.services.ledger.reopen(run_id), "start"))
    run = cloud.run_to_end(run_id)
    assert run.status == "COMPLETED"
    found = timeline(reader, run)
    assert found.complete
    assert places(found.invocations) == expected_places() + Counter([("trainer", "start", None, None, None)])
    assert len(found.invocations) == run.use["invocations"] - 1


# The form


def test_a_part_says_what_was_put_in_and_the_same_lines_are_the_same_bytes() -> None:
    lines = [
        f"7:2:3:1:backward:2:4:1764400000.25:{told(250.04, Mark.COLD)}r".encode(),
        f"8:2:3:1:backward:2::1764400001.500000:{told(3)}".encode(),
    ]
    part = encode(lines, 3008, 1769)
    assert part == encode(lines, 3008, 1769)
    (seven, one), (eight, other) = decode(part)
    assert (seven, eight) == (7, 8)
    assert one == Invocation(
        *("neuron", pytest.approx(1764400000.0), 0.25, "backward", 2, 5, 2),
        *(False, 3, 1, 2, True, 1769),
    )
    assert (other.role, other.neuron, other.seconds, other.memory_mb) == ("trainer", None, 0.003, 3008)


def test_a_part_of_another_version_is_refused() -> None:
    with pytest.raises(LnnError, match="version 9"):
        list(decode(gzip.compress(b'{"version": 9, "columns": ""}')))


def test_a_run_of_most_records_stays_below_the_bytes_that_are_stated() -> None:
    longest = b":".join(
        [b"499999", b"9999", b"999999999", b"999999", b"backward", b"100", b"99999", b"1764400000.123456"]
    )
    assert MOST_BYTES <= 60_000_000
    assert len(longest + b":900000.0:crf\n") <= MOST_BYTES / 500_000
