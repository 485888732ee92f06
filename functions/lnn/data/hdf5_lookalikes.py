"""Files that are named like an HDF5 file but are something else, and how to get the right file."""

import zipfile
from pathlib import Path

START_BYTES = 512
"""Bytes at the start of a file that identify its kind."""

EXPECTED = "expected an HDF5 file"
_TO_HDF5 = 'f = h5py.File("new.h5", "w"); [f.create_dataset(k, data=v) for k, v in {arrays}]'
_NPZ = 'a = np.load("FILE"); ' + _TO_HDF5.format(arrays="a.items()")
_MAT = 'a = scipy.io.loadmat("FILE"); ' + _TO_HDF5.format(arrays='a.items() if k[0] != "_"')
KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer in place of the file", "run: git lfs install && git lfs pull"),
    (
        b"\x93NUMPY",
        "a numpy .npy file, which holds one array",
        "write its array with h5py, under the name that is expected",
    ),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file of before version 7.3", f"convert it: {_MAT}"),
    (b"\x1f\x8b", "a gzip file", "unpack it: gunzip < FILE > new.h5"),
    (b"\x0e\x03\x13\x01", "an HDF4 file", "convert it: h4toh5 FILE new.h5"),
    (b"PAR1", "a Parquet file", "write its columns with h5py"),
    (b"\x80\x04", "a Python pickle", "load it where it was made, and write the arrays with h5py"),
    (b"\x80\x05", "a Python pickle", "load it where it was made, and write the arrays with h5py"),
)
"""(first bytes, kind of file, fix)."""

PAGES = (b"<!doctype html", b"<html", b"<head", b"<?xml")


def lookalike(path: Path) -> str:
    """The kind of a file that is not HDF5, and the fix, on one line."""
    with path.open("rb") as stream:
        start = stream.read(START_BYTES)
    for first, what, mend in KINDS:
        if start.startswith(first):
            return f"found {what}; {EXPECTED}: {mend}"
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        return (
            f"found a web page; {EXPECTED}: the server sent a page in its place (a login, an error, a preview): "
            "download the file itself, such as by the link named raw or download"
        )
    if start.startswith(b"PK\x03\x04"):
        return _zip(path)
    return f"found a file that starts with {start[:8]!r}; {EXPECTED}, as h5py writes it"


def _zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return f"found a part of a zip file; {EXPECTED}: download or write it again"
    if names and all(name.endswith(".npy") for name in names):
        return f"found a numpy .npz file; {EXPECTED}: convert it: {_NPZ}"
    return f"found a zip file; {EXPECTED}: unpack it: python -m zipfile -e FILE ."
