"""The progress of a run, on a terminal and in a pipe."""

from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from time import monotonic
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lnn.runs.record import Run
from lnn_cli.ui.console import STATUS_STYLES, dollars, duration, messages, number, share
from lnn_cli.ui.scores import in_short, lowest_recall
from lnn_cli.ui.sparkline import BLOCKS, PLAIN, sparkline
from lnn_client.cloud import Cloud
from lnn_client.invocations import NOT_RECORDED, Follower, Pulse
from lnn_client.progress import Look, follow, settled
from lnn_client.runs import usd_so_far_and_left, waiting

PLAIN_LINE_SECONDS = 10.0
_FIRST_GENERATION = "generation 1 "
_PACE_WINDOW_SECONDS = 15.0
_SHORTEST_BAR, _LONGEST_BAR = 10, 30
"""Columns; where there is less room than that beside the figures, the bar has a line of its own."""
_CURVE_WIDTH = 32
_AT_WORK_SECONDS = 2.0
"""Between two looks at what a run has recorded: it stores that as often."""
_TROUBLE = ("took over", "trained again", "failed")


def watch_run(cloud: Cloud, run_id: str, timeout: float | None) -> Run:
    """Show a run's progress on standard error until it ends; returns its last state."""
    with view_on(messages(), AtWork(Follower(cloud, run_id))) as shown:
        for look in follow(cloud.ledger, run_id, timeout=timeout):
            shown.show(look)
    return settled(cloud.ledger, look.run)


class AtWork:
    """The neurons that have worked last, and their pace: of strategy ``neuron``, where each is a Lambda."""

    def __init__(self, follower: Follower) -> None:
        self._follower, self._looked_at, self._said = follower, -_AT_WORK_SECONDS, ""

    def text(self, run: Run) -> str:
        """What to say of a run that goes on; empty where nothing is known."""
        if run.strategy != "neuron" or run.status != "RUNNING":
            return ""
        if not run.records_invocations:
            return f"neurons at work: {NOT_RECORDED}"
        if monotonic() - self._looked_at >= _AT_WORK_SECONDS:
            self._looked_at = monotonic()
            pulse = self._follower.pulse()
            self._said = "" if pulse is None else _of_pulse(pulse)
        return self._said


def _of_pulse(pulse: Pulse) -> str:
    first, last, many = pulse.neurons[0], pulse.neurons[-1], len(pulse.neurons)
    neurons = f"neuron {first}" if many == 1 else f"{many} neurons, {first} to {last},"
    rate = "" if pulse.per_second is None else f", {number(pulse.per_second, 3)} invocations/s"
    return f"at work: {neurons} of layer {pulse.layer}, {pulse.state}{rate}"


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


class RunView(AbstractContextManager["RunView"]):
    """Shows what a run is doing."""

    _seen: float | None = None
    """When the newest event that is shown happened."""

    def __init__(self, console: Console, at_work: AtWork | None = None) -> None:
        self._console, self._pace, self._at_work = console, Pace(), at_work

    def __exit__(self, *_: object) -> None:
        """Nothing is to be put back."""

    def _news(self, run: Run) -> list[str]:
        """What happened to a run since the first look: hand-overs, repairs, faults. The status tells the rest."""
        before, self._seen = self._seen, max((float(event["at"]) for event in run.events), default=0.0)
        # By their time and not by their number: a long story leaves some out.
        later = [event["what"] for event in run.events if before is not None and float(event["at"]) > before]
        return [what for what in later if not what.startswith((_FIRST_GENERATION, run.status.lower()))]

    @abstractmethod
    def show(self, look: Look) -> None:
        """Shows the newest look."""


class LiveView(RunView):
    """A few lines that are drawn anew at every look: bar, cost as a curve, scores, pace, what is left, generation."""

    def __init__(self, console: Console, at_work: AtWork | None = None) -> None:
        super().__init__(console, at_work)
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, look: Look) -> None:
        """Draws the lines anew, below what has happened since the last look."""
        for event in self._news(look.run):
            trouble = any(word in event for word in _TROUBLE)
            self._console.print(event, style="yellow" if trouble else "dim", markup=False)
        self._pace.see(look.run.epoch, monotonic())
        self._live.update(self._view(look), refresh=True)

    def _view(self, look: Look) -> RenderableType:
        run = look.run
        epoch, epochs = run.epoch, run.epochs
        status = Text(run.status, style=STATUS_STYLES.get(run.status, ""))
        lines: list[RenderableType] = []
        if epochs:
            counted = Text(f"epoch {epoch:,}/{epochs:,}  {epoch / epochs:.0%}")
            room = self._console.width - len(status) - len(counted) - 5
            if room >= _SHORTEST_BAR:
                bar = ProgressBar(total=epochs, completed=epoch, width=min(room, _LONGEST_BAR))
                lines.append(_side_by_side(status, bar, counted))
            else:
                bar = ProgressBar(total=epochs, completed=epoch, width=self._console.width - 3)
                lines += [*_flow([status, counted], self._console.width), _side_by_side(bar)]
        else:
            lines.append(status)
        return Group(*lines, *_flow(self._figures(look), self._console.width))

    def _figures(self, look: Look) -> Iterator[Text]:
        """What to tell besides the epochs, in pieces that stay in one line."""
        run = look.run
        if waits_for := waiting(run):
            yield Text(waits_for, style="yellow")
        figures = _figures(look)
        if figures:
            cost, *scores = figures
            steps = PLAIN if self._console.options.ascii_only else BLOCKS
            room = min(_CURVE_WIDTH, self._console.width - len(cost) - 1)
            yield Text(f"{cost} {sparkline(look.costs, room, steps)}".rstrip())
            yield from map(Text, scores)
        yield from map(Text, _pace_texts(self._pace, run))
        if self._at_work and (at_work := self._at_work.text(run)):
            yield Text(at_work)
        if run.generation > 1:
            yield Text(f"generation {run.generation}", style="yellow")
        taken_over = run.disturbances["takeovers"]
        if taken_over:
            yield Text(f"taken over {taken_over} time{'' if taken_over == 1 else 's'}", style="yellow")


class PlainView(RunView):
    """A line when the status changes, and now and then between."""

    _last: tuple[float, str, int] | None = None

    def show(self, look: Look) -> None:
        """Prints a line if there is something new to say."""
        run, now = look.run, monotonic()
        for event in self._news(run):
            self._print(event)
        epoch, epochs = run.epoch, run.epochs
        self._pace.see(epoch, now)
        status = f"{run.status} {waiting(run)}"
        if not self._is_due(status, epoch, now):
            return
        self._last = (now, status, epoch)
        done = f"epoch {epoch}/{epochs}" if epochs else ""
        at_work = self._at_work.text(run) if self._at_work else ""
        parts = [run.status, waiting(run) or "", done, *_figures(look), *_pace_texts(self._pace, run), at_work]
        self._print("  ".join(part for part in parts if part))

    def _is_due(self, status: str, epoch: int, now: float) -> bool:
        if self._last is None:
            return True
        at, last_status, last_epoch = self._last
        return status != last_status or (epoch != last_epoch and now - at >= PLAIN_LINE_SECONDS)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def view_on(console: Console, at_work: AtWork | None = None) -> RunView:
    """A live view on a terminal that can go back; a plain line now and then in a pipe."""
    live = console.is_terminal and not console.is_dumb_terminal
    return LiveView(console, at_work) if live else PlainView(console, at_work)


def _side_by_side(*parts: RenderableType) -> RenderableType:
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_row(*parts)
    return line


def _flow(pieces: Iterable[Text], width: int) -> list[Text]:
    """The pieces in as few lines as they fit, two blanks between them; none is broken unless it alone is too long."""
    lines: list[Text] = []
    for piece in pieces:
        if lines and len(lines[-1]) + 2 + len(piece) < width:
            lines[-1].append("  ").append_text(piece)
        else:
            lines.append(piece.copy())
    return lines


def _figures(look: Look) -> list[str]:
    """Cost, then a score of training and of test; nothing before the first epoch."""
    run, row = look.run, look.row
    # At the end the figures are the final model's; before it the newest row's, and the cost is fresher still.
    cost = run.final_cost if run.has_ended else row.cost if run.cost is None and row else run.cost
    if cost is None:
        return []
    figures = [f"cost {number(cost)}"]
    for split in ("train", "test"):
        of_run = in_short(run, split)
        score = in_short(row, split) if row and (of_run == "-" or not run.has_ended) else of_run
        if score != "-":
            figures.append(f"{split} {score}")
    if (rate := run.base_rate("test")) is not None:
        figures.append(f"base rate {share(rate)}")
    if run.has_ended and run.test_metrics is not None:
        figures.append(f"lowest recall {lowest_recall(run)}")
    return figures


def _pace_texts(pace: Pace, run: Run) -> list[str]:
    """Epochs a second, time left, dollars; nothing while an epoch has not been seen to pass. At the end, dollars."""
    if run.has_ended:
        return [f"about {dollars(run.usd)}"] if run.usd else []
    epoch, epochs, current = run.epoch, run.epochs, pace.rate
    if current is None or epochs is None:
        return []
    speed = f"{number(current, 3)} epochs/s" if current >= 1 else f"{duration(1 / current)} an epoch"
    texts = [speed, f"{duration(pace.left(epoch, epochs))} left"]
    expense = usd_so_far_and_left(run)
    if expense is not None:
        so_far, left = expense
        texts.append(f"about {dollars(so_far)} so far, {dollars(left)} left")
    return texts
