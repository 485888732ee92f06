"""Hostile and odd requests to the prediction API: each is told what is wrong, none costs more than its limits."""

from __future__ import annotations

import base64
import io
import json
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from lnn.aws.events import HttpRequest
from lnn.serving.api import PredictionApi, Reply
from lnn.serving.requests import MAX_BYTES, MAX_PIXELS
from lnn.serving.rollout import Current
from support.models import Shelves, brightness_model
from support.repository import REPOSITORY

PREDICT = REPOSITORY / "functions" / "predict"
PICTURES, PLAIN, STEEP = "run-pictures-00000001", "run-plain-00000002", "run-steep-00000003"
MEMORY_BYTES = 40 * 2**20
"""The largest refused request is 6 MB of JSON text; nothing may be unpacked for it."""


@pytest.fixture(scope="module")
def api() -> PredictionApi:
    steep = brightness_model(None, scale=1e-10)
    steep.parameters[0][0][:] = [[1e10, -1e10] * 8]
    models = {PICTURES: brightness_model((4, 4, 3)), PLAIN: brightness_model(None, scale=1.0), STEEP: steep}
    refused = {"unreadable-1": {"model_id": "unreadable-1", "stage": "retired", "registered_at": 1.0, "refused": "no"}}
    return PredictionApi(Shelves(models, Current(1, production=PICTURES), refused).serving(), PREDICT)


def picture(kind: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (9, 9), **how: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **how)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_that_says(width: int, height: int, pixels: bytes = b"") -> bytes:
    """A PNG of a few bytes whose header promises any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A PNG whose comment unpacks to a hundred megabytes."""
    whole = picture()
    comment = chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(100 * 2**20), 9))
    return whole[:33] + comment + whole[33:]


def broken_exif() -> bytes:
    exif = b"Exif\x00\x00MM\x00*" + bytes([255] * 40)
    whole = picture("JPEG")
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + whole[2:200]


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


def encoded(content: bytes) -> bytes:
    return as_json({"image": base64.b64encode(content).decode()})


def vector(*values: Any, length: int = 48) -> bytes:
    return as_json({"features": [*values, *[0] * (length - len(values))]})


PNG = picture()
JPEG = picture("JPEG", size=(64, 64))
GIF = picture("GIF", "P")
WEBP = picture("WEBP", size=(64, 64))
J = "application/json"

HOSTILE: dict[str, tuple[bytes, str, int]] = {
    # Pictures that are none
    "empty": (b"", "image/png", 400),
    "one byte": (b"\x00", "image/png", 415),
    "text": (b"hello, is this a picture?", "image/png", 415),
    "html": (b"<html><script>alert(1)</script></html>", "image/png", 415),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml", 415),
    "svg that fetches": (b'<svg><image href="http://169.254.169.254/"/></svg>', "image/png", 415),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", "image/png", 415),
    "tiff": (picture("TIFF"), "image/tiff", 415),
    "bmp": (picture("BMP"), "image/bmp", 415),
    "icon": (picture("ICO", size=(16, 16)), "image/x-icon", 415),
    "zip": (b"PK\x03\x04" + bytes(60), "image/png", 415),
    "a model": (b"\x89HDF\r\n\x1a\n" + bytes(90), "application/octet-stream", 415),
    "signature alone": (b"\x89PNG\r\n\x1a\n", "image/png", 415),
    "gif's signature alone": (b"GIF89a", "image/gif", 415),
    # Pictures that are damaged
    "png cut off": (picture(size=(64, 64), compress_level=0)[:3000], "image/png", 422),
    "jpeg cut off": (JPEG[: len(JPEG) // 2], "image/jpeg", 422),
    "webp cut off": (WEBP[:40], "image/webp", 422),
    "gif cut off": (GIF[:30], "image/gif", 422),
    "png with a wrong checksum": (PNG[:29] + bytes([PNG[29] ^ 255]) + PNG[30:], "image/png", 415),
    "png without pixels": (png_that_says(64, 64), "image/png", 422),
    "png of no size": (png_that_says(0, 0), "image/png", 415),
    "jpeg with broken exif, cut off": (broken_exif(), "image/jpeg", 422),
    # Pictures that are too large
    "decompression bomb": (png_that_says(50_000, 50_000, bytes(10**6)), "image/png", 413),
    "just above the limit": (png_that_says(MAX_PIXELS // 5_000 + 1, 5_000), "image/png", 413),
    "20,000 pixels wide": (picture(mode="1", size=(20_000, 10)), "image/png", 413),
    "20,000 pixels high": (picture(mode="1", size=(10, 20_000)), "image/png", 413),
    "of 2^31 pixels a side": (png_that_says(2**31 - 1, 2**31 - 1), "image/png", 413),
    "gif of 65,535 pixels a side": (b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + GIF[10:], "image/gif", 413),
    "a comment that unpacks to 100 MB": (text_bomb(), "image/png", 422),
    "10 MB": (PNG + bytes(10_000_000), "image/png", 413),
    "one byte too many": (bytes(MAX_BYTES + 1), "image/png", 413),
    # JSON
    "malformed json": (b'{"image": ', J, 400),
    "json in utf-16": ('{"features": []}'.encode("utf-16"), "application/octet-stream", 415),
    "nothing but a number": (b"7", J, 400),
    "null": (b"null", J, 400),
    "a list": (b"[1, 2]", J, 400),
    "an empty object": (b"{}", J, 400),
    "an unknown field": (as_json({"url": "http://169.254.169.254/latest/meta-data"}), J, 400),
    "both fields": (as_json({"image": "", "features": []}), J, 400),
    "a field too many": (as_json({"features": [0] * 48, "model": "../../etc/passwd"}), J, 400),
    "nested 100,000 deep": (b'{"features": ' + b"[" * 100_000, J, 400),
    "a number of 100,000 digits": (b'{"features": [' + b"9" * 100_000 + b"]}", J, 400),
    "not base64": (as_json({"image": "%%%"}), J, 422),
    "base64 of nothing": (as_json({"image": ""}), J, 422),
    "an address for a picture": (as_json({"image": "http://169.254.169.254/latest/meta-data"}), J, 422),
    "a file's address": (as_json({"image": "file:///etc/passwd"}), J, 422),
    "a number for a picture": (as_json({"image": 7}), J, 422),
    "base64 of text": (encoded(b"hello"), J, 415),
    "base64 of a bomb": (encoded(png_that_says(50_000, 50_000)), J, 413),
    # Vectors
    "too short": (vector(length=47), J, 422),
    "too long": (vector(length=49), J, 422),
    "empty vector": (as_json({"features": []}), J, 422),
    "no vector": (as_json({"features": "0" * 48}), J, 422),
    "nested vector": (as_json({"features": [[0] * 4] * 12}), J, 422),
    "nan": (vector(float("nan")), J, 400),
    "infinity": (vector(float("inf")), J, 400),
    "beyond any float": (vector(10**400), J, 422),
    "written as infinite": (vector().replace(b"[0", b"[1e999", 1), J, 422),
    "a truth value": (vector(True), J, 422),
    "a text among numbers": (vector("1"), J, 422),
    "null among numbers": (vector(None), J, 422),
    # Types
    "a form": (b"--x\r\nContent-Disposition: form-data\r\n\r\nx", "multipart/form-data; boundary=x", 415),
    "plain text": (b"cat", "text/plain", 415),
    "xml": (b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", "application/xml", 415),
    "a type of 10,000 characters": (b"cat", "text/" + "x" * 10_000, 415),
}


def post(api: PredictionApi, body: bytes, kind: str, path: str = "/predict", **query: str) -> Reply:
    text = kind.startswith(("text/", "application/json", "application/xml"))
    content = body.decode(errors="replace") if text else base64.b64encode(body).decode()
    return api.answer(HttpRequest("POST", path, query, {"content-type": kind}, content or None, is_base64=not text))


def assert_refused(reply: Reply, status: int) -> None:
    answer = json.loads(reply.body)
    assert reply.status == status, answer
    assert set(answer) == {"error", "reason"}
    assert len(answer["reason"]) > 10
    assert len(reply.body) < 1000
    assert reply.content_type == "application/json"


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    """No refusal unpacks what it refuses. (Of Pillow's memory this sees the buffers that Python holds.)"""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEMORY_BYTES


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_with_a_reason(api: PredictionApi, name: str) -> None:
    body, kind, status = HOSTILE[name]
    assert_refused(post(api, body, kind), status)


def test_the_list_is_long() -> None:
    assert len(HOSTILE) >= 40


@pytest.mark.parametrize(
    "name",
    [
        *("none", "current", "change#000000001", "../../etc/passwd", "..%2f..%2f", "", " ", "unreadable-1"),
        *("%00", "\x00", "a" * 5000, "'; DROP TABLE models; --", "{{7*7}}", "☃", PICTURES + "/", PICTURES.upper()),
    ],
)
def test_a_model_that_is_not_there_is_refused_whatever_its_name(api: PredictionApi, name: str) -> None:
    assert_refused(post(api, PNG, "image/png", model=name), 404)


@pytest.mark.parametrize(
    "path",
    [
        *("//predict", "/predict/", "/predict/..", "/../predict", "/staging/../predict", "/staging//predict"),
        *("/staging/staging/", "/page.html", "/handler.py", "/../handler.py", "/%2e%2e/handler.py", "/.env"),
        *("/predict%00", "/\x00", "/app.js/", "/" + "a" * 5000, "/PREDICT", "/stagingpredict", "/staging/openapi.yaml"),
    ],
)
def test_a_path_that_is_not_there_is_refused_whatever_it_tries(api: PredictionApi, path: str) -> None:
    assert_refused(post(api, PNG, "image/png", path), 404)


def test_a_body_that_is_not_the_base64_it_claims_to_be_is_refused(api: PredictionApi) -> None:
    request = HttpRequest("POST", "/predict", {}, {}, "not base64!", is_base64=True)
    assert_refused(api.answer(request), 400)


def test_a_picture_for_a_model_of_plain_numbers_is_refused(api: PredictionApi) -> None:
    reply = post(api, PNG, "image/png", model=PLAIN)
    assert_refused(reply, 422)
    assert "16 plain numbers" in reply.body


def test_numbers_too_large_to_compute_with_are_refused(api: PredictionApi) -> None:
    assert_refused(post(api, as_json({"features": [1e308] * 16}), J, model=STEEP), 422)


@pytest.mark.parametrize(
    "body",
    [
        picture(size=(1, 1)),
        picture(size=(16_384, 1)),
        picture(size=(1, 16_384)),
        picture(mode="P", size=(300, 2)),
        picture("GIF", "P", save_all=True, append_images=[Image.new("P", (9, 9), 3)] * 20),
        picture("WEBP", "RGBA", save_all=True, append_images=[Image.new("RGBA", (9, 9))] * 5),
        PNG + b"and more behind its end",
    ],
)
def test_an_odd_picture_that_is_one_is_answered(api: PredictionApi, body: bytes) -> None:
    assert post(api, body, "image/png").status == 200
