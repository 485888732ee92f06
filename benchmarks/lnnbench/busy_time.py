"""The processor time of the emulator during a training. It shares this machine; AWS has its own."""

import threading
import time
from types import TracebackType
from typing import Self

import numpy as np
import psutil

INTERVAL_SECONDS = 0.05


class BusyTime:
    """Samples a process's processor time while the context is entered."""

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
        """Seconds of processor time between two moments (``time.time()``) within the context."""
        moments, busy = zip(*self._samples, strict=True)
        before, after = np.interp([start, end], moments, busy)
        return float(after - before)

    def _watch(self) -> None:
        while True:
            times = self._process.cpu_times()
            self._samples.append((time.time(), times.user + times.system))
            if self._leaving.wait(INTERVAL_SECONDS):
                return
