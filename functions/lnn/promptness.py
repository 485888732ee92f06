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
    """The clients of one bucket's users."""

    def __init__(self, patient: S3Client, prompt: S3Client | None = None) -> None:
        """``prompt`` has the short time-out; None for one client that does all."""
        self.patient = patient
        """For uploads over ``PROMPT_BYTES``, and for what is rarely asked for."""
        self._prompt = prompt

    def ask(self, call: Callable[[S3Client], Answer]) -> Answer:
        """``call`` with the one client; where that hears nothing in time, with the other.

        ``call`` reads its answer to the end, and may be repeated.
        """
        if self._prompt is None:
            return call(self.patient)
        try:
            return call(self._prompt)
        except (ConnectTimeoutError, HTTPClientError):
            return call(self.patient)
