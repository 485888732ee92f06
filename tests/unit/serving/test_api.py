"""The prediction API: every route, which model answers, and what the answer says."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import EndpointConnectionError
from PIL import Image

from lnn.aws.events import HttpRequest, http_request
from lnn.data.preprocessing import Column, Preprocessing
from lnn.models.model_file import Model
from lnn.serving.api import METHODS, PredictionApi, Reply
from lnn.serving.rollout import Canary, Current
from lnn.serving.router import LIST_SECONDS, MODELS_KEPT, REFRESH_SECONDS
from support.models import RUN, Shelves, brightness_model
from support.repository import REPOSITORY

PREDICT = REPOSITORY / "functions" / "predict"
OLD, NEW = "run-old-00000001", "run-new-00000002"


@pytest.fixture
def shelves() -> Shelves:
    models = {OLD: brightness_model(run_id="run-old"), NEW: brightness_model(run_id="run-new", scale=255.0)}
    return Shelves(models, Current(version=3, production=OLD, staging=NEW))


@pytest.fixture
def api(shelves: Shelves) -> PredictionApi:
    return PredictionApi(shelves.serving(), PREDICT)


def png(level: int = 204, size: tuple[int, int] = (50, 31), mode: str = "RGB", kind: str = "PNG", **how: Any) -> bytes:
    buffer = io.BytesIO()
    color = level if mode in {"1", "L", "P", "I;16"} else (level,) * len(mode)
    Image.new(mode, size, color).save(buffer, kind, **how)
    return buffer.getvalue()


def post(api: PredictionApi, body: bytes, kind: str = "image/png", path: str = "/predict", **query: str) -> Reply:
    """As API Gateway would hand it on: text as text, the rest in base64."""
    text = kind.startswith(("text/", "application/json"))
    return api.answer(
        HttpRequest(
            "POST",
            path,
            query,
            {"content-type": kind} if kind else {},
            body.decode() if text else base64.b64encode(body).decode(),
            is_base64=not text,
        )
    )


def get(api: PredictionApi, path: str, method: str = "GET") -> Reply:
    return api.answer(HttpRequest(method, path))


def test_a_model_of_regression_answers_its_numbers_by_name(shelves: Shelves, api: PredictionApi) -> None:
    weights = np.array([[1.0, 2, 3], [0, -1, 1]])
    shelves.models[OLD] = Model(
        [(weights, np.array([[0.5], [0]]))], "run-old", ["linear"], [], None, 2.0, None, ["price", "area"]
    )
    reply = post(api, b'{"features": [2, 4, 6]}', "application/json")
    assert reply.status == 200
    assert json.loads(reply.body) == {
        "values": {"price": 14.5, "area": 1.0},
        "model": OLD,
        "run": "run-old",
        "stage": "production",
    }
    refused = post(api, b'{"features": [1e308, 1e308, 1e308]}', "application/json")
    assert (refused.status, json.loads(refused.body)["error"]) == (422, "wrong_features")


def test_a_picture_gets_its_class_each_probability_and_the_model(api: PredictionApi) -> None:
    reply = post(api, png(204))
    answer = json.loads(reply.body)
    light = 1 / (1 + np.exp(-6))
    assert reply.status == 200
    assert answer == {
        "class": "light",
        "index": 1,
        "probability": pytest.approx(light),
        "probabilities": {"dark": pytest.approx(1 - light), "light": pytest.approx(light)},
        "model": OLD,
        "run": "run-old",
        "stage": "production",
    }


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (png(204, kind="JPEG"), "image/jpeg"),
        (png(204, kind="WEBP"), "image/webp"),
        (png(204, mode="L", kind="GIF"), "image/gif"),
        (png(204, mode="L"), "image/png"),
        (png(204, mode="LA"), "image/png"),
        (png(204 * 257, mode="I;16"), "image/png"),
        (png(51, mode="CMYK", kind="JPEG"), "image/jpeg"),
        (png(204), "application/octet-stream"),
        (png(204), "application/x-www-form-urlencoded"),
        (png(204), ""),
        (png(204, (1, 1)), "image/png"),
        (json.dumps({"image": base64.b64encode(png(204)).decode()}).encode(), "application/json"),
        (
            json.dumps({"image": "data:image/png;base64," + base64.b64encode(png(204)).decode()}).encode(),
            "application/json",
        ),
        (json.dumps({"features": [204] * 16}).encode(), "application/json; charset=utf-8"),
        (json.dumps({"features": [204.0] * 16}).encode(), "application/json"),
    ],
)
def test_every_way_to_send_an_example_is_understood(api: PredictionApi, body: bytes, kind: str) -> None:
    reply = post(api, body, kind)
    assert (reply.status, json.loads(reply.body)["class"]) == (200, "light"), reply.body


def test_the_first_frame_of_an_animation_counts(api: PredictionApi) -> None:
    buffer = io.BytesIO()
    dark = Image.new("L", (8, 8), 0)
    Image.new("L", (8, 8), 255).save(buffer, "GIF", save_all=True, append_images=[dark, dark])
    assert json.loads(post(api, buffer.getvalue(), "image/gif").body)["class"] == "light"


def test_what_is_transparent_is_white_and_a_turned_picture_is_turned_back(shelves: Shelves) -> None:
    glass = png(0, mode="RGBA")
    upper_half = brightness_model((2, 1))
    upper_half.parameters[0][0][:] = [[20.0, 0.0]]
    shelves.models[OLD] = upper_half
    api = PredictionApi(shelves.serving(), PREDICT)
    assert json.loads(post(api, glass).body)["class"] == "light"

    sideways = Image.new("L", (2, 1))
    sideways.putdata([255, 0])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left side is the upper one
    buffer = io.BytesIO()
    sideways.save(buffer, "PNG", exif=exif)
    assert json.loads(post(api, buffer.getvalue()).body)["class"] == "light"


@pytest.mark.parametrize(
    ("body", "status", "code", "reason"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50), 415, "not_a_picture", "a HEIC picture, as iPhones take"),
        (b"%PDF-1.7\n" + bytes(50), 415, "not_a_picture", "a PDF document; draw its pages as pixels"),
        (png(kind="TIFF"), 415, "not_a_picture", "begins as a TIFF picture does"),
        (png(4095, mode="I;16"), 422, "unclear_picture", "a camera's 12 bits were not scaled to 16"),
    ],
)
def test_a_picture_that_is_refused_is_named_with_its_cure(
    api: PredictionApi, body: bytes, status: int, code: str, reason: str
) -> None:
    """Sent as a JPEG, since phones name HEIC so."""
    reply = post(api, body, "image/jpeg")
    assert (reply.status, json.loads(reply.body)["error"]) == (status, code)
    assert reason in json.loads(reply.body)["reason"]
    assert len(reply.body) < 1000


def test_staging_answers_with_the_model_under_review(api: PredictionApi) -> None:
    answer = json.loads(post(api, png(), path="/staging/predict").body)
    assert (answer["model"], answer["stage"]) == (NEW, "staging")


def test_a_model_that_is_named_answers(api: PredictionApi) -> None:
    answer = json.loads(post(api, png(), model=NEW).body)
    assert (answer["model"], answer["stage"]) == (NEW, "staging")


def test_a_canary_answers_its_share_and_each_picture_always_gets_the_same_model(
    shelves: Shelves, api: PredictionApi
) -> None:
    shelves.in_use = Current(3, production=OLD, staging=NEW, canary=Canary(NEW, 50))
    bodies = [json.dumps({"features": [level] * 16}).encode() for level in range(60)]
    answering = [json.loads(post(api, body, "application/json").body)["model"] for body in bodies]
    assert set(answering) == {OLD, NEW}
    assert answering == [json.loads(post(api, body, "application/json").body)["model"] for body in bodies]


@pytest.mark.parametrize("path", ["/predict", "/staging/predict"])
def test_a_stage_without_a_model_says_so(shelves: Shelves, path: str) -> None:
    shelves.in_use = Current()
    reply = post(PredictionApi(shelves.serving(), PREDICT), png(), path=path)
    assert reply.status == 404
    assert json.loads(reply.body)["error"] == "no_model"


def test_a_promotion_takes_effect_once_the_record_is_old(shelves: Shelves, api: PredictionApi) -> None:
    post(api, png())
    shelves.in_use = Current(4, production=NEW, past=(OLD,))
    reads = shelves.reads
    shelves.now += REFRESH_SECONDS * 0.9
    assert json.loads(post(api, png()).body)["model"] == OLD
    assert shelves.reads == reads
    shelves.now += REFRESH_SECONDS * 0.2
    assert json.loads(post(api, png()).body)["model"] == NEW


def test_a_registry_that_is_out_of_reach_leaves_the_known_model_answering(shelves: Shelves, api: PredictionApi) -> None:
    post(api, png())
    shelves.fault = EndpointConnectionError(endpoint_url="https://dynamodb")
    shelves.now += 60
    assert json.loads(post(api, png()).body)["model"] == OLD


def test_models_are_loaded_once_and_only_a_few_are_kept(shelves: Shelves, api: PredictionApi) -> None:
    for _ in range(3):
        post(api, png())
    assert shelves.loads == 1
    for number in range(MODELS_KEPT):
        shelves.models[f"other-{number}"] = brightness_model()
    shelves.now += LIST_SECONDS
    for number in range(MODELS_KEPT):
        assert post(api, png(), model=f"other-{number}").status == 200
    post(api, png())
    assert shelves.loads == MODELS_KEPT + 2


def test_a_model_that_cannot_be_loaded_is_told_without_its_cause(shelves: Shelves, api: PredictionApi) -> None:
    del shelves.models[OLD]
    reply = post(api, png())
    assert reply.status == 503
    assert OLD not in reply.body


def test_models_lists_what_callers_may_know(shelves: Shelves, api: PredictionApi) -> None:
    shelves.in_use = Current(4, production=OLD, staging=NEW, canary=Canary(NEW, 10))
    answer = json.loads(get(api, "/models").body)
    assert {model["model_id"]: model["stage"] for model in answer["models"]} == {OLD: "production", NEW: "staging"}
    assert answer["canary"] == {"model": NEW, "percent": 10}
    assert "secret" not in json.dumps(answer)


def test_the_accuracy_of_a_model_comes_with_base_rate_and_recall(shelves: Shelves, api: PredictionApi) -> None:
    figures = {"test_accuracy": 0.98, "base_rate": 0.98, "balanced_accuracy": 0.5, "beats_base_rate": False}
    figures |= {"recall": "'dark' 100.0%, 'light' 0.0%", "remarks": ["no better than always answering 'dark'"]}
    shelves.records[OLD] = {"model_id": OLD, "run_id": "run-old", "classes": 2, "sizes": [16, 1], **figures}
    (listed,) = [model for model in json.loads(get(api, "/models").body)["models"] if model["model_id"] == OLD]
    for shown in (json.loads(get(api, "/health").body)["model"], listed):
        assert {name: shown[name] for name in figures} == figures


def test_health_tells_which_model_stands_behind_the_entrance(api: PredictionApi) -> None:
    for path, model_id, stage in (("/health", OLD, "production"), ("/staging/health", NEW, "staging")):
        model = json.loads(get(api, path).body)["model"]
        assert (model["model_id"], model["stage"]) == (model_id, stage)


def test_a_model_that_has_just_come_is_known_before_the_list_is_read_anew(shelves: Shelves, api: PredictionApi) -> None:
    assert len(json.loads(get(api, "/models").body)["models"]) == 2
    shelves.models["newest-3"] = brightness_model()
    assert post(api, png(), model="newest-3").status == 200
    assert set(shelves.lookups) == {"newest-3"}


def test_only_what_may_be_a_model_is_looked_up(shelves: Shelves, api: PredictionApi) -> None:
    for name in ("../x", "change#1", "x" * 81, "", "ü"):
        assert post(api, png(), model=name).status == 404
    assert shelves.lookups == []


def test_the_page_and_its_parts_come_with_a_strict_policy(api: PredictionApi) -> None:
    for prefix in ("", "/staging"):
        page = get(api, f"{prefix}/")
        assert page.status == 200
        assert page.content_type.startswith("text/html")
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for part in re.findall(r'(?:src|href)="([a-z.]+\.(?:js|css|json))"', page.body):
            assert get(api, f"{prefix}/{part}").status == 200
    assert "style=" not in page.body
    assert not re.search(r"<script(?![^>]*src=)|<style| on[a-z]+=", page.body)
    assert not re.search(r"(src|href)=\"(https?:)?//", page.body)


def test_staging_needs_no_slash(api: PredictionApi) -> None:
    assert get(api, "/staging") == get(api, "/staging/")


def test_every_answer_forbids_guessing_its_type_and_json_is_not_kept(api: PredictionApi) -> None:
    for reply in (get(api, "/models"), get(api, "/nowhere"), post(api, b"?")):
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cache-Control"] == "no-store"


def test_the_wrong_method_is_told_the_right_one(api: PredictionApi) -> None:
    for path, method in METHODS.items():
        reply = get(api, path, "DELETE")
        assert (reply.status, reply.headers["Allow"]) == (405, method)
    assert get(api, "/", "HEAD").status == 200


def test_the_stage_of_the_gateway_is_no_part_of_the_path() -> None:
    event = {"rawPath": "/live/predict", "requestContext": {"stage": "live", "http": {"method": "post"}}}
    request = http_request(event)
    assert (request.method, request.path) == ("POST", "/predict")
    assert http_request({"rawPath": "/live", "requestContext": {"stage": "live"}}).path == "/"


def test_the_reply_is_an_event_that_api_gateway_takes(api: PredictionApi) -> None:
    event = get(api, "/health").as_event()
    assert event["statusCode"] == 200
    assert event["headers"]["content-type"] == "application/json"
    assert json.loads(event["body"])["status"] == "ok"


def test_the_names_of_classes_are_text_whatever_they_are(shelves: Shelves) -> None:
    model = brightness_model(run_id=RUN)
    model.list_classes[:] = ["<b>dark</b>", "hell ☀"]
    shelves.models[OLD] = model
    answer = json.loads(post(PredictionApi(shelves.serving(), PREDICT), png()).body)
    assert answer["class"] == "hell ☀"


# Tables --------------------------------------------------------------------------------------------------------------

TABLE = Preprocessing(
    [Column("level", "number", 100.0, 50.0), Column("color", "category", categories=["blue", "red"])], "brightness"
)


def table_model() -> Model:
    return Model(
        [(np.array([[2.0, 1.0, -1.0]]), np.zeros((1, 1)))],
        "r",
        ["sigmoid"],
        ["dark", "light"],
        None,
        1.0,
        preprocessing=TABLE,
    )


@pytest.fixture
def table_api() -> PredictionApi:
    return PredictionApi(Shelves({OLD: table_model()}, Current(version=3, production=OLD)).serving(), PREDICT)


def ask(api: PredictionApi, document: Any) -> tuple[int, dict[str, Any]]:
    reply = post(api, json.dumps(document).encode(), "application/json")
    return reply.status, json.loads(reply.body)


LIGHT = 1 / (1 + np.exp(-(2 * (125 - 100) / 50 - 1)))
"""Of the level 125 in red."""


@pytest.mark.parametrize(
    "row", [{"color": "red", "level": 125, "other": None}, [125, "red"], {"level": "125", "color": " red"}]
)
def test_a_row_is_taken_as_the_table_has_it(table_api: PredictionApi, row: Any) -> None:
    status, said = ask(table_api, {"features": row})
    assert status == 200
    assert said["probabilities"]["light"] == pytest.approx(LIGHT, abs=1e-12)
    assert said["model"] == OLD


def test_several_rows_have_an_answer_each_in_their_order(table_api: PredictionApi) -> None:
    status, said = ask(table_api, {"rows": [[125, "red"], {"level": 1000, "color": "blue"}]})
    assert (status, said["model"], said["run"], said["stage"]) == (200, OLD, "r", "production")
    assert [answer["class"] for answer in said["predictions"]] == ["light" if LIGHT > 0.5 else "dark", "light"]
    assert said["predictions"][0]["probabilities"]["light"] == pytest.approx(LIGHT, abs=1e-12)


def test_rows_of_plain_features_are_taken_too(api: PredictionApi) -> None:
    status, said = ask(api, {"rows": [[0] * 16, [255] * 16]})
    assert status == 200
    assert [answer["class"] for answer in said["predictions"]] == ["dark", "light"]
    assert ask(api, {"rows": [[0] * 16, [255] * 15]})[1]["reason"] == "rows[1] has 15 numbers; this model takes 16"


@pytest.mark.parametrize(
    ("document", "status", "told"),
    [
        ({"features": [1, "green"]}, 422, "row 1: column 'color': found 'green'; expected one of 'blue', 'red'"),
        ({"features": [None, "red"]}, 422, "row 1: column 'level': the value is missing; expected a finite number"),
        ({"features": [1, "red", 3]}, 422, "row 1: found 3 values; expected 2: 'level', 'color'"),
        ({"features": {"level": 1}}, 422, "row 1: column 'color' is missing; expected 'level', 'color'"),
        ({"rows": [[1, "red"], [True, "red"]]}, 422, "row 2: column 'level': found True"),
        ({"rows": []}, 422, "rows must be a list of rows, at least one"),
        ({"rows": {"level": 1}}, 422, "rows must be a list of rows"),
        ({"rows": [[1, "red"]] * 10_001}, 413, "rows has 10,001 entries, and 10,000 are the most"),
        ({"features": [1, "red"], "rows": []}, 400, "and nothing else"),
    ],
)
def test_a_row_that_the_model_cannot_take_is_one_error(
    table_api: PredictionApi, document: Any, status: int, told: str
) -> None:
    found, said = ask(table_api, document)
    assert found == status
    assert told in said["reason"]


def test_a_picture_for_a_model_of_tables_is_told_the_columns(table_api: PredictionApi) -> None:
    reply = post(table_api, png())
    assert reply.status == 422
    assert "was trained on the rows of a table, not on pictures" in reply.body
    assert "'level', 'color'" in reply.body


@pytest.mark.parametrize(
    ("border", "query", "expected"),
    [
        ((0.1, 0.05), {}, ("light", None)),
        ((0.1, 0.05), {"invert": "never"}, ("light", False)),
        ((0.1, 0.05), {"invert": "auto"}, ("dark", True)),
        ((0.9, 0.05), {"invert": "auto"}, ("light", False)),
        (None, {"invert": "auto"}, ("light", False)),
        (None, {"invert": "always"}, ("dark", True)),
    ],
)
def test_light_and_dark_are_exchanged_where_the_request_says_so(
    shelves: Shelves, api: PredictionApi, border: Any, query: dict[str, str], expected: tuple[str, bool | None]
) -> None:
    shelves.models[OLD] = replace(brightness_model(), border=border)
    found = json.loads(post(api, png(230), **query).body)
    assert (found["class"], found.get("inverted")) == expected
    in_json = json.loads(
        post(api, json.dumps({"image": base64.b64encode(png(230)).decode()}).encode(), "application/json", **query).body
    )
    assert in_json == found


def test_an_explanation_has_the_picture_as_the_network_saw_it(shelves: Shelves, api: PredictionApi) -> None:
    found = json.loads(post(api, png(230), invert="always", explain="true").body)["explanation"]
    with Image.open(io.BytesIO(base64.b64decode(found["seen"].partition(",")[2]))) as seen:
        assert (seen.size, seen.getpixel((0, 0))) == ((4, 4), 25)
    assert found["answer"] == "dark"
    assert found["z"] == pytest.approx(-(20 * 25 / 255 - 10))


def test_features_that_overflow_are_not_explained(shelves: Shelves, api: PredictionApi) -> None:
    weights = [(np.full((2, 1), 1e200), np.zeros((2, 1))), (np.full((1, 2), 1e200), np.zeros((1, 1)))]
    shelves.models[OLD] = Model(weights, "run-old", ["relu", "sigmoid"], ["no", "yes"], None, 1.0)
    asked = b'{"features": [1]}'
    assert post(api, asked, "application/json").status == 200
    refused = post(api, asked, "application/json", explain="true")
    assert (refused.status, json.loads(refused.body)["error"]) == (422, "wrong_features")
