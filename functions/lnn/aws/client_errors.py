"""AWS error codes: which errors a retry can heal, and which stay until a person fixes the cause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from lnn.errors import NonRetryable, ResourceDeleted

AWS_ERRORS = (BotoCoreError, ClientError)
"""What botocore raises when AWS did not answer, or answered with an error."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "403"})
"""A permission is missing. The reply to a HEAD request has no body, so its only code is the HTTP status."""

ABSENT = frozenset(
    {"404", "MethodNotAllowed", "NoSuchBucket", "NoSuchKey", "NoSuchVersion", "ResourceNotFoundException"}
)
"""The resource was deleted. S3 answers a request for a delete marker with MethodNotAllowed."""


@contextmanager
def refusals(what: str, resource: str) -> Iterator[None]:
    """Raise NonRetryable in place of an error that no retry can heal; let all other errors through.

    ``what`` is a verb and ``resource`` its object, for the message: ``refusals("read", "s3://bucket/key")``.
    """
    try:
        yield
    except ClientError as error:
        answer = error.response.get("Error", {})
        code = answer.get("Code", "")
        if code in DENIED:
            text = str(answer.get("Message") or code).rstrip(".")
            raise NonRetryable(
                f"not allowed to {what} {resource}: {text}; give the function's role that permission again "
                "('make deploy' does), then resume the run, or upload again if it had not begun to train"
            ) from error
        if code in ABSENT:
            raise ResourceDeleted(
                f"cannot {what} {resource}, which is gone: it was deleted or has expired; restore it and resume the "
                "run, or upload the dataset again"
            ) from error
        raise
