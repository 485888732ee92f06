"""HDF5 files that reach out of themselves: models and datasets whose values would be another file's."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from lnn.models.model_file import encode_model
from support.models import brightness_model

SECRET = b"Zq7kV2xP9wL4mT6rJ8sB3"
"""What the other file holds, again and again: no answer may have any of it."""
FEATURES = 16

ELSEWHERE = "found values kept in other files; expected them in this file"
LINK = "found a link to somewhere else; expected the dataset itself, in this file"
KINDS = {
    "external storage": ELSEWHERE,
    "virtual dataset": ELSEWHERE,
    "virtual dataset of a part": ELSEWHERE,
    "external link": LINK,
    "soft link": LINK,
}
"""How a dataset may reach out, and what is said of it."""
ONE_KIND = "external link"
"""For tests of one way in: all of them open files with ``lnn.data.hdf5``, whose own tests have every kind."""


def other_file(folder: Path) -> Path:
    """A file on the reader's machine: an HDF5 file, whose dataset ``x`` begins with the secret."""
    path = folder / "other.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        secret = np.frombuffer((SECRET * 2)[: 2 * FEATURES], np.float16)
        file["x"] = secret.reshape(1, FEATURES)
        file["y"] = np.frombuffer((SECRET * 8)[: 8 * FEATURES], np.uint8).reshape(8, FEATURES)
    with path.open("r+b") as raw:
        raw.write((SECRET * 30)[:512])
    return path


def reach_out(file: h5py.File, name: str, kind: str, other: Path, like: tuple[tuple[int, ...], str]) -> None:
    """Puts a dataset called ``name`` into the file whose values lie in ``other``."""
    shape, dtype = like
    source = "x" if dtype == "f2" else "y"
    if name in file:
        del file[name]
    if kind == "external storage":
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        file.create_dataset(name, shape, dtype, external=[(str(other), 0, size)])
    elif kind.startswith("virtual dataset"):
        layout = h5py.VirtualLayout(shape, dtype)
        rows = slice(0, 1) if kind.endswith("part") else slice(None)
        layout[rows] = h5py.VirtualSource(other, source, shape)[rows]
        file.create_virtual_dataset(name, layout)
    elif kind == "external link":
        file[name] = h5py.ExternalLink(str(other), source)
    else:
        file["zoo/link"] = h5py.ExternalLink(str(other), source)
        file[name] = h5py.SoftLink("/zoo/link")


def model_reaching_out(kind: str, other: Path, name: str = "W1") -> bytes:
    """A ``params.h5`` whose dataset ``name`` is another file's bytes, and everything else as it should be."""
    content = io.BytesIO(encode_model(brightness_model()))
    with h5py.File(content, "r+") as file:
        reach_out(file, name, kind, other, ((1, FEATURES) if name == "W1" else (1, 1), "f2"))
    return content.getvalue()


def dataset_reaching_out(kind: str, other: Path, name: str = "train_set_x") -> bytes:
    """A ``datasets.h5`` whose dataset ``name`` is another file's bytes, and everything else as it should be."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for split in ("train", "test"):
            file[f"{split}_set_x"] = np.arange(8 * FEATURES, dtype=np.uint8).reshape(8, FEATURES)
            file[f"{split}_set_y"] = np.arange(8) % 2
        file["list_classes"] = [b"dark", b"light"]
        reach_out(file, name, kind, other, ((8, FEATURES), "u1"))
    return content.getvalue()


def leaks(*texts: str | bytes) -> Iterator[str]:
    """Runs of four bytes of the secret that are in any of the texts."""
    for text in texts:
        raw = text if isinstance(text, bytes) else text.encode()
        yield from (part.decode() for part in _parts() if part in raw)


def _parts() -> Iterator[bytes]:
    return (SECRET[start : start + 4] for start in range(len(SECRET) - 3))
