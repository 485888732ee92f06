"""Predictions by functions side by side, for more than one machine is to work on.

The client reads and preprocesses the rows, and uploads them in parts, at most some at a time. Each upload starts a
function, which stores its answer. Keys name the SHA-256 of what they hold (``lnn.names.part_key``), so the same rows
have the same keys: a batch that was interrupted finds the answers that there are, and asks for the others alone.
Lifecycle rules remove parts and answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn.errors import InputError
from lnn.models.inference import named
from lnn.models.model_file import MAX_SERVED_BYTES, Model
from lnn.models.store import digest_of
from lnn.models.validation import inspect_model
from lnn.names import batch_model_key, part_key, prediction_key, s3_uri
from lnn.serving.batch_parts import NUMBERS, answers_of, decode, encode, reason_in, row_type, rows_of_part
from lnn_client.errors import BatchFailed, PictureError
from lnn_client.models import content_at, picture_shape, preprocessing_for
from lnn_client.pictures import read_picture
from lnn_client.progress import pause

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lnn.models.inference import Numbers, Prediction
    from lnn_client.cloud import Cloud
    from lnn_client.tables import Table

    Row = NDArray[Any] | str
    """A row of a part, (features,), or what is wrong with it."""

RESEND_SECONDS = 60.0
"""Until a part without an answer is sent again; twice as long each further time. A function may have died three times
over it, and two answers are as good as one."""
GIVE_UP_SECONDS = 1800.0


def rows_of_table(model: Model, table: Table) -> Iterator[Row]:
    """The rows of a table, preprocessed; a row that the model cannot take is the reason.

    Raises InputError when the model was not trained on a table, the table lacks a column or cannot be read.
    """
    preprocessing = preprocessing_for(model, table)
    first = 1
    for batch in table.batches(preprocessing.names):
        raw = batch.rows()
        try:
            yield from preprocessing.matrix(raw, first).T
        except InputError:
            for number, row in enumerate(raw, start=first):
                try:
                    yield preprocessing.matrix([row], number)[:, 0]
                except InputError as error:
                    yield str(error)
        first += len(raw)


def rows_of_pictures(
    model: Model, images: Sequence[Path], *, invert: bool = False, white: float | None = None
) -> Iterator[Row]:
    """Pictures as the bytes of their pixels; one that cannot be read is the reason.

    Raises InputError when the model was not trained on pictures.
    """
    shape = picture_shape(model)
    for image in images:
        try:
            pixels = read_picture(image, shape, white).reshape(-1)
        except PictureError as error:
            yield str(error)
        else:
            yield 255 - pixels if invert else pixels


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows of a batch: those that were uploaded, and the reasons of the others by their place."""

    first: int
    """Number of its first row in the batch, from 1."""
    count: int
    problems: dict[int, str]
    key: str
    content: bytes
    """Empty where no row can be predicted: then nothing is uploaded."""


class Batch:
    """Rows that the functions of a deployment predict with one model, ``at_once`` parts at most side by side.

    Raises:
        ModelError: ``content`` is no ``params.h5`` that predicts.
        InputError: the model is too large for the functions.
    """

    def __init__(self, cloud: Cloud, content: bytes, at_once: int) -> None:
        if len(content) > MAX_SERVED_BYTES:
            raise InputError(
                f"the model has {len(content):,} bytes; functions predict with {MAX_SERVED_BYTES:,} at most"
            )
        self.model = inspect_model(content, MAX_SERVED_BYTES)
        self._cloud, self._content, self._at_once = cloud, content, at_once
        self._digest = digest_of(content)
        self._has_model = False

    def predictions(self, rows: Iterable[Row]) -> Iterator[tuple[Prediction | Numbers | None, str]]:
        """The prediction for each row, in their order, or None and what is wrong with the row.

        Parts that have predictions from before are not sent again.

        Raises:
            BatchFailed: a part was refused, or has no answer after ``GIVE_UP_SECONDS``.
        """
        under_way: deque[Part] = deque()
        for part in self._parts(rows):
            if len(under_way) == self._at_once:
                yield from self._collected(under_way.popleft())
            if part.content and not self._is_answered(part):
                self._send(part)
            under_way.append(part)
        while under_way:
            yield from self._collected(under_way.popleft())

    def _parts(self, rows: Iterable[Row]) -> Iterator[Part]:
        left, most, first = iter(rows), rows_of_part(self.model), 1
        while entries := list(islice(left, most)):
            problems = {place: entry for place, entry in enumerate(entries) if isinstance(entry, str)}
            values = [entry for entry in entries if not isinstance(entry, str)]
            content = encode(np.stack(values), row_type(self.model)) if values else b""
            yield Part(first, len(entries), problems, part_key(self._digest, digest_of(content)), content)
            first += len(entries)

    def _send(self, part: Part) -> None:
        """Upload a part, and its model before the first."""
        s3, bucket = self._cloud.s3, self._cloud.names.bucket
        if not self._has_model:
            s3.put_object(Bucket=bucket, Key=batch_model_key(self._digest), Body=self._content)
            self._has_model = True
        s3.put_object(Bucket=bucket, Key=part.key, Body=part.content)

    def _answer(self, part: Part) -> bytes | None:
        return content_at(self._cloud, prediction_key(part.key))

    def _collected(self, part: Part) -> Iterator[tuple[Prediction | Numbers | None, str]]:
        predictions = iter(named(self.model, self._outputs(part)) if part.content else ())
        for place in range(part.count):
            problem = part.problems.get(place)
            yield (next(predictions), "") if problem is None else (None, problem)

    def _is_answered(self, part: Part) -> bool:
        """Whether there is an answer from before. One without predictions is removed: nobody may have looked at it."""
        answer = self._answer(part)
        if answer is None:
            return False
        try:
            self._outputs_in(part, answer)
        except InputError:
            self._remove_answer(part)
            return False
        return True

    def _outputs(self, part: Part) -> NDArray[Any]:
        """The answer to a part, (rows, K). One without predictions is removed, so that the same command asks again."""
        answer = self._awaited(part)
        try:
            return self._outputs_in(part, answer)
        except InputError as error:
            self._remove_answer(part)
            raise BatchFailed(f"{_rows(part)}: {error}; the same command asks for them again") from error

    def _outputs_in(self, part: Part, answer: bytes) -> NDArray[Any]:
        """The predictions in an answer, (rows, K). Raises InputError with the reason for which there are none."""
        if (reason := reason_in(answer)) is not None:
            raise InputError(reason)
        outputs = decode(answer, NUMBERS, answers_of(self.model))
        if len(outputs) != part.count - len(part.problems):
            raise InputError(f"it has {len(outputs)} answers")
        return outputs

    def _remove_answer(self, part: Part) -> None:
        self._cloud.s3.delete_object(Bucket=self._cloud.names.bucket, Key=prediction_key(part.key))

    def _awaited(self, part: Part) -> bytes:
        started = sent = monotonic()
        patience = RESEND_SECONDS
        while (answer := self._answer(part)) is None:
            now = monotonic()
            if now - started >= GIVE_UP_SECONDS:
                names = self._cloud.names
                raise BatchFailed(
                    f"{_rows(part)}: {s3_uri(names.bucket, part.key)} has had no answer for {GIVE_UP_SECONDS:g} s; "
                    f"look at the log group {names.log_group('predict')} and the queue "
                    f"{names.function('predict')}-dlq; the same command goes on with what is missing"
                )
            if now - sent >= patience:
                self._has_model = False  # it may have expired
                self._send(part)
                sent, patience = now, 2 * patience
            pause(started)
        return answer


def _rows(part: Part) -> str:
    return f"rows {part.first:,} to {part.first + part.count - 1:,}"
