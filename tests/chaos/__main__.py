"""`make chaos`: trainings under every fault of the table, each compared with an undisturbed one, bit for bit."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
# In place of this folder, whose modules are those of a package.
sys.path[0] = str(TESTS)

from rich.console import Console  # noqa: E402

from chaos.cloud import ChaosCloud  # noqa: E402
from chaos.report import show  # noqa: E402
from chaos.runner import Runner, faults_of  # noqa: E402
from chaos.schedule import schedule  # noqa: E402
from support.e2e_cloud import local_cloud  # noqa: E402 (the path is set up first)

HOME = TESTS.parent / ".lnn" / "chaos"


def main() -> int:
    parser = argparse.ArgumentParser(description="Disturb trainings, and compare them with undisturbed ones.")
    parser.add_argument("--runs", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--rounds", type=lambda text: [int(part) for part in text.split(",")], help="only these: 3,17")
    parser.add_argument("--faults", action="append", help="only those with this in their name or kind")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what has been attached is taken away again
    console = Console(width=120 if not sys.stdout.isatty() else None, highlight=False)
    began = time.monotonic()
    running = os.environ.get("LNN_CHAOS_HOME")
    home = Path(running).absolute() if running else HOME
    if not running:
        for command in ("down", "up"):
            done = local_cloud(command, home)
            if done.returncode:
                console.print(done.stderr)
                return 1
    rounds = schedule(faults_of(arguments.faults), arguments.runs, arguments.seed)
    if arguments.rounds:
        rounds = [turn for turn in rounds if turn.number in arguments.rounds]
    try:
        cloud = ChaosCloud(home)
        with cloud.disturbable():
            say = lambda line: console.print(line, markup=False)  # noqa: E731 (one name for one call)
            results = Runner(cloud, arguments.seed, HOME / "failures", say).run(rounds)
    finally:
        if not running:
            local_cloud("down", home)
    return 0 if show(results, time.monotonic() - began, console) else 1


if __name__ == "__main__":
    sys.exit(main())
