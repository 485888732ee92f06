"""The command on Windows: it starts, and says what is not supported there."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.aws_account import RunCli

# A module that is None in sys.modules cannot be imported: these are Unix's alone.
WITHOUT_UNIX = """
import importlib, pkgutil, sys
for name in ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
from lnn_cli.main import app
import lnn
for module in pkgutil.walk_packages(lnn.__path__, "lnn."):
    importlib.import_module(module.name)
from lnn.data.dataset import inspect_dataset
print(inspect_dataset(sys.argv[1]).m)
"""


@pytest.mark.slow
def test_every_command_starts_where_python_has_no_module_of_unix(dataset: Path) -> None:
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "POWERTOOLS_METRICS_NAMESPACE": "LNN"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_UNIX, str(dataset)], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.stdout, done.returncode) == ("8\n", 0), done.stderr


def test_the_local_cloud_is_refused_on_windows_with_the_way_to_it(cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    result = cli("runs", "--target", "local")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "runs on Linux and macOS, not on Windows; work in WSL" in line
    assert "--target aws" in line
