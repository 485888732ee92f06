"""A deployment of which batches see the bucket and Predict: uploads become events, and a test says what comes of them.

Time passes only while the client waits. Then Predict gets the next event, in an order that a seed decides: twice, late,
or with the function dead before or after it has stored its answer. What has died as often as Lambda tries is lost.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from lnn.aws.events import Upload
from lnn.models.store import Artifacts
from lnn.names import BATCHES, PREDICTION_OUTPUT, Names
from lnn.serving.batch import BatchPredictions
from lnn_client import batches

NAMES = Names("lnn", "123456789012", "us-east-1")
TRIES = 3
"""Lambda's: an event, and two repeats."""


class Died(BaseException):
    """The function is gone."""


class Bucket:
    """S3, with an event for each part that is put."""

    def __init__(self, session: boto3.Session) -> None:
        self._s3: Any = session.client("s3")
        self._s3.create_bucket(Bucket=NAMES.bucket)
        self._s3.put_bucket_versioning(Bucket=NAMES.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.events: list[Upload] = []
        self.sent: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def put_object(self, **request: Any) -> Any:
        answer = self._s3.put_object(**request)
        key = request["Key"]
        if key.startswith(BATCHES) and key.endswith(".npy"):
            self.sent.append(key)
            self.events.append(Upload(NAMES.bucket, key, answer["VersionId"], "", "1", "2026-01-02T03:04:05Z"))
        return answer

    def read(self, key: str) -> bytes:
        body: bytes = self._s3.get_object(Bucket=NAMES.bucket, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str) -> list[str]:
        listed = self._s3.list_objects_v2(Bucket=NAMES.bucket, Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in listed]


class BatchWorld:
    """The client's view of a deployment, and what happens in it while the client waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seed: int = 0, *, faults: bool = False) -> None:
        self.s3 = Bucket(boto3.Session(region_name="us-east-1"))
        self.names = NAMES
        self.now = 0.0
        self.deaths = 0
        self.most_at_once = 0
        self._function: BatchPredictions | None = None
        self.while_waiting: Callable[[], None] = self.deliver_one
        self._random, self._faults = random.Random(seed), faults  # noqa: S311 - a test's dice
        monkeypatch.setattr(batches, "pause", self._pause)
        monkeypatch.setattr(batches, "monotonic", lambda: self.now)

    @property
    def cloud(self) -> Any:
        return SimpleNamespace(s3=self.s3, names=self.names)

    def _pause(self, started: float) -> None:
        self.now += 5.0
        self.most_at_once = max(self.most_at_once, len({event.key for event in self.s3.events}))
        self.while_waiting()

    def deliver_one(self) -> None:
        """Predict gets one of the events, in a new environment or an old one."""
        events = self.s3.events
        if not events:
            return
        event = events.pop(self._random.randrange(len(events)))
        if self._faults and self._random.random() < 0.3:
            events.append(event)
        for _ in range(TRIES):
            try:
                self.predict(event)
            except Died:
                self.deaths += 1
            else:
                return

    def predict(self, event: Upload) -> str:
        """One invocation, which may die before or after it has stored its answer."""
        dies = self._random.choice(["before", "after", "never"]) if self._faults else "never"
        function = self._function or BatchPredictions(Artifacts(self.s3, NAMES.bucket))
        self._function = None  # of one that dies, the next invocation has nothing
        if dies == "before":
            raise Died
        outcome = function.predict(event)
        if dies == "after":
            raise Died
        self._function = function
        return outcome

    def answers(self) -> list[str]:
        """Keys of every answer that is stored, each with its one version."""
        listed = self.s3.list_object_versions(Bucket=NAMES.bucket, Prefix=PREDICTION_OUTPUT)
        return [version["Key"] for version in listed.get("Versions", [])]


def event_of(key: str) -> Upload:
    return Upload(NAMES.bucket, key, None, "", "1", "2026-01-02T03:04:05Z")
