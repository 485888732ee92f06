"""Asks the advisory database about every pinned requirement: python -m lnn_tools.checks.advisories FILE...

A known vulnerability is an error. A database that cannot be reached, or that does not know the packages, gets a line
and no error: work without a network goes on. Nothing is resolved or installed; the pins are what is asked about.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
# What requests and urllib3 say of a host that cannot be reached.
UNREACHABLE = re.compile(r"ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Max retries exceeded")
TIMEOUT_SECONDS = 10


class AuditError(Exception):
    """pip-audit failed in another way than by not reaching its database."""


def pins(files: Iterable[Path]) -> dict[str, list[str]]:
    """Versions of each package that any of the files pins, whatever the Python or platform."""
    found: dict[str, set[str]] = {}
    for file in files:
        for name, version in PIN.findall(file.read_text()):
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(version)
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def rounds(found: dict[str, list[str]]) -> list[str]:
    """The pins as requirements files, each with one version of a package: pip-audit takes no more."""
    most = max((len(versions) for versions in found.values()), default=0)
    return [
        "".join(f"{name}=={versions[index]}\n" for name, versions in found.items() if index < len(versions))
        for index in range(most)
    ]


def ask(requirements: str, command: Sequence[str]) -> list[dict[str, Any]] | None:
    """What the database knows of each requirement; None where it cannot be reached.

    Raises:
        AuditError: with what pip-audit says.
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
    raise AuditError(done.stderr.strip() or f"pip-audit ended with {done.returncode} and said nothing")


def audit(files: Sequence[Path], command: Sequence[str]) -> int:
    """Prints what the database says of the files' pins; 1 where it knows a vulnerability."""
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
            cure = f"; mended in {', '.join(advisory['fix_versions'])}" if advisory["fix_versions"] else ""
            print(f"audit: {package['name']} {package['version']}: {advisory['id']}{cure}", file=sys.stderr)
    unknown = sum("skip_reason" in package for package in answers)
    if unknown:
        print(f"audit: the advisory database does not know {unknown} of {len(answers)} requirements", file=sys.stderr)
    if vulnerable:
        print("audit: pin a version that is mended: make lock", file=sys.stderr)
        return 1
    if unknown < len(answers):
        print(f"audit: no known vulnerability in {len(answers) - unknown} requirements")
    return 0


def main() -> int:
    """Audits the files that the command names."""
    try:
        return audit([Path(name) for name in sys.argv[1:]], [sys.executable, "-m", "pip_audit"])
    except AuditError as error:
        print(f"audit: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
