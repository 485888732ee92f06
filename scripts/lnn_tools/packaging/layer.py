"""Builds the layer that the functions share: numpy, h5py, Redis, Powertools and pydantic, for a Lambda runtime.

pip picks the target's wheels, on any machine. Tests, headers and caches are pruned. Then every shared object must be
of the target's architecture and Python, and the layer must fit Lambda's limit. Where the machine has the runtime's
Python, the layer is compiled, too. A layer that is up to date is not built again. The local cloud builds its own, for
the interpreter of the emulator.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lnn_tools import installation
from lnn_tools.errors import ToolError, exit_status
from lnn_tools.installation import pip
from lnn_tools.packaging import archives, bytecode
from lnn_tools.packaging.archives import sha256_of, write_zip

REPOSITORY = Path(__file__).resolve().parents[3]
NAME = "numpy-h5py"
REQUIREMENTS = REPOSITORY / "layers" / NAME / "requirements.txt"
OUTPUT = REPOSITORY / "build" / "layers"

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: function and layers, unzipped.
LIMIT_BYTES = 250 * 1024 * 1024
# Linux's name for each of Lambda's architectures, and its number in an ELF header (e_machine, ELF specification).
MACHINES = {"arm64": ("aarch64", 183), "x86_64": ("x86_64", 62)}
# Amazon Linux 2023, with glibc 2.34. (python3.11 is Amazon Linux 2, whose glibc 2.26 is too old for numpy's wheels.)
RUNTIMES = ("python3.12", "python3.13")
DEFAULT_RUNTIME = RUNTIMES[-1]
GLIBC_MINORS = range(5, 35)
PLACE = "/opt"
"""Where Lambda unpacks a layer."""

PRUNED_FOLDERS = {"__pycache__", "tests", "include", "bin"}
# Only a compiler or a type checker reads these. RECORD would list files that are pruned.
PRUNED_SUFFIXES = {".pyc", ".pyi", ".pxd", ".pyx", ".pxi", ".c", ".h", ".hpp", ".a", ".f", ".f90", ".pyf", ".template"}
PRUNED_METADATA = {"RECORD", "REQUESTED", "INSTALLER", "direct_url.json"}


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a layer: a runtime such as `python3.13`, and one of Lambda's architectures."""

    runtime: str
    architecture: str

    @property
    def version(self) -> str:
        """The interpreter's version, such as `3.13`."""
        return self.runtime.removeprefix("python")

    @property
    def site_packages(self) -> str:
        """The folder of a layer in which Lambda's interpreter looks for packages."""
        return f"python/lib/{self.runtime}/site-packages"


def check_binaries(root: Path, target: Target) -> int:
    """Checks that every shared object under `root` fits `target`; returns their number.

    Raises:
        ToolError: there are none, or some are for another architecture or Python; names each.
    """
    machine_name, machine_number = MACHINES[target.architecture]
    problems = []
    objects = [path for path in sorted(root.rglob("*")) if path.is_file() and ".so" in path.suffixes]
    for path in objects:
        relative = path.relative_to(root)
        with path.open("rb") as file:
            header = file.read(20)
        if len(header) < 20 or header[:4] != b"\x7fELF":
            problems.append(f"{relative} is not an ELF shared object")
            continue
        found = int.from_bytes(header[18:20], "little" if header[5] == 1 else "big")
        if found != machine_number:
            problems.append(f"{relative} is for machine {found}, not {machine_number} ({machine_name})")
        # `name.cpython-313-aarch64-linux-gnu.so`; `name.abi3.so` and bundled libraries carry no version.
        tag = re.search(r"\.cpython-(\d)(\d+)-", path.name)
        if tag and f"{tag[1]}.{tag[2]}" != target.version:
            problems.append(f"{relative} is for Python {tag[1]}.{tag[2]}, not {target.version}")
    if not objects:
        raise ToolError(f"no shared object in {root}: numpy and h5py cannot be there")
    if problems:
        raise ToolError(f"the layer does not fit {target.runtime} on {target.architecture}: {'; '.join(problems)}")
    return len(objects)


def prune(root: Path) -> None:
    """Deletes tests, headers, caches and type stubs, which no function reads; keeps metadata and licenses."""
    for path in sorted(root.rglob("*"), reverse=True):
        metadata = path.parent.name.endswith(".dist-info")
        if path.is_dir():
            if path.name in PRUNED_FOLDERS or not any(path.iterdir()):
                shutil.rmtree(path)
        elif path.suffix in PRUNED_SUFFIXES or (metadata and path.name in PRUNED_METADATA):
            path.unlink()


def unzipped_bytes(root: Path) -> int:
    """Bytes of all files under `root`.

    Raises:
        ToolError: they exceed Lambda's limit.
    """
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    if size >= LIMIT_BYTES:
        raise ToolError(
            f"the layer is {size / 2**20:.0f} MB unzipped, over Lambda's {LIMIT_BYTES // 2**20} MB: "
            f"drop something from {REQUIREMENTS}"
        )
    return size


def platforms(architecture: str) -> list[str]:
    """Pip's options for wheels that run on Amazon Linux 2023: any glibc up to its own."""
    machine = MACHINES[architecture][0]
    return [option for minor in GLIBC_MINORS for option in ("--platform", f"manylinux_2_{minor}_{machine}")] + [
        "--platform",
        f"manylinux2014_{machine}",
    ]


def inputs_hash(*parts: str) -> str:
    """A hash of everything that a build depends on: the pins, the code that builds, and `parts`."""
    digest = hashlib.sha256()
    for source in (REQUIREMENTS, *map(Path, (__file__, archives.__file__, bytecode.__file__, installation.__file__))):
        digest.update(source.read_bytes())
    digest.update("\0".join(parts).encode())
    return digest.hexdigest()


def is_current(archive: Path, inputs: str) -> bool:
    """True if `archive` was built from `inputs` and has not been changed since."""
    try:
        stamp = json.loads(stamp_of(archive).read_text())
        return bool(stamp["inputs"] == inputs and stamp["sha256"] == sha256_of(archive))
    except (OSError, ValueError, KeyError):
        return False


def stamp_of(archive: Path) -> Path:
    """The record of a built layer, beside its archive."""
    return archive.with_suffix(".json")


def finish(archive: Path, inputs: str, digest: str, size: int, where: str) -> None:
    """Writes the record of a build, and prints its size and where it is."""
    stamp_of(archive).write_text(json.dumps({"inputs": inputs, "sha256": digest, "unzipped_bytes": size}) + "\n")
    print(f"layer: {size / 2**20:.0f} MB in {where}")


def build_for_aws(target: Target, output: Path = OUTPUT) -> Path:
    """Builds the layer for `target`, unless it is there already; returns the archive.

    Raises:
        ToolError: pip fails, or the layer does not fit the target, or is too large.
    """
    archive = output / f"{NAME}-{target.runtime}-{target.architecture}.zip"
    python = bytecode.interpreter(target.version)
    inputs = inputs_hash(target.runtime, target.architecture, "compiled" if python else "not compiled")
    if is_current(archive, inputs):
        return archive
    if python is None:
        print(
            f"layer: not compiled: no {target.runtime} on PATH; functions compile what they import at each cold start"
        )
    stage = output / f".{archive.stem}.{os.getpid()}"
    try:
        packages = stage / target.site_packages
        packages.mkdir(parents=True)
        options = ["--implementation=cp", f"--python-version={target.version}"]
        options += [*platforms(target.architecture), "--no-compile", "--target", str(packages)]
        pip("install", REQUIREMENTS, *options)
        prune(packages)
        check_binaries(packages, target)
        if python is not None:
            bytecode.compile_tree(stage, python, PLACE)
        size = unzipped_bytes(stage)
        files = (path for path in stage.rglob("*") if path.is_file())
        digest = write_zip(archive, {path.relative_to(stage).as_posix(): path for path in files})
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    finish(archive, inputs, digest, size, f"{archive.name}, {archive.stat().st_size / 2**20:.1f} MB zipped")
    return archive


def describe(python: Path) -> tuple[Target, str]:
    """The target of an interpreter on this machine, and its full version."""
    question = "import platform as p, sys; print(p.machine(), '%d.%d' % sys.version_info[:2], *sys.version.split())"
    result = subprocess.run([str(python), "-c", question], capture_output=True, text=True, check=False)
    if result.returncode:
        raise ToolError(f"{python} does not run: {result.stderr.strip()}")
    machine, version, full = result.stdout.split(maxsplit=2)
    return Target(f"python{version}", "arm64" if machine in {"arm64", "aarch64"} else "x86_64"), full.strip()


def build_for_local(python: Path, output: Path = OUTPUT) -> Path:
    """Builds the layer for `python`, unless it is there already; returns the archive.

    The emulator unpacks a layer for every worker. To save each cold start a copy of 80 MB, the packages are unpacked
    and compiled in build/layers/local, and the archive has a single `.pth` file that points there.

    Raises:
        ToolError: as `build_for_aws`.
    """
    target, interpreter = describe(python)
    archive = output / f"{NAME}-local.zip"
    unpacked = output / "local"
    packages = unpacked / target.site_packages
    inputs = inputs_hash(interpreter, str(packages))
    if is_current(archive, inputs) and packages.is_dir():
        return archive
    stage = output / f".local.{os.getpid()}"
    try:
        staged = stage / target.site_packages
        staged.mkdir(parents=True)
        pip("install", REQUIREMENTS, "--no-compile", "--target", str(staged), python=python)
        prune(staged)
        if sys.platform == "linux":  # elsewhere shared objects are no ELF files
            check_binaries(staged, target)
        size = unzipped_bytes(stage)
        # Compiled with their final paths, so that tracebacks show files that exist.
        compile_all = [
            str(python),
            "-m",
            "compileall",
            "-q",
            "-j",
            "0",
            "-s",
            str(staged),
            "-p",
            str(packages),
            str(staged),
        ]
        subprocess.run(compile_all, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(unpacked, ignore_errors=True)
        stage.replace(unpacked)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    # The comment makes each build a new archive, so that the emulator replaces warm workers.
    pointer = f"# build {inputs[:16]}\n{packages}\n".encode()
    digest = write_zip(archive, {f"{target.site_packages}/lnn-layer.pth": pointer})
    finish(archive, inputs, digest, size, f"{unpacked.parent.name}/{unpacked.name}")
    return archive


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the functions' layer for AWS.")
    parser.add_argument(
        "--runtime", default=DEFAULT_RUNTIME, choices=RUNTIMES, help="Lambda runtime (default: %(default)s)"
    )
    parser.add_argument("--architecture", default="arm64", choices=sorted(MACHINES), help="default: %(default)s")
    arguments = parser.parse_args()
    print(build_for_aws(Target(arguments.runtime, arguments.architecture)).relative_to(REPOSITORY))


if __name__ == "__main__":
    sys.exit(exit_status("layer", main))
