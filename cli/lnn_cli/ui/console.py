"""How figures, tables and JSON look on a terminal and in a pipe.

Rich is imported inside functions: a command in a pipe that prints text alone starts without it.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from lnn.text.characters import escaped, in_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

STATUS_STYLES = {
    "PENDING": "yellow",
    "RUNNING": "cyan",
    "COMPLETED": "green",
    "STOPPED": "yellow",
    "FAILED": "red",
}

_PIPE_WIDTH = 200
_target: ContextVar[str] = ContextVar("target", default="local")


def recommend_for(target: str) -> None:
    """Recommend commands for this target from now on."""
    _target.set(target)


def command(line: str) -> str:
    """A command to recommend, for the target that this one was given."""
    return line if _target.get() == "local" else f"{line} --target {_target.get()}"


def output() -> Console:
    """What was asked for: standard output. A pipe gets plain, unwrapped lines."""
    from lnn_cli.ui.text_console import TextConsole

    console = TextConsole(soft_wrap=False)
    return console if console.is_terminal else TextConsole(width=max(console.width, _PIPE_WIDTH))


def messages() -> Console:
    """Progress and remarks: standard error, so that standard output stays clean."""
    from lnn_cli.ui.text_console import TextConsole

    return TextConsole(stderr=True)


def messages_are_piped() -> bool:
    """Whether nobody sees standard error move: it is no terminal, and no variable tells Rich to take it for one."""
    return not sys.stderr.isatty() and not any(map(os.environ.get, ("FORCE_COLOR", "TTY_COMPATIBLE")))


def say(text: str, *, err: bool = False) -> None:
    """Lines of an answer, on standard output; unsafe characters are printed as escapes."""
    typer.echo(escaped(text, "\n"), err=err)


def note(text: str) -> None:
    """One remark on standard error."""
    say(text, err=True)


def tell_warnings(warnings: Iterable[str]) -> None:
    """What is odd about a dataset that can be trained on, on standard error."""
    for warning in warnings:
        note(f"warning: {warning}")


def print_json(value: object) -> None:
    """One JSON document on standard output; what JSON cannot hold becomes null or text."""
    say(in_json(_plain(value), indent=2))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], right: Sequence[str] = ()) -> None:
    """A table without frame, aligned; ``right`` names the columns of figures."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(_cell(heading), justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    _print(table)


def print_pairs(pairs: Iterable[tuple[str, str | Text]]) -> None:
    """Names and values, one pair a line."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, _cell(value))
    _print(table)


def _cell(text: str | Text) -> Text:
    """Escaped before the table is measured, so that the escapes have room; a cell is one line."""
    from rich.text import Text

    return Text(escaped(text.plain), style=text.style) if isinstance(text, Text) else Text(escaped(text))


def _print(table: Table) -> None:
    """Prints without the blanks that fill each line."""
    console = output()
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip(), color=console.is_terminal)


def status(name: str) -> Text:
    """A run's status in its color."""
    from rich.text import Text

    return Text(name, style=STATUS_STYLES.get(name, ""))


def number(value: float | None, digits: int = 4) -> str:
    """A figure with ``digits`` significant digits and no power of ten where it is large, or a dash."""
    if value is None:
        return "-"
    if 10**digits <= abs(value) < math.inf:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def share(value: float | None) -> str:
    """A share of 1 as a percentage, or a dash."""
    return "-" if value is None else f"{value:.1%}"


def dollars(value: float | None) -> str:
    """US dollars, the smaller the more digits, or a dash."""
    if value is None:
        return "-"
    digits = 2 if value >= 1 else 4 if value >= 0.01 else 6
    return f"${value:,.{digits}f}"


def words(value: object) -> str:
    """The value of a setting; an empty one as one that is not set."""
    if isinstance(value, Mapping):
        value = [f"{name} {entry}" for name, entry in value.items()]
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)


def duration(seconds: float | None) -> str:
    """Seconds for people: ``0.8 s``, ``42 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def moment(epoch_seconds: float | None) -> str:
    """A point in time in the reader's own time zone, or a dash."""
    if epoch_seconds is None:
        return "-"
    return f"{datetime.fromtimestamp(epoch_seconds, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)
