"""`lnn --version` says which code it is."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from typing import TYPE_CHECKING

from lnn_cli.ui.version import of_checkout, version_text
from support.repository import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from support.aws_account import RunCli


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_version_has_the_commit_of_the_checkout(cli: RunCli) -> None:
    done = cli("--version")
    assert done.exit_code == 0
    assert done.stdout == f"lnn {version('lnn')} ({of_checkout(REPOSITORY)})\n"


def test_a_checkout_that_was_changed_says_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    git(tmp_path, "tag", "--annotate", "v9", "--message", "a tag, which is no commit")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert of_checkout(tmp_path) == commit
    (tmp_path / "code.py").write_text("a = 2\n")
    assert of_checkout(tmp_path) == f"{commit}-dirty"


def test_a_wheel_has_the_commit_that_it_was_built_from(tmp_path: Path) -> None:
    package = tmp_path / "site" / "packages" / "lnn_cli"
    package.mkdir(parents=True)
    assert version_text(package) == version("lnn")
    (package / "commit.txt").write_text("0123456789ab\n")
    assert version_text(package) == f"{version('lnn')} (0123456789ab)"
