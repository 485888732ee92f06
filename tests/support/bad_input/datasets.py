"""Datasets that are damaged, wrong or hostile, each with what its run must come to."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from support.bad_input.cases import EITHER, VALID, Case
from support.bad_input.good_input import REACHING_OUT, Change, arrays, dataset, floats, packed, parameters, reach_out

GOOD = dataset()
SIGNATURE = b"\x89HDF\r\n\x1a\n"
DAMAGED = "truncated or damaged"
NAMES = tuple(arrays())
HUGE = (2**40, 2**20)


def case(name: str, content: bytes, *expected: str) -> Case:
    return Case(f"dataset: {name}", content, parameters(), expected)


def replaced(name: str, values: Any, *expected: str, called: str = "") -> Case:
    """A file in which one dataset has other values (None: it is not there)."""
    return case(called or f"{name} is {getattr(values, 'dtype', values)}", dataset({name: values}), *expected)


def declared(called: str, name: str, change: Change, *expected: str, **others: Any) -> Case:
    """A file in which one dataset is made by hand."""
    return case(called, dataset({name: None, **others}, change), *expected)


def edited(content: bytes, old: bytes, new: bytes) -> bytes:
    """The bytes with the first ``old`` overwritten: what no library would write."""
    assert old in content
    return content.replace(old, new, 1)


def cases() -> Iterator[Case]:
    yield from no_hdf5()
    yield from truncations()
    yield from bit_flips()
    yield from structures()
    yield from links()
    yield from other_places()
    yield from shapes()
    yield from types()
    yield from filters()
    yield from texts()
    yield from values()
    yield from unusual_but_valid()


def no_hdf5() -> Iterator[Case]:
    archive = io.BytesIO()
    np.savez(archive, **arrays())
    for name, content in {
        "empty": b"",
        "text": b"x,y\n1,2\n",
        "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "web page": b"<!DOCTYPE html><html><title>Sign in</title>",
        "MATLAB file of before 7.3": b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(200),
        "npz": archive.getvalue(),
        "gzip of a good file": gzip.compress(GOOD, mtime=0),
        "PNG": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "good file without its first byte": GOOD[1:],
        "line ends converted": GOOD.replace(b"\r\n", b"\n"),
    }.items():
        yield case(name, content, "datasets.h5:", "expected an HDF5 file")
    noise = np.random.default_rng(1).bytes(5_000)
    for name, content in {"signature alone": b"", "zeros": bytes(4_096), "noise": noise}.items():
        yield case(f"signature and {name}", SIGNATURE + content, "datasets.h5: cannot be read", DAMAGED)


def truncations() -> Iterator[Case]:
    for kind, content in (("plain", GOOD), ("packed", packed())):
        for length in (9, 95, 800, len(content) // 2, len(content) - 1):
            yield case(f"{kind}, {length} bytes of {len(content)}", content[:length], "datasets.h5", DAMAGED)


def bit_flips() -> Iterator[Case]:
    """One bit each, spread over all that is not values: some do no harm."""
    for kind, content in (("plain", GOOD), ("packed", packed()), ("floats", floats())):
        for offset in np.random.default_rng(2).permutation(min(len(content), 6_000))[:8]:
            flipped = bytearray(content)
            flipped[offset] ^= 1 << int(offset) % 8
            yield case(f"{kind}, a bit flipped at {offset}", bytes(flipped), EITHER)


def structures() -> Iterator[Case]:
    """The tables inside an HDF5 file, made to point where they must not."""
    tree, heap = GOOD.index(b"TREE"), GOOD.index(b"HEAP")
    node = GOOD.index(b"SNOD")
    for name, offset, value in (
        ("B-tree is its own sibling", tree + 8, tree),
        ("B-tree is its own child", tree + 32, tree),
        ("B-tree has a level of 255", tree + 5, 0xFF),
        ("B-tree points beyond the end", tree + 32, 2**60),
        ("symbol node is its own entry", node + 16, node),
        ("heap's free list is a loop", heap + 16, 0),
        ("heap is larger than the file", heap + 8, 2**62),
        ("heap's data is itself", heap + 24, heap),
        ("root group points nowhere", 64, 2**64 - 1),
        ("end of the file is far away", 40, 2**62),
    ):
        content = GOOD[:offset] + struct.pack("<Q", value) + GOOD[offset + 8 :]
        yield case(name, content, EITHER)
    yield case(
        "superblock of version 255", edited(GOOD, SIGNATURE + b"\0", SIGNATURE + b"\xff"), "datasets.h5", DAMAGED
    )
    yield case(
        "checksums of the newest format do not fit",
        edited(dataset(libver="latest"), b"train_set_x", b"train_set_X"),
        "cannot be read",
    )
    for name in NAMES:
        yield replaced(name, None, f"{name}: missing; expected a dataset of this name", called=f"no {name}")


def links() -> Iterator[Case]:
    for name in ("train_set_x", "list_classes"):
        for kind, link in {
            "link out of the file": h5py.ExternalLink("/etc/passwd", "/x"),
            "link out of the file and back": h5py.ExternalLink("datasets.h5", name),
            "soft link": h5py.SoftLink("/train_set_x"),
            "soft link to itself": h5py.SoftLink(f"/{name}"),
            "dangling soft link": h5py.SoftLink("/nowhere"),
        }.items():
            change: Change = lambda file, name=name, link=link: file.__setitem__(name, link)  # noqa: E731
            yield declared(f"{name} is a {kind}", name, change, f"{name}: found a link to somewhere else")

    def cycle(file: h5py.File) -> None:
        file.create_group("train_set_x")["train_set_x"] = file["/"]

    def itself(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((10, 24), np.uint8)
        layout[:] = h5py.VirtualSource(".", "train_set_x", (10, 24))
        file.create_virtual_dataset("train_set_x", layout)

    def elsewhere(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((10, 24), np.uint8)
        layout[:] = h5py.VirtualSource("/etc/passwd", "x", (10, 24))
        file.create_virtual_dataset("train_set_x", layout)

    def outside(file: h5py.File) -> None:
        file.create_dataset("train_set_x", (10, 24), np.uint8, external=[("/etc/passwd", 0, 240)])

    yield declared("group that holds itself", "train_set_x", cycle, "train_set_x: found a group; expected a dataset")
    yield declared(
        "type in place of a dataset",
        "train_set_x",
        lambda file: file.__setitem__("train_set_x", np.dtype("u1")),
        "train_set_x: found a datatype; expected a dataset",
    )
    for name, change in {
        "virtual dataset of itself": itself,
        "virtual dataset of a system file": elsewhere,
        "values in a system file": outside,
    }.items():
        yield declared(name, "train_set_x", change, "train_set_x: found values kept in other files")


def other_places() -> Iterator[Case]:
    """Values, or their type, that lie in another place than the dataset."""
    for name in ("train_set_y", "test_set_x", "list_classes"):
        for kind in REACHING_OUT:
            yield declared(
                f"{name} is {kind}",
                name,
                lambda file, name=name, kind=kind: reach_out(file, name, kind),
                f"{name}: found values kept in other files",
            )

    def typed(file: h5py.File) -> None:
        file["type"] = np.dtype("u1")
        file.create_dataset("train_set_x", (10, 24), file["type"])

    yield declared(
        "type that lies elsewhere", "train_set_x", typed, "train_set_x: found a type that lies elsewhere in the file"
    )


def shapes() -> Iterator[Case]:
    def sparse(shape: tuple[int, ...], chunks: tuple[int, ...], kind: str = "u1", name: str = "train_set_x") -> Change:
        return lambda file: file.create_dataset(name, shape, kind, chunks=chunks)

    yield declared("huge shape", "train_set_x", sparse(HUGE, (1, 2**20)), "train_set_x", "MiB of values")
    yield declared(
        "shape whose size overflows 64 bits", "train_set_x", sparse((2**40, 2**24), (1, 2**24)), "train_set_y: found 10"
    )
    yield declared(
        "features whose size overflows 64 bits",
        "train_set_x",
        sparse((10, 2**32, 2**32), (1, 1, 2**20)),
        "train_set_x: found HDF5 chunks",
        "have to be read at once",
    )
    yield declared(
        "more values than may be",
        "train_set_x",
        sparse((2**14, 2**21), (1, 2**21)),
        "datasets.h5: found 32,768 MiB of values",
        "expected at most 16,384 MiB",
        train_set_y=np.arange(2**14) % 2,
    )
    yield declared(
        "chunk that is larger than memory",
        "train_set_x",
        lambda file: file.create_dataset(
            "train_set_x", (10, 2**20), "u1", chunks=(2**11, 2**20), maxshape=(None, 2**20)
        ),
        "train_set_x: found HDF5 chunks of shape (2048, 1048576)",
    )
    yield declared(
        "labels by the billion",
        "train_set_y",
        sparse((2**33,), (2**16,), "i8", "train_set_y"),
        "train_set_y: found 8,589,934,592 labels; expected 10",
    )
    yield declared(
        "names by the million",
        "list_classes",
        sparse((2**20,), (2**10,), "S8", "list_classes"),
        "list_classes: found shape (1048576,)",
    )
    old, new = struct.pack("<4Q", 10, 4, 3, 2), struct.pack("<4Q", 10, 2**61, 3, 2)
    yield case("shape larger than what is stored", edited(GOOD, old, new), "train_set_x")
    yield case(
        "shape a little larger than what is stored",
        edited(GOOD, old, struct.pack("<4Q", 10, 4, 3, 3)),
        "train_set_x: cannot be read",
    )
    for shape, expected in (
        ((10,), "found shape (10,); expected (m, n)"),
        ((10, 1, 1, 1, 1), "found shape (10, 1, 1, 1, 1); expected (m, n)"),
        ((10,) + (1,) * 31, "expected (m, n), (m, h, w) or (m, h, w, c)"),
        ((0, 4, 3, 2), "found zero examples"),
        ((10, 4, 0, 2), "expected at least one feature"),
        ((10, 4, 3), "test_set_x: found examples of shape (4, 3, 2); expected (4, 3)"),
        ((11, 4, 3, 2), "train_set_y: found 10 labels; expected 11"),
    ):
        yield replaced("train_set_x", np.zeros(shape, np.uint8), expected, called=f"shape {shape}"[:60])
    yield replaced("train_set_x", h5py.Empty("u1"), "train_set_x: found nothing; expected an array", called="no space")
    yield replaced(
        "train_set_x", np.uint8(3), "train_set_x: found a single value; expected an array", called="a single value"
    )
    yield replaced(
        "train_set_y", np.zeros((10, 2), int), "train_set_y: found shape (10, 2)", "y.argmax(axis=1)", called="one-hot"
    )
    axes = {name: arrays()[name].T for name in ("train_set_x", "test_set_x")}
    yield case("MATLAB's axes", dataset(axes), "train_set_x: found axes in reverse", "save x.transpose(3, 2, 1, 0)")
    yield declared(
        "names of tutorials",
        "train_set_x",
        lambda file: file.__setitem__("X_train", arrays()["train_set_x"]),
        "train_set_x: missing",
        '.move("X_train", "train_set_x")',
    )
    yield replaced(
        "list_classes", np.array([[b"ant", b"bee"]]), "list_classes: found shape (1, 2)", called="names in a row"
    )


def types() -> Iterator[Case]:
    bad = "expected uint8, float32 or float64"
    for dtype in ("i1", "i8", "u2", "c16", "S3", "?", [("r", "u1"), ("g", "u1")], np.longdouble):
        created = np.zeros((10, 24), dtype)
        yield replaced("train_set_x", created, "train_set_x: found", bad, called=f"features of type {created.dtype}")
    for name, dtype in {
        "Python objects": h5py.string_dtype(),
        "arrays": np.dtype(("u1", (2,))),
        "lists": h5py.vlen_dtype(np.uint8),
        "references": h5py.ref_dtype,
        "references to regions": h5py.regionref_dtype,
        "opaque": h5py.opaque_dtype("M8[s]"),
    }.items():
        change: Change = lambda file, kind=dtype: file.create_dataset("train_set_x", (10, 24), kind)  # noqa: E731
        yield declared(f"features that are {name}", "train_set_x", change, "train_set_x: found", bad)

    def low_level(kind: Any) -> Change:
        space = h5py.h5s.create_simple((10, 24))
        return lambda file: h5py.h5d.create(file.id, b"train_set_x", kind, space)

    tiny = h5py.h5t.IEEE_F32LE.copy()
    tiny.set_fields(15, 10, 5, 0, 10)
    yield declared("floats of an odd layout", "train_set_x", low_level(tiny), EITHER)
    bits = h5py.h5t.STD_U8LE.copy()
    bits.set_precision(3)
    yield declared("integers of three bits", "train_set_x", low_level(bits), EITHER)
    yield declared("times", "train_set_x", low_level(h5py.h5t.UNIX_D32LE), "train_set_x: found", "type")
    yield replaced("test_set_x", np.zeros((6, 4, 3, 2)), "test_set_x: found float64; expected uint8, as in train_set_x")
    for dtype in ("f8", "?", "S2"):
        yield replaced(
            "train_set_y", np.zeros(10, dtype), "train_set_y: found", "expected integers", called=f"labels of {dtype}"
        )
    yield replaced("list_classes", np.arange(2.0), "list_classes: found float64; expected bytes, str or integers")


def filters() -> Iterator[Case]:
    def chunk(stored: bytes, **options: Any) -> Change:
        def change(file: h5py.File) -> None:
            made = file.create_dataset("train_set_x", (10, 4, 3, 2), "u1", chunks=(10, 4, 3, 2), **options)
            made.id.write_direct_chunk((0, 0, 0, 0), stored)

        return change

    def stacked(*numbers: int) -> Change:
        def change(file: h5py.File) -> None:
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_chunk((10, 24))
            for number in numbers:
                plan.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1,))
            space = h5py.h5s.create_simple((10, 24))
            h5py.h5d.create(file.id, b"train_set_x", h5py.h5t.STD_U8LE, space, plan)

        return change

    unread = "train_set_x: cannot be read"
    for name, stored, reason in (
        ("gzip bomb of 256 MiB", zlib.compress(bytes(2**28), 9), "when compressed"),
        ("gzip bomb within the chunk's size", zlib.compress(bytes(300_000), 9), ""),
        ("gzip of one byte", b"x", ""),
        ("gzip that is noise", np.random.default_rng(3).bytes(200), ""),
        ("gzip cut off", zlib.compress(arrays()["train_set_x"].tobytes())[:-30], ""),
        ("gzip of too few values", zlib.compress(bytes(7)), ""),
    ):
        yield declared(name, "train_set_x", chunk(stored, compression="gzip"), unread, reason)
    for name, stored in {"noise": np.random.default_rng(4).bytes(200), "a bomb": b"\xff\xff\0" * 5_000}.items():
        yield declared(f"lzf that is {name}", "train_set_x", chunk(stored, compression="lzf"), unread)
    lzf = dataset({"train_set_x": None}, chunk(b"\x1f" + bytes(32), compression="lzf"))
    with h5py.File(io.BytesIO(lzf)) as file:
        numbers = file["train_set_x"].id.get_create_plist().get_filter(0)[2]
    smaller = edited(lzf, struct.pack("<3I", *numbers), struct.pack("<3I", *numbers[:2], 8))
    yield case("lzf for smaller chunks", smaller, unread, "lzf filter is for chunks of less than 240 bytes")
    yield declared("checksum that does not fit", "train_set_x", chunk(bytes(244), fletcher32=True), EITHER)
    yield declared("no room for a checksum", "train_set_x", chunk(b"ab", fletcher32=True), unread, "stored as 2")
    yield declared("chunk that is too short", "train_set_x", chunk(b"abc"), unread, "stored as 3")
    for name, stack in {
        "gzip twice": (1, 1),
        "gzip and lzf": (1, 32000),
        "gzip thirty times": (1,) * 30,
        "szip": (4,),
        "nbit": (5,),
        "scaleoffset": (6,),
        "blosc, which is not there": (32001,),
        "a filter nobody knows": (60_000,),
    }.items():
        try:
            content = dataset({"train_set_x": None}, stacked(*stack))
        except (ValueError, RuntimeError):  # this build of HDF5 cannot even write it
            continue
        yield case(f"filtered by {name}", content, "train_set_x: found HDF5 filters", "expected compression")


def texts() -> Iterator[Case]:
    wrong = "expected a name in UTF-8 of visible characters"
    for name, text in {
        "empty": b"",
        "blank": b"  ",
        "not UTF-8": b"\xff\xfe",
        "with a line end": b"bee\nINFO fine",
        "with terminal colors": b"\x1b[31mbee",
        "written from right to left": "\u202eeeb".encode(),
        "with a NUL inside": b"b\0ee",
        "half a surrogate pair": b"\xed\xa0\x80",
    }.items():
        yield replaced(
            "list_classes", np.array([b"ant", text]), "list_classes: found", wrong, called=f"a class name {name}"
        )
    long = np.array(["ant", "b" * 10**7], h5py.string_dtype())
    yield replaced("list_classes", long, "list_classes: found", wrong, called="a class name of 10 MB")
    yield replaced(
        "list_classes",
        np.array([b"ant", b"b" * 2_000]),
        "list_classes: found names of 2,000 bytes",
        called="a class name of 2,000 bytes",
    )
    yield replaced(
        "list_classes", np.array([b"ant", b"ant"]), "list_classes: found 'ant' more than once", called="names alike"
    )
    for difference, other in {"case": "CAF\u00c9", "blanks": "caf\u00e9 ", "Unicode form": "cafe\u0301"}.items():
        names = np.array(["caf\u00e9", other], h5py.string_dtype())
        yield replaced(
            "list_classes", names, "list_classes: found", "more than once", called=f"names but for {difference}"
        )
    many = np.array([f"class {index}".encode() for index in range(65_536)])
    yield replaced(
        "list_classes", many, "list_classes: found", "names", "bytes in all", called="65,536 different class names"
    )
    accented = np.array([f"\u00e9\u00e8 {index}" for index in range(5_000)], h5py.string_dtype())
    yield replaced("list_classes", accented, "list_classes: found", "bytes in all", called="5,000 accented class names")

    def nasty(file: h5py.File) -> None:
        for name in ("\n\nINFO all is well", "\x1b[2J", "a" * 5_000, "\u202e", "b\u0300"):
            file[name] = 1

    yield declared("names around it that are no text", "train_set_x", nasty, "train_set_x: missing; expected")


def values() -> Iterator[Case]:
    x = arrays()["train_set_x"].reshape(10, 24) / 255
    for value in (np.nan, np.inf, -np.inf):
        for name, rows in (("train_set_x", 10), ("test_set_x", 6)):
            features = {"train_set_x": x.copy(), "test_set_x": x[:6].copy()}
            features[name][rows - 1, 23] = value
            yield case(f"{value} in {name}", dataset(features), f"{name}: found {value} at ({rows - 1}, 23)")
    large = dataset({"train_set_x": x * 1e300, "test_set_x": x[:6] * 1e300})
    yield Case(
        "dataset: values too large for float32",
        large,
        parameters(dtype="float32"),
        ("features: found values too large for float32",),
    )
    yield case("values so large that training diverges", large, EITHER)

    def unwritten(file: h5py.File) -> None:
        file.create_dataset("train_set_x", (10, 24), "f4", fillvalue=np.nan)

    yield declared(
        "fill value that is no number",
        "train_set_x",
        unwritten,
        "train_set_x: found nan at (0, 0)",
        test_set_x=np.zeros((6, 24), "f4"),
    )
    for name, labels, expected in (
        ("too large", np.full(10, 2), "train_set_y: found label 2 at index 0 (10 labels out of range)"),
        ("negative", np.array([0, 1, -1, 0, 1, 0, 1, 0, 1, 0]), "train_set_y: found label -1 at index 2"),
        ("enormous", np.array([0, 2**64 - 1] * 5, np.uint64), "train_set_y: found label 18446744073709551615"),
        ("from 1", np.arange(10) % 2 + 1, "they begin at 1: save y - 1"),
        ("all alike", np.ones(10, int), "train_set_y: found only label 1"),
        ("too few", np.zeros(9, int), "train_set_y: found 9 labels; expected 10"),
    ):
        yield replaced("train_set_y", labels, expected, called=f"labels {name}")


def unusual_but_valid() -> Iterator[Case]:
    for dtype in (">f8", "f2", "f4"):
        features = {name: arrays()[name].astype(dtype) / np.array(255, dtype) for name in ("train_set_x", "test_set_x")}
        yield case(f"features as {dtype}", dataset(features), VALID)
    yield case(
        "float pictures of 0 to 255", dataset({x: arrays()[x] * 1.0 for x in ("train_set_x", "test_set_x")}), VALID
    )
    yield replaced("train_set_y", arrays()["train_set_y"][:, np.newaxis], VALID, called="labels in a column")
    yield replaced("list_classes", np.arange(2), VALID, called="names that are integers")
    yield replaced("test_set_x", arrays()["train_set_x"][:6], VALID, called="test examples of the training set")
    for dtype in ("i1", ">u8"):
        yield replaced("train_set_y", arrays()["train_set_y"].astype(dtype), VALID)
    yield case("chunks and filters", packed(), VALID)
    yield case("chunks and filters in the newest format", packed(libver="latest"), VALID)
    yield case("the newest format", dataset(libver="latest"), VALID)
    yield case("a block of the user's own before it", dataset(userblock_size=512), VALID)
    yield case("bytes after its end", GOOD + b"appended", VALID)

    def crowd(file: h5py.File) -> None:
        for index in range(3_000):
            file[f"link {index}"] = h5py.SoftLink("/nowhere")
        group = file
        for _ in range(500):
            group = group.create_group("deeper")
        group["root"] = file["/"]
        file.attrs["large"] = np.zeros(60_000, "u1")

    yield case("thousands of links, and groups in groups", dataset(change=crowd), VALID)
    kinds = h5py.enum_dtype({"ant": 0, "bee": 1}, "i1")
    yield replaced("train_set_y", arrays()["train_set_y"].astype(kinds), VALID, called="labels that have names")
    emoji = np.array(["\U0001f41c", "b\u00e9e \u732b"], h5py.string_dtype())
    yield replaced("list_classes", emoji, VALID, called="class names beyond ASCII")
    channels_first = {name: np.moveaxis(arrays()[name], -1, 1) for name in ("train_set_x", "test_set_x")}
    yield case("channels first", dataset(channels_first), VALID)
    yield declared(
        "a chunk for every value",
        "train_set_x",
        lambda file: file.create_dataset("train_set_x", data=arrays()["train_set_x"], chunks=(1, 1, 1, 1)),
        VALID,
    )
