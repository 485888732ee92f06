"""What a command imports: the time until ``lnn`` does anything is that of its imports."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import typer
from typer.core import TyperGroup

from lnn_cli.main import app
from support.repository import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

WORK = {"boto3", "h5py", "jinja2", "matplotlib", "onnx", "PIL", "polars", "redis", "scipy", "sklearn"}
NOT_FOR_UPLOADS = {"h5py", "IPython", "jinja2", "matplotlib", "onnx", "PIL", "polars", "redis", "rich", "sklearn"}
"""What ``lnn train`` of a dataset in a pipe does without: Rich draws on terminals, and a child reads the dataset."""

PROGRAM = """
import json, sys
from lnn_cli.main import app

sys.argv[1:] = json.loads(sys.argv[1])
try:
    app()
finally:
    print(json.dumps(sorted(sys.modules)))
"""


def modules_after(program: str, *arguments: str) -> set[str]:
    """The modules that a program has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]], ids=" ".join)
def test_a_help_imports_no_library_that_only_work_needs(words: list[str]) -> None:
    imported = modules_after(PROGRAM, json.dumps(words))
    assert "lnn_cli.commands.train" in imported
    assert imported & WORK == set()


def test_a_command_imports_no_other_command() -> None:
    imported = modules_after(PROGRAM, json.dumps(["train", "--help"]))
    assert {name for name in imported if name.startswith("lnn_cli.commands.")} == {"lnn_cli.commands.train"}


def test_training_in_a_pipe_imports_only_what_an_upload_needs(tmp_path: Path) -> None:
    dataset = REPOSITORY / "examples" / "digits" / "datasets.h5"
    # There is no cloud in that folder: the command ends before it would import what shows the progress.
    program = f"import os; os.environ['LNN_HOME'] = {str(tmp_path)!r}\nimport lnn_cli.ui.progress\n{PROGRAM}"
    imported = modules_after(program, json.dumps(["train", str(dataset), "--set", "epochs=1", "--wait"]))
    assert "lnn.job.hyperparameters" in imported, "the parameters are checked"
    assert imported & NOT_FOR_UPLOADS == set()


def test_commands_are_imported_on_demand_and_once() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    assert group.commands["train"] is group.commands["train"]
    assert {"train", "doctor", "model", "dataset"} < set(group.commands)
