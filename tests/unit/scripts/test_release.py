"""`make release` publishes what is tagged, built and written down, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lnn_tools import release
from lnn_tools.errors import ToolError
from support.repository import REPOSITORY

CHANGELOG = """# Changelog

## Unreleased

- Tomorrow's.

## [0.2.0] - 2026-11-30

### Added
- Today's.

## [0.1.0] - unreleased

- Yesterday's.
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository at a tagged commit of version 0.2.0, and a `gh` that writes down what it is called with."""
    root = tmp_path / "tree"
    (root / "dist").mkdir(parents=True)
    (root / "dist" / "lnn-0.2.0-py3-none-any.whl").touch()
    (root / "pyproject.toml").write_text('[project]\nname = "lnn"\nversion = "0.2.0"\n')
    (root / "CHANGELOG.md").write_text(CHANGELOG)
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "All")
    git(root, "tag", "v0.2.0")
    commands = tmp_path / "commands"
    commands.mkdir()
    gh = commands / "gh"
    gh.write_text(
        '#!/usr/bin/env python3\nimport json, sys\nopen(sys.argv[0] + ".json", "w").write(json.dumps(sys.argv[1:]))\n'
    )
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    return root


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(root), *arguments], check=True)


def published(root: Path) -> list[str] | None:
    told = root.parent / "commands" / "gh.json"
    return json.loads(told.read_text()) if told.exists() else None


def test_a_tagged_commit_is_published_with_its_part_of_the_changelog(tree: Path) -> None:
    release.main(tree)
    assert published(tree) == [
        *("release", "create", "v0.2.0", str(tree / "dist" / "lnn-0.2.0-py3-none-any.whl"), "--verify-tag"),
        *("--title", "v0.2.0", "--notes", "### Added\n- Today's."),
    ]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda root: git(root, "tag", "-d", "v0.2.0"), "this commit has no tag v0.2.0"),
        (lambda root: (root / "dist" / "lnn-0.2.0-py3-none-any.whl").unlink(), "dist/ has no wheel of 0.2.0"),
        (
            lambda root: (root / "CHANGELOG.md").write_text(CHANGELOG.replace("[0.2.0]", "[0.3.0]")),
            "CHANGELOG.md has no part for 0.2.0",
        ),
        (
            lambda root: (root / "CHANGELOG.md").write_text(CHANGELOG.replace("2026-11-30", "unreleased")),
            "CHANGELOG.md has no date for 0.2.0",
        ),
        (
            lambda root: (root / "CHANGELOG.md").write_text(CHANGELOG.replace("Today's", "Another's")),
            "CHANGELOG.md is not as the tag has it",
        ),
    ],
    ids=["no tag", "no wheel", "no part", "no date", "a change"],
)
def test_what_disagrees_is_not_published(tree: Path, spoil: object, says: str) -> None:
    spoil(tree)  # type: ignore[operator]
    with pytest.raises(ToolError, match=says):
        release.main(tree)
    assert published(tree) is None


def test_a_refusal_of_github_is_told(tree: Path) -> None:
    (tree.parent / "commands" / "gh").write_text("#!/bin/sh\necho 'no permission' >&2\nexit 4\n")
    with pytest.raises(ToolError, match="gh release create: no permission"):
        release.main(tree)


def test_the_changelog_has_the_notes_of_this_version_and_every_place_names_it() -> None:
    version = release.tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert "### Added" in release.notes_of((REPOSITORY / "CHANGELOG.md").read_text(), version)
    assert f"\nversion: {version}\n" in (REPOSITORY / "CITATION.cff").read_text()
