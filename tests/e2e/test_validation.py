"""Everything wrong with an upload is told to its owner, and nothing else happens."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from support.bad_input.corpus import corpus
from support.e2e_cloud import CloudUnderTest, Run, run_id_of, s3_event
from support.e2e_jobs import Arrays, blobs, encode, network

GOOD = encode(blobs())
PARAMETERS = network(3, 1, epochs=2)


@dataclass(frozen=True, slots=True)
class Case:
    """A wrong upload, and what its reason must say."""

    name: str
    expected: tuple[str, ...]
    dataset: bytes = GOOD
    parameters: Mapping[str, Any] | bytes | None = None


def damaged(change: Callable[[Arrays], object], **shape: int) -> bytes:
    """A dataset to which ``change`` has happened."""
    arrays = blobs(**shape)
    change(arrays)
    return encode(arrays)


def without(name: str) -> bytes:
    return damaged(lambda arrays: arrays.pop(name))


def with_value(name: str, index: int, value: float) -> bytes:
    return damaged(lambda arrays: arrays[name].__setitem__((index, ...), value))


def replaced(name: str, change: Callable[[Any], Any]) -> bytes:
    return damaged(lambda arrays: arrays.update({name: change(arrays[name])}))


def dataset_case(name: str, dataset: bytes, *expected: str) -> Case:
    return Case(name, expected, dataset, PARAMETERS)


def parameters_case(name: str, change: Mapping[str, Any], *expected: str) -> Case:
    return Case(name, expected, GOOD, PARAMETERS | change)


CASES = [
    dataset_case(
        "not HDF5", b"PK\x03\x04 this is a zip", "datasets.h5: found a part of a zip file", "expected an HDF5 file"
    ),
    dataset_case("empty file", b"", "datasets.h5: the file is empty", "expected an HDF5 file"),
    dataset_case("truncated", GOOD[: len(GOOD) // 2], "datasets.h5", "truncated or damaged"),
    *(
        dataset_case(f"no {name}", without(name), f"{name}: missing", "the file holds")
        for name in ("train_set_x", "train_set_y", "test_set_x", "test_set_y", "list_classes")
    ),
    dataset_case(
        "fewer labels than examples",
        replaced("train_set_y", lambda y: y[:-1]),
        "train_set_y: found 19 labels; expected 20, one for each example in train_set_x",
    ),
    dataset_case(
        "test examples of another shape",
        replaced("test_set_x", lambda x: x[:, :3]),
        "test_set_x: found examples of shape (3,); expected (4,)",
    ),
    dataset_case(
        "label too large", with_value("train_set_y", 3, 7), "train_set_y: found label 7 at index 3", "expected 0 to 1"
    ),
    dataset_case(
        "label negative", with_value("test_set_y", 2, -1), "test_set_y: found label -1 at index 2", "expected 0 to 1"
    ),
    dataset_case(
        "labels not integers",
        replaced("train_set_y", lambda y: y + 0.5),
        "train_set_y: found float64; expected integers",
    ),
    dataset_case("NaN", with_value("train_set_x", 5, np.nan), "train_set_x: found nan at (5, 0)", "expected finite"),
    dataset_case("infinite", with_value("test_set_x", 1, np.inf), "test_set_x: found inf at (1, 0)", "expected finite"),
    dataset_case(
        "zero examples",
        damaged(lambda a: a.update(train_set_x=a["train_set_x"][:0], train_set_y=a["train_set_y"][:0])),
        "train_set_x: found zero examples; expected at least one",
    ),
    dataset_case(
        "examples of one class only",
        replaced("train_set_y", np.zeros_like),
        "train_set_y: found only label 0; expected examples of at least two classes",
    ),
    dataset_case(
        "one class name only",
        replaced("list_classes", lambda names: names[:1]),
        "list_classes: found shape (1,); expected (K,), the names of 2 to",
    ),
    Case(
        "output layer for other classes",
        ("neurons.layer2: found 1 for the output layer; expected 3, one for each of the 3 classes in list_classes",),
        encode(blobs(classes=3)),
        PARAMETERS,
    ),
    parameters_case(
        "activation that is no output",
        {"activations": {"layer1": "tanh", "layer2": "relu"}},
        'activations.layer2: found "relu"; expected "sigmoid" or "softmax" for the output layer',
    ),
    parameters_case(
        "activation that does not exist",
        {"activations": {"layer1": "swish", "layer2": "sigmoid"}},
        'activations.layer1: found "swish"; expected "sigmoid", "relu", "tanh" or "leaky_relu"',
    ),
    parameters_case(
        "softmax of one unit",
        {"activations": {"layer1": "tanh", "layer2": "softmax"}},
        'neurons.layer2: found 1 with "softmax"; expected a unit for each class',
    ),
    parameters_case("unknown key", {"epoch": 5}, "epoch: unknown key; did you mean epochs?"),
    parameters_case("text for a number", {"epochs": "3"}, 'epochs: found "3"; expected an integer from 1'),
    parameters_case("fraction for a count", {"batch_size": 2.5}, "batch_size: found 2.5; expected an integer"),
    parameters_case("missing layer", {"layers": 3}, "neurons.layer3: missing", "activations.layer3: missing"),
    parameters_case("layer too many", {"layers": 1}, "neurons.layer2: found, but layers is 1"),
    parameters_case("zero epochs", {"epochs": 0}, "epochs: found 0; expected an integer from 1"),
    parameters_case("negative rate", {"learning_rate": -0.1}, "learning_rate: found -0.1; expected a number above 0"),
    parameters_case(
        "zero neurons", {"neurons": {"layer1": 0, "layer2": 1}}, "neurons.layer1: found 0; expected an integer from 1"
    ),
    parameters_case("batch too large", {"batch_size": 21}, "batch_size: found 21; expected at most 20"),
    Case(
        "missing key",
        ("learning_rate: missing; expected a number above 0",),
        GOOD,
        {key: value for key, value in PARAMETERS.items() if key != "learning_rate"},
    ),
    Case("invalid JSON", ("parameters.json: not valid JSON at line 2, column",), GOOD, b'{"epochs": 1,\n oops}'),
    Case("JSON that is no object", ("parameters.json: found [1, 2]; expected a JSON object",), GOOD, b"[1, 2]"),
    Case("no parameters.json", ("parameters.json: missing; expected s3://", "beside the dataset"), GOOD, None),
    Case(
        "everything at once",
        (
            "learning_rate: found 0; expected a number above 0",
            "epoch: unknown key",
            "activations.layer2: found",
            "train_set_x: found nan at (5, 0)",
            "test_set_y: found label 9 at index 0",
        ),
        damaged(
            lambda a: (
                a["train_set_x"].__setitem__((5, ...), np.nan),
                a["test_set_y"].__setitem__(0, 9),
            )
        ),
        PARAMETERS | {"learning_rate": 0, "epoch": 1, "activations": {"layer1": "relu", "layer2": "tanh"}},
    ),
]


NASTY = (
    "dataset: huge shape",
    "dataset: gzip bomb of 256 MiB",
    "dataset: gzip of too few values",
    "dataset: no room for a checksum",
    "dataset: train_set_x is a link out of the file",
    "dataset: virtual dataset of itself",
    "dataset: 65,536 different class names",
    "parameters: lists in lists",
    "parameters: half a surrogate pair for a key",
)
"""Of the corpus: what would take a function's memory or time, or crash it."""

CASES += [Case(bad.name, bad.expected, bad.dataset, bad.parameters) for bad in corpus() if bad.name in NASTY]


@pytest.fixture(scope="module")
def given_up_before(cloud: CloudUnderTest) -> int:
    """Events that Launch had given up before these tests."""
    return cloud.dead_letters("launch")


@pytest.fixture(scope="module")
def refusals(cloud: CloudUnderTest, given_up_before: int) -> dict[str, Future[Run]]:
    """The run of every wrong upload, a few at a time."""

    def refuse(case: Case) -> Run:
        return cloud.ended(cloud.start(re.sub(r"\W+", "-", case.name), case.dataset, case.parameters))

    with ThreadPoolExecutor(4) as pool:
        return {case.name: pool.submit(refuse, case) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_wrong_upload_fails_with_a_reason_and_goes_no_further(
    cloud: CloudUnderTest, refusals: dict[str, Future[Run]], case: Case
) -> None:
    run = refusals[case.name].result()
    assert run["status"] == "FAILED"
    for fragment in case.expected:
        assert fragment in run["reason"]
    assert_told_once_and_not_trained(cloud, run)


def test_no_wrong_upload_is_an_error_of_the_function(
    cloud: CloudUnderTest, refusals: dict[str, Future[Run]], given_up_before: int
) -> None:
    assert all(future.result()["status"] == "FAILED" for future in refusals.values())
    assert cloud.dead_letters("launch") == given_up_before
    assert not cloud.log_lines("launch", "Traceback")


def assert_told_once_and_not_trained(cloud: CloudUnderTest, run: Run) -> None:
    run_id = run["run_id"]
    (message,) = cloud.messages(run_id)
    assert message.subject == "LNN: training failed"
    assert run["reason"] in message.body
    assert (run["generation"], run["invocations"]) == (0, 1)
    assert not cloud.log_lines("trainer", run_id)
    assert not cloud.log_lines("neuron", run_id)
    assert not cloud.history(run_id)
    assert not cloud.redis_keys(run_id)


def test_an_object_deleted_before_it_is_read_fails_with_a_reason(cloud: CloudUnderTest) -> None:
    upload = cloud.upload("deleted", GOOD, PARAMETERS)
    first = cloud.completed(cloud.run_of(upload)["run_id"])
    cloud.s3.delete_object(Bucket=cloud.names.bucket, Key=upload.key)
    late = first["dataset"] | {"sequencer": "FFFF"}

    assert cloud.invoke("launch", s3_event(late)) == {run_id_of(late): "refused"}

    run = cloud.ended(run_id_of(late))
    assert run["status"] == "FAILED"
    assert run["reason"] == (
        f"s3://{cloud.names.bucket}/{upload.key}: deleted before it could be read; upload it again to train on it"
    )
    assert_told_once_and_not_trained(cloud, run)


def test_a_key_with_spaces_and_unicode_is_trained_on(cloud: CloudUnderTest) -> None:
    folder = cloud.new_folder("möwen & 猫 +100%")
    upload = cloud.upload("", GOOD, PARAMETERS, file="data set (1) ä+b=c.h5", folder=folder)
    run = cloud.completed(cloud.run_of(upload)["run_id"])
    assert run["dataset"]["key"] == upload.key == f"{folder}data set (1) ä+b=c.h5"
    assert [row["epoch"] for row in cloud.history(run["run_id"])] == [1, 2]


def test_every_record_of_an_event_is_handled(cloud: CloudUnderTest) -> None:
    good = cloud.completed(cloud.start("pair-good", GOOD, PARAMETERS))
    bad = cloud.ended(cloud.start("pair-bad", b"no HDF5", PARAMETERS))
    records = [run["dataset"] | {"sequencer": "FFFF"} for run in (bad, good)]

    answer = cloud.invoke("launch", s3_event(*records))

    assert answer == {run_id_of(records[0]): "refused", run_id_of(records[1]): "launched"}
    assert cloud.ended(run_id_of(records[0]))["status"] == "FAILED"
    assert cloud.completed(run_id_of(records[1]))["epoch"] == 2


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
    (tmp_path / "bad.h5").write_bytes(with_value("train_set_x", 5, np.nan))
    (tmp_path / "parameters.json").write_text(json.dumps(PARAMETERS))
    done = cloud.lnn("train", tmp_path / "bad.h5", "-p", tmp_path / "parameters.json", "--no-check", "--wait", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["status"] == "FAILED"
    assert "train_set_x: found nan at (5, 0)" in answer["reason"]
    assert answer["model"] is None
    assert done.stderr.splitlines()[-1].startswith(f"error: run {answer['run_id']} failed: train_set_x: found nan")
    assert "Traceback" not in done.stderr
