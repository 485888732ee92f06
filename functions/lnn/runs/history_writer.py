"""Writes the history beside a training: several calls at once, and never in the way of the run's lease."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from lnn.errors import LedgerUnavailable
from lnn.runs.history_items import BLOCK_ROWS, closes_block
from lnn.runs.record import EpochRow
from lnn.runs.store import Ledger

logger = logging.getLogger(__name__)

WRITERS = 8
"""Calls on their way at once. Where one takes 200 ms, as many send 4,000 rows a second in blocks."""

MOST_WAITING = 10_000
"""Rows in memory. Training waits for the history when there are more: two to three seconds of writing at that pace."""

MOST_OF_A_BLOCK = 2 * BLOCK_ROWS
"""Rows that wait for the rest of their block; a checkpoint adds a row that is none of it."""

STALLED_SECONDS = 30.0
"""How long no call gets through before whoever waits for the history gives up."""

PAUSE_SECONDS = 1.0
"""Between two tries of a call that DynamoDB did not take."""


class HistoryWriter:
    """Rows of one run, whose history has every ``every``-th epoch, on their way into the costs table.

    Rows are written in any order, and again after a failure: a row depends on the run and the epoch alone. Where they
    come fast they wait for the rest of their block, which is written as one item.
    """

    def __init__(self, ledger: Ledger, run_id: str, every: int) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._every = every
        self._changed = threading.Condition()
        self._rows: list[EpochRow] = []
        """Not yet given to a writer, all of one block."""
        self._left: EpochRow | None = None
        """The first of these when ``push`` last left them to wait for their block."""
        self._waiting = 0
        """Rows that are not written yet, those of ``_rows`` among them."""
        self._fault: BaseException | None = None
        """What no further try heals."""
        self._trouble: LedgerUnavailable | None = None
        """Why the latest call failed."""
        self._progress_at = self._call_seconds = 0.0
        self._closed = threading.Event()
        self._pool: ThreadPoolExecutor | None = None

    def add(self, row: EpochRow) -> None:
        """Take a row; waits while too many are waiting. Raises LedgerUnavailable when none gets through, NonRetryable
        when AWS refuses them.
        """
        with self._changed:
            self._rows.append(row)
            self._waiting += 1
            if closes_block(row.epoch, self._every) or len(self._rows) >= MOST_OF_A_BLOCK:
                self._push()
            if self._waiting > MOST_WAITING:
                self._wait(MOST_WAITING)

    def push(self) -> None:
        """Begin to write what was there at the last such call: who watches a slow run sees each row soon."""
        with self._changed:
            first = self._rows[0] if self._rows else None
            if first is not None and first is self._left:
                self._push()
            self._left = first

    def flush(self) -> None:
        """Wait until every row is written, or ``close``. Raises as ``add`` does."""
        with self._changed:
            self._push()
            self._wait(0)

    def seconds_behind(self) -> float:
        """About how long ``flush`` would take."""
        return math.ceil(self._waiting / (BLOCK_ROWS * WRITERS)) * self._call_seconds

    def close(self) -> None:
        """Write nothing more: rows that are still waiting are lost, or a successor's."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _push(self) -> None:
        if self._rows and not self._closed.is_set():
            if self._pool is None:
                self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="history")
            self._pool.submit(self._write, self._rows)
            self._rows = []

    def _wait(self, most: int) -> None:
        began = time.monotonic()
        while self._waiting > most and self._fault is None and not self._closed.is_set():
            if time.monotonic() - max(began, self._progress_at) > STALLED_SECONDS:
                raise self._trouble or LedgerUnavailable(f"no row was written for {STALLED_SECONDS:g} s")
            self._changed.wait(1.0)
        if self._fault is not None:
            raise self._fault

    def _write(self, rows: Sequence[EpochRow]) -> None:
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._ledger.record(self._run_id, rows, self._every)
            except LedgerUnavailable as trouble:
                logger.warning("history postponed", extra={"error": str(trouble)})
                self._trouble = trouble
                self._closed.wait(PAUSE_SECONDS)
            except BaseException as fault:  # noqa: BLE001 - raised where somebody waits for the rows
                with self._changed:
                    self._fault = fault
                    self._changed.notify_all()
                return
            else:
                with self._changed:
                    self._waiting -= len(rows)
                    self._progress_at = time.monotonic()
                    self._call_seconds = self._progress_at - began
                    self._changed.notify_all()
                return
