"""With ``snapshots: 0`` a run takes no call and stores no byte more than if nothing of it could be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from lnn.parameter_server import barrier
from lnn.parameter_server.barrier import Barrier
from lnn.strategies.neuron import neuron, trainer
from lnn_client.invocations import NOT_RECORDED, Recorded
from lnn_client.timeline import timeline
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 3, "layer2": 2},
    "activations": {"layer1": "tanh", "layer2": "softmax"},
    "learning_rate": 0.1,
    "strategy": "neuron",
}
ARRIVALS, ADVANCES, STARTS, ENDS = 3 * 2 * 5, 3 * 2 * 2 - 1, 1, 1
OF_RECORDS = {"recorded", "stored_at"}
"""Fields of a position that are there for the timeline alone."""

Calls = Counter[str]


@pytest.fixture
def launched(cloud: InProcessCloud, tmp_path: Path) -> Any:
    dataset = tiny_dataset(tmp_path / "made.h5")

    def launched(**changes: Any) -> str:
        upload = cloud.upload(dataset, PARAMETERS | changes)
        assert cloud.launch(upload) == "launched"
        return upload.run_id

    return launched


@pytest.fixture
def storing_at_every_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barrier, "STORING_SECONDS", 0.0)


@contextmanager
def counted(cloud: InProcessCloud) -> Iterator[Calls]:
    """Counts the commands that Redis carries out, those within scripts too, and the requests to AWS."""
    calls: Calls = Counter()

    def requested(model: Any, **_: Any) -> None:
        calls[f"{model.service_model.service_name} {model.name}"] += 1

    clients = (cloud.s3, cloud.dynamodb)
    for client in clients:
        client.meta.events.register("before-call", requested)
    cloud.redis.config_resetstat()
    try:
        yield calls
    finally:
        stats: Any = cloud.redis.info("commandstats")
        for client in clients:
            client.meta.events.unregister("before-call", requested)
    once = {"config", "config|resetstat", "info", "script", "script|load"}  # the test's own, and a script's first use
    calls.update({f"redis {name.removeprefix('cmdstat_')}": of["calls"] for name, of in stats.items()})
    for name in once:
        del calls[f"redis {name}"]


def calls_of_a_run(cloud: InProcessCloud, run_id: str) -> Calls:
    with counted(cloud) as calls:
        assert cloud.run_to_end(run_id).status == "COMPLETED"
    return calls


def stored(cloud: InProcessCloud, run_id: str) -> dict[str, int]:
    """Bytes of each object of a run, by its name."""
    pages = cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=NAMES.bucket)
    entries = [entry for page in pages for entry in page.get("Contents", ()) if run_id in entry["Key"]]
    return {entry["Key"].replace(run_id, "RUN"): entry["Size"] for entry in entries}


def cut_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code as if runs had never recorded anything: whatever they ask for, it is not there."""
    without = "local LAST, RECORDS, STORING_SECONDS = #KEYS, nil, nil\nlocal function record() end\n"
    monkeypatch.setattr(barrier, "recording", lambda script: f"{without}{script}")
    monkeypatch.setattr(Barrier, "_list_of", lambda *_: [])
    monkeypatch.setattr(Barrier, "_telling", lambda *_: [])
    monkeypatch.setattr(Barrier, "record", lambda *_: None)
    opening = Barrier.open

    def opened(self: Barrier, entry: Any, step: Any, width: int, fields: dict[str, str], keys: Any) -> bool:
        kept = {name: value for name, value in fields.items() if name not in OF_RECORDS}
        return opening(self, entry, step, width, kept, keys)

    monkeypatch.setattr(Barrier, "open", opened)
    for module in (neuron, trainer):
        monkeypatch.setattr(module, "store_records", lambda *_: None)
    for module in ("lnn.strategies.neuron.trainer", "lnn.runs.finalize"):
        monkeypatch.setattr(f"{module}.store_left_records", lambda *_: None)


def test_a_run_takes_and_stores_as_much_as_one_that_could_not_record(
    cloud: InProcessCloud, launched: Any, storing_at_every_arrival: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.run_to_end(launched(snapshots=0))  # whatever is done once in a process is done
    silent = launched(snapshots=0)
    calls = calls_of_a_run(cloud, silent)
    with monkeypatch.context() as patch:
        cut_out(patch)
        cloud.run_to_end(launched())
        never = launched()
        assert calls == calls_of_a_run(cloud, never)
    assert stored(cloud, silent).keys() == stored(cloud, never).keys()
    assert not [key for key in stored(cloud, silent) if "timeline" in key]


def test_a_run_that_records_takes_more_calls_by_its_lines_and_parts_alone(cloud: InProcessCloud, launched: Any) -> None:
    """The other side of the comparison: what is counted would show."""
    cloud.run_to_end(launched())
    silent, run_id = calls_of_a_run(cloud, launched(snapshots=0)), launched()
    recording = calls_of_a_run(cloud, run_id)
    assert not silent - recording
    more = recording - silent
    lines = ARRIVALS + ADVANCES + STARTS + ENDS
    assert {name: more[f"redis {name}"] for name in ("rpush", "llen")} == {"rpush": lines, "llen": lines}
    assert more["s3 PutObject"] == sum("timeline" in key for key in stored(cloud, run_id)) == 1
    assert {name for name in more if not name.startswith("redis")} == {"s3 PutObject"}


def test_a_run_of_one_function_takes_the_same_calls_whatever_its_snapshots(
    cloud: InProcessCloud, launched: Any
) -> None:
    cloud.run_to_end(launched(strategy="fused"))
    first, second = (calls_of_a_run(cloud, launched(strategy="fused", snapshots=n)) for n in (0, 60))
    assert first == second
    assert sum(first.values()) > 0


def test_nothing_of_it_is_in_redis_at_any_time(
    cloud: InProcessCloud, launched: Any, storing_at_every_arrival: None
) -> None:
    launched(snapshots=0)
    looks = 0
    while cloud.queue.messages:
        cloud.deliver(*cloud.queue.messages.pop(0))
        keys = cloud.keys()
        assert not [key for key in keys if key.endswith(b":records")]
        for step in (key for key in keys if key.endswith(b":step")):
            assert not OF_RECORDS & {name.decode() for name in cloud.redis.hgetall(step)}
            looks += 1
    assert looks > ARRIVALS


def test_the_model_and_the_history_have_the_same_bits(cloud: InProcessCloud, launched: Any) -> None:
    runs = [cloud.run_to_end(launched(snapshots=snapshots)) for snapshots in (0, 60)]
    assert cloud.outcome(runs[0].run_id) == cloud.outcome(runs[1].run_id)
    assert runs[0].use["invocations"] == runs[1].use["invocations"]


def test_a_neuron_that_fails_and_a_generation_that_takes_over_record_nothing_either(
    cloud: InProcessCloud, launched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launched(snapshots=0)
    for _ in range(2):
        cloud.deliver(*cloud.queue.messages.pop(0))

    def broken(*_: object) -> Any:
        raise ZeroDivisionError("a fault of the environment")

    with monkeypatch.context() as patch, suppress(ZeroDivisionError):
        patch.setattr(neuron, "forward", broken)
        cloud.deliver(*cloud.queue.messages.pop(0))
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    assert not [key for key in stored(cloud, run_id) if "timeline" in key]


def test_late_copies_take_no_call_more_either(
    cloud: InProcessCloud, launched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def calls() -> Calls:
        run_id = launched(snapshots=0)
        cloud.deliver(*cloud.queue.messages.pop(0))
        copy = cloud.queue.messages[0]
        for _ in range(4):
            cloud.deliver(*cloud.queue.messages.pop(0))
        with counted(cloud) as found:
            cloud.deliver(*copy)
        cloud.run_to_end(run_id)
        return found

    calls()
    assert calls() == Counter({"redis hmget": 1})


def test_readers_say_that_the_run_records_nothing(cloud: InProcessCloud, launched: Any, aws: boto3.Session) -> None:
    logs = aws.client("logs")
    for role in ("launch", "trainer", "neuron"):
        logs.create_log_group(logGroupName=NAMES.log_group(role))
    reader: Any = SimpleNamespace(s3=cloud.s3, names=NAMES, logs=logs)
    run = cloud.run_to_end(launched(snapshots=0))
    assert not run.records_invocations
    assert Recorded(reader, run.run_id).new() == []
    found = timeline(reader, run)
    assert not found.complete
    assert NOT_RECORDED in found.shown
