"""What a run leaves in S3, bit for bit; and what cannot be read says so."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import h5py
import numpy as np
import pytest
from botocore.exceptions import ClientError

from lnn.errors import ConditionFailed, LnnError, NonRetryable, StaleGeneration
from lnn.models.checkpoint import Checkpoint, EpochSoFar
from lnn.models.model_file import Model, encode_model, load_model
from lnn.models.store import PUBLISH_TRIES, Artifacts, Mark
from lnn.network import OPTIMIZERS, Network, Optimizer, init_parameters, new_slots
from support.inprocess_cloud import NAMES, InProcessCloud

RUN = "20260304T050607Z-0123abcd"


@pytest.fixture
def artifacts(cloud: InProcessCloud) -> Artifacts:
    return cloud.services.artifacts


def model(classes: int = 2, **changes: Any) -> Model:
    units = 1 if classes == 2 else classes
    values: dict[str, Any] = {
        "parameters": init_parameters([6, 4, units], ["relu", "sigmoid"], "he", 3, "float64"),
        "run_id": RUN,
        "activations": ["relu", "sigmoid" if classes == 2 else "softmax"],
        "list_classes": ["no cat", "Kätzchen 猫", "dog"][:classes],
        "image_shape": (1, 2, 3),
        "scale": 255.0,
    }
    return Model(**values | changes)


# Tensors and checkpoints


@pytest.mark.parametrize(
    "tensor",
    [
        np.arange(24, dtype=np.uint8).reshape(4, 2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([1, 2, 3], np.int64),
        np.zeros((0, 5), np.float32),
        np.array([0x7FF8DEADBEEF0001], np.uint64).view(np.float64),
    ],
    ids=lambda tensor: f"{tensor.dtype}{tensor.shape}",
)
def test_tensors_come_back_bit_for_bit(artifacts: Artifacts, tensor: np.ndarray[Any, Any]) -> None:
    artifacts.put_tensor(RUN, "train_x", tensor)
    read = artifacts.get_tensor(RUN, "train_x")
    assert (read.dtype, read.shape, read.tobytes()) == (tensor.dtype, tensor.shape, tensor.tobytes())


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_checkpoint_comes_back_bit_for_bit_the_optimizer_s_memory_included(
    artifacts: Artifacts, optimizer: str, dtype: str
) -> None:
    sizes = [3, *[2] * 10, 1]  # eleven layers: W1, W10 and W11 must not be mixed up
    parameters = init_parameters(sizes, ["relu"] * 10 + ["sigmoid"], "he", 3, dtype)
    slots = new_slots(parameters, Optimizer(optimizer, 0.1))
    rng = np.random.default_rng(5)
    for of_W, of_b in slots:
        for array in (*of_W, *of_b):
            array[...] = rng.normal(size=array.shape)
    key = artifacts.put_checkpoint(RUN, 4, Checkpoint(17, parameters, slots))
    read = artifacts.get_checkpoint(key, 17)
    assert read.epoch == 17

    def bits(state: Checkpoint) -> list[tuple[Any, ...]]:
        layers = zip(state.parameters, state.slots, strict=True)
        arrays = [array for (W, b), (of_W, of_b) in layers for array in (W, b, *of_W, *of_b)]
        return [(array.dtype, array.shape, array.tobytes()) for array in arrays]

    assert bits(read) == bits(Checkpoint(17, parameters, slots))
    assert all(array.flags.writeable for layer in read.parameters for array in layer)
    assert all(len(of_W) == len(of_b) == Optimizer(optimizer, 0.1).slots for of_W, of_b in read.slots)


SO_FAR = EpochSoFar(batches=7, cost_sum=0.1 + 0.2, correct=2**53, seconds=1e-3)


@pytest.mark.parametrize("so_far", [SO_FAR, replace(SO_FAR, cost_sum=math.inf), EpochSoFar()])
def test_a_checkpoint_within_an_epoch_keeps_what_there_is_of_it(artifacts: Artifacts, so_far: EpochSoFar) -> None:
    parameters = init_parameters([3, 1], ["sigmoid"], "he", 3, "float32")
    state = Checkpoint(2, parameters, new_slots(parameters, Optimizer("sgd", 0.1)), so_far=so_far)
    key = artifacts.put_checkpoint(RUN, 4, state)
    assert artifacts.get_checkpoint(key, 2).so_far == so_far
    assert state.stored_as(key, 0.5) == {"epoch": 2, "batches": so_far.batches, "key": key, "cost": 0.5}


def test_a_checkpoint_that_was_stored_before_there_were_any_within_an_epoch_is_readable(
    artifacts: Artifacts, cloud: InProcessCloud
) -> None:
    body = io.BytesIO()
    np.savez(body, W1=np.ones((1, 3)), b1=np.zeros((1, 1)))
    cloud.put("runs/old.npz", body.getvalue())
    read = artifacts.get_checkpoint("runs/old.npz", 9)
    assert (read.epoch, read.so_far, read.parameters[0][0].tolist()) == (9, EpochSoFar(), [[1.0, 1.0, 1.0]])


@pytest.mark.parametrize(
    "read",
    [lambda artifacts: artifacts.get_tensor(RUN, "train_x"), lambda artifacts: artifacts.get_checkpoint("runs/no", 1)],
    ids=["tensor", "checkpoint"],
)
def test_data_that_has_expired_says_what_to_do(artifacts: Artifacts, read: Any) -> None:
    with pytest.raises(LnnError, match=rf"s3://{NAMES.bucket}/runs/.* is gone: .*upload the dataset again"):
        read(artifacts)


def test_other_trouble_with_s3_is_not_taken_for_a_missing_object() -> None:
    class Busy:
        def get_object(self, **_: str) -> None:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "please"}}, "GetObject")

    with pytest.raises(ClientError, match="SlowDown"):
        Artifacts(Busy(), NAMES.bucket).get_tensor(RUN, "train_x")  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", [b"", b"not what numpy wrote"], ids=["empty", "garbage"])
def test_data_that_somebody_has_overwritten_says_what_to_do(
    cloud: InProcessCloud, artifacts: Artifacts, damage: bytes
) -> None:
    artifacts.put_tensor(RUN, "train_x", np.zeros(3))
    for key in (f"runs/{RUN}/tensors/train_x.npy", "runs/checkpoint.npz"):
        cloud.put(key, damage)
    for read in (
        lambda: artifacts.get_tensor(RUN, "train_x"),
        lambda: artifacts.get_checkpoint("runs/checkpoint.npz", 1),
    ):
        with pytest.raises(LnnError, match=r"s3://.* is no longer what was stored .*restore its earlier version"):
            read()


# The model and the results


def test_params_h5_has_the_documented_datasets_and_attributes() -> None:
    one = model()
    with h5py.File(io.BytesIO(encode_model(one)), "r") as file:
        assert sorted(file) == ["W1", "W2", "b1", "b2"]
        for layer, (W, b) in enumerate(one.parameters, start=1):
            np.testing.assert_array_equal(file[f"W{layer}"][()], W, strict=True)
            np.testing.assert_array_equal(file[f"b{layer}"][()], b, strict=True)
        assert file["W2"].shape == (1, 4)
        assert file["b1"].shape == (4, 1)
        assert file.attrs["run_id"] == RUN
        assert file.attrs["layers"] == 2
        assert json.loads(file.attrs["activations"]) == ["relu", "sigmoid"]
        assert json.loads(file.attrs["list_classes"]) == ["no cat", "Kätzchen 猫"]
        assert json.loads(file.attrs["image_shape"]) == [1, 2, 3]
        assert file.attrs["scale"] == 255.0


@pytest.mark.parametrize("shape", [None, (1, 2, 3), (2, 3)])
@pytest.mark.parametrize("source", ["bytes", "path", "text"])
def test_a_model_is_read_from_bytes_and_from_files(tmp_path: Path, source: str, shape: Any) -> None:
    one = model(image_shape=shape)
    path = tmp_path / "params.h5"
    path.write_bytes(encode_model(one))
    read = load_model({"bytes": path.read_bytes(), "path": path, "text": str(path)}[source])
    for (W, b), (W_read, b_read) in zip(one.parameters, read.parameters, strict=True):
        np.testing.assert_array_equal(W_read, W, strict=True)
        np.testing.assert_array_equal(b_read, b, strict=True)
    assert (read.run_id, read.activations, read.list_classes) == (one.run_id, one.activations, one.list_classes)
    assert (read.image_shape, read.scale) == (shape, 255.0)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_model_alone_is_enough_to_predict_with(classes: int) -> None:
    one = model(classes)
    X = np.random.default_rng(1).normal(size=(6, 5))
    probabilities = load_model(encode_model(one)).predict_proba(X)
    assert probabilities.shape == (classes, 5)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1.0)
    units = 1 if classes == 2 else classes
    expected = Network([6, 4, units], one.activations).predict_proba(one.parameters, X)
    np.testing.assert_array_equal(probabilities[-units:], expected)


def changed(change: Any) -> bytes:
    buffer = io.BytesIO(encode_model(model()))
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not HDF5 at all",
        encode_model(model())[:800],
        changed(lambda file: file.attrs.__delitem__("layers")),
        changed(lambda file: file.attrs.__delitem__("activations")),
        changed(lambda file: file.attrs.__setitem__("activations", "not JSON")),
        changed(lambda file: file.attrs.__setitem__("layers", 3)),
        changed(lambda file: file.__delitem__("b2")),
        changed(lambda file: (file.__delitem__("b2"), file.create_group("b2"))),
    ],
    ids=["empty", "text", "cut", "no layers", "no activations", "bad activations", "layer 3", "no b2", "b2 a group"],
)
def test_what_is_no_model_is_refused_with_one_clear_error(raw: bytes) -> None:
    with pytest.raises(LnnError, match=r"not a params\.h5 that LNN wrote"):
        load_model(raw)


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LnnError, match=r"not a params\.h5"):
        load_model(tmp_path / "params.h5")


def test_the_model_of_an_end_is_stored_once(artifacts: Artifacts, cloud: InProcessCloud) -> None:
    content = encode_model(model())
    key = artifacts.put_model(content, RUN, 2, 5, 3)
    assert key == f"runs/{RUN}/results/0002-000000005-000000003/params.h5"
    assert artifacts.put_model(content, RUN, 2, 5, 3) == key
    with pytest.raises(StaleGeneration, match="somebody else"):
        artifacts.put_model(encode_model(model(classes=3)), RUN, 2, 5, 3)
    assert cloud.read(key) == content
    assert artifacts.get_model(key, sha256(content).hexdigest()) == content
    with pytest.raises(NonRetryable, match="SHA-256"):
        artifacts.get_model(key, sha256(b"another").hexdigest())


def test_a_tensor_and_a_checkpoint_are_stored_once(artifacts: Artifacts) -> None:
    parameters = init_parameters([6, 4, 1], ["relu", "sigmoid"], "he", 3, "float64")
    slots = new_slots(parameters, Optimizer("sgd", 0.1))
    key = artifacts.put_checkpoint(RUN, 0, Checkpoint(0, parameters, slots))
    others = [(W + 1, b + 1) for W, b in parameters]
    assert artifacts.put_checkpoint(RUN, 0, Checkpoint(0, others, slots)) == key
    assert np.array_equal(artifacts.get_checkpoint(key, 0).parameters[0][0], parameters[0][0])
    artifacts.put_tensor(RUN, "train_y", np.arange(3))
    artifacts.put_tensor(RUN, "train_y", np.arange(4))
    assert np.array_equal(artifacts.get_tensor(RUN, "train_y"), np.arange(3))


# Published copies

KEY = f"prediction_input/{RUN}/params.h5"


def overtaken_at(cloud: InProcessCloud, operation: str, meanwhile: Callable[[], object], times: int = 1) -> None:
    """Somebody else is faster: ``meanwhile`` happens just before the next calls of ``operation`` reach S3."""
    left = times

    def before(**_: Any) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            meanwhile()

    cloud.s3.meta.events.register(f"before-call.s3.{operation}", before)


@pytest.mark.parametrize("likely_new", [True, False])
def test_a_copy_of_an_earlier_end_never_replaces_that_of_a_later_one(
    likely_new: bool, artifacts: Artifacts, cloud: InProcessCloud
) -> None:
    first, second = Mark(RUN, 1, 100.0), Mark(RUN, 2, 90.0)
    assert artifacts.publish(KEY, b"first", first, Mark.by_end, likely_new=likely_new)
    assert artifacts.publish(KEY, b"second", second, Mark.by_end, likely_new=likely_new)
    assert not artifacts.publish(KEY, b"first", first, Mark.by_end, likely_new=likely_new)
    assert not artifacts.publish(KEY, b"second, again", second, Mark.by_end, likely_new=likely_new)
    assert cloud.read(KEY) == b"second"


def test_a_writer_that_was_overtaken_between_its_look_and_its_write_looks_again(
    artifacts: Artifacts, cloud: InProcessCloud
) -> None:
    artifacts.publish(KEY, b"of run 1", Mark("run-1", 1, 1.0), Mark.by_time)
    overtaken_at(cloud, "PutObject", lambda: artifacts.publish(KEY, b"of run 3", Mark("run-3", 1, 3.0), Mark.by_time))
    assert not artifacts.publish(KEY, b"of run 2", Mark("run-2", 1, 2.0), Mark.by_time)
    assert cloud.read(KEY) == b"of run 3"
    overtaken_at(cloud, "PutObject", lambda: cloud.s3.delete_object(Bucket=NAMES.bucket, Key=KEY))
    assert artifacts.publish(KEY, b"of run 4", Mark("run-4", 1, 4.0), Mark.by_time)
    assert cloud.read(KEY) == b"of run 4"


def test_what_a_person_or_the_release_before_put_there_is_as_late_as_it_was_put(
    artifacts: Artifacts, cloud: InProcessCloud
) -> None:
    cloud.put(KEY, b"somebody's")
    at = cloud.s3.head_object(Bucket=NAMES.bucket, Key=KEY)["LastModified"].timestamp()
    assert not artifacts.publish(KEY, b"older", Mark(RUN, 1, at - 1.0), Mark.by_time)
    assert cloud.read(KEY) == b"somebody's"
    assert artifacts.publish(KEY, b"newer", Mark(RUN, 1, at + 1.0), Mark.by_time)
    assert cloud.read(KEY) == b"newer"


def test_a_copy_that_changes_all_the_time_is_given_up(artifacts: Artifacts, cloud: InProcessCloud) -> None:
    cloud.put(KEY, b"somebody's")
    changes = iter(range(100))
    other = boto3.Session(region_name="us-east-1").client("s3")
    overtaken_at(
        cloud,
        "PutObject",
        lambda: other.put_object(Bucket=NAMES.bucket, Key=KEY, Body=str(next(changes)).encode()),
        PUBLISH_TRIES,
    )
    with pytest.raises(ConditionFailed, match="changed 8 times"):
        artifacts.publish(KEY, b"mine", Mark(RUN, 1, 9e9), Mark.by_time)


def test_a_checkpoint_within_an_epoch_keeps_the_errors_of_each_target(artifacts: Artifacts) -> None:
    parameters = init_parameters([3, 2], ["linear"], "xavier", 0, "float64")
    so_far = replace(SO_FAR, correct=0, squared=(0.1, 0.2), absolute=(0.3, 1 / 3))
    state = Checkpoint(2, parameters, new_slots(parameters, Optimizer("sgd", 0.1)), so_far=so_far)
    assert artifacts.get_checkpoint(artifacts.put_checkpoint("run-t", 1, state), 2).so_far == so_far
