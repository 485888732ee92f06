"""Where `make deploy` put it: the record of the deployment that this folder made, for every command that follows."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from lnn_client.errors import ClientError

LONGEST_NAME = 16
"""Of a deployment: with `lnn-` before it, it is the longest prefix of names that Terraform takes."""

TAKEN = frozenset({"build", "terraform"})
"""Folders beside those of the deployments."""


class UnusableNameError(ClientError):
    """A deployment cannot have this name."""


class DamagedRecordError(ClientError):
    """The record cannot be read; the text says how to mend it."""


def deployment_name(name: str) -> str:
    """The name itself, if a deployment can have it.

    Raises:
        UnusableNameError: it cannot.
    """
    if len(name) > LONGEST_NAME or name in TAKEN or not re.fullmatch(r"[a-z]([a-z0-9]|-[a-z0-9])*", name):
        raise UnusableNameError(
            f"LNN_DEPLOYMENT is {name!r}; give at most {LONGEST_NAME} lower-case letters, digits and single hyphens, "
            f"a letter first, and neither of {', '.join(sorted(TAKEN))}"
        )
    return name


@dataclass(frozen=True, slots=True)
class Deployment:
    """What was in effect when the deployment was made or last changed, whoever gave it."""

    account: str
    region: str
    prefix: str
    state: str
    """Where Terraform's state is: `s3://BUCKET/KEY`, or a file."""
    profile_region: str | None = None
    """The region that the credentials' profile or the environment named at that time."""

    @staticmethod
    def load(folder: Path) -> Deployment | None:
        """The record in ``folder``; None where nothing was deployed from it.

        Raises:
            DamagedRecordError: the file is no record.
        """
        path = record_of(folder)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return Deployment(**{name: values[name] for name in Deployment.__slots__ if name in values})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise DamagedRecordError(
                f"{path} is damaged ({error}); delete it, and give region and prefix until the next make deploy"
            ) from error

    def save(self, folder: Path) -> None:
        """Write the record."""
        record_of(folder).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @staticmethod
    def forget(folder: Path) -> None:
        """Delete the record: nothing is deployed any more."""
        record_of(folder).unlink(missing_ok=True)

    def other_account(self, account: str) -> str | None:
        """What is wrong if the credentials in use are of ``account``; None if they are of the deployment's."""
        if account == self.account:
            return None
        return (
            f"{self.prefix!r} is deployed in account {self.account} ({self.region}), but the credentials in use are of "
            f"account {account}; set AWS_PROFILE to a profile of account {self.account}"
        )


def record_of(folder: Path) -> Path:
    """The file of the record."""
    return folder / "deployment.json"
