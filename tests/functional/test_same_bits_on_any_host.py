"""A run that a crash moves to another host ends with the same bits: functions choose their code, not the processor."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping

import pytest

from support.repository import REPOSITORY

SAME_BITS = json.loads((REPOSITORY / "terraform" / "same_bits.json").read_text())

HOSTS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "x86_64": {
        "this one": {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"},
        "an older one": {
            "OPENBLAS_CORETYPE": "Sandybridge",
            "OPENBLAS_NUM_THREADS": "2",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "10240",
        },
    },
    "arm64": {
        "this one": {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"},
        "an older one": {"OPENBLAS_CORETYPE": "CORTEXA57", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "10240"},
    },
}
"""What processors of several hosts make OpenBLAS and numpy choose, by the variables that choose the same; and how many
threads the memory of a function buys."""

ARCHITECTURE = {"aarch64": "arm64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())


def digests(port: int, host: Mapping[str, str], function: Mapping[str, str]) -> dict[str, str]:
    """What every strategy ends with on a host, in a function with these variables."""
    ours = {
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "OPENBLAS_CORETYPE",
        "OPENBLAS_NUM_THREADS",
        "NPY_DISABLE_CPU_FEATURES",
    }
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    folders = ("functions", "client", "cli", "scripts", "tests")
    environment["PYTHONPATH"] = os.pathsep.join(str(REPOSITORY / folder) for folder in folders)
    done = subprocess.run(
        [sys.executable, "-m", "support.every_strategy", str(port)],
        env={**environment, **host, **function},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.timeout(300)  # three programs that train ten runs each
@pytest.mark.skipif(ARCHITECTURE not in HOSTS, reason="functions run on x86_64 and arm64")
def test_every_strategy_has_the_same_bits_on_every_host_and_only_by_the_functions_variables(redis_port: int) -> None:
    this, older = HOSTS[ARCHITECTURE].values()
    function = SAME_BITS[ARCHITECTURE]
    with_variables = digests(redis_port, this, function)
    assert len(with_variables) == 10
    assert digests(redis_port, older, function) == with_variables
    assert digests(redis_port, older, {}) != with_variables
