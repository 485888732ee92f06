"""The services in memory answer as the real Redis, and as moto's DynamoDB and S3, on drawn calls."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import boto3
import numpy as np
import pytest
import redis
from botocore.exceptions import ClientError
from moto import mock_aws

from lnn.messages import Step
from lnn.parameter_server.barrier import Barrier
from lnn.parameter_server.codec import TensorKey
from lnn.parameter_server.connection import TRY_LATER
from lnn.parameter_server.server import ParameterServer
from lnn_tools.local_cloud.ports import claim_port
from lnn_tools.local_cloud.tools import redis_server
from simulation.aws import Refusal
from simulation.dynamodb import DynamoDB, Table
from simulation.redis_service import RedisService, client_of
from simulation.s3 import S3
from simulation.scheduler import Scheduler

SEEDS = range(3)
BUCKET = "a-bucket"

DIRECT: Any = SimpleNamespace(send=lambda service, operation, effect, time_limit: effect())
"""The way to a service, without time, faults or tasks."""


# Redis ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[redis.Redis]:
    port = claim_port("LNN_REDIS_PORT", None, "Redis")
    server = subprocess.Popen(
        [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    try:
        retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 200)
        with closing(redis.Redis(port=port, retry=retry)) as client:
            client.ping()
            yield client
    finally:
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture
def clients(real: redis.Redis) -> list[redis.Redis]:
    """The real Redis, empty, and the one in memory."""
    real.flushall()
    service = RedisService(Scheduler(0), DIRECT, TRY_LATER)
    return [real, client_of(lambda: service)]


def both(clients: list[Any], call: Callable[[Any], Any]) -> Any:
    """The answer of both, an error as its text."""
    answers = []
    for client in clients:
        try:
            answers.append(call(client))
        except redis.ResponseError as error:
            answers.append(str(error))
    assert answers[0] == answers[1]
    return answers[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_commands_answer_as_redis_does(seed: int, clients: list[redis.Redis]) -> None:
    dice = random.Random(seed)
    for _ in range(300):
        key, other = (f"k{dice.randrange(4)}" for _ in range(2))
        number, text = dice.randrange(-3, 6), f"v{dice.randrange(100)}"
        both(clients, dice.choice(_commands(key, other, number, text)))
    for key in both(clients, lambda client: sorted(client.keys("*"))):
        both(clients, lambda client, key=key: (client.type(key), client.ttl(key) > 0))


def _commands(key: str, other: str, number: int, text: str) -> list[Callable[[Any], Any]]:
    length = abs(number)
    return [
        lambda client: client.set(key, text),
        lambda client: client.set(key, text, nx=True, ex=100),
        lambda client: client.set(key, text, xx=True, keepttl=True),
        lambda client: client.get(key),
        lambda client: client.getdel(key),
        lambda client: client.mget([key, other]),
        lambda client: client.getrange(key, number, number + 3),
        lambda client: client.setrange(key, length, text),
        lambda client: client.exists(key, other, key),
        lambda client: client.unlink(key, other),
        lambda client: client.expire(key, 100 + length),
        lambda client: client.persist(key),
        lambda client: client.ttl(key),
        lambda client: client.hset(f"h{key}", mapping={text: number, "n": 1}),
        lambda client: client.hsetnx(f"h{key}", text, number),
        lambda client: client.hget(f"h{key}", text),
        lambda client: client.hgetall(f"h{key}"),
        lambda client: client.hincrby(f"h{key}", "n", number),
        lambda client: client.hdel(f"h{key}", text, "n"),
        lambda client: (client.hlen(f"h{key}"), sorted(client.hkeys(f"h{key}"))),
        lambda client: client.hget(key, text),
        lambda client: client.rpush(f"l{key}", text, number),
        lambda client: client.lpop(f"l{key}"),
        lambda client: client.lrange(f"l{key}", 0, -1),
        lambda client: (client.lindex(f"l{key}", 0), client.lindex(f"l{key}", number)),
        lambda client: client.ltrim(f"l{key}", length, -1),
        lambda client: sorted(client.scan_iter(match="*k1")),
        lambda client: client.pipeline().set(key, text).hgetall(f"h{key}").get(key).execute(),
        lambda client: client.pipeline(transaction=False).get(key).exists(other).execute(),
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_barrier_s_scripts_do_the_same_in_both(seed: int, clients: list[redis.Redis]) -> None:
    dice = random.Random(seed)
    barriers = [Barrier(ParameterServer(client, "run")) for client in clients]
    tensor = TensorKey("W1", np.dtype(np.float64), (3, 2))
    for client in clients:
        ParameterServer(client, "run").put("W1", np.zeros((3, 2)))
    for _ in range(120):
        step, following = (
            Step(dice.randint(1, 2), dice.randint(1, 2), 0, dice.choice(("forward", "backward")), dice.randint(1, 2))
            for _ in range(2)
        )
        neuron = dice.randrange(3)
        row, matrix = np.full((1, 2), float(dice.randrange(9))), np.full((3, 2), float(dice.randrange(9)))
        calls: list[Callable[[Any], Any]] = [
            lambda barrier, s=step: barrier.open(s, 3, {"cost_sum": "0.5"}),
            lambda barrier, s=step, n=neuron, r=row: barrier.arrive(s, n, [(tensor, r)], 7),
            lambda barrier, s=step, f=following, m=matrix: barrier.advance(s, f, 3, {"rows": "1"}, [(tensor, m)]),
            lambda barrier, s=step: barrier.adopt(s, s.generation + 1),
            lambda barrier, s=step: barrier.confirm_dispatch(s),
            lambda barrier: barrier.missing(3),
        ]
        call = dice.choice(calls)
        assert _outcome(call, barriers[0]) == _outcome(call, barriers[1])
        positions = [barrier.position() for barrier in barriers]
        seen = [p and (p.step, p.width, p.arrived, p.dispatched, dict(p.fields)) for p in positions]
        assert seen[0] == seen[1]
        assert len({client.get("lnn:{run}:W1|float64#3#2") for client in clients}) == 1


def _outcome(call: Callable[[Any], Any], barrier: Barrier) -> Any:
    try:
        return call(barrier)
    except Exception as error:  # noqa: BLE001 - compared
        return type(error).__name__, str(error)


# AWS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield boto3.Session(region_name="us-east-1")


def answer(call: Callable[[], Any]) -> Any:
    """What a call answers, or the code of its error."""
    try:
        found = call()
    except Refusal as refusal:
        return refusal.code
    except ClientError as error:
        return error.response["Error"]["Code"]
    return {name: value for name, value in found.items() if name != "ResponseMetadata"}


@pytest.mark.parametrize("seed", SEEDS)
def test_items_change_as_in_dynamodb(seed: int, aws: boto3.Session) -> None:
    mock: Any = aws.client("dynamodb")
    mock.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    ours = DynamoDB(Scheduler(0), DIRECT, tables={"t": Table("id")})
    dice = random.Random(seed)
    for _ in range(60):
        operation, arguments = _dynamodb_call(dice)
        theirs = answer(lambda o=operation, a=arguments: getattr(mock, o)(**a))
        mine = answer(lambda o=operation, a=arguments: getattr(ours, f"do_{o}")(**a))
        if isinstance(theirs, dict):
            theirs = {name: theirs[name] for name in ("Item", "Attributes") if name in theirs}
            mine = {name: mine[name] for name in theirs}
        assert mine == theirs, (operation, arguments)
        items = {item["id"]["S"]: item for item in mock.scan(TableName="t")["Items"]}
        assert {item["id"]["S"]: item for item in ours.do_scan("t")["Items"]} == items


def _dynamodb_call(dice: random.Random) -> tuple[str, dict[str, Any]]:
    key = {"id": {"S": f"i{dice.randrange(3)}"}}
    number = {"N": str(dice.randrange(4))}
    condition: dict[str, Any] = {
        "ConditionExpression": dice.choice(
            (
                "attribute_exists(id)",
                "attribute_not_exists(id) OR #n < :v",
                "#n IN (:v, :w) AND NOT attribute_exists(s)",
                "#n = :v OR (#n = :w AND s <> :s)",
                "begins_with(s, :s) AND #n BETWEEN :v AND :w",
            )
        ),
        "ExpressionAttributeNames": {"#n": "n"},
        "ExpressionAttributeValues": {":v": number, ":w": {"N": "2"}, ":s": {"S": "a"}},
    }
    text = condition["ConditionExpression"]
    for kind, marks in (("Names", "#"), ("Values", ":")):
        given = condition[f"ExpressionAttribute{kind}"]
        kept = {name: value for name, value in given.items() if name in text}
        condition[f"ExpressionAttribute{kind}"] = kept
        if not kept:
            del condition[f"ExpressionAttribute{kind}"]
        assert all(name.startswith(marks) for name in kept)
    item = {**key, "n": number, "s": {"S": dice.choice(("a", "ab", "b"))}, "l": {"L": [number]}}
    if dice.random() < 0.3:
        return "put_item", {"TableName": "t", "Item": item, **(condition if dice.random() < 0.5 else {})}
    if dice.random() < 0.3:
        return "get_item", {"TableName": "t", "Key": key, "ConsistentRead": True}
    if dice.random() < 0.2:
        return "delete_item", {"TableName": "t", "Key": key, **(condition if dice.random() < 0.5 else {})}
    if dice.random() < 0.2:
        put = {"Put": {"TableName": "t", "Item": item, **condition}}
        moved = {
            "TableName": "t",
            "Key": {"id": {"S": "other"}},
            "UpdateExpression": "SET s = :t",
            "ConditionExpression": "attribute_not_exists(s) OR s = :t",
            "ExpressionAttributeValues": {":t": {"S": dice.choice(("a", "b"))}},
        }
        return "transact_write_items", {"TransactItems": [put, {"Update": moved}]}
    update = {
        "UpdateExpression": dice.choice(
            (
                "SET #m = :x, l = if_not_exists(l, :y) REMOVE s",
                "SET #m = if_not_exists(#m, :x) ADD c :x",
                "ADD c :x REMOVE #m",
                "SET #m = :x, s = :z",
            )
        ),
        "ReturnValues": "ALL_NEW",
    }
    names = {"#m": "n"}
    values = {":x": number, ":y": {"L": [number]}, ":z": {"S": "b"}}
    used = {name: value for name, value in values.items() if name in update["UpdateExpression"]}
    if dice.random() < 0.5:
        update["ConditionExpression"] = condition["ConditionExpression"]
        names |= condition.get("ExpressionAttributeNames", {})
        used |= condition.get("ExpressionAttributeValues", {})
    return "update_item", {
        "TableName": "t",
        "Key": key,
        **update,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": used,
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_objects_change_as_in_s3(seed: int, aws: boto3.Session) -> None:
    mock: Any = aws.client("s3")
    mock.create_bucket(Bucket=BUCKET)
    mock.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    ours = S3(Scheduler(0), DIRECT, bucket=BUCKET)
    dice = random.Random(seed)
    etags = ['"0"']
    for _ in range(50):
        operation, arguments = _s3_call(dice, etags)
        theirs = answer(lambda o=operation, a=arguments: getattr(mock, o)(Bucket=BUCKET, **a))
        mine = answer(lambda o=operation, a=arguments: getattr(ours, f"do_{o}")(Bucket=BUCKET, **a))
        if isinstance(theirs, str):
            assert mine == theirs, (operation, arguments)
            continue
        assert isinstance(mine, dict), (operation, arguments, mine)
        etags.append(theirs.get("ETag", etags[-1]))
        shown = [name for name in ("ETag", "ContentLength", "Metadata", "ContentType") if name in mine]
        assert {name: mine[name] for name in shown} == {name: theirs[name] for name in shown}
        if "Body" in theirs:
            assert mine["Body"].read() == theirs["Body"].read()
    keys = {entry["Key"] for entry in mock.list_objects_v2(Bucket=BUCKET).get("Contents", [])}
    assert {entry["Key"] for entry in ours.do_list_objects_v2(BUCKET)["Contents"]} == keys


def _s3_call(dice: random.Random, etags: list[str]) -> tuple[str, dict[str, Any]]:
    key = f"k{dice.randrange(3)}"
    body = b"x" * dice.randrange(3)
    match dice.randrange(6):
        case 0:
            return dice.choice(("get_object", "head_object")), {"Key": key}
        case 2:
            return "copy_object", {"Key": "copy", "CopySource": {"Bucket": BUCKET, "Key": key}}
        case 3:
            return "delete_object", {"Key": key}
        case 4:
            return "put_object", {"Key": key, "Body": body, "IfNoneMatch": "*"}
        case 5:
            return "put_object", {"Key": key, "Body": body, "IfMatch": dice.choice(etags)}
    return "put_object", {"Key": key, "Body": body, "Metadata": {"a": "b"}, "ContentType": "text/plain"}
