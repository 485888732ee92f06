"""Simulated time, and the greenlets that live in it.

One greenlet, the hub, takes events from a heap in the order of their moments. Every other greenlet is a ``Task``: a
thread of a simulated process. A task runs until it waits for something; then the hub takes the next event. So
whatever happens is a sequence of events whose moments are drawn from one seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

import greenlet

EPOCH = 1_800_000_000.0
"""The wall-clock time, in epoch seconds, at which every simulation begins."""


class Killed(BaseException):
    """Raised in the tasks of a process that is dead, to unwind them: from then on they reach no service."""


class SimulationGap(BaseException):
    """The code uses something that the simulation does not have; no code under test may catch it."""


class Process:
    """An execution environment, or any other program: its threads die, freeze and thaw together."""

    def __init__(self, scheduler: Scheduler, name: str, kind: str) -> None:
        self.scheduler, self.name, self.kind = scheduler, name, kind
        self.alive = True
        self.frozen_until = 0.0
        self.suspended = False
        """Between two invocations nothing of an environment runs."""
        self.clock_offset = 0.0
        """Seconds by which its wall clock is ahead."""
        self.repeat: Callable[[float], None] = lambda seconds: None
        """Delivers the message that it works on once more."""
        self.state: dict[str, Any] = {}
        """What its modules keep in memory."""
        self.tasks: set[Task] = set()
        self._held: list[tuple[Task, Any]] = []

    @property
    def still(self) -> bool:
        return self.suspended or self.scheduler.now < self.frozen_until

    def start(self, work: Callable[[], Any], name: str = "main") -> Task:
        """A new thread of this process."""
        task = Task(self, work, name)
        self.tasks.add(task)
        self.scheduler.after(0.0, task.resume)
        return task

    def freeze(self, seconds: float) -> None:
        """Nothing of the process runs for so long; what it has sent is under way all the same."""
        until = self.scheduler.now + seconds
        self.frozen_until = max(self.frozen_until, until)
        self.scheduler.at(until, self._release)

    def suspend(self) -> None:
        self.suspended = True

    def thaw(self) -> None:
        self.suspended = False
        self._release()

    def hold(self, task: Task, answer: Any) -> None:
        self._held.append((task, answer))

    def _release(self) -> None:
        if not self.still:
            held, self._held = self._held, []
            for task, answer in held:
                self.scheduler.after(0.0, lambda task=task, answer=answer: task.resume(answer))

    def kill(self) -> None:
        """Stop all threads for good, from the hub. Their ``finally`` blocks run, but reach nothing outside."""
        self.alive = False
        self._held = []
        for task in list(self.tasks):
            task.unwind()


class Task(greenlet.greenlet):
    """A thread of a process."""

    def __init__(self, process: Process, work: Callable[[], Any], name: str) -> None:
        super().__init__(self._work, process.scheduler.hub)
        self.process, self.name, self._todo = process, name, work
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.when_done: list[Callable[[], None]] = []

    def _work(self, _: Any = None) -> None:
        try:
            if self.process.alive:
                self.result = self._todo()
        except Killed:
            pass
        except SimulationGap as gap:
            self.process.scheduler.gap = gap
        except Exception as error:  # noqa: BLE001 - whoever waits for the task sees it
            self.error = error
        self.done = True
        self.process.tasks.discard(self)
        for follow in self.when_done:
            follow()

    def resume(self, answer: Any = None) -> None:
        """Go on, from the hub, with what the task has waited for."""
        if self.done:
            return
        if not self.process.alive:
            self.unwind()
        elif self.process.still:
            self.process.hold(self, answer)
        else:
            self.switch(answer)

    def unwind(self) -> None:
        """Raise Killed where the task waits, as often as it takes to end it."""
        while not self.done and not self.dead:
            if self:
                self.throw(Killed)
            else:
                self.done = True
        self.process.tasks.discard(self)


def current() -> Task | None:
    """The task that runs now; None in the hub."""
    task = greenlet.getcurrent()
    return task if isinstance(task, Task) else None


class Scheduler:
    """The heap of events, and the dice."""

    def __init__(self, seed: int | str, choices: int | None = None) -> None:
        """After ``choices`` dice throws every further one gives the middle: a failing run is shrunk with it."""
        self.now = 0.0
        self.hub = greenlet.getcurrent()
        self.gap: SimulationGap | None = None
        self.events = 0
        self.thrown = 0
        self._choices = choices
        self._dice = random.Random(seed)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, moment: float, action: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._heap, (max(self.now, moment), self._number, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.at(self.now + seconds, action)

    def run(self, is_over: Callable[[], bool], until: float, most_events: int) -> bool:
        """Take events until ``is_over``; False when time or events run out before."""
        heap = self._heap
        while not is_over():
            if not heap or heap[0][0] > until or self.events >= most_events:
                return False
            self.now, _, action = heapq.heappop(heap)
            self.events += 1
            action()
            if self.gap is not None:
                raise self.gap
        return True

    # Dice

    def random(self) -> float:
        self.thrown += 1
        if self._choices is not None and self.thrown > self._choices:
            return 0.5
        return self._dice.random()

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    # Waiting, in a task

    def wait(self, seconds: float) -> None:
        """Let simulated time pass."""
        task = self._task()
        self.after(seconds, task.resume)
        self.park(task)

    def park(self, task: Task) -> Any:
        """Wait until somebody resumes this task; returns the answer. Raises Killed once the process is dead."""
        if not task.process.alive:
            raise Killed
        answer = self.hub.switch()
        if not task.process.alive:
            raise Killed
        return answer

    def _task(self) -> Task:
        task = current()
        if task is None:
            raise SimulationGap("only a task can wait")
        return task


class Signal:
    """Something that tasks wait for, each with a time limit if it likes."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._waiting: list[Waiter] = []

    def wait(self, seconds: float | None = None) -> bool:
        """True when the signal came; False when the time was over before."""
        task = current()
        if task is None:
            raise SimulationGap("only a task can wait")
        waiter = Waiter(task)
        self._waiting.append(waiter)
        if seconds is not None:
            self._scheduler.after(seconds, lambda: waiter.answer(False))
        came: bool = self._scheduler.park(task)
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        return came

    def send(self, most: int | None = None) -> None:
        """Wake those who wait, the first come first."""
        woken = self._waiting if most is None else self._waiting[:most]
        self._waiting = [] if most is None else self._waiting[most:]
        for waiter in woken:
            self._scheduler.after(0.0, lambda waiter=waiter: waiter.answer(True))


class Waiter:
    """A task that waits, and gets one answer."""

    def __init__(self, task: Task) -> None:
        self._task, self._answered = task, False

    def answer(self, value: Any) -> None:
        if not self._answered:
            self._answered = True
            self._task.resume(value)
