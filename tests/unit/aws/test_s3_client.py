"""A call to S3 that hears nothing in time is made again with more patience; any other trouble is not."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError, ResponseStreamingError

from lnn.aws.s3_client import PROMPT_BYTES, RetryingS3
from lnn.models.store import Artifacts

SILENCE = [
    ReadTimeoutError(endpoint_url="https://s3"),
    ConnectTimeoutError(endpoint_url="https://s3"),
    ResponseStreamingError(error="cut off"),
]


class S3:
    """A client that takes down its calls, and fails with ``error`` if it has one."""

    def __init__(self, error: Exception | None = None, body: Any = None) -> None:
        self.error, self.body = error, body or io.BytesIO(b"body")
        self.calls: list[str] = []

    def _called(self, name: str) -> dict[str, Any]:
        self.calls.append(name)
        if self.error is not None:
            raise self.error
        return {"Body": self.body}

    def get_object(self, **_: Any) -> dict[str, Any]:
        return self._called("get")

    def put_object(self, **_: Any) -> dict[str, Any]:
        return self._called("put")


class Stalling(io.BytesIO):
    """An answer whose end does not come."""

    def read(self, size: int | None = -1) -> bytes:
        raise SILENCE[0]


def asked(prompt: S3, patient: S3) -> Any:
    return RetryingS3(patient, prompt).ask(lambda client: client.get_object(Bucket="b", Key="k")["Body"].read())  # type: ignore[arg-type]


def test_an_answer_in_time_is_all_that_is_asked_for() -> None:
    prompt, patient = S3(), S3()
    assert asked(prompt, patient) == b"body"
    assert (prompt.calls, patient.calls) == (["get"], [])


@pytest.mark.parametrize("silence", SILENCE, ids=lambda error: type(error).__name__)
def test_a_call_without_an_answer_is_made_again_with_patience(silence: Exception) -> None:
    prompt, patient = S3(silence), S3()
    assert asked(prompt, patient) == b"body"
    assert (prompt.calls, patient.calls) == (["get"], ["get"])


def test_an_answer_that_stalls_is_asked_for_again() -> None:
    patient = S3()
    assert asked(S3(body=Stalling()), patient) == b"body"
    assert patient.calls == ["get"]


def test_silence_to_the_patient_client_too_is_an_error() -> None:
    with pytest.raises(ReadTimeoutError):
        asked(S3(SILENCE[0]), S3(SILENCE[0]))


def test_an_answer_that_says_no_is_an_answer() -> None:
    patient = S3()
    with pytest.raises(ClientError, match="AccessDenied"):
        asked(S3(ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")), patient)
    assert patient.calls == []


@pytest.mark.parametrize(
    ("size", "prompt_calls", "patient_calls"), [(PROMPT_BYTES, ["put"], []), (PROMPT_BYTES + 1, [], ["put"])]
)
def test_what_takes_long_to_send_is_not_hurried(size: int, prompt_calls: list[str], patient_calls: list[str]) -> None:
    prompt, patient = S3(), S3()
    Artifacts(patient, "bucket", prompt).put_registered_model("a-model", bytes(size))  # type: ignore[arg-type]
    assert (prompt.calls, patient.calls) == (prompt_calls, patient_calls)
