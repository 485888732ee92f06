"""Names and reasons from anyone are printed as text: no markup, and unsafe characters as escapes."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from lnn.data.dataset import write_dataset
from lnn.models.model_file import encode_model
from lnn.text.characters import escaped, unsafe
from lnn_cli.ui import console
from lnn_cli.ui.errors import CliError, explain
from support.aws_account import RunCli
from support.models import brightness_model
from support.odd_names import NO_NAMES, REAL_NAMES
from support.repository import REPOSITORY

CLI = REPOSITORY / "cli" / "lnn_cli"
TEXTS = REAL_NAMES | NO_NAMES
BESIDE_THE_CONSOLE = {
    "ui/console.py": "the home of printing",
    "ui/help.py": "prints the command's own help",
    "main.py": "prints the command's own help and its version",
}


def progress(text: str) -> None:
    with Progress(TextColumn("{task.description}", markup=False), console=console.output()) as bar:
        bar.add_task(escaped(text), total=1)


def grid(text: str) -> None:
    table = Table.grid()
    table.add_row(text)
    console.output().print(table)


WAYS: dict[str, Callable[[str], None]] = {
    "a remark": console.note,
    "an answer": console.say,
    "a table": lambda text: console.print_table(("name",), [[text]]),
    "a styled cell": lambda text: console.print_table(("name",), [[Text(text, style="red")]]),
    "a heading": lambda text: console.print_table((text,), [["x"]]),
    "a pair": lambda text: console.print_pairs([("name", text)]),
    "a warning": lambda text: console.tell_warnings([text]),
    "a line": lambda text: console.output().print(text, soft_wrap=True),
    "a styled line": lambda text: console.messages().print(text, style="dim", soft_wrap=True),
    "pieces of a line": lambda text: console.output().print(Text.assemble("a ", (text, "red")), soft_wrap=True),
    "a grid": grid,
    "a progress bar": progress,
}
OF_RICH = {"a styled cell", "pieces of a line", "a grid", "a progress bar"}


@pytest.mark.parametrize("way", WAYS)
def test_a_text_reaches_the_terminal_as_text(way: str, capfd: pytest.CaptureFixture[str]) -> None:
    for name, text in TEXTS.items():
        WAYS[way](text)
        printed = "".join(capfd.readouterr())
        assert not [character for character in printed if unsafe(character) and character != "\n"], name
        # Rich drops a few controls of its own styled texts.
        whole = escaped(text) in printed or escaped(text, keep="\n") in printed
        assert whole or (name in NO_NAMES and way in OF_RICH), name


def test_an_error_with_a_text_of_a_user_is_one_line_and_keeps_its_blanks() -> None:
    for text in TEXTS.values():
        assert "\n" not in explain(CliError(f"class {text}: no"))
    assert explain(CliError(f"class {REAL_NAMES['ideographic space']}:\n no")) == "class \u732b\u3000\u72ac: no"


def test_json_says_the_text_itself(capfd: pytest.CaptureFixture[str]) -> None:
    console.print_json(TEXTS)
    out, _ = capfd.readouterr()
    assert json.loads(out) == TEXTS
    assert not [character for character in out if unsafe(character) and character != "\n"]


def test_nothing_else_in_the_command_writes_to_the_terminal() -> None:
    """Whoever printed past ``lnn_cli.ui.console`` would print markup and controls."""
    found = []
    for path in sorted(CLI.rglob("*.py")):
        name = path.relative_to(CLI).as_posix()
        if name in BESIDE_THE_CONSOLE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            written = called.rpartition(".")[2] in ("echo", "secho", "Console") or called.startswith(
                ("print(", "sys.stdout.w", "sys.stderr.w", "rich.print")
            )
            if written or called == "print" or called.endswith("from_markup"):
                found.append(f"{name}:{node.lineno}: {called}")
    assert found == []


NAMES = [*REAL_NAMES.values()]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A dataset, a model and a picture, with a class for each name."""
    count = len(NAMES)
    x = np.arange(count * 16, dtype=np.uint8).reshape(count, 4, 4)
    write_dataset(tmp_path / "d.h5", x, np.arange(count), x, np.arange(count), NAMES)
    layer = (np.eye(count, 16), np.zeros((count, 1)))
    model = replace(
        brightness_model(), parameters=[layer], activations=["softmax"], list_classes=NAMES, value_range=(0.0, 255.0)
    )
    (tmp_path / "m.h5").write_bytes(encode_model(model))
    Image.fromarray(x[1]).save(tmp_path / "p.png")
    return tmp_path


def test_dataset_check_prints_every_name(cli: RunCli, files: Path) -> None:
    result = cli("dataset", "check", str(files / "d.h5"))
    assert result.exit_code == 0, result.output
    printed = "".join(result.stdout.split())
    assert [name for name in NAMES if "".join(name.split()) not in printed] == []


def test_evaluate_and_predict_print_every_name(cli: RunCli, files: Path) -> None:
    result = cli("evaluate", str(files / "d.h5"), "--model", str(files / "m.h5"), "--worst", "99", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["classes"] == NAMES
    result = cli("evaluate", str(files / "d.h5"), "--model", str(files / "m.h5"), "--worst", "99")
    assert result.exit_code == 0, result.output
    assert "[other]" in result.stdout
    assert "[/x]" in result.stdout
    result = cli("predict", str(files / "p.png"), "--model", str(files / "m.h5"))
    assert result.exit_code == 0, result.output
