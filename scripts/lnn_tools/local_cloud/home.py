"""The folder of a local cloud. Several clouds run side by side if each has a folder and ports of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
BUILD = REPOSITORY / "build"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one local cloud, and the names of its files."""

    path: Path

    @property
    def description(self) -> Path:
        """Endpoint, region, prefix, Redis and credentials, for the command line and the tests."""
        return self.path / "cloud.json"

    @property
    def scratch(self) -> Path:
        """Temporary files of the emulator and its workers."""
        return self.path / "tmp"

    @property
    def terraform_state(self) -> Path:
        """Terraform's state, deleted with the emulator that it describes."""
        return self.path / "terraform.tfstate"

    @property
    def terraform_data(self) -> Path:
        """Terraform's providers and modules, kept to make the next start quick."""
        return self.path / "terraform"

    def log(self, name: str) -> Path:
        """The log of `redis`, `emulator` or `terraform`."""
        return self.path / f"{name}.log"

    def record(self, name: str) -> Path:
        """The record of the process that runs `redis` or `emulator`."""
        return self.path / f"{name}.pid"

    def create(self) -> None:
        """Makes the folder for this user only, since it will hold credentials."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock on `path`, and waits for it first. The kernel releases it when the process dies."""
    import fcntl  # noqa: PLC0415 (Unix only, as are the emulator's process groups)

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
