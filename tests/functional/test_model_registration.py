"""From an uploaded params.h5 to a model in staging, or to a reason why not."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import boto3
import h5py
import numpy as np
import pytest
from moto import mock_aws

from lnn.aws.events import Upload
from lnn.aws.notifier import Notifier
from lnn.errors import LnnError, ModelError
from lnn.models.model_file import Model, encode_model, load_model
from lnn.models.store import Artifacts
from lnn.names import LATEST_PARAMS, Names, model_key, params_key, sweep_folder
from lnn.runs.store import Ledger
from lnn.serving import registration
from lnn.serving.registration import RegistrationServices, register
from lnn.serving.registry import Registry
from lnn.serving.router import Serving
from support.models import RUN, brightness_model
from support.odd_names import NO_NAMES, REAL_NAMES

NAMES = Names("lnn", "123456789012", "us-east-1")


class Topic:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.published: list[dict[str, str]] = []

    def publish(self, **message: str) -> None:
        self.published.append(message)


class World:
    """A bucket, the tables, and whoever reads messages."""

    def __init__(self) -> None:
        session = boto3.Session(region_name="us-east-1")
        self.s3 = session.client("s3")
        self.s3.create_bucket(Bucket=NAMES.bucket)
        self.s3.put_bucket_versioning(Bucket=NAMES.bucket, VersioningConfiguration={"Status": "Enabled"})
        dynamodb = session.client("dynamodb")
        for table, key in ((NAMES.models_table, "model_id"), (NAMES.runs_table, "run_id")):
            dynamodb.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        self.topic = Topic()
        self.registry = Registry(dynamodb, NAMES.models_table)
        self.ledger = Ledger(dynamodb, NAMES.runs_table, NAMES.costs_table)
        notifier = Notifier(self.topic, "arn:topic")  # type: ignore[arg-type]
        self.shelf = RegistrationServices(self.registry, Artifacts(self.s3, NAMES.bucket), self.ledger, notifier)

    def put(self, content: bytes, key: str = params_key(RUN), at: str = "2026-11-21T10:00:00Z") -> Upload:
        stored = self.s3.put_object(Bucket=NAMES.bucket, Key=key, Body=content)
        return Upload(NAMES.bucket, key, stored["VersionId"], stored["ETag"].strip('"'), "1", at)

    def train(
        self, run_id: str = RUN, status: Any = "COMPLETED", key: str = "training_input/x/d.h5", **facts: Any
    ) -> None:
        self.ledger.open_run(run_id, dataset_key=key)
        if status != "PENDING":
            self.ledger.finish(run_id, 0, status, None, **facts)


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def test_a_run_s_model_is_registered_with_its_figures_and_people_are_told(world: World) -> None:
    world.train(test_accuracy=0.96, train_accuracy=1.0, final_cost=0.02, epoch=100)
    content = encode_model(brightness_model())
    outcome = register(world.shelf, world.put(content))
    (model,) = world.registry.list_models()
    assert outcome == f"registered as {model['model_id']}"
    assert model["model_id"].startswith(f"{RUN}-")
    assert (model["stage"], model["test_accuracy"], model["sizes"]) == ("staging", 0.96, [16, 1])
    assert (model["image_shape"], model["classes"]) == ([4, 4], 2)
    stored = world.s3.get_object(Bucket=NAMES.bucket, Key=model_key(model["model_id"]))["Body"].read()
    assert stored == content
    (message,) = world.topic.published
    assert message["Subject"] == "LNN: model staged, test accuracy 96.0%"
    assert f"lnn promote {model['model_id']}" in message["Message"]
    assert f"lnn reject {model['model_id']}" in message["Message"]
    assert "no model yet" in message["Message"]


def test_a_trial_s_model_is_not_even_read_and_a_copy_under_another_key_is_registered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train(key=f"{sweep_folder('s')}0001/datasets.h5", test_accuracy=0.9)
    content = encode_model(brightness_model())
    with monkeypatch.context() as patched:
        patched.setattr(registration, "inspect_model", None)
        assert register(world.shelf, world.put(content)).startswith("not registered: a trial of a sweep")
    assert world.registry.list_models() == []
    best = register(world.shelf, world.put(content, "prediction_input/sweeps/s/params.h5"))
    assert best.startswith("registered as ")


def test_a_run_s_model_is_registered_with_base_rate_and_recall(world: World) -> None:
    world.train(
        test_accuracy=0.98,
        dimensions={"classes": ["dark", "light"]},
        test_classes={"examples": [49, 1], "predicted": [50, 0], "right": [49, 0]},
    )
    register(world.shelf, world.put(encode_model(brightness_model())))
    (model,) = world.registry.list_models()
    assert (model["base_rate"], model["balanced_accuracy"], model["skill"]) == (0.98, 0.5, 0.0)
    assert (model["recall"], model["beats_base_rate"]) == ("'dark' 100.0%, 'light' 0.0%", False)
    assert model["remarks"] == ["on the test examples the model is no better than always answering 'dark' (98.0%)"]
    assert f"Warning: {model['remarks'][0]}" in world.topic.published[0]["Message"]


def test_a_model_that_leaves_staging_to_a_better_one_is_told_of_once(world: World) -> None:
    known: dict[str, Any] = {"dimensions": {"classes": ["dark", "light"]}}
    good = {"examples": [49, 1], "predicted": [49, 1], "right": [49, 1]}
    world.train("run-b", test_accuracy=1.0, test_classes=good, **known)
    register(world.shelf, world.put(encode_model(brightness_model(run_id="run-b"))))
    constant = {"examples": [49, 1], "predicted": [50, 0], "right": [49, 0]}
    world.train(test_accuracy=0.98, test_classes=constant, **known)
    upload = world.put(encode_model(brightness_model()), at="2026-11-22T10:00:00Z")
    for _ in range(2):
        register(world.shelf, upload)
    staged, told = world.topic.published
    assert (staged["Subject"], told["Subject"]) == (
        "LNN: model staged, test accuracy 100.0% (base rate 98.0%)",
        "LNN: model not staged",
    )
    newest, first = world.registry.list_models()
    assert world.registry.current().staging == first["model_id"]
    assert "It does not take staging: on the test examples the model is no better than always" in told["Message"]
    assert f"{first['model_id']}, which is in staging, is better" in told["Message"]
    assert f"lnn promote {newest['model_id']}" in told["Message"]


def test_the_message_compares_with_production(world: World) -> None:
    world.train(test_accuracy=0.90)
    register(world.shelf, world.put(encode_model(brightness_model())))
    (first,) = world.registry.list_models()
    world.registry.promote(first["model_id"], "ada")
    world.train("run-b", test_accuracy=0.875)
    register(world.shelf, world.put(encode_model(brightness_model(run_id="run-b"))))
    assert f"{first['model_id']}, test accuracy 90.0%" in world.topic.published[-1]["Message"]
    assert "2.5 percentage points less" in world.topic.published[-1]["Message"]


def test_an_event_that_comes_twice_and_the_copy_that_is_the_latest_change_nothing(world: World) -> None:
    world.train(test_accuracy=0.96)
    content = encode_model(brightness_model())
    upload = world.put(content)
    outcomes = [register(world.shelf, upload), register(world.shelf, upload)]
    outcomes.append(register(world.shelf, world.put(content, LATEST_PARAMS)))
    assert [outcome.split()[0] for outcome in outcomes] == ["registered", "known", "known"]
    assert len(world.registry.list_models()) == len(world.topic.published) == len(world.registry.changes()) == 1


def test_a_repeat_after_a_crash_tells_people_what_the_first_try_did_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train(test_accuracy=0.96)
    upload = world.put(encode_model(brightness_model()))
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "claim_message", lambda *_: (_ for _ in ()).throw(ConnectionError("crash")))
        with pytest.raises(ConnectionError):
            register(world.shelf, upload)
    assert world.topic.published == []
    register(world.shelf, upload)
    assert len(world.topic.published) == len(world.registry.list_models()) == 1


def test_a_resumed_run_s_better_model_is_a_version_of_its_own(world: World) -> None:
    world.train(test_accuracy=0.5)
    better = brightness_model()
    better.parameters[0][1][:] = -9.0
    for model in (brightness_model(), better):
        register(world.shelf, world.put(encode_model(model)))
    newest, first = world.registry.list_models()
    assert newest["run_id"] == first["run_id"] == RUN
    assert (newest["stage"], first["stage"]) == ("staging", "retired")


def test_a_model_that_nobody_trained_here_is_registered_without_figures(world: World) -> None:
    outcome = register(world.shelf, world.put(encode_model(brightness_model()), "prediction_input/mine.h5"))
    assert outcome.startswith("registered")
    assert "test_accuracy" not in world.registry.list_models()[0]
    assert "Test accuracy: not known" in world.topic.published[0]["Message"]


def test_a_measurement_s_model_is_not_registered(world: World) -> None:
    world.train(key="training_input/calibration-1/d.h5")
    assert register(world.shelf, world.put(encode_model(brightness_model()))).startswith("not registered")
    assert world.registry.list_models() == []


def test_the_model_of_a_run_that_goes_on_is_left_to_its_next_end(world: World) -> None:
    world.train(status="PENDING")
    outcome = register(world.shelf, world.put(encode_model(brightness_model())))
    assert outcome == f"not registered: run {RUN} is PENDING"


def test_an_archived_model_is_refused_with_the_cure(world: World) -> None:
    upload = world.put(encode_model(brightness_model()))
    stored = world.s3.put_object(Bucket=NAMES.bucket, Key=upload.key, Body=b"model", StorageClass="GLACIER")
    outcome = register(world.shelf, replace(upload, version_id=stored["VersionId"]))
    assert outcome.startswith("refused: cannot read s3://")
    assert "copy it to the storage class STANDARD" in outcome
    assert [model["refused"] for model in world.registry.list_models()] == [outcome.removeprefix("refused: ")]


def ended_with(content: bytes, **facts: Any) -> dict[str, Any]:
    """What the write that ends a run says of its model."""
    return {"ended_model": {"key": "runs/key", "sha256": sha256(content).hexdigest(), "stored_at": 1.0}, **facts}


def test_a_model_is_a_run_s_if_its_content_is_the_one_that_the_run_ended_with(world: World) -> None:
    content = encode_model(brightness_model())
    world.train(**ended_with(content, test_accuracy=0.96))
    register(world.shelf, world.put(content))
    (model,) = world.registry.list_models()
    assert (model["run_id"], model["test_accuracy"]) == (RUN, 0.96)
    assert model["sha256"] == sha256(content).hexdigest()


@pytest.mark.parametrize("key", [params_key(RUN), LATEST_PARAMS, "prediction_input/mine/params.h5"])
def test_a_model_with_a_good_run_s_id_and_other_weights_has_no_part_in_that_run(world: World, key: str) -> None:
    good, random = encode_model(brightness_model()), brightness_model()
    random.parameters[0][0][:] = np.random.default_rng(1).normal(size=random.parameters[0][0].shape)
    world.train(**ended_with(good, test_accuracy=0.96))
    assert register(world.shelf, world.put(encode_model(random), key)).startswith("registered as unnamed-")
    (model,) = world.registry.list_models()
    assert "run_id" not in model
    assert "test_accuracy" not in model
    assert "Test accuracy: not known" in world.topic.published[0]["Message"]


def test_a_late_event_about_a_model_that_a_later_end_has_replaced_registers_nothing(world: World) -> None:
    better = brightness_model()
    better.parameters[0][1][:] = -9.0
    first = world.put(encode_model(brightness_model()))
    second = world.put(encode_model(better))
    world.train(**ended_with(encode_model(better)))
    assert register(world.shelf, first) == f"not registered: run {RUN} has ended again since, with another model"
    assert register(world.shelf, second).startswith("registered")
    assert len(world.registry.list_models()) == 1


def test_two_models_never_share_an_id(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "model_id_of", lambda *_: "the-same")
    register(world.shelf, world.put(encode_model(brightness_model())))
    other = refitted(list_classes=["a", "b"])
    assert register(world.shelf, world.put(other)) == "not registered: the-same is another model"
    assert world.s3.list_object_versions(Bucket=NAMES.bucket, Prefix=model_key("the-same"))["Versions"][1:] == []


def test_a_registered_model_whose_file_was_replaced_answers_nothing(world: World) -> None:
    register(world.shelf, world.put(encode_model(brightness_model())))
    (model,) = world.registry.list_models()
    serving = Serving(world.registry, world.shelf.artifacts)
    assert serving.model(model["model_id"]).list_classes == brightness_model().list_classes
    forged = refitted(list_classes=["forged", "model"])
    world.s3.put_object(Bucket=NAMES.bucket, Key=model_key(model["model_id"]), Body=forged)
    with pytest.raises(LnnError, match="is not what was stored: its SHA-256 is not"):
        Serving(world.registry, world.shelf.artifacts).model(model["model_id"])


def test_an_upload_that_was_deleted_since_is_no_error(world: World) -> None:
    upload = world.put(encode_model(brightness_model()))
    world.s3.delete_object(Bucket=NAMES.bucket, Key=upload.key, VersionId=upload.version_id)
    assert register(world.shelf, upload).startswith("gone")


def refitted(**changes: Any) -> bytes:
    return encode_model(replace(brightness_model(), **changes))


def with_attribute(name: str, value: Any) -> bytes:
    buffer = io.BytesIO(encode_model(brightness_model()))
    with h5py.File(buffer, "a") as file:
        file.attrs[name] = value
    return buffer.getvalue()


def without(name: str) -> bytes:
    buffer = io.BytesIO(encode_model(brightness_model()))
    with h5py.File(buffer, "a") as file:
        del file[name]
    return buffer.getvalue()


def too_large_unpacked() -> bytes:
    buffer = io.BytesIO(encode_model(brightness_model()))
    with h5py.File(buffer, "a") as file:
        del file["W1"]
        file.create_dataset("W1", shape=(1, 10**9), dtype="f8", chunks=(1, 10**6), compression="gzip")
    return buffer.getvalue()


TWO_LAYERS = [(np.ones((3, 16)), np.zeros((3, 1))), (np.ones((1, 4)), np.zeros((1, 1)))]
UNUSABLE: dict[str, tuple[bytes, str]] = {
    "text": (b"hello", "not a params.h5"),
    "empty": (b"", "not a params.h5"),
    "cut off": (encode_model(brightness_model())[:900], "not a params.h5"),
    "without weights": (without("W1"), "not a params.h5"),
    "of more layers than it has": (with_attribute("layers", 10**9), "not a params.h5"),
    "of no number of layers": (with_attribute("layers", "many"), "not a params.h5"),
    "with activations that are no JSON": (with_attribute("activations", "sigmoid"), "not a params.h5"),
    "with activations that are no list": (with_attribute("activations", "7"), "expected a JSON list of texts"),
    "with an activation that is a list": (with_attribute("activations", '[["relu"]]'), "expected a JSON list of texts"),
    "with an activation that is an object": (with_attribute("activations", "[{}]"), "expected a JSON list of texts"),
    "with activations that are an object": (with_attribute("activations", '{"sigmoid": 1}'), "expected a JSON list"),
    "with classes that are a text": (with_attribute("list_classes", '"ab"'), "expected a JSON list of texts"),
    "with classes that are an object": (with_attribute("list_classes", '{"a": 1, "b": 2}'), "expected a JSON list"),
    "with a scale that is a truth": (with_attribute("scale", True), "scale: found True; expected a number"),
    "with a scale that is text": (with_attribute("scale", "255"), "scale: found '255'; expected a number"),
    "with a range that is text": (with_attribute("value_range", '"01"'), "expected a JSON list of two numbers"),
    "with a border that is no number": (with_attribute("border", "[0.1, NaN]"), "expected the mean and the spread"),
    "with a border of one number": (with_attribute("border", "[0.1]"), "found 1 numbers; expected mean and spread"),
    "with a range of three numbers": (with_attribute("value_range", "[0, 1, 2]"), "found 3 numbers"),
    "with sides that are truths": (
        with_attribute("image_shape", "[true, 16]"),
        "expected a JSON list of whole numbers",
    ),
    "of pictures of one side": (with_attribute("image_shape", "[16]"), "image_shape has 1 sides"),
    "with a run's id that is a number": (with_attribute("run_id", 7), "run_id: found 7; expected a text"),
    "with a run's id that commands terminals": (with_attribute("run_id", "\x1b[2J"), "run_id: found '\\x1b[2J', which"),
    "with a run's id of 60 kB": (with_attribute("run_id", "x" * 60_000), "which takes 60,000 bytes"),
    "of two types": (refitted(parameters=[(np.ones((1, 16)), np.zeros((1, 1), "f4"))]), "numbers of one type"),
    "of long doubles": (refitted(parameters=[(np.ones((1, 16), "g"), np.zeros((1, 1), "g"))]), "numbers of one type"),
    "whose sums overflow": (refitted(parameters=[(np.full((1, 16), 1e308), np.zeros((1, 1)))]), "add up to more"),
    "that unpacks to 8 GB": (too_large_unpacked(), "takes 8,000,000,000 bytes; expected at most"),
    "of layers that do not fit": (
        refitted(parameters=TWO_LAYERS, activations=["relu", "sigmoid"]),
        "W2 takes 4 inputs, and the layer before it has 3 neurons",
    ),
    "with a bias of another shape": (refitted(parameters=[(np.ones((1, 16)), np.zeros((2, 1)))]), "b1"),
    "with values that are not finite": (refitted(parameters=[(np.full((1, 16), np.nan), np.zeros((1, 1)))]), "finite"),
    "of whole numbers": (refitted(parameters=[(np.ones((1, 16), int), np.zeros((1, 1), int))]), "floating-point"),
    "without layers": (refitted(parameters=[], activations=[]), "no layers"),
    "of an unknown activation": (refitted(activations=["softplus"]), "softplus"),
    "of too many activations": (refitted(activations=["relu", "sigmoid"]), "2 activations"),
    "of one class": (refitted(list_classes=["cat"]), "at least 2 different classes"),
    "of classes with one name": (refitted(list_classes=["cat", "cat"]), "more than once"),
    "with terminal colors in a class's name": (
        refitted(list_classes=["dog", NO_NAMES["a color"]]),
        "at index 1, which",
    ),
    "with an override in a class's name": (
        refitted(list_classes=["dog", NO_NAMES["an override"]]),
        "at index 1, which",
    ),
    "with half of a surrogate pair as a class": (
        refitted(list_classes=["dog", NO_NAMES["half of a surrogate pair"]]),
        "at index 1, which holds half of a surrogate pair, U+D800",
    ),
    "of classes without a neuron": (refitted(list_classes=["a", "b", "c"]), "1 neurons for 3 classes"),
    "of pictures that do not fit": (refitted(image_shape=(5, 5)), "image_shape"),
    "of a scale of nothing": (refitted(scale=0.0), "scale"),
    "of a scale that nothing can be divided by": (refitted(scale=1e-320), "scale is 1e-320"),
    "of a scale that is no number": (with_attribute("scale", "large"), "not a params.h5"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_model_that_cannot_predict_is_refused_with_a_reason_and_people_are_told_once(world: World, name: str) -> None:
    content, reason = UNUSABLE[name]
    upload = world.put(content)
    for _ in range(2):
        assert reason in register(world.shelf, upload)
    (model,) = world.registry.list_models()
    assert reason in model["refused"]
    assert model["stage"] == "retired"
    assert world.registry.current().staging is None
    (message,) = world.topic.published
    assert message["Subject"] == "LNN: model refused"
    assert reason in message["Message"]


def test_a_model_whose_classes_have_names_that_people_have_is_registered(world: World) -> None:
    names = list(REAL_NAMES.values())
    layer = (np.ones((len(names), 16)), np.zeros((len(names), 1)))
    content = refitted(parameters=[layer], activations=["softmax"], list_classes=names)
    assert register(world.shelf, world.put(content)).startswith("registered")
    (model,) = world.registry.list_models()
    assert world.shelf.artifacts.get_registered_model(model["model_id"], model["sha256"]).list_classes == names


def test_all_arrays_of_a_model_are_counted_before_any_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    content = refitted(parameters=TWO_LAYERS, activations=["relu", "sigmoid"])
    read: list[str] = []
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda dataset, _: read.append(dataset.name))
    with pytest.raises(ModelError, match=r"W2: found shape .*expected at most 7"):
        load_model(content, (3 * 16 + 3) * 8 + 7)
    assert read == []


def test_a_model_larger_than_the_limit_is_refused_unread(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "MAX_BYTES", 1000)
    assert "are the most" in register(world.shelf, world.put(bytes(1001)))


def test_a_run_id_that_is_no_name_never_becomes_a_key(world: World) -> None:
    wild: Model = brightness_model(run_id="../../runs/x y")
    register(world.shelf, world.put(encode_model(wild)))
    (model,) = world.registry.list_models()
    assert model["model_id"].startswith("unnamed-")
    assert json.loads(json.dumps(model["run_id"])) == "../../runs/x y"


def test_a_model_of_regression_is_registered_with_its_errors_and_people_are_told(world: World) -> None:
    dimensions: Any = {"features": 2, "examples": 9, "test_examples": 4, "classes": [], "targets": ["price"]}
    for run_id, rmse in ((RUN, 4.0), ("run-b", 3.5)):
        world.ledger.open_run(run_id, dataset_key="training_input/x/d.h5", dimensions={**dimensions, "sizes": [2, 1]})
        world.ledger.finish(run_id, 0, "COMPLETED", None, test_rmse=rmse, test_mae=3.0, test_r2=0.8125, train_r2=0.9)
        layers = [(np.array([[1.0, 2.0]]), np.array([[rmse]]))]
        model = Model(layers, run_id, ["linear"], [], None, 1.0, None, ["price"])
        register(world.shelf, world.put(encode_model(model), params_key(run_id)))
        (found,) = [one for one in world.registry.list_models() if one["run_id"] == run_id]
        assert (found["targets"], found["test_rmse"], found["test_mae"], found["test_r2"]) == (1, rmse, 3.0, 0.8125)
        assert not [name for name in found if "accuracy" in name]
        if run_id == RUN:
            world.registry.promote(found["model_id"], "ada")
    message = world.topic.published[-1]
    assert message["Subject"] == "LNN: model staged, test R2 0.812"
    assert "Test RMSE: 3.5, R2 0.812" in message["Message"]
    assert "test RMSE 4, R2 0.812; the RMSE of the new one is 0.5 lower" in message["Message"]


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            Model([(np.ones((2, 3)), np.zeros((2, 1)))], "r", ["linear"], [], None, 1.0, None, ["price"]),
            "a linear output of 2 neurons has 1 names in list_targets and 0 in list_classes",
        ),
        (
            Model([(np.ones((1, 3)), np.zeros((1, 1)))], "r", ["linear"], ["a", "b"], None, 1.0),
            "a linear output of 1 neurons has 0 names in list_targets and 2 in list_classes",
        ),
        (
            Model([(np.ones((1, 3)), np.zeros((1, 1)))], "r", ["sigmoid"], ["a", "b"], None, 1.0, None, ["price"]),
            "list_targets names 1 targets; expected none",
        ),
    ],
)
def test_a_model_whose_targets_do_not_fit_its_output_is_refused(model: Model, told: str, world: World) -> None:
    assert told in register(world.shelf, world.put(encode_model(model)))
