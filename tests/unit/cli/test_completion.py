"""The shell completes run ids: from the deployment that the options name, and never with an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from lnn_cli.main import app

if TYPE_CHECKING:
    from support.aws_account import World

OLD, NEW = "20261121T101000Z-00000001", "20261122T102000Z-00000002"


def completed(words: str) -> list[str]:
    """What bash would offer for a line."""
    environment = {"_LNN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    result = CliRunner().invoke(app, [], prog_name="lnn", env=environment)
    assert result.exit_code == 0, result.output
    return result.output.split()


@pytest.fixture
def two_runs(world: World) -> None:
    for run_id in (OLD, NEW):
        world.open_run(run_id)


@pytest.mark.parametrize("command", ["show", "history", "watch", "view", "compare", "report"])
def test_a_command_that_takes_a_run_offers_the_newest_first(two_runs: None, command: str) -> None:
    assert completed(f"lnn {command} ") == [NEW, OLD]


def test_ids_that_begin_so_are_offered(two_runs: None) -> None:
    assert completed("lnn show 20261121") == [OLD]
    assert completed("lnn show 2025") == []


def test_compare_offers_a_second_run(two_runs: None) -> None:
    assert completed(f"lnn compare {OLD} 20261122") == [NEW]


def test_a_deployment_that_does_not_answer_completes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("lnn show --target local ") == []
