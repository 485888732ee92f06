"""What lies in notebooks/: sources, and nothing of anybody's run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lnn.job.class_metrics import ClassMetrics
from support.repository import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


def read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text())
    return notebook


def test_the_analysis_prints_accuracy_with_base_rate_and_recall(capsys: pytest.CaptureFixture[str]) -> None:
    (cell,) = [cell for cell in read(NOTEBOOKS[0])["cells"] if cell["id"] == "accuracy_by_hand"]
    metrics = ClassMetrics(["ok", "fraud"], {"examples": [98, 2], "predicted": [100, 0], "right": [98, 0]})
    tested = SimpleNamespace(evaluation=SimpleNamespace(accuracy=0.98, examples=100))
    run = SimpleNamespace(test_accuracy=0.98, test_metrics=metrics)
    exec("".join(cell["source"]), {"np": np, "run": run, "tested": tested})  # noqa: S102 - the repository's own cell
    printed = capsys.readouterr().out
    for line in (
        "98 of 100 test examples are right: 98.00%",
        "base rate: 98.0%, by always answering ok",
        "balanced accuracy: 50.0%",
        "recall: 'ok' 100.0%, 'fraud' 0.0%",
    ):
        assert line in printed.splitlines()


def test_there_are_four_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["Analysis", "Client", "Codebook", "Introduction"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    """Clear them before a commit: jupyter nbconvert --clear-output --inplace notebooks/*.ipynb."""
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]
        assert cell["metadata"] == {}, cell["id"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_of_format_4_5_with_an_id_for_each_cell(path: Path) -> None:
    notebook = read(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", one) for one in ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_a_title_and_says_what_it_needs(path: Path) -> None:
    first, *_ = read(path)["cells"]
    text = "".join(first["source"])
    assert text.startswith(f"# {path.stem}: ")
    assert "`make up`" in text
