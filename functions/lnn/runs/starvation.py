"""What became of a generation that left without a word: whether the Neuron is broken, or had no capacity to run.

Waiting for capacity is no attempt: nothing is wrong with such a run, and Lambda itself repeats a throttled message for
hours.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lnn.errors import Throttled
from lnn.messages import Message
from lnn.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from lnn.job.plan import Plan
    from lnn.parameter_server.barrier import Position
    from lnn.runs.record import Run
    from lnn.runs.services import Services

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 6 * 3600.0
"""How long a run may have no capacity: for as long, Lambda repeats a throttled message (Lambda developer guide,
"Asynchronous invocation: error handling")."""


@dataclass(frozen=True, slots=True)
class Silence:
    """What is found out about a generation that told nothing."""

    broken: str | None = None
    """What the Neuron raises whenever it is called."""
    starved: str | None = None
    """How the generation lacked capacity."""
    throttled: bool = False
    """At this moment there is no capacity either."""
    arrivals: int = 0
    """How often neurons have arrived so far, with strategy ``neuron``."""


def silence_before(services: Services, run: Run, plan: Plan) -> Silence:
    """Why the generation before this one came to nothing without telling why."""
    position = None if STRATEGIES[plan.strategy].takes_workers else _position(services, run)
    # The position of a generation that has only begun to fill the parameter server counts nothing yet.
    arrivals = 0 if position is None else int(position.fields.get("invocations", 0))
    before = run.step_invocations if run.attempts is None else run.attempts.get("arrivals", run.step_invocations)
    if position is not None and not position.complete and arrivals > before:
        return Silence(starved="neurons arrive slowly", arrivals=arrivals)
    # A message that is out of date: a Neuron that works does nothing with it.
    stale = Message(run.run_id, 0, "start", neuron=0)
    try:
        broken = services.invoker.try_neuron(stale) and services.invoker.try_neuron(stale)
    except Throttled as throttled:
        return Silence(starved=str(throttled), throttled=True, arrivals=arrivals)
    return Silence(broken=broken, arrivals=arrivals)


def _position(services: Services, run: Run) -> Position | None:
    """Where a run of strategy ``neuron`` is, if Redis knows."""
    from lnn.parameter_server.barrier import Barrier

    try:
        return Barrier(services.server(run.run_id)).position()
    except Exception:  # a parameter server that is away is waited for later
        logger.exception("the parameter server does not tell what became of the generation before")
        return None
