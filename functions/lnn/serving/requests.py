"""Request bodies of the prediction API: a picture or a vector becomes one column of X, or a RequestError."""

import base64
import binascii
import io
import json
import math
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lnn.data.images import NotAPicture, PictureDamaged, PictureTooLarge, PictureUnclear, read_picture
from lnn.errors import LnnError
from lnn.models.inference import column_of_picture, column_of_values
from lnn.models.model_file import Model

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
"""Only common formats: a hostile file is most likely to find a bug in a rarely used decoder."""

MAX_BYTES = 4_500_000
"""Lambda accepts 6 MB, and base64 makes a picture a third longer (Lambda quotas)."""

MAX_PIXELS = 25_000_000
MAX_SIDE = 16_384
"""Decoding takes four bytes per pixel, and makes a few copies."""

JSON_FIELDS = {"features", "image"}


class RequestError(LnnError):
    """The request cannot be answered: HTTP ``status``, a ``code`` for programs, and a reason for people."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.code, self.reason = status, code, reason


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


def column_of_request(model: Model, body: bytes, content_type: str | None) -> NDArray[np.float64]:
    """The example in a request, (n,), on the model's scale.

    Raises:
        RequestError: the body holds no example for this model.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return _from_json(model, body)
    if kind.startswith(("text/", "multipart/")) or kind == "application/xml":
        raise RequestError(
            415,
            "unsupported_media_type",
            f"a body of type {kind[:60]} is not read; send the picture's bytes with Content-Type image/png, "
            "image/jpeg, image/webp or image/gif, or JSON with application/json",
        )
    return _from_picture(model, body)


def _from_json(model: Model, body: bytes) -> NDArray[np.float64]:
    try:
        document = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError(400, "malformed_json", f"the body is not JSON: {reason}") from error
    if not isinstance(document, dict) or len(document) != 1 or not document.keys() <= JSON_FIELDS:
        raise RequestError(
            400,
            "malformed_json",
            'the JSON must be {"image": "<base64>"} or {"features": [number, ...]}, and nothing else',
        )
    if "image" in document:
        return _from_picture(model, _from_base64(document["image"]))
    return _from_vector(model, document["features"])


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


def _from_picture(model: Model, content: bytes) -> NDArray[np.float64]:
    if model.image_shape is None:
        raise RequestError(
            422,
            "no_pictures",
            f'this model was trained on {model.features} plain numbers, not on pictures; send {{"features": [...]}}',
        )
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
    return column_of_picture(model, pixels)


def _from_vector(model: Model, values: Any) -> NDArray[np.float64]:
    if not isinstance(values, list):
        raise RequestError(422, "wrong_features", "features must be a list of numbers")
    if len(values) != model.features:
        raise RequestError(
            422, "wrong_features", f"features has {len(values)} numbers; this model takes {model.features}"
        )
    for position, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            raise RequestError(422, "wrong_features", f"features[{position}] is not a finite number")
    return column_of_values(model, values)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float reaches
        return False


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON has")
