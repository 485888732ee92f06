"""Somebody who lets a stepped run go on all the time: half of the runs of strategy ``neuron`` are stepped."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING

from lnn.errors import RunStateError
from lnn_client.stepping import next_step

if TYPE_CHECKING:
    from chaos.cloud import ChaosCloud
    from chaos.jobs import Job
    from chaos.scene import Victim
    from lnn.runs.record import Run

STEPPED = 0.5
COUNTS = (1, 1, 3, 8, 20)
"""Steps that are asked for at once."""


def stepped(job: Job, dice: random.Random) -> Job:
    """The job, or the same one that waits at each step; the dice are not those of the faults."""
    steps = job.parameters["strategy"] == "neuron" and dice.random() < STEPPED
    return job.with_parameters(step=True) if steps else job


def press(cloud: ChaosCloud, victim: Victim, run: Run) -> None:
    """Ask for the next steps of a run that waits; now and then twice, as a request that is repeated does."""
    if not run.is_paused:
        return
    with suppress(RunStateError):  # it has been stopped, or has ended, just now
        for _ in range(victim.dice.choice((1, 1, 1, 2))):
            next_step(cloud, run.run_id, victim.dice.choice(COUNTS), expected=run.steps_allowed)  # type: ignore[arg-type]
