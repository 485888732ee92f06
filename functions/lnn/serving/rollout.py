"""The record of the models in use, and its transitions. Pure: nothing here reads or writes.

A transition maps the record before to the record after, with the new stages of the models that it moves.
``lnn.serving.registry`` writes it on the condition that the record has not changed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lnn.errors import ModelStateError

Stage = Literal["staging", "production", "retired"]

PAST_MODELS = 50
"""The most models that ``roll_back`` can go back through."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A model that answers ``percent`` of the requests to production."""

    model_id: str
    percent: int


@dataclass(frozen=True, slots=True)
class Current:
    """Which models are in use."""

    version: int = 0
    """Number of changes so far."""
    production: str | None = None
    staging: str | None = None
    canary: Canary | None = None
    past: tuple[str, ...] = ()
    """Models that were in production before, the latest last."""

    def answering(self, request: bytes) -> str | None:
        """The model that answers a production request; the same bytes always get the same model."""
        if self.canary is not None and share_of(request) < self.canary.percent:
            return self.canary.model_id
        return self.production

    def stage_of(self, model_id: str) -> Stage:
        if model_id == self.production:
            return "production"
        canary = self.canary is not None and model_id == self.canary.model_id
        return "staging" if canary or model_id == self.staging else "retired"


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of the models in use: the new record, its description, and the new stage of each model that it moves."""

    after: Current
    what: str
    stages: Mapping[str, Stage] = field(default_factory=dict)


def share_of(request: bytes) -> float:
    """Where a request falls between 0 and 100, by a hash of its bytes: evenly, and alike everywhere."""
    return int.from_bytes(hashlib.sha256(request).digest()[:8]) / 2**64 * 100


def stage(current: Current, model_id: str) -> Transition:
    """Put a new model into staging, in the place of the one that is there."""
    return _transition(current, replace(current, staging=model_id), f"{model_id} into staging")


def promote(current: Current, model_id: str, canary_percent: int | None = None) -> Transition:
    """Let a model answer production, wholly or a share of the requests.

    Raises:
        ModelStateError: it does so already.
    """
    if model_id == current.production:
        raise ModelStateError(f"{model_id} is in production already")
    if canary_percent is not None:
        if current.production is None:
            raise ModelStateError(
                f"there is no model in production to share the requests with; promote {model_id} without --canary"
            )
        canary = Canary(model_id, canary_percent)
        if canary == current.canary:
            raise ModelStateError(f"{model_id} answers {canary_percent}% of production already")
        return _transition(
            current, replace(current, canary=canary), f"{model_id} answers {canary_percent}% of production"
        )
    past = current.past if current.production is None else (*current.past, current.production)[-PAST_MODELS:]
    after = replace(
        current,
        production=model_id,
        canary=None,
        past=past,
        staging=None if current.staging == model_id else current.staging,
    )
    return _transition(current, after, f"{model_id} into production")


def roll_back(current: Current) -> Transition:
    """End a canary; where there is none, bring back the model that was in production before.

    Raises:
        ModelStateError: there is nothing to go back to.
    """
    if current.canary is not None:
        gone = current.canary.model_id
        after = replace(current, canary=None, staging=None if current.staging == gone else current.staging)
        return _transition(current, after, f"{gone} no longer answers a share of production")
    if not current.past:
        raise ModelStateError("there is nothing to roll back to: no other model has been in production")
    *past, back = current.past
    staging = None if current.staging == back else current.staging
    after = replace(current, production=back, past=tuple(past), staging=staging)
    return _transition(current, after, f"{back} back into production, in the place of {current.production}")


def reject(current: Current, model_id: str) -> Transition:
    """Take a model out of staging, or out of its share of production.

    Raises:
        ModelStateError: it is not there.
    """
    if current.stage_of(model_id) != "staging":
        raise ModelStateError(f"{model_id} cannot be rejected: it is {current.stage_of(model_id)}, not in staging")
    after = replace(
        current,
        staging=None if current.staging == model_id else current.staging,
        canary=None if current.canary is not None and current.canary.model_id == model_id else current.canary,
    )
    return _transition(current, after, f"{model_id} rejected")


def _transition(before: Current, after: Current, what: str) -> Transition:
    """The transition, with its version number and the models whose stage it changes."""
    after = replace(after, version=before.version + 1)
    canaries = [current.canary.model_id for current in (before, after) if current.canary is not None]
    named = {before.production, before.staging, after.production, after.staging, *canaries} - {None}
    stages = {
        model: after.stage_of(model)
        for model in sorted(name for name in named if name)
        if before.stage_of(model) != after.stage_of(model)
    }
    return Transition(after, what, stages)


def as_record(current: Current) -> dict[str, Any]:
    """The record as plain values."""
    return {
        "version": current.version,
        "production": current.production,
        "staging": current.staging,
        "canary": None
        if current.canary is None
        else {"model_id": current.canary.model_id, "percent": current.canary.percent},
        "past": list(current.past),
    }


def from_record(record: Mapping[str, Any]) -> Current:
    """The inverse of ``as_record``; attributes that were None may be missing."""
    canary = record.get("canary")
    return Current(
        version=int(record["version"]),
        production=record.get("production"),
        staging=record.get("staging"),
        canary=Canary(str(canary["model_id"]), int(canary["percent"])) if canary else None,
        past=tuple(record.get("past", ())),
    )
