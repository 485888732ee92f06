"""The choice of the model for a request, and a cache of loaded models."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from lnn.aws.client_errors import AWS_ERRORS
from lnn.aws.clocks import is_fresh, wall
from lnn.errors import LnnError
from lnn.models.model_file import Model
from lnn.models.store import Artifacts
from lnn.serving.registry import ModelRecord, Registry
from lnn.serving.rollout import Current, Stage

logger = logging.getLogger(__name__)

Entrance = Literal["production", "staging"]

REFRESH_SECONDS = 1.0
"""The longest delay until a promotion or rollback takes effect."""

LIST_SECONDS = 5.0
MODEL_ID = re.compile(r"[A-Za-z0-9-]{1,80}")
"""Ids that are looked up in DynamoDB; any other string is no model."""

MODELS_KEPT = 3
"""Production, its canary or predecessor, and staging."""


class NoModel(LnnError):
    """No model can answer the request."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The model for a request, and its stage when it was chosen."""

    model_id: str
    stage: Stage


Kept = TypeVar("Kept")


class Refreshed(Generic[Kept]):
    """A cached value that is read again once it is ``seconds`` old; when the read fails, the old value stays.

    The wall clock measures the age, since a value outlives invocations: see ``lnn.aws.clocks``.
    """

    def __init__(self, read: Callable[[], Kept], seconds: float, clock: Callable[[], float]) -> None:
        self._read, self._seconds, self._clock = read, seconds, clock
        self._kept: tuple[Kept, float] | None = None

    def __call__(self) -> Kept:
        kept = self._kept
        if kept is not None and is_fresh(kept[1], self._seconds, self._clock()):
            return kept[0]
        try:
            self._kept = self._read(), self._clock()
        except (*AWS_ERRORS, LnnError):
            if kept is None:
                raise
            logger.exception("what was read before serves on")
            self._kept = kept[0], self._clock()
        return self._kept[0]


class Serving:
    """The models of one deployment, cached for a function that predicts."""

    def __init__(self, registry: Registry, artifacts: Artifacts, clock: Callable[[], float] = wall) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self.current: Refreshed[Current] = Refreshed(registry.current, REFRESH_SECONDS, clock)
        self.list_models: Refreshed[list[ModelRecord]] = Refreshed(registry.list_models, LIST_SECONDS, clock)
        self._models: OrderedDict[str, Model] = OrderedDict()

    def choose(self, entrance: Entrance, request: bytes, wanted: str | None = None) -> Choice:
        """The model for a request: the ``wanted`` one, else the one that its entrance serves.

        Raises:
            NoModel: there is none.
        """
        current = self.current()
        if wanted is not None:
            return Choice(self._known(wanted)["model_id"], current.stage_of(wanted))
        model_id = current.staging if entrance == "staging" else current.answering(request)
        if model_id is None:
            raise NoModel(_nothing_there(entrance))
        return Choice(model_id, current.stage_of(model_id))

    def standing(self, entrance: Entrance) -> ModelRecord | None:
        """The record of the model that an entrance serves, leaving canaries aside; None when it has none."""
        current = self.current()
        model_id = current.staging if entrance == "staging" else current.production
        record = None if model_id is None else self._find(model_id)
        return None if record is None else {**record, "stage": entrance}

    def model(self, model_id: str) -> Model:
        """The loaded model of a ``choice``; the last MODELS_KEPT models that were used stay in memory.

        Raises LnnError when its file was deleted, or is not the one that was registered.
        """
        model = self._models.get(model_id)
        if model is None:
            record = self._registry.get(model_id)
            model = self._artifacts.get_registered_model(model_id, record and record.get("sha256"))
            while len(self._models) >= MODELS_KEPT:
                self._models.popitem(last=False)
            self._models[model_id] = model
        self._models.move_to_end(model_id)
        return model

    def _known(self, model_id: str) -> ModelRecord:
        record = self._find(model_id)
        if record is None or record.get("refused"):
            raise NoModel("there is no such model; GET models lists those there are")
        return record

    def _find(self, model_id: str) -> ModelRecord | None:
        """A model's record; a model missing from the cached list may be newer than it."""
        for model in self.list_models():
            if model["model_id"] == model_id:
                return model
        return self._registry.get(model_id) if MODEL_ID.fullmatch(model_id) else None


def _nothing_there(entrance: Entrance) -> str:
    if entrance == "staging":
        return "no model is in staging; one that is trained or uploaded gets there by itself"
    return "no model is in production yet; promote one with: lnn promote MODEL"
