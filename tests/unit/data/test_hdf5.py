"""``lnn.data.hdf5`` and ``lnn.data.inspection``: what may be read of a file from anyone, and by whom."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn.data import inspection
from lnn.data.dataset import inspect_dataset
from lnn.data.hdf5 import open_bytes, open_file
from lnn.data.validation import examine_dataset
from lnn.errors import DatasetError, Hdf5Error, InputError, ModelError
from lnn.models.model_file import encode_model, load_model
from lnn.models.validation import inspect_model, misfits
from support.hostile_files import ELSEWHERE, KINDS, dataset_reaching_out, leaks, model_reaching_out, other_file
from support.models import brightness_model

Change = Callable[[h5py.File], object]


def changed(change: Change) -> bytes:
    """A good model's file, changed by hand."""
    content = io.BytesIO(encode_model(brightness_model()))
    with h5py.File(content, "r+") as file:
        change(file)
    return content.getvalue()


def replaced(name: str, **made: Any) -> bytes:
    """A good model's file with another dataset in place of one."""

    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **made)

    return changed(change)


def refusal(content: bytes, max_bytes: int = 2**28) -> str:
    with pytest.raises(ModelError) as refused:
        load_model(content, max_bytes)
    text = str(refused.value)
    assert text.isprintable()
    return text


# Values that lie in other files


@pytest.mark.parametrize("name", ["W1", "b1"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_reaches_out_of_its_file_is_refused_with_no_byte_of_the_other(
    tmp_path: Path, kind: str, name: str
) -> None:
    content = model_reaching_out(kind, other_file(tmp_path), name)
    text = refusal(content)
    assert text == f"not a params.h5 that LNN wrote: {name}: {KINDS[kind]}"
    (tmp_path / "m.h5").write_bytes(content)
    for source in (content, tmp_path / "m.h5"):
        with pytest.raises(ModelError) as refused:
            inspect_model(source)
        assert str(refused.value) == text
    assert not list(leaks(text))


def test_a_model_that_reads_the_environment_of_its_reader_is_refused() -> None:
    external = {"shape": (1, 16), "dtype": "f2", "external": [("/proc/self/environ", 0, 32)]}
    assert refusal(replaced("W1", **external)) == f"not a params.h5 that LNN wrote: W1: {ELSEWHERE}"


@pytest.mark.parametrize("name", ["train_set_x", "test_set_x"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_dataset_that_reaches_out_of_its_file_is_refused_with_no_byte_of_the_other(
    tmp_path: Path, kind: str, name: str
) -> None:
    path = tmp_path / "d.h5"
    path.write_bytes(dataset_reaching_out(kind, other_file(tmp_path), name))
    for check in (examine_dataset, inspect_dataset):
        with pytest.raises(DatasetError) as refused:
            check(path)
        assert refused.value.problems == [f"{name}: {KINDS[kind]}"]


# What is declared


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (replaced("W1", shape=(1, 16), dtype=h5py.ref_dtype), "W1: found values of another kind; expected numbers"),
        (replaced("W1", shape=(1, 16), dtype=h5py.regionref_dtype), "W1: found values of another kind"),
        (replaced("W1", shape=(1, 16), dtype=h5py.string_dtype()), "W1: found values of another kind"),
        (replaced("W1", shape=(1, 16), dtype=h5py.vlen_dtype("f8")), "W1: found values of another kind"),
        (replaced("W1", shape=(1, 16), dtype=[("a", "f8")]), "W1: found values of another kind"),
        (replaced("W1", data=np.float64(1)), "W1: found a single value; expected an array"),
        (replaced("W1", data=h5py.Empty("f8")), "W1: found nothing; expected an array"),
        (replaced("W1", shape=(2**40, 2**40), dtype="f8", chunks=(1, 2**20)), "W1: found shape (1099511627776, 109951"),
        (
            replaced("W1", shape=(1, 2**24), dtype="f8", chunks=(1, 2**16)),
            "takes 134,217,728 bytes; expected no more than a file of",
        ),
        (
            replaced("W1", shape=(1, 16), dtype="f8", chunks=(2**14, 2**14), maxshape=(None, None)),
            "W1: found HDF5 chunks of shape (16384, 16384)",
        ),
        (replaced("W1", shape=(1, 16), dtype="i8", chunks=True, scaleoffset=0), "W1: found HDF5 filters [6]"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:40],
)
def test_what_is_no_array_of_numbers_of_a_size_that_fits_is_not_read(content: bytes, expected: str) -> None:
    assert expected in refusal(content)


def test_the_arrays_of_a_model_are_bounded_together() -> None:
    content = encode_model(brightness_model())
    assert load_model(content, 17 * 8).features == 16
    assert refusal(content, 17 * 8 - 1).endswith("b1: found shape (1, 1), which takes 8 bytes; expected at most 7")


def test_one_array_under_many_names_is_counted_each_time() -> None:
    def change(file: h5py.File) -> None:
        for layer in range(2, 100):
            file[f"W{layer}"], file[f"b{layer}"] = file["W1"], file["b1"]
        file.attrs["layers"] = 99

    assert "expected at most" in refusal(changed(change), 50 * 17 * 8)


def test_a_type_that_lies_elsewhere_in_the_file_is_not_followed() -> None:
    def change(file: h5py.File) -> None:
        file["type"] = np.dtype("f8")
        del file["W1"]
        file.create_dataset("W1", (1, 16), file["type"])

    assert "W1: found a type that lies elsewhere in the file" in refusal(changed(change))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (zlib.compress(bytes(2**26), 9), "claims to be"),
        (zlib.compress(bytes(300), 9), "unpacks to more"),
        (zlib.compress(bytes(7), 9), "unpacks to less"),
        (zlib.compress(bytes(128))[:-6], "unpacks to"),
        (b"noise", "truncated or damaged"),
    ],
)
def test_a_chunk_that_does_not_unpack_to_its_size_is_refused(stored: bytes, expected: str) -> None:
    def change(file: h5py.File) -> None:
        del file["W1"]
        made = file.create_dataset("W1", (1, 16), "f8", chunks=(1, 16), compression="gzip")
        made.id.write_direct_chunk((0, 0), stored)

    text = refusal(changed(change))
    assert "W1: cannot be read" in text
    assert expected in text or "truncated" in text


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("run_id", np.array([b"a", b"b"]), "found an array, or nothing"),
        ("run_id", h5py.Empty("f8"), "found an array, or nothing"),
        ("run_id", h5py.Reference(), "found values of another kind"),
        ("activations", np.zeros(1, [("a", "f8")])[0], "found values of another kind"),
        ("run_id", "x" * (2**20 + 1), "found too long a text"),
        ("run_id", b"\xff\xfe", "cannot be read"),
        ("layers", "many", "found 'many'; expected a whole number"),
        ("layers", 1.5, "found 1.5; expected a whole number"),
        ("layers", 10**9, "W2: missing"),
        ("list_classes", "[" * 100_000, "not a params.h5 that LNN wrote"),
        ("image_shape", "7", "not a params.h5 that LNN wrote"),
    ],
)
def test_an_attribute_is_one_number_or_text(name: str, value: Any, expected: str) -> None:
    assert expected in refusal(changed(lambda file: file.attrs.__setitem__(name, value)))


def test_a_text_that_claims_to_be_longer_than_it_is_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    content = bytearray(encode_model(brightness_model()))
    heap = content.index(b"GCOL")
    run_id = struct.pack("<IQ", len(brightness_model().run_id), heap)
    content = content.replace(run_id, struct.pack("<IQ", 2**32 - 1, heap))
    with pytest.raises(ModelError, match="cannot be read"):
        inspect_model(bytes(content), 2**20)


@pytest.mark.parametrize("activations", ['[["relu"]]', "[{}]", "[null]", "[7]"])
def test_activations_that_are_no_texts_are_refused(activations: str) -> None:
    content = changed(lambda file: file.attrs.__setitem__("activations", activations))
    assert f"attribute activations: found {activations!r}; expected a JSON list of texts" in refusal(content)


@pytest.mark.slow
@hypothesis.settings(derandomize=True, max_examples=150)
@given(data=st.data())
def test_any_damaged_model_is_refused_or_read_but_never_anything_else(data: st.DataObject) -> None:
    content = bytearray(encode_model(brightness_model()))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        misfits(load_model(bytes(content), 2**20))
    except ModelError as refused:
        assert refused.problems  # noqa: PT017 - either outcome is right


# What is read


@pytest.mark.parametrize(
    "options",
    [
        {"fs_strategy": "page"},
        {"fs_strategy": "page", "fs_persist": True, "fs_page_size": 2**16},
        {"fs_strategy": "aggregate"},
        {"libver": "latest"},
        {"userblock_size": 512},
    ],
)
def test_a_file_of_any_layout_that_h5py_writes_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "d.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w", **options) as file:
        for split in ("train", "test"):
            x = rng.integers(0, 256, (200, 28, 28), np.uint8)
            file.create_dataset(f"{split}_set_x", data=x, chunks=(50, 28, 28), compression="gzip", shuffle=True)
            file[f"{split}_set_y"] = np.arange(200) % 2
        file["list_classes"] = np.array(["ant", "bee"], h5py.string_dtype())
        file.attrs["note"] = "hello"
    assert inspect_dataset(path).m == 200
    for opened in (open_file(path), open_bytes(path.read_bytes(), "d.h5")):
        with opened as file:
            assert file.attribute("note") == "hello"
            assert file.arrays(["train_set_x"], 2**20)[0].shape == (200, 28, 28)


@pytest.mark.parametrize(
    ("value", "expected"), [(3, 3), (2.5, 2.5), (np.float32(0.5), 0.5), ("\u00e9", "\u00e9"), (np.bytes_(b"a"), "a")]
)
def test_an_attribute_comes_as_python_s_own_type(value: Any, expected: Any) -> None:
    with open_bytes(changed(lambda file: file.attrs.__setitem__("x", value)), "m.h5") as file:
        assert file.attribute("x") == expected
        assert type(file.attribute("x")) is type(expected)


def test_an_attribute_that_is_missing_has_its_default() -> None:
    with open_bytes(encode_model(brightness_model()), "m.h5") as file:
        assert file.attribute("none", "null") == "null"
        with pytest.raises(Hdf5Error, match="attribute none: missing"):
            file.attribute("none")


def test_a_repacked_model_is_read_as_the_one_that_was_written() -> None:
    W = brightness_model().parameters[0][0]
    read = load_model(replaced("W1", data=W, chunks=(1, 5), compression="gzip", shuffle=True, fletcher32=True))
    np.testing.assert_array_equal(read.parameters[0][0], W, strict=True)


# The process that looks first


def script(folder: Path, line: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return str(path)


def test_the_process_that_inspects_has_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LNN_BUCKET", "HDF5_PLUGIN_PATH"):
        monkeypatch.setenv(name, "a secret")
    seen = tmp_path / "seen"
    monkeypatch.setattr("sys.executable", script(tmp_path, f"env > '{seen}'; echo '{{}}'"))
    assert inspection.inspect("lnn.models.validation", tmp_path / "m.h5") == {}
    variables = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert variables <= {*inspection.ENVIRONMENT, "PYTHONPATH", "PWD", "SHLVL", "_"}
    assert "a secret" not in seen.read_text()


def test_the_library_needs_no_more_than_that_environment(tmp_path: Path) -> None:
    assert inspect_model(encode_model(brightness_model())).features == 16
    assert "AWS_SECRET_ACCESS_KEY" not in inspection.ENVIRONMENT
    assert not [name for name in inspection.ENVIRONMENT if name.startswith(("AWS", "LNN", "HDF5"))]


def test_the_process_runs_no_module_of_the_folder_where_the_command_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h5py.py").write_text("raise SystemExit('another h5py')")
    monkeypatch.chdir(tmp_path)
    assert inspect_model(encode_model(brightness_model())).features == 16


@pytest.mark.parametrize(
    ("line", "expected"),
    [("kill -SEGV $$", "ended with signal 11"), ("sleep 60", r"too much to check in 0 s")],
)
def test_a_model_on_which_the_library_crashes_or_never_ends_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: str
) -> None:
    monkeypatch.setattr("sys.executable", script(tmp_path, f"exec 1>&- 2>&-; {line}"))
    with pytest.raises(ModelError, match=rf"params\.h5: cannot be read: .*{expected}"):
        inspect_model(encode_model(brightness_model()), seconds=0.3)


def test_the_model_is_loaded_only_after_the_process_has_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> dict[str, Any]:
        raise InputError("it crashed")

    monkeypatch.setattr("lnn.models.validation.inspect", refuse)
    monkeypatch.setattr("lnn.models.validation.load_model", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(ModelError, match="it crashed"):
        inspect_model(encode_model(brightness_model()))
