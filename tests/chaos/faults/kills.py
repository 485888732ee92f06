"""SIGKILL: at a random moment, and at each named point."""

from __future__ import annotations

from functools import partial

import psutil

from chaos.jobs import STRATEGIES, WORKERS
from chaos.scene import Fault, Scene

ALL = tuple(STRATEGIES)
FUSED = "fused", "example space"
LONG_LIVED = tuple(name for name in STRATEGIES if name != "neuron")
GANGS = tuple(name for name in WORKERS if name in STRATEGIES)


def at_a_point(scene: Scene, role: str, point: str, early: bool) -> None:
    """Die at the point, once the run is under way; ``early``: at the first chance."""
    victim = scene.victim
    if not early:
        scene.wait_for_progress()
    spent = scene.cloud.arm(victim.run_id, role, point)
    scene.wait_for(spent.exists, f"a {role} to come by '{point}'")
    victim.struck.append(spent.stat().st_ctime)


def arm_launch(scene: Scene, point: str) -> None:
    scene.cloud.arm(scene.victim.folder, "launch", point)


def in_launch(scene: Scene, point: str) -> None:
    """Launch is armed by the upload's folder, before there is a run."""
    victim = scene.victim
    spent = scene.cloud.struck(f"{victim.folder}--launch--{point}--kill")
    scene.wait_for(spent.exists, f"Launch to come by '{point}'")
    victim.struck.append(spent.stat().st_ctime)


def at_random(scene: Scene, role: str) -> None:
    """Kill a process while it works on the run."""
    victim = scene.victim
    subject = victim.folder if role == "launch" else victim.run_id
    if role != "launch":
        scene.wait_for_progress()
        scene.pause(0, 0.5)
    process = scene.rng.choice(scene.wait_for(lambda: scene.cloud.busy(role, subject), f"a busy {role}"))
    try:
        process.kill()
    except psutil.NoSuchProcess:
        at_random(scene, role)
        return
    scene.strike()


def _point(role: str, point: str, said: str, strategies: tuple[str, ...], early: bool = False) -> Fault:
    strike = partial(at_a_point, role=role, point=point, early=early)
    return Fault(f"kill {role.capitalize()} {said}", "kill at a point", strategies, strike)


def _launch_point(point: str, said: str) -> Fault:
    return Fault(
        f"kill Launch {said}",
        "kill Launch",
        ALL,
        partial(in_launch, point=point),
        prepare=partial(arm_launch, point=point),
    )


def _random(role: str, strategies: tuple[str, ...]) -> Fault:
    return Fault(f"kill {role.capitalize()} at random", "kill at random", strategies, partial(at_random, role=role))


FAULTS = [
    _random("launch", ALL),
    _random("trainer", ("neuron", *FUSED)),
    _random("neuron", ("neuron", *GANGS)),
    _launch_point("computing", "before compute"),
    _launch_point("stored", "after store"),
    _launch_point("checkpoint-stored", "between the writes of a checkpoint"),
    _point("trainer", "claimed", "after claim", ALL, early=True),
    _point("trainer", "computing", "before compute", ("neuron", *FUSED)),
    _point("trainer", "computed", "after compute", ("neuron", *FUSED)),
    _point("trainer", "recorded", "after store", ("neuron", *FUSED)),
    _point("trainer", "checkpoint-stored", "between the writes of a checkpoint", ("neuron", *FUSED)),
    _point("trainer", "advancing", "before advance", ("neuron",)),
    _point("trainer", "advanced", "after advance", ("neuron",)),
    _point("trainer", "model-stored", "after the model", ("neuron", *FUSED)),
    _point("trainer", "finished", "after the end is written", ("neuron", *FUSED)),
    _point("neuron", "joined", "after claim", GANGS, early=True),
    _point("neuron", "computing", "before compute", ("neuron", *GANGS)),
    _point("neuron", "computed", "after compute", ("neuron", *GANGS)),
    _point("neuron", "arriving", "before arrive", GANGS),
    _point("neuron", "arrived", "after arrive", ("neuron", *GANGS)),
    _point("neuron", "recorded", "after store", GANGS),
    _point("neuron", "checkpoint-stored", "between the writes of a checkpoint", GANGS),
    _point("neuron", "model-stored", "after the model", GANGS),
    _point("neuron", "finished", "after the end is written", GANGS),
]
