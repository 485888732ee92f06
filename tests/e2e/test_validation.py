"""Everything wrong with an upload is told to its owner, and nothing else happens."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from support.bad_input.corpus import corpus
from support.e2e_cloud import CloudUnderTest, Run, run_id_of, s3_event
from support.e2e_jobs import blobs, encode, network

GOOD = encode(blobs())
PARAMETERS = network(3, 1, epochs=2)


def everything_wrong() -> tuple[bytes, dict[str, Any]]:
    """A dataset and parameters with faults of every kind."""
    arrays = blobs()
    arrays["train_set_x"][5] = np.nan
    arrays["test_set_y"][0] = 9
    parameters = {"learning_rate": 0, "epoch": 1, "activations": {"layer1": "relu", "layer2": "tanh"}}
    return encode(arrays), PARAMETERS | parameters


HEAVY = ("dataset: gzip bomb of 256 MiB", "dataset: no room for a checksum")
"""Of the corpus: what would take a function's memory, or crash it."""
CASES: dict[str, tuple[bytes, Mapping[str, Any] | bytes | None, tuple[str, ...]]] = {
    "not HDF5": (b"PK\x03\x04 this is a zip", PARAMETERS, ("found a part of a zip file", "expected an HDF5 file")),
    "no parameters.json": (GOOD, None, ("parameters.json: missing; expected s3://", "beside the dataset")),
    "everything at once": (
        *everything_wrong(),
        (
            "learning_rate: found 0; expected a number above 0",
            "epoch: unknown key",
            "activations.layer2: found",
            "train_set_x: found nan at (5, 0)",
            "test_set_y: found label 9 at index 0",
        ),
    ),
    **{bad.name: (bad.dataset, bad.parameters, bad.expected) for bad in corpus() if bad.name in HEAVY},
}
"""Wrong uploads and parts of their reasons, one for each way to a refusal; tests/unit has every reason."""


@pytest.fixture(scope="module")
def given_up_before(cloud: CloudUnderTest) -> int:
    """Events that Launch had given up before these tests."""
    return cloud.dead_letters("launch")


@pytest.fixture(scope="module")
def refusals(cloud: CloudUnderTest, given_up_before: int) -> dict[str, Future[Run]]:
    """The run of every wrong upload, a few at a time."""

    def refuse(name: str) -> Run:
        dataset, parameters, _ = CASES[name]
        return cloud.ended(cloud.start(re.sub(r"\W+", "-", name), dataset, parameters))

    with ThreadPoolExecutor(4) as pool:
        return {name: pool.submit(refuse, name) for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_upload_fails_with_a_reason_and_goes_no_further(
    cloud: CloudUnderTest, refusals: dict[str, Future[Run]], name: str
) -> None:
    run = refusals[name].result()
    assert run.status == "FAILED"
    for fragment in CASES[name][2]:
        assert fragment in run.reason
    assert_told_once_and_not_trained(cloud, run)


def test_no_wrong_upload_is_an_error_of_the_function(
    cloud: CloudUnderTest, refusals: dict[str, Future[Run]], given_up_before: int
) -> None:
    assert all(future.result().status == "FAILED" for future in refusals.values())
    assert cloud.dead_letters("launch") == given_up_before
    assert not cloud.log_lines("launch", "Traceback")


def assert_told_once_and_not_trained(cloud: CloudUnderTest, run: Run) -> None:
    run_id = run.run_id
    (message,) = cloud.messages(run_id)
    assert message.subject == "LNN: training failed"
    assert run.reason in message.body
    assert (run.generation, run.invocations) == (0, 1)
    assert not cloud.log_lines("trainer", run_id)
    assert not cloud.log_lines("neuron", run_id)
    assert not cloud.history(run_id)
    cloud.await_no_keys(run_id)


def test_an_object_deleted_before_it_is_read_fails_with_a_reason(cloud: CloudUnderTest) -> None:
    upload = cloud.upload("deleted", GOOD, PARAMETERS)
    first = cloud.completed(cloud.run_of(upload).run_id)
    cloud.s3.delete_object(Bucket=cloud.names.bucket, Key=upload.key)
    late = first.dataset | {"sequencer": "FFFF"}

    assert cloud.invoke("launch", s3_event(late)) == {run_id_of(late): "refused"}

    run = cloud.ended(run_id_of(late))
    assert run.status == "FAILED"
    assert run.reason == (
        f"s3://{cloud.names.bucket}/{upload.key}: deleted before it could be read; upload it again to train on it"
    )
    assert_told_once_and_not_trained(cloud, run)


def test_a_key_with_spaces_and_unicode_is_trained_on(cloud: CloudUnderTest) -> None:
    folder = cloud.new_folder("möwen & 猫 +100%")
    upload = cloud.upload("", GOOD, PARAMETERS, file="data set (1) ä+b=c.h5", folder=folder)
    run = cloud.completed(cloud.run_of(upload).run_id)
    assert run.dataset["key"] == upload.key == f"{folder}data set (1) ä+b=c.h5"
    assert [row["epoch"] for row in cloud.history(run.run_id)] == [1, 2]


def test_every_record_of_an_event_is_handled(cloud: CloudUnderTest) -> None:
    good = cloud.completed(cloud.start("pair-good", GOOD, PARAMETERS))
    bad = cloud.ended(cloud.start("pair-bad", b"no HDF5", PARAMETERS))
    records = [run.dataset | {"sequencer": "FFFF"} for run in (bad, good)]

    answer = cloud.invoke("launch", s3_event(*records))

    assert answer == {run_id_of(records[0]): "refused", run_id_of(records[1]): "launched"}
    assert cloud.ended(run_id_of(records[0])).status == "FAILED"
    assert cloud.completed(run_id_of(records[1])).epoch == 2


def test_the_test_event_of_s3_opens_no_run(cloud: CloudUnderTest) -> None:
    event = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-11-21T00:00:00.000Z",
        "Bucket": cloud.names.bucket,
        "RequestId": "5582815E1AEA5ADF",
        "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
    }
    before = len(cloud.ledger.list_runs())
    assert cloud.invoke("launch", event) == {}
    assert len(cloud.ledger.list_runs()) == before


@pytest.mark.parametrize("key", ["elsewhere/datasets.h5", "training_input/notes.txt", "training_input-2/datasets.h5"])
def test_other_objects_open_no_run(cloud: CloudUnderTest, key: str) -> None:
    upload = cloud.put(key, GOOD)
    record = {
        "bucket": cloud.names.bucket,
        "key": key,
        "version_id": upload.version_id,
        "etag": upload.etag,
        "sequencer": f"{time.time_ns():X}",
        "event_time": "2026-11-21T00:00:00.000Z",
    }
    # S3 does not send such an event; Launch does not trust that.
    assert cloud.invoke("launch", s3_event(record)) == {run_id_of(record): "ignored"}
    cloud.ended(cloud.start("afterwards", b"", PARAMETERS))
    assert cloud.runs_of(key) == []


def test_the_command_tells_of_a_refusal_in_one_line(cloud: CloudUnderTest, tmp_path: Any) -> None:
    arrays = blobs()
    arrays["train_set_x"][5] = np.nan
    (tmp_path / "bad.h5").write_bytes(encode(arrays))
    (tmp_path / "parameters.json").write_text(json.dumps(PARAMETERS))
    done = cloud.lnn("train", tmp_path / "bad.h5", "-p", tmp_path / "parameters.json", "--no-check", "--wait", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["status"] == "FAILED"
    assert "train_set_x: found nan at (5, 0)" in answer["reason"]
    assert answer["model"] is None
    assert done.stderr.splitlines()[-1].startswith(f"error: run {answer['run_id']} failed: train_set_x: found nan")
    assert "Traceback" not in done.stderr
