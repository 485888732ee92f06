"""S3 is expected to answer within seconds; where it does not, the call is made again with more patience.

Amazon's advice for requests of up to about 512 KB is to repeat one that has taken two seconds, and to wait longer for
each further one ("Timeouts and Retries for Latency-Sensitive Applications", in "Best Practices Design Patterns:
Optimizing Amazon S3 Performance").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ConnectTimeoutError, HTTPClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Answer = TypeVar("Answer")

PROMPT_BYTES = 8 * 2**20
"""What may be sent with a short time-out: S3 answers once it has all, and a function sends this in a fraction of it."""


class PromptS3:
    """Two clients for the same objects: one with a short time-out, and one that waits longer."""

    def __init__(self, patient: S3Client, prompt: S3Client | None = None) -> None:
        """``prompt`` has the short time-out; None for one client that does all."""
        self._patient = patient
        self._prompt = prompt

    def ask(self, call: Callable[[S3Client], Answer], sent: int = 0) -> Answer:
        """``call`` with the prompt client; where that hears nothing in time, with the patient one.

        ``call`` sends so many bytes, reads its answer to the end, and may be repeated.
        """
        if self._prompt is None or sent > PROMPT_BYTES:
            return call(self._patient)
        try:
            return call(self._prompt)
        except (ConnectTimeoutError, HTTPClientError):
            return call(self._patient)
