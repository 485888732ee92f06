"""Lambda in memory: environments, asynchronous messages that come at least once, retries, time limits."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulation.aws import Refusal, Service
from simulation.faults import Faults
from simulation.scheduler import Process
from simulation.transport import Deferred

RETRIES = 2
LONGEST_PAUSE = 300.0
"""Between two tries of a throttled message; the first pause is of a second, each further one twice as long."""

RETRY_SECONDS = 60.0, 120.0
"""Of a failed asynchronous invocation (Lambda developer guide, "Error handling for asynchronous invocation")."""


@dataclass
class Function:
    """One function: its handler, and what Terraform says of it."""

    kind: str
    handler: Callable[[Any, Any], Any]
    time_limit: float
    idle: list[Process] = field(default_factory=list)


class Context:
    """Lambda's context object, as far as it is used."""

    memory_limit_in_mb = 1769
    function_name = "function"
    function_version = "$LATEST"

    def __init__(self, ends: float, now: Callable[[], float], request: str) -> None:
        self._ends, self._now = ends, now
        self.aws_request_id = request
        self.invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"

    def get_remaining_time_in_millis(self) -> int:
        return int(max(0.0, self._ends - self._now()) * 1000)


class Functions(Service):
    """The functions of one deployment."""

    name = "lambda"

    def __init__(self, *arguments: Any, faults: Faults, clocks: float, pace: float) -> None:
        super().__init__(*arguments)
        self._faults = faults
        self._clocks = clocks
        self._pace = pace
        self.functions: dict[str, Function] = {}
        self.messages: Counter[str] = Counter()
        self.environments = 0
        self.running = 0
        """Invocations at work or to come, but for those of the schedule."""
        self.errors: list[str] = []
        self.workers: list[tuple[str, float, float]] = []
        """Workers that have gone by themselves and never stood still: whose they were, when they came and went."""

    def do_invoke(self, FunctionName: str, Payload: bytes, InvocationType: str = "RequestResponse") -> Any:
        function = self.functions.get(FunctionName)
        if function is None:
            raise Refusal("ResourceNotFoundException")
        event = json.loads(Payload)
        if InvocationType == "Event":
            self.send(FunctionName, event)
            return {"StatusCode": 202}
        if self._faults.throttled(function.kind, self.scheduler.now):
            raise Refusal("TooManyRequestsException")
        answer = Deferred()
        self.running += 1
        self._begin(FunctionName, event, RETRIES, answer)
        return answer

    def send(self, name: str, event: Any) -> None:
        """Deliver a message some time later, perhaps twice."""
        function = self.functions[name]
        self.messages[function.kind] += 1
        fault = self._faults.message(function.kind, self.messages[function.kind])
        delay = self._pace * self.scheduler.between(0.2, 1.6)
        if fault is not None:
            self.transport.note(f"fault: {fault.kind}, number {fault.number} to {function.kind}: {event}")
            if fault.kind == "message twice":
                self._deliver(name, event, delay + fault.seconds, 0)
            else:
                delay += fault.seconds
        self._deliver(name, event, delay, 0)

    def _deliver(self, name: str, event: Any, delay: float, attempt: int) -> None:
        if not _is_watch(event):
            self.running += 1
        self.scheduler.after(delay, lambda: self._begin(name, event, attempt))

    def _begin(self, name: str, event: Any, attempt: int, answer: Deferred | None = None, pause: float = 1.0) -> None:
        function = self.functions[name]
        if self._faults.throttled(function.kind, self.scheduler.now):
            later = min(2 * pause, LONGEST_PAUSE)
            self.scheduler.after(pause, lambda: self._begin(name, event, attempt, answer, later))
            return
        usable = [process for process in function.idle if not self.scheduler.now < process.frozen_until]
        if usable and self.scheduler.random() < 0.8:
            process = usable[int(self.scheduler.random() * len(usable))]
            function.idle.remove(process)
            self._run(function, name, process, event, attempt, answer)
            return
        self.environments += 1
        process = Process(self.scheduler, f"{function.kind}-{self.environments}", function.kind)
        if self._clocks:
            process.clock_offset = self.scheduler.between(-self._clocks / 2, self._clocks / 2)
        cold = self.scheduler.between(0.1, 0.4)
        self.scheduler.after(cold, lambda: self._run(function, name, process, event, attempt, answer))

    def _run(
        self, function: Function, name: str, process: Process, event: Any, attempt: int, answer: Deferred | None
    ) -> None:
        scheduler = self.scheduler
        began, ends = scheduler.now, scheduler.now + function.time_limit
        context = Context(ends, lambda: scheduler.now, f"request-{scheduler.events}")
        self.transport.note(f"invocation of {process.name}: {json.dumps(event)[:200]}")
        process.thaw()
        process.repeat = lambda seconds: self._deliver(name, event, seconds, 0)
        over, scheduled = False, _is_watch(event)
        task = process.start(lambda: function.handler(event, context))

        def end() -> None:
            nonlocal over
            if over:
                return
            over = True
            if not scheduled:
                self.running -= 1
            failed = task.error is not None or not process.alive
            if process.alive:
                self._note_worker(process, event, began)
                process.suspend()
                function.idle.append(process)
            if task.error is not None:
                self.errors.append(f"{function.kind}: {type(task.error).__name__}: {task.error}")
                self.transport.note(f"{process.name} raised {type(task.error).__name__}: {task.error}")
            if answer is not None:
                answer.give(_response(task.error, process.alive))
            if failed and attempt < RETRIES:
                self._deliver(name, event, RETRY_SECONDS[attempt], attempt + 1)

        task.when_done.append(end)

        def time_out() -> None:
            if not over:
                self.transport.note(f"time limit of {process.name}")
                process.kill()

        scheduler.at(ends, time_out)

    def _note_worker(self, process: Process, event: Any, began: float) -> None:
        if event.get("state") == "start" and "neuron" in event and process.frozen_until < began:
            self.workers.append((event["run_id"], began, self.scheduler.now))


def _is_watch(event: Any) -> bool:
    """The schedule's events never end: nobody waits for them."""
    return bool(event.get("state") == "watch")


def _response(error: BaseException | None, alive: bool) -> dict[str, Any]:
    if error is None and alive:
        return {"StatusCode": 200, "Payload": io.BytesIO(b"null")}
    raised = {"errorType": type(error).__name__, "errorMessage": str(error)}
    return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(raised).encode())}
