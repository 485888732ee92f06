"""How many workers run at once, and which runs wait for theirs.

A run of several workers trains only while all of them run. Runs that each hold some workers and wait for the rest would
wait for ever, so a run reserves all of its workers before it starts, or none. One item of the runs table keeps the
reservations and the line of those that wait, first come, first served.

Every write is one conditional write to that item:

- a reservation is taken where there is room and nobody waits, or by the first in the line;
- the end of a run gives back what its last generation or an earlier one has reserved, so that a late writer cannot
  free the reservation of a run that was resumed meanwhile;
- anything else is removed in a transaction with a check that its run has ended.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lnn.aws.client_errors import AWS_ERRORS, refusals
from lnn.aws.dynamodb_items import attribute, plain, update
from lnn.errors import LedgerUnavailable
from lnn.runs.record import ENDED

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CAPACITY = "capacity"
"""The item's ``run_id``; no run has such an id, and no list of runs shows it."""

OWN_ATTRIBUTES = ("run_id", "version", "used", "waiting")
"""Attributes of the item beside its reservations, each of which has its run's id as its name."""

TRIES = 60
"""Tries of a write that others come before: as many runs may start or end at one moment."""
LONGEST_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Reservation:
    """The workers of one run, reserved or waited for; ``generation`` is the latest that asked."""

    run_id: str
    generation: int
    workers: int


@dataclass(frozen=True, slots=True)
class Occupancy:
    """The item: who has reserved workers, and who waits. Pure; each method returns the occupancy after a change."""

    version: int = 0
    held: Mapping[str, Reservation] = field(default_factory=dict)
    """By run."""
    waiting: tuple[Reservation, ...] = ()
    """The first of the line first."""

    @property
    def used(self) -> int:
        """Workers that are reserved."""
        return sum(reservation.workers for reservation in self.held.values())

    @property
    def runs(self) -> set[str]:
        """Ids of all runs that hold or wait."""
        return {*self.held, *(reservation.run_id for reservation in self.waiting)}

    def place(self, run_id: str) -> int:
        """A run's place in the line, from 1; 0 where it does not wait."""
        return next((place for place, one in enumerate(self.waiting, 1) if one.run_id == run_id), 0)

    def requested(self, wanted: Reservation, limit: int) -> Occupancy:
        """After a request: reserved, or in the line. A run keeps what it holds, and its place."""
        run_id = wanted.run_id
        if run_id in self.held:
            generation = max(wanted.generation, self.held[run_id].generation)
            return self._holding([replace(self.held[run_id], generation=generation)])
        if not self.place(run_id):
            return replace(self, waiting=(*self.waiting, wanted)).advanced(limit)
        line = tuple(wanted if one.run_id == run_id else one for one in self.waiting)
        return replace(self, waiting=line).advanced(limit)

    def advanced(self, limit: int) -> Occupancy:
        """After everybody at the head of the line has reserved who finds room."""
        now = self
        while now.waiting and now.used + now.waiting[0].workers <= limit:
            first, *others = now.waiting
            now = replace(now, waiting=tuple(others))._holding([first])
        return now

    def without(self, run_id: str) -> Occupancy:
        """After a run has left, whether it held or waited."""
        held = {name: one for name, one in self.held.items() if name != run_id}
        return replace(self, held=held, waiting=tuple(one for one in self.waiting if one.run_id != run_id))

    def _holding(self, reservations: Iterable[Reservation]) -> Occupancy:
        return replace(self, held={**self.held, **{one.run_id: one for one in reservations}})


class Capacity:
    """The workers that one deployment may run at once, ``limit`` of them."""

    def __init__(self, client: DynamoDBClient, runs_table: str, limit: int) -> None:
        self._client = client
        self._table = runs_table
        self.limit = limit

    def read(self) -> Occupancy:
        """The occupancy at this moment."""
        with self._asking("read"):
            answer = self._client.get_item(TableName=self._table, Key=_KEY, ConsistentRead=True)
        return _occupancy(answer.get("Item", {}))

    def reserve(self, run_id: str, generation: int, workers: int) -> int:
        """Reserve the workers of a run that is about to start; returns 0, or the run's place in the line.

        A generation that follows another of its run finds the run's reservation, and keeps it.
        """
        wanted = Reservation(run_id, generation, workers)
        if self._kept(wanted) if generation > 1 else self._reserved(wanted):
            return 0
        _, after = self._change(lambda now: now.requested(wanted, self.limit))
        return after.place(run_id)

    def give_back(self, run_id: str, generation: int, workers: int) -> bool:
        """Remove the reservation of a run that has ended in ``generation``, or its place; True if anybody waits.

        Changes nothing where a later generation, of the run resumed, has asked for the reservation.
        """
        after = self._update(
            "REMOVE #run ADD #used :less, #version :one",
            "#run.#generation <= :generation AND #run.#workers = :workers",
            run_id,
            {":less": -workers, ":one": 1, ":generation": generation, ":workers": workers},
        )
        if after is None:
            after = self.recover(run_id)
        return bool(after.waiting)

    def recover(self, run_id: str) -> Occupancy:
        """Remove what a run holds, or its place, if it has ended or was deleted; returns the occupancy then."""
        _, after = self._change(lambda now: now.without(run_id), only_without=run_id)
        return after

    def admit(self) -> list[Reservation]:
        """Reserve for those at the head of the line as far as there is room; returns who may start."""
        before, after = self._change(lambda now: now.advanced(self.limit))
        return [one for one in before.waiting if one.run_id in after.held]

    # Mechanics

    def _reserved(self, wanted: Reservation) -> bool:
        """Whether there was room, nobody waited and the run held nothing: the one call of an ordinary start."""
        return (
            wanted.workers <= self.limit
            and self._update(
                "SET #run = :entry ADD #used :workers, #version :one",
                "attribute_not_exists(#run) AND attribute_not_exists(#waiting) "
                "AND (attribute_not_exists(#used) OR #used <= :room)",
                wanted.run_id,
                {
                    ":entry": _entry(wanted),
                    ":workers": wanted.workers,
                    ":one": 1,
                    ":room": self.limit - wanted.workers,
                },
            )
            is not None
        )

    def _kept(self, wanted: Reservation) -> bool:
        """Whether the run holds its reservation already; the generation is noted in it."""
        return (
            self._update(
                "SET #run.#generation = :generation ADD #version :one",
                "#run.#generation <= :generation",
                wanted.run_id,
                {":generation": wanted.generation, ":one": 1},
            )
            is not None
        )

    def _update(self, expression: str, condition: str, run_id: str, values: Mapping[str, object]) -> Occupancy | None:
        """The occupancy after one conditional write, or None where the condition does not hold."""
        names = {"#run": run_id, **{f"#{name}": name for name in ("used", "version", "waiting")}}
        names |= {"#generation": "generation", "#workers": "workers"}
        used = {key: name for key, name in names.items() if key in expression + condition}
        with self._asking("update"):
            try:
                answer = self._client.update_item(
                    TableName=self._table,
                    Key=_KEY,
                    UpdateExpression=expression,
                    ConditionExpression=condition,
                    ExpressionAttributeNames=used,
                    ExpressionAttributeValues={key: attribute(value) for key, value in values.items()},
                    ReturnValues="ALL_NEW",
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return None
        return _occupancy(answer["Attributes"])

    def _change(
        self, change: Callable[[Occupancy], Occupancy], only_without: str | None = None
    ) -> tuple[Occupancy, Occupancy]:
        """Make a change of the occupancy that nobody comes between; returns the occupancy before and after.

        With ``only_without``, the same transaction checks that this run has ended or does not exist; it changes nothing
        where the run goes on. Raises LedgerUnavailable when others have come between again and again.
        """
        for attempt in range(TRIES):
            before = self.read()
            after = change(before)
            if after == before:
                return before, before
            after = replace(after, version=before.version + 1)
            written = self._write(before, after, only_without)
            if written is None:
                return before, before
            if written:
                return before, after
            time.sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.01 * 2**attempt)))  # noqa: S311 - a pause
        raise LedgerUnavailable("many runs start or end at once; the workers' capacity could not be updated")

    def _write(self, before: Occupancy, after: Occupancy, only_without: str | None) -> bool | None:
        """True when written, False when somebody else has written, None when the run to be without goes on."""
        update = _difference(before, after) | {"TableName": self._table, "Key": _KEY}
        errors = self._client.exceptions
        with self._asking("update"):
            if only_without is None:
                try:
                    self._client.update_item(**update)
                except errors.ConditionalCheckFailedException:
                    return False
                return True
            check = {
                "TableName": self._table,
                "Key": {"run_id": {"S": only_without}},
                "ConditionExpression": "attribute_not_exists(run_id) OR #status IN (:ended0, :ended1, :ended2)",
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": {f":ended{index}": attribute(one) for index, one in enumerate(ENDED)},
            }
            try:
                self._client.transact_write_items(
                    TransactItems=[{"ConditionCheck": check}, {"Update": update}]  # type: ignore[typeddict-item]
                )
            except errors.TransactionCanceledException as canceled:
                why = [reason.get("Code") for reason in canceled.response.get("CancellationReasons", [])]
                return None if why[:1] == ["ConditionalCheckFailed"] else False
        return True

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Raises NonRetryable for what stays, LedgerUnavailable for what may pass."""
        table = f"the table {self._table}"
        try:
            with refusals(what, table):
                yield
        except AWS_ERRORS as error:
            raise LedgerUnavailable(f"cannot {what} {table}: {error}") from error


_KEY: Mapping[str, Any] = {"run_id": {"S": CAPACITY}}


def _entry(reservation: Reservation) -> dict[str, object]:
    """A reservation as its attribute, whose name is the run's id."""
    return {"generation": reservation.generation, "workers": reservation.workers}


def _occupancy(item: Mapping[str, Any]) -> Occupancy:
    stored = plain(item)
    held = {name: Reservation(name, **entry) for name, entry in stored.items() if name not in OWN_ATTRIBUTES}
    waiting = tuple(Reservation(**entry) for entry in stored.get("waiting", []))
    return Occupancy(stored.get("version", 0), held, waiting)


def _difference(before: Occupancy, after: Occupancy) -> dict[str, Any]:
    """UpdateItem's expressions that lead from one occupancy to another, if nobody has written between."""
    changes: dict[str, object] = {"used": after.used, "version": after.version}
    changes |= {run_id: _entry(one) for run_id, one in after.held.items() if one != before.held.get(run_id)}
    removed = [run_id for run_id in before.held if run_id not in after.held]
    if after.waiting:
        changes["waiting"] = [asdict(one) for one in after.waiting]
    elif before.waiting:
        removed.append("waiting")
    return update(
        changes,
        "#version = :seen" if before.version else "attribute_not_exists(#version)",
        {":seen": before.version} if before.version else {},
        names={"#version": "version"},
        appended={},
        counted=None,
        removed=removed,
    )
