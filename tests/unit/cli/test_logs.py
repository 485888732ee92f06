"""``lnn logs``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from lnn.names import Names

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

RUN, OTHER = "20261121T101500Z-0a1b2c3d", "20261121T101500Z-ffffffff"
NAMES = Names("lnn", "123456789012", "us-east-1")


class Logs:
    """The functions' log groups, and lines that arrive in them."""

    def __init__(self) -> None:
        self._client: Any = boto3.client("logs")
        self._streams = 0
        for role in ("launch", "trainer", "neuron"):
            self._client.create_log_group(logGroupName=NAMES.log_group(role))

    def arrive(self, role: str, *messages: str, ago: float = 0.0) -> None:
        """One invocation's lines."""
        self._streams += 1
        where = {"logGroupName": NAMES.log_group(role), "logStreamName": f"stream-{self._streams}"}
        self._client.create_log_stream(**where)
        at = int((time.time() - ago) * 1000)
        self._client.put_log_events(**where, logEvents=[{"timestamp": at, "message": text} for text in messages])


def line(message: str, at: str = "10:15:00.000", run_id: str = RUN, **fields: Any) -> str:
    written = {"level": "INFO", "location": "somewhere:1", "message": message, "run_id": run_id}
    return json.dumps(written | {"timestamp": f"2026-11-21T{at}+00:00", "epoch": 0, "neuron": None} | fields)


@pytest.fixture
def logs(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    """An account with logs and a run that is training."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("lnn_client.logs.sleep", world.sleep)
    offset = time.time() - world.now
    monkeypatch.setattr("lnn_client.logs.time", lambda: world.now + offset)
    world.open_run(RUN)
    world.accept(RUN)
    world.train(RUN, 1)
    yield Logs()
    monkeypatch.undo()
    time.tzset()


def test_lines_of_all_functions_come_in_the_order_in_which_they_were_written(cli: RunCli, logs: Logs) -> None:
    logs.arrive("neuron", line("neuron done", "10:15:02.500", epoch=1, layer=2, neuron=1, standing="counted"))
    logs.arrive("trainer", line("handled", "10:15:03.000", level="WARNING"), line("first", "10:15:01.000"))
    logs.arrive("launch", line("run prepared", strategy="fused", why="it fits"), line("other", run_id=OTHER))
    result = cli("logs", RUN)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "10:15:00.000  launch   run prepared  strategy=fused  why=it fits",
        "10:15:01.000  trainer  first",
        "10:15:02.500  neuron   [epoch 1, layer 2, neuron 1] neuron done  standing=counted",
        "10:15:03.000  trainer  WARNING handled",
    ]


def test_metrics_are_lines_with_their_figures(cli: RunCli, logs: Logs) -> None:
    at = 1795256100000
    emf = {
        "_aws": {"Timestamp": at},
        "service": "lnn",
        "message": "epochs",
        "run_id": RUN,
        "epoch": 3,
        "Cost": [0.51234567],
    }
    logs.arrive("trainer", json.dumps(emf))
    assert cli("logs", RUN).stdout.splitlines() == ["10:15:00.000  trainer  [epoch 3] epochs  Cost=0.5123"]


def test_an_exception_is_shown_with_its_traceback(cli: RunCli, logs: Logs) -> None:
    logs.arrive(
        "trainer", line("invocation failed", level="ERROR", exception_name="KeyError", exception="Where\n  it was")
    )
    assert cli("logs", RUN).stdout.splitlines() == [
        "10:15:00.000  trainer  ERROR invocation failed  exception_name=KeyError",
        "    Where",
        "      it was",
    ]


def test_one_function_only(cli: RunCli, logs: Logs) -> None:
    logs.arrive("neuron", line("neuron done"))
    logs.arrive("trainer", line("handled"))
    assert cli("logs", RUN, "--function", "neuron").stdout.splitlines() == ["10:15:00.000  neuron   neuron done"]


def test_json_is_the_list_of_lines_as_they_were_written(cli: RunCli, logs: Logs) -> None:
    logs.arrive("trainer", line("handled", outcome={"a": 1}), f"not JSON {RUN}")
    printed = json.loads(cli("logs", "latest", "--json").stdout)
    assert printed[0] == {"function": "trainer", **json.loads(line("handled", outcome={"a": 1}))}
    assert printed[1] == {"function": "trainer", "message": f"not JSON {RUN}"}


def test_a_line_longer_than_the_terminal_stays_one_line(cli: RunCli, logs: Logs) -> None:
    logs.arrive("trainer", line("long", why="x" * 500))
    assert len(cli("logs", RUN).stdout.splitlines()) == 1


def test_follow_prints_every_line_once_until_the_run_has_ended(cli: RunCli, logs: Logs, world: World) -> None:
    logs.arrive("launch", line("run prepared"), ago=30)
    world.script = [
        partial(logs.arrive, "trainer", line("first", "10:15:01.000"), ago=20),
        lambda: None,
        partial(world.end, RUN),
        # CloudWatch shows a line some seconds late.
        partial(logs.arrive, "neuron", line("late", "10:15:02.000"), ago=25),
        partial(logs.arrive, "trainer", line("run ended", "10:15:03.000")),
    ]
    result = cli("logs", RUN, "--follow", "--json")
    assert result.exit_code == 0, result.output
    told = [json.loads(text)["message"] for text in result.stdout.splitlines()]
    assert told == ["run prepared", "first", "late", "run ended"]
    assert world.script == []


def test_no_line_yet_tells_how_to_wait_for_one(cli: RunCli, logs: Logs, world: World) -> None:
    result = cli("logs", RUN)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"lnn logs {RUN} --follow --target aws" in result.stderr
    assert json.loads(cli("logs", RUN, "--json").stdout) == []
    world.end(RUN)
    assert "no longer kept" in cli("logs", RUN, "--function", "neuron").stderr


def test_a_deployment_without_logs_is_one_clear_line(cli: RunCli, world: World) -> None:
    world.open_run(RUN)
    result = cli("logs", RUN)
    assert result.exit_code == 1
    (told,) = result.stderr.splitlines()
    assert told.startswith("error: FilterLogEvents found nothing there")
    assert "lnn doctor" in told


def test_logs_of_an_unknown_run_or_function_are_one_line(cli: RunCli, logs: Logs) -> None:
    unknown = cli("logs", "nope")
    assert (unknown.exit_code, len(unknown.stderr.splitlines())) == (1, 1)
    assert "there is no run 'nope'" in unknown.stderr
    wrong = cli("logs", RUN, "--function", "teacher")
    assert wrong.exit_code == 2
    assert "'launch', 'trainer', 'neuron'" in wrong.stderr
