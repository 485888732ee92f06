"""The way of a request to a service and back: where it may be late or lost, and where its sender dies or freezes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from simulation.faults import Fault, Faults
from simulation.scheduler import Killed, Scheduler, SimulationGap, Task, Waiter, current

SKIPPED = frozenset({"<lambda>", "ask", "put", "get", "_put", "_get", "_change", "_write", "_writing", "_round_trip"})
"""Functions that say nothing of what a request is for."""

SLOW = 0.02
"""Share of the requests that take much longer than others."""


class Lost(Exception):
    """No answer came within the sender's time limit."""


class Unavailable(Exception):
    """The service refused the request for the moment; nothing was changed."""


class Deferred:
    """An answer that comes later."""

    def __init__(self) -> None:
        self._value: list[Any] = []
        self._follow: Callable[[Any], None] | None = None

    def give(self, value: Any) -> None:
        self._value = [value]
        if self._follow is not None:
            self._follow(value)

    def then(self, follow: Callable[[Any], None]) -> None:
        self._follow = follow
        if self._value:
            follow(self._value[0])


class Exchange:
    """One request and its answer."""

    def __init__(
        self, scheduler: Scheduler, task: Task, effect: Callable[[], Any], fault: Fault | None, outage: str | None
    ) -> None:
        """``outage`` is how the service is away at present, if it is."""
        self._scheduler, self._effect, self._outage = scheduler, effect, outage
        kind = "" if fault is None else fault.kind
        self._request_lost = kind == "lose request" or outage == "silent"
        self._answer_lost = self._request_lost or kind in ("lose answer", "late")
        self._late = fault.seconds if fault is not None and kind == "late" else 0.0
        self._waiter = Waiter(task)
        self._answer: list[Any] = []
        self._back = 0.0

    def begin(self, least: float, most: float, time_limit: float) -> None:
        """Send it; one way takes some time between ``least`` and ``most``, and now and then much longer."""
        scheduler = self._scheduler
        there, self._back = scheduler.between(least, most), scheduler.between(least, most)
        if scheduler.random() < SLOW:
            there += scheduler.between(5 * least, 20 * most)
        scheduler.after(there + self._late, self._arrive)
        if self._answer_lost:
            scheduler.after(time_limit, self._time_out)
        self._time_limit = time_limit

    def answer(self) -> Any:
        """What came. Raises the error that came, or Lost."""
        if self._answer_lost or not self._answer:
            raise Lost
        (answer,) = self._answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _arrive(self) -> None:
        if self._request_lost:
            return
        answer = self._carry_out()
        if self._answer_lost:
            return
        if isinstance(answer, Deferred):
            self._scheduler.after(self._time_limit, self._time_out)
            answer.then(self._return)
        else:
            self._return(answer)

    def _carry_out(self) -> Any:
        if self._outage == "refusing":
            return Unavailable()
        try:
            return self._effect()
        except SimulationGap as gap:
            self._scheduler.gap = gap
        except Exception as error:  # noqa: BLE001 - the sender's
            return error
        return None

    def _return(self, answer: Any) -> None:
        self._answer = [answer]
        self._scheduler.after(self._back, lambda: self._waiter.answer(None))

    def _time_out(self) -> None:
        self._waiter.answer(None)


class Transport:
    """All services are reached through here."""

    def __init__(self, scheduler: Scheduler, faults: Faults) -> None:
        self._scheduler, self._faults = scheduler, faults
        self.sites: dict[str, int] = {}
        """How often a request was sent from each place of the code."""
        self.trace: list[str] | None = None
        self.slowness: dict[str, tuple[float, float]] = {}
        """The time that one way takes, by service: least and most seconds."""

    def send(self, service: str, operation: str, effect: Callable[[], Any], time_limit: float) -> Any:
        """Do ``effect`` at the service and return its answer. Raises what it raises, Lost, or Unavailable."""
        task = self.sender()
        fault = self._fault_at(task, f"{task.process.kind} {operation} {_place()}")
        self._before(task, fault)
        exchange = Exchange(self._scheduler, task, effect, fault, self._faults.outage(service, self._scheduler.now))
        exchange.begin(*self.slowness[service], time_limit)
        self._scheduler.park(task)
        self._after(task, fault)
        return exchange.answer()

    def compute(self, seconds: float, what: str) -> None:
        """Let time pass in a computation: a place where a process may die or freeze as well."""
        task = self.sender()
        fault = self._fault_at(task, f"{task.process.kind} compute {what}")
        self._before(task, fault)
        self._scheduler.wait(seconds * self._scheduler.between(0.8, 1.2))
        self._after(task, fault)

    def _fault_at(self, task: Task, site: str) -> Fault | None:
        self.sites[site] = number = self.sites.get(site, 0) + 1
        if self.trace is not None:
            self.trace.append(f"{self._scheduler.now:10.4f} {task.process.name}/{task.name} {site} #{number}")
        fault = self._faults.at(site, number)
        if fault is not None:
            self.note(f"fault: {fault.kind} at {site} #{number} of {task.process.name}")
        return fault

    def sender(self) -> Task:
        task = current()
        if task is None:
            raise SimulationGap("only a task sends requests")
        if not task.process.alive:
            raise Killed
        return task

    def note(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self._scheduler.now:10.4f} *** {text}")

    def _before(self, task: Task, fault: Fault | None) -> None:
        self._disturb(task, fault, "before")

    def _after(self, task: Task, fault: Fault | None) -> None:
        self._disturb(task, fault, "after")

    def _disturb(self, task: Task, fault: Fault | None, when: str) -> None:
        if fault is None or not fault.kind.endswith(when):
            return
        if fault.kind.startswith("kill"):
            self._scheduler.after(0.0, task.process.kill)
            self._scheduler.park(task)
        elif fault.kind.startswith("freeze"):
            if fault.what == "again":
                task.process.repeat(fault.at)
            task.process.freeze(fault.seconds)
            self._scheduler.wait(0.0)


def _place() -> str:
    """The functions of the code under test that the request comes from, the innermost first."""
    found: list[str] = []
    frame: Any = sys._getframe(2)
    while frame is not None and len(found) < 3:
        code = frame.f_code
        if "/lnn/" in code.co_filename and code.co_name not in SKIPPED:
            found.append(code.co_name)
        frame = frame.f_back
    return "<".join(found)
