"""Every line of an invocation is JSON and says where in which run it belongs, whoever wrote it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lnn.messages import Message
from lnn.runs import logs
from lnn.runs.record import Run

CONTEXT: Any = SimpleNamespace(
    function_name="lnn-neuron", memory_limit_in_mb=128, invoked_function_arn="arn", aws_request_id="request"
)
MESSAGE = Message("20261121T101500Z-0a1b2c3d", 2, "forward", epoch=3, layer=1, neuron=0)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the handlers of this test write; the library's loggers are as before afterwards."""
    library = logging.getLogger("lnn")
    before = (library.handlers, library.level, library.propagate)
    stream = io.StringIO()
    handler: Any = logs.logger.registered_handler
    root, level = logging.getLogger().level, handler.level
    standard = handler.setStream(stream)
    try:
        yield stream
    finally:
        handler.setStream(standard)
        handler.setLevel(level)
        logging.getLogger().setLevel(root)
        logs.logger.structure_logs()
        library.handlers, library.level, library.propagate = before


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def handler(event: dict[str, Any], context: Any) -> str:
    logs.at(**event)
    logging.getLogger("lnn.somewhere").info("deep inside", extra={"step": 7})
    if "neuron" not in event:
        raise RuntimeError("no neuron")
    return "done"


def test_lines_of_the_library_have_the_place_of_the_message(log: io.StringIO) -> None:
    assert logs.invocation(handler)(MESSAGE.place(), CONTEXT) == "done"
    (line,) = lines(log)
    assert line["message"] == "deep inside"
    assert {name: line[name] for name in logs.PLACE} == {
        "run_id": MESSAGE.run_id,
        "generation": 2,
        "state": "forward",
        "epoch": 3,
        "layer": 1,
        "neuron": 1,
    }
    assert (line["step"], line["function_name"], line["level"]) == (7, "lnn-neuron", "INFO")
    assert 0 <= line["elapsed_seconds"] < 10
    assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None


def test_what_a_handler_raises_is_told_with_its_run_and_raised(log: io.StringIO) -> None:
    told = logs.invocation(handler)
    told(MESSAGE.as_json(), CONTEXT)
    with pytest.raises(RuntimeError, match="no neuron"):
        told({"run_id": "another"}, CONTEXT)
    failed = lines(log)[-1]
    assert (failed["message"], failed["run_id"], failed["exception_name"]) == (
        "invocation failed",
        "another",
        "RuntimeError",
    )
    assert (failed["neuron"], failed["epoch"]) == (None, None), "the place of the invocation before"


def test_who_looks_after_many_runs_names_each(log: io.StringIO) -> None:
    @logs.invocation
    def watch(event: Any, context: Any) -> None:
        for run_id in ("one", "two"):
            with logs.about(Run(run_id, "RUNNING", generation=4)):
                logging.getLogger("lnn.runs.watchdog").warning("run has gone quiet")
        logging.getLogger("lnn.runs.watchdog").warning("done")

    watch({}, CONTEXT)
    assert [(line["run_id"], line["generation"]) for line in lines(log)] == [("one", 4), ("two", 4), (None, None)]


def told_at(level: str, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Messages of an invocation that tells something at each level, by itself, in the library and in botocore."""
    monkeypatch.setattr(logs, "LEVEL", level)
    # What Lambda does with the level of its own filter (awslambdaric, "_setup_logging"); Powertools takes it, too.
    logging.getLogger().setLevel(logging.DEBUG)
    logs.logger.setLevel("DEBUG")

    @logs.invocation
    def telling(event: Any, context: Any) -> None:
        for logger in (logs.logger, logging.getLogger("lnn.somewhere"), logging.getLogger("botocore.somewhere")):
            for name in ("debug", "info", "warning"):
                getattr(logger, name)(name)

    telling({}, CONTEXT)
    return [line["message"] for line in lines(log)]


@pytest.mark.parametrize(
    ("level", "told"),
    [("DEBUG", ["debug", "info", "warning"]), ("INFO", ["info", "warning"]), ("WARNING", ["warning"])],
)
def test_lines_keep_to_the_deployments_level_whatever_lambdas_filter_lets_through(
    level: str, told: list[str], log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told_at(level, log, monkeypatch) == 2 * told, "of the handler and of the library"


def test_no_line_of_another_library_is_written_below_warning(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    told_at("DEBUG", log, monkeypatch)
    assert not logging.getLogger("botocore.somewhere").isEnabledFor(logging.INFO)


def test_a_line_has_duration_and_memory_which_lambda_no_longer_tells(log: io.StringIO) -> None:
    logs.invocation(handler)(MESSAGE.place(), CONTEXT)
    (line,) = lines(log)
    assert 1 < line["peak_memory_mb"] < 10_000
    assert line["elapsed_seconds"] < 10
