"""Packs code, notebooks and wheels for the SageMaker notebook instance into build/notebook.zip.

The instance has no internet, so the wheels are fetched here, for its Python.
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from lnn_tools.errors import ToolError, exit_status
from lnn_tools.installation import pip
from lnn_tools.packaging.archives import write_zip
from lnn_tools.packaging.layer import DEFAULT_RUNTIME, platforms

REPOSITORY = Path(__file__).resolve().parents[3]
REQUIREMENTS = "requirements/notebooks.txt"
FOLDERS = ("cli", "client", "docs", "examples", "functions", "notebooks", "tests/events")
FILES = ("LICENSE", "README.md", "parameters.json", "pyproject.toml")
# Tools leave these in a work tree.
LEFTOVERS = {"__pycache__", ".DS_Store", ".ipynb_checkpoints", ".mypy_cache", ".ruff_cache"}
# The kernel that terraform/modules/notebook/on_start.sh installs.
KERNEL = {"display_name": "LNN", "language": "python", "name": "lnn"}

# The instance has a late patch release of its Python; which one is not known.
LATE_PATCH = 99


def pinned(text: str, version: str) -> list[str]:
    """The requirements of a file of pins that apply to a Python on 64-bit Linux: NAME==VERSION and its hashes.

    pip cannot select them, since it evaluates markers for the Python that runs it.
    """
    target = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{version}.{LATE_PATCH}",
        "python_version": version,
        "sys_platform": "linux",
    }
    kept = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line and not line.startswith(("#", "-")):
            requirement, *hashes = line.split("--hash=")
            found = Requirement(requirement)
            if not found.marker or found.marker.evaluate(target):
                kept.append(
                    " ".join([f"{found.name}{found.specifier}", *(f"--hash={digest.strip()}" for digest in hashes)])
                )
    return kept


def wheels(requirements: list[str], version: str, build: Path) -> Path:
    """The folder with a wheel of each requirement, fetched once for each list of requirements.

    Raises:
        ToolError: pip cannot fetch them.
    """
    digest = hashlib.sha256("\n".join([version, *requirements]).encode()).hexdigest()
    folder = build / f"wheels-{digest[:16]}"
    if folder.is_dir():
        return folder
    stage = build / f".{folder.name}"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    pins = build / "requirements.txt"
    pins.write_text("".join(f"{requirement}\n" for requirement in requirements), encoding="utf-8")
    # A bare 3.11 would be 3.11.0 to pip, for which the latest of some packages are too new.
    python_version = f"--python-version={version}.{LATE_PATCH}"
    pip("download", pins, "--implementation=cp", python_version, *platforms("x86_64"), "--dest", str(stage))
    for old in build.glob("wheels-*"):
        shutil.rmtree(old)
    return stage.rename(folder)


def code(repository: Path) -> Iterator[tuple[str, bytes | Path]]:
    """Names and contents of the repository's files in the bundle, notebooks with the instance's kernel.

    Raises:
        ToolError: a notebook is not JSON.
    """
    files = (path for folder in FOLDERS for path in sorted((repository / folder).rglob("*")) if path.is_file())
    for path in (*files, *(repository / name for name in FILES)):
        relative = path.relative_to(repository)
        if LEFTOVERS.intersection(relative.parts) or path.suffix == ".pyc":
            continue
        yield relative.as_posix(), notebook(path) if path.suffix == ".ipynb" else path


def notebook(path: Path) -> bytes:
    """A notebook that opens with the kernel that has lnn."""
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        contents["metadata"]["kernelspec"] = KERNEL
    except (ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{path} is not a notebook: {error!r}") from error
    return (json.dumps(contents, ensure_ascii=False, indent=1) + "\n").encode()


def build(repository: Path, runtime: str) -> Path:
    """Builds the archive and returns it; one with the same contents is not touched.

    Raises:
        ToolError: the requirements are missing, or cannot be fetched.
    """
    version = runtime.removeprefix("python")
    source = repository / REQUIREMENTS
    if not source.is_file():
        raise ToolError(f"{source} is missing: it names what the notebooks need")
    requirements = pinned(source.read_text(encoding="utf-8"), version)
    fetched = wheels(requirements, version, repository / "build" / "notebook")
    entries = {f"code/{name}": contents for name, contents in code(repository)}
    entries[f"code/{REQUIREMENTS}"] = "".join(f"{requirement}\n" for requirement in requirements).encode()
    entries |= {f"wheels/{path.name}": path for path in fetched.iterdir()}
    archive = repository / "build" / "notebook.zip"
    write_zip(archive, entries)
    return archive


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the SageMaker notebook's code and wheels.")
    parser.add_argument(
        "--runtime",
        default=DEFAULT_RUNTIME,
        choices=("python3.11", "python3.12", "python3.13"),
        help="the functions' runtime; the notebook has the same Python (default: %(default)s)",
    )
    archive = build(REPOSITORY, parser.parse_args().runtime)
    print(f"{archive.relative_to(REPOSITORY)}  {archive.stat().st_size / 2**20:.0f} MB")


if __name__ == "__main__":
    sys.exit(exit_status("bundle", main))
