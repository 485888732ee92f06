"""Good files changed at random: bytes, the structure of HDF5 files, and parameters."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import h5py
import numpy as np

from support.bad_input.cases import EITHER, Case
from support.bad_input.good_input import PARAMETERS, REACHING_OUT, dataset, floats, packed, parameters, reach_out

SOURCES = (dataset(), packed(), floats(), dataset(libver="latest"))
NUMBERS = [0, 1, 255, 2**16, 2**31, 2**32 - 1, 2**62, 2**64 - 1]
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 1.5, 1e-320, 1e308, 10**30, "", "1", "sigmoid", "softmax", "adam", "float32",
    [], [1], {}, {"layer1": 2}, {"layer1": "relu", "layer2": "sigmoid"}, {"layer1": 65_536, "layer2": 1}, "\ud800",
]  # fmt: skip
KEYS = [*PARAMETERS, "batch_size", "threshold", "strategy", "workers", "optimizer", "weight_init", "l2", "dtype"]
KEYS += ["seed", "record_every", "checkpoint_seconds", "notify_every", "max_seconds", "max_usd", "average_every", "new"]
KEYS += ["name", "tags"]
DTYPES = ["u1", "i1", "f2", "f4", "f8", ">f4", ">i8", "i8", "u8", "?", "S4", "c8"]
MAX_EPOCHS = 5


def mutants(seed: int, count: int) -> list[Case]:
    """``count`` uploads, the same for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    return [mutant(f"seed {seed}, file {index}", dice) for index in range(count)]


def mutant(name: str, dice: random.Random) -> Case:
    content, text = dice.choice(SOURCES), parameters()
    kind = dice.choice(["bytes", "bytes", "structure", "structure", "parameters", "text"])
    if kind == "bytes":
        content = damaged(content, dice)
    elif kind == "structure":
        content = restructured(content, dice)
    elif kind == "parameters":
        text = changed(dice)
    else:
        text = shortened(damaged(text, dice))
    return Case(f"{kind}, {name}", content, text, (EITHER,))


def damaged(content: bytes, dice: random.Random) -> bytes:
    """A few bytes flipped, replaced, removed, repeated or moved; most near the beginning, where the tables are."""
    mutated = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        if not mutated:
            break
        at = dice.randrange(min(len(mutated), dice.choice([100, 1_000, len(mutated)])))
        length = dice.choice([1, 2, 8, 64])
        match dice.randrange(7):
            case 0:
                mutated[at] ^= 1 << dice.randrange(8)
            case 1:
                mutated[at] = dice.randrange(256)
            case 2:
                mutated[at : at + 8] = dice.choice(NUMBERS).to_bytes(8, "little")
            case 3:
                del mutated[at : at + length]
            case 4:
                mutated[at:at] = mutated[at : at + length]
            case 5:
                mutated = mutated[: at + 1]
            case 6:
                source = dice.randrange(len(mutated))
                mutated[at : at + length] = mutated[source : source + length]
    return bytes(mutated)


def restructured(content: bytes, dice: random.Random) -> bytes:
    """A valid HDF5 file, of which some datasets were replaced by others, links, groups or nothing."""
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        for name in dice.sample(sorted(file), dice.randint(1, 3)):
            values = file[name][()]
            del file[name]
            replace(file, name, values, dice)
    return buffer.getvalue()


def replace(file: h5py.File, name: str, values: Any, dice: random.Random) -> None:  # noqa: C901 - a list of ways
    match dice.randrange(10):
        case 0:
            pass
        case 1:
            file[name] = dice.choice(
                [h5py.SoftLink("/list_classes"), h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink(f"/{name}")]
            )
        case 2:
            file.create_group(name)[name] = file["/"]
        case 3:
            number = values if values.dtype.kind not in "OS" else np.arange(len(values))
            file[name] = number.astype(dice.choice(DTYPES))
        case 4:
            file[name] = values.reshape(dice.choice([(-1,), (1, -1), (-1, 1), (len(values), -1), (2, -1)]))
        case 5:
            file[name] = values[: dice.randint(0, len(values))]
        case 6:
            shape = tuple(dice.choice([0, 1, 2, 10, 2**20, 2**40]) for _ in range(dice.randint(1, 4)))
            chunks = tuple(min(max(size, 1), 64) for size in shape)
            file.create_dataset(name, shape, dice.choice(DTYPES), chunks=chunks, maxshape=(None,) * len(shape))
        case 7:
            flat = values.reshape(-1)
            if flat.size and flat.dtype.kind in "iuf":
                extreme = [0, 255, np.nan, np.inf, -1e308] if flat.dtype.kind == "f" else [0, 1, 2, 127]
                flat[dice.randrange(flat.size)] = dice.choice(extreme)
            file[name] = values
        case 8:
            options = dice.choice(
                [{"compression": "lzf"}, {"compression": "gzip"}, {"scaleoffset": 0}, {"fletcher32": True}]
            )
            if values.dtype.kind not in "iu":
                options = {"chunks": True}
            file.create_dataset(name, data=values, **(options if values.size else {}))
        case 9:
            reach_out(file, name, dice.choice(REACHING_OUT))


def changed(dice: random.Random) -> bytes:
    """Parameters with other values, keys removed and keys that were not there."""
    settings = json.loads(parameters())
    for _ in range(dice.randint(1, 4)):
        key = dice.choice(KEYS)
        if dice.random() < 0.2:
            settings.pop(key, None)
        elif key in ("neurons", "activations") and isinstance(settings.get(key), dict) and dice.random() < 0.7:
            settings[key][dice.choice(["layer1", "layer2", "layer3", "layer0"])] = dice.choice(VALUES)
        else:
            settings[key] = dice.choice(VALUES)
    return shortened(json.dumps(settings).encode())


def shortened(text: bytes) -> bytes:
    """The same text; of more epochs than a test has time for, some."""
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(settings, dict) or type(settings.get("epochs")) is not int or settings["epochs"] <= MAX_EPOCHS:
        return text
    return json.dumps({**settings, "epochs": MAX_EPOCHS}).encode()
