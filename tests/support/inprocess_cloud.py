"""The system in one process: mocks for AWS, a real Redis, and Lambda as a queue of messages.

Whoever delivers from the queue decides the order, what is delivered twice or late, and what is lost.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import redis

from lnn import launch, train
from lnn.aws.events import Upload
from lnn.aws.invoker import Invoker
from lnn.aws.notifier import Notifier
from lnn.data import in_memory
from lnn.data.dataset import write_dataset
from lnn.data.uploads import UploadReader
from lnn.environment import CacheAddress, Environment
from lnn.errors import Throttled
from lnn.messages import Message
from lnn.models.model_file import load_model
from lnn.models.store import Artifacts
from lnn.names import Names
from lnn.parameter_server.server import ParameterServer
from lnn.runs.capacity import Capacity
from lnn.runs.record import Run
from lnn.runs.services import Services
from lnn.runs.store import WATCHED_INDEX, Ledger
from lnn.strategies import worker
from lnn.strategies.neuron import neuron
from support import quick_moto  # noqa: F401 - by importing it

REGION = "us-east-1"
NAMES = Names("lnn", "123456789012", REGION)
INVOCATION_SECONDS = 900.0


class Queue(Invoker):
    """Takes invocations and keeps them; ``fault`` may raise instead, as Lambda's API might."""

    def __init__(self) -> None:
        super().__init__(None, "trainer", "neuron")  # type: ignore[arg-type]
        self.messages: list[tuple[str, Message]] = []
        self.fault: Callable[[str, Message], None] | None = None
        self.neuron_error: str | None = None
        """What the Neuron raises whenever it is called."""
        self.neuron_throttled = False

    def try_neuron(self, message: Message) -> str | None:
        if self.neuron_throttled:
            raise Throttled("Lambda has no capacity")
        return self.neuron_error

    def _invoke(self, function: str, message: Message) -> None:
        if self.fault is not None:
            self.fault(function, message)
        # Through JSON, as the real message goes.
        self.messages.append((function, Message.parse(json.loads(json.dumps(message.as_json())))))


def one_at_a_time(client: Any) -> Any:
    """The client, as atomic as DynamoDB is: moto lets threads in between a condition and the write it is for."""
    lock, call = threading.Lock(), client._make_api_call

    def calling_alone(*arguments: Any) -> Any:
        with lock:
            return call(*arguments)

    client._make_api_call = calling_alone
    return client


class InProcessCloud:
    """One deployment."""

    def __init__(self, client: redis.Redis, session: boto3.Session) -> None:
        self.redis = client
        self.dynamodb: Any = one_at_a_time(session.client("dynamodb"))
        self.s3: Any = session.client("s3")
        self.sns: Any = session.client("sns")
        self.sqs: Any = session.client("sqs")
        watched: Any = {
            "IndexName": WATCHED_INDEX,
            "KeySchema": [{"AttributeName": WATCHED_INDEX, "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
        for table, keys, indexes in (
            (NAMES.runs_table, [("run_id", "S")], [watched]),
            (NAMES.costs_table, [("run_id", "S"), ("epoch", "N")], []),
        ):
            indexed = [(index["IndexName"], "S") for index in indexes]
            self.dynamodb.create_table(
                TableName=table,
                KeySchema=[
                    {"AttributeName": name, "KeyType": kind}
                    for (name, _), kind in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in keys + indexed],
                **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
                BillingMode="PAY_PER_REQUEST",
            )
        self.s3.create_bucket(Bucket=NAMES.bucket)
        self.s3.put_bucket_versioning(Bucket=NAMES.bucket, VersioningConfiguration={"Status": "Enabled"})
        topic = self.sns.create_topic(Name="lnn-events")["TopicArn"]
        self.mailbox = self.sqs.create_queue(QueueName="mailbox")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.mailbox, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        self.queue = Queue()
        self.services = self.services_with(window=0, topic=topic)
        self.neuron_concurrency: int | None = None
        """The most workers that Lambda runs at once; it keeps a message until it can run it."""
        self.invocation_seconds = INVOCATION_SECONDS
        self.workers: list[threading.Thread] = []
        self._uploads = 0

    def services_with(self, window: int = 0, topic: str | None = None, neuron_concurrency: int = 0) -> Services:
        """The services of this deployment, with a window of so many neurons, and so many workers at once."""
        arn = topic or self.services.environment.topic_arn
        environment = Environment(
            region=REGION,
            bucket=NAMES.bucket,
            runs_table=NAMES.runs_table,
            costs_table=NAMES.costs_table,
            invocations_table=NAMES.invocations_table,
            models_table=NAMES.models_table,
            topic_arn=arn,
            trainer_function=NAMES.trainer,
            neuron_function=NAMES.neuron,
            neuron_window=window,
            trainer_memory_mb=3008,
            neuron_memory_mb=1769,
            neuron_storage_mb=2048,
            launch_timeout=int(INVOCATION_SECONDS),
            trainer_timeout=int(INVOCATION_SECONDS),
            neuron_timeout=int(INVOCATION_SECONDS),
            log_level="INFO",
            max_workers=4,
            architecture="arm64",
            cache=CacheAddress("127.0.0.1", 0, tls=False, user="", name=""),
            neuron_concurrency=neuron_concurrency,
        )
        return Services(
            environment=environment,
            ledger=Ledger(self.dynamodb, NAMES.runs_table, NAMES.costs_table),
            artifacts=Artifacts(self.s3, NAMES.bucket),
            notifier=Notifier(self.sns, arn),
            invoker=self.queue,
            server=lambda run_id: ParameterServer(self.redis, run_id),
            capacity=Capacity(self.dynamodb, NAMES.runs_table, neuron_concurrency) if neuron_concurrency else None,
        )

    # Uploading

    def put(self, key: str, body: bytes, **metadata: str) -> Upload:
        """An object in the bucket, and what S3 would tell of it."""
        self._uploads += 1
        stored = self.s3.put_object(Bucket=NAMES.bucket, Key=key, Body=body, Metadata=metadata)
        return Upload(
            bucket=NAMES.bucket,
            key=key,
            version_id=stored["VersionId"],
            etag=stored["ETag"].strip('"'),
            sequencer=f"{self._uploads:016X}",
            event_time="2026-01-02T03:04:05.678Z",
        )

    def read(self, key: str) -> bytes:
        """An object in the bucket."""
        body: bytes = self.s3.get_object(Bucket=NAMES.bucket, Key=key)["Body"].read()
        return body

    def upload(self, dataset: bytes, parameters: dict[str, Any] | bytes | None) -> Upload:
        """A dataset with its parameters, in a folder of their own."""
        folder = f"training_input/job-{self._uploads}"
        if parameters is not None:
            body = parameters if isinstance(parameters, bytes) else json.dumps(parameters).encode()
            self.put(f"{folder}/parameters.json", body)
        return self.put(f"{folder}/datasets.h5", dataset)

    def launch(self, upload: Upload) -> str:
        return launch.launch(self.services, UploadReader(self.s3), upload, memory_mb=1769)

    # Delivering

    def deliver(self, function: str, message: Message) -> None:
        """Run one invocation to its end; what it raises, the caller sees."""
        if function == "trainer":
            # Environments differ from call to call: nothing may depend on what an earlier one has cached.
            in_memory._loaded.clear()
            in_memory._labels.clear()
            train.handle(self.services, message, self._clock())
            return
        if message.state == "start":
            if self.neuron_concurrency is not None and self.running() >= self.neuron_concurrency:
                self.queue.messages.append((function, message))
                return
            # Workers wait for each other, so each has a thread; what a broken one does next, it asks for by message.
            thread = threading.Thread(target=worker.work, args=(self.services, message, self._clock()))
            self.workers.append(thread)
            thread.start()
            return
        neuron.handle(self.services, message)

    def running(self) -> int:
        """Workers that run at this moment."""
        self.workers = [worker for worker in self.workers if worker.is_alive()]
        return len(self.workers)

    def run_to_end(self, run_id: str, chaos: Chaos | None = None) -> Run:
        """Deliver messages until none is left and the run has ended; returns the run."""
        chaos = chaos or Chaos(seed=0)
        quiet = 0
        for _ in range(20_000):
            if self.queue.messages:
                chaos.deliver_one(self)
                continue
            if any(worker.is_alive() for worker in self.workers):
                self.workers[0].join(0.01)
                self.running()
                continue
            run = self.run(run_id)
            if not run.is_unfinished:
                return run
            # Nothing is under way, yet the run goes on: time passes until the watch finds it.
            quiet += 1
            assert quiet < 50, f"the run is stuck: {run}"
            self.let_leases_expire(run_id)
            train.handle(self.services, Message("", 0, "watch"), self._clock())
        raise AssertionError("the messages never end")

    def _clock(self) -> Callable[[], float]:
        """What is left of an invocation that begins now."""
        ends = time.monotonic() + self.invocation_seconds
        return lambda: ends - time.monotonic()

    def let_leases_expire(self, run_id: str) -> None:
        self.dynamodb.update_item(
            TableName=NAMES.runs_table,
            Key={"run_id": {"S": run_id}},
            UpdateExpression="SET lease_expires = :past, heartbeat = :past, launched_at = :past, finished_at = :past",
            ExpressionAttributeValues={":past": {"N": "1"}},
        )

    # Looking

    def run(self, run_id: str) -> Run:
        run = self.services.ledger.get_run(run_id)
        assert run is not None
        return run

    def outcome(self, run_id: str) -> tuple[list[bytes], list[tuple[Any, ...]]]:
        """The bits of the model and of the history, seconds left out."""
        body = self.s3.get_object(Bucket=NAMES.bucket, Key=f"prediction_input/{run_id}/params.h5")["Body"].read()
        arrays = [array.tobytes() for layer in load_model(body).parameters for array in layer]
        rows, run = self.services.ledger.history(run_id), self.run(run_id)
        names = run.score_names
        if run.has_validation:
            names = [*names, "validation_cost", "test_cost"]
            arrays.append(np.array([run.best_epoch, run.validation_cost], float).tobytes())
        return arrays, [(r.epoch, r.cost, *(getattr(r, name) for name in names)) for r in rows]

    def messages_sent(self) -> list[str]:
        """Subjects of the SNS messages since the last look."""
        subjects = []
        while received := self.sqs.receive_message(QueueUrl=self.mailbox, MaxNumberOfMessages=10).get("Messages"):
            for message in received:
                subjects.append(json.loads(message["Body"])["Subject"])
                self.sqs.delete_message(QueueUrl=self.mailbox, ReceiptHandle=message["ReceiptHandle"])
        return subjects

    def keys(self) -> list[bytes]:
        return list(self.redis.keys("*"))


class Chaos:
    """Delivers in a random order; twice, late, and not at all, with the given chances."""

    def __init__(self, seed: int, duplicate: float = 0.0, late: float = 0.0, lost: float = 0.0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a test's dice
        self._duplicate, self._late, self._lost = duplicate, late, lost
        self._kept: list[tuple[str, Message]] = []

    def deliver_one(self, cloud: InProcessCloud) -> None:
        messages = cloud.queue.messages
        function, message = messages.pop(self._random.randrange(len(messages)))
        if self._random.random() < self._lost:
            return
        if self._random.random() < self._late:
            self._kept.append((function, message))
        cloud.deliver(function, message)
        if self._random.random() < self._duplicate:
            cloud.deliver(function, message)
        if self._kept and self._random.random() < self._late:
            cloud.deliver(*self._kept.pop(self._random.randrange(len(self._kept))))


def tiny_dataset(
    path: Path, classes: int = 2, examples: int = 13, features: int = 5, targets: int = 0, *, weighted: bool = False
) -> bytes:
    """A small dataset with a little structure in it: of classes, or of so many numbers to predict.

    Where its examples are ``weighted``, the weight of each fifth is 0.
    """
    rng = np.random.default_rng(7)
    weights = (np.arange(examples) * 2 % 5) / 2 if weighted else None
    if targets:
        x, x_test = rng.normal(size=(examples, features)), rng.normal(size=(6, features))
        slopes = rng.normal(size=(features, targets))
        y, y_test = (np.tanh(each @ slopes) + rng.normal(size=(len(each), targets)) / 10 for each in (x, x_test))
        names = [f"target {index}" for index in range(targets)]
        write_dataset(path, x, y, x_test, y_test, targets=names, weights=weights)
        return path.read_bytes()
    y = np.arange(examples) % classes
    y_test = np.arange(6) % classes
    centers = rng.normal(size=(classes, features)) * 2
    write_dataset(
        path,
        centers[y] + rng.normal(size=(examples, features)),
        y,
        centers[y_test] + rng.normal(size=(6, features)),
        y_test,
        [f"class {index}" for index in range(classes)],
        weights=weights,
    )
    return path.read_bytes()
