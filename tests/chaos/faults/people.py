"""A person stops a run, and lets it go on, at any moment."""

from __future__ import annotations

from chaos.jobs import STRATEGIES
from chaos.scene import Fault, Scene
from lnn.errors import RunStateError

TIMES = 3
"""The most stops of a run."""


def stop_and_resume(scene: Scene) -> None:
    victim, ledger = scene.victim, scene.cloud.ledger
    try:
        for _ in range(scene.rng.randint(1, TIMES)):
            scene.pause(0, 1 + 0.3 * max(scene.seconds, default=3))
            try:
                ledger.request_stop(victim.run_id)
            except RunStateError:  # it has ended
                return
            ended = scene.wait_for(lambda: ledger.get_run(victim.run_id).has_ended, "the run to stop")
            assert ended
            scene.pause(0, 0.5)
            if not resume(scene):
                return
    finally:
        victim.resumes = False


def expect_resumption(scene: Scene) -> None:
    scene.victim.resumes = True


def resume(scene: Scene) -> bool:
    """As ``lnn resume`` does; False when the run had completed, or failed, before it could stop."""
    victim, cloud = scene.victim, scene.cloud
    if cloud.run(victim.run_id).status != "STOPPED":
        return False
    generation = cloud.ledger.reopen(victim.run_id)
    cloud.send("trainer", {"run_id": victim.run_id, "generation": generation, "state": "start"})
    # What follows an end has marked the run before it went on.
    victim.run = cloud.run(victim.run_id)
    return True


FAULTS = [
    Fault(
        "stops and resumes",
        "stops and resumes",
        tuple(STRATEGIES),
        stop_and_resume,
        expect_resumption,
        paced=True,
        weight=20,
    )
]
