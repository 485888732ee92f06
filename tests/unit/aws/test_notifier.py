"""What people read: a subject that SNS takes and a phone shows, a body with figures and the next command."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from lnn.aws.notifier import Notifier
from lnn.aws.pricing import lambda_usd
from lnn.runs.attributes import Dimensions
from lnn.runs.record import Run
from lnn.text.characters import unsafe
from support.odd_names import NO_NAMES


def dimensions(sizes: list[int]) -> Dimensions:
    return {"features": sizes[0], "examples": 209, "test_examples": 50, "classes": ["cat", "other"], "sizes": sizes}


RUN = Run(
    "20260304T050607Z-0123abcd",
    "COMPLETED",
    epochs=10,
    epoch=10,
    strategy="neuron",
    strategy_reason="as asked for in parameters.json",
    dimensions=dimensions([12288, 20, 7, 5, 1]),
    final_cost=0.123456789,
    train_accuracy=1,
    test_accuracy=0.72,
    training_seconds=12.34,
    artifacts={"params": "s3://bucket/prediction_input/run/params.h5"},
    checkpoint={"epoch": 10, "key": "k"},
)


FRAUDS = replace(
    RUN,
    test_accuracy=0.98,
    dimensions={**dimensions([30, 5, 1]), "classes": ["ok", "fraud"], "class_counts": {"test": [49, 1]}},
    test_classes={"examples": [49, 1], "predicted": [50, 0], "right": [49, 0]},
)


class Topic:
    """Takes what SNS would take, and keeps it."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.published: list[dict[str, str]] = []
        self._fault = fault

    def publish(self, **message: str) -> None:
        if self._fault is not None:
            raise self._fault
        self.published.append(message)


def published(method: str, *arguments: Any) -> dict[str, str]:
    topic = Topic()
    getattr(Notifier(topic, "arn:topic"), method)(*arguments)  # type: ignore[arg-type]
    (message,) = topic.published
    assert message["TopicArn"] == "arn:topic"
    return message


MESSAGES = {
    "started": ("started", RUN),
    "progress": ("progress", RUN, 4, 0.512345678),
    "completed": ("ended", RUN),
    "stopped": ("ended", replace(RUN, status="STOPPED", epoch=4, reason="stopped on request after epoch 4")),
    "failed": ("ended", replace(RUN, status="FAILED", reason="training diverged")),
    "refused": (
        "ended",
        Run(RUN.run_id, "FAILED", "train_set_x: ключ 猫 fehlt\nund mehr"),
    ),
    "a hundred layers": ("started", replace(RUN, dimensions=dimensions([65536] * 101))),
    "absurd figures": ("progress", RUN, 10**7, -1.2345678e-300),
}


@pytest.mark.parametrize("message", MESSAGES)
def test_a_subject_is_one_short_line_of_ascii(message: str) -> None:
    subject = published(*MESSAGES[message])["Subject"]
    assert subject.startswith("LNN: ")
    assert len(subject) <= 100
    assert subject.isascii()
    assert subject.isprintable()


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("started", ["12288-20-7-5-1", "10 epochs on 209 examples", "strategy neuron", "lnn watch 2026"]),
        ("progress", ["Epoch 4 of 10", "0.512346", "lnn watch 2026", "lnn stop 2026"]),
        (
            "completed",
            ["72.0%", "100.0% training", "0.123457", "12.3 s", "s3://bucket/prediction_input/", "lnn predict"],
        ),
        ("stopped", ["epoch 4 of 10", "on request", "lnn resume 2026"]),
        ("failed", ["training diverged", "lnn resume 2026"]),
        ("refused", ["ключ 猫 fehlt", "upload it again"]),
    ],
)
def test_a_message_has_the_run_the_figures_and_what_to_do_next(message: str, parts: list[str]) -> None:
    sent = published(*MESSAGES[message])
    text = sent["Subject"] + "\n" + sent["Message"]
    assert RUN.run_id in text
    for part in parts:
        assert part in text


def test_a_run_that_never_trained_cannot_be_resumed_and_is_not_said_to_be() -> None:
    assert "resume" not in published(*MESSAGES["refused"])["Message"]


def test_the_longest_reason_fits_a_message() -> None:
    # 40 problems is the most that settings list; SNS takes 256 KiB.
    reason = "; ".join(f"key{index}: " + "x" * 400 for index in range(60))
    sent = published("ended", Run("r", "FAILED", reason))
    assert len(json.dumps(sent).encode()) < 256 * 1024


@pytest.mark.parametrize(
    "fault",
    [
        ClientError({"Error": {"Code": "AuthorizationError", "Message": "no"}}, "Publish"),
        EndpointConnectionError(endpoint_url="https://sns"),
    ],
    ids=["refused", "unreachable"],
)
def test_trouble_with_the_topic_is_logged_and_fails_nothing(fault: Exception, caplog: pytest.LogCaptureFixture) -> None:
    Notifier(Topic(fault), "arn:topic").ended(RUN)  # type: ignore[arg-type]
    assert "notification lost" in caplog.text


def test_a_function_s_price_is_its_memory_for_its_time_and_its_calls() -> None:
    assert lambda_usd(1000, 1024, 0, "arm64") == pytest.approx(0.0133334)
    assert lambda_usd(1000, 2048, 0, "x86_64") == pytest.approx(2 * 0.0166667)
    assert lambda_usd(0, 1024, 1_000_000) == pytest.approx(0.20)


@pytest.mark.parametrize("text", NO_NAMES.values(), ids=NO_NAMES)
def test_a_text_of_a_stranger_neither_commands_nor_adds_a_line(text: str) -> None:
    refused = {"model_id": "refused-1", "source": f"s3://b/{text}.h5", "refused": f"found {text}", "uploaded_at": 1.0}
    message = published("model_refused", refused)["Message"]
    assert message.count("\n") == 5
    assert not [character for character in message if unsafe(character) and character != "\n"]
    subject = published("started", replace(RUN, dimensions=dimensions([text, 1])))["Subject"]  # type: ignore[list-item]
    assert subject.isascii()
    assert subject.isprintable()


def test_a_regression_has_its_errors_and_no_accuracy() -> None:
    of_numbers: Dimensions = {**dimensions([3, 1]), "classes": [], "targets": ["price"]}
    scores = {"train_rmse": 1.5, "train_mae": 1.0, "train_r2": 0.95, "test_rmse": 2.0, "test_mae": 1.25, "test_r2": 0.9}
    run = replace(RUN, dimensions=of_numbers, train_accuracy=None, test_accuracy=None, **scores)
    message = published("ended", run)
    assert message["Subject"] == "LNN: training completed, test R2 0.900"
    for line in ("RMSE: 1.5 training, 2 test", "MAE: 1 training, 1.25 test", "R2: 0.95 training, 0.9 test"):
        assert line in message["Message"].splitlines()
    assert "accuracy" not in message["Message"].lower()


def test_accuracy_never_stands_without_the_base_rate_and_recall() -> None:
    message = published("ended", FRAUDS)
    assert message["Subject"] == "LNN: training completed, test accuracy 98.0% (base rate 98.0%)"
    for line in (
        "Base rate: 98.0% test, by always answering ok",
        "Balanced accuracy: 50.0% test",
        "Recall: 'ok' 100.0%, 'fraud' 0.0%",
        "Warning: on the test examples the model is no better than always answering 'ok' (98.0%)",
    ):
        assert line in message["Message"].splitlines()


def test_a_model_in_staging_is_told_with_the_base_rate_and_recall() -> None:
    model = {
        "model_id": "m",
        "test_accuracy": 0.98,
        "base_rate": 0.98,
        "balanced_accuracy": 0.5,
        "recall": "'ok' 100.0%, 'fraud' 0.0%",
        "remarks": ["no better"],
    }
    message = published("model_staged", model, None)
    assert message["Subject"] == "LNN: model staged, test accuracy 98.0% (base rate 98.0%)"
    lines = message["Message"].splitlines()
    assert "Test accuracy: 98.0% (base rate 98.0%)" in lines
    assert {"Balanced accuracy: 50.0%", "Recall: 'ok' 100.0%, 'fraud' 0.0%", "Warning: no better"} <= set(lines)
