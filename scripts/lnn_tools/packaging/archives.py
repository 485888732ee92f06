"""Zip files with the same bytes for the same contents, on every machine and at any time."""

import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

# The oldest time that a zip can hold. With real times each build would look new to Terraform.
EPOCH = (1980, 1, 1, 0, 0, 0)
READABLE_FILE = 0o100644


def write_zip(target: Path, entries: Mapping[str, bytes | Path]) -> str:
    """Writes `entries` (name in the archive -> contents, or the file with them) to `target` in one step.

    An archive that has the same bytes already is not touched. Returns the archive's SHA-256 in hex.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(part, "w") as archive:
            for name in sorted(entries):
                contents = entries[name]
                info = zipfile.ZipInfo(name, EPOCH)
                info.create_system = 3  # Unix on every machine: the permissions depend on it
                info.external_attr = READABLE_FILE << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, contents if isinstance(contents, bytes) else contents.read_bytes())
        digest = sha256_of(part)
        if not (target.exists() and sha256_of(target) == digest):
            part.replace(target)
        return digest
    finally:
        part.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
