"""What a run is and how far it has come: the runs and costs tables in DynamoDB.

Every change of a run names, in a condition, the statuses that ``record.ALLOWED_IN`` has for it. Whoever trains holds
the run's lease under a generation number; a write under an older generation fails with StaleGeneration and changes
nothing.

Each write leaves a name of its own in the item. When the answer to a write is lost, botocore sends it again: then the
item has that name, the condition fails, and DynamoDB's answer shows that the write was made, and made once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Unpack
from uuid import uuid4

from lnn.aws.client_errors import AWS_ERRORS, refusals
from lnn.aws.clocks import moment
from lnn.aws.dynamodb_items import attribute, item, plain, refused_item, update
from lnn.errors import LedgerUnavailable, RunStateError, StaleGeneration
from lnn.runs.event_log import FAULT_LENGTH, beginning, folded, set_back
from lnn.runs.event_log import event as logged
from lnn.runs.history_items import items_of, key_after, rows_in
from lnn.runs.record import ALLOWED_IN, Change, EpochRow, Run, to_item
from lnn.strategies.registry import STEPPED, STRATEGIES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from lnn.runs.attributes import Attributes, Event, Facts, Fault, Paused, Status

logger = logging.getLogger(__name__)

LEASE_SECONDS = 8.0
"""A trainer that has not renewed its lease for this long is taken for dead."""

BATCH_WRITE_ITEMS = 25
"""BatchWriteItem's limit (DynamoDB API reference)."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
"""Before rows that DynamoDB left unprocessed are sent again: twice as long each time, as its API reference advises."""

WATCHED_INDEX: Literal["watched"] = "watched"
"""The runs table's sparse index: DynamoDB lists an item in it as long as the item has the attribute of this name."""

WATCHED: Attributes = {WATCHED_INDEX: "yes"}
"""On every run that the watch has to look at: PENDING, RUNNING, or with an end that was not carried out."""

UNFINISHED = "#status IN (:pending, :running) OR closing = :true"
"""What makes a run one to watch."""
UNFINISHED_VALUES: Mapping[str, object] = {":pending": "PENDING", ":running": "RUNNING", ":true": True}

LAST_WRITE = "last_write"
"""Attribute of a run: the random name of the write that was made last."""

NOT_ALLOWED = "(attribute_not_exists(steps_allowed) OR steps_allowed < :number)"
"""A stepped run may not pass the pause of this number."""

NOT_GONE_ON = "(attribute_not_exists(progressed) OR progressed.generation < :mine OR progressed.epoch <= :epoch)"
"""Progress of one generation never goes back; the next one may begin at an earlier epoch."""
NOT_SAVED_SINCE = (
    "(attribute_not_exists(checkpoint) OR checkpoint.epoch < :saved OR (checkpoint.epoch = :saved AND "
    "(attribute_not_exists(checkpoint.batches) OR checkpoint.batches <= :batches)))"
)
"""The checkpoint that a run goes on from is never an earlier one than before."""


class Ledger:
    """The runs and costs tables of one deployment."""

    def __init__(self, client: DynamoDBClient, runs_table: str, costs_table: str) -> None:
        self._client = client
        self._runs = runs_table
        self._costs = costs_table
        self._runs_table = f"the table {runs_table}"
        self._costs_table = f"the table {costs_table}"

    # Reading

    def get_run(self, run_id: str) -> Run | None:
        """The run as it is now, or None."""
        with refusals("read", self._runs_table):
            answer = self._client.get_item(TableName=self._runs, Key={"run_id": {"S": run_id}}, ConsistentRead=True)
        found = answer.get("Item")
        return Run.from_item(plain(found)) if found else None

    def list_runs(self, dataset_key: str | None = None) -> list[Run]:
        """Every run, newest first; with ``dataset_key``, only those of uploads under this key."""
        # Every run has a status; the item of ``capacity`` has none.
        arguments: dict[str, Any] = {
            "TableName": self._runs,
            "ConsistentRead": True,
            "FilterExpression": "attribute_exists(#status)",
            "ExpressionAttributeNames": {"#status": "status"},
        }
        if dataset_key is not None:
            arguments["FilterExpression"] += " AND dataset_key = :key"
            arguments["ExpressionAttributeValues"] = {":key": attribute(dataset_key)}
        with refusals("scan", self._runs_table):
            pages = self._client.get_paginator("scan").paginate(**arguments)
            runs = [Run.from_item(plain(found)) for page in pages for found in page["Items"]]
        return sorted(runs, key=lambda run: run.run_id, reverse=True)

    def watched_runs(self) -> list[Run]:
        """Every run that has not ended, or whose end was not carried out.

        The index is some moments behind the table (DynamoDB developer guide, "Global secondary indexes: eventually
        consistent reads"): each run that it names is read from the table, and one that it does not name yet is found at
        the next look.
        """
        with refusals("query", f"the index {WATCHED_INDEX} of {self._runs_table}"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._runs,
                IndexName=WATCHED_INDEX,
                KeyConditionExpression="#watched = :watched",
                ExpressionAttributeNames={"#watched": WATCHED_INDEX},
                ExpressionAttributeValues={":watched": attribute(WATCHED[WATCHED_INDEX])},
            )
            run_ids = [str(plain(found)["run_id"]) for page in pages for found in page["Items"]]
        runs = [run for run_id in sorted(run_ids) if (run := self._readable(run_id)) is not None]
        for run in runs:
            if run.watched and not run.is_unfinished:
                # Closed by a function of an earlier release, which does not know the attribute.
                self._write(run.run_id, {}, f"NOT ({UNFINISHED})", UNFINISHED_VALUES, removed=[WATCHED_INDEX])
        return [run for run in runs if run.is_unfinished]

    def _readable(self, run_id: str) -> Run | None:
        """The run, or None where there is none, or a record that makes none: it must not hide the others."""
        try:
            return self.get_run(run_id)
        except (KeyError, TypeError, ValueError):
            logger.exception("a record is not a run's; mend or delete it", extra={"run_id": run_id})
            return None

    def watch_unfinished_runs(self) -> list[str]:
        """Enter in the index what a release without it has left unfinished; returns the ids of these runs.

        Reads the whole table: for an upgrade, once.
        """
        with refusals("scan", self._runs_table):
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._runs,
                ProjectionExpression="run_id",
                ConsistentRead=True,
                FilterExpression=f"attribute_not_exists(#watched) AND ({UNFINISHED})",
                ExpressionAttributeNames={"#watched": WATCHED_INDEX, "#status": "status"},
                ExpressionAttributeValues={name: attribute(value) for name, value in UNFINISHED_VALUES.items()},
            )
            run_ids = sorted(str(plain(found)["run_id"]) for page in pages for found in page["Items"])
        return [run_id for run_id in run_ids if self._write(run_id, WATCHED, UNFINISHED, UNFINISHED_VALUES) is not None]

    def find_run_of_upload(self, bucket: str, key: str, version: str) -> Run | None:
        """The run that the upload of this object started; ``version`` is its version id or its ETag."""
        for run in self.list_runs(key):
            upload = run.dataset
            if upload and upload["bucket"] == bucket and version.strip('"') in (upload["version_id"], upload["etag"]):
                return run
        return None

    def history(self, run_id: str, after: int = 0) -> list[EpochRow]:
        """The run's recorded epochs after ``after``, in order: of the stored rows, those ``Run.has_row`` counts in."""
        run = self.get_run(run_id)
        with refusals("query", self._costs_table):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._costs,
                KeyConditionExpression="run_id = :run AND epoch > :after",
                ExpressionAttributeValues={":run": {"S": run_id}, ":after": key_after(after)},
                ConsistentRead=True,
            )
            rows = rows_in(found for page in pages for found in page["Items"])
        return [row for row in rows if row.epoch > after and (run is None or run.has_row(row.epoch))]

    # A run's life

    def open_run(self, run_id: str, **facts: Unpack[Facts]) -> bool:
        """Enter a new run as PENDING; False when somebody else has."""
        write = uuid4().hex
        run: Attributes = {
            "run_id": run_id,
            **facts,
            **WATCHED,
            "status": "PENDING",
            "generation": 0,
            "epoch": 0,
            "invocations": 1,
            "created_at": moment(),
            "events": [logged("opened")],
        }
        try:
            with refusals("write to", self._runs_table):
                self._client.put_item(
                    TableName=self._runs,
                    Item=item({**to_item(run), LAST_WRITE: write}),
                    ConditionExpression="attribute_not_exists(run_id)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except self._client.exceptions.ConditionalCheckFailedException as refused:
            return written_by(write, refused.response) is not None
        return True

    def describe(
        self, run_id: str, once: Literal["checkpoint", "parameters_file"] | None = None, **facts: Unpack[Facts]
    ) -> bool:
        """Add what Launch found out, while the run is PENDING; False when it no longer is.

        ``once`` is one of the facts: where the run has it already, nothing changes, and the answer is False too.
        """
        condition = f"attribute_not_exists({once})" if once else ""
        return self._change("describe", run_id, facts, condition=condition) is not None

    def claim(self, run_id: str, generation: int, owner: str, before: Run | None = None) -> Run | None:
        """Take the run's lease for ``generation``; None when this is not ours to take.

        A generation is taken once: a second copy of the same start message finds it taken, unless
        the first has given it back with ``release`` or ``give_up``. The run becomes RUNNING. ``before`` is the run,
        where the caller has just read it.
        """
        before = before or self.get_run(run_id)
        if before is None:
            return None
        now = moment()
        event, sums = beginning(before, generation, now)
        claimed = self._change(
            "claim",
            run_id,
            {
                **sums,
                **WATCHED,
                "status": "RUNNING",
                "generation": generation,
                "owner": owner,
                "heartbeat": now,
                "lease_expires": now + LEASE_SECONDS,
            },
            condition="(#generation = :previous OR (#generation = :mine AND lease_expires = :released))",
            values={":previous": generation - 1, ":mine": generation, ":released": 0},
            event=event,
            counted="invocations",
            removed=["reason"],  # why it waited
        )
        if claimed is not None:
            self._shorten_events(claimed)
        return claimed

    def wait(self, run_id: str, generation: int, reason: str, *, first: bool) -> None:
        """Note why a run does not begin; an event tells it once. Changes nothing when a later generation has begun."""
        event = logged("waiting for capacity") if first else None
        self._change("wait", run_id, {"reason": reason}, generation=generation, event=event)

    def renew(self, run_id: str, generation: int, *, event: Event | None = None, **facts: Unpack[Facts]) -> Run:
        """Renew the lease and note progress, and an event if there is one; returns the run.

        Raises StaleGeneration when another generation has taken over or the run has ended, and when this one has noted
        a later epoch or checkpoint already.
        """
        now = moment()
        changes: Attributes = {**facts, **WATCHED, "heartbeat": now, "lease_expires": now + LEASE_SECONDS}
        run = self._change("renew", run_id, changes, generation=generation, event=event)
        if run is None:
            raise StaleGeneration(f"generation {generation} no longer owns run {run_id}, or has gone on by itself")
        return run

    def pause(self, run_id: str, generation: int, paused: Paused) -> Run | None:
        """``renew`` by a stepped run that waits for a person now; None where it may go on, or is not this one's."""
        now = moment()
        return self._change(
            "pause",
            run_id,
            {**WATCHED, "paused": paused, "heartbeat": now, "lease_expires": now + LEASE_SECONDS},
            generation=generation,
            condition=f"{NOT_ALLOWED} AND (attribute_not_exists(stop_requested) OR stop_requested = :false)",
            values={":number": paused["number"], ":false": False},
        )

    def allow_steps(self, run: Run, number: int) -> Run | None:
        """Let a stepped run pass all pauses up to ``number``; None where somebody has let it go on since it was read.

        One that waits has the time of a lease to begin: the message that tells its Trainer may get lost.
        """
        changes: Attributes = {"steps_allowed": number}
        if run.is_paused:
            changes |= {"heartbeat": moment(), "lease_expires": moment() + LEASE_SECONDS}
        unchanged = "steps_allowed = :expected"
        return self._change(
            "allow_steps",
            run.run_id,
            changes,
            condition=unchanged if run.steps_allowed else f"(attribute_not_exists(steps_allowed) OR {unchanged})",
            values={":expected": run.steps_allowed},
        )

    def stop_waiting(self, run: Run, reason: str) -> Run | None:
        """``request_stop`` for a run that waits for a person in vain; None where it has gone on since it was read."""
        if run.paused is None:
            return None
        now = moment()
        changes: Attributes = {"heartbeat": now, "lease_expires": now + LEASE_SECONDS, "stop_reason": reason}
        return self._change(
            "request_stop",
            run.run_id,
            {**WATCHED, **changes, "stop_requested": True},
            generation=run.generation,
            condition=NOT_ALLOWED,
            values={":number": run.paused["number"]},
            event=logged("stop requested"),
        )

    def release(self, run_id: str, generation: int, event: str | None = None) -> None:
        """Give the lease back, so that a repeat of the start message, or a successor, may take it."""
        told = None if event is None else logged(event)
        self._change("release", run_id, {"lease_expires": 0.0}, generation=generation, event=told)

    def go_back(self, run: Run, **facts: Unpack[Facts]) -> Run:
        """``renew`` by a generation that begins at the checkpoint: an event tells which epochs that repeats."""
        event, sums = set_back(run)
        changes: Facts = {**sums, **facts}
        return self.renew(run.run_id, run.generation, event=event, **changes)

    def give_up(self, run_id: str, generation: int, fault: str, *, starved: bool = False) -> None:
        """``release`` by a generation that failed, or is ``starved`` of capacity: the next one's event tells why."""
        told: Fault = {"generation": generation, "what": fault[:FAULT_LENGTH]}
        if starved:
            told["starved"] = True
        changes: Attributes = {"lease_expires": 0.0, "fault": told}
        self._change("release", run_id, changes, generation=generation)

    def finish(
        self, run_id: str, generation: int, status: Status, reason: str | None, **facts: Unpack[Facts]
    ) -> Run | None:
        """End the run; the run, or None when it has ended already or is another generation's.

        ``closing`` stays on it until ``close``: the mark of work that a crash may have left undone. ``ends`` counts the
        run's ends, so that nobody takes a later one for this.
        """
        changes: Attributes = {
            **facts,
            **WATCHED,
            "status": status,
            "reason": reason,
            "finished_at": moment(),
            "lease_expires": 0.0,
            "closing": True,
        }
        event = logged(f"{status.lower()}: {reason}" if reason else status.lower())
        return self._change("finish", run_id, changes, generation=generation, event=event, counted="ends")

    def close(self, ended: Run, *, done: bool = True, **facts: Unpack[Facts]) -> bool:
        """People have had the message of this end of the run, and its use is in the metrics; ``done`` when all else is.

        ``ended`` is the run as it was at that end. Changes nothing, and returns False, where the run has been resumed
        since, even if it has ended again: that end has to be told, too.
        """
        marks: Attributes = {"closing": not done, "told": True, "told_use": ended.use}
        changes: Attributes = {**marks, **facts}
        same_end = "ends = :ends" if ended.ends else "attribute_not_exists(ends)"
        values = {":ends": ended.ends} if ended.ends else {}
        removed = [WATCHED_INDEX] if done else []
        return (
            self._change("close", ended.run_id, changes, condition=same_end, values=values, removed=removed) is not None
        )

    def request_stop(self, run_id: str) -> Run:
        """Ask the run's trainer to end it cleanly. Raises RunStateError when it is not going."""
        run = self._change("request_stop", run_id, {**WATCHED, "stop_requested": True}, event=logged("stop requested"))
        if run is None:
            raise RunStateError(self._why_not(run_id, "stopped", "only a PENDING or RUNNING run can be"))
        return run

    def reopen(self, run_id: str, epochs: int | None = None, step: bool | None = None) -> int:
        """Let a FAILED or STOPPED run go on; returns the generation that is to start.

        With ``epochs`` the run trains so many in all, and may have COMPLETED. ``step`` says whether it is stepped from
        now on; None leaves that as it is. Raises RunStateError when the run has not ended so, never got as far as
        training, or has no epochs left to train, and when its strategy cannot be stepped.
        """
        run = self.get_run(run_id)
        allowed = [status for status in ALLOWED_IN["reopen"] if status != "COMPLETED" or epochs is not None]
        if run is None or run.status not in allowed:
            rule = f"only a {' or '.join(sorted(allowed))} run can be"
            if run is not None and run.status == "COMPLETED":
                rule += "; name a higher number of epochs to train it further"
            raise RunStateError(self._why_not(run_id, "resumed", rule))
        if not run.is_prepared:
            raise RunStateError(
                f"run {run_id} cannot be resumed: it ended before training could start "
                f"({run.reason}); correct the input and upload it again"
            )
        changes: Attributes = {
            **({} if epochs is None and step is None else _changed(run, epochs, step)),
            **WATCHED,
            "status": "PENDING",
            "reason": None,
            "stop_requested": False,
            "stop_reason": None,
            "finished_at": None,
            "heartbeat": moment(),
            "attempts": None,
            "fault": None,
            "closing": False,
            "told": False,
        }
        resumed = "resumed" if epochs is None else f"resumed, to train {epochs} epochs in all"
        if self._change("reopen", run_id, changes, generation=run.generation, event=logged(resumed)) is None:
            raise RunStateError(self._why_not(run_id, "resumed", "somebody else was faster"))
        return run.generation + 1

    def note(self, run_id: str, generation: int, event: str) -> bool:
        """Add an event; False when the generation is stale."""
        return self._change("note", run_id, {}, generation=generation, event=logged(event)) is not None

    # History

    def record(self, run_id: str, rows: Iterable[EpochRow], every: int = 1) -> None:
        """Write rows of a history that has every ``every``-th epoch.

        Writing an epoch again replaces it with the same figures.
        """
        requests: list[Any] = [{"PutRequest": {"Item": stored}} for stored in items_of(run_id, rows, every)]
        pause = FIRST_PAUSE_SECONDS
        while requests:
            batch, requests = requests[:BATCH_WRITE_ITEMS], requests[BATCH_WRITE_ITEMS:]
            with self._writing("write to", self._costs_table):
                answer = self._client.batch_write_item(RequestItems={self._costs: batch})
            left = answer.get("UnprocessedItems", {}).get(self._costs, [])
            if left:  # the table takes no more just now
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            requests = left + requests

    # Mechanics

    def _change(
        self,
        change: Change,
        run_id: str,
        changes: Facts | Attributes,
        *,
        generation: int | None = None,
        condition: str = "",
        values: Mapping[str, object] | None = None,
        event: Event | None = None,
        counted: str | None = None,
        removed: Sequence[str] = (),
    ) -> Run | None:
        """Make a change in the statuses that allow it, by its ``generation`` if given; None where it is not allowed."""
        allowed = {f":status{index}": status for index, status in enumerate(ALLOWED_IN[change])}
        clauses = [f"#status IN ({', '.join(allowed)})"]
        given = allowed | dict(values or {})
        made: Attributes = {**changes}
        if generation is not None:
            clauses.append("#generation = :mine")
            given[":mine"] = generation
        if generation is not None and "epoch" in changes:
            # A copy of a message may have gone on while this one was frozen.
            made["progressed"] = {"generation": generation, "epoch": changes["epoch"]}
            clauses.append(NOT_GONE_ON)
            given[":epoch"] = changes["epoch"]
        if generation is not None and (saved := changes.get("checkpoint")):
            clauses.append(NOT_SAVED_SINCE)
            given |= {":saved": saved["epoch"], ":batches": saved.get("batches", 0)}
        if condition:
            clauses.append(condition)
        return self._write(run_id, made, " AND ".join(clauses), given, event=event, counted=counted, removed=removed)

    def _write(
        self,
        run_id: str,
        changes: Facts | Attributes,
        condition: str,
        values: Mapping[str, object],
        *,
        event: Event | None = None,
        counted: str | None = None,
        removed: Sequence[str] = (),
    ) -> Run | None:
        """Set and remove attributes where ``condition`` holds; the new run, or None where it does not."""
        write = uuid4().hex
        arguments = update(
            {**to_item(changes), LAST_WRITE: write},
            f"({condition}) AND NOT {LAST_WRITE} = :write",
            {**values, ":write": write},
            names={"#status": "status", "#generation": "generation"},
            appended={} if event is None else {"events": event},
            counted=counted,
            removed=removed,
        )
        with self._writing("update", self._runs_table):
            try:
                answer = self._client.update_item(
                    TableName=self._runs,
                    Key={"run_id": {"S": run_id}},
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **arguments,
                )
            except self._client.exceptions.ConditionalCheckFailedException as refused:
                own = written_by(write, refused.response)
                return None if own is None else Run.from_item(own)
        return Run.from_item(plain(answer["Attributes"]))

    @staticmethod
    @contextmanager
    def _writing(what: str, table: str) -> Iterator[None]:
        """Raises NonRetryable for what stays, LedgerUnavailable for what may pass."""
        try:
            with refusals(what, table):
                yield
        except AWS_ERRORS as error:
            raise LedgerUnavailable(f"cannot {what} {table}: {error}") from error

    def _shorten_events(self, run: Run) -> None:
        if len(shorter := folded(run.events)) < len(run.events):
            self._write(run.run_id, {"events": shorter}, "size(events) = :told", {":told": len(run.events)})

    def _why_not(self, run_id: str, done: str, rule: str) -> str:
        run = self.get_run(run_id)
        if run is None:
            return f"there is no run {run_id}; 'lnn runs' lists those there are"
        return f"run {run_id} cannot be {done}: it is {run.status}, and {rule}"


def written_by(write: str, refusal: object) -> dict[str, Any] | None:
    """The item in DynamoDB's answer to a failed condition, if this very ``write`` made it; else None."""
    found = refused_item(refusal)
    return found if found.get(LAST_WRITE) == write else None


def _changed(run: Run, epochs: int | None, step: bool | None) -> Attributes:
    """The attributes of a run that is resumed with other settings. Raises RunStateError where it cannot have them."""
    changes: Attributes = {} if epochs is None else _lengthened(run, epochs)
    if step is None:
        return changes
    if step and not (run.strategy and STRATEGIES[run.strategy].may_be_stepped):
        raise RunStateError(
            f"run {run.run_id} cannot be stepped: its strategy is {run.strategy}, and only {STEPPED} waits at barriers"
        )
    return {
        **changes,
        "settings": {**changes.get("settings", run.settings), "step": step},
        "plan": {**changes.get("plan", run.plan or {}), "stepped": step},
    }


def _lengthened(run: Run, epochs: int) -> Attributes:
    """The attributes of a run that is to train ``epochs`` in all. Raises RunStateError where that changes nothing."""
    refused = f"run {run.run_id} cannot be resumed"
    if epochs <= run.epoch:
        raise RunStateError(f"{refused}: found epochs {epochs}; expected more than the {run.epoch} that it has trained")
    if run.status == "COMPLETED" and run.epoch < (run.epochs or 0):
        raise RunStateError(
            f"{refused}: it ended before its last epoch ({run.reason}), and would again; train the dataset anew with "
            "other settings"
        )
    if (run.settings.get("schedule") or {}).get("kind") == "cosine":
        raise RunStateError(
            f"{refused} with more epochs: its schedule, cosine, spreads over all epochs, and the first ones are "
            "trained; train the dataset anew"
        )
    return {
        "epochs": epochs,
        "settings": {**run.settings, "epochs": epochs},
        "plan": {**(run.plan or {}), "epochs": epochs},
    }
