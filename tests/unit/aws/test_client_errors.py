"""Which of AWS's errors no repeat heals, and what is said of them."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from lnn.aws.client_errors import UNREADABLE, refusals
from lnn.errors import NonRetryable


@pytest.mark.parametrize("code", UNREADABLE)
def test_an_object_that_cannot_be_read_as_it_is_is_named_with_the_cause_and_the_cure(code: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "It is so."}}, "GetObject")
    with pytest.raises(NonRetryable) as raised, refusals("read", "s3://bucket/key"):
        raise error
    assert str(raised.value).startswith(
        f"cannot read s3://bucket/key: {code}: It is so; {UNREADABLE[code]}, then resume"
    )


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "RequestTimeout", "OperationAborted", "ExpiredToken"])
def test_an_error_that_may_pass_stays_what_it_is(code: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "Later."}}, "GetObject")
    with pytest.raises(ClientError), refusals("read", "s3://bucket/key"):
        raise error
