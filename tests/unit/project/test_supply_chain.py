"""Nothing is installed but what the repository names by hash: Python packages and Terraform's provider."""

from __future__ import annotations

import ast
import hashlib
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml
from packaging.requirements import Requirement

from lnn_tools.errors import ToolError
from lnn_tools.installation import pip
from support.repository import REPOSITORY

PINS = sorted([*REPOSITORY.glob("requirements/*.txt"), *REPOSITORY.glob("layers/*/requirements.txt")])
LOCK = REPOSITORY / "terraform" / ".terraform.lock.hcl"
# Every platform that provider 5.100 has builds for; windows_amd64 and both architectures of Linux and macOS among them.
PLATFORMS = 14


def entries(pins: Path) -> list[tuple[Requirement, list[str]]]:
    """Each pin of a file, with its hashes."""
    found = []
    for line in re.sub(r"\\\n\s*", "", pins.read_text()).splitlines():
        if line and not line.startswith("#"):
            requirement, *hashes = line.split("--hash=")
            found.append((Requirement(requirement), [digest.strip() for digest in hashes]))
    return found


def statements(script: Path) -> Iterator[str]:
    """The lines of a shell script or Makefile, continued ones whole, without messages and comments."""
    for line in re.sub(r"\\\n\s*", "", script.read_text()).splitlines():
        if not line.strip().startswith(("#", "echo ")):
            yield line


def python_installs(script: Path) -> Iterator[set[str]]:
    """The words of each Python function that runs pip."""
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.FunctionDef):
            words = {
                part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
            }
            if {"-m", "pip"} <= words:
                yield words


@pytest.mark.parametrize("pins", PINS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_pin_is_of_one_version_and_has_the_hashes_of_its_files(pins: Path) -> None:
    assert entries(pins), "an empty file would hold nothing to anything"
    for requirement, hashes in entries(pins):
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert hashes, f"{requirement.name} has no hash: make lock"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


@pytest.mark.parametrize("pins", PINS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_file_of_pins_names_no_place_to_fetch_from(pins: Path) -> None:
    assert not [line for line in pins.read_text().splitlines() if "://" in line or line.startswith("-")]


def test_every_requirement_that_is_written_by_hand_is_pinned() -> None:
    for written in [*REPOSITORY.glob("requirements/*.in"), *REPOSITORY.glob("layers/*/*.in")]:
        pinned = {requirement.name.lower() for requirement, _ in entries(written.with_suffix(".txt"))}
        lines = [line for line in written.read_text().splitlines() if line and not line.startswith(("#", "-"))]
        assert {Requirement(line).name.lower() for line in lines} <= pinned, written.name


def test_the_benchmarks_torch_may_be_pypis_or_pytorchs_build_for_cpus() -> None:
    (hashes,) = (
        hashes for requirement, hashes in entries(REPOSITORY / "requirements/bench.txt") if requirement.name == "torch"
    )
    listed = (REPOSITORY / "requirements" / "torch-cpu.sha256").read_text().splitlines()
    cpu = {f"sha256:{line.split()[0]}" for line in listed if not line.startswith("#")}
    assert cpu < set(hashes)


def test_every_shell_command_that_installs_packages_checks_their_hashes() -> None:
    scripts = [
        *REPOSITORY.glob("scripts/*.sh"),
        *REPOSITORY.glob("terraform/**/*.sh"),
        *REPOSITORY.glob(".github/**/*.y*ml"),
    ]
    lines = [
        line for script in [*scripts, REPOSITORY / "Makefile", REPOSITORY / ".ci/run"] for line in statements(script)
    ]
    calls = [
        line
        for line in lines
        if re.search(r"\$\{pip\[@\]\}|\bpip3? .*\binstall\b|^pinned=", line) and "pip=(" not in line
    ]
    assert len(calls) >= 6
    for call in calls:
        checked = "--require-hashes" in call or "${pinned[@]}" in call
        # pip hashes no folder; this one is the repository itself, and nothing comes with it.
        ourselves = all(option in call for option in ("--editable", "--no-deps", "--no-build-isolation"))
        assert checked or ourselves or "check >/dev/null" in call, call


def test_every_python_function_that_installs_packages_checks_their_hashes() -> None:
    files = [
        *REPOSITORY.glob("scripts/**/*.py"),
        *REPOSITORY.glob("tests/**/conftest.py"),
        *REPOSITORY.glob("benchmarks/**/*.py"),
    ]
    found = [(file.name, words) for file in files for words in python_installs(file)]
    assert {name for name, _ in found} == {"installation.py"}
    for name, words in found:
        # A source distribution is built with a backend that no file of pins names.
        assert {"--require-hashes", "--only-binary=:all:", "--no-deps"} <= words, name


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that pins one package, which lies on this disk."""
    wheel = tmp_path / "index" / "thing-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing.py", "")
        archive.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        archive.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("thing-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    file = tmp_path / "pins.txt"
    file.write_text(f"thing==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    return file


@pytest.mark.slow
@pytest.mark.parametrize("spoiled", ["thing==1.0\n", f"thing==1.0 --hash=sha256:{'0' * 64}\n"], ids=["none", "another"])
def test_a_package_without_its_hash_is_not_installed(spoiled: str, pins: Path, tmp_path: Path) -> None:
    pip("install", pins, "--target", str(tmp_path / "first"))
    assert (tmp_path / "first" / "thing.py").exists()

    pins.write_text(spoiled)
    with pytest.raises(ToolError, match=r"(?i)hash"):
        pip("install", pins, "--target", str(tmp_path / "second"))
    assert not (tmp_path / "second").exists()


@pytest.mark.slow
def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """The steps of every workflow, each with its job."""
    for path in (REPOSITORY / ".github" / "workflows").glob("*.yml"):
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            yield from ((f"{path.name}: {name}", step) for step in job["steps"])


def test_every_action_is_pinned_by_its_commit_and_says_of_which_version_that_is() -> None:
    text = "".join(path.read_text() for path in (REPOSITORY / ".github" / "workflows").glob("*.yml"))
    used = [step["uses"] for _, step in steps() if "uses" in step]
    assert len(used) >= 3
    assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)] == []
    assert len(re.findall(r"uses: \S+ # v\d+\.\d+\.\d+\n", text)) == len(used)


def test_workflows_run_make_s_targets_and_what_must_be_green_alone() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    commands = {step["run"] for _, step in steps() if "run" in step}
    assert ".ci/run" in commands
    assert {command for command in commands if command.removeprefix("make ") not in targets} == {".ci/run"}


def test_terraforms_provider_is_locked_by_the_hashes_of_every_platform() -> None:
    (provider,) = hcl2.loads(LOCK.read_text())["provider"]
    ((name, locked),) = provider.items()
    assert name.strip('"') == "registry.terraform.io/hashicorp/aws"
    hashes = [digest.strip('"') for digest in locked["hashes"]]
    assert len([digest for digest in hashes if digest.startswith("h1:")]) == PLATFORMS
    # One for each zip that is signed, and for their manifest.
    assert len([digest for digest in hashes if digest.startswith("zh:")]) == PLATFORMS + 1
    assert LOCK.name not in (REPOSITORY / ".gitignore").read_text().splitlines()
