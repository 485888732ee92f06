"""Following a run until it ends: the one place that polls, and how progress looks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn
from rich.text import Text

from lnn_cli.errors import CliError
from lnn_cli.rendering import STATUS_STYLES, duration, messages, number, share
from lnn_cli.runs import ENDED, Run
from lnn_cli.targets import command

if TYPE_CHECKING:
    from lnn.ledger import Ledger

POLL_SECONDS = 0.5
HISTORY_SECONDS = 2.0
SETTLE_SECONDS = 20.0
"""A run that has ended is soon closed, too; if its trainer died just then, the watch does it later."""
PLAIN_LINE_SECONDS = 10.0
_FIRST_GENERATION = "generation 1 "
_PACE_WINDOW_SECONDS = 15.0
_NARROW, _WIDE = 72, 110


@dataclass(frozen=True, slots=True)
class Look:
    """A run at one moment, with the newest row of its history."""

    run: Run
    row: dict[str, Any] | None


class FollowTimeoutError(CliError):
    """The run did not end in the time that the user gave; ``run`` is its last state."""

    def __init__(self, run: Run, timeout: float) -> None:
        self.run = run
        run_id = run["run_id"]
        super().__init__(
            f"run {run_id} is still {run['status']} after {duration(timeout)}; it goes on: "
            f"{command(f'lnn watch {run_id}')}, or end it: {command(f'lnn stop {run_id}')}"
        )


def has_ended(run: Run) -> bool:
    """Whether nothing more will happen in the run."""
    return run["status"] in ENDED


def follow(
    ledger: Ledger,
    run_id: str,
    *,
    until: Callable[[Run], bool] = has_ended,
    timeout: float | None = None,
    interval: float = POLL_SECONDS,
) -> Iterator[Look]:
    """Looks at a run again and again; the last look is the one at which ``until`` holds.

    Raises:
        FollowTimeoutError: ``timeout`` seconds have passed.
        CliError: the run does not exist (any more).
    """
    started = monotonic()
    rows = _NewestRow(ledger, run_id)
    while True:
        run = ledger.get_run(run_id)
        if run is None:
            raise CliError(f"there is no run {run_id!r}; list them with: {command('lnn runs')}")
        yield Look(run, rows.at(run))
        if until(run):
            return
        if timeout is not None and monotonic() - started >= timeout:
            raise FollowTimeoutError(run, timeout)
        sleep(interval)


def watch_run(
    ledger: Ledger, run_id: str, *, until: Callable[[Run], bool] = has_ended, timeout: float | None = None
) -> Run:
    """Shows a run's progress on standard error until it ends; returns its last state."""
    run: Run = {}
    with reporter(messages()) as shown:
        for look in follow(ledger, run_id, until=until, timeout=timeout):
            run = look.run
            shown.show(look)
    return _settled(ledger, run)


def _settled(ledger: Ledger, run: Run) -> Run:
    """The run once all that follows its end is done: its model is the latest, its messages are sent."""
    deadline = monotonic() + SETTLE_SECONDS
    while run.get("closing") and monotonic() < deadline:
        sleep(POLL_SECONDS)
        run = ledger.get_run(run["run_id"]) or run
    return run


class Reporter(Protocol):
    """Shows what a run is doing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, look: Look) -> None:
        """Shows the newest look."""


def reporter(console: Console) -> Reporter:
    """A live bar on a terminal; a plain line now and then in a pipe."""
    return LiveReporter(console) if console.is_terminal else PlainReporter(console)


@dataclass
class Pace:
    """Epochs a second, over the last seconds that were looked at."""

    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def see(self, epoch: int, now: float) -> None:
        """Notes that ``epoch`` epochs were done at ``now`` (seconds on any steady clock)."""
        if self.samples and epoch < self.samples[-1][1]:
            self.samples.clear()
        self.samples.append((now, epoch))
        while len(self.samples) > 2 and now - self.samples[1][0] > _PACE_WINDOW_SECONDS:
            self.samples.popleft()

    @property
    def rate(self) -> float | None:
        """Epochs a second; None until an epoch has been seen to pass."""
        if len(self.samples) < 2:
            return None
        (began, first), (now, last) = self.samples[0], self.samples[-1]
        return (last - first) / (now - began) if last > first and now > began else None

    def left(self, epoch: int, epochs: int) -> float | None:
        """Seconds until ``epochs`` are done."""
        rate = self.rate
        return (epochs - epoch) / rate if rate else None


class _Events:
    """What happened to a run since the first look: hand-overs, repairs, faults. The status tells the rest."""

    def __init__(self) -> None:
        self._seen: float | None = None

    def new(self, run: Run) -> list[str]:
        events = run.get("events") or []
        before, self._seen = self._seen, max((float(event["at"]) for event in events), default=0.0)
        if before is None:
            return []
        # By their time and not by their number: a long story leaves some out.
        told = (_FIRST_GENERATION, run["status"].lower())
        return [event["what"] for event in events if float(event["at"]) > before and not event["what"].startswith(told)]


class LiveReporter:
    """A progress bar with cost, accuracy, epochs a second and time left."""

    def __init__(self, console: Console) -> None:
        self._pace = Pace()
        self._events = _Events()
        self._progress = Progress(*_columns(console.width), console=console, expand=False)
        self._task = self._progress.add_task("", total=None, status="PENDING", figures="", pace="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, look: Look) -> None:
        """Moves the bar."""
        run = look.run
        for event in self._events.new(run):
            self._progress.console.print(event, style="dim", markup=False)
        epoch, epochs = run.get("epoch") or 0, run.get("epochs")
        self._pace.see(epoch, monotonic())
        width = self._progress.console.width
        # A bar that moves says RUNNING well enough where room is short.
        status = "" if run["status"] == "RUNNING" and width < _WIDE else run["status"]
        self._progress.update(
            self._task,
            completed=epoch,
            total=epochs,
            status=Text(status, style=STATUS_STYLES.get(status, "")).markup,
            figures=_figures(look, train=width >= _WIDE, test=width >= _NARROW),
            pace="" if has_ended(run) else _pace_text(self._pace, epoch, epochs, rate=width >= _NARROW),
            refresh=True,
        )


class PlainReporter:
    """A line when the status changes, and now and then between."""

    def __init__(self, console: Console, every: float = PLAIN_LINE_SECONDS) -> None:
        self._console = console
        self._every = every
        self._pace = Pace()
        self._events = _Events()
        self._last: tuple[float, str, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, look: Look) -> None:
        """Prints a line if there is something new to say."""
        run, now = look.run, monotonic()
        for event in self._events.new(run):
            self._print(event)
        epoch, epochs = run.get("epoch") or 0, run.get("epochs")
        self._pace.see(epoch, now)
        if not self._is_due(run["status"], epoch, now):
            return
        self._last = (now, run["status"], epoch)
        parts = [run["status"], f"epoch {epoch}/{epochs}" if epochs else "", _figures(look)]
        if not has_ended(run):
            parts.append(_pace_text(self._pace, epoch, epochs))
        self._print("  ".join(part for part in parts if part))

    def _is_due(self, status: str, epoch: int, now: float) -> bool:
        if self._last is None:
            return True
        at, last_status, last_epoch = self._last
        return status != last_status or (epoch != last_epoch and now - at >= self._every)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


class _NewestRow:
    """The newest row of a run's history, read now and then when epochs have passed, and at the end."""

    def __init__(self, ledger: Ledger, run_id: str) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._epoch = 0
        self._read_at = -math.inf
        self._row: dict[str, Any] | None = None

    def at(self, run: Run) -> dict[str, Any] | None:
        epoch, now = run.get("epoch") or 0, monotonic()
        if epoch != self._epoch and (has_ended(run) or now - self._read_at >= HISTORY_SECONDS):
            rows = self._ledger.history(self._run_id)
            self._epoch, self._read_at = epoch, now
            self._row = dict(rows[-1]) if rows else None
        return self._row


def _columns(width: int) -> list[ProgressColumn]:
    """As much as the terminal has room for."""
    status: ProgressColumn = TextColumn("{task.fields[status]}")
    epochs: ProgressColumn = TextColumn("{task.completed:.0f}/{task.total}")
    figures: ProgressColumn = TextColumn("{task.fields[figures]}", markup=False)
    pace: ProgressColumn = TextColumn("{task.fields[pace]}", markup=False)
    if width < _NARROW:
        return [status, TaskProgressColumn(), figures, pace]
    if width < _WIDE:
        return [status, BarColumn(bar_width=8), epochs, figures, pace]
    return [status, BarColumn(bar_width=20), TextColumn("epoch"), epochs, figures, pace]


def _figures(look: Look, *, train: bool = True, test: bool = True) -> str:
    run, row = look.run, look.row or {}
    # At the end the figures are the final model's; before it the newest row's, and the cost is fresher still.
    newest = {**row, "cost": run.get("cost", row.get("cost"))}
    if has_ended(run):
        newest |= {"cost": run.get("final_cost")}
        newest |= {name: run[name] for name in ("train_accuracy", "test_accuracy") if run.get(name) is not None}
    if newest["cost"] is None:
        return ""
    parts = [f"cost {number(newest['cost'])}"]
    parts += [
        f"{name} {share(newest[f'{name}_accuracy'])}"
        for name, wanted in (("train", train), ("test", test))
        if wanted and newest.get(f"{name}_accuracy") is not None
    ]
    return "  ".join(parts)


def _pace_text(pace: Pace, epoch: int, epochs: int | None, *, rate: bool = True) -> str:
    current = pace.rate
    if current is None or epochs is None:
        return ""
    left = f"{duration(pace.left(epoch, epochs))} left"
    speed = f"{number(current, 3)} epochs/s" if current >= 1 else f"{duration(1 / current)} an epoch"
    return f"{speed}  {left}" if rate else left
