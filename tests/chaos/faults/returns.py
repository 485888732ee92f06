"""Processes that stand still and come back: SIGSTOP and SIGCONT, at a random moment and at each named point."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from chaos.faults.kills import ALL, FUSED, GANGS
from chaos.scene import Fault, Scene, Zombie
from support.e2e_cloud import s3_event

SINGLE = "neuron", *FUSED
"""Strategies whose Trainer keeps the run."""

AFTERMATH_SECONDS = 2.0
"""How long a run goes on slowly once a process has woken."""

SUCCESSOR_SECONDS = 20.0
"""A process that sleeps for so long has a successor when it wakes: it is to find that further on."""

FURTHER = 3
"""How many epochs further."""

FURTHER_SECONDS = 30.0
"""How much longer than it is to a process sleeps for that: the machine may be busy."""

LOOK_SECONDS = 0.05
OTHER_SEED = 77


@dataclass
class Sleeper:
    """A frozen process."""

    scene: Scene
    process: psutil.Process
    seconds: float

    def __post_init__(self) -> None:
        self._began = time.time()
        self._epoch = self.scene.victim.run.epoch
        self.until = self._began + self.seconds
        self.scene.victim.zombies.append(Zombie(self.process, self.scene.cloud.invocation_of(self.process)))
        self.scene.victim.struck.append(self._began)
        self.scene.undo.callback(self._thaw)  # if this round goes wrong

    def wake(self) -> None:
        """Once its time is over."""
        time.sleep(max(0.0, self.until - time.time()))
        if self.seconds >= SUCCESSOR_SECONDS:
            victim, deadline = self.scene.victim, self.until + FURTHER_SECONDS
            while time.time() < deadline and not victim.is_over and victim.run.epoch < self._epoch + FURTHER:
                time.sleep(LOOK_SECONDS)
        self.scene.victim.lasted.append((self._began, time.time()))
        self._thaw()

    def _thaw(self) -> None:
        with suppress(psutil.NoSuchProcess):  # the emulator has killed it: its invocation's time was up
            self.process.resume()


def freeze(
    scene: Scene,
    arm: Callable[[], Path],
    what: str,
    *,
    longer: bool = False,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Freeze whoever comes by, and perhaps whoever comes by next while the first one sleeps; then wake them.

    ``longer``: it may come when the run has ended. ``meanwhile`` is called once the first one sleeps.
    """
    seconds, *others = scene.seconds
    spent = arm()
    scene.wait_for(spent.exists, what, longer=longer)
    sleepers = [Sleeper(scene, psutil.Process(int(spent.read_text())), seconds)]
    meanwhile()
    for more in others:
        spent.unlink()
        arm()
        while time.time() < sleepers[0].until and not spent.exists():
            time.sleep(LOOK_SECONDS)
        scene.cloud.disarm(spent)
        if spent.exists():
            sleepers.append(Sleeper(scene, psutil.Process(int(spent.read_text())), more))
    for sleeper in sorted(sleepers, key=lambda one: one.until):
        sleeper.wake()
    time.sleep(AFTERMATH_SECONDS)


def at_a_point(scene: Scene, role: str, point: str, early: bool, passes: int) -> None:
    """Once the run is under way; ``early``: at the first chance, after up to ``passes`` passes."""
    if not early:
        scene.wait_for_progress(0.3)
    chosen = scene.rng.randint(0, passes)
    arm = partial(scene.cloud.arm, scene.victim.run_id, role, point, "freeze", chosen)
    freeze(scene, arm, f"a {role} to come by '{point}'", longer=role == "register")
    if point == "closing":
        scene.victim.messages_may_repeat += len(scene.seconds)


def at_the_end_of_a_batch_twice(scene: Scene) -> None:
    """While the Trainer stands still, the message that it has got comes again, and another goes on."""
    victim, cloud = scene.victim, scene.cloud

    def repeat() -> None:
        position = cloud.position(victim.run_id)
        if position is not None:
            cloud.send("trainer", position.step.message(victim.run_id).as_json())

    scene.wait_for_progress(0.3)
    arm = partial(cloud.arm, victim.run_id, "trainer", "batch-ending", "freeze")
    freeze(scene, arm, "a Trainer to come to the end of a batch", meanwhile=repeat)


def in_the_watch(scene: Scene, role: str, first: str, point: str) -> None:
    """The watch has something to do once a function has been killed."""
    victim, cloud = scene.victim, scene.cloud
    scene.wait_for_progress(0.3)
    killed = cloud.arm(victim.run_id, role, first)
    scene.wait_for(killed.exists, f"a {role} to come by '{first}'")
    freeze(scene, partial(cloud.arm, victim.run_id, "watch", point, "freeze"), f"the watch to come by '{point}'")


def arm_launch(scene: Scene, point: str, passes: int = 0) -> None:
    scene.cloud.arm(scene.victim.folder, "launch", point, "freeze", passes)


def in_launch(scene: Scene, point: str) -> None:
    """Launch is armed by the upload's folder, before there is a run; while it sleeps the event comes again."""
    victim, cloud = scene.victim, scene.cloud

    def arm() -> Path:
        if victim.zombies:  # the first one: another is to come by
            cloud.arm(victim.folder, "launch", point, "freeze")
            cloud.send("launch", s3_event(victim.run.dataset))
        return cloud.struck(f"{victim.folder}--launch--{point}--freeze")

    spent = arm()
    scene.wait_for(spent.exists, f"Launch to come by '{point}'")
    cloud.send("launch", s3_event(victim.run.dataset))
    freeze(scene, arm, f"Launch to come by '{point}'")


def other_parameters(scene: Scene) -> None:
    """Launch stands still with one file of parameters; the event comes again and finds another; a Trainer dies.

    What comes of it must be like a run of either file.
    """
    victim, cloud = scene.victim, scene.cloud
    spent = cloud.struck(f"{victim.folder}--launch--parameters-read--freeze")
    scene.wait_for(spent.exists, "Launch to read the parameters")
    other = victim.job.with_parameters(seed=OTHER_SEED)
    cloud.put(f"training_input/{victim.folder}/parameters.json", json.dumps(other.parameters).encode())
    cloud.send("launch", s3_event(victim.run.dataset))
    freeze(scene, lambda: spent, "Launch to read the parameters")
    role = "trainer" if victim.strategy in SINGLE else "neuron"
    for process in cloud.busy(role, victim.run_id):
        process.kill()
    scene.strike()


def at_random(scene: Scene, role: str) -> None:
    """Freeze a process while it works on the run."""
    scene.wait_for_progress(0.3)
    scene.pause(0, 0.5)
    process = scene.rng.choice(scene.wait_for(lambda: scene.cloud.busy(role, scene.victim.run_id), f"a busy {role}"))
    process.suspend()
    Sleeper(scene, process, scene.seconds[0]).wake()
    time.sleep(AFTERMATH_SECONDS)


def _point(
    role: str, point: str, said: str, strategies: tuple[str, ...] = ALL, early: bool = False, passes: int = 0
) -> Fault:
    strike = partial(at_a_point, role=role, point=point, early=early, passes=passes)
    name, kind = f"freeze {role.capitalize()} {said}", f"freeze {role.capitalize()}"
    return Fault(name, kind, strategies, strike, paced=True, lasting=True, after_end=role == "register")


def _launch_point(point: str, said: str, passes: int = 0) -> Fault:
    prepare = partial(arm_launch, point=point, passes=passes)
    strike = partial(in_launch, point=point)
    return Fault(f"freeze Launch {said}", "freeze Launch", ALL, strike, prepare, paced=True, lasting=True)


def _watch_point(role: str, first: str, point: str, said: str, strategies: tuple[str, ...]) -> Fault:
    strike = partial(in_the_watch, role=role, first=first, point=point)
    return Fault(f"freeze the watch {said}", "freeze the watch", strategies, strike, paced=True, lasting=True)


def _random(role: str, strategies: tuple[str, ...]) -> Fault:
    strike = partial(at_random, role=role)
    name = f"freeze {role.capitalize()} at random"
    return Fault(name, "freeze at random", strategies, strike, paced=True, lasting=True)


FAULTS = [
    _launch_point("opened", "after it has opened the run"),
    _launch_point("parameters-read", "after it has read the parameters"),
    _launch_point("stored", "after store"),
    _launch_point("checkpoint-stored", "between the writes of a checkpoint"),
    _launch_point("described", "after its last write", passes=1),
    Fault(
        "freeze Launch, and other parameters come",
        "freeze Launch",
        ALL,
        other_parameters,
        partial(arm_launch, point="parameters-read"),
        paced=True,
        lasting=True,
        alone=True,
        other_parameters={"seed": OTHER_SEED},
    ),
    _random("trainer", SINGLE),
    _random("neuron", ("neuron", *GANGS)),
    Fault(
        "freeze Trainer at the end of a batch, and the message comes again",
        "freeze Trainer",
        ("neuron",),
        at_the_end_of_a_batch_twice,
        paced=True,
        lasting=True,
    ),
    _point("trainer", "claimed", "after claim", early=True),
    _point("trainer", "put", "while it fills Redis", ("neuron",), early=True, passes=12),
    _point("trainer", "computing", "before compute", SINGLE),
    _point("trainer", "batch-ending", "at the end of a batch", ("neuron",)),
    _point("trainer", "renewing", "before it renews the lease", SINGLE),
    _point("trainer", "recording", "before it writes the history", SINGLE),
    _point("trainer", "checkpoint-storing", "before it stores a checkpoint", SINGLE),
    _point("trainer", "checkpoint-stored", "between the writes of a checkpoint", SINGLE),
    _point("trainer", "advancing", "before advance", ("neuron",)),
    _point("trainer", "advanced", "after advance", ("neuron",)),
    _point("trainer", "model-storing", "before the model", SINGLE),
    _point("trainer", "model-stored", "after the model", SINGLE),
    _point("trainer", "finishing", "before the end is written", SINGLE),
    _point("trainer", "finished", "after the end is written", SINGLE),
    _point("trainer", "publishing", "before it publishes the model", SINGLE),
    _point("trainer", "closing", "before the end is noted as carried out", SINGLE),
    _point("neuron", "joined", "after claim", GANGS, early=True),
    _point("neuron", "computing", "before compute", ("neuron", *GANGS)),
    _point("neuron", "computed", "after compute", ("neuron", *GANGS)),
    _point("neuron", "arriving", "before arrive", GANGS),
    _point("neuron", "arrived", "after arrive", ("neuron", *GANGS)),
    _point("neuron", "renewing", "before it renews the lease", GANGS),
    _point("neuron", "recording", "before it writes the history", GANGS),
    _point("neuron", "checkpoint-storing", "before it stores a checkpoint", GANGS),
    _point("neuron", "checkpoint-stored", "between the writes of a checkpoint", GANGS),
    _point("neuron", "model-storing", "before the model", GANGS),
    _point("neuron", "finishing", "before the end is written", GANGS),
    _point("neuron", "finished", "after the end is written", GANGS),
    _point("neuron", "publishing", "before it publishes the model", GANGS),
    _point("register", "upload-read", "after it has read the model", early=True),
    _point("register", "adding", "before it registers the model", early=True),
    _watch_point("trainer", "computing", "reviving", "before it calls the next generation", FUSED),
    _watch_point("trainer", "finished", "ending", "before it carries out the end", SINGLE),
    _watch_point("trainer", "finished", "clearing", "before it clears Redis", ("neuron",)),
]
