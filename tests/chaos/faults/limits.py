"""Too little time, too few executions at once."""

from __future__ import annotations

from functools import partial

from chaos.jobs import LONG, WORKERS
from chaos.scene import Fault, Scene

LIMIT_SECONDS = 3
HAND_OVERS = 10
GANGS = tuple(name for name in LONG if name in WORKERS)
ALONE = tuple(name for name in LONG if name not in WORKERS)


def shorten(scene: Scene, role: str) -> None:
    scene.undo.enter_context(scene.cloud.time_limit(role, LIMIT_SECONDS))


def count_hand_overs(scene: Scene) -> None:
    """Generation after generation, until the end."""
    for victim in scene.victims:
        victim.throughout = True
        scene.wait_for(
            lambda victim=victim: victim.run.generation > HAND_OVERS,
            f"{HAND_OVERS} hand-overs of {victim.strategy}",
        )


def throttle(scene: Scene, limit: int) -> None:
    """Fewer Neurons at once than a layer has, or than there are workers, for a while."""
    scene.wait_for_progress()
    with scene.cloud.concurrency("neuron", limit):
        for victim in scene.victims:
            victim.throughout = True
        scene.pause(2, 5)


FAULTS = [
    Fault("3 s for each Trainer", "time limit", ALONE, count_hand_overs, partial(shorten, role="trainer"), True, True),
    Fault("3 s for each Neuron", "time limit", GANGS, count_hand_overs, partial(shorten, role="neuron"), True, True),
    Fault("2 Neurons at once", "throttling", ("neuron",), partial(throttle, limit=2), shared=True),
    Fault("1 Neuron at once", "throttling", ("neuron", *GANGS), partial(throttle, limit=1), shared=True),
]
