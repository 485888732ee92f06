"""Events that AWS invokes the functions with: S3 uploads and HTTP requests.

Only this module reads their raw JSON; the rest of the library sees typed values.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus


@dataclass(frozen=True, slots=True)
class Upload:
    """One object written to S3, as its event describes it."""

    bucket: str
    key: str
    version_id: str | None
    etag: str
    sequencer: str
    event_time: str

    @property
    def run_id(self) -> str:
        """``YYYYMMDDThhmmssZ-xxxxxxxx``; an event that is delivered twice names the same run."""
        identity = "\n".join((self.bucket, self.key, self.version_id or self.etag, self.sequencer))
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        return f"{self.uploaded_at:%Y%m%dT%H%M%SZ}-{digest}"

    @property
    def uploaded_at(self) -> datetime:
        return datetime.fromisoformat(self.event_time)


def uploads(event: Mapping[str, Any]) -> list[Upload]:
    """The uploads in an S3 notification; none in the test event that S3 sends when notifications are set up.

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
    """Keyed by name in lower case."""
    body: str | None = None
    is_base64: bool = False


def http_request(event: Mapping[str, Any]) -> HttpRequest:
    """The request in an API Gateway event (payload format 2.0), its path without the stage."""
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
