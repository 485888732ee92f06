"""The simulation of the protocol: what it finds, and that it can be trusted. The whole campaign: `make simulate`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


pytestmark = pytest.mark.timeout(1800)
"""Two thousand seeds take two minutes of one core, and more on a machine that is busy."""


def simulate(*options: str) -> subprocess.CompletedProcess[str]:
    """The command. It has a process of its own: time and threads are replaced there."""
    return subprocess.run(
        [sys.executable, str(HERE), *options], capture_output=True, text=True, check=False, timeout=1800
    )


def test_a_seed_replays_to_the_same_step() -> None:
    first, again, other = (simulate("--seed", seed, "--trace") for seed in ("3", "3", "4"))
    assert first.stdout == again.stdout != other.stdout
    assert first.stderr == ""
    assert len(first.stdout.splitlines()) > 50


def test_what_a_seed_does_depends_on_no_other_seed() -> None:
    alone = simulate("--seeds", "1", "--first", "5", "--steps")
    after_others = simulate("--seeds", "3", "--first", "3", "--steps")
    assert alone.stdout.splitlines()[0] == after_others.stdout.splitlines()[2] != ""


def test_two_thousand_seeds_lead_to_what_undisturbed_runs_lead_to() -> None:
    done = simulate("--seeds", "2000", "--keep-going")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2000 runs" in done.stdout


def test_undisturbed_jobs_of_every_strategy_end_as_they_should() -> None:
    done = simulate("--undisturbed", "8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(strategy in done.stdout for strategy in ("fused", "neuron", "resident", "data"))
