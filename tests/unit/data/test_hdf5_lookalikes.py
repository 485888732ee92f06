"""Files that bear the name of an HDF5 file and are none: what is said, and that the mend works."""

from __future__ import annotations

import gzip
import io
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lnn.data.hdf5 import open_file
from lnn.errors import Hdf5Error

ARRAYS = {"train_set_x": np.arange(12.0).reshape(3, 4), "train_set_y": np.arange(3)}


def saved(save: Any, *arguments: Any, **named: Any) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arguments, **named)
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("datasets.h5", b"x")
    return buffer.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 123456\n"
MAT = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\1IM"
S3_ERROR = b'<?xml version="1.0"?><Error><Code>AccessDenied'
KINDS = {
    "Git LFS pointer": (LFS, "found a Git LFS pointer in place of the file", "run: git lfs install && git lfs pull"),
    "web page": (b"\n<!DOCTYPE html><html><body>Sign in", "found a web page", "download the file itself"),
    "web page with a byte order mark": (b"\xef\xbb\xbf<HTML>", "found a web page", "download the file itself"),
    "error of S3's": (
        S3_ERROR,
        "found a web page",
        "download the file itself",
    ),
    "npz": (saved(np.savez, **ARRAYS), "found a numpy .npz file", "convert it: a = np.load("),
    "npy": (saved(np.save, np.arange(3)), "found a numpy .npy file", "write its array with h5py"),
    "mat": (MAT, "found a MATLAB file of before version 7.3", "convert it: a = scipy.io.loadmat("),
    "gzip": (gzip.compress(b"x"), "found a gzip file", "gunzip"),
    "zip": (zipped(), "found a zip file", "python -m zipfile -e"),
    "cut zip": (zipped()[:40], "found a part of a zip file", "download or write it again"),
    "pickle": (pickle.dumps([1]), "found a Python pickle", "with h5py"),
    "Parquet": (b"PAR1\x15\x04", "found a Parquet file", "with h5py"),
    "text": (b"x,y\n1,2\n", "found a file that starts with b'x,y\\n1,2\\n'", "as h5py writes it"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind_is_named_with_its_mend(tmp_path: Path, kind: str) -> None:
    content, found, mend = KINDS[kind]
    (tmp_path / "d.h5").write_bytes(content)
    with pytest.raises(Hdf5Error) as refusal, open_file(tmp_path / "d.h5"):
        pass
    (problem,) = refusal.value.problems
    assert problem.startswith(f"d.h5: {found}")
    assert "expected an HDF5 file" in problem
    assert mend in problem
    assert problem.isprintable()


def test_the_line_that_converts_an_npz_file_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_bytes(KINDS["npz"][0])
    with pytest.raises(Hdf5Error) as refusal, open_file("FILE"):
        pass
    found = re.search(r"convert it: (.*)$", str(refusal.value))
    assert found is not None
    names: dict[str, Any] = {"h5py": h5py, "np": np}
    exec(found[1], names)  # noqa: S102 - what a reader would paste
    names["f"].close()
    with h5py.File("new.h5") as file:
        np.testing.assert_array_equal(file["train_set_x"], ARRAYS["train_set_x"])
        np.testing.assert_array_equal(file["train_set_y"], ARRAYS["train_set_y"])


def test_a_file_that_another_program_is_writing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "d.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)
        file.flush()
        program = (
            "import sys\nfrom lnn.errors import Hdf5Error\nfrom lnn.data.hdf5 import open_file\n"
            "try:\n    with open_file(sys.argv[1]): pass\nexcept Hdf5Error as error:\n    print(error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        )
    assert done.stdout.startswith("d.h5: another program has it open for writing; close it there (f.close())")


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_a_file_whose_writer_died_is_told(tmp_path: Path, version: str) -> None:
    path, copied = tmp_path / "d.h5", tmp_path / "copied.h5"
    with h5py.File(path, "w", libver=version) as file:
        file["x"] = np.zeros((2_000, 64), "u1")
        # What has reached the disk while the file is open.
        copied.write_bytes(path.read_bytes())
    with pytest.raises(Hdf5Error) as refusal, open_file(copied):
        pass
    assert "the program that wrote it has not closed it; close it there (f.close())" in str(refusal.value)
