"""What the emulator takes for itself while a training runs: where AWS has its own machines, it shares ours."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import numpy as np
import psutil

INTERVAL_SECONDS = 0.05


class BusyTime:
    """Notes how long a process has computed, as long as it is in this context."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._samples: list[tuple[float, float]] = []
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="busy time", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._thread.join()

    def seconds(self, start: float, end: float) -> float:
        """Seconds of computing between two moments (``time.time()``) that lie in the context."""
        moments, busy = zip(*self._samples, strict=True)
        before, after = np.interp([start, end], moments, busy)
        return float(after - before)

    def _watch(self) -> None:
        while True:
            times = self._process.cpu_times()
            self._samples.append((time.time(), times.user + times.system))
            if self._leaving.wait(INTERVAL_SECONDS):
                return
