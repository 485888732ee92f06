"""The strategies, a row for each: what depends on the strategy of a run is a fact of its row, or code that it names.

The registry imports nothing of lnn, so that every layer may read it. A row names code by its import path, and the code
is imported where it is used: Launch loads cost models only, the Trainer only the engine that it runs.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

AUTO = "auto"
"""The name in parameters.json that leaves the choice to the planner."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to run a training. Import paths read ``package.module:name``."""

    name: str
    costs: str
    """Its time and memory model: a ``planning.cost_model.Costs``."""
    engine: str | None = None
    """Its arithmetic: makes a ``strategies.engine.Engine``. None where single neurons do the arithmetic."""
    start: str = "lnn.strategies.session:start"
    """What the Trainer does to begin or to go on, ``(services, run, plan, remaining)``. By default it trains."""
    trains_in: Literal["trainer", "neuron"] = "trainer"
    """The function that trains, and so the one whose memory and time limit count."""
    takes_workers: bool = False
    """It runs in any number of functions side by side."""
    meets_in_redis: bool = False
    """Its invocations exchange tensors in the parameter server, and leave keys there."""
    may_be_stepped: bool = False
    """Its Trainer is asked at every step, so that a person may let the run go on step by step."""
    records_invocations: bool = False
    """Its barrier writes down every invocation, unless the plan has no ``timeline``."""
    own_examples: bool = False
    """Each worker has examples of its own and goes through them block by block: workers can train apart and average
    their parameters, and what the layers make of a batch need not fit in memory."""
    remedy: str = ""
    """What the planner says of it where nothing else fits."""

    def load(self, column: Literal["costs", "engine", "start"]) -> Any:
        """The code that a column of this row names. Callers write the column out: packaging reads it there."""
        module, _, name = str(getattr(self, column)).partition(":")
        return getattr(import_module(module), name)


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("fused", costs="lnn.strategies.fused.costs:Fused", engine="lnn.strategies.fused.engine:engine"),
        Strategy(
            "resident",
            costs="lnn.strategies.resident.costs:Resident",
            engine="lnn.strategies.resident.engine:Resident",
            start="lnn.strategies.worker:start",
            trains_in="neuron",
            takes_workers=True,
            meets_in_redis=True,
        ),
        Strategy(
            "data",
            costs="lnn.strategies.data_parallel.costs:Data",
            engine="lnn.strategies.data_parallel.engine:Data",
            start="lnn.strategies.worker:start",
            trains_in="neuron",
            takes_workers=True,
            meets_in_redis=True,
            own_examples=True,
            remedy="keeps the examples on disk",
        ),
        Strategy(
            "neuron",
            costs="lnn.strategies.neuron.costs:Neuron",
            start="lnn.strategies.neuron.trainer:start",
            meets_in_redis=True,
            may_be_stepped=True,
            records_invocations=True,
        ),
    )
}
"""In the order in which the planner names them. ``neuron`` has no time limit of its own: each step is an invocation."""


STEPPED = next(strategy.name for strategy in STRATEGIES.values() if strategy.may_be_stepped)
"""What ``auto`` takes for a run that is stepped."""


def meets_in_redis(name: str | None) -> bool:
    """Whether runs of a strategy leave keys in the parameter server; a run that was never planned has none."""
    return name in STRATEGIES and STRATEGIES[name].meets_in_redis
