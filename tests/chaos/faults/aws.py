"""S3, DynamoDB and SNS fail, or answer nothing, now and then."""

from __future__ import annotations

import random
from functools import partial

from chaos.aws_proxy import Trouble
from chaos.jobs import STRATEGIES
from chaos.scene import Fault, Scene

ERRORS = "refused", "answer lost"
HANGS = ("hangs",)


def trouble(scene: Scene, service: str, gap: tuple[int, int], burst: tuple[int, int], modes: tuple[str, ...]) -> None:
    """From the upload on, for calls that name this upload."""
    victim = scene.victim
    victim.trouble = Trouble(service, [victim.folder.encode()], random.Random(scene.rng.random()), gap, burst, modes)
    scene.undo.enter_context(scene.cloud.aws.trouble(victim.trouble))


def name_the_run(scene: Scene) -> None:
    """Once the run is known, calls that name it go wrong, too."""
    victim = scene.victim
    victim.throughout = True
    victim.trouble.subjects.append(victim.run_id.encode())
    scene.wait_for(lambda: victim.trouble.struck, "a call to fail")


FAULTS = [
    Fault(
        name,
        kind,
        tuple(STRATEGIES),
        name_the_run,
        partial(trouble, service=service, gap=gap, burst=burst, modes=modes),
    )
    for name, kind, service, gap, burst, modes in (
        ("S3 fails now and then", "S3", "s3", (2, 12), (1, 4), ERRORS),
        ("S3 does not answer now and then", "S3", "s3", (1, 8), (1, 1), HANGS),
        ("DynamoDB fails now and then", "DynamoDB", "dynamodb", (2, 12), (1, 4), ERRORS),
        ("DynamoDB does not answer now and then", "DynamoDB", "dynamodb", (1, 12), (1, 1), HANGS),
        ("SNS fails", "SNS", "sns", (0, 0), (1, 1), ERRORS),
        ("SNS does not answer", "SNS", "sns", (0, 0), (1, 1), HANGS),
    )
]
