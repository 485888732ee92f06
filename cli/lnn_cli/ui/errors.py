"""One line for every error: what is wrong, and how to mend it."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import typer

from lnn_cli.ui.help import CompactHelp

DEBUG_VARIABLE = "LNN_DEBUG"

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403", "Forbidden"}
_ABSENT = {"ResourceNotFoundException", "NoSuchBucket", "NotFound", "404", "NotFoundException"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN_KEY = {
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "AuthFailure",
}
_UNREACHABLE = {
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionError",
    "HTTPClientError",
    "ProxyConnectionError",
    "ReadTimeoutError",
}
_NO_CREDENTIALS = "no usable AWS credentials ({error}); run: aws configure, or set AWS_PROFILE"
_LOG_IN = "the AWS login is not valid ({error}); run: aws sso login"
_REMEDIES = {
    "CredentialRetrievalError": _NO_CREDENTIALS,
    "NoAuthTokenError": _LOG_IN,
    "NoCredentialsError": _NO_CREDENTIALS,
    "NoRegionError": "no AWS region is set; pass --region or set AWS_REGION",
    "PartialCredentialsError": _NO_CREDENTIALS,
    "ProfileNotFound": "{error}; set AWS_PROFILE to one of yours, or unset it",
    "SSOTokenLoadError": _LOG_IN,
    "TokenRetrievalError": _LOG_IN,
    "UnauthorizedSSOTokenError": _LOG_IN,
}
_NO_REMEDY = f"AWS: {{error}}; {DEBUG_VARIABLE}=1 shows where it comes from"


class CliError(Exception):
    """Something the user can mend; the text is the whole message."""


class OneLineErrors(CompactHelp):
    """A command group that reports every failure as one line on standard error, never a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line; exits 1 on a failure, 2 on wrong usage, 130 on Ctrl-C."""
        extra["standalone_mode"] = False
        _escape_what_cannot_be_written()
        try:
            outcome = super().main(*args, **extra)
        except BrokenPipeError:
            _silence_stdout()
            sys.exit(1)
        except typer.TyperException as usage:
            _report(_usage_line(usage))
            sys.exit(2)
        except typer.Abort:
            _report("canceled")
            sys.exit(1)
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE):
                raise
            _report(explain(error))
            sys.exit(1)
        sys.exit(outcome if isinstance(outcome, int) else 0)


def explain(error: BaseException) -> str:
    """One line that says what went wrong and how to mend it."""
    return " ".join(_message(error).split())


def _message(error: BaseException) -> str:
    kind = type(error)
    if kind.__name__ in ("NonRetryable", "ResourceDeleted") and error.__cause__ is not None:
        return _message(error.__cause__)  # what the functions would have to do about it is not the user's cure
    if isinstance(error, CliError) or kind.__module__ == "lnn.errors":
        return str(error)
    if kind.__module__.startswith(("botocore.", "boto3.")):
        return _from_aws(error)
    if isinstance(error, ModuleNotFoundError):
        return f"the Python package {error.name} is not installed; run: make setup"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path and its permissions"
    return f"unexpected {kind.__name__}: {error}; {DEBUG_VARIABLE}=1 shows where it comes from"


def _from_aws(error: BaseException) -> str:
    kind = type(error).__name__
    if kind == "S3UploadFailedError" and error.__context__ is not None:
        return _message(error.__context__)
    if isinstance(getattr(error, "response", None), dict):
        return _from_answer(error)
    if kind in _UNREACHABLE:
        return _unreachable(error)
    return _REMEDIES.get(kind, _NO_REMEDY).format(error=error)


def _unreachable(error: BaseException) -> str:
    endpoint = str(getattr(error, "kwargs", {}).get("endpoint_url", ""))
    if "127.0.0.1" in endpoint or "localhost" in endpoint:
        return f"the local cloud does not answer at {endpoint}; start it with: make up"
    return f"AWS does not answer at {endpoint or 'its endpoint'}; check the network and the region (--region)"


def _from_answer(error: BaseException) -> str:
    response: dict[str, Any] = getattr(error, "response", {})
    operation = getattr(error, "operation_name", "the call")
    code = str(response.get("Error", {}).get("Code", ""))
    text = response.get("Error", {}).get("Message", "")
    if code in _DENIED:
        return f"AWS refused {operation}: {text or code}; use credentials that may do that"
    if code in _ABSENT:
        return f"{operation} found nothing there ({text or code}): the system is not deployed; check with: lnn doctor"
    if code in _EXPIRED:
        return "the AWS credentials have expired; log in again"
    if code in _UNKNOWN_KEY:
        return f"AWS does not know these credentials ({code}); check AWS_PROFILE, or run: aws configure"
    return f"{operation} failed with {code}: {text}"


def _usage_line(usage: typer.TyperException) -> str:
    context = getattr(usage, "ctx", None)
    path = context.command_path if context is not None else "lnn"
    return f"{usage.format_message().rstrip('.')}; see: {path} --help"


def _report(line: str) -> None:
    typer.echo(f"error: {' '.join(line.split())}", err=True)


def _escape_what_cannot_be_written() -> None:
    """A file's name need not be UTF-8, nor a terminal take every letter: such letters are printed as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _silence_stdout() -> None:
    """The reader of a pipe has gone: keep the interpreter from writing to it once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
