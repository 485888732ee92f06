"""``lnn doctor``: what is installed, reachable and deployed, and the command that mends what is not."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.text import Text

from lnn_cli.options import JsonOption, PrefixOption, RegionOption, TargetOption, connect
from lnn_cli.ui.console import print_json, print_table, say
from lnn_cli.ui.errors import CliError, explain
from lnn_client.cloud import Cloud, Target, local_description, repository
from lnn_client.resources import FUNCTIONS, absent_resources, resources

_OLDEST_PYTHON, _NEXT_PYTHON = (3, 11), (3, 14)
_SOCKET_SECONDS = 2.0


State = Literal["ok", "missing", "optional", "unknown"]
"""How a check ended."""

_STYLES = {"ok": "green", "missing": "red", "optional": "yellow", "unknown": "yellow"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``mend`` is the command that helps."""

    name: str
    state: State
    detail: str
    mend: str = ""

    def line(self) -> str:
        """What was found, and the command that helps unless the finding names it already."""
        return self.detail if not self.mend or self.mend in self.detail else f"{self.detail}; run: {self.mend}"


def doctor(
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Check the installation and the cloud; say how to mend them.

    The exit status is 0 only if nothing that is needed is missing.

    Example: lnn doctor --target aws
    """
    findings = list(examine(target, prefix, region))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [(Text(f.state, style=_STYLES[f.state]), f.name, f.line()) for f in findings]
        print_table(("", "what", "found"), rows)
    missing = [finding for finding in findings if finding.state == "missing"]
    if missing:
        mends = list(dict.fromkeys(finding.mend for finding in missing if finding.mend))
        how = f"; mend it with: {' && '.join(mends)}" if mends else ""
        raise CliError(f"{len(missing)} of {len(findings)} checks failed{how}")
    if not as_json:
        say("everything needed is there")


def examine(target: Target, prefix: str | None, region: str | None) -> Iterator[Finding]:
    """Every check, the machine first, then the cloud."""
    yield _python()
    yield _terraform()
    if target is Target.LOCAL:
        redis = shutil.which("valkey-server") or shutil.which("redis-server")
        yield Finding("redis server", "ok", redis or "none on PATH; make up brings its own")
        yield _built("layer", ["layers/numpy-h5py-local.zip"], "make layer", "missing")
    else:
        yield _built("layer", ["layers/numpy-h5py-python3*.zip"], "make layer", "optional")
    packages = [f"functions/{name}.zip" for name in FUNCTIONS]
    yield _built("packages", packages, "make package", "missing" if target is Target.LOCAL else "optional")
    yield from _cloud(target, prefix, region)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if _OLDEST_PYTHON <= sys.version_info[:2] < _NEXT_PYTHON:
        return Finding("python", "ok", version)
    return Finding("python", "missing", f"{version}, but 3.11 to 3.13 is needed", "make setup PYTHON=python3.13")


def _terraform() -> Finding:
    program = shutil.which("terraform")
    mend = "see https://developer.hashicorp.com/terraform/install"
    if program is None:
        return Finding("terraform", "missing", "not on PATH", mend)
    try:
        answer = subprocess.run(  # noqa: S603 - the program that PATH names
            [program, "version", "-json"], capture_output=True, text=True, timeout=20, check=True
        )
        version = json.loads(answer.stdout)["terraform_version"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        return Finding("terraform", "missing", f"{program} does not answer ({type(error).__name__})", mend)
    return Finding("terraform", "ok", f"{version}, {program}")


def _built(name: str, patterns: list[str], mend: str, otherwise: State) -> Finding:
    build = repository() / "build"
    found: list[Path] = []
    for pattern in patterns:
        matches = sorted(build.glob(pattern))
        if not matches:
            return Finding(name, otherwise, f"build/{pattern} is not built", mend)
        found += matches
    return Finding(name, "ok", ", ".join(str(path.relative_to(build.parent)) for path in found))


def _cloud(target: Target, prefix: str | None, region: str | None) -> Iterator[Finding]:
    """Credentials and resources; once the cloud cannot be asked, the rest is unknown."""
    mend = "make up" if target is Target.LOCAL else "make deploy"
    try:
        cloud = connect(target, prefix, region)
        caller = cloud.caller()["Arn"]
        where = cloud.endpoint or cloud.region
    except Exception as error:  # noqa: BLE001 - whatever keeps us from the cloud is the finding
        yield Finding("cloud", "missing", explain(error), mend if target is Target.LOCAL else "")
        yield Finding("resources", "unknown", "not checked, because the cloud does not answer")
        return
    yield Finding("cloud", "ok", f"{where} as {caller}")
    if target is Target.LOCAL:
        yield _cache()
    for kind, names in resources(cloud).items():
        yield _deployed(cloud, kind, names, mend)


def _deployed(cloud: Cloud, kind: str, names: list[str], mend: str) -> Finding:
    """One line for several resources; names those that are not there."""
    try:
        absent = absent_resources(cloud, kind, names)
    except Exception as error:  # noqa: BLE001 - whatever keeps us from looking is the finding
        return Finding(kind, "unknown", explain(error))
    if absent:
        return Finding(kind, "missing", f"not deployed: {', '.join(absent)}", mend)
    return Finding(kind, "ok", ", ".join(names))


def _cache() -> Finding:
    """Whether the local Redis answers a PING."""
    redis: dict[str, Any] = local_description().get("redis") or {}
    host, port = redis.get("host", "127.0.0.1"), int(redis.get("port", 0))
    try:
        with socket.create_connection((host, port), timeout=_SOCKET_SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            answer = connection.recv(64)
    except OSError as error:
        return Finding("redis", "missing", f"does not answer at {host}:{port} ({error.strerror})", "make up")
    if not answer.startswith(b"+PONG"):
        return Finding("redis", "missing", f"something else than Redis is at {host}:{port}", "make up")
    return Finding("redis", "ok", f"{host}:{port}")
