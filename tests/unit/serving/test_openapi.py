"""The API's description says what the API does."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from lnn.aws.events import HttpRequest
from lnn.models.model_file import Model
from lnn.serving.api import FILES, METHODS, STAGING, PredictionApi
from lnn.serving.rollout import Canary, Current
from support.models import Shelves, brightness_model
from support.repository import REPOSITORY

PREDICT = REPOSITORY / "functions" / "predict"
DESCRIPTION = json.loads((PREDICT / "openapi.json").read_text())
PARTS_OF_THE_PAGE = {"/app.js", "/drawing.js", "/style.css"}


@pytest.fixture(scope="module")
def api() -> PredictionApi:
    models = {"old-1": brightness_model(), "new-2": brightness_model(None)}
    refused = {"unreadable-1": {"model_id": "unreadable-1", "stage": "retired", "registered_at": 1.0, "refused": "no"}}
    in_use = Current(1, production="old-1", staging="new-2", canary=Canary("new-2", 1))
    return PredictionApi(Shelves(models, in_use, refused).serving(), PREDICT)


def picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 3)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def check(document: Any, schema: str) -> None:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": nullable(DESCRIPTION["components"])}
    jsonschema.validate(document, whole, jsonschema.Draft202012Validator)


def nullable(part: Any) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema says that it may be null, too."""
    if isinstance(part, list):
        return [nullable(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    plain = {name: nullable(value) for name, value in part.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if part.get("nullable") else plain


def test_every_path_is_described_with_its_method() -> None:
    described = {path: {method.upper() for method in methods} for path, methods in DESCRIPTION["paths"].items()}
    served = {path: {method} for path, method in METHODS.items() if path not in PARTS_OF_THE_PAGE}
    staging = {f"{STAGING}{path}": served[path] for path in served if path != "/openapi.json"}
    assert described == served | staging


def test_the_description_is_served(api: PredictionApi) -> None:
    assert json.loads(api.answer(HttpRequest("GET", "/openapi.json")).body) == DESCRIPTION
    assert FILES["/openapi.json"][1] == "application/json"


@pytest.mark.parametrize(
    ("path", "schema"), [("/models", "Models"), ("/health", "Health"), ("/staging/health", "Health")]
)
def test_answers_are_as_described(api: PredictionApi, path: str, schema: str) -> None:
    check(json.loads(api.answer(HttpRequest("GET", path)).body), schema)


def test_predictions_are_as_described(api: PredictionApi) -> None:
    for query, body, kind, is_base64 in (
        ({}, picture(), "image/png", True),
        ({"explain": "true", "invert": "auto"}, picture(), "image/png", True),
        ({}, json.dumps({"features": [0] * 16}), "application/json", False),
        ({"explain": "true"}, json.dumps({"features": [0] * 16}), "application/json", False),
    ):
        reply = api.answer(HttpRequest("POST", "/predict", query, {"content-type": kind}, body, is_base64=is_base64))
        assert reply.status == 200
        found = json.loads(reply.body)
        assert ("explanation" in found, "inverted" in found) == ("explain" in query, "invert" in query)
        check(found, "Prediction")


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("GET", "/nowhere"),
        HttpRequest("DELETE", "/predict"),
        HttpRequest("POST", "/predict"),
        HttpRequest("POST", "/predict", {}, {"content-type": "text/plain"}, "cat"),
        HttpRequest("POST", "/predict", {"invert": "perhaps"}, {"content-type": "image/png"}, "eA==", is_base64=True),
        HttpRequest("POST", "/predict", {"model": "nobody"}, {}, "eA==", is_base64=True),
        HttpRequest("POST", "/predict", {}, {"content-type": "application/json"}, '{"features": [1]}'),
    ],
)
def test_errors_are_as_described(api: PredictionApi, request_: HttpRequest) -> None:
    check(json.loads(api.answer(request_).body), "Error")


def test_every_code_of_an_error_is_described() -> None:
    known = set(DESCRIPTION["components"]["schemas"]["Error"]["properties"]["error"]["enum"])
    sources = [(REPOSITORY / "functions" / "lnn" / "serving" / name).read_text() for name in ("api.py", "requests.py")]
    assert [code for code in sorted(known) if not any(f'"{code}"' in source for source in sources)] == []


def test_numbers_are_as_described() -> None:
    model = Model([(np.ones((1, 2)), np.ones((1, 1)))], "r", ["linear"], [], None, 1.0, None, ["price"])
    regression = PredictionApi(Shelves({"old-1": model}, Current(1, production="old-1")).serving(), PREDICT)
    request = HttpRequest("POST", "/predict", {}, {"content-type": "application/json"}, '{"features": [1, 2]}')
    reply = regression.answer(request)
    assert reply.status == 200
    check(json.loads(reply.body), "Numbers")
