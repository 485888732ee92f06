"""Where Terraform works for AWS: links to the configuration, with a file beside them that says where the state is.

In the configuration's own folder that file would reach the local cloud as well, whose state is elsewhere.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn_tools.aws_deployment.credentials import Identity

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIGURATION = REPOSITORY / "terraform"
OWN_FILES = {".terraform", "terraform.tfstate", "terraform.tfstate.backup", "tests"}


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of deployments to AWS, and who works in it."""

    path: Path = REPOSITORY / ".lnn" / "aws"
    identity: Identity | None = None

    @property
    def configuration(self) -> Path:
        return self.path / "terraform"

    @property
    def answers(self) -> Path:
        """What was asked for."""
        return self.path / "answers.json"

    @property
    def variables(self) -> Path:
        """What of it Terraform is given."""
        return self.path / "variables.tfvars.json"

    @property
    def backend(self) -> Path:
        """Where the state is: kept, since Terraform could not find it again without."""
        return self.path / "backend.json"

    def link(self) -> None:
        """Lays links to all that Terraform reads, by the paths that it reads them by."""
        self.configuration.mkdir(parents=True, exist_ok=True)
        for entry in self.configuration.iterdir():
            if entry.is_symlink():
                entry.unlink()
        for entry in CONFIGURATION.iterdir():
            if entry.name not in OWN_FILES:
                link = self.configuration / entry.name
                # Releases before the lock file was committed left one of their own here.
                link.unlink(missing_ok=True)
                link.symlink_to(entry)
        for name in ("build", "parameters.json"):
            (self.path / name).unlink(missing_ok=True)
            (self.path / name).symlink_to(REPOSITORY / name)

    def keep_state(self, backend: dict[str, Any]) -> None:
        """Writes where the state is."""
        self.backend.write_text(json.dumps({"terraform": {"backend": backend}}, indent=2) + "\n")
        shutil.copy(self.backend, self.configuration / "backend.tf.json")


def local_state() -> dict[str, Any]:
    """State in a file beside the configuration."""
    return {"local": {"path": str(CONFIGURATION / "terraform.tfstate")}}


def remote_state(bucket: str, key: str, region: str, account: str) -> dict[str, Any]:
    """State in S3, where a lock file keeps two deployments from each other; other accounts' credentials are refused."""
    where = {"allowed_account_ids": [account], "bucket": bucket, "key": key, "region": region}
    return {"s3": where | {"encrypt": True, "use_lockfile": True}}
