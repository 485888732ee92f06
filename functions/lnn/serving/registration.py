"""From an uploaded ``params.h5`` to a model in staging.

Registration is idempotent: a model's id is a hash of its content, and each write is conditional. A repeated event, or
the copy that publishes a run's model as the latest, changes nothing.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass

from lnn.aws.events import Upload
from lnn.aws.notifier import Notifier
from lnn.errors import LnnError, ResourceDeleted
from lnn.models.model_file import Model
from lnn.models.store import Artifacts
from lnn.models.validation import inspect_model
from lnn.names import is_calibration, s3_uri
from lnn.runs.record import Run
from lnn.runs.store import Ledger
from lnn.serving.registry import ModelRecord, Registry

logger = logging.getLogger(__name__)

MAX_BYTES = 256 * 2**20
"""The largest model, packed or unpacked: a function that predicts holds a few of them."""

INSPECTION_SECONDS = 20.0
"""Time limit of the inspection; the wait for the run's end may take as long again of the function's minute."""

RUN_ENDS_SECONDS = 20.0
POLL_SECONDS = 0.2
"""The model file is written before the run's status becomes final, so registration waits for that."""

WHO = "registration"


@dataclass(frozen=True, slots=True)
class RegistrationServices:
    """The stores and clients that registration uses."""

    registry: Registry
    artifacts: Artifacts
    ledger: Ledger
    notifier: Notifier


def model_id_of(content: bytes, model: Model | None) -> str:
    """An id from the run and the content's hash: the same content has the same id, wherever it is uploaded."""
    digest = hashlib.sha256(content).hexdigest()[:8]
    name = "refused" if model is None else model.run_id if _is_plain(model.run_id) else "unnamed"
    return f"{name}-{digest}"


def register(shelf: RegistrationServices, upload: Upload) -> str:
    """Register an uploaded model; return the outcome as a short text."""
    try:
        content = shelf.artifacts.get_upload(upload.key, upload.version_id, MAX_BYTES)
        model = inspect_model(content, MAX_BYTES, INSPECTION_SECONDS)
    except ResourceDeleted:
        return "gone: it was deleted before it could be read"
    except LnnError as error:
        return _refuse(shelf, upload, model_id_of(upload.etag.encode(), None), str(error))
    model_id = model_id_of(content, model)
    run = _ended_run(shelf.ledger, model.run_id)
    if run is None:
        record = _record(upload, model_id, model, None)
    elif run.status not in ("COMPLETED", "STOPPED"):
        # The invocation that finishes the run writes the model again, which is a new event.
        return f"not registered: run {run.run_id} is {run.status}"
    elif is_calibration(run.dataset_key):
        return "not registered: the run only measured"
    else:
        record = _record(upload, model_id, model, run)
    return _enter(shelf, record, content)


def _enter(shelf: RegistrationServices, record: ModelRecord, content: bytes) -> str:
    model_id = record["model_id"]
    if shelf.registry.get(model_id) is None:
        # The file comes first: the registry must never name one that does not exist.
        shelf.artifacts.put_registered_model(model_id, content)
        shelf.registry.add(record, WHO)
    if not shelf.registry.claim_message(model_id):
        return f"known as {model_id}"
    current = shelf.registry.current()
    if current.staging == model_id:
        shelf.notifier.model_staged(record, shelf.registry.get(current.production) if current.production else None)
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


def _ended_run(ledger: Ledger, run_id: str) -> Run | None:
    """The run that made the model; wait a while until it has ended. None when there is no such run."""
    deadline = time.monotonic() + RUN_ENDS_SECONDS
    while True:
        run = ledger.get_run(run_id) if _is_plain(run_id) else None
        if run is None or run.has_ended or time.monotonic() > deadline:
            return run
        time.sleep(POLL_SECONDS)


def _record(upload: Upload, model_id: str, model: Model, run: Run | None) -> ModelRecord:
    record: ModelRecord = {
        "model_id": model_id,
        "run_id": model.run_id,
        "source": s3_uri(upload.bucket, upload.key),
        "uploaded_at": upload.uploaded_at.timestamp(),
        "sizes": [model.features, *(len(W) for W, _ in model.parameters)],
        "image_shape": None if model.image_shape is None else list(model.image_shape),
        "classes": len(model.list_classes),
    }
    if run is not None:
        record |= {
            "test_accuracy": run.test_accuracy,
            "train_accuracy": run.train_accuracy,
            "final_cost": run.final_cost,
            "epoch": run.epoch,
        }
    return record


def _is_plain(run_id: str) -> bool:
    """True when a run's id is safe in a key and in a URL; the file may come from anyone."""
    return 0 < len(run_id) <= 64 and run_id.isascii() and run_id.replace("-", "").isalnum()
