"""Errors, help and the start of the command."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.core import TyperGroup
from typer.main import get_group

from lnn_cli.main import app
from lnn_cli.ui.errors import explain
from support.repository import REPOSITORY

if TYPE_CHECKING:
    from support.aws_account import RunCli, World


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))


COMMANDS = list(commands(get_group(app)))
SCREEN = (80, 40)
UNITS = {
    ("train",): ["SECONDS"],
    ("stop",): ["SECONDS"],
    ("resume",): ["SECONDS"],
    ("watch",): ["SECONDS", "epochs/s", "US dollars"],
    ("estimate",): ["seconds", "dollars", "MB"],
    ("report",): ["seconds", "US dollars"],
    ("compare",): ["seconds", "milliseconds", "US dollars"],
    ("export",): ["shares of 1", "seconds"],
    ("history",): ["percent", "shares of 1", "milliseconds"],
    ("runs",): ["seconds"],
    ("show",): ["US dollars"],
    ("dataset", "from-images"): ["pixels"],
}
"""What a command takes or prints that has a unit."""


def test_the_commands_are_found() -> None:
    assert {("train",), ("report",), ("dataset", "from-images")} < set(COMMANDS)
    assert set(UNITS) < set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_in_its_help(cli: RunCli, command: tuple[str, ...]) -> None:
    result = cli(*command, "--help")
    assert result.exit_code == 0
    assert f"Example: lnn {' '.join(command)}" in result.output


def test_every_command_is_named_in_full_in_the_help_of_its_group(cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for group in ((), ("dataset",)):
        listed = {line.split()[0] for line in cli(*group, "--help").output.splitlines() if line.startswith("  ")}
        assert {command[-1] for command in COMMANDS if command[:-1] == group} <= listed


@pytest.mark.parametrize("command", [(), *COMMANDS], ids=" ".join)
def test_every_example_is_one_that_the_command_understands(cli: RunCli, command: tuple[str, ...]) -> None:
    (example,) = re.findall(r"Example: (.+)", cli(*command, "--help").output.replace("\u2502", ""))
    for line in example.split("&&"):
        words = shlex.split(line.partition(">")[0])
        assert words.pop(0) == "lnn"
        group: Any = get_group(app)
        while isinstance(group, TyperGroup) and words:
            group = group.commands[words.pop(0)]
        group.make_context("lnn", words)


@pytest.mark.parametrize("command", [(), *COMMANDS], ids=" ".join)
def test_every_help_fits_a_screen(cli: RunCli, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    columns, lines = SCREEN
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", columns)
    shown = cli(*command, "--help").output.rstrip().splitlines()
    assert max(map(len, shown)) <= columns
    assert len(shown) <= lines
    assert [line for line in shown if "\u2026" in line] == [], "cut off"


@pytest.mark.parametrize("command", UNITS, ids=" ".join)
def test_a_help_names_the_units(cli: RunCli, command: tuple[str, ...]) -> None:
    words = " ".join(cli(*command, "--help").output.replace("\u2502", " ").split())
    assert [unit for unit in UNITS[command] if unit not in words] == []


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_their_options(shell: str) -> None:
    def completions(*words: str) -> str:
        line = " ".join(("lnn", *words))
        asked = {
            "_LNN_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words)),
        }
        lnn = Path(sys.executable).with_name("lnn")
        done = subprocess.run(
            [lnn], env={**os.environ, **asked}, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    assert "compare" in completions("com")
    if shell == "bash":
        assert "from-images" in completions("dataset", "f")
        assert "--format" in completions("export", "--f")


def test_help_and_completion_do_not_load_what_only_pictures_and_exports_need() -> None:
    heavy = ("matplotlib", "jinja2", "onnx", "safetensors", "tensorboardX", "h5py", "boto3", "PIL")
    program = f"import sys, lnn_cli.main; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_is_in_the_readme(command: tuple[str, ...]) -> None:
    readme = REPOSITORY / "cli" / "README.md"
    assert f"`lnn {' '.join(command)}" in readme.read_text()


def test_the_command_alone_prints_its_help(cli: RunCli) -> None:
    result = cli()
    assert result.exit_code == 0
    assert "lnn dataset example digits" in result.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["bogus"], "bogus"),
        (["train"], "DATA"),
        (["runs", "--color"], "--color"),
        (["runs", "--limit", "many"], "--limit"),
        (["runs", "--target", "moon"], "moon"),
        (["dataset", "bogus"], "bogus"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_status_2(cli: RunCli, arguments: list[str], named: str) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert named in line
    assert "--help" in line


def test_the_local_cloud_that_never_ran_says_make_up(cli: RunCli) -> None:
    result = cli("runs", "--target", "local")
    assert result.exit_code == 1
    assert result.stderr == "error: the local cloud is not running; start it with: make up\n"


@pytest.fixture
def stopped_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int) -> int:
    """A description of a local cloud that does not listen any more; returns its port."""
    description = {
        "endpoint": f"http://127.0.0.1:{unused_port}",
        "region": "us-east-1",
        "prefix": "lnn",
        "account": "000000000000",
        "redis": {"host": "127.0.0.1", "port": unused_port},
        "credentials": {"access_key_id": "a", "secret_access_key": "b"},
    }
    (tmp_path / "cloud.json").write_text(json.dumps(description))
    monkeypatch.setenv("LNN_HOME", str(tmp_path))
    monkeypatch.setenv("LNN_TARGET", "local")
    return unused_port


@pytest.mark.parametrize("arguments", [["runs"], ["show", "latest"], ["watch", "latest"], ["predict", "x.png"]])
def test_the_local_cloud_that_was_stopped_says_make_up(cli: RunCli, stopped_cloud: int, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert f"127.0.0.1:{stopped_cloud}" in line
    assert "make up" in line


@pytest.mark.parametrize("content", ["{", "[]", '{"endpoint": "http://127.0.0.1:1"}'])
def test_a_damaged_description_says_which_file(cli: RunCli, stopped_cloud: int, tmp_path: Path, content: str) -> None:
    (tmp_path / "cloud.json").write_text(content)
    result = cli("runs")
    assert result.exit_code == 1
    assert "cloud.json" in result.stderr


def test_no_credentials_says_how_to_get_some(cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = cli("runs")
    assert result.exit_code == 1
    assert "aws configure" in result.stderr


def test_no_region_says_which_option(cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    result = cli("runs")
    assert result.exit_code == 1
    assert "--region" in result.stderr


def test_an_unknown_profile_is_named(cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")
    result = cli("runs")
    assert result.exit_code == 1
    assert "work" in result.stderr
    assert "AWS_PROFILE" in result.stderr


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("AccessDeniedException", "refused GetItem"),
        ("ResourceNotFoundException", "lnn doctor"),
        ("ExpiredTokenException", "expired"),
        ("InvalidClientTokenId", "does not know these credentials"),
        ("ValidationException", "ValidationException: what AWS says"),
    ],
)
def test_an_answer_of_aws_becomes_one_line_with_a_remedy(code: str, says: str) -> None:
    from botocore.exceptions import ClientError

    line = explain(ClientError({"Error": {"Code": code, "Message": "what\nAWS says"}}, "GetItem"))
    assert says in line
    assert "\n" not in line


def test_a_failed_upload_is_explained_by_its_cause() -> None:
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import ClientError

    error = S3UploadFailedError("Failed to upload")
    error.__context__ = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
    assert "refused PutObject" in explain(error)


def test_an_error_nobody_thought_of_names_its_kind_and_not_its_lines(
    cli: RunCli, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lnn.runs.store import Ledger

    def fail(self: Ledger) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(Ledger, "list_runs", fail)
    result = cli("runs")
    assert result.exit_code == 1
    assert result.stderr == "error: unexpected ZeroDivisionError: by zero; LNN_DEBUG=1 shows where it comes from\n"


def test_starting_imports_nothing_heavy() -> None:
    heavy = {"boto3", "botocore", "h5py", "numpy", "PIL", "pydantic", "redis", "rich"}
    program = f"import sys, lnn_cli.main; print(sorted({heavy!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
