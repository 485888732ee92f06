"""What functions are invoked with: S3's upload event, a call to the API, and what they send each other.

Raw JSON is read here and nowhere else; the rest of the library sees typed values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import unquote_plus

Direction = Literal["forward", "backward"]
State = Literal["start", "forward", "backward", "watch"]


@dataclass(frozen=True, slots=True)
class Upload:
    """One object that S3 says was written."""

    bucket: str
    key: str
    version_id: str | None
    etag: str
    sequencer: str
    event_time: str

    @property
    def run_id(self) -> str:
        """``YYYYMMDDThhmmssZ-xxxxxxxx``: the same event delivered twice is the same run."""
        identity = "\n".join((self.bucket, self.key, self.version_id or self.etag, self.sequencer))
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        return f"{self.uploaded_at:%Y%m%dT%H%M%SZ}-{digest}"

    @property
    def uploaded_at(self) -> datetime:
        return datetime.fromisoformat(self.event_time)


def uploads(event: Mapping[str, Any]) -> list[Upload]:
    """The uploads an S3 notification tells of; S3's own test event tells of none.

    Keys arrive URL-encoded with ``+`` for a space (S3 user guide, "Event message structure").
    """
    found = []
    for record in event.get("Records", []):
        if record.get("eventSource") != "aws:s3":
            continue
        entity = record["s3"]
        stored = entity["object"]
        found.append(
            Upload(
                bucket=entity["bucket"]["name"],
                key=unquote_plus(stored["key"]),
                version_id=stored.get("versionId"),
                etag=stored.get("eTag", ""),
                sequencer=stored.get("sequencer", ""),
                event_time=record["eventTime"],
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A call to the prediction API."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """By their names in lower case."""
    body: str | None = None
    is_base64: bool = False


def http_request(event: Mapping[str, Any]) -> HttpRequest:
    """The request that API Gateway's event describes (payload format 2.0); the stage is no part of its path."""
    context = event.get("requestContext", {})
    path, stage = str(event.get("rawPath") or "/"), context.get("stage", "$default")
    return HttpRequest(
        method=str(context.get("http", {}).get("method", "GET")).upper(),
        path=path if stage == "$default" else path.removeprefix(f"/{stage}") or "/",
        query=event.get("queryStringParameters") or {},
        headers={name.lower(): str(value) for name, value in (event.get("headers") or {}).items()},
        body=event.get("body"),
        is_base64=bool(event.get("isBase64Encoded")),
    )


@dataclass(frozen=True, slots=True)
class Message:
    """What Launch, Trainer and Neuron send each other: ids and positions, never tensors.

    To the Trainer, ``forward`` and ``backward`` say that every neuron of ``layer`` is done in that
    direction; to a Neuron, they say what to compute for ``neuron``. Epochs and layers count from
    1, batches and neurons from 0.
    """

    run_id: str
    generation: int
    state: State
    epoch: int = 0
    batch: int = 0
    layer: int = 0
    neuron: int | None = None

    @classmethod
    def parse(cls, event: Mapping[str, Any]) -> Message:
        """Raises TypeError for a field that no message has, or that is missing.

        The schedule's ``watch`` speaks of no run.
        """
        return cls(**{"run_id": "", "generation": 0, **event} if event.get("state") == "watch" else event)

    def as_json(self) -> dict[str, Any]:
        return {field: value for field, value in asdict(self).items() if value is not None}

    def restart(self) -> Message:
        """Asks the Trainer to begin the run's next generation."""
        return Message(self.run_id, self.generation + 1, "start")


@dataclass(frozen=True, slots=True)
class Step:
    """One layer's work in one direction: the unit at which the neurons of a run meet."""

    generation: int
    epoch: int
    batch: int
    direction: Direction
    layer: int

    @property
    def id(self) -> str:
        return f"{self.generation}:{self.epoch}:{self.batch}:{self.direction}:{self.layer}"

    @classmethod
    def parse(cls, step_id: str) -> Step:
        generation, epoch, batch, direction, layer = step_id.split(":")
        if direction not in ("forward", "backward"):
            raise ValueError(f"not a step: {step_id!r}")
        return cls(
            int(generation),
            int(epoch),
            int(batch),
            "forward" if direction == "forward" else "backward",
            int(layer),
        )

    @classmethod
    def of(cls, message: Message) -> Step:
        direction: Direction = "forward" if message.state == "forward" else "backward"
        return cls(message.generation, message.epoch, message.batch, direction, message.layer)

    def message(self, run_id: str, neuron: int | None = None) -> Message:
        return Message(
            run_id,
            self.generation,
            self.direction,
            self.epoch,
            self.batch,
            self.layer,
            neuron,
        )
