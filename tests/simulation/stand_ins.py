"""What the code under test uses in place of ``time``, ``threading`` and thread pools, and how it gets them.

``install`` replaces names in the modules of ``lnn`` and of the libraries that sleep for it. It is for a process that
does nothing else.
"""

from __future__ import annotations

import datetime as dt
import itertools
import sys
import types
import uuid
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any, Self

from simulation.scheduler import EPOCH, Killed, Scheduler, Signal, SimulationGap, Task, current

scheduler: Scheduler
"""Of the run that is simulated now."""


# Time


def wall() -> float:
    task = current()
    return EPOCH + scheduler.now + (0.0 if task is None else task.process.clock_offset)


def monotonic() -> float:
    return 1000.0 + scheduler.now


def sleep(seconds: float) -> None:
    scheduler.wait(max(0.0, seconds))


time = types.SimpleNamespace(time=wall, monotonic=monotonic, perf_counter=monotonic, sleep=sleep)


class _Datetime(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        return dt.datetime.fromtimestamp(wall(), tz)


# Threads


class Thread:
    """``threading.Thread`` as a task."""

    def __init__(
        self,
        group: None = None,
        target: Callable[..., Any] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        daemon: bool | None = None,
    ) -> None:
        self._target, self._args, self._kwargs = target, tuple(args), kwargs or {}
        self.name, self.daemon = name or "thread", daemon
        self._ended = Signal(scheduler)
        self._task: Task | None = None

    def run(self) -> None:
        if self._target is not None:
            self._target(*self._args, **self._kwargs)

    def start(self) -> None:
        self._task = _process_task().process.start(self.run, self.name)
        self._task.when_done.append(self._ended.send)

    def join(self, timeout: float | None = None) -> None:
        if self.is_alive():
            self._ended.wait(timeout)

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.done


class Event:
    def __init__(self) -> None:
        self._set, self._signal = False, Signal(scheduler)

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._signal.send()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._set or self._signal.wait(timeout) or self._set


class Lock:
    """Also stands for ``RLock``."""

    def __init__(self) -> None:
        self._owner: Any = None
        self._depth = 0
        self._signal = Signal(scheduler) if "scheduler" in globals() else None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = current()
        if self._owner is not me or me is None:
            while self._owner is not None:
                if not blocking or self._signal is None:
                    return False
                if not self._signal.wait(None if timeout < 0 else timeout) and timeout >= 0:
                    return False
        self._owner = me if me is not None else self
        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            if self._signal is not None:
                self._signal.send(1)

    def locked(self) -> bool:
        return self._owner is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition:
    def __init__(self, lock: Lock | None = None) -> None:
        self._lock, self._signal = lock or Lock(), Signal(scheduler)
        self.acquire, self.release = self._lock.acquire, self._lock.release

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        self._lock.release()
        try:
            return self._signal.wait(timeout)
        finally:
            self._lock.acquire()

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        ends = None if timeout is None else scheduler.now + timeout
        while not predicate():
            left = None if ends is None else ends - scheduler.now
            if left is not None and left <= 0:
                return False
            self.wait(left)
        return True

    def notify(self, n: int = 1) -> None:
        self._signal.send(n)

    def notify_all(self) -> None:
        self._signal.send()


class Timer(Thread):
    def __init__(self, interval: float, function: Callable[..., Any], args: Any = None, kwargs: Any = None) -> None:
        super().__init__(target=function, args=args or (), kwargs=kwargs)
        self._interval, self._canceled = interval, Event()

    def run(self) -> None:
        if not self._canceled.wait(self._interval):
            super().run()

    def cancel(self) -> None:
        self._canceled.set()


threading = types.SimpleNamespace(
    Thread=Thread, Event=Event, Lock=Lock, RLock=Lock, Condition=Condition, Timer=Timer, current_thread=current
)


class Future:
    def __init__(self, task: Task) -> None:
        self._task, self._ended = task, Signal(scheduler)
        task.when_done.append(self._ended.send)

    def done(self) -> bool:
        return self._task.done

    def result(self, timeout: float | None = None) -> Any:
        if not self._task.done and not self._ended.wait(timeout) and not self._task.done:
            raise TimeoutError
        if self._task.error is not None:
            raise self._task.error
        return self._task.result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        if not self._task.done:
            self._ended.wait(timeout)
        return self._task.error

    def cancel(self) -> bool:
        return False


class ThreadPoolExecutor:
    """Threads without a queue: each piece of work begins at once, as far as ``max_workers`` allow."""

    def __init__(self, max_workers: int | None = None, **_: Any) -> None:
        self._free, self._most = Signal(scheduler), max_workers or 8
        self._running = 0
        self._futures: list[Future] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        def work() -> Any:
            while self._running >= self._most:
                self._free.wait()
            self._running += 1
            try:
                return function(*args, **kwargs)
            finally:
                self._running -= 1
                self._free.send(1)

        future = Future(_process_task().process.start(work, "pool"))
        self._futures.append(future)
        return future

    def map(
        self, function: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None
    ) -> Iterator[Any]:
        futures = [self.submit(function, *items) for items in zip(*iterables, strict=False)]
        return (future.result(timeout) for future in futures)

    def shutdown(self, wait: bool = True, **_: Any) -> None:
        for future in self._futures if wait else ():
            future.exception()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()


def _process_task() -> Task:
    task = current()
    if task is None:
        raise SimulationGap("only a task has threads")
    if not task.process.alive:
        raise Killed
    return task


# What a module keeps in memory, of each process its own


class OwnMemory(MutableMapping[Any, Any]):
    """A module's dictionary, another one in each process."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _own(self) -> dict[Any, Any]:
        task = current()
        if task is None:
            return {}
        own: dict[Any, Any] = task.process.state.setdefault(self._name, {})
        return own

    def __getitem__(self, key: Any) -> Any:
        return self._own()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._own()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._own()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._own()))

    def __len__(self) -> int:
        return len(self._own())


_uuids = itertools.count(1)


def uuid4() -> uuid.UUID:
    """Names that no other has, the same in every repeat; they differ in their first digits."""
    return uuid.UUID(int=next(_uuids) << 96)


def begin(of_run: Scheduler) -> None:
    """From here on time and threads are those of this run."""
    global scheduler, _uuids
    scheduler, _uuids = of_run, itertools.count(1)


def install() -> None:
    """Give the stand-ins to every module of the code under test that was imported so far."""
    import redis.retry
    from aws_lambda_powertools.utilities.idempotency import base, persistence
    from aws_lambda_powertools.utilities.idempotency.persistence import base as records
    from aws_lambda_powertools.utilities.idempotency.persistence import datarecord, dynamodb

    redis.retry.sleep = sleep  # type: ignore[attr-defined]
    for module in (base, persistence, records, datarecord, dynamodb):
        if hasattr(module, "dt"):
            module.dt = types.SimpleNamespace(datetime=_Datetime, timedelta=dt.timedelta, timezone=dt.timezone)
    replaced = {"time": time, "threading": threading, "ThreadPoolExecutor": ThreadPoolExecutor, "uuid4": uuid4}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in ("lnn", "launch", "trainer", "neuron", "register"):
            continue
        for attribute, stand_in in replaced.items():
            if hasattr(module, attribute):
                setattr(module, attribute, stand_in)
        for attribute, value in list(vars(module).items()):
            if attribute.startswith("_") and not attribute.startswith("__") and type(value) is dict and not value:
                setattr(module, attribute, OwnMemory(f"{name}.{attribute}"))
