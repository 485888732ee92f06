"""`make release`: publishes the tagged commit's wheel on GitHub, with its part of the changelog as the notes."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from lnn_tools.errors import ToolError, exit_status

ROOT = Path(__file__).resolve().parents[2]


def main(root: Path = ROOT) -> None:
    """Raises ToolError where the tag, the version, the changelog and the files disagree: then nothing is published."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    tag = f"v{version}"
    if tag not in output(root, "git", "tag", "--points-at", "HEAD").split():
        raise ToolError(f"this commit has no tag {tag}, the version of pyproject.toml: git tag {tag}")
    notes = notes_of((root / "CHANGELOG.md").read_text(), version)
    wheels = [str(path) for path in (root / "dist").glob(f"lnn-{version}-*.whl")]
    if not wheels:
        raise ToolError(f"dist/ has no wheel of {version}: make wheel")
    if changed := output(root, "git", "diff", "--name-only", "HEAD").split():  # the wheel would have it, too
        raise ToolError(f"{', '.join(changed)} is not as the tag has it: commit and tag it, or git restore it")
    output(root, "gh", "release", "create", tag, *wheels, "--verify-tag", "--title", tag, "--notes", notes)


def notes_of(changelog: str, version: str) -> str:
    """What the changelog says of a version. Raises ToolError where it has no such part, or one without a date."""
    parts = re.split(r"^## ", changelog, flags=re.MULTILINE)
    for heading, _, text in (part.partition("\n") for part in parts):
        if heading.startswith(f"[{version}]"):
            if not re.fullmatch(r".* - \d{4}-\d\d-\d\d", heading):
                raise ToolError(f"CHANGELOG.md has no date for {version}: write `## [{version}] - YYYY-MM-DD`")
            return text.strip()
    raise ToolError(f"CHANGELOG.md has no part for {version}: give its changes the heading `## [{version}] - date`")


def output(root: Path, *command: str) -> str:
    """What a command prints. Raises ToolError with what it says when it fails."""
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise ToolError(f"{command[0]} is not installed") from missing
    if done.returncode:
        raise ToolError(f"{' '.join(command[:3])}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(exit_status("release", main))
