"""The prediction API: routes, replies and errors."""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnn.aws.events import HttpRequest
from lnn.data.images import encode_png
from lnn.errors import LnnError, ModelError, NonRetryable
from lnn.job.scores import SCORES
from lnn.models.explanation import explanation
from lnn.models.inference import predict
from lnn.serving.requests import Examples, RequestError, body_of, examples_of_request, inversion_of
from lnn.serving.router import Entrance, NoModel, Serving
from lnn.text.characters import in_json

if TYPE_CHECKING:
    from lnn.models.inference import Numbers, Prediction
    from lnn.models.model_file import Model
    from lnn.serving.registry import ModelRecord

logger = logging.getLogger(__name__)

STAGING = "/staging"

POLICY = (
    "default-src 'none'; base-uri 'none'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; "
    "img-src 'self' blob: data:; script-src 'self'; style-src 'self'"
)
"""Content-Security-Policy: nothing from elsewhere, nothing inline (W3C CSP Level 3)."""

SAFE = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

JSON = "application/json"
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/drawing.js": ("drawing.js", "text/javascript; charset=utf-8"),
    "/openapi.json": ("openapi.json", JSON),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
}

METHODS = {**dict.fromkeys(FILES, "GET"), "/health": "GET", "/models": "GET", "/predict": "POST"}
"""The HTTP method of each path."""

SHOWN = (
    *("model_id", "run_id", "stage", "image_shape", "classes", "targets", "sizes", "registered_at", "refused"),
    *SCORES,
    *("base_rate", "balanced_accuracy", "beats_base_rate", "recall", "remarks"),
)
"""Attributes of a model's record that the API shows to its callers."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply."""

    status: int
    content_type: str
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_event(self) -> dict[str, Any]:
        """The reply in API Gateway's payload format 2.0."""
        headers = {"content-type": self.content_type, **self.headers}
        return {"statusCode": self.status, "headers": headers, "body": self.body, "isBase64Encoded": False}


class PredictionApi:
    """The API of one deployment; ``files`` is the folder of the page."""

    def __init__(self, serving: Serving, files: Path) -> None:
        self._serving = serving
        self._file = cache(lambda name: (files / name).read_text(encoding="utf-8"))

    def answer(self, request: HttpRequest) -> Reply:
        """The reply to any request; errors, too, are JSON."""
        try:
            return self._answer(request)
        except RequestError as error:
            return _failure(error.status, error.code, error.reason)
        except NoModel as error:
            return _failure(404, "no_model", str(error))
        except ModelError as error:
            logger.exception("the model cannot be read")
            return _failure(503, "unavailable", f"the model cannot be loaded: {error}")
        except LnnError as error:
            logger.exception("the model cannot be loaded")
            what_now = "the function's log says why" if isinstance(error, NonRetryable) else "try again later"
            return _failure(503, "unavailable", f"the model cannot be loaded; {what_now}")
        except Exception:
            logger.exception("unexpected")
            return _failure(500, "internal", "the request could not be answered; the function's log says why")

    def _answer(self, request: HttpRequest) -> Reply:
        entrance: Entrance = "production"
        path = request.path
        if path == STAGING or path.startswith(f"{STAGING}/"):
            entrance, path = "staging", path.removeprefix(STAGING) or "/"
        allowed = METHODS.get(path)
        if allowed is None:
            raise RequestError(404, "not_found", f"there is nothing here; there is {', '.join(sorted(METHODS))}")
        method = "GET" if request.method == "HEAD" else request.method
        if method != allowed:
            reply = _failure(405, "method_not_allowed", f"this is called with {allowed}")
            return Reply(reply.status, reply.content_type, reply.body, {**reply.headers, "Allow": allowed})
        if path in FILES:
            name, content_type = FILES[path]
            return Reply(200, content_type, self._file(name), {**SAFE, "Cache-Control": "no-cache"})
        answers: dict[str, Callable[[Entrance, HttpRequest], Any]] = {
            "/health": self._health,
            "/models": self._models,
            "/predict": self._predict,
        }
        return _json(200, answers[path](entrance, request))

    def _predict(self, entrance: Entrance, request: HttpRequest) -> dict[str, Any]:
        body = body_of(request.body, is_base64=request.is_base64)
        choice = self._serving.choose(entrance, body, request.query.get("model"))
        model = self._serving.model(choice.model_id)
        invert, explain = request.query.get("invert"), request.query.get("explain") == "true"
        inversion = inversion_of("never" if invert is None else invert)
        examples = examples_of_request(model, body, request.headers.get("content-type"), inversion)
        predictions = predict(model, examples.X)
        if not all(prediction.is_finite for prediction in predictions):
            raise RequestError(422, "wrong_features", "features are too large to compute with")
        said = [prediction.to_json() for prediction in predictions]
        by = {"model": choice.model_id, "run": model.run_id, "stage": choice.stage}
        if examples.many:
            return {"predictions": said} | by
        more: dict[str, Any] = {} if invert is None else {"inverted": examples.inverted}
        if explain:
            more["explanation"] = _explained(model, examples, predictions[0])
        return said[0] | by | more

    def _models(self, entrance: Entrance, request: HttpRequest) -> dict[str, Any]:  # noqa: ARG002 - answers alike for all
        current = self._serving.current()
        models = [
            _shown(model) | {"stage": current.stage_of(model["model_id"])} for model in self._serving.list_models()
        ]
        return {"models": models, "canary": _canary(self._serving)}

    def _health(self, entrance: Entrance, request: HttpRequest) -> dict[str, Any]:  # noqa: ARG002 - one for every route
        standing = self._serving.standing(entrance)
        return {
            "status": "ok",
            "entrance": entrance,
            "model": None if standing is None else _shown(standing),
            "canary": _canary(self._serving),
        }


def _explained(model: Model, examples: Examples, said: Prediction | Numbers) -> dict[str, Any]:
    found = explanation(model, examples.X[:, 0], said)
    if not math.isfinite(found["z"]):
        raise RequestError(422, "wrong_features", "features are too large to explain the answer to them")
    if examples.pixels is not None:
        found["seen"] = f"data:image/png;base64,{base64.b64encode(encode_png(examples.pixels)).decode()}"
    return found


def _canary(serving: Serving) -> dict[str, Any] | None:
    canary = serving.current().canary
    return None if canary is None else {"model": canary.model_id, "percent": canary.percent}


def _shown(model: ModelRecord) -> dict[str, object]:
    values: dict[str, object] = {**model}
    return {name: values[name] for name in SHOWN if values.get(name) is not None}


def _json(status: int, content: Mapping[str, Any]) -> Reply:
    return Reply(status, JSON, in_json(content), {**SAFE, "Cache-Control": "no-store"})


def _failure(status: int, code: str, reason: str) -> Reply:
    return _json(status, {"error": code, "reason": reason})
