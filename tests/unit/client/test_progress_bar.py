"""The bar of ``Run.wait(progress=True)``: a line in a terminal, a part of a notebook's cell, nothing in a pipe."""

from __future__ import annotations

import io
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lnn.runs.record import EpochRow, Run
from lnn_client.progress import Look
from lnn_client.progress_bar import WIDTH, ProgressBar, in_a_line, in_html


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def look(epoch: int, epochs: int | None = 4, cost: float = 0.25) -> Look:
    history = [EpochRow(epoch, cost, None, None, 0.1)] if epoch else []
    return Look(Run("r", "RUNNING", epoch=epoch, epochs=epochs), history)


@pytest.mark.parametrize(("epoch", "filled"), [(0, 0), (1, 8), (2, 15), (4, 30)])
def test_the_bar_is_as_long_as_the_part_that_is_done(epoch: int, filled: int) -> None:
    line = in_a_line(look(epoch))
    assert line.startswith(f"[{'#' * filled}{'.' * (WIDTH - filled)}] RUNNING, epoch {epoch}/4")
    assert line.endswith(", cost 0.25") == bool(epoch)


def test_a_run_that_is_not_planned_yet_has_an_empty_bar() -> None:
    assert in_a_line(look(0, None)) == f"[{'.' * WIDTH}] RUNNING, epoch 0"


def test_a_terminal_has_one_line_that_changes_and_ends() -> None:
    terminal = Terminal()
    bar = ProgressBar(terminal)
    for epoch in (1, 4):
        bar(look(epoch))
    bar.close()
    bar.close()
    shown = terminal.getvalue()
    assert shown.split("\r\x1b[K") == ["", in_a_line(look(1)), in_a_line(look(4)) + "\n"]


def test_a_pipe_gets_nothing() -> None:
    pipe = io.StringIO()
    bar = ProgressBar(pipe)
    bar(look(1))
    bar.close()
    assert pipe.getvalue() == ""


def test_a_notebook_has_one_bar_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, Any]] = []

    def update(data: Any, *, raw: bool) -> None:
        shown.append(("changed" if raw else "", data))

    def display(data: Any, *, raw: bool, display_id: bool) -> Any:
        shown.append(("new" if raw and display_id else "", data))
        return SimpleNamespace(update=update)

    ipython: Any = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    displays: Any = ModuleType("IPython.display")
    displays.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", displays)
    terminal = Terminal()
    bar = ProgressBar(terminal)
    for epoch in (1, 4):
        bar(look(epoch))
    bar.close()
    both = [{"text/html": in_html(one), "text/plain": in_a_line(one)} for one in (look(1), look(4))]
    assert shown == [("new", both[0]), ("changed", both[1])]
    assert both[1]["text/html"] == '<progress value="4" max="4"></progress> RUNNING, epoch 4/4, cost 0.25'
    assert terminal.getvalue() == ""
