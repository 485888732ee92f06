"""From a training to predictions over HTTP: staging, promotion, rollback; equal to the network's own, and for whom."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import h5py
import numpy as np
import pytest
import urllib3
from botocore.exceptions import ClientError
from numpy.typing import NDArray
from PIL import Image

from lnn.errors import ConcurrentModification
from lnn.models.inference import column_of_picture
from lnn.models.model_file import Model, encode_model, load_model
from lnn.names import PREDICTION_INPUT, model_key
from lnn.network import init_parameters
from lnn.serving import rollout
from lnn.serving.registry import ModelRecord, Registry
from lnn_cli.commands.page import SigningServer
from lnn_client.cloud import Cloud, Target
from lnn_client.prediction_api import Api
from support.e2e_cloud import CloudUnderTest, eventually
from support.e2e_jobs import encode, network, pictures
from support.hostile_files import ELSEWHERE, model_reaching_out
from support.repository import REPOSITORY

CATS = REPOSITORY.parent / "shared" / "data" / "cat" / "datasets.h5"
DIGITS = REPOSITORY / "examples" / "digits" / "datasets.h5"
REFUSED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}
POOL = urllib3.PoolManager(maxsize=8)
EFFECT_SECONDS = 10.0
"""Promised are two; the rest is for a busy machine."""
PREDICT_REFUSES = {404, 415, 422}
"""What Predict itself answers to no picture: without a model, by a model of pictures, by a model of other features."""


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def http(url: str, body: bytes | None = None, kind: str = "image/png", **headers: str) -> urllib3.BaseHTTPResponse:
    """The answer to an unsigned request."""
    given = {"content-type": kind} | headers if body else headers
    return POOL.request("POST" if body else "GET", url, body=body, headers=given, timeout=60, retries=False)


@pytest.fixture(scope="module")
def registry(cloud: CloudUnderTest) -> Registry:
    return Registry(cloud.client("dynamodb"), cloud.names.models_table)


@pytest.fixture(scope="module")
def url(cloud: CloudUnderTest) -> str:
    return str(cloud.description["predictions"])


@pytest.fixture(scope="module")
def picture() -> bytes:
    return png(np.full((4, 4, 3), 200, np.uint8))


def trained(cloud: CloudUnderTest, registry: Registry, name: str, seed: int) -> str:
    """Trains a model of small pictures; its id once it waits in staging."""
    # It beats the base rate, so whatever is in staging, it takes that.
    learning = {"epochs": 100, "optimizer": "adam", "learning_rate": 0.01}
    parameters = network(3, 1, hidden="relu", seed=seed, strategy="fused", **learning)
    run_id = cloud.start(name, encode(pictures()), parameters)
    cloud.completed(run_id)

    def staged() -> str | None:
        staging = registry.current().staging
        return staging if staging and staging.startswith(run_id) else None

    return eventually(staged, f"the model of {run_id} in staging", state=lambda: str(registry.current()))


def answers_with(url: str, picture: bytes, model_id: str) -> None:
    """Waits until the API answers with a model."""

    def look() -> bool:
        answer = http(f"{url}predict", picture)
        return answer.status == 200 and answer.json()["model"] == model_id

    eventually(look, f"{model_id} at {url}", EFFECT_SECONDS, lambda: http(f"{url}predict", picture).json())


def test_a_trained_model_is_staged_promoted_and_rolled_back(
    cloud: CloudUnderTest, registry: Registry, url: str, picture: bytes
) -> None:
    first = trained(cloud, registry, "first", seed=1)
    answers_with(f"{url}staging/", picture, first)
    assert b"<h1>" in http(f"{url}staging/").data
    assert cloud.lnn_json("promote", first)["production"] == first
    answers_with(url, picture, first)

    second = trained(cloud, registry, "second", seed=2)
    answers_with(f"{url}staging/", picture, second)
    answers_with(url, picture, first)

    assert cloud.lnn_json("promote", "staging", "--canary", "40")["canary"] == {"model_id": second, "percent": 40}
    bodies = [json.dumps({"features": [level] * 48}).encode() for level in range(30)]
    expected = [second if rollout.share_of(body) < 40 else first for body in bodies]
    eventually(
        lambda: [http(f"{url}predict", body, "application/json").json()["model"] for body in bodies] == expected,
        "the canary's share",
        EFFECT_SECONDS,
    )

    cloud.lnn_json("promote", second)
    answers_with(url, picture, second)
    assert cloud.lnn_json("rollback")["production"] == first
    answers_with(url, picture, first)

    listed = cloud.lnn_json("models")
    stage_of = {model["model_id"]: model["stage"] for model in listed["models"]}
    assert (stage_of[first], stage_of[second]) == ("production", "retired")
    assert [change["what"] for change in listed["history"]][
        -1
    ] == f"{first} back into production, in the place of {second}"
    assert listed["history"][-1]["who"].startswith("arn:aws:")
    told = cloud.messages(first)
    assert [message.subject.split(",")[0] for message in told] == ["LNN: model staged"]
    assert f"lnn promote {first}" in told[0].body


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(
    cloud: CloudUnderTest, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates = [upload(cloud, registry, f"rival-{seed}", small_model(seed)) for seed in (11, 12)]
    together, promote = threading.Barrier(2), rollout.promote

    def look_together(*arguments: Any) -> rollout.Transition:
        together.wait(30)
        return promote(*arguments)

    monkeypatch.setattr("lnn.serving.registry.rollout.promote", look_together)
    with ThreadPoolExecutor(2) as pool:
        tries = [pool.submit(registry.promote, model, f"person {model}") for model in candidates]
        errors = [tried.exception() for tried in tries]
    assert sorted(type(error) for error in errors if error is not None) == [ConcurrentModification]
    winner = candidates[errors.index(None)]
    assert registry.current().production == winner
    assert f"person {winner}" in str(next(error for error in errors if error is not None))


def small_model(seed: int, sizes: tuple[int, ...] = (48, 3, 1), shape: tuple[int, ...] = (4, 4, 3)) -> Model:
    """A network that nobody has trained."""
    activations = ["relu"] * (len(sizes) - 2) + ["sigmoid"]
    return Model(
        parameters=init_parameters(list(sizes), activations, "auto", seed, "float64"),
        run_id=f"untrained-{seed}",
        activations=activations,
        list_classes=["no", "yes"],
        image_shape=shape,
        scale=255.0,
    )


def upload(cloud: CloudUnderTest, registry: Registry, name: str, model: Model) -> str:
    """Puts a model where trainings put theirs; its id once it is registered."""
    cloud.put(f"{PREDICTION_INPUT}{name}-{time.time_ns():x}/params.h5", encode_model(model))

    def find() -> str | None:
        found = [entry["model_id"] for entry in registry.list_models() if entry["model_id"].startswith(model.run_id)]
        return str(found[0]) if found else None

    return eventually(find, f"{name} in the registry", state=lambda: str(registry.list_models()))


def test_every_test_picture_of_the_cats_is_answered_as_the_network_itself_would(
    cloud: CloudUnderTest, registry: Registry, url: str
) -> None:
    if CATS.exists():
        with h5py.File(CATS) as file:
            cats: NDArray[np.uint8] = file["test_set_x"][()]
    else:
        cats = np.random.default_rng(0).integers(0, 256, size=(50, 64, 64, 3), dtype=np.uint8)
    model = small_model(21, (12288, 20, 7, 5, 1), (64, 64, 3))
    assert_equal_answers(url, upload(cloud, registry, "cats", model), model, cats)


def test_every_test_picture_of_the_digits_is_answered_as_the_network_itself_would(
    cloud: CloudUnderTest, registry: Registry, url: str
) -> None:
    with h5py.File(DIGITS) as file:
        digits: NDArray[np.uint8] = file["test_set_x"][()]
    parameters = network(16, 10, hidden="relu", output="softmax", epochs=30, learning_rate=0.5, strategy="fused")
    run_id = cloud.start("digits-for-predictions", DIGITS.read_bytes(), parameters)
    cloud.completed(run_id)
    model_id = eventually(
        lambda: next((m["model_id"] for m in registry.list_models() if m["model_id"].startswith(run_id)), None),
        "the digits' model in the registry",
    )
    content = cloud.s3.get_object(Bucket=cloud.names.bucket, Key=model_key(model_id))["Body"].read()
    assert_equal_answers(url, model_id, load_model(content), digits)

    local = cloud.lnn_json("evaluate", DIGITS, "--model", model_id)
    remote = cloud.lnn_json("evaluate", DIGITS, "--model", model_id, "--api")
    assert local["accuracy"] == pytest.approx(cloud.run(run_id).test_accuracy)
    assert remote["accuracy"] == local["accuracy"]
    assert remote["confusion"] == local["confusion"]
    assert [m["example"] for m in remote["mistakes"]] == [m["example"] for m in local["mistakes"]]


def assert_equal_answers(url: str, model_id: str, model: Model, examples: NDArray[np.uint8]) -> None:
    columns = [column_of_picture(model, example) for example in examples]
    expected = model.predict_proba(np.stack(columns, axis=1))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda example: http(f"{url}predict?model={model_id}", png(example)), examples))
    assert [answer.status for answer in answers] == [200] * len(examples)
    said = [answer.json()["probabilities"] for answer in answers]
    got = np.array([[probabilities[name] for name in model.list_classes] for probabilities in said]).T
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    assert len(np.unique(got)) > len(examples) / 2


# Who may call


@pytest.fixture
def guarded(cloud: CloudUnderTest) -> Iterator[None]:
    """The API as ``prediction_access = "iam"`` makes it."""
    gateway = cloud.client("apigatewayv2")
    (api,) = [entry for entry in gateway.get_apis()["Items"] if entry["Name"] == cloud.names.prediction_api]
    (route,) = gateway.get_routes(ApiId=api["ApiId"])["Items"]
    assert route["AuthorizationType"] == "NONE"
    which = {"ApiId": api["ApiId"], "RouteId": route["RouteId"]}
    gateway.update_route(**which, AuthorizationType="AWS_IAM")
    yield
    gateway.update_route(**which, AuthorizationType="NONE")


@pytest.fixture
def api(cloud: CloudUnderTest, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("LNN_HOME", str(cloud.home))
    return Api(Cloud(Target.LOCAL))


def test_with_iam_unsigned_calls_are_refused_and_signed_ones_answered(
    cloud: CloudUnderTest, url: str, guarded: None, api: Api, picture: bytes
) -> None:
    for path, body in (("", None), ("health", None), ("predict", picture), ("staging/", None)):
        assert http(url + path, body).status == 403
    assert api.call("GET", "health").json()["status"] == "ok"
    assert api.call("GET", "").status == 200
    assert api.call("POST", "predict", b"no picture", "image/png").status in PREDICT_REFUSES


def test_with_iam_a_signature_of_somebody_who_may_not_is_refused(
    cloud: CloudUnderTest, guarded: None, api: Api
) -> None:
    lent = role_credentials(cloud, "launch")
    other = Cloud(Target.LOCAL)
    other.session = boto3.Session(*lent.values(), region_name=cloud.names.region)
    assert Api(other).call("GET", "health").status == 403


def test_the_page_s_own_server_signs_for_this_machine_alone(guarded: None, api: Api) -> None:
    server = SigningServer(api, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        own = f"http://127.0.0.1:{server.server_port}/"
        assert http(f"{own}health").status == 200
        assert http(f"{own}staging/predict", b"no picture").status in PREDICT_REFUSES
        assert "default-src 'none'" in http(own).headers["Content-Security-Policy"]
        assert http(f"{own}health", Host="evil.example").status == 421
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# What the functions may do


def role_credentials(cloud: CloudUnderTest, role: str) -> dict[str, str]:
    arn = cloud.functions.get_function_configuration(FunctionName=cloud.names.function(role))["Role"]
    lent = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName=f"e2e-{role}")["Credentials"]
    return {
        "access_key_id": lent["AccessKeyId"],
        "secret_access_key": lent["SecretAccessKey"],
        "session_token": lent["SessionToken"],
    }


def refusals(calls: dict[str, tuple[Callable[..., Any], dict[str, Any]]]) -> dict[str, str]:
    """The calls that were not refused, and what became of them."""
    answered = {}
    for what, (call, arguments) in calls.items():
        try:
            call(**arguments)
            answered[what] = "allowed"
        except ClientError as error:
            code = str(error.response["Error"]["Code"])
            if code not in REFUSED:
                answered[what] = code
    return answered


def test_the_function_that_predicts_reads_models_and_nothing_else(cloud: CloudUnderTest, registry: Registry) -> None:
    lent, names = role_credentials(cloud, "predict"), cloud.names
    s3, dynamodb = cloud.client("s3", **lent), cloud.client("dynamodb", **lent)
    functions, sns = cloud.client("lambda", **lent), cloud.client("sns", **lent)
    Registry(dynamodb, names.models_table).list_models()
    cloud.put(f"{PREDICTION_INPUT}probe.txt", b"x")
    assert s3.get_object(Bucket=names.bucket, Key=f"{PREDICTION_INPUT}probe.txt")["ContentLength"] == 1
    item, here = {"model_id": {"S": "current"}}, {"Bucket": names.bucket}
    run, record = {"run_id": {"S": "x"}}, {"invocation": {"S": "x"}}
    assert not refusals(
        {
            "read input": (s3.get_object, {**here, "Key": "training_input/parameters.json"}),
            "read a run": (s3.get_object, {**here, "Key": "runs/x"}),
            "read results": (s3.get_object, {**here, "Key": "training_results/results.json"}),
            "list": (s3.list_objects_v2, here),
            "write a model": (s3.put_object, {**here, "Key": f"{PREDICTION_INPUT}params.h5", "Body": b""}),
            "delete a model": (s3.delete_object, {**here, "Key": f"{PREDICTION_INPUT}params.h5"}),
            "change what is in use": (dynamodb.put_item, {"TableName": names.models_table, "Item": item}),
            "update it": (
                dynamodb.update_item,
                {
                    "TableName": names.models_table,
                    "Key": item,
                    "UpdateExpression": "SET production = :x",
                    "ExpressionAttributeValues": {":x": {"S": "x"}},
                },
            ),
            "delete it": (dynamodb.delete_item, {"TableName": names.models_table, "Key": item}),
            "read runs": (dynamodb.get_item, {"TableName": names.runs_table, "Key": run}),
            "scan runs": (dynamodb.scan, {"TableName": names.runs_table}),
            "read invocations": (dynamodb.get_item, {"TableName": names.invocations_table, "Key": record}),
            "publish": (sns.publish, {"TopicArn": names.topic, "Message": "x"}),
            "call the trainer": (functions.invoke, {"FunctionName": names.trainer, "InvocationType": "DryRun"}),
            "call itself": (functions.invoke, {"FunctionName": names.function("predict"), "InvocationType": "DryRun"}),
            "list users": (cloud.client("iam", **lent).list_users, {}),
        }
    )


def test_the_function_that_registers_enters_models_and_does_nothing_else(cloud: CloudUnderTest) -> None:
    lent, names = role_credentials(cloud, "register"), cloud.names
    s3, dynamodb = cloud.client("s3", **lent), cloud.client("dynamodb", **lent)
    s3.put_object(Bucket=names.bucket, Key=model_key("e2e-probe"), Body=b"")
    here, run = {"Bucket": names.bucket}, {"run_id": {"S": "x"}}
    assert not refusals(
        {
            "read input": (s3.get_object, {**here, "Key": "training_input/parameters.json"}),
            "replace an upload": (s3.put_object, {**here, "Key": f"{PREDICTION_INPUT}params.h5", "Body": b""}),
            "start a training": (s3.put_object, {**here, "Key": "training_input/x.h5", "Body": b""}),
            "delete a model": (s3.delete_object, {**here, "Key": model_key("e2e-probe")}),
            "scan models": (dynamodb.scan, {"TableName": names.models_table}),
            "delete": (dynamodb.delete_item, {"TableName": names.models_table, "Key": {"model_id": {"S": "x"}}}),
            "change runs": (dynamodb.put_item, {"TableName": names.runs_table, "Item": run}),
            "scan runs": (dynamodb.scan, {"TableName": names.runs_table}),
            "call the trainer": (
                cloud.client("lambda", **lent).invoke,
                {"FunctionName": names.trainer, "InvocationType": "DryRun"},
            ),
        }
    )


def refused(registry: Registry, key: str) -> ModelRecord:
    """The record of an upload, which is not a model that can predict."""

    def find() -> ModelRecord | None:
        return next((model for model in registry.list_models() if str(model.get("source")).endswith(key)), None)

    return eventually(find, "the refusal", state=lambda: str(registry.list_models()))


def test_a_model_that_cannot_predict_is_refused_and_production_stays(cloud: CloudUnderTest, registry: Registry) -> None:
    before, key = registry.current(), f"{PREDICTION_INPUT}broken-{time.time_ns():x}.h5"
    cloud.put(key, b"no model" + str(time.time_ns()).encode())
    record = refused(registry, key)
    assert record["refused"].startswith("not a params.h5")
    # A model of another test's training may still arrive in staging.
    assert registry.current().production == before.production
    assert registry.current().staging != record["model_id"]
    assert "refused: not a params.h5" in cloud.lnn("models").stdout


def test_a_model_that_would_read_the_function_s_environment_is_refused(
    cloud: CloudUnderTest, registry: Registry
) -> None:
    key = f"{PREDICTION_INPUT}hostile-{time.time_ns():x}.h5"
    cloud.put(key, model_reaching_out("external storage", Path("/proc/self/environ")))
    record = refused(registry, key)
    assert record["refused"] == f"not a params.h5 that LNN wrote: W1: {ELSEWHERE}"
    assert record["model_id"] not in {registry.current().production, registry.current().staging}
