"""Which modules an archive needs: import-linter's own reading of the code, and the registry, are the oracle."""

from pathlib import Path

import grimp
import pytest

from lnn.strategies.registry import STRATEGIES, Strategy
from lnn_tools.packaging.functions import function_names
from lnn_tools.packaging.reachable import name_of, reachable
from support.repository import REPOSITORY

FUNCTIONS = REPOSITORY / "functions"
NAMES = function_names(FUNCTIONS)


def modules_of(function: str) -> set[str]:
    return {name_of(path.relative_to(FUNCTIONS)) for path in reachable(FUNCTIONS, f"{function}.handler")}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("lnn", *NAMES, exclude_type_checking_imports=True, cache_dir=None)


@pytest.mark.parametrize("function", NAMES)
def test_an_archive_has_whatever_its_handler_imports_early_or_late(imports: grimp.ImportGraph, function: str) -> None:
    reached = modules_of(function)

    assert {f"{function}.handler"} < reached
    for module in reached:
        assert imports.find_modules_directly_imported_by(module) <= reached, module
        assert module.rpartition(".")[0] in {"", *reached}, module


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=lambda strategy: strategy.name)
def test_an_archive_has_what_its_function_loads_of_a_strategy(strategy: Strategy) -> None:
    loaded = {
        "launch": [strategy.costs],
        "trainer": [strategy.start, strategy.engine],
        "neuron": [strategy.engine],
    }
    for function, paths in loaded.items():
        assert {path.partition(":")[0] for path in paths if path} <= modules_of(function), function


def test_an_archive_has_the_programs_that_its_function_runs() -> None:
    assert "lnn.data.validation" in modules_of("launch")
    assert "lnn.models.validation" in modules_of("register")


def test_an_archive_lacks_what_only_other_functions_load_of_a_strategy() -> None:
    assert not {"lnn.planning.cost_model", "lnn.strategies.fused.costs"} & modules_of("trainer")
    assert "lnn.strategies.session" not in modules_of("launch")


def test_what_only_type_checkers_import_is_left_out(tmp_path: Path) -> None:
    files = {
        "lnn/typed.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lnn.unused\n",
        "lnn/unused.py": "",
        "lnn/late.py": "",
        "f/handler.py": "import lnn.typed\ndef handler(event, context):\n    from lnn import late\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    reached = {path.relative_to(tmp_path).as_posix() for path in reachable(tmp_path, "f.handler")}

    assert reached == {"lnn/typed.py", "lnn/late.py", "f/handler.py"}
