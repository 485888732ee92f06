"""The clocks of functions differ."""

from __future__ import annotations

from chaos.jobs import STRATEGIES
from chaos.scene import Fault, Scene

MOST_SECONDS = 60.0
WATCH = "watch"


def set_for_launch(scene: Scene) -> None:
    scene.cloud.set_clocks(WATCH, MOST_SECONDS)
    scene.cloud.set_clocks(scene.victim.folder, MOST_SECONDS)


def set_for_the_run(scene: Scene) -> None:
    """Each environment has a clock of its own, up to a minute off; so has the watch's."""
    victim = scene.victim
    victim.throughout = True
    scene.cloud.set_clocks(victim.run_id, MOST_SECONDS)
    scene.undo.callback(scene.cloud.set_clocks, victim.run_id, 0)


FAULTS = [Fault("clocks a minute apart", "clocks", tuple(STRATEGIES), set_for_the_run, set_for_launch, weight=8)]
