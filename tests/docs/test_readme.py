"""The README is short, its figures are those of a committed run, and no other page is made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import readme
from lnn.data.validation import examine_dataset
from lnn.job.hyperparameters import parse_settings
from lnn.planning.cost_model import CostModel, Functions
from lnn.planning.workload import Job
from support.repository import REPOSITORY
from support.shown_commands import commands_of, pages

README = REPOSITORY / "README.md"
MOST_WORDS = 900


def test_the_readme_has_at_most_900_words() -> None:
    assert len(README.read_text().split()) <= MOST_WORDS  # as `wc -w` counts


def test_the_command_that_ci_runs_is_the_readme_s_test_command() -> None:
    *_, last = (REPOSITORY / ".ci" / "run").read_text().strip().splitlines()
    assert last == "make test"
    assert last in [shown.text for shown in commands_of(README)]


def test_no_page_but_the_home_page_is_made_of_the_readme() -> None:
    splicing = [page.relative_to(REPOSITORY) for page in pages() if "<!-- include-markdown" in page.read_text()]
    assert [str(page) for page in splicing] == ["docs/index.md"]


@pytest.mark.parametrize(("page", "lines"), readme.PAGES.items())
def test_the_figures_of_a_page_are_those_of_the_committed_run(page: str, lines: Callable[[Any], Iterable[str]]) -> None:
    report = json.loads((REPOSITORY / "benchmarks" / "results" / "bench.json").read_text())
    text = (REPOSITORY / page).read_text()
    assert readme.written(text, lines(report)) == (text, 1), "run benchmarks/readme.py"


def test_the_readme_has_a_row_for_each_way_that_was_measured() -> None:
    rows = [line for line in README.read_text().splitlines() if line.startswith("| ")]
    assert all(any(row.startswith(f"| {name} |") for row in rows) for _, name, *_ in readme.ROWS)


def test_a_page_without_the_place_for_the_figures_is_found() -> None:
    assert readme.written("# LNN\n", ["a line"]) == ("# LNN\n", 0)


def test_the_price_of_training_the_digits_is_the_estimate_s() -> None:
    (said,) = re.findall(r"train the\s+digits\s+adds about \$([\d.]+\d)", README.read_text())
    summary = examine_dataset(REPOSITORY / "examples" / "digits" / "datasets.h5")
    settings = parse_settings((REPOSITORY / "parameters.json").read_bytes())
    assert f"{CostModel(Job.of(settings, summary), Functions()).estimate('fused').usd:.4f}" == said


def test_the_price_of_a_month_is_the_sum_on_the_page_about_aws() -> None:
    (said,) = re.findall(r"\[about \$(\d+) a month\]", README.read_text())
    assert f"| **together** | **about {said}** |" in (REPOSITORY / "docs" / "aws.md").read_text()
