"""Packs what the SageMaker notebook instance needs into build/notebook.zip: code, notebooks, wheels.

The instance has no way to the internet: a wheel of each requirement is fetched here, for its Python.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from lnn_tools.packaging.archives import write_zip
from lnn_tools.packaging.layer import platforms

REPOSITORY = Path(__file__).resolve().parents[3]
REQUIREMENTS = "requirements/notebooks.txt"
FOLDERS = ("cli", "client", "docs", "examples", "functions", "notebooks", "tests/events")
FILES = ("LICENSE", "README.md", "parameters.json", "pyproject.toml")
# What tools leave behind in a work tree.
LEFTOVERS = {"__pycache__", ".DS_Store", ".ipynb_checkpoints", ".mypy_cache", ".ruff_cache"}
# As terraform/modules/notebook/on_start.sh names it.
KERNEL = {"display_name": "LNN", "language": "python", "name": "lnn"}

# Which patch release of its Python the instance has is not known, but a late one.
LATE_PATCH = 99


class BundleError(Exception):
    """The bundle cannot be built."""


def pinned(text: str, version: str) -> list[str]:
    """The requirements of a file of pins that hold for that Python on 64-bit Linux: NAME==VERSION and its hashes.

    pip would work out their markers for the Python that runs it.
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
    """Folder with a wheel of each requirement; fetched once for each list of them.

    Raises:
        BundleError: with pip's last lines.
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
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # A bare 3.11 would be 3.11.0 to pip, for which the latest of some packages are too new.
    options = [
        "--only-binary=:all:",
        "--require-hashes",
        "--implementation=cp",
        f"--python-version={version}.{LATE_PATCH}",
        *platforms("x86_64"),
    ]
    result = subprocess.run(
        [*command, *options, "--dest", str(stage), "--requirement", str(pins)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if result.returncode:
        shutil.rmtree(stage)
        last = [line for line in (result.stdout + result.stderr).splitlines() if line and "WARNING" not in line][-4:]
        raise BundleError("pip could not fetch the wheels: " + " | ".join(last))
    for old in build.glob("wheels-*"):
        shutil.rmtree(old)
    return stage.rename(folder)


def code(repository: Path) -> Iterator[tuple[str, bytes | Path]]:
    """Names and contents of the files that the bundle takes from the repository; notebooks name the instance's kernel.

    Raises:
        BundleError: a notebook is no JSON.
    """
    files = (path for folder in FOLDERS for path in sorted((repository / folder).rglob("*")) if path.is_file())
    for path in (*files, *(repository / name for name in FILES)):
        relative = path.relative_to(repository)
        if LEFTOVERS.intersection(relative.parts) or path.suffix == ".pyc":
            continue
        yield relative.as_posix(), notebook(path) if path.suffix == ".ipynb" else path


def notebook(path: Path) -> bytes:
    """A notebook that opens with the kernel in which lnn is installed."""
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        contents["metadata"]["kernelspec"] = KERNEL
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is not a notebook: {error!r}") from error
    return (json.dumps(contents, ensure_ascii=False, indent=1) + "\n").encode()


def build(repository: Path, runtime: str) -> Path:
    """Builds the archive; one that is there already with the same contents is left alone.

    Raises:
        BundleError: the requirements are missing, or cannot be fetched.
    """
    version = runtime.removeprefix("python")
    source = repository / REQUIREMENTS
    if not source.is_file():
        raise BundleError(f"{source} is missing: it names what the notebooks need")
    requirements = pinned(source.read_text(encoding="utf-8"), version)
    fetched = wheels(requirements, version, repository / "build" / "notebook")
    entries = {f"code/{name}": contents for name, contents in code(repository)}
    entries[f"code/{REQUIREMENTS}"] = "".join(f"{requirement}\n" for requirement in requirements).encode()
    entries |= {f"wheels/{path.name}": path for path in fetched.iterdir()}
    archive = repository / "build" / "notebook.zip"
    write_zip(archive, entries)
    return archive


def main() -> int:
    """Builds the bundle, and says what was made."""
    parser = argparse.ArgumentParser(description="Build the SageMaker notebook's code and wheels.")
    parser.add_argument(
        "--runtime",
        default="python3.13",
        choices=("python3.11", "python3.12", "python3.13"),
        help="the functions' runtime, which the notebook's Python follows (default: %(default)s)",
    )
    try:
        archive = build(REPOSITORY, parser.parse_args().runtime)
    except BundleError as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    print(f"{archive.relative_to(REPOSITORY)}  {archive.stat().st_size / 2**20:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
