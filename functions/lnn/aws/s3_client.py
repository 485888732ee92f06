"""S3 with two time-outs: a short one first, then a longer one for a request that gets no answer.

Amazon advises to retry a request of up to about 512 KB after two seconds, and to wait longer at each further attempt
("Timeouts and Retries for Latency-Sensitive Applications", in "Best Practices Design Patterns: Optimizing Amazon S3
Performance").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ConnectTimeoutError, HTTPClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Answer = TypeVar("Answer")

PROMPT_BYTES = 8 * 2**20
"""The largest body to send with the short time-out. S3 answers when it has received all; this much takes a fraction."""


class RetryingS3:
    """Two clients for the same objects: one with a short time-out, and one that waits longer."""

    def __init__(self, patient: S3Client, prompt: S3Client | None = None) -> None:
        """``prompt`` has the short time-out; None makes ``patient`` do every call."""
        self._patient = patient
        self._prompt = prompt

    def ask(self, call: Callable[[S3Client], Answer], sent: int = 0) -> Answer:
        """Run ``call`` with the prompt client; on a time-out, run it again with the patient one.

        ``call`` sends ``sent`` bytes, reads its answer to the end, and must be safe to repeat.
        """
        if self._prompt is None or sent > PROMPT_BYTES:
            return call(self._patient)
        try:
            return call(self._prompt)
        except (ConnectTimeoutError, HTTPClientError):
            return call(self._patient)
