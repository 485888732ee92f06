"""The security rules are on, and each place where one is off says why."""

from __future__ import annotations

import re
import tomllib

from support.repository import REPOSITORY

RULE = r"S\d{3}"


def test_the_security_rules_are_on() -> None:
    lint = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert not [rule for rule in lint["ignore"] if re.match(RULE, rule)]
    assert "S" not in {rule for rules in lint["per-file-ignores"].values() for rule in rules}


def test_every_security_rule_that_is_off_for_a_folder_has_its_reason() -> None:
    lines = [
        line for line in (REPOSITORY / "pyproject.toml").read_text().splitlines() if re.match(rf'\s+"{RULE}"', line)
    ]
    assert lines
    assert not [line for line in lines if not re.search(r"# \S.{5,}", line)]


def test_every_security_rule_that_is_off_in_a_line_has_its_reason() -> None:
    files = [
        path
        for folder in ("benchmarks", "cli", "client", "functions", "scripts", "terraform", "tests")
        for path in (REPOSITORY / folder).rglob("*.py")
    ]
    lines = [line for path in files for line in path.read_text().splitlines() if re.search(rf"# noqa: {RULE}", line)]
    assert lines
    assert not [line for line in lines if not re.search(rf"# noqa: {RULE} (- \S.{{5,}}|\(.{{5,}}\))$", line)]
