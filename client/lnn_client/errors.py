"""What can go wrong between a program and a deployment.

The text of an error says what is wrong and, unless that depends on a program's options, how to mend it. The fields hold
what a program needs to say the rest.
"""

from collections.abc import Sequence

from lnn.errors import InputError, LnnError
from lnn.runs.record import Run


class ClientError(LnnError):
    """Base of the errors that the client raises."""


class LocalCloudDown(ClientError):
    """The local cloud has not been started."""


class UnsupportedSystem(ClientError):
    """The local cloud does not run on this operating system."""


class NoRegion(ClientError):
    """No AWS region is configured."""


class NoCredentials(ClientError):
    """AWS knows no credentials that are configured here."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text}; run: aws configure, or set AWS_PROFILE")


class NoLogin(ClientError):
    """The AWS login has ended, or was never made."""


class NotDeployed(ClientError):
    """AWS does not know the resource: the system is not deployed."""


class Unreachable(ClientError):
    """Nobody answers at ``endpoint``."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.is_local = "127.0.0.1" in endpoint or "localhost" in endpoint
        super().__init__(
            f"{'the local cloud' if self.is_local else 'AWS'} does not answer at {endpoint or 'its endpoint'}"
        )


class AwsFailure(ClientError):
    """A call to AWS has failed in a way that has no better name."""


class OtherRegion(ClientError):
    """The profile names another region than ``region``, in which this folder's deployment is."""

    def __init__(self, text: str, region: str) -> None:
        self.region = region
        super().__init__(text)


class OtherAccount(ClientError):
    """The credentials belong to another account than the deployment."""


class MissingPackage(ClientError):
    """A library that only some need is not installed."""


class CannotReplay(ClientError):
    """A run's training cannot be computed again, or not up to the epoch asked for."""


class NotFound(ClientError):
    """There is no such ``kind`` of thing: a run, a model, or a stage's model."""

    def __init__(self, kind: str, wanted: str | None = None) -> None:
        self.kind, self.wanted = kind, wanted
        super().__init__(f"there is no {kind} {wanted!r}" if wanted is not None else f"there is no {kind} yet")


class Ambiguous(ClientError):
    """The start of an id fits more than one run or model."""

    def __init__(self, kind: str, wanted: str, found: Sequence[str]) -> None:
        names = ", ".join([*found[:3], *(["..."] if len(found) > 3 else [])])
        super().__init__(f"{wanted!r} fits {len(found)} {kind}s ({names}); give more of its id")


class NoModel(ClientError):
    """The bucket holds no such model; ``run`` is the run that should have one."""

    def __init__(self, text: str, run: Run | None = None) -> None:
        self.run = run
        super().__init__(text)


class RunNotOpened(ClientError):
    """Launch opened no run for an upload in time."""


class FollowTimeout(ClientError):
    """The run goes on after ``timeout`` seconds; ``run`` is its last state."""

    def __init__(self, run: Run, timeout: float) -> None:
        self.run, self.timeout = run, timeout
        super().__init__(f"run {run.run_id} is still {run.status} after {timeout:g} s")


class TrainingFailed(ClientError):
    """A run has FAILED; ``run`` is its record."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(f"run {run.run_id} has failed: {run.reason}")


class BatchFailed(ClientError):
    """A part of a batch has no predictions."""


class NotMeasured(ClientError):
    """A training ended in a way that says nothing about speed."""


class PictureError(InputError):
    """A file is no picture that can be read."""


class WhiteUnknown(PictureError):
    """A picture of more than 8 bits does not say which value is white; ``usual`` holds likely ones."""

    def __init__(self, text: str, usual: Sequence[int]) -> None:
        self.usual = usual
        super().__init__(text)


class AmbiguousFolders(InputError):
    """Folders of pictures can be read in two ways: as the split, or as classes."""
