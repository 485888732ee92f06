"""Looks up every pinned requirement in the advisory database: python -m lnn_tools.checks.advisories FILE...

A known vulnerability is an error. A database that cannot be reached, or does not know the packages, is only reported,
so that work goes on without a network. Nothing is resolved or installed.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lnn_tools.errors import ToolError, exit_status

PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
# The errors of requests and urllib3 for a host that cannot be reached.
UNREACHABLE = re.compile(r"ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Max retries exceeded")
TIMEOUT_SECONDS = 10


def pins(files: Iterable[Path]) -> dict[str, list[str]]:
    """The versions of each package that the files pin, for any Python and platform."""
    found: dict[str, set[str]] = {}
    for file in files:
        for name, version in PIN.findall(file.read_text()):
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(version)
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def rounds(found: dict[str, list[str]]) -> list[str]:
    """The pins as requirements files with one version of each package, since pip-audit takes no more."""
    most = max((len(versions) for versions in found.values()), default=0)
    return [
        "".join(f"{name}=={versions[index]}\n" for name, versions in found.items() if index < len(versions))
        for index in range(most)
    ]


def ask(requirements: str, command: Sequence[str]) -> list[dict[str, Any]] | None:
    """pip-audit's answer for each requirement; None if the database cannot be reached.

    Raises:
        ToolError: pip-audit failed for another reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(requirements)
        options = [
            "--disable-pip",
            "--no-deps",
            "--progress-spinner=off",
            "--format=json",
            f"--timeout={TIMEOUT_SECONDS}",
        ]
        done = subprocess.run(
            [*command, *options, "--requirement", str(file)], capture_output=True, text=True, check=False
        )
    if done.stdout.startswith("{"):
        answer: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        return answer
    if UNREACHABLE.search(done.stderr):
        return None
    raise ToolError(done.stderr.strip() or f"pip-audit ended with {done.returncode} and said nothing")


def audit(files: Sequence[Path], command: Sequence[str]) -> int:
    """Prints the known vulnerabilities of the files' pins; returns 1 if there are any, or no pins."""
    found = pins(files)
    if not found:
        print(f"audit: no pinned requirement in {', '.join(map(str, files)) or 'no file'}", file=sys.stderr)
        return 1
    answers: list[dict[str, Any]] = []
    for requirements in rounds(found):
        answer = ask(requirements, command)
        if answer is None:
            print("audit: the advisory database cannot be reached; the requirements were not audited", file=sys.stderr)
            return 0
        answers += answer
    vulnerable = [package for package in answers if package.get("vulns")]
    for package in vulnerable:
        for advisory in package["vulns"]:
            cure = f"; fixed in {', '.join(advisory['fix_versions'])}" if advisory["fix_versions"] else ""
            print(f"audit: {package['name']} {package['version']}: {advisory['id']}{cure}", file=sys.stderr)
    unknown = sum("skip_reason" in package for package in answers)
    if unknown:
        print(f"audit: the advisory database does not know {unknown} of {len(answers)} requirements", file=sys.stderr)
    if vulnerable:
        print("audit: pin a fixed version: make lock", file=sys.stderr)
        return 1
    if unknown < len(answers):
        print(f"audit: no known vulnerability in {len(answers) - unknown} requirements")
    return 0


def main() -> int:
    return audit([Path(name) for name in sys.argv[1:]], [sys.executable, "-m", "pip_audit"])


if __name__ == "__main__":
    sys.exit(exit_status("audit", main))
