"""Where one local cloud keeps its files. Several may run side by side, each with a home and ports of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
BUILD = REPOSITORY / "build"
HOME_VARIABLE = "LNN_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one local cloud, and the names of what lies in it."""

    path: Path

    @classmethod
    def from_environment(cls) -> "Home":
        """LNN_HOME, or .lnn/local in the repository."""
        named = os.environ.get(HOME_VARIABLE)
        return cls(Path(named).absolute() if named else REPOSITORY / ".lnn" / "local")

    @property
    def description(self) -> Path:
        """What the command line and the tests read: endpoint, region, prefix, Redis, credentials."""
        return self.path / "cloud.json"

    @property
    def scratch(self) -> Path:
        """Temporary files of the emulator and its workers."""
        return self.path / "tmp"

    @property
    def terraform_state(self) -> Path:
        """What Terraform knows of the emulator: worthless once the emulator has stopped."""
        return self.path / "terraform.tfstate"

    @property
    def terraform_data(self) -> Path:
        """Terraform's providers and modules: kept, so that the next start is quick."""
        return self.path / "terraform"

    def log(self, name: str) -> Path:
        """Log of `redis`, `emulator` or `terraform`."""
        return self.path / f"{name}.log"

    def record(self, name: str) -> Path:
        """Who runs `redis` or `emulator`."""
        return self.path / f"{name}.pid"

    def create(self) -> None:
        """Makes the folder, for this user only: it will hold credentials."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds `path` locked; waits for whoever has it. A process that dies lets go of it."""
    import fcntl  # noqa: PLC0415 (Unix only, as are the emulator's process groups)

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
