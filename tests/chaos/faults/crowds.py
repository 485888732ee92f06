"""Several runs at once, and a file that comes again while it is trained on."""

from __future__ import annotations

from chaos.comparison import figures_of
from chaos.jobs import STRATEGIES
from chaos.person import press
from chaos.scene import Fault, Scene
from support.e2e_cloud import DEADLINE_SECONDS, eventually

ALL = tuple(STRATEGIES)


def nothing_else(scene: Scene) -> None:
    """The others are the disturbance."""
    for victim in scene.victims:
        victim.throughout = True


def upload_again(scene: Scene) -> None:
    """A second upload of the same file is a second run; both end alike."""
    victim, cloud = scene.victim, scene.cloud
    scene.wait_for_progress()
    victim.throughout = True
    again = cloud.put(victim.upload.key, victim.job.dataset)
    second = cloud.run_of(again).run_id
    if second == victim.run_id:
        raise AssertionError("the second upload opened no run of its own")

    def ended() -> bool:
        run = cloud.run(second)
        press(cloud, victim, run)  # it is stepped where the first one is
        return not run.is_unfinished

    eventually(ended, f"the end of {second}", DEADLINE_SECONDS, lambda: cloud.run(second))
    if figures_of(cloud, cloud.completed(second)) != victim.undisturbed:
        raise AssertionError(f"the second run, {second}, has other bits")


FAULTS = [
    Fault("two runs at once", "crowds", ALL, nothing_else, shared=True, several=2),
    Fault("five runs at once", "crowds", ALL, nothing_else, shared=True, several=5),
    Fault("the same file again", "crowds", ALL, upload_again),
]
