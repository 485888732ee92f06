"""The network stands alone: numpy, the standard library, and its own modules."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import lnn.network

FOLDER = Path(lnn.network.__file__).parent


def test_the_network_s_sources_import_numpy_and_the_standard_library_only() -> None:
    imported = set()
    for path in FOLDER.glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                imported.add(node.module or "")
    foreign = {
        name
        for name in imported
        if name.split(".")[0] not in {*sys.stdlib_module_names, "numpy"} and not name.startswith("lnn.network")
    }
    assert "numpy" in imported
    assert foreign == set()


def test_importing_the_network_loads_nothing_else() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import lnn.network; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER.parents[1]
    )
    assert set(done.stdout.split()) <= {"lnn", "numpy"}


def test_the_network_does_no_input_or_output() -> None:
    for path in FOLDER.glob("**/*.py"):
        called = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called & {"open", "print", "input"}, path
