"""What AWS will refuse again, told from what a repeat may heal: the home of its error codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from lnn.errors import NonRetryable, ResourceDeleted

AWS_ERRORS = (BotoCoreError, ClientError)
"""What a call raises that AWS did not answer, or answered with an error."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "403"})
"""Somebody took a permission away; HEAD requests have no body, and so no code but the status."""

ABSENT = frozenset(
    {"404", "MethodNotAllowed", "NoSuchBucket", "NoSuchKey", "NoSuchVersion", "ResourceNotFoundException"}
)
"""Somebody deleted what the call is about; S3 answers a request for a delete marker with MethodNotAllowed."""


@contextmanager
def refusals(what: str, resource: str) -> Iterator[None]:
    """Raises NonRetryable for an error that stays until a person mends its cause; all others pass.

    ``what`` is done to ``resource``, as in ``refusals("read", "s3://bucket/key")``.
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
