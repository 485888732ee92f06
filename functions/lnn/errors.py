"""The library's exceptions. A caller tells by the type what it can do about one."""

from collections.abc import Iterable


class LnnError(Exception):
    """Base of every error the library raises on purpose."""


class InputError(LnnError):
    """A user's input is wrong; ``problems`` lists every problem found, not only the first."""

    def __init__(self, problems: Iterable[str] | str) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("; ".join(self.problems))


class SettingsError(InputError):
    """``parameters.json`` cannot be used."""


class Hdf5Error(InputError):
    """An HDF5 file is damaged, or uses a feature that is unsafe to read."""


class DatasetError(InputError):
    """``datasets.h5`` cannot be used."""


class ModelError(InputError):
    """``params.h5`` cannot be used."""


class InspectionFailed(LnnError):
    """The process that checks a file has ended without an answer, so that nothing is known of the file."""


class RunStateError(LnnError):
    """The run's status does not allow the requested change."""


class ModelStateError(LnnError):
    """The model's stage does not allow the requested change."""


class ConcurrentModification(LnnError):
    """Another writer changed which models are in use between this caller's read and its write."""


class ConditionFailed(LnnError):
    """What a conditional write was to replace or to create has been written by somebody else."""


class StaleGeneration(LnnError):
    """Another invocation owns the run now; this one must not write anything more."""


class StaleStep(StaleGeneration):
    """The run has gone on from the step that this invocation is about: it must not write anything more."""


class CacheLost(LnnError):
    """The parameter server has lost keys that this step of the run needs."""


class ProcessGroupBroken(LnnError):
    """A worker of this generation is missing; the run must continue from its checkpoint."""


class NonRetryable(LnnError):
    """AWS will refuse the same call again until a person fixes the cause, which the message names."""


class WorkersMissing(ProcessGroupBroken):
    """Workers of this generation never took their places, so that it could not begin."""


class PeerLeft(ProcessGroupBroken):
    """A worker has left the group; it has told why before that."""


class Throttled(Exception):
    """Lambda has no capacity for an invocation at this moment. A repeat heals that, and no run fails for it."""


class ResourceDeleted(NonRetryable):
    """The resource that the call names has been deleted."""


class LedgerUnavailable(LnnError):
    """DynamoDB failed to answer; the same call may succeed later."""
