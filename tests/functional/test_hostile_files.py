"""Models and datasets that reach out of their file, at the functions' doors: the S3 triggers and the prediction API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lnn.aws.events import HttpRequest
from lnn.models.model_file import encode_model
from lnn.names import model_key
from lnn.serving.api import PredictionApi
from lnn.serving.registration import RegistrationServices, register
from lnn.serving.registry import Registry
from lnn.serving.router import Serving
from support.hostile_files import KINDS, ONE_KIND, dataset_reaching_out, leaks, model_reaching_out, other_file
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset
from support.models import brightness_model

PARAMETERS = {
    "epochs": 1,
    "layers": 1,
    "neurons": {"layer1": 1},
    "activations": {"layer1": "sigmoid"},
    "learning_rate": 0.1,
}


@pytest.fixture
def registry(cloud: InProcessCloud) -> Registry:
    cloud.dynamodb.create_table(
        TableName=NAMES.models_table,
        KeySchema=[{"AttributeName": "model_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "model_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return Registry(cloud.dynamodb, NAMES.models_table)


@pytest.fixture
def shelf(cloud: InProcessCloud, registry: Registry) -> RegistrationServices:
    services = cloud.services
    return RegistrationServices(registry, services.artifacts, services.ledger, services.notifier)


def bucket(cloud: InProcessCloud) -> dict[str, bytes]:
    """Every object."""
    listed = cloud.s3.list_objects_v2(Bucket=NAMES.bucket).get("Contents", [])
    return {entry["Key"]: cloud.read(entry["Key"]) for entry in listed}


def mail(cloud: InProcessCloud) -> str:
    received = cloud.sqs.receive_message(QueueUrl=cloud.mailbox, MaxNumberOfMessages=10).get("Messages", [])
    return "\n".join(message["Body"] for message in received)


def test_the_trigger_of_models_refuses_one_and_the_api_says_why(
    cloud: InProcessCloud, registry: Registry, shelf: RegistrationServices, tmp_path: Path
) -> None:
    upload = cloud.put("prediction_input/theirs/params.h5", model_reaching_out(ONE_KIND, other_file(tmp_path)))
    reason = f"not a params.h5 that LNN wrote: W1: {KINDS[ONE_KIND]}"
    assert register(shelf, upload) == f"refused: {reason}"
    (record,) = registry.list_models()
    assert record["refused"] == reason
    assert registry.current().staging is None
    assert list(bucket(cloud)) == [upload.key]
    told = mail(cloud)
    assert reason in json.loads(told)["Message"]

    api = PredictionApi(Serving(registry, shelf.artifacts), tmp_path)
    listed = api.answer(HttpRequest("GET", "/models", {}, {}, "", is_base64=False))
    assert [model["refused"] for model in json.loads(listed.body)["models"]] == [reason]
    body = json.dumps({"features": [0.0] * 16})
    asked = HttpRequest(
        "POST", "/predict", {"model": record["model_id"]}, {"content-type": "application/json"}, body, is_base64=False
    )
    assert api.answer(asked).status == 404
    assert not list(leaks(json.dumps(record, default=str), told, listed.body, api.answer(asked).body))


def test_the_api_refuses_one_that_was_put_in_the_place_of_a_registered_model(
    cloud: InProcessCloud, registry: Registry, shelf: RegistrationServices, tmp_path: Path
) -> None:
    register(shelf, cloud.put("prediction_input/mine/params.h5", encode_model(brightness_model())))
    (record,) = registry.list_models()
    registry.promote(record["model_id"], "ada")
    cloud.put(model_key(record["model_id"]), model_reaching_out(ONE_KIND, other_file(tmp_path)))
    api = PredictionApi(Serving(registry, shelf.artifacts), tmp_path)
    body = json.dumps({"features": [0.0] * 16})
    request = HttpRequest("POST", "/predict", {}, {"content-type": "application/json"}, body, is_base64=False)
    answer = api.answer(request)
    assert answer.status == 503, "its SHA-256 is not the registered one"
    reason = "the model cannot be loaded; the function's log says why"
    assert json.loads(answer.body) == {"error": "unavailable", "reason": reason}


def test_a_check_that_ends_without_an_answer_leaves_a_record_with_the_reason(
    cloud: InProcessCloud,
    registry: Registry,
    shelf: RegistrationServices,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho it is broken >&2\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    ended = "the process that checks it ended with status 3 and no answer: it is broken"

    model = cloud.put("prediction_input/mine/params.h5", encode_model(brightness_model()))
    assert register(shelf, model).startswith(f"refused: params.h5: {ended}")
    assert [record["refused"].startswith(f"params.h5: {ended}") for record in registry.list_models()] == [True]

    upload = cloud.upload(tiny_dataset(tmp_path / "made.h5"), PARAMETERS)
    assert cloud.launch(upload) == "refused"
    run = cloud.run(upload.run_id)
    assert run.status == "FAILED"
    assert (run.reason or "").startswith(f"datasets.h5: {ended}")
    assert mail(cloud).count(ended) == 2


@pytest.mark.parametrize("name", ["train_set_x", "test_set_y", "list_classes"])
def test_the_trigger_of_datasets_fails_the_run_and_stores_nothing(
    cloud: InProcessCloud, tmp_path: Path, name: str
) -> None:
    upload = cloud.upload(dataset_reaching_out(ONE_KIND, other_file(tmp_path), name), PARAMETERS)
    assert cloud.launch(upload) == "refused"
    run = cloud.run(upload.run_id)
    assert (run.status, run.reason) == ("FAILED", f"{name}: {KINDS[ONE_KIND]}")
    stored = bucket(cloud)
    assert not [key for key in stored if key.startswith(f"runs/{upload.run_id}/")]
    told = mail(cloud)
    assert KINDS[ONE_KIND] in told
    assert not list(leaks(json.dumps(run, default=str), told))
