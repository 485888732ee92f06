"""Which clock tells what: ages hold though Lambda stops the monotonic clock, and although a wall clock is set."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lnn
from lnn.environment import CacheAddress
from lnn.parameter_server.connection import TOKEN_LIFETIME_SECONDS, IamLogin
from lnn.serving.rollout import Current
from lnn.serving.router import Serving
from support.models import Shelves, brightness_model

FUNCTIONS = Path(lnn.__file__).parents[1]

MONOTONIC = {
    "clock_gettime",
    "clock_gettime_ns",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "process_time",
    "process_time_ns",
    "thread_time",
    "thread_time_ns",
}

ALLOWED = {
    "lnn/aws/clocks.py: Stopwatch.__init__": "the sum over invocations of what each took by its own clock",
    "lnn/aws/clocks.py: Stopwatch.seconds": "the same",
    "lnn/parameter_server/process_group.py: ProcessGroup.__init__": "a worker's group lives as long as its invocation",
    "lnn/parameter_server/process_group.py: ProcessGroup._receive": "how long one exchange waits for the peers",
    "lnn/parameter_server/process_group.py: ProcessGroup._send": "how long one part waits for Redis to take it",
    "lnn/aws/invoker.py: _once_awake_or_error": "how long one call waits until a function is Active",
    "lnn/runs/logs.py: _Formatter": "the import; a line's seconds count from the invocation's start, which is set anew",
    "lnn/runs/logs.py: _Formatter.serialize": "seconds from the invocation's start to a line of it",
    "lnn/runs/logs.py: invocation.handler": "the invocation's start",
    "lnn/strategies/neuron/trainer.py: Conductor.__init__": "what one Trainer took between two steps, for the bill",
    "lnn/strategies/neuron/trainer.py: Conductor._conclude": "the same",
    "lnn/strategies/neuron/trainer.py: Conductor._usd": "the same",
    "lnn/strategies/neuron/trainer.py: Conductor._note": "the same, for the timeline",
    "lnn/strategies/neuron/trainer.py: Conductor._wait": "the same, of a Trainer after which a stepped run waits",
    "lnn/strategies/neuron/trainer.py: Conductor._dispatch": "seconds since this dispatch renewed the lease",
    "lnn/strategies/session.py: Session.__init__": "seconds of an epoch, and of one invocation for the bill",
    "lnn/strategies/session.py: Session._train": "the same",
    "lnn/strategies/session.py: Session._run_epochs": "the same",
    "lnn/strategies/session.py: Session._train_epoch": "the same",
    "lnn/strategies/session.py: Session._request": "the same",
    "lnn/strategies/session.py: Session._totals": "the same",
    "lnn/strategies/session.py: Session._end": "the same",
    "lnn/strategies/neuron/neuron.py: work": "what one neuron took",
    "lnn/strategies/deadline.py: Deadline.__init__": "legs and checkpoints of one invocation",
    "lnn/strategies/deadline.py: Deadline.checkpoint_due": "the same",
    "lnn/strategies/deadline.py: Deadline.leg_done": "the same",
    "lnn/strategies/deadline.py: Deadline.saving": "the same",
    "lnn/strategies/session.py: Session._end.end": "the same",
    "lnn/strategies/session.py: Session._patiently": "how long one invocation repeats its last write",
    "lnn/strategies/session.py: Session._end_without_model": "the bill of one invocation",
    "lnn/runs/history_writer.py: HistoryWriter._wait": "how long one invocation waits for its rows",
    "lnn/runs/history_writer.py: HistoryWriter._write": "how long one call takes",
    "lnn/runs/metrics.py: Curve.__init__": "seconds between two metrics of one training invocation",
    "lnn/runs/metrics.py: Curve.write": "the same",
    "lnn/runs/metrics.py: Curve.write_now_and_then": "the same",
    "lnn/train.py: await_parameter_server": "how long one start waits for Redis",
    "lnn/train.py: claimed_patiently": "how long one start waits for the runs table",
    "lnn/parameter_server/process_group.py: ProcessGroup._check_alive": "how long a peer has given no sign of life",
    "lnn/strategies/worker.py: Workers._look": "when one invocation calls a missing worker again",
    "lnn/network/processes.py: _spin": "two milliseconds of looking out for one answer",
    "lnn/parameter_server/resp.py: RespConnection._busy_poll": "a millisecond of looking out for one answer",
    "lnn/parameter_server/resp.py: RespConnection.send": "the same",
}
"""Where functions read a monotonic clock, and which duration inside one invocation that is."""


def uses(tree: ast.AST, place: str = "") -> Iterator[str]:
    """The functions and classes of a module that name a monotonic clock, however they get at it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from uses(node, f"{place}.{node.name}".removeprefix("."))
            continue
        attribute = isinstance(node, ast.Attribute) and node.attr in MONOTONIC
        imported = isinstance(node, ast.ImportFrom) and any(alias.name in MONOTONIC for alias in node.names)
        if attribute or imported:
            yield place
        yield from uses(node, place)


def test_functions_read_a_monotonic_clock_for_durations_inside_one_invocation_only() -> None:
    found = {
        f"{path.relative_to(FUNCTIONS).as_posix()}: {place}"
        for path in FUNCTIONS.glob("**/*.py")
        for place in uses(ast.parse(path.read_text()))
    }
    assert found == set(ALLOWED), "ages across invocations are read from the wall clock: see lnn.aws.clocks"


@pytest.mark.parametrize(
    "source",
    [
        "def f(clock=time.monotonic): pass",
        "from time import perf_counter as clock",
        "def f():\n    return time.monotonic_ns()",
        "class C:\n    began = time.perf_counter()",
    ],
)
def test_the_rule_finds_a_clock_however_it_is_named(source: str) -> None:
    assert list(uses(ast.parse(source)))


# What an environment that was frozen for 40 minutes knows


@pytest.fixture
def thaw(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Freezes the monotonic clocks, as Lambda does, and lets a test move the wall clock."""
    now = 1_800_000_000.0
    for clock in ("monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: 1000.0)
    monkeypatch.setattr(time, "time", lambda: now)

    def move(seconds: float) -> None:
        nonlocal now
        now += seconds

    return move


FORTY_MINUTES = pytest.mark.parametrize("moved", [2400.0, -2400.0], ids=["40 minutes on", "set back by 40 minutes"])


@FORTY_MINUTES
def test_a_thawed_environment_logs_in_with_a_token_of_now(
    thaw: Callable[[float], None], moved: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = IamLogin(CacheAddress("master.lnn-cache.example", 6379, tls=True, user="lnn", name="lnn"), "us-east-1")
    tokens = iter(["of then", "of now", "never asked for"])
    monkeypatch.setattr(login, "_sign", lambda: next(tokens))
    assert login.get_credentials() == ("lnn", "of then")
    thaw(moved)
    assert login.get_credentials() == ("lnn", "of now")
    thaw(TOKEN_LIFETIME_SECONDS - 61)
    assert login.get_credentials() == ("lnn", "of now"), "a token that is valid is used again"


@FORTY_MINUTES
def test_a_thawed_environment_answers_with_the_model_that_is_in_production_now(
    thaw: Callable[[float], None], moved: float
) -> None:
    shelves = Shelves(
        {name: brightness_model() for name in ("rolled-back", "proven")}, Current(production="rolled-back")
    )
    serving = Serving(shelves, shelves)  # type: ignore[arg-type]
    assert serving.choose("production", b"").model_id == "rolled-back"
    shelves.in_use = Current(version=1, production="proven")
    thaw(moved)
    assert serving.choose("production", b"").model_id == "proven"


@FORTY_MINUTES
def test_a_thawed_environment_lists_the_models_of_now(thaw: Callable[[float], None], moved: float) -> None:
    shelves = Shelves({"first": brightness_model()}, Current(production="first"))
    serving = Serving(shelves, shelves)  # type: ignore[arg-type]
    assert len(serving.list_models()) == 1
    shelves.models["second"] = brightness_model()
    thaw(moved)
    assert len(serving.list_models()) == 2
