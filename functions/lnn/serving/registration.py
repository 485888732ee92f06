"""From an uploaded ``params.h5`` to a model in staging.

Registration is idempotent: a model's id is a hash of its content, and each write is conditional. A repeated event, or
the copy that publishes a run's model as the latest, changes nothing.

A model is a run's if its SHA-256 is the one that the run's record has had since the write that ended the run. What the
file says of itself proves nothing: anybody can write a run's id into any file.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import cast

from lnn.aws.events import Upload
from lnn.aws.notifier import Notifier
from lnn.errors import LnnError, ResourceDeleted
from lnn.models.model_file import MAX_SERVED_BYTES, Model
from lnn.models.store import Artifacts, digest_of
from lnn.models.validation import inspect_model
from lnn.names import is_calibration, is_trial, params_key, run_of_params_key, s3_uri
from lnn.runs.record import Run
from lnn.runs.store import Ledger
from lnn.serving.registry import ModelRecord, Registry

logger = logging.getLogger(__name__)

MAX_BYTES = MAX_SERVED_BYTES

INSPECTION_SECONDS = 20.0
"""Time limit of the inspection, of the function's minute."""

WHO = "registration"


@dataclass(frozen=True, slots=True)
class RegistrationServices:
    """The stores and clients that registration uses."""

    registry: Registry
    artifacts: Artifacts
    ledger: Ledger
    notifier: Notifier


def model_id_of(name: str, digest: str) -> str:
    """An id from a run's id and the content's hash: the same content has the same id, wherever it is uploaded."""
    return f"{name if _is_plain(name) else 'unnamed'}-{digest[:8]}"


def register(shelf: RegistrationServices, upload: Upload) -> str:
    """Register an uploaded model; return the outcome as a short text."""
    if _is_of_trial(shelf, upload.key):
        return "not registered: a trial of a sweep, which registers its best itself"
    try:
        content = shelf.artifacts.get_upload(upload.key, upload.version_id, MAX_BYTES)
        model = inspect_model(content, MAX_BYTES, INSPECTION_SECONDS)
    except ResourceDeleted:
        return "gone: it was deleted before it could be read"
    except LnnError as error:
        return _refuse(shelf, upload, model_id_of("refused", digest_of(upload.etag.encode())), str(error))
    digest = digest_of(content)
    try:
        return _enter(shelf, _attributed(shelf, upload, digest, model), content)
    except _NotRegistered as reason:
        return f"not registered: {reason}"


def _is_of_trial(shelf: RegistrationServices, key: str) -> bool:
    """Whether the upload is a sweep's trial's own: a sweep has many, and inspecting each would cost more than it."""
    run_id = run_of_params_key(key)
    run = shelf.ledger.get_run(run_id) if run_id is not None and _is_plain(run_id) else None
    return run is not None and is_trial(run.dataset_key)


class _NotRegistered(Exception):
    """A model that predicts, and that nobody is to be told of."""


def _attributed(shelf: RegistrationServices, upload: Upload, digest: str, model: Model) -> ModelRecord:
    """The record of a model, with its run's figures where it is that run's. Raises _NotRegistered."""
    run = shelf.ledger.get_run(model.run_id) if _is_plain(model.run_id) else None
    if run is None:
        return _record(upload, digest, model, model.run_id)
    if run.status not in ("COMPLETED", "STOPPED"):
        # The write that ends the run comes before its model is published, which is a new event.
        raise _NotRegistered(f"run {run.run_id} is {run.status}")
    if is_calibration(run.dataset_key):
        raise _NotRegistered("the run only measured")
    if run.ended_model is None or run.ended_model["sha256"] == digest:
        return _record(upload, digest, model, run.run_id) | _figures(run)
    if _is_superseded(shelf.artifacts, upload, run.run_id, run.ended_model["sha256"]):
        raise _NotRegistered(f"run {run.run_id} has ended again since, with another model")
    logger.warning("a model that is not its run's", extra={"run_id": run.run_id, "sha256": digest})
    return _record(upload, digest, model, None)


def _is_superseded(artifacts: Artifacts, upload: Upload, run_id: str, digest: str) -> bool:
    """True for a run's own copy that the copy of a later end has replaced since."""
    if upload.key != params_key(run_id):
        return False
    try:
        return digest_of(artifacts.get_upload(upload.key, None, MAX_BYTES)) == digest
    except LnnError:
        return False


def _enter(shelf: RegistrationServices, record: ModelRecord, content: bytes) -> str:
    model_id, digest = record["model_id"], record["sha256"]
    known = shelf.registry.get(model_id)
    if known is not None and known.get("sha256", digest) != digest:
        raise _NotRegistered(f"{model_id} is another model")
    if known is None:
        # The file comes first: the registry must never name one that does not exist.
        shelf.artifacts.put_registered_model(model_id, content)
        shelf.registry.add(record, WHO)
    if not shelf.registry.claim_message(model_id):
        return f"known as {model_id}"
    current, stored = shelf.registry.current(), shelf.registry.get(model_id)
    if current.staging == model_id:
        shelf.notifier.model_staged(record, shelf.registry.get(current.production) if current.production else None)
    elif stored is not None and stored.get("held_back"):
        shelf.notifier.model_held_back(stored)
    return f"registered as {model_id}"


def _refuse(shelf: RegistrationServices, upload: Upload, model_id: str, reason: str) -> str:
    """Record an upload that cannot predict, with the reason, so that people can look it up."""
    record: ModelRecord = {
        "model_id": model_id,
        "stage": "retired",
        "refused": reason[:1000],
        "source": s3_uri(upload.bucket, upload.key),
        "uploaded_at": upload.uploaded_at.timestamp(),
    }
    if shelf.registry.refuse(record):
        shelf.notifier.model_refused(record)
    return f"refused: {reason}"


def _record(upload: Upload, digest: str, model: Model, run_id: str | None) -> ModelRecord:
    """The record of a model; ``run_id`` is None where the run that it names did not make it."""
    record: ModelRecord = {
        "model_id": model_id_of(run_id or "", digest),
        "sha256": digest,
        "source": s3_uri(upload.bucket, upload.key),
        "uploaded_at": upload.uploaded_at.timestamp(),
        "sizes": [model.features, *(len(W) for W, _ in model.parameters)],
        "image_shape": None if model.image_shape is None else list(model.image_shape),
        "classes": len(model.list_classes),
    }
    if model.list_targets:
        record["targets"] = len(model.list_targets)
    if run_id is not None:
        record["run_id"] = run_id
    return record


def _figures(run: Run) -> ModelRecord:
    """What a run's record says of the model that it has ended with.

    They depend on the model alone: a run that is resumed, and gets no better, ends with the same one again.
    """
    cost = "validation_cost" if run.has_validation else "final_cost"
    figures = cast("ModelRecord", {name: run.attribute(name) for name in (*run.score_names, cost)})
    figures["epoch"] = run.model_epoch
    if (metrics := run.test_metrics) is not None:
        figures["base_rate"] = metrics.base_rate
        figures["balanced_accuracy"] = metrics.balanced_accuracy
        figures["beats_base_rate"] = metrics.beats_base_rate
        figures["skill"] = metrics.skill
        figures["recall"] = metrics.recall_in_words
    if run.remarks_of_model:
        figures["remarks"] = run.remarks_of_model
    return figures


def _is_plain(run_id: str) -> bool:
    """True when a run's id is safe in a key and in a URL; the file may come from anyone."""
    return 0 < len(run_id) <= 64 and run_id.isascii() and run_id.replace("-", "").isalnum()
