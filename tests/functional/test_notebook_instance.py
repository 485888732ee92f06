"""A notebook instance's start, run for real in a folder of its own; what only Amazon Linux has is stood in for."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lnn_tools.errors import ToolError
from lnn_tools.packaging.notebook_bundle import build, pinned
from support.repository import REPOSITORY

MODULE = REPOSITORY / "terraform" / "modules" / "notebook"

# A package that tells how its `install` was called stands for ipykernel: the real one brings fifty others.
KERNEL_PACKAGE = "import json, sys; print('kernel', json.dumps(sys.argv[1:]))"
# What hatchling does with the repository: a path file.
BACKEND = """
import zipfile
from pathlib import Path


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "lnn-0.0.1-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as wheel:
        wheel.writestr("lnn.pth", str(Path("functions").resolve()) + "\\n")
        wheel.writestr("lnn-0.0.1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: lnn\\nVersion: 0.0.1\\n")
        wheel.writestr("lnn-0.0.1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("lnn-0.0.1.dist-info/RECORD", "")
    return name
"""
STAND_INS = {
    "aws": 'echo "aws $*" >>"$CALLS"; cp "$BUNDLE" "${@: -1}"',
    "dnf": 'echo "dnf $*" >>"$CALLS"',
    "sudo": '[[ "$1 $2 $3" == "--user=somebody --set-home --" ]] || exit 9; shift 3; HOME=$HOME_FOLDER exec "$@"',
    "systemd-run": 'echo "systemd-run $*" >>"$CALLS"',
}


def wheel(folder: Path, name: str, source: str) -> None:
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/__init__.py", "")
        archive.writestr(f"{name}/__main__.py", source)
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")


def pin(folder: Path, name: str) -> str:
    """The line of a requirements file for a wheel that `wheel` made."""
    digest = hashlib.sha256((folder / f"{name}-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    return f"{name}==1.0 --hash=sha256:{digest}"


@dataclass
class Instance:
    """A folder that stands for a notebook instance, and the repository whose bundle it fetches."""

    root: Path
    repository: Path

    @property
    def calls(self) -> list[str]:
        return (self.root / "calls").read_text().splitlines()

    @property
    def home(self) -> Path:
        return self.root / "home" / "SageMaker"

    def bundle(self) -> Path:
        """Builds the repository's bundle, from wheels that lie where a download would leave them."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return build(self.repository, f"python{version}")

    def start(self) -> str:
        """Starts the instance; what its set-up logged."""
        bundle = self.bundle()
        (self.root / "calls").write_text("")
        settings = {
            "AWS_REGION": "eu-west-1",
            "BUNDLE_KEY": "notebook/bundle.zip",
            "BUNDLE_SHA256": hashlib.sha256(bundle.read_bytes()).hexdigest(),
            "HOME_FOLDER": str(self.root / "home"),
            "IDLE_MINUTES": "45",
            "IDLE_STOP": base64.b64encode((MODULE / "idle_stop.py").read_bytes()).decode(),
            "LNN_BUCKET": "team-bucket",
            "LNN_ENGINE": "a value with $pecial and spaces",
            "NOTEBOOK": "team-notebook",
            "OWNER": "somebody",
            "PYTHON": sys.executable,
            "SYSTEM_FOLDER": str(self.root / "opt"),
        }
        # As Terraform puts it together.
        lines = ["#!/usr/bin/env bash", *(f"export {name}='{value}'" for name, value in settings.items())]
        script = self.root / "script"
        script.write_text("\n".join([*lines, (MODULE / "on_start.sh").read_text()]))
        environment = {"PATH": f"{self.root / 'bin'}:{os.environ['PATH']}", "CALLS": str(self.root / "calls")}
        log = self.home / "lnn-setup.log"
        log.unlink(missing_ok=True)
        done = subprocess.run(
            ["bash", script],
            env=environment | {"BUNDLE": str(bundle)},
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
        assert done.returncode == 0, done.stderr
        # The set-up goes on after the script.
        wait_for(lambda: log.exists() and "the kernel LNN" in log.read_text())
        return log.read_text()


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def new_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance that has never been started, and a repository of little."""
    root = tmp_path_factory.mktemp("instance")
    for folder in ("bin", "home/SageMaker"):
        (root / folder).mkdir(parents=True)
    for name, lines in STAND_INS.items():
        (root / "bin" / name).write_text(f"#!/usr/bin/env bash\n{lines}\n")
        (root / "bin" / name).chmod(0o755)
    repository = tmp_path_factory.mktemp("repository")
    index = tmp_path_factory.mktemp("index")
    wheel(index, "ipykernel", KERNEL_PACKAGE)
    files = {
        "LICENSE": "",
        "README.md": "",
        "cli/lnn_cli/main.py": "",
        "client/lnn_client/cloud.py": "",
        "examples/digits/README.md": "",
        "functions/backend.py": BACKEND,
        "functions/lnn/__init__.py": "VERSION = 1\n",
        "functions/lnn/__pycache__/lnn.cpython-313.pyc": "",
        "notebooks/Introduction.ipynb": json.dumps({"cells": [], "metadata": {"kernelspec": {"name": "python3"}}}),
        "parameters.json": "{}",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["functions"]\n',
        "requirements/notebooks.txt": f"{pin(index, 'ipykernel')}\nwinonly==1.0 ; sys_platform == 'win32'\n",
    }
    for name, text in files.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(index))
        yield Instance(root, repository)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with new_instance(tmp_path_factory) as made:
        yield made


@pytest.fixture
def own_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A started instance for a test that changes it."""
    with new_instance(tmp_path_factory) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def first_log(instance: Instance) -> str:
    """What the first start logged."""
    return instance.start()


def test_the_first_start_installs_the_code_into_an_environment_of_its_own(instance: Instance, first_log: str) -> None:
    assert "the kernel LNN is ready" in first_log
    python = instance.home / ".lnn-venv" / "bin" / "python"
    told = subprocess.run([python, "-c", "import lnn; print(lnn.__file__)"], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(instance.home / "lnn" / "functions" / "lnn" / "__init__.py")
    notebook = json.loads((instance.home / "lnn" / "notebooks" / "Introduction.ipynb").read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "lnn"


def test_the_kernel_and_terminals_know_the_deployment(instance: Instance, first_log: str) -> None:
    line = next(line for line in first_log.splitlines() if line.startswith("kernel "))
    arguments = json.loads(line.removeprefix("kernel "))
    assert arguments[:6] == ["install", "--user", "--name", "lnn", "--display-name", "LNN"]
    given = {arguments[at + 1]: arguments[at + 2] for at, word in enumerate(arguments) if word == "--env"}
    assert given["PATH"].split(":")[0] == str(instance.home / ".lnn-venv" / "bin")
    assert {name: given[name] for name in given if name != "PATH"} == {
        "AWS_REGION": "eu-west-1",
        "LNN_BUCKET": "team-bucket",
        "LNN_ENGINE": "a value with $pecial and spaces",
    }
    terminal = ["bash", "--noprofile", "--rcfile", instance.root / "home" / ".bashrc", "-i", "-c", 'echo "$LNN_ENGINE"']
    told = subprocess.run(terminal, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    assert told.stdout.strip() == "a value with $pecial and spaces"


def test_the_first_start_fetches_from_its_bucket_and_amazon_linux_alone(instance: Instance, first_log: str) -> None:
    fetched = [call for call in instance.calls if not call.startswith("systemd-run")]
    bundle = instance.home / ".lnn-bundle.zip"
    assert fetched == [
        f"dnf --assumeyes --quiet install {sys.executable}",
        f"aws s3 cp --only-show-errors --region eu-west-1 s3://team-bucket/notebook/bundle.zip {bundle}",
    ]


def test_a_timer_looks_whether_the_instance_is_idle_before_anything_else(instance: Instance, first_log: str) -> None:
    timer = instance.calls[0].split()
    script = instance.root / "opt" / "idle_stop.py"
    assert timer[0] == "systemd-run"
    assert timer[timer.index("/usr/bin/python3") + 1 :] == [
        *(str(script), "--name", "team-notebook", "--region", "eu-west-1", "--minutes", "45"),
        *("--state", str(instance.root / "opt" / "last_work")),
    ]
    assert script.read_text() == (MODULE / "idle_stop.py").read_text()


def test_later_starts_install_what_has_changed_and_keep_changed_notebooks(own_instance: Instance) -> None:
    stale = own_instance.root / "opt" / "last_work"
    stale.touch()
    shutil.rmtree(own_instance.root / "home" / ".local", ignore_errors=True)
    assert "the kernel LNN is ready" in own_instance.start()
    assert not [call for call in own_instance.calls if call.startswith("aws")]
    assert not stale.exists()

    mine = own_instance.home / "lnn" / "notebooks" / "Introduction.ipynb"
    mine.write_text("mine")
    (own_instance.repository / "functions" / "lnn" / "__init__.py").write_text("VERSION = 2\n")
    (own_instance.repository / "functions" / "lnn" / "more.py").write_text("")
    assert "the kernel LNN is ready" in own_instance.start()
    assert [call for call in own_instance.calls if call.startswith("aws")]
    assert (own_instance.home / "lnn" / "functions" / "lnn" / "__init__.py").read_text() == "VERSION = 2\n"
    assert mine.read_text() == "mine"


def test_a_set_up_that_fails_says_so_and_leaves_the_instance(own_instance: Instance) -> None:
    shutil.rmtree(own_instance.home / ".lnn-venv")
    broken = own_instance.repository / "functions" / "backend.py"
    broken.write_text("raise RuntimeError('no such thing')")
    log = own_instance.start()
    assert "no such thing" in log
    assert "the kernel LNN could not be made" in log
    broken.write_text(BACKEND)
    assert "the kernel LNN is ready" in own_instance.start()


def test_a_bundle_has_what_the_instances_python_needs_and_no_leftovers(instance: Instance, first_log: str) -> None:
    with zipfile.ZipFile(instance.bundle()) as archive:
        names = set(archive.namelist())
        requirements = archive.read("code/requirements/notebooks.txt").decode()
    assert re.fullmatch(r"ipykernel==1\.0 --hash=sha256:[0-9a-f]{64}\n", requirements)
    assert {"code/functions/lnn/__init__.py", "code/pyproject.toml", "wheels/ipykernel-1.0-py3-none-any.whl"} <= names
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.parametrize(("version", "expected"), [("3.11", ["a==1", "c==1"]), ("3.13", ["a==1", "c==2"])])
def test_markers_are_worked_out_for_the_instances_python(version: str, expected: list[str]) -> None:
    text = (
        "# made by\na==1\nb==1 ; sys_platform == 'darwin'\n"
        "c==1 ; python_full_version < '3.12'\nc==2 ; python_full_version >= '3.12'\n"
    )
    assert pinned(text, version) == expected


def test_each_pin_of_a_bundle_keeps_its_hashes() -> None:
    text = (
        "a==1 ; os_name == 'posix' \\\n    --hash=sha256:11 \\\n    --hash=sha256:22\nb==1 \\\n    --hash=sha256:33\n"
    )
    assert pinned(text, "3.13") == ["a==1 --hash=sha256:11 --hash=sha256:22", "b==1 --hash=sha256:33"]


def test_a_bundle_takes_no_wheel_but_the_pinned_one(instance: Instance, first_log: str) -> None:
    requirements = instance.repository / "requirements" / "notebooks.txt"
    kept = requirements.read_text()
    requirements.write_text(f"ipykernel==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ToolError, match=r"(?i)hash"):
        instance.bundle()
    requirements.write_text(kept)


def test_a_bundle_that_cannot_be_built_says_why(instance: Instance, first_log: str) -> None:
    requirements = instance.repository / "requirements" / "notebooks.txt"
    kept = requirements.read_text()
    requirements.write_text(f"nowhere==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ToolError, match=r"nowhere==1\.0"):
        instance.bundle()
    requirements.unlink()
    with pytest.raises(ToolError, match=r"notebooks\.txt is missing"):
        instance.bundle()
    requirements.write_text(kept)
    odd = instance.repository / "notebooks" / "odd.ipynb"
    odd.write_text("[]")
    with pytest.raises(ToolError, match=r"odd\.ipynb is not a notebook"):
        instance.bundle()
    odd.unlink()
