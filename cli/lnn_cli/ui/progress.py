"""The progress of a run, in a pipe and, with ``lnn_cli.ui.live_view``, on a terminal."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from lnn.runs.record import Run
from lnn_cli.ui.console import dollars, duration, messages, messages_are_piped, note, number, share
from lnn_cli.ui.scores import in_short, lowest_recall
from lnn_cli.ui.standing import cost_by_now
from lnn_client.cloud import Cloud
from lnn_client.invocations import NOT_RECORDED, Follower, Pulse
from lnn_client.progress import Look, follow, settled
from lnn_client.runs import usd_so_far_and_left, waiting

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_LINE_SECONDS = 10.0
_FIRST_GENERATION = "generation 1 "
_PACE_WINDOW_SECONDS = 15.0
_AT_WORK_SECONDS = 2.0
"""Between two looks at what a run has recorded: it stores that as often."""


def watch_run(cloud: Cloud, run_id: str, timeout: float | None, also: Callable[[Look], None] | None = None) -> Run:
    """Show a run's progress on standard error until it ends; returns its last state. ``also`` gets every look."""
    at_work = AtWork(Follower(cloud, run_id))
    with PlainView(note, at_work) if messages_are_piped() else view_on(messages(), at_work) as shown:
        for look in follow(cloud.ledger, run_id, timeout=timeout, whole=shown.draws_curve or also is not None):
            shown.show(look)
            if also is not None:
                also(look)
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

    draws_curve = False
    """Whether it shows every cost, and not the newest alone."""
    _seen: float | None = None
    """When the newest event that is shown happened."""

    def __init__(self, at_work: AtWork | None = None) -> None:
        self._pace, self._at_work = Pace(), at_work

    def __exit__(self, *_: object) -> None:
        """Nothing is to be put back."""

    def news(self, run: Run) -> list[str]:
        """What happened to a run since the first look: hand-overs, repairs, faults. The status tells the rest."""
        before, self._seen = self._seen, max((float(event["at"]) for event in run.events), default=0.0)
        # By their time and not by their number: a long story leaves some out.
        later = [event["what"] for event in run.events if before is not None and float(event["at"]) > before]
        return [what for what in later if not what.startswith((_FIRST_GENERATION, run.status.lower()))]

    @abstractmethod
    def show(self, look: Look) -> None:
        """Shows the newest look."""


class PlainView(RunView):
    """A line when the status changes, and now and then between."""

    _last: tuple[float, str, int] | None = None

    def __init__(self, tell: Callable[[str], None], at_work: AtWork | None = None) -> None:
        super().__init__(at_work)
        self._print = tell

    def show(self, look: Look) -> None:
        """Prints a line if there is something new to say."""
        run, now = look.run, monotonic()
        for event in self.news(run):
            self._print(event)
        epoch, epochs = run.epoch, run.epochs
        self._pace.see(epoch, now)
        status = f"{run.status} {waiting(run)}"
        if not self._is_due(status, epoch, now):
            return
        self._last = (now, status, epoch)
        done = f"epoch {epoch}/{epochs}" if epochs else ""
        at_work = self._at_work.text(run) if self._at_work else ""
        parts = [run.status, waiting(run) or "", done, *figures_of(look), *pace_texts(self._pace, run), at_work]
        self._print("  ".join(part for part in parts if part))

    def _is_due(self, status: str, epoch: int, now: float) -> bool:
        if self._last is None:
            return True
        at, last_status, last_epoch = self._last
        return status != last_status or (epoch != last_epoch and now - at >= PLAIN_LINE_SECONDS)


def view_on(console: Console, at_work: AtWork | None = None) -> RunView:
    """A live view on a terminal that can go back; a plain line now and then in a pipe."""
    if not console.is_terminal or console.is_dumb_terminal:
        return PlainView(lambda line: console.print(line, markup=False, soft_wrap=True), at_work)
    from lnn_cli.ui.live_view import LiveView

    return LiveView(console, at_work)


def figures_of(look: Look) -> list[str]:
    """Cost, then a score of training and of test; nothing before the first epoch."""
    run, row = look.run, look.row
    # At the end the figures are the final model's; before it the newest row's, and the cost is fresher still.
    cost = cost_by_now(run, row)
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


def pace_texts(pace: Pace, run: Run) -> list[str]:
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
