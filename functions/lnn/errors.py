"""The library's exceptions: what a caller can act on, told apart by type."""

from __future__ import annotations

from collections.abc import Iterable


class LnnError(Exception):
    """Base of every error the library raises on purpose."""


class InputError(LnnError):
    """What a user gave is wrong; ``problems`` lists every fault found, not only the first."""

    def __init__(self, problems: Iterable[str] | str) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("; ".join(self.problems))


class SettingsError(InputError):
    """``parameters.json`` cannot be used."""


class Hdf5Error(InputError):
    """An HDF5 file cannot be read, or holds what may not be read."""


class DatasetError(InputError):
    """``datasets.h5`` cannot be used."""


class ModelError(InputError):
    """``params.h5`` cannot be used."""


class RunStateError(LnnError):
    """The run is not in a state in which the requested change makes sense."""


class ModelStateError(LnnError):
    """The model is not in a state in which the requested change makes sense."""


class ConcurrentModification(LnnError):
    """Somebody else has changed which models are in use since they were looked at."""


class StaleGeneration(LnnError):
    """Another invocation owns the run now; whoever sees this must change nothing more."""


class CacheLost(LnnError):
    """The parameter server no longer holds what this step of the run needs."""


class ProcessGroupBroken(LnnError):
    """A worker of this generation is missing: the run has to go on from its checkpoint."""


class NonRetryable(LnnError):
    """AWS will refuse the same call again, until a person mends the cause that the message names."""


class ResourceDeleted(NonRetryable):
    """What the call is about has been deleted."""


class LedgerUnavailable(LnnError):
    """DynamoDB did not answer as it should; the same call may succeed later."""
