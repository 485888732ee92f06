"""Terraform's folder for AWS: links to the configuration, and a file that names the backend of the state.

In the configuration's own folder the local cloud, which keeps its state elsewhere, would read that file, too.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lnn_client.cloud import aws_home
from lnn_client.deployment import record_of
from lnn_tools.aws_deployment.credentials import Identity

REPOSITORY = Path(__file__).resolve().parents[3]
DEPLOYMENTS = REPOSITORY / ".lnn" / "aws"
CONFIGURATION = REPOSITORY / "terraform"
OWN_FILES = {".terraform", "terraform.tfstate", "terraform.tfstate.backup", "tests"}


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of deployments to AWS, and the identity that Terraform has in it."""

    path: Path = field(default_factory=aws_home)
    identity: Identity | None = None

    @property
    def configuration(self) -> Path:
        return self.path / "terraform"

    @property
    def answers(self) -> Path:
        return self.path / "answers.json"

    @property
    def variables(self) -> Path:
        """The variables for Terraform, made of the answers."""
        return self.path / "variables.tfvars.json"

    @property
    def backend(self) -> Path:
        """The backend of the state. Without this file Terraform could not find the state again."""
        return self.path / "backend.json"

    @property
    def local_state(self) -> Path:
        """The state where it is in no bucket: of the first deployment of a clone beside the configuration."""
        beside = self.path if self.is_named else CONFIGURATION
        return beside / "terraform.tfstate"

    @property
    def is_named(self) -> bool:
        """True for a deployment of ``LNN_DEPLOYMENT``, which has a folder among those of the first."""
        return self.path.parent == DEPLOYMENTS

    def others(self) -> list[Path]:
        """The folders of this clone's other deployments."""
        folders = [DEPLOYMENTS, *sorted(path for path in DEPLOYMENTS.glob("*") if path.is_dir())]
        return [path for path in folders if path != self.path and record_of(path).exists()]

    def link(self) -> None:
        """Links every file that Terraform reads, at the same relative path."""
        self.configuration.mkdir(parents=True, exist_ok=True)
        for entry in self.configuration.iterdir():
            if entry.is_symlink():
                entry.unlink()
        for entry in CONFIGURATION.iterdir():
            if entry.name not in OWN_FILES:
                link = self.configuration / entry.name
                # Releases before the lock file was committed left their own lock file here.
                link.unlink(missing_ok=True)
                link.symlink_to(entry)
        for name in ("build", "parameters.json"):
            (self.path / name).unlink(missing_ok=True)
            (self.path / name).symlink_to(REPOSITORY / name)

    def keep_state(self, backend: dict[str, Any]) -> None:
        self.backend.write_text(json.dumps({"terraform": {"backend": backend}}, indent=2) + "\n")
        shutil.copy(self.backend, self.configuration / "backend.tf.json")


def local_state(file: Path) -> dict[str, Any]:
    """State in a file."""
    return {"local": {"path": str(file)}}


def remote_state(bucket: str, key: str, region: str, account: str) -> dict[str, Any]:
    """State in S3 with a lock file, which keeps deployments from running at once; other accounts are refused."""
    where = {"allowed_account_ids": [account], "bucket": bucket, "key": key, "region": region}
    return {"s3": where | {"encrypt": True, "use_lockfile": True}}
