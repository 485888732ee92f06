"""Redis dies, forgets, remembers wrongly, stumbles, fills up."""

from __future__ import annotations

import time
from functools import partial

from chaos.jobs import MEETS_IN_REDIS, STRATEGIES
from chaos.scene import Fault, Scene

STRATEGIES_THAT_USE_IT = tuple(name for name in MEETS_IN_REDIS if name in STRATEGIES)


def restart_empty(scene: Scene, least: float, most: float) -> None:
    scene.wait_for_progress()
    scene.cloud.server.kill()
    scene.pause(least, most)
    scene.cloud.server.start()
    scene.strike()


def restart_old(scene: Scene) -> None:
    """The snapshot is a second or two old when it comes back."""
    scene.wait_for_progress()
    snapshot = scene.cloud.server.snapshot()
    for victim in scene.victims:
        victim.keys_may_stay = True
    scene.pause(0.3, 1)
    scene.cloud.server.kill()
    scene.cloud.server.start(snapshot)
    scene.strike()


def reset_connections(scene: Scene) -> None:
    scene.wait_for_progress()
    for _ in range(scene.rng.randint(2, 5)):
        scene.cloud.network.reset()
        scene.strike()
        scene.pause(0.05, 0.7)


def stumble(scene: Scene) -> None:
    scene.wait_for_progress()
    for _ in range(scene.rng.randint(2, 5)):
        with scene.cloud.network.paused():
            time.sleep(0.5)
        scene.strike()
        scene.pause(0.1, 0.5)


def fill_up(scene: Scene) -> None:
    """No write succeeds for a while."""
    scene.wait_for_progress()
    client = scene.cloud.server.client
    client.config_set("maxmemory", 1)
    try:
        scene.pause(1, 4)
    finally:
        client.config_set("maxmemory", 0)
    scene.strike()


FAULTS = [
    Fault(name, kind, STRATEGIES_THAT_USE_IT, strike, shared=True)
    for name, kind, strike in (
        ("Redis killed, restarted empty", "Redis restarts", partial(restart_empty, least=0, most=1)),
        ("Redis away for 10 s, restarted empty", "Redis restarts", partial(restart_empty, least=10, most=10)),
        ("Redis killed, restarted with an old snapshot", "Redis snapshot", restart_old),
        ("connections to Redis reset", "Redis network", reset_connections),
        ("Redis pauses for 500 ms", "Redis network", stumble),
        ("Redis's memory full", "Redis memory", fill_up),
    )
]
