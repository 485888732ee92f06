"""A running local cloud as a test sees it: what a user can do to it, and every place where traces are left."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote_plus

import boto3
import h5py
import psutil
import redis
from botocore.config import Config

from lnn.aws.events import uploads
from lnn.names import TRAINING_INPUT, Names, params_key
from lnn.parameter_server.barrier import Barrier, Position
from lnn.parameter_server.heartbeat import HEARTBEAT_SECONDS
from lnn.parameter_server.server import ParameterServer
from lnn.runs.record import Run
from lnn.runs.store import Ledger

FIGURES = ("epoch", "cost", "train_accuracy", "test_accuracy", "learning_rate")
DEADLINE_SECONDS = 180.0
POLL_SECONDS = 0.1
WATCH_SECONDS = 3.0

Found = TypeVar("Found")

IDLE_MESSAGES: dict[str, dict[str, Any]] = {
    "neuron": {"run_id": "nobody's", "generation": 0, "state": "start", "neuron": 0},
    "trainer": {"state": "watch"},
}
"""What a function may be called with at any time."""
IDLE_AT_ONCE = 8


def eventually(
    probe: Callable[[], Found | None], what: str, seconds: float = DEADLINE_SECONDS, state: Callable[[], Any] = str
) -> Found:
    """The first true answer of ``probe``; fails with ``what`` was awaited and the ``state`` of things."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}; now: {_readable(state())}")
        time.sleep(POLL_SECONDS)
    return found


def _readable(value: Any) -> str:
    value = asdict(value) if isinstance(value, Run) else value
    return value if isinstance(value, str) else json.dumps(value, indent=1, default=str)


@dataclass(frozen=True, slots=True)
class Upload:
    """An object that a test has put into the bucket."""

    key: str
    version_id: str
    etag: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training has led to, but for how long it took: two trainings can be compared bit for bit."""

    history: list[dict[str, float]]
    parameters: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Message:
    """What a subscriber of the topic reads."""

    subject: str
    body: str


@dataclass
class CloudUnderTest:
    """The local cloud in the folder ``home``."""

    home: Path
    began: float = field(default_factory=time.time)
    _messages: dict[str, list[Message]] = field(default_factory=dict)
    _folders: count[int] = field(default_factory=count)

    # What it is

    @cached_property
    def description(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads((self.home / "cloud.json").read_text())
        return described

    @cached_property
    def names(self) -> Names:
        return Names(self.description["prefix"], self.description["account"], self.description["region"])

    def client(self, service: str, **credentials: str) -> Any:
        """A client as the cloud's owner, or as whoever ``credentials`` belong to."""
        make: Any = boto3.client
        owner = self.description["credentials"]
        return make(
            service,
            endpoint_url=self.description["endpoint"],
            region_name=self.description["region"],
            aws_access_key_id=credentials.get("access_key_id", owner["access_key_id"]),
            aws_secret_access_key=credentials.get("secret_access_key", owner["secret_access_key"]),
            aws_session_token=credentials.get("session_token"),
            config=Config(
                max_pool_connections=32,
                retries={"mode": "standard", "total_max_attempts": 3},
                s3={"addressing_style": "path"},
            ),
        )

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    @cached_property
    def functions(self) -> Any:
        return self.client("lambda")

    @cached_property
    def logs(self) -> Any:
        return self.client("logs")

    @cached_property
    def sqs(self) -> Any:
        return self.client("sqs")

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.client("dynamodb"), self.names.runs_table, self.names.costs_table)

    @cached_property
    def redis(self) -> redis.Redis:
        return redis.Redis(**self.description["redis"], socket_timeout=10)

    # Uploading, and waiting for what follows

    def new_folder(self, name: str) -> str:
        """A prefix below training_input/ that nothing else uses."""
        return f"{TRAINING_INPUT}{name}-{next(self._folders)}-{time.time_ns():x}/"

    def put(self, key: str, body: bytes) -> Upload:
        stored = self.s3.put_object(Bucket=self.names.bucket, Key=key, Body=body)
        return Upload(key, stored["VersionId"], stored["ETag"].strip('"'))

    def upload(
        self,
        name: str,
        dataset: bytes,
        parameters: Mapping[str, Any] | bytes | None,
        file: str = "datasets.h5",
        folder: str | None = None,
    ) -> Upload:
        """Put parameters, then the dataset, into a folder of their own."""
        folder = folder or self.new_folder(name)
        if parameters is not None:
            text = parameters if isinstance(parameters, bytes) else json.dumps(parameters).encode()
            self.put(folder + "parameters.json", text)
        return self.put(folder + file, dataset)

    def run_of(self, upload: Upload) -> Run:
        """The run that an upload has started."""

        def find() -> Run | None:
            return self.ledger.find_run_of_upload(self.names.bucket, upload.key, upload.version_id)

        return eventually(find, f"a run for {upload.key}", state=lambda: "no such run")

    def start(self, name: str, dataset: bytes, parameters: Mapping[str, Any] | bytes | None) -> str:
        """Upload, and return the id of the run that starts."""
        return self.run_of(self.upload(name, dataset, parameters)).run_id

    def reached(self, run_id: str, epoch: int) -> Run:
        """The run once ``epoch`` epochs are done; fails if it has ended before."""

        def look() -> Run | None:
            run = self.run(run_id)
            assert not run.has_ended, f"the run ended before the test could interfere: {_readable(run)}"
            return run if run.epoch >= epoch else None

        return eventually(look, f"epoch {epoch} of {run_id}", state=lambda: self.run(run_id))

    def ended(self, run_id: str, seconds: float = DEADLINE_SECONDS) -> Run:
        """The run once it has ended and all that follows its end is done."""

        def look() -> Run | None:
            run = self.run(run_id)
            return run if not run.is_unfinished else None

        return eventually(look, f"the end of {run_id}", seconds, lambda: self.run(run_id))

    def completed(self, run_id: str, seconds: float = DEADLINE_SECONDS) -> Run:
        """The run once it has completed; fails if it ends otherwise."""
        run = self.ended(run_id, seconds)
        assert run.status == "COMPLETED", _readable(run)
        return run

    def train_all(self, jobs: Iterable[tuple[str, bytes, Mapping[str, Any]]]) -> list[Run]:
        """Complete several trainings at the same time."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda job: self.completed(self.start(*job)), jobs))

    # Traces

    def run(self, run_id: str) -> Run:
        run = self.ledger.get_run(run_id)
        assert run is not None, f"there is no run {run_id}"
        return run

    def runs_of(self, key: str) -> list[Run]:
        """Every run of a dataset's key."""
        return self.ledger.list_runs(key)

    def history(self, run_id: str) -> list[dict[str, float]]:
        return [{name: getattr(row, name) for name in FIGURES} for row in self.ledger.history(run_id)]

    def model(self, run_id: str) -> bytes:
        """The run's params.h5."""
        body: bytes = self.s3.get_object(Bucket=self.names.bucket, Key=params_key(run_id))["Body"].read()
        return body

    def outcome(self, run_id: str) -> Outcome:
        with h5py.File(io.BytesIO(self.model(run_id))) as file:
            parameters = {name: file[name][()].tobytes() for name in file}
        return Outcome(self.history(run_id), parameters)

    def redis_keys(self, run_id: str) -> list[bytes]:
        """Every key in Redis with the run's id in it."""
        return list(self.redis.scan_iter(match=f"*{run_id}*", count=1000))

    def await_no_keys(self, run_id: str) -> None:
        """Redis holds no key of a run that has ended, once the worker that has carried out its end is gone.

        Until then that worker's heartbeat may be there, which lives for some seconds.
        """
        eventually(
            lambda: not self.redis_keys(run_id),
            f"Redis without a key of run {run_id}",
            2 * HEARTBEAT_SECONDS,
            lambda: self.redis_keys(run_id),
        )

    def log_lines(self, role: str, *phrases: str) -> list[str]:
        """What a function has logged since the tests began with all of the phrases in it."""
        pages = self.logs.get_paginator("filter_log_events").paginate(
            logGroupName=self.names.log_group(role),
            startTime=int(self.began * 1000),
            filterPattern=" ".join(f'"{phrase}"' for phrase in phrases),
        )
        return [event["message"] for page in pages for event in page["events"]]

    def logged(self, role: str, *phrases: str, count: int = 1) -> list[str]:
        """``log_lines``, once there are so many; fails if there never are.

        The emulator may keep the last lines of an invocation until its worker has another: several at once reach
        workers that one after the other would not.
        """

        def look() -> list[str]:
            lines = self.log_lines(role, *phrases)
            if len(lines) < count:
                with ThreadPoolExecutor(IDLE_AT_ONCE) as pool:
                    list(pool.map(lambda _: self.invoke(role, IDLE_MESSAGES[role]), range(IDLE_AT_ONCE)))
                return []
            return lines

        return eventually(look, f"{count} lines of the {role} with {phrases}")

    def dead_letters(self, role: str) -> int:
        """How many events a function has given up."""
        url = self.sqs.get_queue_url(QueueName=f"{self.names.function(role)}-dlq")["QueueUrl"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    @cached_property
    def _subscription(self) -> str:
        """URL of a queue that gets every message from now on."""
        url: str = self.sqs.create_queue(QueueName=f"e2e-{time.time_ns():x}")["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = attributes["Attributes"]["QueueArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": self.names.topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        self.client("sns").subscribe(TopicArn=self.names.topic, Protocol="sqs", Endpoint=arn)
        return url

    def subscribe(self) -> None:
        """Be told of every message from now on."""
        assert self._subscription

    def messages(self, run_id: str) -> list[Message]:
        """What subscribers have been told of a run, oldest first."""
        while True:
            received = self.sqs.receive_message(QueueUrl=self._subscription, MaxNumberOfMessages=10, WaitTimeSeconds=0)
            if not received.get("Messages"):
                return self._messages.get(run_id, [])
            for raw in received["Messages"]:
                envelope = json.loads(raw["Body"])
                about = envelope["Message"].split()[1]
                self._messages.setdefault(about, []).append(Message(envelope["Subject"], envelope["Message"]))
                self.sqs.delete_message(QueueUrl=self._subscription, ReceiptHandle=raw["ReceiptHandle"])

    # Interfering

    def healed(self, run_id: str, seconds: float = DEADLINE_SECONDS) -> Run:
        """The run once it has completed, with the watch called as its schedule calls it, but more often."""
        deadline = time.monotonic() + seconds
        while True:
            self.invoke("trainer", {"state": "watch"})
            try:
                return self.completed(run_id, WATCH_SECONDS)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise

    def invoke(self, role: str, payload: Mapping[str, Any]) -> Any:
        """Call a function and return its answer; fails if it raises."""
        answer = self.functions.invoke(
            FunctionName=self.names.function(role), InvocationType="RequestResponse", Payload=json.dumps(payload)
        )
        content = json.loads(answer["Payload"].read() or "null")
        assert "FunctionError" not in answer, content
        return content

    def send(self, role: str, payload: Mapping[str, Any]) -> None:
        """Call a function as the other functions do: without waiting for it."""
        self.functions.invoke(
            FunctionName=self.names.function(role), InvocationType="Event", Payload=json.dumps(payload)
        )

    def position(self, run_id: str) -> Position | None:
        """The step at which a ``neuron`` run is, as Redis has it."""
        return Barrier(ParameterServer(self.redis, run_id)).position()

    def workers(self, role: str) -> list[psutil.Process]:
        """The processes in which a function runs at the moment."""
        emulator = psutil.Process(json.loads((self.home / "emulator.pid").read_text())["pid"])
        mark = f"ministack-lambda-{self.names.function(role)}-"
        found = []
        for process in emulator.children():
            try:
                if any(mark in argument for argument in process.cmdline()):
                    found.append(process)
            except psutil.Error:  # it has just ended
                continue
        return found

    def lnn(self, *arguments: str | Path, seconds: float = DEADLINE_SECONDS) -> subprocess.CompletedProcess[str]:
        """The command line, in a process of its own."""
        return subprocess.run(
            [Path(sys.executable).with_name("lnn"), *arguments],
            env=environment(self.home) | {"COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def lnn_json(self, *arguments: str | Path, seconds: float = DEADLINE_SECONDS) -> Any:
        """The JSON that a command prints; fails unless its exit status is 0."""
        done = self.lnn(*arguments, "--json", seconds=seconds)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def environment(home: Path) -> dict[str, str]:
    """The environment of a command that shall use the cloud in ``home``, and nothing else of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LNN_"))}
    return kept | {"LNN_HOME": str(home)}


def local_cloud(command: str, home: Path, seconds: float = 400, **variables: str) -> subprocess.CompletedProcess[str]:
    """``make up``, ``make down`` or ``make status`` for the cloud in ``home``; on free ports unless told otherwise."""
    ports = {"LNN_EMULATOR_PORT": "0", "LNN_REDIS_PORT": "0"}
    return subprocess.run(
        [sys.executable, "-m", "lnn_tools.local_cloud", command],
        env=environment(home) | ports | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def s3_event(*records: Mapping[str, Any]) -> dict[str, Any]:
    """The event that S3 sends for uploads: each of ``records`` is what a run keeps of its upload."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "eventTime": record["event_time"],
                "s3": {
                    "bucket": {"name": record["bucket"]},
                    "object": {
                        "key": quote_plus(record["key"], safe="/"),
                        "versionId": record["version_id"],
                        "eTag": record["etag"],
                        "sequencer": record["sequencer"],
                    },
                },
            }
            for record in records
        ]
    }


def run_id_of(record: Mapping[str, Any]) -> str:
    """The id of the run that a record of an S3 event opens."""
    (upload,) = uploads(s3_event(record))
    return upload.run_id


def subjects(cloud: CloudUnderTest, run_id: str, expected: int) -> list[str]:
    """Subjects of a run's messages in alphabetical order, without their figures, once ``expected`` have come.

    The function that tells of the start and the one that tells of the end do not wait for each other.
    """
    eventually(
        lambda: len(cloud.messages(run_id)) >= expected,
        f"{expected} messages about {run_id}",
        state=lambda: str(cloud.messages(run_id)),
    )
    return sorted(message.subject.split(",")[0] for message in cloud.messages(run_id))
