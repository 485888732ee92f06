#!/usr/bin/env python3
"""Stops this notebook instance when nothing has run in it for a while. Root calls it every few minutes.

Work is what a kernel or a terminal does: a kernel that computes keeps the instance, an open browser tab does not.
The system's own Python runs it, which is 3.9 on Amazon Linux 2023.
"""

import argparse
import calendar
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path


def main() -> int:
    """Stops the instance, or says why not; exit status 1 only where it could not be stopped."""
    parser = argparse.ArgumentParser(description="Stop this notebook instance when it is idle.")
    parser.add_argument("--aws", default="aws", help="the AWS command line")
    parser.add_argument("--jupyter", default="https://localhost:8443", help="address of the instance's Jupyter")
    parser.add_argument("--minutes", type=float, required=True, help="idle for longer is idle")
    parser.add_argument("--name", required=True, help="name of the instance")
    parser.add_argument("--region", required=True, help="its AWS region")
    parser.add_argument("--state", type=Path, required=True, help="file whose time is that of the last work seen")
    given = parser.parse_args()

    # A kernel that is shut down takes its last activity with it, so what was seen of it is kept. No file: just started.
    last = max([given.state.stat().st_mtime if given.state.exists() else time.time(), *activity(given.jupyter)])
    keep(given.state, last)
    idle = (time.time() - last) / 60
    if idle <= given.minutes:
        print(f"idle for {idle:.0f} of {given.minutes:g} minutes")
        return 0
    print(f"idle for {idle:.0f} minutes: stopping")
    stop = ["sagemaker", "stop-notebook-instance", "--notebook-instance-name", given.name, "--region", given.region]
    return 1 if subprocess.run([given.aws, *stop], check=False).returncode else 0


def activity(jupyter: str) -> "list[float]":
    """When kernels and terminals last worked, seconds since 1970; now for a kernel that computes.

    Empty without Jupyter.
    """
    try:
        kernels, terminals = (answer(f"{jupyter}/api/{what}") for what in ("kernels", "terminals"))
        times = [seconds(each["last_activity"]) for each in [*kernels, *terminals]]
        return [*times, *(time.time() for kernel in kernels if kernel["execution_state"] == "busy")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        # An instance whose Jupyter is gone for good must be stopped as well.
        print(f"Jupyter does not tell what it does: {error!r}", file=sys.stderr)
        return []


def answer(url: str) -> "list[dict]":
    """What Jupyter lists; nothing where it has no such list: a server need not have terminals.

    Its certificate is made by itself, for a connection that does not leave the machine.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, context=context, timeout=10) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return []
        raise


def seconds(text: str) -> float:
    """Seconds since 1970 of a time as Jupyter writes it: 2026-11-21T18:30:00.123456Z."""
    return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))


def keep(state: Path, last: float) -> None:
    """Remembers when work was last seen, as a file's time."""
    state.touch()
    os.utime(state, (last, last))


if __name__ == "__main__":
    sys.exit(main())
