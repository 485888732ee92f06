"""The error that every tool raises, and how a command reports it."""

import sys
from collections.abc import Callable


class ToolError(Exception):
    """One sentence that says what is wrong and how to mend it."""


def exit_status(name: str, command: Callable[[], int | None]) -> int:
    """Runs a command and returns its exit status; an error becomes one message on standard error, and 1."""
    try:
        return command() or 0
    except ToolError as error:
        print(f"{name}: {error}", file=sys.stderr)
    except (KeyboardInterrupt, EOFError):
        print(f"{name}: interrupted", file=sys.stderr)
    return 1
