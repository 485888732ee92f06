"""Predictions for the parts of a batch, each of which is an upload that starts a function.

A part's key names the SHA-256 of its model and its own, so that its answer is a function of its key alone. Whoever is
first stores it; an event that comes twice, and a function that dies and is repeated, change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lnn.aws.events import Upload
from lnn.errors import InputError, InspectionFailed
from lnn.models.model_file import MAX_SERVED_BYTES
from lnn.models.store import Artifacts, digest_of
from lnn.models.validation import inspect_model
from lnn.names import BATCHES, batch_model_key, place_of_part, prediction_key
from lnn.serving.batch_parts import (
    NUMBERS,
    decode,
    encode,
    encode_reason,
    largest_part,
    predict_part,
    row_type,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lnn.models.model_file import Model

INSPECTION_SECONDS = 15.0
"""Time limit of the inspection of a model, of the function's 29 s."""


class BatchPredictions:
    """Answers to parts; the model of the last one stays in memory."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._kept: tuple[str, Model] | None = None

    def predict(self, upload: Upload) -> str:
        """Store the predictions for an uploaded part, or the reason for which there are none; return what was done.

        Raises:
            LnnError: model or part cannot be read at present. Lambda repeats the event.
        """
        try:
            answer, outcome = encode(self._outputs(upload.key), NUMBERS), "predicted"
        except (InputError, InspectionFailed) as error:
            answer, outcome = encode_reason(str(error)), f"refused: {error}"
        is_first = self._artifacts.put_prediction(prediction_key(upload.key), answer)
        return outcome if is_first else f"{outcome}; it had an answer before"

    def _outputs(self, key: str) -> NDArray[Any]:
        place = place_of_part(key)
        if place is None:
            raise InputError(f"found the key {key}; expected {BATCHES}MODEL/PART.npy, with the SHA-256 of both")
        model_digest, digest = place
        model = self._model(model_digest)
        content = self._artifacts.get_upload(key, None, largest_part(model))
        if digest_of(content) != digest:
            raise InputError(f"{key} is damaged: its SHA-256 is not the one in its key")
        return predict_part(model, decode(content, row_type(model), model.features))

    def _model(self, digest: str) -> Model:
        if self._kept is None or self._kept[0] != digest:
            key = batch_model_key(digest)
            content = self._artifacts.get_upload(key, None, MAX_SERVED_BYTES)
            if digest_of(content) != digest:
                raise InputError(f"{key} is another model: its SHA-256 is not the one in its key")
            self._kept = digest, inspect_model(content, MAX_SERVED_BYTES, INSPECTION_SECONDS)
        return self._kept[1]
