"""What a run is and how far it has come: the runs and costs tables in DynamoDB.

Every change of a run names, in a condition, the state it may be made from. Whoever trains holds the
run's lease under a generation number; a write under an older generation fails with
StaleGeneration and changes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lnn.aws.client_errors import AWS_ERRORS, refusals
from lnn.aws.dynamodb_items import attribute, plain
from lnn.aws.dynamodb_items import item as as_item
from lnn.errors import LedgerUnavailable, RunStateError, StaleGeneration
from lnn.runs.event_log import FAULT_LENGTH, Event, beginning, folded, set_back
from lnn.runs.event_log import event as story_event

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Status = Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "STOPPED"]

LEASE_SECONDS = 8.0
"""A trainer that has not renewed its lease for this long is taken for dead."""

BATCH_WRITE_ITEMS = 25
"""BatchWriteItem's limit (DynamoDB API reference)."""

WATCHED_INDEX = "watched"
"""The runs table's sparse index: DynamoDB lists an item in it as long as the item has the attribute of this name."""

WATCHED: Mapping[str, Any] = {WATCHED_INDEX: "yes"}
"""On every run that the watch has to look at: PENDING, RUNNING, or with an end that was not carried out."""

UNFINISHED = "#status IN (:pending, :running) OR closing = :true"
"""What makes a run one to watch."""
UNFINISHED_VALUES: Mapping[str, Any] = {":pending": "PENDING", ":running": "RUNNING", ":true": True}


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One row of the history."""

    epoch: int
    cost: float
    train_accuracy: float
    test_accuracy: float
    seconds: float
    waited: float | None = None
    """Seconds in which the first worker has waited for the others, since it began; None where there are no workers. Not
    stored."""


class Ledger:
    """The runs and costs tables of one deployment."""

    def __init__(self, client: DynamoDBClient, runs_table: str, costs_table: str) -> None:
        self._client = client
        self._runs = runs_table
        self._costs = costs_table
        self._runs_table = f"the table {runs_table}"
        self._costs_table = f"the table {costs_table}"

    # Reading

    def get_run(self, run_id: str) -> dict[str, Any] | None:
        """The run as it is now, or None."""
        with refusals("read", self._runs_table):
            answer = self._client.get_item(TableName=self._runs, Key={"run_id": {"S": run_id}}, ConsistentRead=True)
        item = answer.get("Item")
        return _plain(item) if item else None

    def list_runs(self, **conditions: Any) -> list[dict[str, Any]]:
        """Every run, newest first; ``conditions`` are attributes that must be equal."""
        arguments: dict[str, Any] = {"TableName": self._runs, "ConsistentRead": True}
        if conditions:
            arguments["FilterExpression"] = " AND ".join(f"#{name} = :{name}" for name in conditions)
            arguments["ExpressionAttributeNames"] = {f"#{name}": name for name in conditions}
            arguments["ExpressionAttributeValues"] = {
                f":{name}": attribute(value) for name, value in conditions.items()
            }
        with refusals("scan", self._runs_table):
            pages = self._client.get_paginator("scan").paginate(**arguments)
            runs = [_plain(item) for page in pages for item in page["Items"]]
        return sorted(runs, key=lambda run: str(run["run_id"]), reverse=True)

    def watched_runs(self) -> list[dict[str, Any]]:
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
            run_ids = [str(plain(item)["run_id"]) for page in pages for item in page["Items"]]
        runs = [run for run_id in sorted(run_ids) if (run := self.get_run(run_id)) is not None]
        for run in runs:
            if WATCHED_INDEX in run and not is_unfinished(run):
                # Closed by a function of the release before, which does not know the attribute.
                self._change(str(run["run_id"]), {}, f"NOT ({UNFINISHED})", UNFINISHED_VALUES, removed=[WATCHED_INDEX])
        return [run for run in runs if is_unfinished(run)]

    def watch_unfinished_runs(self) -> list[str]:
        """Enter in the index what a release without it has left unfinished; returns the ids of these runs.

        Reads the whole table: for an upgrade, once.
        """
        arguments: dict[str, Any] = {
            "FilterExpression": f"attribute_not_exists(#watched) AND ({UNFINISHED})",
            "ExpressionAttributeNames": {"#watched": WATCHED_INDEX, "#status": "status"},
            "ExpressionAttributeValues": {name: attribute(value) for name, value in UNFINISHED_VALUES.items()},
        }
        with refusals("scan", self._runs_table):
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._runs, ProjectionExpression="run_id", ConsistentRead=True, **arguments
            )
            run_ids = sorted(str(plain(item)["run_id"]) for page in pages for item in page["Items"])
        return [
            run_id for run_id in run_ids if self._change(run_id, WATCHED, UNFINISHED, UNFINISHED_VALUES) is not None
        ]

    def find_run_of_upload(self, bucket: str, key: str, version: str) -> dict[str, Any] | None:
        """The run that the upload of this object started; ``version`` is its version id or its ETag."""
        for run in self.list_runs(dataset_key=key):
            upload = run["dataset"]
            if upload["bucket"] == bucket and version.strip('"') in (upload["version_id"], upload["etag"]):
                return run
        return None

    def history(self, run_id: str) -> list[dict[str, Any]]:
        """The run's recorded epochs, in order."""
        with refusals("query", self._costs_table):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._costs,
                KeyConditionExpression="run_id = :run",
                ExpressionAttributeValues={":run": {"S": run_id}},
                ConsistentRead=True,
            )
            rows = [_plain(item) for page in pages for item in page["Items"]]
        numbers = ("cost", "train_accuracy", "test_accuracy", "seconds")
        return [{"epoch": row["epoch"], **{name: float(row[name]) for name in numbers}} for row in rows]

    # A run's life

    def open_run(self, run: Mapping[str, Any]) -> bool:
        """Enter a new run as PENDING; False when it is there already."""
        now = time.time()
        item = {
            **run,
            **WATCHED,
            "status": "PENDING",
            "generation": 0,
            "epoch": 0,
            "invocations": 1,
            "created_at": now,
            "events": [story_event("opened")],
        }
        try:
            with refusals("write to", self._runs_table):
                self._client.put_item(
                    TableName=self._runs,
                    Item=as_item(item),
                    ConditionExpression="attribute_not_exists(run_id)",
                )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def describe(self, run_id: str, **attributes: Any) -> bool:
        """Add what Launch found out, while the run is PENDING; False when it no longer is."""
        return self._change(run_id, attributes, "#status = :pending", {":pending": "PENDING"}) is not None

    def claim(self, run_id: str, generation: int, owner: str) -> dict[str, Any] | None:
        """Take the run's lease for ``generation``; None when this is not ours to take.

        A generation is taken once: a second copy of the same start message finds it taken, unless
        the first has given it back with ``release`` or ``give_up``. The run becomes RUNNING.
        """
        before = self.get_run(run_id)
        if before is None:
            return None
        now = time.time()
        event, sums = beginning(before, generation, now)
        claimed = self._change(
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
            "#status IN (:pending, :running) AND (#generation = :previous"
            " OR (#generation = :mine AND lease_expires = :released))",
            {
                ":pending": "PENDING",
                ":running": "RUNNING",
                ":previous": generation - 1,
                ":mine": generation,
                ":released": 0,
            },
            event=event,
            count="invocations",
        )
        if claimed is not None:
            self._shorten_story(claimed)
        return claimed

    def renew(
        self, run_id: str, generation: int, *, event: str | Event | None = None, **attributes: Any
    ) -> dict[str, Any]:
        """Renew the lease and note progress, and an event of the run's story if there is one; returns the run.

        Raises StaleGeneration when another generation has taken over or the run has ended.
        """
        now = time.time()
        run = self._change(
            run_id,
            {**attributes, **WATCHED, "heartbeat": now, "lease_expires": now + LEASE_SECONDS},
            "#status = :running AND #generation = :mine",
            {":running": "RUNNING", ":mine": generation},
            event=event,
        )
        if run is None:
            raise StaleGeneration(f"generation {generation} no longer owns run {run_id}")
        return run

    def release(self, run_id: str, generation: int, event: str) -> None:
        """Give the lease back, so that a repeat of the start message, or a successor, may take it."""
        self._change(
            run_id,
            {"lease_expires": 0.0},
            "#status = :running AND #generation = :mine",
            {":running": "RUNNING", ":mine": generation},
            event=event,
        )

    def go_back(self, run: Mapping[str, Any], **attributes: Any) -> dict[str, Any]:
        """``renew`` by a generation that begins at the checkpoint: the story tells which epochs that repeats."""
        event, sums = set_back(run)
        return self.renew(str(run["run_id"]), int(run["generation"]), event=event, **sums, **attributes)

    def give_up(self, run_id: str, generation: int, fault: str) -> None:
        """``release`` by a generation that failed: the next one's story tells what for."""
        self._change(
            run_id,
            {"lease_expires": 0.0, "fault": {"generation": generation, "what": fault[:FAULT_LENGTH]}},
            "#status = :running AND #generation = :mine",
            {":running": "RUNNING", ":mine": generation},
        )

    def finish(
        self, run_id: str, generation: int, status: Status, reason: str | None, **attributes: Any
    ) -> dict[str, Any] | None:
        """End the run; the run, or None when it has ended already or is another generation's.

        ``closing`` stays on it until ``close``: the mark of work that a crash may have left undone.
        """
        return self._change(
            run_id,
            {
                **attributes,
                **WATCHED,
                "status": status,
                "reason": reason,
                "finished_at": time.time(),
                "lease_expires": 0.0,
                "closing": True,
            },
            "#status IN (:pending, :running) AND #generation = :mine",
            {":pending": "PENDING", ":running": "RUNNING", ":mine": generation},
            event=f"{status.lower()}: {reason}" if reason else status.lower(),
        )

    def close(self, run_id: str, *, done: bool = True, **attributes: Any) -> None:
        """People have been told of the end of a run; ``done`` when so is everything else that follows it.

        Changes nothing where the run has been resumed meanwhile: its next end has to be told, too.
        """
        self._change(
            run_id,
            {"closing": not done, "told": True, **attributes},
            "attribute_exists(run_id) AND NOT (#status IN (:pending, :running))",
            {":pending": "PENDING", ":running": "RUNNING"},
            removed=[WATCHED_INDEX] if done else [],
        )

    def request_stop(self, run_id: str) -> dict[str, Any]:
        """Ask the run's trainer to end it cleanly. Raises RunStateError when it is not going."""
        run = self._change(
            run_id,
            {**WATCHED, "stop_requested": True},
            "#status IN (:pending, :running)",
            {":pending": "PENDING", ":running": "RUNNING"},
            event="stop requested",
        )
        if run is None:
            raise RunStateError(self._why_not(run_id, "stopped", "only a PENDING or RUNNING run can be"))
        return run

    def reopen(self, run_id: str) -> int:
        """Let a FAILED or STOPPED run go on; returns the generation that is to start.

        Raises RunStateError when the run has not ended so, or never got as far as training.
        """
        run = self.get_run(run_id)
        if run is None or run["status"] not in ("FAILED", "STOPPED"):
            raise RunStateError(self._why_not(run_id, "resumed", "only a FAILED or STOPPED run can be"))
        if run.get("checkpoint") is None:
            raise RunStateError(
                f"run {run_id} cannot be resumed: it ended before training could start "
                f"({run.get('reason')}); correct the input and upload it again"
            )
        reopened = self._change(
            run_id,
            {
                **WATCHED,
                "status": "PENDING",
                "reason": None,
                "stop_requested": False,
                "finished_at": None,
                "heartbeat": time.time(),
                "attempts": None,
                "fault": None,
                "told": False,
            },
            "#status = :was AND #generation = :generation",
            {":was": run["status"], ":generation": run["generation"]},
            event="resumed",
        )
        if reopened is None:
            raise RunStateError(self._why_not(run_id, "resumed", "somebody else was faster"))
        return int(run["generation"]) + 1

    def note(self, run_id: str, generation: int, event: str, **attributes: Any) -> bool:
        """Add an event to the run's story; False when the generation is stale."""
        return self._change(run_id, attributes, "#generation = :mine", {":mine": generation}, event=event) is not None

    # History

    def record(self, run_id: str, rows: Iterable[EpochRow]) -> None:
        """Write rows of the history; writing an epoch again replaces it with the same figures."""
        requests: list[Any] = [
            {
                "PutRequest": {
                    "Item": as_item(
                        {
                            "run_id": run_id,
                            "epoch": row.epoch,
                            "cost": row.cost,
                            "train_accuracy": row.train_accuracy,
                            "test_accuracy": row.test_accuracy,
                            "seconds": row.seconds,
                        }
                    )
                }
            }
            for row in rows
        ]
        while requests:
            batch, requests = requests[:BATCH_WRITE_ITEMS], requests[BATCH_WRITE_ITEMS:]
            with self._writing("write to", self._costs_table):
                answer = self._client.batch_write_item(RequestItems={self._costs: batch})
            requests = answer.get("UnprocessedItems", {}).get(self._costs, []) + requests

    # Mechanics

    def _change(
        self,
        run_id: str,
        attributes: Mapping[str, Any],
        condition: str,
        values: Mapping[str, Any],
        *,
        event: str | Event | None = None,
        count: str | None = None,
        removed: Iterable[str] = (),
    ) -> dict[str, Any] | None:
        """Set and remove attributes where ``condition`` holds; the new run, or None where it does not."""
        names = {"#status": "status", "#generation": "generation"}
        given = {name: attribute(value) for name, value in values.items()}
        settings = []
        for index, (name, value) in enumerate(attributes.items()):
            names[f"#a{index}"] = name
            given[f":a{index}"] = attribute(value)
            settings.append(f"#a{index} = :a{index}")
        if event is not None:
            names["#events"] = "events"
            given[":event"] = attribute([story_event(event) if isinstance(event, str) else event])
            settings.append("#events = list_append(#events, :event)")
        clauses = ["SET " + ", ".join(settings)] if settings else []
        if count is not None:
            names["#count"] = count
            given[":one"] = {"N": "1"}
            clauses.append("ADD #count :one")
        removals = {f"#r{index}": name for index, name in enumerate(removed)}
        if removals:
            names |= removals
            clauses.append("REMOVE " + ", ".join(removals))
        expression = " ".join(clauses)
        used = expression + condition
        arguments: dict[str, Any] = {
            "TableName": self._runs,
            "Key": {"run_id": {"S": run_id}},
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {key: name for key, name in names.items() if key in used},
            "ReturnValues": "ALL_NEW",
        }
        if given:
            arguments["ExpressionAttributeValues"] = given
        with self._writing("update", self._runs_table):
            try:
                answer = self._client.update_item(**arguments)
            except self._client.exceptions.ConditionalCheckFailedException:
                return None
        return _plain(answer["Attributes"])

    @staticmethod
    @contextmanager
    def _writing(what: str, table: str) -> Iterator[None]:
        """Raises NonRetryable for what stays, LedgerUnavailable for what may pass."""
        try:
            with refusals(what, table):
                yield
        except AWS_ERRORS as error:
            raise LedgerUnavailable(f"cannot {what} {table}: {error}") from error

    def _shorten_story(self, run: Mapping[str, Any]) -> None:
        events = run["events"]
        if len(shorter := folded(events)) < len(events):
            self._change(str(run["run_id"]), {"events": shorter}, "size(events) = :told", {":told": len(events)})

    def _why_not(self, run_id: str, done: str, rule: str) -> str:
        run = self.get_run(run_id)
        if run is None:
            return f"there is no run {run_id}; 'lnn runs' lists those there are"
        return f"run {run_id} cannot be {done}: it is {run['status']}, and {rule}"


def is_unfinished(run: Mapping[str, Any]) -> bool:
    """Whether the watch has to look at a run."""
    return run["status"] in ("PENDING", "RUNNING") or bool(run.get("closing"))


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    run = plain(item)
    # Stored as text: a setting may be a number that DynamoDB's do not reach.
    return run | {name: json.loads(run[name]) for name in ("settings", "plan") if isinstance(run.get(name), str)}
