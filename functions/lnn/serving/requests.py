"""Request bodies of the prediction API: pictures, vectors and rows of tables become columns of X, or a RequestError."""

import base64
import binascii
import io
import json
import math
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, get_args

import numpy as np
from numpy.typing import NDArray

from lnn.data.borders import looks_inverted
from lnn.data.images import NotAPicture, PictureDamaged, PictureTooLarge, PictureUnclear, read_picture
from lnn.data.preprocessing import listed
from lnn.errors import InputError, LnnError
from lnn.models.inference import column_of_picture, column_of_values
from lnn.models.model_file import Model

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
"""Only common formats: a hostile file is most likely to find a bug in a rarely used decoder."""

MAX_BYTES = 4_500_000
"""Lambda accepts 6 MB, and base64 makes a picture a third longer (Lambda quotas)."""

MAX_PIXELS = 25_000_000
MAX_SIDE = 16_384
"""Decoding takes four bytes per pixel, and makes a few copies."""

WHITE = np.uint8(255)

JSON_FIELDS = {"features", "image", "rows"}

Inversion = Literal["never", "auto", "always"]
"""Whether a picture's light and dark are exchanged: ``auto`` where the training pictures' borders say so."""

MAX_PROBABILITIES = 20_000
"""In one answer: Lambda answers with 6 MB at most, and a probability takes its class's name and 25 bytes."""


class RequestError(LnnError):
    """The request cannot be answered: HTTP ``status``, a ``code`` for programs, and a reason for people."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.code, self.reason = status, code, reason


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of a request."""

    X: NDArray[np.float64]
    """(n, m), as the network takes them."""
    many: bool = False
    """Whether the caller sent a list of rows, and so expects a list of predictions."""
    pixels: NDArray[np.uint8] | None = None
    """The picture as the network sees it, of the model's ``image_shape``."""
    inverted: bool = False
    """Whether its light and dark were exchanged."""


def body_of(text: str | None, *, is_base64: bool) -> bytes:
    """The bytes that a caller sent, from API Gateway's event.

    Raises:
        RequestError: the body is empty, too long, or not base64 where the event says so.
    """
    try:
        body = base64.b64decode(text or "", validate=True) if is_base64 else (text or "").encode()
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, "malformed_request", f"the body is not what its encoding says: {error}") from error
    if not body:
        raise RequestError(400, "empty_body", "the request has no body; send a picture, or JSON")
    if len(body) > MAX_BYTES:
        raise RequestError(
            413,
            "too_large",
            f"the body has {len(body):,} bytes, and {MAX_BYTES:,} are the most; make the picture smaller",
        )
    return body


def inversion_of(asked: str) -> Inversion:
    """What the query says of inversion.

    Raises:
        RequestError: it says something else.
    """
    for known in get_args(Inversion):
        if asked == known:
            return known  # type: ignore[no-any-return]
    raise RequestError(400, "malformed_request", f"invert is {asked[:40]!r}; it can be never, auto or always")


def examples_of_request(
    model: Model, body: bytes, content_type: str | None, inversion: Inversion = "never"
) -> Examples:
    """The examples in a request, on the model's scale.

    Raises:
        RequestError: the body holds no example for this model.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return _from_json(model, body, inversion)
    if kind.startswith(("text/", "multipart/")) or kind == "application/xml":
        raise RequestError(
            415,
            "unsupported_media_type",
            f"a body of type {kind[:60]} is not read; send the picture's bytes with Content-Type image/png, "
            "image/jpeg, image/webp or image/gif, or JSON with application/json",
        )
    return _from_picture(model, body, inversion)


def _from_json(model: Model, body: bytes, inversion: Inversion) -> Examples:
    try:
        document = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError(400, "malformed_json", f"the body is not JSON: {reason}") from error
    if not isinstance(document, dict) or len(document) != 1 or not document.keys() <= JSON_FIELDS:
        raise RequestError(
            400,
            "malformed_json",
            'the JSON must be {"image": "<base64>"}, {"features": [number, ...]}, {"features": {"column": value, ...}} '
            'or {"rows": [features, ...]}, and nothing else',
        )
    if "rows" in document:
        return Examples(_from_rows(model, document["rows"]), many=True)
    if "image" in document:
        return _from_picture(model, _from_base64(document["image"]), inversion)
    return Examples(_from_features(model, [document["features"]], "features"))


def _from_rows(model: Model, rows: Any) -> NDArray[np.float64]:
    most = max(1, MAX_PROBABILITIES // len(model.list_classes or model.list_targets))
    if not isinstance(rows, list) or not rows:
        raise RequestError(422, "wrong_features", "rows must be a list of rows, at least one")
    if len(rows) > most:
        raise RequestError(413, "too_many_rows", f"rows has {len(rows):,} entries, and {most:,} are the most")
    return _from_features(model, rows, "rows")


def _from_features(model: Model, rows: list[Any], field: str) -> NDArray[np.float64]:
    """Rows as X (n, m): of a table, if the model has learned from one, else vectors."""
    if model.preprocessing is None:
        columns = [
            _from_vector(model, values, field if field == "features" else f"{field}[{place}]")
            for place, values in enumerate(rows)
        ]
        return np.stack(columns, axis=1)
    try:
        return model.preprocessing.matrix(rows)
    except InputError as error:
        raise RequestError(422, "wrong_features", "; ".join(error.problems)[:2000]) from error


def _from_base64(text: Any) -> bytes:
    if not isinstance(text, str):
        raise RequestError(422, "not_base64", "image must be a string: the picture's bytes in base64")
    # A data URL, as a browser's FileReader makes it.
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(422, "not_base64", f"image is not base64: {error}") from error
    if not content:
        raise RequestError(422, "not_a_picture", "image is empty")
    return content


def _from_picture(model: Model, content: bytes, inversion: Inversion) -> Examples:
    if model.image_shape is None:
        raise RequestError(422, "no_pictures", f"this model was trained on {_taken(model)}")
    try:
        pixels = read_picture(
            io.BytesIO(content), model.image_shape, formats=FORMATS, max_pixels=MAX_PIXELS, max_side=MAX_SIDE
        )
    except NotAPicture as error:
        raise RequestError(415, "not_a_picture", f"{error}; PNG, JPEG, WebP and GIF can be read") from error
    except PictureTooLarge as error:
        raise RequestError(413, "too_many_pixels", str(error)) from error
    except PictureDamaged as error:
        raise RequestError(422, "damaged_picture", str(error)[:300]) from error
    except PictureUnclear as error:
        raise RequestError(
            422, "unclear_picture", f"{error}; scale them so that white is the largest value, or send 8 bits"
        ) from error
    except ValueError as error:  # of examples with two channels, or seven
        raise RequestError(422, "no_pictures", f'{error}; send {{"features": [...]}}') from error
    inverted = inversion == "always" or (
        inversion == "auto" and model.border is not None and looks_inverted(pixels, model.border)
    )
    if inverted:
        pixels = WHITE - pixels
    return Examples(column_of_picture(model, pixels)[:, np.newaxis], pixels=pixels, inverted=inverted)


def _taken(model: Model) -> str:
    """What a model that takes no pictures does take, and how to send it."""
    if model.preprocessing is None:
        return f'{model.features} plain numbers, not on pictures; send {{"features": [...]}}'
    names = listed(model.preprocessing.names)
    return f'the rows of a table, not on pictures; send {{"features": {{"column": value, ...}}}} with {names}'


def _from_vector(model: Model, values: Any, field: str) -> NDArray[np.float64]:
    if not isinstance(values, list):
        raise RequestError(422, "wrong_features", f"{field} must be a list of numbers")
    if len(values) != model.features:
        raise RequestError(
            422, "wrong_features", f"{field} has {len(values)} numbers; this model takes {model.features}"
        )
    for position, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            raise RequestError(422, "wrong_features", f"{field}[{position}] is not a finite number")
    return column_of_values(model, values)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float reaches
        return False


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON has")
