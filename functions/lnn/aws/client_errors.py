"""AWS error codes: which errors a retry can heal, and which stay until a person fixes the cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from lnn.errors import ConditionFailed, LedgerUnavailable, NonRetryable, ResourceDeleted

AWS_ERRORS = (BotoCoreError, ClientError)
"""What botocore raises when AWS did not answer, or answered with an error."""

PASSING = (*AWS_ERRORS, LedgerUnavailable)
"""What AWS answers, or does not, for some time only."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "403"})
"""A permission is missing. The reply to a HEAD request has no body, so its only code is the HTTP status."""

ABSENT = frozenset(
    {"404", "MethodNotAllowed", "NoSuchBucket", "NoSuchKey", "NoSuchVersion", "ResourceNotFoundException"}
)
"""The resource was deleted. S3 answers a request for a delete marker with MethodNotAllowed."""

_ARCHIVED = "restore it, or copy it to the storage class STANDARD"
_KEY = "enable or restore that KMS key, or store the object with the bucket's own encryption"
_REQUEST = "correct that"
UNREADABLE: Mapping[str, str] = {
    "InvalidObjectState": _ARCHIVED,
    "ObjectNotInActiveTierError": _ARCHIVED,
    # S3 answers so where an object is encrypted with a key that only its owner has (SSE-C).
    "InvalidRequest": "store the object without a key of your own (SSE-C), which nobody else can read",
    "KMS.AccessDeniedException": _KEY,
    "KMS.DisabledException": _KEY,
    "KMS.InvalidKeyUsageException": _KEY,
    "KMS.InvalidStateException": _KEY,
    "KMS.KMSInvalidStateException": _KEY,
    "KMS.NotFoundException": _KEY,
    "AccountProblem": "ask AWS Support",
    "EntityTooLarge": "use a smaller dataset or model",
    "InvalidArgument": _REQUEST,
    "InvalidBucketName": _REQUEST,
    "InvalidPayer": "ask AWS Support",
    "InvalidSecurity": _REQUEST,
    "InvalidStorageClass": _REQUEST,
    "InvalidURI": _REQUEST,
    "KeyTooLongError": "use a shorter key",
    "NotImplemented": _REQUEST,
    "NotSignedUp": "sign the account up for S3",
    "PermanentRedirect": "use the bucket's own region",
    "UnsupportedArgument": _REQUEST,
}
"""Codes of S3 for an object that is there and cannot be read or written as it is, each with the cure (S3 API
reference, "Error responses"). DynamoDB and Lambda use none of them."""


OVERTAKEN = frozenset({"ConditionalRequestConflict", "NoSuchKey", "PreconditionFailed"})
"""S3's answers to a conditional write that somebody else was faster than: 409 while the other write is under way, 404
where the object to replace was deleted, 412 otherwise (S3 user guide, "Conditional write behavior")."""


def code_of(error: Exception) -> str:
    """The code of AWS's answer; empty where AWS did not answer."""
    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


@contextmanager
def conditions(resource: str) -> Iterator[None]:
    """Raise ConditionFailed where S3 refuses a conditional write of ``resource`` for its condition."""
    try:
        yield
    except ClientError as error:
        if code_of(error) in OVERTAKEN:
            raise ConditionFailed(f"{resource} has been written by somebody else") from error
        raise


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
        if code in UNREADABLE:
            text = str(answer.get("Message") or code).rstrip(".")
            raise NonRetryable(
                f"cannot {what} {resource}: {code}: {text}; {UNREADABLE[code]}, then resume the run, or upload again "
                "if it had not begun to train"
            ) from error
        raise
