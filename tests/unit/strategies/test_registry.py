"""The registry's rows: what they name exists, and is imported by those who use it only."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lnn.planning.cost_model import Costs
from lnn.strategies.registry import STRATEGIES, Strategy, meets_in_redis


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=lambda strategy: strategy.name)
def test_every_import_path_of_a_row_names_something(strategy: Strategy) -> None:
    assert issubclass(strategy.load("costs"), Costs)
    assert callable(strategy.load("start"))
    assert strategy.engine is None or callable(strategy.load("engine"))
    assert STRATEGIES[strategy.name] is strategy


def test_planning_loads_costs_and_no_engine() -> None:
    program = """
import sys
from lnn.planning.cost_model import CostModel
from lnn.planning.workload import Job
from lnn.strategies.registry import STRATEGIES
job = Job((5, 3, 1), 20, 5, 1, 2, None, "sgd", "float64", 1, None)
for name in STRATEGIES:
    CostModel(job).estimate(name)
print([name for name in sys.modules if name.startswith("lnn.strategies") and name.endswith(("engine", "session"))])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_that_was_never_planned_has_nothing_in_redis() -> None:
    assert not meets_in_redis(None)
    assert not meets_in_redis("fused")
    assert meets_in_redis("neuron")
