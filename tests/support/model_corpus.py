"""Model files from anyone, drawn from kinds that were taken wrongly once, and from kinds that are odd but right."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np

from lnn.models.model_file import Model, encode_model
from support.models import brightness_model
from support.odd_names import NO_NAMES, REAL_NAMES, SHOW_NOTHING

FEATURES = 16
PLACES = ("/proc/self/environ", "/etc/passwd", "/dev/zero", "/proc/self/maps", "/dev/stdin", "params.h5", ".")
"""Files of the machine that reads a model."""

JSON_OF_OTHER_TYPES = ("7", "{}", '"relu"', "[[]]", "[{}]", "[null]", "[true]", "[1e400]", "not JSON", "[", "", "[NaN]")


@dataclass(frozen=True, slots=True)
class ModelCase:
    """A file, and the model that it is; None where it must be refused."""

    name: str
    content: bytes
    model: Model | None = None


Change = Callable[[h5py.File, random.Random], None]


def corpus(seed: int, count: int) -> list[ModelCase]:
    """``count`` files, of every kind about as many; the same for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    kinds = [*REFUSED, *RIGHT, *NO_HDF5]
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += dice.sample(kinds, len(kinds))
    return [_case(f"{kind} (seed {seed}, file {place})", kind, dice) for place, kind in enumerate(drawn[:count])]


def fuzzed(seed: int, count: int) -> list[ModelCase]:
    """``count`` good files damaged at random: flipped bits, cut ends, and parts of each other; the model is unknown."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    sources = [_layout(kind, brightness_model(), dice)[0] for kind in LAYOUTS]
    return [
        ModelCase(f"seed {seed}, file {place}", _damaged(dice.choice(sources), dice.choice(sources), dice))
        for place in range(count)
    ]


def _damaged(content: bytes, other: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        # Most damage is done near the beginning, where the tables are.
        at = dice.randrange(min(len(damaged), dice.choice([100, 1_000, len(damaged)])) or 1)
        match dice.randrange(5):
            case 0 | 1:
                for _ in range(dice.choice([1, 1, 8, 64])):
                    place = min(at + dice.randrange(64), len(damaged) - 1)
                    damaged[place] ^= 1 << dice.randrange(8)
            case 2:
                number = dice.choice([0, 1, 2**16, 2**31, 2**32 - 1, 2**62, 2**64 - 1])
                damaged[at : at + 8] = number.to_bytes(8, "little")
            case 3:
                length = dice.choice([8, 64, 512])
                source = dice.randrange(len(other))
                damaged[at : at + length] = other[source : source + length]
            case 4:
                damaged = damaged[: max(1, dice.randrange(len(damaged)))]
    return bytes(damaged)


def _case(name: str, kind: str, dice: random.Random) -> ModelCase:
    if kind in NO_HDF5:
        return ModelCase(name, NO_HDF5[kind](encode_model(brightness_model()), dice))
    if kind in REFUSED:
        buffer = io.BytesIO(encode_model(brightness_model()))
        with h5py.File(buffer, "r+") as file:
            REFUSED[kind](file, dice)
        return ModelCase(name, buffer.getvalue())
    content, model = RIGHT[kind](brightness_model(), dice)
    return ModelCase(name, content, model)


# Files to refuse


def _put(file: h5py.File, name: str, **made: Any) -> h5py.Dataset:
    del file[name]
    return file.create_dataset(name, **made)


def _external(file: h5py.File, dice: random.Random) -> None:
    shape = dice.choice([(1, FEATURES), (1, 1)])
    size = int(np.prod(shape)) * 8
    _put(
        file,
        "W1" if shape[1] > 1 else "b1",
        shape=shape,
        dtype="f8",
        external=[(dice.choice(PLACES), dice.choice([0, 64]), size)],
    )


def _virtual(file: h5py.File, dice: random.Random) -> None:
    layout = h5py.VirtualLayout((1, FEATURES), "f8")
    columns = slice(0, dice.randint(1, FEATURES))
    layout[:, columns] = h5py.VirtualSource(dice.choice(PLACES), "W1", (1, FEATURES))[:, columns]
    del file["W1"]
    file.create_virtual_dataset("W1", layout)


def _link(file: h5py.File, dice: random.Random) -> None:
    name = dice.choice(["W1", "b1"])
    del file[name]
    file[name] = dice.choice(
        [h5py.ExternalLink(dice.choice(PLACES), "/W1"), h5py.SoftLink(f"/{name}"), h5py.SoftLink("/W1/../W1")]
    )


def _large_chunk(file: h5py.File, dice: random.Random) -> None:
    chunks = (1, dice.choice([2**28 - 1, 2**27, 2**24]))
    _put(file, "W1", shape=(1, FEATURES), maxshape=(None, None), dtype="f8", chunks=chunks)


def _large_shape(file: h5py.File, dice: random.Random) -> None:
    shape = dice.choice([(1, 2**40), (2**20, 2**20), (2**50, 1), (1, 2**28)])
    chunks = (1, min(shape[1], 1_024))
    _put(file, "W1", shape=shape, dtype="f8", chunks=chunks, compression=dice.choice([None, "gzip"]))


def _bomb(file: h5py.File, dice: random.Random) -> None:
    made = _put(file, "W1", shape=(1, FEATURES), dtype="f8", chunks=(1, FEATURES), compression="gzip")
    squeeze = zlib.compressobj(9)
    packed = b"".join(squeeze.compress(bytes(2**20)) for _ in range(dice.choice([1, 64, 256])))
    endless = packed + (squeeze.flush(zlib.Z_FULL_FLUSH) if dice.random() < 0.5 else squeeze.flush())
    made.id.write_direct_chunk((0, 0), endless)


def _short_stream(file: h5py.File, dice: random.Random) -> None:
    made = _put(file, "W1", shape=(1, FEATURES), dtype="f8", chunks=(1, FEATURES), compression="gzip")
    whole = zlib.compress(np.ones(FEATURES).tobytes())
    made.id.write_direct_chunk(
        (0, 0), dice.choice([whole[: dice.randrange(1, len(whole) - 6)], zlib.compress(b"short"), b"\0" * 30])
    )


def _filters(file: h5py.File, dice: random.Random) -> None:
    values = np.ones((1, FEATURES), int)
    _put(file, "W1", data=values, chunks=(1, FEATURES), scaleoffset=dice.choice([0, 4]))


def _name(file: h5py.File, dice: random.Random) -> None:
    names = NO_NAMES | SHOW_NOTHING | {"very long": "x" * 1_025}
    classes = ["dog", names[dice.choice(list(names))]]
    dice.shuffle(classes)
    file.attrs["list_classes"] = json.dumps(classes)


def _alike(file: h5py.File, dice: random.Random) -> None:
    other = dice.choice(["Cat", " cat", "cat\u00ad", "c\u200bat", "cat", "\uff43at"[:0] + "CAT"])
    file.attrs["list_classes"] = json.dumps(["cat", other])


def _other_json(file: h5py.File, dice: random.Random) -> None:
    name = dice.choice(["activations", "list_classes", "image_shape", "value_range"])
    file.attrs[name] = dice.choice(JSON_OF_OTHER_TYPES)


def _other_value(file: h5py.File, dice: random.Random) -> None:
    name = dice.choice(["layers", "activations", "list_classes", "image_shape", "scale", "value_range", "run_id"])
    del file.attrs[name]
    other: list[Any] = [h5py.Empty("f8"), np.arange(3.0), True, np.bytes_(b"\xff"), 1j, np.void(b"abc")]
    file.attrs[name] = dice.choice(other)


def _sizes(file: h5py.File, dice: random.Random) -> None:
    name, values = dice.choice(
        [
            ("layers", [0, -1, 2, 10**9, 2**62, 1.5]),
            ("scale", [0.0, -1.0, np.nan, np.inf, 1e-320, "255"]),
            ("image_shape", ["[16]", "[5, 5]", "[-4, -4]", "[2, 2, 2, 2]", "[]", "[0, 16]", "[4.0, 4.0]"]),
            ("value_range", ["[0]", "[0, 1, 2]", "[1, 0]", "[0, Infinity]", "[0, 1e400]", '"01"']),
            ("run_id", ["", "\x1b]0;x\x07", "x" * 2_000, "a\u202eb", "a\nb"]),
            ("activations", ['["softplus"]', '["relu"]', '["sigmoid", "sigmoid"]', "[]", '["\\ud800"]']),
        ]
    )
    file.attrs[name] = dice.choice(values)


def _values(file: h5py.File, dice: random.Random) -> None:
    made: dict[str, Any] = dice.choice(
        [
            {"data": np.full((1, FEATURES), dice.choice([np.nan, np.inf, 1e308]))},
            {"data": np.ones((1, FEATURES), dice.choice(["i4", "u1", "?", "c16", "f4", "g"]))},
            {"data": np.full((1, FEATURES), b"one")},
            {"data": np.ones(dice.choice([(FEATURES,), (FEATURES, 1), (1, FEATURES, 1), (2, FEATURES), (1, 0), ()]))},
            {"shape": (1, FEATURES), "dtype": np.dtype([("a", "f8")])},
            {"shape": (1, FEATURES), "dtype": h5py.ref_dtype},
            {"shape": (1, FEATURES), "dtype": h5py.vlen_dtype("f8")},
        ]
    )
    _put(file, "W1", **made)


def _committed(file: h5py.File, dice: random.Random) -> None:
    file["type"] = np.dtype("f8")
    _put(file, dice.choice(["W1"]), shape=(1, FEATURES), dtype=file["type"])


def _in_its_place(file: h5py.File, dice: random.Random) -> None:
    name = dice.choice(["W1", "b1"])
    del file[name]
    what = dice.randrange(3)
    if what == 0:
        file.create_group(name)[name] = file["/"]
    elif what == 1:
        file[name] = np.dtype("f8")


REFUSED: dict[str, Change] = {
    "values in another file": _external,
    "a virtual dataset": _virtual,
    "a link": _link,
    "a large chunk": _large_chunk,
    "a large shape": _large_shape,
    "a stream that never ends": _bomb,
    "a stream that ends early": _short_stream,
    "another filter": _filters,
    "a text that is no name": _name,
    "names alike": _alike,
    "JSON of another type": _other_json,
    "an attribute of another type": _other_value,
    "a number that cannot be": _sizes,
    "other values": _values,
    "a committed type": _committed,
    "something else in its place": _in_its_place,
}


def _zipped(content: bytes, _: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("params.h5", content)
    return buffer.getvalue()


NO_HDF5: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "nothing": lambda *_: b"",
    "random bytes": lambda _, dice: dice.randbytes(dice.choice([1, 100, 100_000])),
    "a signature and nothing else": lambda content, dice: content[: dice.choice([8, 9, 48, 96])],
    "a part": lambda content, dice: content[: dice.randrange(100, len(content) - 100)],
    "gzip": lambda content, _: gzip.compress(content),
    "a zip file": _zipped,
    "another format": lambda _, dice: dice.choice([b"\x93NUMPY", b"\x80\x04N.", b"<html>", b"version https://git-lfs"]),
}

# Files that are right


Made = tuple[bytes, Model]


def _written(model: Model, layout: dict[str, Any], arrays: dict[str, Any], dice: random.Random) -> Made:
    """The model in another layout of HDF5 or of its arrays, with things beside it that nobody asked for."""
    buffer = io.BytesIO()
    with h5py.File(io.BytesIO(encode_model(model))) as source, h5py.File(buffer, "w", **layout) as file:
        for name, value in source.attrs.items():
            file.attrs[name] = value
        for name, dataset in source.items():
            file.create_dataset(name, data=dataset[()], **arrays)
        file.create_group("beside/it")["x"] = np.zeros(dice.choice([1, 5_000]))
        file.attrs["note \x1b[31m"] = "a" * dice.choice([1, 10_000])
    return buffer.getvalue(), model


LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a user block": ({"userblock_size": 512}, {}),
    "the latest format": ({"libver": "latest"}, {}),
    "aggregated space": ({"fs_strategy": "aggregate"}, {}),
    "chunks": ({}, {"chunks": True}),
    "gzip": ({}, {"chunks": True, "compression": "gzip", "shuffle": True, "fletcher32": True}),
    "lzf": ({}, {"chunks": True, "compression": "lzf"}),
}


def _layout(kind: str, model: Model, dice: random.Random) -> Made:
    return _written(model, *LAYOUTS[kind], dice)


def _of_type(model: Model, dice: random.Random) -> Made:
    dtype = dice.choice(["f4", ">f8", ">f4", "f2"])
    typed = replace(model, parameters=[(W.astype(dtype), b.astype(dtype)) for W, b in model.parameters])
    return encode_model(typed), typed


def _named(model: Model, dice: random.Random) -> Made:
    named = replace(model, list_classes=dice.sample(list(REAL_NAMES.values()), 2))
    return encode_model(named), named


def _of_early_release(model: Model, _: random.Random) -> Made:
    buffer = io.BytesIO(encode_model(model))
    with h5py.File(buffer, "r+") as file:
        del file.attrs["value_range"]
    return buffer.getvalue(), model


def _of_bytes(model: Model, dice: random.Random) -> Made:
    buffer = io.BytesIO(encode_model(model))
    with h5py.File(buffer, "r+") as file:
        for name in dice.sample(["run_id", "activations", "list_classes", "image_shape"], 2):
            file.attrs[name] = np.bytes_(file.attrs[name].encode())
    return buffer.getvalue(), model


RIGHT: dict[str, Callable[[Model, random.Random], Made]] = {
    "a layout": lambda model, dice: _layout(dice.choice(list(LAYOUTS)), model, dice),
    "another layout": lambda model, dice: _layout(dice.choice(list(LAYOUTS)), model, dice),
    "another type": _of_type,
    "names that people have": _named,
    "an early release": _of_early_release,
    "attributes of bytes": _of_bytes,
}
