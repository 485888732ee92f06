"""From an upload to a run: what is wrong ends it with every reason; what is right starts it once."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lnn.aws.events import Upload
from lnn.data.dataset import DatasetSummary, write_dataset
from lnn.data.uploads import ParametersVersion, UploadReader, _versions
from lnn.data.validation import examine_dataset
from lnn.job.plan import Plan
from lnn.messages import Message
from lnn.models.store import Artifacts
from lnn.names import PARAMETERS_VERSION, parameters_key
from lnn.network import init_parameters
from lnn.runs.store import Ledger
from support.crashes import killed
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset
from support.zombies import frozen

PARAMETERS: dict[str, Any] = {
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
}


@pytest.fixture
def dataset(tmp_path: Path) -> bytes:
    return tiny_dataset(tmp_path / "made.h5")


def edited(raw: bytes, name: str, value: Any) -> bytes:
    """The dataset with ``name`` replaced, or left out."""
    buffer = io.BytesIO(raw)
    with h5py.File(buffer, "r+") as file:
        del file[name]
        if value is not None:
            file[name] = value
    return buffer.getvalue()


# What is wrong


REFUSALS: dict[str, tuple[Any, Any, list[str]]] = {
    "not HDF5": (lambda raw: b"PNG, not HDF5", PARAMETERS, ["expected an HDF5 file"]),
    "truncated": (lambda raw: raw[: len(raw) // 2], PARAMETERS, ["datasets.h5"]),
    "no test labels": (lambda raw: edited(raw, "test_set_y", None), PARAMETERS, ["test_set_y", "missing"]),
    "NaN": (lambda raw: edited(raw, "train_set_x", np.full((13, 5), np.nan)), PARAMETERS, ["train_set_x", "nan"]),
    "one class": (lambda raw: edited(raw, "train_set_y", np.zeros(13, int)), PARAMETERS, ["train_set_y", "label 0"]),
    "no parameters": (lambda raw: raw, None, ["parameters.json: missing"]),
    "invalid JSON": (lambda raw: raw, b'{"epochs": 3,', ["not valid JSON", "line 1"]),
    "unknown key": (lambda raw: raw, {**PARAMETERS, "epoch": 3}, ["epoch", "epochs"]),
    "several keys": (lambda raw: raw, {**PARAMETERS, "epochs": 0, "l2": -1}, ["epochs", "l2"]),
    "classes do not fit": (
        lambda raw: raw,
        {**PARAMETERS, "neurons": {"layer1": 4, "layer2": 5}, "activations": {"layer1": "relu", "layer2": "softmax"}},
        ["layer2", "5"],
    ),
    "both files": (
        lambda raw: edited(raw, "train_set_y", None),
        {**PARAMETERS, "epochs": "three"},
        ["epochs", "train_set_y"],
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_fails_the_run_with_its_reasons_and_starts_nothing(
    case: str, cloud: InProcessCloud, dataset: bytes
) -> None:
    change, parameters, parts = REFUSALS[case]
    upload = cloud.upload(change(dataset), parameters)
    assert cloud.launch(upload) == "refused"
    run = cloud.run(upload.run_id)
    assert run.status == "FAILED"
    for part in parts:
        assert part in run.reason
    assert run.closing is False
    assert cloud.messages_sent() == ["LNN: training failed"]
    assert cloud.queue.messages == []
    assert cloud.keys() == []


def test_a_dataset_deleted_before_it_is_read_fails_the_run(cloud: InProcessCloud, dataset: bytes) -> None:
    upload = cloud.upload(dataset, PARAMETERS)
    cloud.s3.delete_object(Bucket=upload.bucket, Key=upload.key)
    assert cloud.launch(upload) == "refused"
    assert "deleted before it could be read" in cloud.run(upload.run_id).reason
    assert cloud.messages_sent() == ["LNN: training failed"]
    assert cloud.queue.messages == []


def test_a_refusal_delivered_twice_is_told_once(cloud: InProcessCloud) -> None:
    upload = cloud.upload(b"no dataset", PARAMETERS)
    assert [cloud.launch(upload), cloud.launch(upload)] == ["refused", "duplicate"]
    assert len(cloud.messages_sent()) == 1


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
def test_what_does_not_fit_the_trainer_is_refused(
    cloud: InProcessCloud, dataset: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn.planning.memory.RUNTIME_MB", 4000)
    upload = cloud.upload(dataset, PARAMETERS)
    assert cloud.launch(upload) == "refused"
    assert "3008 MB" in cloud.run(upload.run_id).reason


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
def test_values_too_large_for_the_network_are_refused_before_anything_is_stored(
    cloud: InProcessCloud, dataset: bytes
) -> None:
    upload = cloud.upload(edited(dataset, "test_set_x", np.full((6, 5), 1e39)), {**PARAMETERS, "dtype": "float32"})
    assert cloud.launch(upload) == "refused"
    assert "too large for float32" in cloud.run(upload.run_id).reason
    assert cloud.s3.list_objects_v2(Bucket=NAMES.bucket, Prefix="runs/")["KeyCount"] == 0


def test_running_out_of_memory_is_a_reason_not_a_crash(
    cloud: InProcessCloud, dataset: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("lnn.launch.inspect_dataset", exhaust)
    upload = cloud.upload(dataset, PARAMETERS)
    assert cloud.launch(upload) == "refused"
    assert "1769 MB" in cloud.run(upload.run_id).reason


def test_a_copy_of_a_dataset_is_not_checked_again_and_another_dataset_is(
    cloud: InProcessCloud, dataset: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Path] = []

    def check(path: Path, **limits: Any) -> DatasetSummary:
        checked.append(path)
        return examine_dataset(path, **limits)

    monkeypatch.setattr("lnn.launch.inspect_dataset", check)
    bad = edited(dataset, "train_set_y", np.full(13, 7))
    runs = []
    for content in (dataset, dataset, bad, bad, dataset):
        upload = cloud.upload(content, PARAMETERS)
        cloud.launch(upload)
        runs.append(cloud.run(upload.run_id))
    assert len(checked) == 3
    assert [run.status for run in runs] == ["PENDING", "PENDING", "FAILED", "FAILED", "PENDING"]
    assert runs[0].plan == runs[1].plan == runs[4].plan


@pytest.mark.parametrize("key", ["prediction_input/a.h5", "training_input/parameters.json", "training_input/a.h5.part"])
def test_what_is_no_upload_of_a_dataset_is_ignored(cloud: InProcessCloud, key: str) -> None:
    assert cloud.launch(cloud.put(key, b"anything")) == "ignored"
    assert cloud.services.ledger.list_runs() == []


# What is right


def test_a_good_upload_becomes_a_run_that_is_ready_to_train(cloud: InProcessCloud, dataset: bytes) -> None:
    upload = cloud.upload(dataset, PARAMETERS)
    assert cloud.launch(upload) == "launched"
    assert cloud.queue.messages == [("trainer", Message(upload.run_id, 1, "start"))]
    assert cloud.messages_sent() == ["LNN: training 5-4-1 has started"]
    run = cloud.run(upload.run_id)
    assert (run.status, run.strategy, run.workers, run.epochs) == ("PENDING", "fused", 1, 3)
    assert "fused is estimated at" in run.strategy_reason
    assert 0 < run.estimate["usd"] < 0.01 < run.estimate["seconds"] < 60
    assert run.settings == run.settings | PARAMETERS
    assert run.settings["optimizer"] == "sgd", "defaults are filled in"
    assert run.dimensions == {
        "features": 5,
        "examples": 13,
        "test_examples": 6,
        "classes": ["class 0", "class 1"],
        "sizes": [5, 4, 1],
        "class_counts": {"train": [7, 6], "test": [3, 3]},
    }
    assert run.dataset["key"] == upload.key
    assert run.dataset["version_id"] == upload.version_id


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
def test_the_first_checkpoint_holds_the_weights_that_the_seed_gives(cloud: InProcessCloud, dataset: bytes) -> None:
    upload = cloud.upload(dataset, {**PARAMETERS, "seed": 11, "optimizer": "adam"})
    cloud.launch(upload)
    checkpoint = cloud.run(upload.run_id).checkpoint
    state = cloud.services.artifacts.get_checkpoint(checkpoint["key"], checkpoint["epoch"])
    expected = init_parameters([5, 4, 1], ["relu", "sigmoid"], "auto", 11, "float64")
    for (W, b), (W_expected, b_expected) in zip(state.parameters, expected, strict=True):
        np.testing.assert_array_equal(W, W_expected, strict=True)
        np.testing.assert_array_equal(b, b_expected, strict=True)
    assert [len(of_W) for of_W, _ in state.slots] == [2, 2]
    assert all(not array.any() for of_W, of_b in state.slots for array in (*of_W, *of_b))


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
@pytest.mark.parametrize(("optimizer", "l2", "weight_decay"), [("adam", 0.3, 0.0), ("adamw", 0.0, 0.3)])
def test_l2_is_part_of_the_cost_but_for_the_optimizer_that_decays_weights_apart(
    optimizer: str, l2: float, weight_decay: float, cloud: InProcessCloud, dataset: bytes
) -> None:
    upload = cloud.upload(dataset, {**PARAMETERS, "optimizer": optimizer, "beta1": 0.5, "l2": 0.3})
    assert cloud.launch(upload) == "launched"
    plan = Plan.parse(cloud.run(upload.run_id).plan)
    assert (plan.l2, plan.weight_decay) == (l2, weight_decay)
    assert (plan.beta1, plan.beta2, plan.epsilon) == (0.5, 0.999, 1e-8)


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
@pytest.mark.parametrize(
    ("weights", "expected"),
    [(None, []), ("balanced", [13 / 2 / 7, 13 / 2 / 6]), ({" class 1": 20}, [1.0, 20.0])],
)
def test_the_plan_has_the_weight_of_each_class(
    weights: object, expected: list[float], cloud: InProcessCloud, dataset: bytes
) -> None:
    upload = cloud.upload(dataset, {**PARAMETERS, "class_weight": weights})
    assert cloud.launch(upload) == "launched"
    assert Plan.parse(cloud.run(upload.run_id).plan).class_weight == pytest.approx(expected)


def test_a_key_with_spaces_and_unicode_is_launched(cloud: InProcessCloud, dataset: bytes) -> None:
    cloud.put("training_input/Meine Katzen & 猫/parameters.json", json.dumps(PARAMETERS).encode())
    upload = cloud.put("training_input/Meine Katzen & 猫/1+1 = 100%.h5", dataset)
    assert cloud.launch(upload) == "launched"
    assert cloud.run(upload.run_id).dataset["key"] == upload.key


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
def test_the_client_s_own_start_of_the_upload_is_kept(cloud: InProcessCloud, dataset: bytes) -> None:
    cloud.put("training_input/a/parameters.json", json.dumps(PARAMETERS).encode())
    upload = cloud.put("training_input/a/datasets.h5", dataset, **{"upload-started-at": "12.5"})
    cloud.launch(upload)
    assert cloud.run(upload.run_id).upload_started_at == 12.5


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
def test_an_upload_whose_run_has_begun_is_a_duplicate(cloud: InProcessCloud, dataset: bytes) -> None:
    upload = cloud.upload(dataset, PARAMETERS)
    cloud.launch(upload)
    finished = cloud.run_to_end(upload.run_id)
    cloud.messages_sent()
    assert cloud.launch(upload) == "duplicate"
    assert cloud.queue.messages == []
    assert cloud.messages_sent() == []
    assert cloud.run(upload.run_id) == finished


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
@pytest.mark.parametrize(
    ("place", "method"),
    [
        ("artifacts", "put_tensor"),
        ("artifacts", "put_shard"),
        ("artifacts", "put_checkpoint"),
        ("ledger", "describe"),
        ("queue", "invoke_trainer"),
    ],
)
def test_a_crash_of_launch_is_healed_by_the_next_delivery(
    place: str, method: str, cloud: InProcessCloud, dataset: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = cloud.upload(dataset, PARAMETERS)
    owner = cloud.queue if place == "queue" else getattr(cloud.services, place)

    def crash(*_: Any, **__: Any) -> None:
        raise ConnectionError("cut off")

    with monkeypatch.context() as broken:
        broken.setattr(type(owner), method, crash)
        with pytest.raises(ConnectionError):
            cloud.launch(upload)
    assert cloud.run(upload.run_id).status == "PENDING"
    assert cloud.launch(upload) == "launched"
    assert cloud.queue.messages == [("trainer", Message(upload.run_id, 1, "start"))]
    assert cloud.run_to_end(upload.run_id).status == "COMPLETED"


def test_what_is_odd_about_a_dataset_stays_with_its_run_and_its_range_with_the_plan(
    cloud: InProcessCloud, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (8, 4, 3))
    write_dataset(tmp_path / "datasets.h5", x, [0, 1] * 4, x[:2], [0, 1], ["ant", "bee"])
    upload = cloud.upload((tmp_path / "datasets.h5").read_bytes(), PARAMETERS)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    run = cloud.run(upload.run_id)
    assert [warning[:46] for warning in run.warnings] == ["test_set_x: found 2 of 2 examples in train_set"]
    plan = Plan.parse(run.plan)
    assert (plan.scale, plan.value_range) == (255.0, [0.0, 255.0])
    assert Plan.parse({name: value for name, value in run.plan.items() if name != "value_range"}).value_range is None


# Two files of parameters in one folder


def in_one_folder(cloud: InProcessCloud, dataset: bytes, *, named: bool) -> list[Upload]:
    """Parameters and dataset, then other parameters and the dataset again, before any Launch has run."""
    uploads = []
    for at, epochs in ((1, 3), (2, 5)):
        body = json.dumps({**PARAMETERS, "epochs": epochs}).encode()
        version = cloud.put("training_input/one/parameters.json", body).version_id
        assert version is not None
        metadata = {PARAMETERS_VERSION: version} if named else {}
        upload = cloud.put("training_input/one/datasets.h5", dataset, **metadata)
        uploads.append(replace(upload, event_time=f"2026-01-02T03:04:0{at}Z"))
    return uploads


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
def test_each_upload_is_trained_with_the_parameters_that_its_client_sent_with_it(
    cloud: InProcessCloud, dataset: bytes
) -> None:
    first, second = in_one_folder(cloud, dataset, named=True)
    assert [cloud.launch(upload) for upload in (second, first)] == ["launched", "launched"]
    assert [cloud.run(upload.run_id).epochs for upload in (first, second)] == [3, 5]


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
def test_each_upload_is_trained_with_the_parameters_that_were_there_when_it_came(
    cloud: InProcessCloud, dataset: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = in_one_folder(cloud, dataset, named=False)
    versions = [
        {**entry, "LastModified": datetime(2026, 1, 2, 3, 4, second_of_minute, tzinfo=UTC)}
        for entry, second_of_minute in zip(
            _versions(cloud.s3, NAMES.bucket, "training_input/one/parameters.json"), (2, 1), strict=True
        )
    ]
    monkeypatch.setattr("lnn.data.uploads._versions", lambda *_: versions)
    assert [cloud.launch(upload) for upload in (second, first)] == ["launched", "launched"]
    assert [cloud.run(upload.run_id).epochs for upload in (first, second)] == [3, 5]


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
@pytest.mark.parametrize(
    "asleep_at", ["find_parameters", "read_parameters", "fetch_dataset", "put_tensor", "put_shard", "put_checkpoint"]
)
def test_a_launch_that_sleeps_while_the_parameters_change_prepares_what_its_repeat_prepares(
    asleep_at: str, cloud: InProcessCloud, dataset: bytes
) -> None:
    upload = cloud.upload(dataset, {**PARAMETERS, "seed": 1})
    owner = next(one for one in (UploadReader, Artifacts) if hasattr(one, asleep_at))
    with frozen(owner, asleep_at, lambda: cloud.launch(upload)) as zombie:
        cloud.put(parameters_key(upload.key), json.dumps({**PARAMETERS, "seed": 2, "epochs": 7}).encode())
        assert cloud.launch(upload) == "launched"
        prepared, stored = cloud.run(upload.run_id), everything_stored(cloud)
        zombie.thaw()
    assert zombie.raised is None
    assert cloud.run(upload.run_id).plan == prepared.plan
    assert cloud.run(upload.run_id).launched_at == prepared.launched_at, "a run is prepared once"
    assert everything_stored(cloud) == stored
    assert prepared.settings["seed"] == 1


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
def test_two_launches_that_find_different_parameters_agree_on_those_that_were_written_down_first(
    cloud: InProcessCloud, dataset: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = cloud.upload(dataset, {**PARAMETERS, "seed": 1})

    def newest(inbox: UploadReader, upload: Upload, _: str | None) -> ParametersVersion:
        return ParametersVersion(cloud.s3.head_object(Bucket=upload.bucket, Key=parameters)["VersionId"], None)

    monkeypatch.setattr(UploadReader, "find_parameters", newest)
    parameters = parameters_key(upload.key)
    with frozen(Ledger, "describe", lambda: cloud.launch(upload)) as zombie:
        cloud.put(parameters, json.dumps({**PARAMETERS, "seed": 2, "epochs": 7}).encode())
        assert cloud.launch(upload) == "launched"
        prepared, stored = cloud.run(upload.run_id), everything_stored(cloud)
        zombie.thaw()
    assert zombie.raised is None
    assert cloud.run(upload.run_id).plan == prepared.plan
    assert everything_stored(cloud) == stored
    assert prepared.settings["seed"] == 2


def everything_stored(cloud: InProcessCloud) -> dict[str, str]:
    """The version of each object of the runs: none was written again."""
    listed = cloud.s3.list_object_versions(Bucket=NAMES.bucket, Prefix="runs/")["Versions"]
    assert len(listed) == len({entry["Key"] for entry in listed}), "each object has one version"
    return {entry["Key"]: entry["VersionId"] for entry in listed}


@pytest.mark.usefixtures("_datasets_are_checked_in_this_process")
def test_a_prepared_run_whose_launch_died_is_only_started(cloud: InProcessCloud, dataset: bytes) -> None:
    upload = cloud.upload(dataset, PARAMETERS)
    with killed("invoke trainer", after=False):
        cloud.launch(upload)
    prepared = cloud.run(upload.run_id)
    cloud.s3.delete_object(Bucket=upload.bucket, Key=upload.key)
    assert cloud.launch(upload) == "launched"
    assert cloud.run(upload.run_id) == prepared
    assert cloud.queue.messages == [("trainer", Message(upload.run_id, 1, "start"))]
