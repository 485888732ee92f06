"""S3, DynamoDB and SNS fail, or answer nothing, now and then."""

from __future__ import annotations

import random
from functools import partial

from chaos.aws_proxy import Trouble
from chaos.jobs import STRATEGIES
from chaos.scene import Fault, Scene

ERRORS = "refused", "answer lost"
HANGS = ("hangs",)
TORN = ("answer torn",)
LATE = ("late",)
LATE_CALLS = 2


def trouble(
    scene: Scene, service: str, gap: tuple[int, int], burst: tuple[int, int], modes: tuple[str, ...], most: int = 2**31
) -> None:
    """From the upload on, for calls that name this upload."""
    victim, dice = scene.victim, random.Random(scene.rng.random())
    found = Trouble(service, [victim.folder.encode()], dice, gap, burst, modes, most)
    victim.messages_may_fail |= service == "sns"
    victim.troubles.append(found)
    scene.undo.enter_context(scene.cloud.aws.trouble(found))


def name_the_run(scene: Scene, service: str, modes: tuple[str, ...]) -> None:
    """Once the run is known, calls that name it go wrong, too."""
    victim = scene.victim
    victim.throughout = True
    troubles = (one for one in victim.troubles if isinstance(one, Trouble))
    found = next(one for one in troubles if (one.service, one.modes) == (service, modes))
    found.subjects.append(victim.run_id.encode())
    scene.wait_for(lambda: found.struck, "a call to fail")
    # A late call has come when the run goes on.
    scene.wait_for(lambda: not found.under_way, "late calls")


FAULTS = [
    *(
        Fault(
            name,
            kind,
            tuple(STRATEGIES),
            partial(name_the_run, service=service, modes=modes),
            partial(trouble, service=service, gap=gap, burst=burst, modes=modes),
        )
        for name, kind, service, gap, burst, modes in (
            ("S3 fails now and then", "S3", "s3", (2, 12), (1, 4), ERRORS),
            ("S3 does not answer now and then", "S3", "s3", (1, 8), (1, 1), HANGS),
            ("S3 answers get lost", "S3", "s3", (2, 12), (1, 1), TORN),
            ("DynamoDB fails now and then", "DynamoDB", "dynamodb", (2, 12), (1, 4), ERRORS),
            ("DynamoDB does not answer now and then", "DynamoDB", "dynamodb", (1, 12), (1, 1), HANGS),
            ("DynamoDB answers get lost", "DynamoDB", "dynamodb", (2, 12), (1, 1), TORN),
            ("SNS fails", "SNS", "sns", (0, 0), (1, 1), ERRORS),
            ("SNS does not answer", "SNS", "sns", (0, 0), (1, 1), HANGS),
        )
    ),
    *(
        Fault(
            f"{named} requests arrive late",
            "late requests",
            tuple(STRATEGIES),
            partial(name_the_run, service=service, modes=LATE),
            partial(trouble, service=service, gap=(1, 15), burst=(1, 1), modes=LATE, most=LATE_CALLS),
            paced=True,
        )
        for named, service in (("S3", "s3"), ("DynamoDB", "dynamodb"))
    ),
]
