"""What `make lint` says of the requirements' advisories: a vulnerability fails, a database out of reach does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lnn_tools.checks import advisories
from lnn_tools.errors import ToolError
from support.repository import REPOSITORY

HASH = "sha256:" + "0" * 64
PINNED = (
    f"Alpha_One==1.0 ; python_version < '3.12' \\\n    --hash={HASH}\nalpha-one==2.0 \\\n    --hash={HASH}\nbeta==3.1\n"
)
UNREACHABLE = (
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='index.example', port=443): Max retries exceeded"
)


class Stub:
    """A pip-audit that says what it is told to, and keeps what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requirements = folder / "requirements.txt"
        self.requirements.write_text(PINNED)

    def audit(self, answer: dict[str, Any] | None = None, error: str = "", status: int = 0) -> int:
        script = self.folder / "stub.py"
        script.write_text(
            "import pathlib, sys\n"
            f"asked = pathlib.Path({str(self.folder / 'asked')!r})\n"
            "asked.open('a').write(pathlib.Path(sys.argv[-1]).read_text() + '--\\n')\n"
            f"sys.stdout.write({json.dumps(answer) if answer else ''!r})\n"
            f"sys.stderr.write({error!r})\n"
            f"sys.exit({status})\n"
        )
        return advisories.audit([self.requirements], [sys.executable, str(script)])

    @property
    def asked(self) -> str:
        return (self.folder / "asked").read_text()


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    return Stub(tmp_path)


def test_a_known_vulnerability_fails_and_names_its_cure(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    advisory = {"id": "PYSEC-2026-1", "fix_versions": ["3.2"]}
    assert stub.audit({"dependencies": [{"name": "beta", "version": "3.1", "vulns": [advisory]}]}, status=1) == 1
    assert "beta 3.1: PYSEC-2026-1; fixed in 3.2" in capsys.readouterr().err


def test_a_database_out_of_reach_is_said_and_is_no_error(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    assert stub.audit(error=UNREACHABLE, status=1) == 0
    assert "cannot be reached; the requirements were not audited" in capsys.readouterr().err


def test_a_database_that_does_not_know_the_packages_is_said(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = {"name": "beta", "skip_reason": "Dependency not found on PyPI"}
    assert stub.audit({"dependencies": [unknown]}) == 0
    said = capsys.readouterr()
    assert "does not know 2 of 2 requirements" in said.err
    assert "no known vulnerability" not in said.out


def test_any_other_failure_of_the_audit_is_an_error(stub: Stub) -> None:
    with pytest.raises(ToolError, match="no such option"):
        stub.audit(error="no such option: --disable-pip", status=2)


def test_every_version_of_a_package_is_asked_about(stub: Stub) -> None:
    assert stub.audit({"dependencies": [{"name": "beta", "version": "3.1", "vulns": []}]}) == 0
    assert stub.asked == "alpha-one==1.0\nbeta==3.1\n--\nalpha-one==2.0\n--\n"


def test_files_without_a_pin_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n")
    assert advisories.audit([empty], ["false"]) == 1
    assert "no pinned requirement" in capsys.readouterr().err


def test_every_requirement_of_the_repository_is_found() -> None:
    files = [*(REPOSITORY / "requirements").glob("*.txt"), *(REPOSITORY / "layers").glob("*/requirements.txt")]
    lines = {line for file in files for line in file.read_text().splitlines() if line and line[0] not in " #-"}
    assert len(files) > 5
    unread = {line for line in lines if "==" not in line and " @ " not in line}
    assert unread == set()
    assert {"boto3", "numpy", "h5py", "pip-audit", "checkov"} <= advisories.pins(files).keys()


def test_lint_runs_the_audit_and_the_policy_check() -> None:
    lint = (REPOSITORY / "scripts" / "lint.sh").read_text()
    assert "lnn_tools.checks.advisories requirements/*.txt layers/*/requirements.txt" in lint
    assert "lnn_tools.checks.policies docs/deployer-policy*.json" in lint
    assert "lnn_tools.checks.policies docs/permissions-boundary.json" in lint
