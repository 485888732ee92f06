"""Redis dies, forgets, remembers wrongly, stumbles, fills up, hears late and is not heard."""

from __future__ import annotations

import random
import time
from functools import partial

from chaos.jobs import MEETS_IN_REDIS, STRATEGIES
from chaos.scene import Fault, Scene
from chaos.tcp_proxy import Stumble

LIFETIME_MS = 24 * 3600 * 1000
STRATEGIES_THAT_USE_IT = tuple(name for name in MEETS_IN_REDIS if name in STRATEGIES)


def restart_empty(scene: Scene, least: float, most: float) -> None:
    scene.wait_for_progress()
    scene.cloud.server.kill()
    scene.pause(least, most)
    scene.cloud.server.start()
    scene.strike()


def restart_old(scene: Scene) -> None:
    """As after a failover, the last second or two are lost."""
    scene.wait_for_progress()
    snapshot = scene.cloud.server.snapshot()
    for victim in scene.victims:
        victim.keys_may_stay = True
    scene.pause(0.1, 2)
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


def lose_a_key(scene: Scene) -> None:
    """One key of the run is gone, as if evicted."""
    scene.wait_for_progress()
    client = scene.cloud.redis
    scene.wait_for(lambda: any(client.delete(key) for key in _keys(scene)[:1]), "a key to lose")
    scene.strike()


def bring_back_an_old_value(scene: Scene) -> None:
    """One key of the run has a value that it had before."""
    scene.wait_for_progress()
    client = scene.cloud.redis

    def bring_back() -> bool:
        before = {key: client.dump(key) for key in _keys(scene)}
        scene.pause(0.2, 1.5)
        old = [key for key in before if before[key] and client.dump(key) not in (before[key], None)]
        if not old:
            return False
        key = scene.rng.choice(old)
        client.restore(key, LIFETIME_MS, before[key], replace=True)
        return True

    scene.wait_for(bring_back, "a key to change")
    scene.strike()


def _keys(scene: Scene) -> list[bytes]:
    keys = sorted(scene.cloud.redis_keys(scene.victim.run_id))
    scene.rng.shuffle(keys)
    return keys


def stumbling(scene: Scene, mode: str, gap: tuple[int, int], most: int) -> None:
    """From the start on, for commands that name the run."""
    victim = scene.victim
    found = Stumble(victim.run_id.encode(), random.Random(scene.rng.random()), gap, mode, most)
    victim.troubles.append(found)
    victim.throughout = True
    scene.undo.enter_context(scene.cloud.network.stumble(found))
    scene.wait_for(lambda: found.struck, "a command to go wrong")
    scene.wait_for(lambda: not found.under_way, "late commands")


FAULTS = [
    *(
        Fault(name, kind, STRATEGIES_THAT_USE_IT, strike, shared=True)
        for name, kind, strike in (
            ("Redis killed, restarted empty", "Redis restarts", partial(restart_empty, least=0, most=1)),
            ("Redis away for 10 s, restarted empty", "Redis restarts", partial(restart_empty, least=10, most=10)),
            ("Redis killed, restarted with an old snapshot", "Redis snapshot", restart_old),
            ("connections to Redis reset", "Redis network", reset_connections),
            ("Redis pauses for 500 ms", "Redis network", stumble),
            ("Redis's memory full", "Redis memory", fill_up),
        )
    ),
    Fault("one key of Redis lost", "one key", STRATEGIES_THAT_USE_IT, lose_a_key),
    Fault("one key of Redis old", "one key", STRATEGIES_THAT_USE_IT, bring_back_an_old_value),
    Fault(
        "Redis commands arrive late",
        "late requests",
        STRATEGIES_THAT_USE_IT,
        partial(stumbling, mode="late", gap=(5, 120), most=2),
        paced=True,
    ),
    Fault(
        "Redis answers get lost",
        "Redis network",
        STRATEGIES_THAT_USE_IT,
        partial(stumbling, mode="answer lost", gap=(5, 60), most=5),
    ),
]
