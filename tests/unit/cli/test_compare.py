"""``lnn compare``: runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

pytestmark = pytest.mark.slow

FIRST, SECOND = "20261121T000000Z-aaaaaaaa", "20261121T000001Z-bbbbbbbb"
THIRD = "20261121T000002Z-cccccccc"


@pytest.fixture
def two_runs(world: World) -> None:
    world.train_whole(FIRST, epochs=4, learning_rate=0.1)
    world.train_whole(SECOND, epochs=9, learning_rate=0.5)


def test_a_table_has_a_column_for_each_run_and_a_row_for_each_difference(cli: RunCli, two_runs: None) -> None:
    result = cli("compare", FIRST, "latest")
    assert result.exit_code == 0, result.output
    rows = {line[:19].strip(): line[19:].split() for line in result.stdout.splitlines()}
    assert rows[""] == [FIRST, SECOND]
    assert rows["learning_rate"] == ["0.1", "0.5"]
    assert rows["epochs"] == rows["epochs done"] == ["4", "9"]
    assert rows["test accuracy"] == ["80.0%", "80.0%"]
    assert "optimizer" not in rows
    falling = rows["cost by epoch"]
    assert [line[0] + line[-1] for line in falling] == ["█▁", "█▁"]


def test_accuracies_are_compared_beside_base_rates_and_recall(cli: RunCli, world: World) -> None:
    world.train_whole(FIRST)
    for run_id, right in ((SECOND, [4, 1]), (THIRD, [5, 0])):
        counts = {"examples": [5, 5], "predicted": [5, 5], "right": right}
        world.train_whole(run_id, ending={"test_classes": counts})
    compared = cli("compare", FIRST, SECOND, THIRD)
    rows = {line[:19].strip(): line[19:].split() for line in compared.stdout.splitlines()}
    assert rows["base rate"] == ["-", "50.0%", "50.0%"]
    assert rows["balanced accuracy"] == ["-", "50.0%", "50.0%"]
    assert rows["recall"] == ["-", "'dark'", "80.0%,", "'light'", "20.0%", "'dark'", "100.0%,", "'light'", "0.0%"]
    for run_id in (SECOND, THIRD):
        assert f"{run_id}: on the test examples the model is no better than always" in compared.stderr
    found = json.loads(cli("compare", FIRST, SECOND, "--json").stdout)
    assert [run.get("base_rate") for run in found] == [None, 0.5]


def test_the_picture_shows_every_run(cli: RunCli, two_runs: None) -> None:
    result = cli("compare", FIRST, SECOND, "-o", "compare.png")
    assert result.exit_code == 0, result.output
    with Image.open("compare.png") as picture:
        colors = {color for _, color in picture.convert("RGB").getcolors(1 << 24) or ()}
    # One line in each run's color.
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colors
    assert cli("compare", FIRST, SECOND, "-o", "compare.svg").exit_code == 0
    assert b"<svg" in Path("compare.svg").read_bytes()


def test_the_picture_shows_the_base_rate_beside_the_accuracy(cli: RunCli, world: World) -> None:
    counts = {"examples": [49, 1], "predicted": [50, 0], "right": [49, 0]}
    for run_id in (FIRST, SECOND):
        world.train_whole(run_id, ending={"test_accuracy": 0.98, "test_classes": counts})
    compared = cli("compare", FIRST, SECOND, "-o", "compare.svg")
    rows = {line[:19].strip(): line[19:].split() for line in compared.stdout.splitlines()}
    assert rows["base rate"] == ["98.0%", "98.0%"]
    assert rows["recall"] == ["'dark'", "100.0%,", "'light'", "0.0%"] * 2
    drawn = Path("compare.svg").read_text()
    assert drawn.count("base rate 98.0%") == 1


def test_json_is_one_document(cli: RunCli, two_runs: None) -> None:
    result = cli("compare", FIRST, SECOND, "--json", "-o", "compare.svg")
    one, two = json.loads(result.stdout)
    assert (one["run_id"], two["run_id"]) == (FIRST, SECOND)
    assert two["settings"] == {"epochs": 9, "learning_rate": 0.5}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([FIRST], "two or more"),
        ([SECOND, "latest"], "all the same run"),
        ([FIRST, "nothing"], "lnn runs"),
        ([FIRST, SECOND, "-o", "compare.txt"], ".png, .svg, .pdf"),
        ([FIRST, SECOND, "-o", "nowhere/compare.png"], "does not exist"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    cli: RunCli, two_runs: None, arguments: list[str], says: str
) -> None:
    result = cli("compare", *arguments)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert says in line
    assert result.stdout == ""


def test_runs_that_have_not_trained_are_compared_by_what_there_is(cli: RunCli, world: World) -> None:
    world.open_run(FIRST)
    world.train_whole(SECOND)
    result = cli("compare", FIRST, SECOND, "-o", "compare.png")
    assert result.exit_code == 0, result.output
    assert "PENDING" in result.stdout
