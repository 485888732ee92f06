"""``parameters.json`` files that are damaged, wrong or hostile, each with what its run must come to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

from support.bad_input.cases import EITHER, VALID, Case
from support.bad_input.good_input import PARAMETERS, dataset, parameters

GOOD = dataset()
TEXT = parameters()
INVALID = "parameters.json: not valid JSON at line"
OBJECT = "expected a JSON object of settings"


def case(name: str, text: bytes | str, *expected: str) -> Case:
    body = text.encode() if isinstance(text, str) else text
    return Case(f"parameters: {name}", GOOD, body, expected)


def with_raw(key: str, raw: str) -> str:
    """The good parameters with ``raw`` in place of the value of ``key``, JSON or not."""
    return parameters(**{key: "@"}).decode().replace('"@"', raw, 1)


def cases() -> Iterator[Case]:
    yield from no_json()
    yield from no_object()
    yield from numbers()
    yield from wrong_values()
    yield from keys()
    yield from sizes()
    yield from unusual_but_valid()


def no_json() -> Iterator[Case]:
    for name, text in {
        "comma before the end": TEXT[:-1] + b",}",
        "single quotes": TEXT.replace(b'"', b"'"),
        "a comment": b"// epochs\n" + TEXT,
        "two objects": TEXT + TEXT,
        "text after the end": TEXT + b" and so on",
        "YAML": b"epochs: 1\nlayers: 2\n",
        "HTML": b"<html>not found</html>",
        "a line end in a text": b'{"strategy": "fu\nsed"}',
        "a NUL": TEXT.replace(b" ", b"\0", 1),
        "True, as Python writes it": with_raw("epochs", "True").encode(),
        "hexadecimal": with_raw("epochs", "0x10").encode(),
        "a leading zero": with_raw("epochs", "01").encode(),
        "half an escape": b'{"\\u12": 1}',
        **{f"cut off after {length} bytes": TEXT[:length] for length in (1, 9, 40, len(TEXT) // 2, len(TEXT) - 1)},
    }.items():
        yield case(name, text, INVALID)
    text = TEXT.decode()
    for name, body in {
        "UTF-16": text.encode("utf-16"),
        "UTF-32": text.encode("utf-32"),
        "Latin-1": '{"strategy": "f\u00fcsed"}'.encode("latin-1"),
        "gzip": gzip.compress(TEXT, mtime=0),
        "HDF5": GOOD,
        "a byte that is no text": TEXT[:20] + b"\xff" + TEXT[20:],
    }.items():
        yield case(name, body, "parameters.json: not UTF-8 text", "save it as UTF-8")
    for name, body in {"empty": b"", "blanks": b" \r\n\t ", "a byte order mark alone": b"\xef\xbb\xbf"}.items():
        yield case(name, body, "parameters.json: the file is empty")
    for name, body in {
        "lists in lists": b"[" * 100_000,
        "closed lists in lists": b"[" * 50_000 + b"]" * 50_000,
        "objects in objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    }.items():
        yield case(name, body, "parameters.json: objects or lists nested too deep")
    yield case("nested in a value", with_raw("epochs", "[" * 400 + "]" * 400), "epochs: found")
    yield case("more than a megabyte", TEXT + b" " * 10**6, "parameters.json: found 1,000,001 bytes; expected at most")


def no_object() -> Iterator[Case]:
    for text in ("[]", "[1, 2]", "null", "true", "3", '"epochs"', "NaN", "-Infinity"):
        yield case(f"{text} and no object", text, f"parameters.json: found {text}; {OBJECT}")
    yield case("an object with nothing in it", "{}", *(f"{key}: missing; expected" for key in PARAMETERS))


def numbers() -> Iterator[Case]:
    for raw in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400, "0", "-0.0", "-5", "null", '"0.1"'):
        yield case(
            f"learning_rate {raw[:12]}", with_raw("learning_rate", raw), "learning_rate: found", "a number above 0"
        )
    for raw in ("0", "-1", "1.5", "1.0", "1e3", "true", "null", '"1"', "[1]", "{}", "10000001", "9" * 300, "NaN"):
        yield case(f"epochs {raw[:12]}", with_raw("epochs", raw), "epochs: found", "an integer from 1 to 10000000")
    yield case(
        "an integer of 5,000 digits", with_raw("epochs", "9" * 5_000), "parameters.json: found an integer of thousands"
    )
    for key, raw in (
        ("l2", "-1e-9"),
        ("l2", "1e999"),
        ("seed", "-1"),
        ("seed", str(2**63)),
        ("seed", "1e5"),
        ("threshold", "0"),
        ("max_seconds", "NaN"),
        ("max_usd", "-1"),
        ("workers", "257"),
        ("workers", "0"),
        ("record_every", "0"),
        ("notify_every", "0.5"),
        ("checkpoint_seconds", "86401"),
        ("checkpoint_seconds", "Infinity"),
        ("batch_size", "0"),
        ("batch_size", "false"),
        ("average_every", "0"),
    ):
        yield case(f"{key} {raw}", with_raw(key, raw), f"{key}: found", "expected")


def wrong_values() -> Iterator[Case]:
    for key, value in (
        ("strategy", "magic"),
        ("strategy", ["fused"]),
        ("optimizer", "ADAM"),
        ("weight_init", 0),
        ("dtype", "float16"),
        ("neurons", [3, 1]),
        ("neurons", {"layer1": "3", "layer2": 1}),
        ("neurons", {"layer1": 3.0, "layer2": 1}),
        ("neurons", {"layer1": 0, "layer2": 1}),
        ("neurons", {"layer1": 65_537, "layer2": 1}),
        ("neurons", {"layer1": {"layer1": 3}, "layer2": 1}),
        ("activations", "relu"),
        ("activations", {"layer1": "swish", "layer2": "sigmoid"}),
        ("activations", {"layer1": None, "layer2": "sigmoid"}),
        ("activations", {"layer1": "softmax", "layer2": "sigmoid"}),
        ("activations", {"layer1": "relu", "layer2": "relu"}),
        ("layers", 0),
        ("layers", 101),
        ("layers", 10**18),
    ):
        yield case(f"{key} {json.dumps(value)[:40]}", parameters(**{key: value}), f"{key}", "found", "expected")
    yield case("zeros in two layers", parameters(weight_init="zeros"), 'weight_init: found "zeros" with 2 layers')
    yield case("batch larger than the data", parameters(batch_size=11), "batch_size: found 11; expected at most 10")
    yield case("averaging alone", parameters(average_every=2), "average_every: found 2", 'expected null, or "strategy"')
    yield case(
        "softmax of one unit",
        parameters(activations={"layer1": "relu", "layer2": "softmax"}),
        'neurons.layer2: found 1 with "softmax"',
    )
    yield case(
        "units that do not fit the classes",
        parameters(neurons={"layer1": 3, "layer2": 5}),
        'neurons.layer2: found 5 with "sigmoid" for the output layer',
    )


def keys() -> Iterator[Case]:
    for key in PARAMETERS:
        yield case(f"no {key}", parameters(**{key: ...}), f"{key}: missing; expected")
    for key in ("Epochs", "epoch", "", " epochs", "__class__", "epochs\0", "\u202eepochs", "e\u0301pochs", "k" * 10**5):
        yield case(f"unknown key {key[:20]!a}", parameters(**{key: 1}), "unknown key")
    for key in ("layer0", "layer01", "layer3", "layer\u0661", "Layer1", "layer-1", "layer99999999999999999999", ""):
        neurons = {"layer1": 3, "layer2": 1, key: 2}
        yield case(f"layer {key[:12]!a}", parameters(neurons=neurons), f"neurons.{key[:6]}" if key.isascii() else "neu")
    yield case("half a surrogate pair for a key", '{"\\ud800": 1}', "unknown key")
    yield case("half a surrogate pair for a layer", with_raw("neurons", '{"\\ud800": 1}'), "neurons")
    yield case("half a surrogate pair for a value", with_raw("strategy", '"\\udfff"'), "strategy: found")
    yield case("a key twice", with_raw("epochs", '1, "epochs": 2'), "epochs: found 2 times; expected once")
    yield case("a layer twice", with_raw("neurons", '{"layer1": 3, "layer1": 4, "layer2": 1}'), "layer1: found 2 times")
    yield case("a key a thousand times", with_raw("epochs", "1" + ', "epochs": 1' * 999), "epochs: found 1000 times")


def sizes() -> Iterator[Case]:
    many: dict[str, Any] = {f"key{index}": index for index in range(10_000)}
    yield case("ten thousand keys", parameters(**many), "key0: unknown key", "and 9960 more")
    layers = {f"layer{index}": 1 for index in range(1, 20_001)}
    yield case("twenty thousand layers", parameters(neurons=layers), "neurons.layer3: found, but layers is 2", "more")
    wide = {f"layer{index}": 65_536 for index in range(1, 101)} | {"layer100": 1}
    activations = dict.fromkeys(wide, "relu") | {"layer100": "sigmoid"}
    yield case(
        "more weights than any function holds",
        parameters(layers=100, neurons=wide, activations=activations),
        "neurons: found 4",
        "weights in all",
    )
    yield case("a value of 900 kB", parameters(strategy="x" * 900_000), "strategy: found", "expected")


def unusual_but_valid() -> Iterator[Case]:
    yield case("a byte order mark", b"\xef\xbb\xbf" + TEXT, VALID)
    yield case("blanks all over", b" \r\n" + TEXT.replace(b":", b" :\t\n"), VALID)
    yield case("escapes", TEXT.replace(b"epochs", b"\\u0065pochs"), VALID)
    yield case("the smallest learning rate there is", with_raw("learning_rate", "5e-324"), VALID)
    yield case("an integer for a number", with_raw("learning_rate", "1"), VALID)
    yield case("limits beyond any number of DynamoDB's", parameters(max_seconds=1e300, max_usd=1e300), VALID)
    yield case("a limit that nothing keeps", parameters(max_usd=5e-324, epochs=2), EITHER)
    yield case("the largest seed", parameters(seed=2**63 - 1), VALID)
    for optimizer in ("sgd", "momentum", "nesterov", "adam", "adamw"):
        name = f"a learning rate of 1e308 with {optimizer}"
        yield case(name, parameters(learning_rate=1e308, optimizer=optimizer, epochs=3), EITHER)
    yield case("weight decay of 1e300", parameters(l2=1e300, epochs=3), "training diverged")
