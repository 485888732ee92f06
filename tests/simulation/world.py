"""One run of a job in a simulated deployment: everything is here, from the upload to the last late message."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus

from simulation import code_under_test, stand_ins
from simulation.code_under_test import VARIABLES, Code, rows_in
from simulation.dynamodb import DynamoDB, Table
from simulation.expressions import Item
from simulation.faults import Fault, Faults
from simulation.functions import Function, Functions
from simulation.jobs import Job
from simulation.redis_service import RedisService
from simulation.s3 import S3, Version
from simulation.scheduler import EPOCH, Process, Scheduler
from simulation.topic import Topic
from simulation.transport import Transport

PATIENCE_SECONDS = 2 * 3600.0
"""Simulated seconds after the last fault within which everything has to come to its end."""

MOST_EVENTS = 400_000

LOST_PRESSES = 0.05
"""How often a person allows a step, and the message that tells the Trainer so gets lost."""

SLOWNESS = {
    "redis": (0.0002, 0.001),
    "dynamodb": (0.002, 0.01),
    "s3": (0.005, 0.03),
    "lambda": (0.003, 0.02),
    "sns": (0.005, 0.02),
}
"""Least and most seconds of one way to a service."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a person does: ``stop``, ``resume`` or ``other parameters``."""

    what: str
    at: float

    def __str__(self) -> str:
        return f"{self.what} at {self.at:.2f} s"


class World:
    """One simulated deployment, and the run in it."""

    def __init__(
        self,
        code: Code,
        job: Job,
        seed: int | str,
        faults: Sequence[Fault] = (),
        actions: Sequence[Action] = (),
        choices: int | None = None,
        trace: bool = False,
    ) -> None:
        self.code, self.job, self.actions = code, job, list(actions)
        self.scheduler = scheduler = Scheduler(seed, choices)
        self.faults = Faults(faults)
        self.transport = Transport(scheduler, self.faults)
        self.transport.slowness = SLOWNESS
        if trace:
            self.transport.trace = []
        shared = scheduler, self.transport
        self.s3 = S3(*shared, bucket=VARIABLES["LNN_BUCKET"])
        self.s3.on_written = self._written
        self.dynamodb = DynamoDB(
            *shared,
            tables={
                VARIABLES["LNN_RUNS_TABLE"]: Table("run_id"),
                VARIABLES["LNN_COSTS_TABLE"]: Table("run_id", "epoch"),
                VARIABLES["LNN_INVOCATIONS_TABLE"]: Table("invocation"),
                VARIABLES["LNN_MODELS_TABLE"]: Table("model_id"),
            },
        )
        self.dynamodb.on_updated = self._updated
        self.topic = Topic(*shared)
        self.redis = RedisService(*shared, code.try_later)
        clocks = max((fault.seconds for fault in self.faults.all if fault.kind == "clocks"), default=0.0)
        self.functions = Functions(
            *shared,
            faults=self.faults,
            clocks=clocks,
            pace=job.pace,
        )
        self.services = {
            "s3": self.s3, "dynamodb": self.dynamodb, "sns": self.topic, "lambda": self.functions,
        }  # fmt: skip
        for kind, limit in (
            ("launch", 900.0), ("trainer", job.trainer_seconds), ("neuron", job.neuron_seconds), ("register", 60.0),
        ):  # fmt: skip
            self.functions.functions[f"lnn-{kind}"] = Function(kind, code.handler(kind), limit)
        self.user = Process(scheduler, "person", "person")
        self.presser = Process(scheduler, "presser", "person")
        self.uploads: list[str] = []
        """Ids of the runs, in the order of their uploads."""
        self.ended: dict[str, float] = {}
        """When a run ended last, whatever the clock says of the function that ended it."""
        self.sequencer = 0
        self.failures: list[str] = []
        self.user_is_done = False

    # Running

    def run(self) -> bool:
        """Simulate until everything is over; False when that takes too long."""
        code_under_test.stage.world = self
        stand_ins.begin(self.scheduler)
        environment = replace(
            self.code.trainer.services.environment,
            neuron_window=self.job.window,
            trainer_timeout=int(self.job.trainer_seconds),
            neuron_timeout=int(self.job.neuron_seconds),
        )
        for handler in (self.code.launch, self.code.trainer, self.code.neuron):
            handler.services = replace(handler.services, environment=environment)
        self._schedule_faults()
        self._upload()
        self.user.start(self._act)
        if "step" in self._parameters():
            self.presser.start(self._press)
        self.scheduler.after(self.job.watch_seconds, self._tick)
        self._over = False
        try:
            until = self.faults.end + sum(action.at for action in self.actions) + PATIENCE_SECONDS
            return self.scheduler.run(lambda: self._over, until, MOST_EVENTS)
        finally:
            self.close()

    def close(self) -> None:
        """Unwind what is left."""
        for process in [self.user, self.presser, *(p for f in self.functions.functions.values() for p in f.idle)]:
            process.kill()

    def _tick(self) -> None:
        """The schedule: a look of the watch; and the look whether everything is over."""
        if self.is_settled():
            self._over = True
            return
        self.functions.send("lnn-trainer", {"state": "watch"})
        self.scheduler.after(self.job.watch_seconds, self._tick)

    def is_settled(self) -> bool:
        if not self.user_is_done or self.functions.running or self.scheduler.now < self.faults.end:
            return False
        runs = [self.run_item(run_id) for run_id in self.uploads]
        return all(
            run is not None
            and run["status"]["S"] in ("COMPLETED", "FAILED", "STOPPED")
            and not run.get("closing", {}).get("BOOL")
            for run in runs
        )

    # What people do

    def _upload(self) -> None:
        folder = f"training_input/job-{self.job.number}"
        self._put(f"{folder}/parameters.json", json.dumps(self._parameters()).encode())
        self._put(f"{folder}/datasets.h5", self.job.dataset)
        for action in self.actions:
            if action.what == "other parameters":
                other = json.dumps(self._parameters(self.job.with_other_weights())).encode()
                self.scheduler.after(action.at, lambda other=other: self._put(f"{folder}/parameters.json", other))

    def _parameters(self, job: Job | None = None) -> dict[str, Any]:
        """What is uploaded for the job."""
        from lnn.job.hyperparameters import Settings

        job = job or self.job
        steps = job.stepped and "step" in Settings.model_fields
        return {**job.parameters, "step": True} if steps else dict(job.parameters)

    def _press(self) -> None:
        """Lets a stepped run go on whenever it waits: now and then by several steps, or with a message that is lost."""
        from lnn.errors import LnnError

        services = self.code.trainer.services
        while True:
            self.scheduler.wait(self.scheduler.between(0.05, 1.0))
            try:
                run = services.ledger.get_run(self.uploads[0]) if self.uploads else None
                if run is None or not run.is_paused:
                    continue
                allowed = services.ledger.allow_steps(run, run.steps_passed + self._steps())
                if allowed is not None and allowed.message_at_pause and self.scheduler.random() > LOST_PRESSES:
                    services.invoker.invoke_trainer(allowed.message_at_pause)
            except (LnnError, Exception) as error:  # noqa: BLE001 - a person reads it, and presses again
                self.transport.note(f"the person who presses sees: {error}")

    def _steps(self) -> int:
        return (1, 1, 2, 7)[int(self.scheduler.random() * 4)]

    def _put(self, key: str, body: bytes) -> None:
        self.s3.do_put_object(self.s3.bucket, key, body)

    def _act(self) -> None:
        """Stops and resumes, with the code that the command uses."""
        from lnn.errors import LnnError, RunStateError
        from lnn.messages import Message

        services = self.code.trainer.services
        for action in sorted(self.actions, key=lambda action: action.at):
            if action.what not in ("stop", "resume"):
                continue
            self.scheduler.wait(max(0.0, action.at - self.scheduler.now))
            run_id = self.uploads[0]
            try:
                if action.what == "stop":
                    services.ledger.request_stop(run_id)
                else:
                    generation = services.ledger.reopen(run_id)
                    services.invoker.invoke_trainer(Message(run_id, generation, "start"))
            except RunStateError:
                pass
            except (LnnError, Exception) as error:  # noqa: BLE001 - a person reads it, and goes on
                self.transport.note(f"the person sees: {error}")
        self.user_is_done = True

    # S3's events

    def _written(self, key: str, version: Version) -> None:
        for prefix, function in (("training_input/", "lnn-launch"), ("prediction_input/", "lnn-register")):
            if key.startswith(prefix) and key.endswith(".h5"):
                self._notify(function, key, version)

    def _updated(self, table: str, before: Item, after: Item) -> None:
        if table == VARIABLES["LNN_RUNS_TABLE"] and before.get("finished_at") != after.get("finished_at"):
            self.ended[after["run_id"]["S"]] = self.scheduler.now

    def _notify(self, function: str, key: str, version: Version) -> None:
        self.sequencer += 1
        moment = dt.datetime.fromtimestamp(EPOCH + version.moment, dt.UTC)
        record = {
            "eventSource": "aws:s3",
            "eventTime": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z",
            "s3": {
                "bucket": {"name": self.s3.bucket},
                "object": {
                    "key": quote_plus(key, safe="/"),
                    "versionId": version.version_id,
                    "eTag": version.etag,
                    "size": len(version.body or b""),
                    "sequencer": f"{self.sequencer:016X}",
                },
            },
        }
        if function == "lnn-launch":
            from lnn.aws.events import uploads

            self.uploads += [upload.run_id for upload in uploads({"Records": [record]})]
        self.functions.send(function, {"Records": [record]})

    # Faults at a moment

    def _schedule_faults(self) -> None:
        server = self.redis.server
        for fault in self.faults.all:
            if fault.kind == "redis lost":
                self._at(fault, server.restart)
            elif fault.kind == "redis key lost":
                self._at(fault, lambda fault=fault: server.lose_key(float(fault.what)))
            elif fault.kind == "redis back":
                self.scheduler.at(max(0.0, fault.at - fault.seconds), lambda fault=fault: self._snapshot(fault))

    def _snapshot(self, fault: Fault) -> None:
        snapshot = self.redis.server.snapshot()
        self._at(fault, lambda: self.redis.server.restart(snapshot))

    def _at(self, fault: Fault, action: Callable[[], None]) -> None:
        def happen() -> None:
            self.transport.note(f"fault: {fault}")
            action()

        self.scheduler.at(fault.at, happen)

    # Looking

    def run_item(self, run_id: str) -> Any:
        table = self.dynamodb.tables[VARIABLES["LNN_RUNS_TABLE"]]
        return table.items.get(table.key_of({"run_id": {"S": run_id}}))

    def item_table(self, name: str) -> list[Any]:
        return list(self.dynamodb.tables[name].items.values())

    def ledger_run(self, run_id: str) -> Any:
        from lnn.aws.dynamodb_items import plain
        from lnn.runs.record import Run

        item = self.run_item(run_id)
        return None if item is None else Run.from_item(plain(item))

    def history(self, run_id: str) -> list[tuple[Any, ...]]:
        """The rows that people see, as ``Ledger.history`` reads them."""
        run = self.ledger_run(run_id)
        counts: Callable[[int], bool] = getattr(run, "has_row", lambda epoch: True)
        items = [item for item in self.item_table(VARIABLES["LNN_COSTS_TABLE"]) if item["run_id"]["S"] == run_id]
        return [row for row in rows_in(items) if counts(row[0])]
