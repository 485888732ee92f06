"""One line for every error: what is wrong, and how to mend it."""

import io
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import typer

from lnn.errors import LnnError, NonRetryable
from lnn_cli.ui.console import command, say
from lnn_cli.ui.help import CompactHelp
from lnn_client import errors as failures

DEBUG_VARIABLE = "LNN_DEBUG"

_DEBUGGED = f"{DEBUG_VARIABLE}=1 shows where it comes from"


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
            # The reader of a pipe has gone: keep the interpreter from writing to it once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
    return _one_line(_message(error))


def _message(error: BaseException) -> str:
    if isinstance(error, NonRetryable) and error.__cause__ is not None:
        return _message(error.__cause__)  # its text tells what the functions' owner would have to do
    if "botocore" in sys.modules:
        from lnn_client.aws_errors import explained

        error = explained(error) or error
    if isinstance(error, LnnError):
        cure = _CURES.get(type(error))
        return f"{error}; {cure(error)}" if cure else str(error)
    if isinstance(error, CliError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return f"the Python package {error.name} is not installed; run: make setup"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path and its permissions"
    return f"unexpected {type(error).__name__}: {error}; {_DEBUGGED}"


def _not_found(error: failures.NotFound) -> str:
    if error.kind != "run":
        return f"list them with: {command('lnn models')}"
    if error.wanted is not None:
        return f"list them with: {command('lnn runs')}"
    return f"start one with: {command('lnn train DATASET.h5')}"


def _still_running(error: failures.FollowTimeout) -> str:
    run_id = error.run.run_id
    return f"it goes on: {command(f'lnn watch {run_id}')}, or end it: {command(f'lnn stop {run_id}')}"


def _no_model(error: failures.NoModel) -> str:
    if error.run is None:
        return f"train one with: {command('lnn train DATASET.h5 --wait')}"
    return f"pick another run from: {command('lnn runs')}"


_CURES: dict[type[LnnError], Callable[[Any], str]] = {
    failures.AmbiguousFolders: lambda _: "in that case, add --all-classes",
    failures.AwsFailure: lambda _: _DEBUGGED,
    failures.FollowTimeout: _still_running,
    failures.NoLogin: lambda _: "run: aws sso login",
    failures.NoModel: _no_model,
    failures.NoRegion: lambda _: "pass --region or set AWS_REGION",
    failures.NotDeployed: lambda _: "check with: lnn doctor",
    failures.NotFound: _not_found,
    failures.OtherRegion: lambda error: (
        f"pass --region {error.region}, set AWS_REGION, or set AWS_PROFILE to another profile"
    ),
    failures.RunNotOpened: lambda _: f"check the system with: {command('lnn doctor')}",
    failures.Unreachable: lambda error: (
        "start it with: make up" if error.is_local else "check the network and the region (--region)"
    ),
    failures.UnsupportedSystem: lambda _: "or use your AWS account with --target aws",
    failures.WhiteUnknown: lambda error: (
        f"say which value is white, such as {', or '.join(f'--white {usual}' for usual in error.usual)}"
    ),
}
"""How to mend an error with this command; a kind that is not here says it by itself."""


def _usage_line(usage: typer.TyperException) -> str:
    context = getattr(usage, "ctx", None)
    path = context.command_path if context is not None else "lnn"
    return f"{usage.format_message().rstrip('.')}; see: {path} --help"


def _report(line: str) -> None:
    say(f"error: {_one_line(line)}", err=True)


def _one_line(text: str) -> str:
    """Lines of a message joined; blanks that are not ASCII belong to names."""
    return " ".join(filter(None, re.split(r"[ \t\r\n]+", text)))


def _escape_what_cannot_be_written() -> None:
    """A file's name need not be UTF-8, nor a terminal take every letter: such letters are printed as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
