"""Every message comes several times, at once and late; so does S3's event."""

from __future__ import annotations

import json
from collections.abc import Iterator

from chaos.jobs import STRATEGIES
from chaos.scene import Fault, Scene
from support.e2e_cloud import s3_event

LATE_EVENTS = 3


def repeat_from_the_start(scene: Scene) -> None:
    (scene.cloud.folder / "repeated" / scene.victim.folder).touch()


def repeat(scene: Scene) -> None:
    """The layer repeats at once; here messages are sent again late, under request ids of their own."""
    victim, cloud = scene.victim, scene.cloud
    (cloud.folder / "repeated" / victim.run_id).touch()
    scene.undo.callback((cloud.folder / "repeated" / victim.run_id).unlink)
    victim.throughout = True
    event = s3_event(victim.run.dataset)
    for _ in range(scene.rng.randint(1, 4)):
        cloud.send("launch", event)
    sent = messages(scene)
    for number, (function, payload) in enumerate(sent):
        if number % 5 == 0:
            cloud.functions.invoke(FunctionName=function, InvocationType="Event", Payload=payload)
        if number < LATE_EVENTS:
            cloud.send("launch", event)


def messages(scene: Scene) -> Iterator[tuple[str, str]]:
    """What has been sent for the run, up to two seconds after it was."""
    path = scene.cloud.folder / "sent" / f"{scene.victim.run_id}.jsonl"
    done = 0
    while scene.going:
        scene.pause(0.2, 2.0)
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines[done:]:
            message = json.loads(line)
            yield message["function"], json.dumps(message["payload"])
        done = len(lines)


FAULTS = [
    Fault(
        "messages twice to five times",
        "deliveries",
        tuple(STRATEGIES),
        repeat,
        prepare=repeat_from_the_start,
        heavy=("neuron",),  # each neuron of a layer several times at once, each in an environment of its own
    ),
]
