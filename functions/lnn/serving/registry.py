"""The models table in DynamoDB: models, which of them are in use, and the history of changes.

The table has three kinds of items: a model under its id; ``current``, which names the models in use; and ``change#N``,
one for each change of ``current``. ``current`` is small because each function that predicts reads it every second.
A change is one transaction, on the condition that ``current`` has not changed since it was read.

Each write has a random name: botocore sends a write again whose answer was lost, and it has to be known for its own. In
a transaction DynamoDB knows it by its request token; elsewhere the item keeps it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast
from uuid import uuid4

from lnn.aws.client_errors import refusals
from lnn.aws.dynamodb_items import attribute, item, plain, refused_item
from lnn.errors import ConcurrentModification, ModelStateError
from lnn.job.scores import Scores
from lnn.serving import rollout
from lnn.serving.rollout import Current, Stage, Transition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CURRENT = "current"
CHANGE = "change#"

STAGING_TRIES = 8
"""Attempts of a registration; each concurrent change costs it at most one."""


class ModelRecord(Scores):
    """A registered model, or an upload that cannot predict."""

    model_id: str
    source: str
    """``s3://`` address of the upload."""
    uploaded_at: float
    """Epoch seconds, as all moments here."""
    registered_at: NotRequired[float]
    stage: NotRequired[Stage]
    refused: NotRequired[str]
    """Why it cannot predict."""
    held_back: NotRequired[str]
    """Why it did not take staging: it does not beat the base rate, and the model there is better."""
    announced: NotRequired[bool]
    """People have had the message of it."""
    sha256: NotRequired[str]
    """Of the file's content; a release that did not store it did not compare it either."""
    run_id: NotRequired[str]
    """The run that made it, or, where this deployment has no such run, what the file says."""
    sizes: NotRequired[list[int]]
    """Features, then the units of each layer."""
    image_shape: NotRequired[list[int] | None]
    classes: NotRequired[int]
    """How many there are; 0 where the model predicts numbers."""
    targets: NotRequired[int]
    """How many numbers it predicts; absent for a classifier."""
    base_rate: NotRequired[float]
    """Of this and the next four: of the run's test examples, as ``lnn.job.class_metrics`` defines them. A release
    that did not count the examples by class did not store them; regression has none."""
    balanced_accuracy: NotRequired[float]
    beats_base_rate: NotRequired[bool]
    skill: NotRequired[float]
    recall: NotRequired[str]
    """In words."""
    remarks: NotRequired[Sequence[str]]
    """What people should know before they trust the model, a line each."""
    final_cost: NotRequired[float | None]
    validation_cost: NotRequired[float | None]
    """In place of ``final_cost`` in a run with a validation set."""
    epoch: NotRequired[int]
    """Whose parameters the model has."""


class ModelChange(TypedDict):
    """Who changed what is in use, and when."""

    version: int
    at: float
    who: str
    what: str


class Registry:
    """The models table of one deployment."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table
        self._named = f"the table {table}"

    # Reading

    def current(self) -> Current:
        """What is in use."""
        record = self._get(CURRENT)
        return Current() if record is None else rollout.from_record(record)

    def get(self, model_id: str) -> ModelRecord | None:
        """A model's record, or None; never one of the table's other items."""
        return cast("ModelRecord | None", self._get(model_id)) if _is_model(model_id) else None

    def list_models(self) -> list[ModelRecord]:
        """Every model, newest first."""
        models = [cast("ModelRecord", record) for record in self._scan() if _is_model(record["model_id"])]
        return sorted(models, key=lambda model: (model["registered_at"], model["model_id"]), reverse=True)

    def changes(self) -> list[ModelChange]:
        """The history, oldest first."""
        found = [record for record in self._scan() if record["model_id"].startswith(CHANGE)]
        return [
            {"version": change["version"], "at": change["at"], "who": change["who"], "what": change["what"]}
            for change in sorted(found, key=lambda entry: entry["version"])
        ]

    # Changing

    def add(self, model: ModelRecord, who: str) -> bool:
        """Add a model and put it into staging; return False when it is registered already.

        Events may arrive late: a model uploaded before the one in staging is added as retired. So is a model that
        does not beat the base rate where the one in staging is better at the same task.
        """
        model_id = model["model_id"]
        for _ in range(STAGING_TRIES):
            current = self.current()
            under_review = self.get(current.staging) if current.staging else None
            late = under_review is not None and under_review["uploaded_at"] > model["uploaded_at"]
            why = None if late or under_review is None else reason_to_hold_back(model, under_review)
            step = rollout.stage(current, model_id) if not late and why is None else None
            stage: Stage = "retired" if step is None else "staging"
            record: ModelRecord = {**model, "stage": stage, "registered_at": time.time()}
            if why is not None:
                record["held_back"] = why
            try:
                self._transact(
                    {"Put": self._put(record, "attribute_not_exists(model_id)")},
                    *([] if step is None else self._writes(current, step, who, but=model_id)),
                )
            except ConcurrentModification:
                if self.get(model_id) is not None:
                    return False
            else:
                return True
        raise ConcurrentModification(
            f"{model_id} could not be put into staging: too many changes at once; upload it again"
        )

    def refuse(self, model: ModelRecord) -> bool:
        """Add an upload that cannot predict; return False when it is registered already."""
        write = uuid4().hex
        record = {**model, "registered_at": time.time(), "refused_by": write}
        put = self._put(record, "attribute_not_exists(model_id)")
        try:
            with refusals("write to", self._named):
                self._client.put_item(**put, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        except self._client.exceptions.ConditionalCheckFailedException as failed:
            return refused_item(failed.response).get("refused_by") == write
        return True

    def claim_message(self, model_id: str) -> bool:
        """True for one caller only, which then notifies people of the model; False at every repeat."""
        write = uuid4().hex
        try:
            with refusals("update", self._named):
                self._client.update_item(
                    TableName=self._table,
                    Key={"model_id": {"S": model_id}},
                    UpdateExpression="SET announced = :true, announced_by = :write",
                    ConditionExpression="attribute_exists(model_id) AND attribute_not_exists(announced)",
                    ExpressionAttributeValues={":true": attribute(True), ":write": attribute(write)},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except self._client.exceptions.ConditionalCheckFailedException as failed:
            return refused_item(failed.response).get("announced_by") == write
        return True

    def promote(self, model_id: str, who: str, canary_percent: int | None = None) -> Transition:
        """Put a model into production, for all requests or for a percentage of them.

        Raises:
            ModelStateError: the model does not exist, was refused, or is in production already.
            ConcurrentModification: another writer changed ``current`` first.
        """
        model = self.get(model_id)
        if model is None:
            raise ModelStateError(f"there is no model {model_id}; 'lnn models' lists those there are")
        if model.get("refused"):
            raise ModelStateError(f"{model_id} was refused at registration and cannot predict: {model['refused']}")
        return self._change(who, lambda current: rollout.promote(current, model_id, canary_percent))

    def roll_back(self, who: str) -> Transition:
        """End a canary, or bring back the model that was in production before.

        Raises:
            ModelStateError: there is nothing to go back to.
            ConcurrentModification: another writer changed ``current`` first.
        """
        return self._change(who, rollout.roll_back)

    def reject(self, model_id: str, who: str) -> Transition:
        """Take a model out of staging.

        Raises:
            ModelStateError: it is not there.
            ConcurrentModification: another writer changed ``current`` first.
        """
        return self._change(who, lambda current: rollout.reject(current, model_id))

    # Mechanics

    def _change(self, who: str, make: Callable[[Current], Transition]) -> Transition:
        current = self.current()
        step = make(current)
        self._transact(*self._writes(current, step, who))
        return step

    def _writes(self, before: Current, step: Transition, who: str, but: str | None = None) -> list[dict[str, Any]]:
        """The writes of a transition; ``but`` names a model whose own item the transaction writes elsewhere."""
        condition = "version = :before" if before.version else "attribute_not_exists(model_id)"
        values = {":before": attribute(before.version)} if before.version else {}
        change = {
            "model_id": f"{CHANGE}{step.after.version:09d}",
            "version": step.after.version,
            "at": time.time(),
            "who": who,
            "what": step.what,
        }
        moved = [(model_id, stage) for model_id, stage in step.stages.items() if model_id != but]
        return [
            {"Put": self._put({"model_id": CURRENT, **rollout.as_record(step.after)}, condition, values)},
            {"Put": self._put(change, "attribute_not_exists(model_id)")},
            *({"Update": self._move(model_id, stage)} for model_id, stage in moved),
        ]

    def _put(
        self, record: Mapping[str, Any], condition: str, values: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        put = {"TableName": self._table, "Item": item(record), "ConditionExpression": condition}
        return put | ({"ExpressionAttributeValues": values} if values else {})

    def _move(self, model_id: str, stage: str) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "Key": {"model_id": {"S": model_id}},
            "UpdateExpression": "SET stage = :stage",
            "ConditionExpression": "attribute_exists(model_id)",
            "ExpressionAttributeValues": {":stage": attribute(stage)},
        }

    def _transact(self, *writes: dict[str, Any]) -> None:
        """Make all of the writes or none. Raises ConcurrentModification when a condition fails."""
        errors = self._client.exceptions
        try:
            with refusals("write to", self._named):
                self._client.transact_write_items(
                    TransactItems=list(writes),  # type: ignore[arg-type]
                    ClientRequestToken=str(uuid4()),
                )
        except (errors.TransactionCanceledException, errors.TransactionConflictException) as error:
            raise ConcurrentModification(
                f"somebody else has changed the models in use at the same time ({self._latest_change()}); "
                "nothing was changed by this command: look at 'lnn models', and repeat it if you still want it"
            ) from error

    def _latest_change(self) -> str:
        change = self._get(f"{CHANGE}{self.current().version:09d}")
        return "it is not recorded who" if change is None else f"{change['who']}: {change['what']}"

    def _get(self, model_id: str) -> dict[str, Any] | None:
        with refusals("read", self._named):
            answer = self._client.get_item(
                TableName=self._table, Key={"model_id": {"S": model_id}}, ConsistentRead=True
            )
        found = answer.get("Item")
        return plain(found) if found else None

    def _scan(self) -> list[dict[str, Any]]:
        with refusals("scan", self._named):
            pages = self._client.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
            return [plain(found) for page in pages for found in page["Items"]]


def reason_to_hold_back(model: ModelRecord, under_review: ModelRecord) -> str | None:
    """Why a new model leaves staging to the one that is there; None where it takes it.

    Accuracy does not say which is better: a model that finds the rare class may be right less often than one that never
    does. The skill does; of regression it is R2. Models without figures, or for other data, are not compared.
    """
    beats_base_rate, skill = _skill_of(model)
    _, theirs = _skill_of(under_review)
    same_task = all(_task_of(model)) and _task_of(model) == _task_of(under_review)
    if beats_base_rate or skill is None or theirs is None or not same_task or theirs <= skill:
        return None
    remark = next(iter(model.get("remarks", ())), "it does not beat the base rate")
    return f"{remark}; {under_review['model_id']}, which is in staging, is better"


def _skill_of(model: ModelRecord) -> tuple[bool, float | None]:
    """Whether a model beats the base rate, and its skill: None where that is not known."""
    if "targets" in model:
        r2 = model.get("test_r2")
        return r2 is not None and r2 > 0, r2
    return model.get("beats_base_rate", False), model.get("skill")


def _task_of(model: ModelRecord) -> tuple[int, int]:
    """Numbers of features, and of classes or targets."""
    sizes = model.get("sizes", [0])
    return sizes[0], model.get("targets") or model.get("classes", 0)


def _is_model(key: str) -> bool:
    return key != CURRENT and not key.startswith(CHANGE)
