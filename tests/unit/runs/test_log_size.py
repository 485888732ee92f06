"""How much a function logs: what the cost model and a run's own price count is what the functions write."""

from __future__ import annotations

import importlib
import io
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lnn.messages import Message
from lnn.runs import logs, metrics
from lnn.runs.log_size import (
    CLOSING_BYTES,
    METRICS_BYTES,
    METRICS_INTERVAL_SECONDS,
    METRICS_LINES,
    closing_bytes,
    metrics_lines,
)
from lnn.runs.record import EpochRow, Run
from support.plans import plan

RUN_ID = "20261121T101500Z-0a1b2c3d"
STEP = Message(RUN_ID, 2, "backward", epoch=1234, layer=2, neuron=17)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What functions write; the library's loggers are as before afterwards."""
    library, root = logging.getLogger("lnn"), logging.getLogger().level
    before = (library.handlers, library.level, library.propagate)
    handler: Any = logs.logger.registered_handler
    stream, level = io.StringIO(), handler.level
    standard = handler.setStream(stream)
    # What Lambda sets besides: the trace of the invocation.
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0")
    try:
        yield stream
    finally:
        handler.setStream(standard)
        handler.setLevel(level)
        logging.getLogger().setLevel(root)
        library.handlers, library.level, library.propagate = before


def context(function: str) -> Any:
    """As Lambda gives it."""
    return SimpleNamespace(
        function_name=f"lnn-{function}",
        memory_limit_in_mb=1769,
        invoked_function_arn=f"arn:aws:lambda:eu-central-1:123456789012:function:lnn-{function}",
        aws_request_id="8f507cfc-xmpl-4697-b07a-ac58fc914c95",
    )


def written(
    function: str, level: str, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, standing: str = "counted"
) -> int:
    """Bytes that one invocation logs, on its way through the function's own handler."""
    monkeypatch.setattr(logs, "LEVEL", level)
    monkeypatch.setattr("lnn.environment.Environment.read", lambda: None)
    monkeypatch.setattr("lnn.wiring.services", lambda _: None)
    monkeypatch.setattr("lnn.train.handle", lambda *_: None)
    monkeypatch.setattr("lnn.strategies.neuron.neuron.handle", lambda *_: standing)
    logs.logger.setLevel("DEBUG" if level == "DEBUG" else "INFO")  # as Lambda's filter has it
    module = importlib.reload(importlib.import_module(f"{function}.handler"))
    log.seek(0)
    log.truncate()
    called = context(function)
    called.get_remaining_time_in_millis = lambda: 1000
    module.handler(STEP.as_json(), called)
    return len(log.getvalue().encode())


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING"])
@pytest.mark.parametrize("function", ["trainer", "neuron"])
def test_an_invocation_logs_what_is_counted_for_it(
    function: str, level: str, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = closing_bytes(level, neuron=function == "neuron")
    assert written(function, level, log, monkeypatch) == pytest.approx(counted, rel=0.05)


def test_a_neuron_logs_nothing_by_default_but_what_is_out_of_the_ordinary(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert written("neuron", "INFO", log, monkeypatch) == 0
    assert written("neuron", "INFO", log, monkeypatch, standing="stale") == pytest.approx(CLOSING_BYTES, rel=0.05)


def test_a_line_of_metrics_has_the_size_that_is_counted(
    log: io.StringIO, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "LNN")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "lnn")
    row = EpochRow(1234, 0.123456789012345, 0.9876543210987654, 0.9654320987654321, 0.012345678901234)
    dimensions: Any = {"class_counts": {"test": [27, 8]}}
    metrics.recorded(Run(RUN_ID, "RUNNING", generation=2, dimensions=dimensions), plan(), row)
    (line,) = capsys.readouterr().out.splitlines()
    assert set(json.loads(line)) >= {"run_id", metrics.Metric.TEST_ACCURACY, metrics.Metric.BASE_RATE}
    assert len(line.encode()) == pytest.approx(METRICS_BYTES, rel=0.05)


def test_many_epochs_share_a_line_of_metrics() -> None:
    assert metrics_lines(10, 1000) == 10
    assert metrics_lines(10_000, 0) == METRICS_LINES
    assert metrics_lines(10_000, 2 * METRICS_INTERVAL_SECONDS) == 3 * METRICS_LINES
