"""The version of the command, with the commit that it comes from."""

import json
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
COMMIT = "commit.txt"
"""What `make wheel` puts into the package, since a wheel has no history."""
_GIT_SECONDS = 10.0


def version_text(package: Path = PACKAGE) -> str:
    """Such as `0.2.0 (d803b91c0de1)`; `-dirty` behind the commit says that files differ from it."""
    commit = of_checkout(package.parents[1]) or _of_wheel(package) or _of_install()
    return distribution("lnn").version + (f" ({commit})" if commit else "")


def of_checkout(root: Path) -> str:
    """The commit of the checkout at ``root``; empty where there is none, or no git."""
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command, and the folder that holds this file
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _of_wheel(package: Path) -> str:
    path = package / COMMIT
    return path.read_text().strip() if path.is_file() else ""


def _of_install() -> str:
    """The commit that pip notes of an installation from a repository's address (PEP 610)."""
    try:
        noted = distribution("lnn").read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    return str(json.loads(noted or "{}").get("vcs_info", {}).get("commit_id", ""))[:12]
