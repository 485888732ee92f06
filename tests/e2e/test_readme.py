"""What the README shows happens: the demo prints its lines, its commands and its Python run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from markdown_it import MarkdownIt

from support.e2e_cloud import CloudUnderTest, environment
from support.repository import REPOSITORY

FIGURE = re.compile(r"[\d.,]*\d|\b(?:deployed|nothing to deploy)\b")
"""What is another in each run: times and scores, and whether there was anything to deploy."""
OPENED = re.compile(r"^run (\S+) is open$", re.MULTILINE)
REPORT = REPOSITORY / "build" / "demo.html"
LINES, COLUMNS = 40, 80
"""Of the screen that the demo's end must fit."""


def section(heading: str) -> str:
    return (REPOSITORY / "README.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]


def block(heading: str, language: str) -> list[str]:
    """The lines of a section's only block in a language."""
    (found,) = [token for token in MarkdownIt().parse(section(heading)) if token.info == language]
    return found.content.splitlines()


def run(*command: str | Path, cloud: CloudUnderTest, folder: Path, **variables: str) -> list[str]:
    """The lines that a command prints on either stream; fails unless its exit status is 0."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(cloud.home) | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def demo(cloud: CloudUnderTest) -> list[str]:
    """The lines that `make demo` prints, without their colors."""
    REPORT.unlink(missing_ok=True)
    kept = {"LNN_REDIS_TLS": os.environ.get("LNN_REDIS_TLS", "")}
    printed = run(REPOSITORY / "scripts" / "demo.sh", cloud=cloud, folder=REPOSITORY, **kept)
    return [re.sub(r"\033\[\d*m", "", line) for line in printed]


def test_the_demo_prints_what_the_readme_shows_in_this_order(demo: list[str]) -> None:
    shown = [FIGURE.sub("N", line) for line in block("Try it", "text")]
    assert len(shown) <= 10
    printed = iter([FIGURE.sub("N", line) for line in demo])
    assert [line for line in shown if not any(other.startswith(line) for other in printed)] == []  # it shortens lines


def test_the_demo_ends_with_a_report_and_names_what_to_do_next_on_one_screen(demo: list[str]) -> None:
    (begin,) = [place for place, line in enumerate(demo) if line.startswith("Done.")]
    end = demo[begin:]
    assert end[0].endswith(str(REPORT.relative_to(REPOSITORY)))
    assert 'section id="confusion"' in REPORT.read_text()
    assert len(end) < LINES
    assert max(map(len, end)) <= COLUMNS
    named = ("lnn view", "lnn train FILE.csv --label COLUMN", "make notebooks", "make down")
    assert [what for what in named if not any(what in line for line in end)] == []


def test_the_models_of_the_demo_are_better_than_always_the_same_answer(cloud: CloudUnderTest, demo: list[str]) -> None:
    flowers, digits = [cloud.lnn_json("show", run_id) for run_id in OPENED.findall("\n".join(demo))]
    assert digits["strategy"] == "fused"
    assert flowers["strategy"] == "neuron"
    assert digits["test_accuracy"] > 0.95
    assert flowers["test_accuracy"] > 0.85


def test_a_table_of_one_s_own_is_trained_on_and_predicted_as_the_readme_says(
    cloud: CloudUnderTest, tmp_path: Path
) -> None:
    table = pl.read_csv(REPOSITORY / "examples" / "tables" / "iris.csv")
    table.write_csv(tmp_path / "FILE.csv")
    table.drop("species").write_csv(tmp_path / "ROWS.csv")
    train, view, predict = [shlex.split(line, comments=True) for line in block("Your own data", "sh")]
    assert view[1:] == ["view"]  # which serves until Ctrl-C: its own tests open it
    for _, *words in (train, predict):
        arguments = ["species" if word == "COLUMN" else word for word in words]
        run(Path(sys.executable).with_name("lnn"), *arguments, cloud=cloud, folder=tmp_path)
    predicted = pl.read_csv(tmp_path / "predictions.csv")
    assert predicted.height == table.height


def test_the_readme_s_python_runs_as_it_stands(cloud: CloudUnderTest, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    code = "\n".join(block("From Python", "python"))
    *_, last = run(sys.executable, "-c", code, cloud=cloud, folder=tmp_path)
    assert "setosa" in last
