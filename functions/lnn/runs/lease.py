"""Keeps the ledger true while a long-lived trainer computes, and waits for neither of the two.

The lease is renewed by one thread and the history written by others (``history_writer``): however far the history is
behind, the lease is kept.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lnn.aws.clocks import Stopwatch
from lnn.aws.notifier import Notifier
from lnn.errors import LedgerUnavailable, NonRetryable, StaleGeneration
from lnn.job.plan import Plan
from lnn.runs import logs
from lnn.runs.history_writer import HistoryWriter
from lnn.runs.metrics import Curve
from lnn.runs.record import EpochRow, Run
from lnn.runs.store import Ledger

if TYPE_CHECKING:
    from lnn.runs.attributes import Facts

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
"""Between two reports: often enough for a progress bar, and a fraction of the lease."""


class Reporter:
    """Renews the run's lease and writes its history from threads of its own.

    Used as a context manager. Rows that are still waiting when it is left are a successor's: see ``flush``.
    """

    def __init__(self, ledger: Ledger, notifier: Notifier, run: Run, plan: Plan) -> None:
        self._ledger = ledger
        self._notifier = notifier
        self._run = run
        self._plan = plan
        self._generation = run.generation
        self._curve = Curve(run, plan)
        self._lock = threading.Lock()
        self._reporting = threading.Lock()
        self._history = HistoryWriter(ledger, run.run_id, plan.record_every)
        self._rows: list[EpochRow] = []
        """Not yet among the metrics."""
        self._progress: Facts = {}
        self._messages: list[tuple[int, float]] = []
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._report_until_left, name="reporter", daemon=True)
        self.stop_requested = run.stop_requested
        """A person asked the run to end."""
        self.stale = False
        """Another generation owns the run: nothing more may be changed."""
        self.trained: Stopwatch | None = None
        """How long the run has been trained, once it is."""
        self._refused: NonRetryable | None = None

    @property
    def metrics_lines(self) -> int:
        """Lines of metrics that were written so far."""
        return self._curve.lines

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._thread.join()
        self._history.close()
        if isinstance(error, Exception) and not self.stale:
            # How far this generation has come tells the next one what a stop must not lose.
            with suppress(LedgerUnavailable, NonRetryable):
                self._report(self._curve.write)

    def add_row(self, row: EpochRow) -> None:
        """Put an epoch in the history; waits where the history is too far behind.

        Raises LedgerUnavailable where it gets no further, NonRetryable where AWS refuses it.
        """
        with self._lock:
            self._rows.append(row)
        self._history.add(row)

    def epoch_done(self, epoch: int, cost: float) -> None:
        """Note that an epoch is over. Raises NonRetryable when AWS no longer takes reports, and will not."""
        if self._refused is not None:
            raise self._refused
        with self._lock:
            self._progress = {"epoch": epoch, "cost": cost}
            if self._plan.notify_every and epoch % self._plan.notify_every == 0 and epoch < self._plan.epochs:
                self._messages.append((epoch, cost))

    def flush(self) -> None:
        """Wait until the whole history is written, then renew the lease. Raises as ``add_row`` does."""
        self._history.flush()
        if not self.stale:
            self._report(self._curve.write)

    def seconds_behind(self) -> float:
        """About how long ``flush`` would take."""
        return self._history.seconds_behind()

    def _report_until_left(self) -> None:
        while not self._leaving.wait(INTERVAL_SECONDS) and not self.stale:
            self._history.push()
            try:
                self._report(self._curve.write_now_and_then)
            except LedgerUnavailable as error:
                # The lease outlives several such failures.
                logger.warning("report postponed", extra={"error": str(error)})
            except NonRetryable as refused:
                self._refused = refused
                return

    def _report(self, write_metrics: Callable[[], None]) -> None:
        with self._reporting:
            self._report_alone()
            write_metrics()

    def _report_alone(self) -> None:
        with self._lock:
            rows, messages = self._rows, self._messages
            progress: Facts = {**self._progress}
            self._rows, self._messages = [], []
        if progress:
            logs.at(epoch=progress["epoch"])
        if self.trained is not None:
            progress["trained_seconds"] = self.trained.seconds()
        self._curve.add(rows)
        try:
            run = self._ledger.renew(self._run.run_id, self._generation, **progress)
        except StaleGeneration:
            self.stale = True
            self._history.close()  # whoever waits for it stops waiting
            return
        self.stop_requested = run.stop_requested
        for epoch, cost in messages[-1:]:  # earlier ones are out of date
            self._notifier.progress(self._run, epoch, cost)
