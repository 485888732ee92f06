"""Errors, help and the start of the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lnn_cli.errors import explain

if TYPE_CHECKING:
    from .conftest import RunCli, World

COMMANDS = [
    *(("train",), ("upload",), ("runs",), ("show",), ("history",), ("watch",), ("stop",), ("resume",)),
    *(("predict",), ("dataset",), ("dataset", "check"), ("dataset", "example"), ("dataset", "from-images")),
    ("doctor",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_in_its_help(cli: RunCli, command: tuple[str, ...]) -> None:
    result = cli(*command, "--help")
    assert result.exit_code == 0
    assert f"Example: lnn {' '.join(command)}" in result.output


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_is_in_the_readme(command: tuple[str, ...]) -> None:
    readme = Path(__file__).parents[3] / "cli" / "README.md"
    assert f"`lnn {' '.join(command)}" in readme.read_text()


def test_the_command_alone_prints_its_help(cli: RunCli) -> None:
    result = cli()
    assert result.exit_code == 0
    assert "lnn dataset example digits" in result.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["bogus"], "bogus"),
        (["train"], "DATASET.h5"),
        (["runs", "--colour"], "--colour"),
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
    from lnn.ledger import Ledger

    def fail(self: Ledger) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(Ledger, "list_runs", fail)
    result = cli("runs")
    assert result.exit_code == 1
    assert result.stderr == "error: unexpected ZeroDivisionError: by zero; LNN_DEBUG=1 shows where it comes from\n"


def test_starting_imports_nothing_heavy() -> None:
    heavy = {"boto3", "botocore", "h5py", "numpy", "PIL", "pydantic", "redis"}
    program = f"import sys, lnn_cli.main; print(sorted({heavy!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
