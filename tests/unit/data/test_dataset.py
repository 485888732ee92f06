"""``datasets.h5``: what is accepted, what a refusal says, and the matrices made of it."""

from __future__ import annotations

import hashlib
import json
import struct
import tracemalloc
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
from lnn.data.dataset import (
    DatasetSummary,
    examples_per_shard,
    feature_shards,
    inspect_dataset,
    label_matrix,
    load_labels,
    load_preprocessing,
    load_weights,
    standardize,
    write_dataset,
)
from lnn.data.preprocessing import Column, Preprocessing
from lnn.data.validation import examine_dataset
from lnn.errors import DatasetError, InspectionFailed
from support.repository import REPOSITORY

NAMES = ("train_set_x", "train_set_y", "test_set_x", "test_set_y", "list_classes")

Change = Callable[[h5py.File], object]


def arrays() -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {
        "train_set_x": random.integers(0, 256, (8, 4, 3, 2), np.uint8),
        "train_set_y": np.array([0, 1, 2, 0, 1, 2, 0, 1]),
        "test_set_x": random.integers(0, 256, (5, 4, 3, 2), np.uint8),
        "test_set_y": np.array([[2, 1, 0, 1, 2]]),
        "list_classes": np.array([b"ant", b"bee", b"cat"]),
    }


def write(path: Path, changes: dict[str, Any] | None = None, change: Change | None = None) -> Path:
    """A good file, with other arrays in place of some (None leaves one out), and then changed by hand."""
    with h5py.File(path, "w") as file:
        for name, values in {**arrays(), **(changes or {})}.items():
            if values is not None:
                file[name] = values
        if change:
            change(file)
    return path


def loaded(path: Path, name: str, features: int) -> Any:
    """All examples of a dataset, (m, features)."""
    return np.concatenate([shard.copy() for shard in feature_shards(path, name, features, 3)])


def problems(path: Path, **options: int) -> list[str]:
    with pytest.raises(DatasetError) as refusal:
        examine_dataset(path, **options)
    assert all(problem.isprintable() for problem in refusal.value.problems)
    return refusal.value.problems


# What is accepted


NO_PICTURES = (
    "train_set_x: found examples of shape (4, 3, 2), of which a model takes no pictures: expected (h, w), (h, w, 1) or "
    "(h, w, 3)"
)


def test_a_good_file_is_summed_up(tmp_path: Path) -> None:
    assert examine_dataset(write(tmp_path / "d.h5")) == DatasetSummary(
        m=8,
        m_test=5,
        features=24,
        classes=["ant", "bee", "cat"],
        image_shape=(4, 3, 2),
        dtype="uint8",
        scale=255.0,
        value_range=(0.0, 255.0),
        class_counts=[3, 3, 2],
        warnings=[NO_PICTURES],
    )


@pytest.mark.parametrize("shape", [(8,), (8, 1), (1, 8)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
def test_weights_of_the_training_examples_are_read_and_summed_up(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    weights = [0, 1, 2, 3, 0, 1, 2, 3]
    path = write(tmp_path / "d.h5", {"train_set_w": np.array(weights, dtype).reshape(shape)})
    assert examine_dataset(path).weighted
    found = load_weights(path)
    assert (found.tolist(), found.dtype) == (weights, np.float64)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (np.ones(7), "found shape (7,); expected (8,), a weight for each example in train_set_x"),
        (np.ones((8, 2)), "found shape (8, 2); expected (8,), a weight for each example in train_set_x"),
        (np.array([b"1"] * 8), "found bytes; expected numbers from 0, such as float64"),
        (np.array([1.0] * 6 + [-1, np.nan]), "found -1 at index 6 (2 such values); expected numbers from 0, which"),
        (np.array([1.0] * 7 + [1e31]), "found 1e+31 at index 7 (1 such values); expected numbers from 0, which"),
        (np.zeros(8), "found only 0; expected examples that count"),
    ],
)
def test_weights_that_are_none_are_refused(tmp_path: Path, weights: Any, expected: str) -> None:
    [problem] = problems(write(tmp_path / "d.h5", {"train_set_w": weights}))
    assert problem.startswith(f"train_set_w: {expected}"), problem


def test_loading_gives_rows_of_features_in_c_order_and_flat_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "d.h5")
    for name, rows in (("train_set_x", 8), ("test_set_x", 5)):
        features = loaded(path, name, 24)
        np.testing.assert_array_equal(features, arrays()[name].reshape(rows, 24), strict=True)
    train_y, test_y = (load_labels(path, name) for name in ("train_set_y", "test_set_y"))
    assert train_y.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert test_y.tolist() == [2, 1, 0, 1, 2]
    assert train_y.dtype == test_y.dtype == np.int64


@pytest.mark.parametrize("chunks", [None, (1, 12), (3, 24), (8, 5)])
@pytest.mark.parametrize("rows", [1, 3, 5, 8, 100])
def test_shards_are_the_examples_in_order_however_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: tuple[int, ...] | None, rows: int
) -> None:
    monkeypatch.setattr("lnn.data.hdf5.BLOCK_BYTES", 50)
    x = arrays()["train_set_x"].reshape(8, 24)
    path = write(
        tmp_path / "d.h5", {"train_set_x": None}, lambda file: file.create_dataset("train_set_x", data=x, chunks=chunks)
    )
    shards = [shard.copy() for shard in feature_shards(path, "train_set_x", 24, rows)]
    assert [len(shard) for shard in shards] == [min(rows, 8 - start) for start in range(0, 8, rows)]
    np.testing.assert_array_equal(np.concatenate(shards), x)


def test_reading_shards_holds_a_block_and_a_shard_however_many_examples_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn.data.hdf5.BLOCK_BYTES", 100_000)
    peaks = []
    for examples in (2_000, 8_000):
        x = np.zeros((examples, 500), np.uint8)
        with h5py.File(tmp_path / "d.h5", "w") as file:
            file.create_dataset("train_set_x", data=x, chunks=(64, 500), compression="gzip")
        del x
        tracemalloc.start()
        count = sum(len(shard) for shard in feature_shards(tmp_path / "d.h5", "train_set_x", 500, 300))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == examples
    assert peaks[0] < 500_000
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize(
    ("features", "dtype", "rows"), [(784, "uint8", 21_399), (12_288, "float64", 170), (2**25, "float32", 1)]
)
def test_a_shard_has_about_sixteen_megabytes_and_at_least_one_example(features: int, dtype: str, rows: int) -> None:
    assert examples_per_shard(DatasetSummary(9, 9, features, ["a", "b"], None, dtype, 1.0)) == rows


@pytest.mark.parametrize(
    ("shape", "features", "image_shape"), [((6,), 6, None), ((3, 2), 6, (3, 2)), ((3, 2, 1), 6, (3, 2, 1))]
)
def test_rows_and_images_with_and_without_channels_are_accepted(
    tmp_path: Path, shape: tuple[int, ...], features: int, image_shape: tuple[int, ...] | None
) -> None:
    x = {"train_set_x": np.zeros((8, *shape), np.uint8), "test_set_x": np.ones((5, *shape), np.uint8)}
    found = examine_dataset(write(tmp_path / "d.h5", x))
    assert (found.features, found.image_shape) == (features, image_shape)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", ">f8"])
def test_float_features_are_used_as_they_are(tmp_path: Path, dtype: str) -> None:
    x = {"train_set_x": np.linspace(-2, 2, 16).reshape(8, 2), "test_set_x": np.zeros((5, 2))}
    path = write(tmp_path / "d.h5", {name: values.astype(dtype) for name, values in x.items()})
    found = examine_dataset(path)
    values = loaded(path, "train_set_x", 2)
    assert (found.scale, found.dtype) == (1.0, np.dtype(dtype).newbyteorder("=").name)
    assert values.dtype == np.dtype(dtype).newbyteorder("=")
    rows = np.empty((8, 2))
    standardize(values, found.scale, rows)
    np.testing.assert_array_equal(rows, x["train_set_x"].astype(dtype))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint64", ">i8"])
def test_labels_of_every_integer_type_are_accepted(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path / "d.h5", {"train_set_y": arrays()["train_set_y"].astype(dtype)})
    assert load_labels(path, "train_set_y").tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    "names",
    [
        np.array([b"a", b"b", "\u00e9".encode()]),
        np.array(["a", "b", "\u00e9"], dtype=h5py.string_dtype()),
        np.array([b"a", b"b", "\u00e9".encode()], dtype=h5py.string_dtype("utf-8", 8)),
    ],
)
def test_class_names_may_be_bytes_or_text(tmp_path: Path, names: Any) -> None:
    assert examine_dataset(write(tmp_path / "d.h5", {"list_classes": names})).classes == ["a", "b", "\u00e9"]


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip", "compression_opts": 9, "shuffle": True, "fletcher32": True},
        {"compression": "lzf"},
        {"chunks": (3, 4, 3, 2)},
        {"chunks": (1, 1, 1, 1), "compression": "gzip"},
        {"maxshape": (None, 4, 3, 2)},
    ],
)
def test_the_filters_that_h5py_always_has_are_accepted(tmp_path: Path, options: dict[str, Any]) -> None:
    values = arrays()["train_set_x"]
    path = write(
        tmp_path / "d.h5",
        {"train_set_x": None},
        lambda file: file.create_dataset("train_set_x", data=values, **options),
    )
    np.testing.assert_array_equal(loaded(path, "train_set_x", 24), values.reshape(8, 24))


def test_datasets_beside_the_five_do_not_matter(tmp_path: Path) -> None:
    def add(file: h5py.File) -> None:
        file["notes"] = "hello"
        file["loop"] = h5py.SoftLink("/loop")
        file.create_group("group")["again"] = file["/"]

    assert examine_dataset(write(tmp_path / "d.h5", change=add)).m == 8


def test_the_digits_are_as_their_readme_says() -> None:
    path = REPOSITORY / "examples" / "digits" / "datasets.h5"
    found = examine_dataset(path)
    assert (found.m, found.m_test, found.features, found.image_shape) == (1438, 359, 64, (8, 8))
    assert found.classes == list("0123456789")
    assert loaded(path, "train_set_x", 64).max() == loaded(path, "test_set_x", 64).max() == 255
    train_y, test_y = (load_labels(path, name) for name in ("train_set_y", "test_set_y"))
    share = np.bincount(test_y) / (np.bincount(train_y) + np.bincount(test_y))
    np.testing.assert_allclose(share, 0.2, atol=0.003)


# What is refused: the file


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "d.h5: the file is empty; expected an HDF5 file"),
        (b"PK\x03\x04 a zip archive", "d.h5: found a part of a zip file; expected an HDF5 file"),
        (b"\x89HDF\r\n\x1a\n", "d.h5: cannot be read: the file is truncated or damaged"),
        (b"\x89HDF\r\n\x1a\n" + bytes(4096), "d.h5: cannot be read: the file is truncated or damaged"),
    ],
)
def test_what_is_no_hdf5_file_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "d.h5").write_bytes(content)
    [problem] = problems(tmp_path / "d.h5")
    assert problem.startswith(expected)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.h5") == ["none.h5: no such file"]
    assert problems(tmp_path) == [f"{tmp_path.name}: no such file"]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    content = write(tmp_path / "d.h5").read_bytes()
    (tmp_path / "d.h5").write_bytes(content[: int(len(content) * share)])
    [problem] = problems(tmp_path / "d.h5")
    assert "truncated" in problem


def test_damage_inside_a_compressed_chunk_is_found_by_reading(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (8, 1000), np.uint8)

    def compress(file: h5py.File) -> None:
        file.create_dataset("train_set_x", data=values, compression="gzip", fletcher32=True)

    path = write(tmp_path / "d.h5", {"train_set_x": None, "test_set_x": values[:5]}, compress)
    with h5py.File(path) as file:
        offset = file["train_set_x"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 500] ^= 0xFF
    path.write_bytes(content)
    [problem] = problems(path)
    assert problem.startswith("train_set_x: cannot be read: the file is truncated or damaged")


@pytest.mark.slow
@hypothesis.settings(
    deadline=None,
    derandomize=True,
    max_examples=150,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_damaged_file_is_refused_or_read_but_never_anything_else(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(write(tmp_path / "good.h5").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "bad.h5"
    path.write_bytes(content)
    try:
        found = examine_dataset(path, max_bytes=10**6, block_limit=10**6)
        load_labels(path, "train_set_y")
        for name in ("train_set_x", "test_set_x"):
            loaded(path, name, found.features)
    except DatasetError as refusal:
        assert refusal.problems  # noqa: PT017 - either outcome is right


# What happens in a process of its own


@pytest.mark.parametrize("shape", [(), (3,)])
def test_inspecting_sees_what_examining_sees(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = {"train_set_x": np.zeros((8, 2, *shape), "f4"), "test_set_x": np.ones((5, 2, *shape), "f4")}
    path = write(tmp_path / "d \u00e9.h5", x)
    assert inspect_dataset(path) == examine_dataset(path)


def test_inspecting_refuses_what_examining_refuses(tmp_path: Path) -> None:
    path = write(tmp_path / "d.h5", {"test_set_x": None, "train_set_y": np.zeros(8)})
    with pytest.raises(DatasetError) as refusal:
        inspect_dataset(path)
    assert refusal.value.problems == problems(path)
    with pytest.raises(DatasetError, match=r"datasets\.h5: found 0 MiB of values"):
        inspect_dataset(write(tmp_path / "d.h5"), max_bytes=10)


def test_a_file_on_which_reading_never_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"d\.h5: cannot be read: .* too much to check in 0 s"):
        inspect_dataset(write(tmp_path / "d.h5"), seconds=0.001)


def test_a_file_that_crashes_the_reader_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", script(tmp_path / "python", "kill -SEGV $$"))
    with pytest.raises(DatasetError, match=r"d\.h5: cannot be read: .* ended with signal 11"):
        inspect_dataset(write(tmp_path / "d.h5"))


@pytest.mark.parametrize(
    "changes", [{"train_set_y": np.zeros(9, int)}, {"train_set_x": np.zeros((8, 4, 3, 2), "i8")}], ids=["shape", "type"]
)
def test_what_a_file_declares_is_checked_before_any_chunk_is_unpacked(
    tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "d.h5", changes)

    def unpack(*_: Any) -> str:
        raise AssertionError("a chunk was unpacked")

    monkeypatch.setattr("lnn.data.hdf5._check_chunks", unpack)
    assert problems(path)


def test_values_that_a_file_cannot_hold_are_refused_unread(tmp_path: Path) -> None:
    """HDF5 makes up the values of chunks that were never written: a file of kilobytes would take minutes to read."""

    def declare(file: h5py.File) -> None:
        file.create_dataset("train_set_x", (8, 1024, 1024, 3), "u1", chunks=(1, 1024, 1024, 3))
        file.create_dataset("test_set_x", (5, 1024, 1024, 3), "u1", chunks=(1, 1024, 1024, 3))

    path = write(tmp_path / "d.h5", {"train_set_x": None, "test_set_x": None}, declare)
    [problem] = problems(path)
    assert f"expected no more than a file of {path.stat().st_size:,} bytes can hold" in problem


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("echo no module named numpy >&2; exit 1", "ended with status 1 and no answer: no module named numpy;"),
        ("printf 'red \\033[31m' >&2; exit 3", r"ended with status 3 and no answer: red \\x1b\[31m;"),
        ("exit 1", "ended with status 1 and no answer: it printed nothing;"),
        ("exit 0", "ended with status 0 and no answer: it printed nothing;"),
        ("echo [1]", "ended with status 0 and no answer: it printed nothing;"),
    ],
)
def test_a_check_that_ends_without_an_answer_is_not_blamed_on_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, told: str
) -> None:
    monkeypatch.setattr("sys.executable", script(tmp_path / "python", line))
    with pytest.raises(InspectionFailed, match=rf"^d\.h5: the process that checks it {told} the file may be sound"):
        inspect_dataset(write(tmp_path / "d.h5"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("no such chunk"), "cannot be read: KeyError: no such chunk; write or upload it again"),
        (RecursionError("too deep"), "cannot be read: RecursionError: too deep; write or upload it again"),
        (MemoryError(), "to check the file takes more than 522 MiB of memory; expected a smaller one"),
    ],
)
def test_what_nobody_foresaw_in_a_file_is_a_reason_to_refuse_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    monkeypatch.setattr(inspection, "limit_memory", lambda _: None)

    def examine() -> dict[str, Any]:
        raise error

    inspection.reply(examine, 10 * 2**20)
    assert json.loads(capsys.readouterr().out) == {"problems": [told]}


def script(path: Path, line: str) -> str:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return str(path)


# What is refused: the datasets


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_dataset_is_named(tmp_path: Path, name: str) -> None:
    [problem] = problems(write(tmp_path / "d.h5", {name: None}))
    others = ", ".join(sorted(set(NAMES) - {name}))
    told = f"{name}: missing; expected a dataset of this name; the file holds {others}"
    mend = (
        '; name the classes: h5py.File("datasets.h5", "r+")["list_classes"] = [b"first", b"second"]; or, of numbers to '
        'predict, the target: h5py.File("datasets.h5", "r+")["list_targets"] = [b"price"]'
    )
    assert problem == told + (mend if name == "list_classes" else "")


def test_an_empty_hdf5_file_lacks_all_five(tmp_path: Path) -> None:
    found = problems(write(tmp_path / "d.h5", dict.fromkeys(NAMES)))
    assert [problem.partition(":")[0] for problem in found] == [
        "train_set_x",
        "test_set_x",
        "train_set_y",
        "test_set_y",
        "list_classes",
    ]
    assert all("the file holds nothing" in problem for problem in found)


@pytest.mark.parametrize("name", NAMES)
def test_a_group_in_place_of_a_dataset_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "d.h5", {name: None}, lambda file: file.create_group(name))
    assert problems(path) == [f"{name}: found a group; expected a dataset"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("link", ["external", "soft", "cyclic"])
def test_a_link_is_not_followed(tmp_path: Path, name: str, link: str) -> None:
    write(tmp_path / "other.h5")

    def add(file: h5py.File) -> None:
        file["elsewhere"] = arrays()[name]
        file[name] = {
            "external": h5py.ExternalLink(str(tmp_path / "other.h5"), name),
            "soft": h5py.SoftLink("/elsewhere"),
            "cyclic": h5py.SoftLink(f"/{name}"),
        }[link]

    [problem] = problems(write(tmp_path / "d.h5", {name: None}, add))
    assert problem == f"{name}: found a link to somewhere else; expected the dataset itself, in this file"


def test_values_kept_in_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(8 * 24))
    write(tmp_path / "other.h5")

    def external(file: h5py.File) -> None:
        file.create_dataset("train_set_x", (8, 24), np.uint8, external=[(str(tmp_path / "raw"), 0, 8 * 24)])

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((5, 24), np.uint8)
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "test_set_x", (5, 24))
        file.create_virtual_dataset("test_set_x", layout)

    def both(file: h5py.File) -> None:
        external(file)
        virtual(file)

    assert problems(write(tmp_path / "d.h5", {"train_set_x": None, "test_set_x": None}, both)) == [
        "train_set_x: found values kept in other files; expected them in this file",
        "test_set_x: found values kept in other files; expected them in this file",
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("value", "found"), [(h5py.Empty("f4"), "nothing"), (np.float32(3), "a single value")])
def test_a_dataset_without_an_array_is_refused(tmp_path: Path, name: str, value: object, found: str) -> None:
    assert problems(write(tmp_path / "d.h5", {name: value})) == [f"{name}: found {found}; expected an array"]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("train_set_x", np.zeros(8, np.uint8), "found shape (8,); expected (m, n), (m, h, w) or (m, h, w, c)"),
        ("train_set_x", np.zeros((8, 1, 1, 1, 1), np.uint8), "found shape (8, 1, 1, 1, 1); expected (m, n)"),
        ("train_set_x", np.zeros((0, 24), np.uint8), "found zero examples; expected at least one"),
        ("test_set_x", np.zeros((0, 4, 3, 2), np.uint8), "found zero examples; expected at least one"),
        ("train_set_x", np.zeros((8, 0, 3), np.uint8), "found shape (8, 0, 3); expected at least one feature"),
        ("test_set_x", np.zeros((5, 4, 3), np.uint8), "found examples of shape (4, 3); expected (4, 3, 2), as in"),
        (
            "test_set_x",
            np.zeros((5, 4, 3, 2), "f4"),
            "found float32; expected uint8, as in train_set_x: uint8 is divided",
        ),
        ("train_set_y", np.zeros(7, int), "found 7 labels; expected 8, one for each example in train_set_x"),
        ("test_set_y", np.zeros((1, 6), int), "found 6 labels; expected 5, one for each example in test_set_x"),
        (
            "train_set_y",
            np.zeros((8, 3), int),
            "found shape (8, 3); expected (m,), (m, 1) or (1, m), one label",
        ),
        ("list_classes", np.array([[b"a", b"b", b"c"]]), "found shape (1, 3); expected (K,), the names of 2 to"),
        ("list_classes", np.array([b"a"]), "found shape (1,); expected (K,), the names of 2 to"),
        ("list_classes", np.array([b"cat"] * 70_000), "found shape (70000,); expected (K,), the names of 2 to 65,536"),
    ],
)
def test_shapes_that_cannot_be_or_disagree_are_refused(tmp_path: Path, name: str, values: Any, expected: str) -> None:
    found = problems(write(tmp_path / "d.h5", {name: values}))
    assert any(problem.startswith(f"{name}: {expected}") for problem in found), found


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        (
            "train_set_x",
            np.zeros((8, 24), "i8"),
            'found int64; expected uint8, float32 or float64: save it with .astype("ui',
        ),
        ("train_set_x", np.zeros((8, 24), "i1"), "found int8; expected uint8, float32 or float64"),
        ("train_set_x", np.zeros((8, 24), bool), "found bool; expected uint8, float32 or float64"),
        ("train_set_x", np.zeros((8, 24), complex), "found complex128; expected uint8, float32 or float64"),
        ("train_set_x", np.zeros((8, 24), "S3"), "found bytes; expected uint8, float32 or float64"),
        ("train_set_x", np.full((8, 24), "x", h5py.string_dtype()), "found Python objects or strings; expected uint8"),
        (
            "train_set_x",
            np.zeros((8, 24), [("r", "u1"), ("g", "u1")]),
            "found compound or opaque values; expected uint8",
        ),
        ("train_set_y", np.zeros(8), "found float64; expected integers, the classes' indices from 0: save them with"),
        ("test_set_y", np.zeros(5, bool), "found bool; expected integers"),
        ("train_set_y", np.array([b"cat"] * 8), "found bytes; expected integers"),
        ("list_classes", np.arange(3.0), "found float64; expected bytes, str or integers, the classes' names"),
        ("list_classes", np.array([b"x" * 2000] * 3), "found names of 2,000 bytes; expected at most 1,024"),
    ],
)
def test_types_that_cannot_be_trained_on_are_refused(tmp_path: Path, name: str, values: Any, expected: str) -> None:
    found = problems(write(tmp_path / "d.h5", {name: values}))
    assert any(problem.startswith(f"{name}: {expected}") for problem in found), found


@pytest.mark.parametrize("dtype", [h5py.vlen_dtype(np.uint8), h5py.ref_dtype, h5py.opaque_dtype("M8[s]")])
def test_types_that_hold_no_numbers_are_refused(tmp_path: Path, dtype: Any) -> None:
    def declare(file: h5py.File) -> None:
        file.create_dataset("train_set_x", (8, 4, 3, 2), dtype)

    [problem] = problems(write(tmp_path / "d.h5", {"train_set_x": None, "test_set_x": np.zeros((5, 4, 3, 2))}, declare))
    assert problem.startswith("train_set_x: found ")
    assert problem.endswith("; expected uint8, float32 or float64")


def test_a_type_that_numpy_does_not_have_is_refused(tmp_path: Path) -> None:
    def declare(file: h5py.File) -> None:
        h5py.h5d.create(file.id, b"test_set_x", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((5, 24)))

    assert problems(write(tmp_path / "d.h5", {"test_set_x": None}, declare)) == [
        "test_set_x: found values of a type that numpy does not have; write it with h5py from a numpy array"
    ]


@pytest.mark.slow
def test_more_names_than_a_model_can_hold_are_refused_without_comparing_each_with_each(tmp_path: Path) -> None:
    # Two thousand million comparisons would outlast the time that every test has.
    names = np.array([f"class {index}" for index in range(65_536)], h5py.string_dtype())
    [problem] = problems(write(tmp_path / "d.h5", {"list_classes": names}))
    assert problem == (
        "list_classes: found 65,536 names that take 971,930 bytes in all, as JSON; expected at most 60,000: "
        "use shorter names"
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (np.array([b"a", b"", b"c"]), "found b'' at index 1, which shows nothing; expected a name"),
        (np.array([b"a", b"\xff", b"c"]), "found b'\\xff' at index 1, which is not UTF-8; expected a name in UTF-8"),
        (np.array([b"a", b"b\n", b"c"]), "found b'b\\n' at index 1, which holds a control character, U+000A; expected"),
        (
            np.array(["a", "b", "c" * 2000], h5py.string_dtype()),
            "found b'" + "c" * 40 + "' at index 2, which takes 2,000 bytes; expected a name",
        ),
        (np.array([b"a", b"b", b"a"]), "found 'a' more than once; expected different names"),
    ],
)
def test_class_names_that_nobody_could_read_are_refused(tmp_path: Path, names: Any, expected: str) -> None:
    [problem] = problems(write(tmp_path / "d.h5", {"list_classes": names}))
    assert problem.startswith(f"list_classes: {expected}")


# What is accepted, and said to be odd


def warnings(path: Path) -> list[str]:
    return [warning for warning in examine_dataset(path).warnings if warning != NO_PICTURES]


def pictures(examples: int, *shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (examples, *shape), np.uint8)


def test_labels_of_a_column_are_accepted(tmp_path: Path) -> None:
    path = write(tmp_path / "d.h5", {"train_set_y": arrays()["train_set_y"][:, np.newaxis]})
    assert examine_dataset(path).m == 8
    assert load_labels(path, "train_set_y").tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_integers_are_names_of_classes(tmp_path: Path) -> None:
    assert examine_dataset(write(tmp_path / "d.h5", {"list_classes": np.array([7, 8, 10])})).classes == ["7", "8", "10"]


def test_names_are_kept_composed_and_without_blanks(tmp_path: Path) -> None:
    names = np.array([" ant ", "cafe\u0301", "c"], h5py.string_dtype())
    assert examine_dataset(write(tmp_path / "d.h5", {"list_classes": names})).classes == ["ant", "caf\u00e9", "c"]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("block_bytes", [50, 10**6])
def test_test_examples_that_are_training_examples_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int, dtype: str
) -> None:
    monkeypatch.setattr("lnn.data.hdf5.BLOCK_BYTES", block_bytes)
    train, test = pictures(8, 4, 3).astype(dtype), pictures(5, 4, 3, seed=1).astype(dtype)
    test[[0, 3]] = train[[7, 2]]
    path = write(
        tmp_path / "d.h5", {"train_set_x": train, "test_set_x": test.astype("f8" if dtype != "uint8" else dtype)}
    )
    (warning,) = warnings(path)
    assert warning == (
        "test_set_x: found 2 of 5 examples in train_set_x as well, so the test scores say too much; take them out "
        "of one of the two"
    )


def test_repeated_examples_are_looked_for_among_the_first_of_each_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn.data.validation.MOST_COMPARED", 3)
    train = pictures(8, 4, 3)
    test = train[[0, 5, 2, 1, 0]]
    (warning,) = warnings(write(tmp_path / "d.h5", {"train_set_x": train, "test_set_x": test}))
    assert warning.startswith("test_set_x: found 2 of 3 examples in train_set_x as well")


def test_classes_that_training_cannot_learn_are_named(tmp_path: Path) -> None:
    names = np.array([f"class {index}" for index in range(11)], h5py.string_dtype())
    path = write(tmp_path / "d.h5", {"train_set_y": np.array([0, 1, 2, 0, 1, 0, 0, 1]), "list_classes": names})
    none, one = warnings(path)
    assert none == (
        "train_set_y: found no example of class 'class 3', 'class 4', 'class 5', 'class 6', 'class 7' and 3 more, "
        "which cannot be learned; add examples, or leave the class out"
    )
    assert one.startswith("train_set_y: found one example only of class 'class 2', which cannot be learned; ")


def test_what_is_odd_about_values_and_axes_names_the_dataset(tmp_path: Path) -> None:
    train, test = pictures(8, 3, 6, 5) % 2, pictures(5, 3, 6, 5)
    found = warnings(write(tmp_path / "d.h5", {"train_set_x": train, "test_set_x": test}))
    assert [warning[:40] for warning in found] == [
        "train_set_x: found uint8 whose largest v",
        "test_set_x: found values from 0 to 255, ",
        "train_set_x: found examples of shape (3,",
    ]


def test_a_file_that_matlab_wrote_says_which_axes_are_in_reverse(tmp_path: Path) -> None:
    def mark(file: h5py.File) -> None:
        file["train_set_x"].attrs["MATLAB_class"] = np.bytes_(b"uint8")

    path = write(tmp_path / "d.h5", {"train_set_x": pictures(8, 4, 3), "test_set_x": pictures(5, 4, 3, seed=1)}, mark)
    (warning,) = warnings(path)
    assert warning.endswith("if its pictures lie on their side, save x.transpose(0, 2, 1)")


def test_float_pictures_of_0_to_255_are_divided_as_bytes_are(tmp_path: Path) -> None:
    x = {"train_set_x": pictures(8, 4, 3), "test_set_x": pictures(5, 4, 3, seed=1)}
    x["train_set_x"][0, 0, :2] = 0, 255
    path = write(tmp_path / "d.h5", {name: values.astype("f4") for name, values in x.items()})
    found = inspect_dataset(path)
    assert (found.scale, found.value_range, found.warnings) == (255.0, (0.0, 255.0), [])
    rows = np.empty((8, 12))
    standardize(loaded(path, "train_set_x", 12), found.scale, rows)
    np.testing.assert_array_equal(rows, x["train_set_x"].reshape(8, 12) / 255)


# What is refused, with the mend


MENDS: dict[str, tuple[dict[str, Any], str]] = {
    "one-hot rows": ({"train_set_y": np.eye(3, dtype=int)[[0, 1, 2] * 2 + [0, 1]]}, "save y.argmax(axis=1)"),
    "one-hot columns": ({"train_set_y": np.eye(3)[[0, 1, 2] * 2 + [0, 1]].T}, "save y.argmax(axis=0)"),
    "labels from 1": ({"train_set_y": np.array([1, 2, 3, 1, 2, 3, 1, 2])}, "they begin at 1: save y - 1"),
    "labels of -1 and 1": (
        {"train_set_y": np.array([-1, 1] * 4), "test_set_y": np.zeros(5, int), "list_classes": np.array([b"a", b"b"])},
        'save (y > 0).astype("int64")',
    ),
    "labels of text": (
        {"train_set_y": np.array([b"cat"] * 8)},
        "save np.searchsorted(names, y), and names = np.unique",
    ),
    "labels of any text": (
        {"test_set_y": np.array(["cat"] * 5, h5py.string_dtype())},
        "save np.searchsorted(names, y)",
    ),
    "bools": ({"train_set_x": np.zeros((8, 4, 3), bool)}, 'save it with .astype("float32")'),
    "16 bits": (
        {"train_set_x": np.zeros((8, 4, 3), "u2")},
        'if white is 255, else (x / white).astype("float32"), where white is 65535 in 16 bits',
    ),
    "rows of integers": ({"train_set_x": np.zeros((8, 12), "i8")}, 'if white is 255, else .astype("float32")'),
    "axes in reverse": ({"train_set_x": pictures(8, 4, 5, 3).T}, "save x.transpose(3, 2, 1, 0), of shape (8, 4, 5, 3)"),
}


@pytest.mark.parametrize("mistake", MENDS)
def test_a_common_mistake_comes_with_the_line_that_mends_it(tmp_path: Path, mistake: str) -> None:
    changes, mend = MENDS[mistake]
    found = [problem for problem in problems(write(tmp_path / "d.h5", changes)) if mend in problem]
    assert len(found) == 1, problems(tmp_path / "d.h5")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("train_set_x", "X_train"),
        ("test_set_y", "y_test"),
        ("train_set_x", "train_images"),
        ("list_classes", "classes"),
    ],
)
def test_a_dataset_of_another_name_is_mended_by_the_line_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, other: str
) -> None:
    monkeypatch.chdir(tmp_path)
    [problem] = problems(write(Path("datasets.h5"), change=lambda file: file.move(name, other)))
    _, _, mend = problem.partition("rename it: ")
    exec(mend, {"h5py": h5py})  # noqa: S102 - what a reader would paste
    assert examine_dataset("datasets.h5").m == 8


def test_examples_that_nobody_has_divided_are_divided_by_the_lines_that_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File("datasets.h5", "w") as file:
        file["images"], file["labels"] = pictures(20, 4, 3), np.arange(20) % 3
        file["list_classes"] = arrays()["list_classes"]
    for problem in problems(Path("datasets.h5")):
        names: dict[str, Any] = {"h5py": h5py, "np": np}
        exec(problem.partition("for the test: ")[2], names)  # noqa: S102 - what a reader would paste
        names["f"].close()
    found = examine_dataset("datasets.h5")
    assert (found.m, found.m_test) == (16, 4)


# What is refused: the values


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (
            [0, 1, 2, 3, 1, 2, 3, 1],
            "found label 3 at index 3 (2 labels out of range); expected 0 to 2, for the 3 names",
        ),
        ([0, 1, 2, 0, -1, 2, 0, 1], "found label -1 at index 4 (1 labels out of range); expected 0 to 2"),
        ([1] * 8, "found only label 1; expected examples of at least two classes"),
    ],
)
def test_labels_without_meaning_are_refused(tmp_path: Path, y: list[int], expected: str) -> None:
    [problem] = problems(write(tmp_path / "d.h5", {"train_set_y": np.array(y)}))
    assert problem.startswith(f"train_set_y: {expected}")


def test_a_label_too_large_for_int64_is_out_of_range(tmp_path: Path) -> None:
    [problem] = problems(write(tmp_path / "d.h5", {"test_set_y": np.array([2**64 - 1, 0, 1, 2, 0], np.uint64)}))
    assert problem.startswith("test_set_y: found label 18446744073709551615 at index 0")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["train_set_x", "test_set_x"])
def test_a_feature_that_is_not_finite_is_found_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    monkeypatch.setattr("lnn.data.hdf5.BLOCK_BYTES", 50)
    x = {"train_set_x": np.zeros((8, 4, 3), "f4"), "test_set_x": np.zeros((5, 4, 3), "f4")}
    x[name][3, 2, 1] = value
    [problem] = problems(write(tmp_path / "d.h5", x))
    assert problem == (f"{name}: found {value} at (3, 2, 1); expected finite numbers: remove or replace NaN and inf")


def test_everything_wrong_with_the_structure_is_reported_at_once(tmp_path: Path) -> None:
    changes = {
        "train_set_x": np.zeros((8, 24), "i4"),
        "train_set_y": np.zeros(9),
        "test_set_x": None,
        "test_set_y": np.zeros((2, 2), int),
        "list_classes": np.arange(3.0),
    }
    found = problems(write(tmp_path / "d.h5", changes))
    assert sorted({problem.partition(":")[0] for problem in found}) == sorted(NAMES)
    assert len(found) == 6  # both the type and the number of train_set_y


def test_everything_wrong_with_the_values_is_reported_at_once(tmp_path: Path) -> None:
    changes = {
        "train_set_x": np.full((8, 2), np.nan),
        "test_set_x": np.full((5, 2), np.inf),
        "train_set_y": np.full(8, 7),
        "test_set_y": np.full(5, -1),
        "list_classes": np.array([b"a", b"a", b"b"]),
    }
    assert sorted(problem.partition(":")[0] for problem in problems(write(tmp_path / "d.h5", changes))) == sorted(NAMES)


# What is refused: hostile files


def test_a_huge_declared_shape_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    def declare(file: h5py.File) -> None:
        file.create_dataset("train_set_x", (2**40, 2**20), np.uint8, chunks=(1, 2**20))

    path = write(tmp_path / "d.h5", {"train_set_x": None}, declare)
    tracemalloc.start()
    found = problems(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24
    assert any(
        problem.startswith("datasets.h5: found 1,099,511,627,776 MiB of values (train_set_x (10995")
        for problem in found
    )


def test_the_memory_limit_counts_all_arrays(tmp_path: Path) -> None:
    path = write(tmp_path / "d.h5")
    size = sum(values.nbytes for values in arrays().values())
    assert examine_dataset(path, max_bytes=size).m == 8
    assert problems(path, max_bytes=size - 1)[0].startswith("datasets.h5: found 0 MiB of values")


def test_a_chunk_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    def declare(file: h5py.File) -> None:
        file.create_dataset("train_set_x", (8, 4, 3, 2), np.uint8, chunks=(2**20, 4, 3, 2), maxshape=(None, 4, 3, 2))

    path = write(tmp_path / "d.h5", {"train_set_x": None}, declare)
    found = problems(path, block_limit=10**6)
    assert found == [
        (
            "train_set_x: found HDF5 chunks of shape (1048576, 4, 3, 2) in an array of shape (8, 4, 3, 2), of which "
            "24 MiB have to be read at once; expected at most 1 MiB: write it with chunks that hold fewer examples, "
            "such as chunks=(64, ...)"
        )
    ]


def test_chunks_that_only_together_are_too_large_are_refused(tmp_path: Path) -> None:
    def declare(file: h5py.File) -> None:
        file.create_dataset("train_set_x", (8, 2**20), np.uint8, chunks=(8, 2**10))
        file.create_dataset("test_set_x", (5, 2**20), np.uint8, chunks=(1, 2**20))

    path = write(tmp_path / "d.h5", {"train_set_x": None, "test_set_x": None}, declare)
    [problem] = problems(path, block_limit=2**22)
    assert problem.startswith("train_set_x: found HDF5 chunks of shape (8, 1024) in an array of shape (8, 1048576)")


def test_labels_that_cannot_be_read_at_once_are_refused(tmp_path: Path) -> None:
    def declare(file: h5py.File) -> None:
        file.create_dataset("train_set_y", (2**24,), np.int64, chunks=(1024,))

    found = problems(write(tmp_path / "d.h5", {"train_set_y": None}, declare), block_limit=2**22)
    assert any(problem.startswith("train_set_y: found HDF5 chunks") for problem in found)


@pytest.mark.slow
def test_a_file_much_larger_than_what_is_read_at_once_is_accepted(tmp_path: Path) -> None:
    def declare(file: h5py.File) -> None:
        # Never written, so the file is small: reading makes 3 GiB of zeros all the same.
        file.create_dataset("train_set_x", (3 * 2**10, 2**20), np.uint8, chunks=(1, 2**20))
        file["train_set_y"] = np.arange(3 * 2**10) % 2

    changes = {"train_set_x": None, "train_set_y": None, "test_set_x": np.zeros((5, 2**20), np.uint8)}
    path = write(tmp_path / "d.h5", changes, declare)
    assert inspect_dataset(path, block_limit=2**26).m == 3 * 2**10


def bomb(stored: bytes, **filters: Any) -> Change:
    """train_set_x as one chunk of which the stored bytes are given."""

    def declare(file: h5py.File) -> None:
        dataset = file.create_dataset("train_set_x", (8, 4, 3, 2), np.uint8, chunks=(8, 4, 3, 2), **filters)
        dataset.id.write_direct_chunk((0, 0, 0, 0), stored)

    return declare


def test_a_compression_bomb_is_refused_without_unpacking_it(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(2**26), 9)  # 64 MiB in a chunk of 192 bytes
    [problem] = problems(write(tmp_path / "d.h5", {"train_set_x": None}, bomb(packed, compression="gzip")))
    assert problem.startswith("train_set_x: cannot be read: a chunk of 192 bytes claims to be 65,")


def test_a_chunk_that_unpacks_to_more_than_it_declares_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn.data.hdf5.BLOCK_BYTES", 10_000)
    packed = zlib.compress(bytes(10**5), 9)
    [problem] = problems(write(tmp_path / "d.h5", {"train_set_x": None}, bomb(packed, compression="gzip")))
    assert (
        problem
        == "train_set_x: cannot be read: a chunk unpacks to more than its declared 192 bytes; write or upload it again"
    )


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"compression": "gzip", "fletcher32": True}])
def test_a_chunk_that_unpacks_to_less_than_it_declares_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    # HDF5 would take the rest from whatever memory comes after it.
    [problem] = problems(write(tmp_path / "d.h5", {"train_set_x": None}, bomb(zlib.compress(bytes(191)), **options)))
    assert (
        problem
        == "train_set_x: cannot be read: a chunk unpacks to less than its declared 192 bytes; write or upload it again"
    )


@pytest.mark.parametrize(("size", "options"), [(191, {}), (193, {}), (192, {"fletcher32": True})])
def test_a_chunk_that_is_stored_in_another_size_is_refused(tmp_path: Path, size: int, options: dict[str, Any]) -> None:
    [problem] = problems(write(tmp_path / "d.h5", {"train_set_x": None}, bomb(bytes(size), **options)))
    assert problem == f"train_set_x: cannot be read: a chunk of 192 bytes is stored as {size}; write or upload it again"


def test_an_lzf_filter_that_makes_too_little_room_is_refused(tmp_path: Path) -> None:
    def declare(file: h5py.File) -> None:
        file.create_dataset("train_set_x", data=arrays()["train_set_x"], chunks=(8, 4, 3, 2), compression="lzf")

    path = write(tmp_path / "d.h5", {"train_set_x": None}, declare)
    with h5py.File(path) as file:
        numbers = file["train_set_x"].id.get_create_plist().get_filter(0)[2]
    room = struct.pack("<3I", *numbers)
    path.write_bytes(path.read_bytes().replace(room, struct.pack("<3I", *numbers[:2], 8)))
    assert problems(path) == [
        "train_set_x: cannot be read: its lzf filter is for chunks of less than 192 bytes; write it again"
    ]


def test_filters_that_are_not_h5py_s_own_or_are_stacked_are_refused(tmp_path: Path) -> None:
    def declare(file: h5py.File) -> None:
        twice = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        twice.set_chunk((8, 24))
        twice.set_deflate(9)
        twice.set_deflate(9)
        space = h5py.h5s.create_simple((8, 24))
        h5py.h5d.create(file.id, b"train_set_x", h5py.h5t.NATIVE_UINT8, space, twice)
        file.create_dataset("test_set_x", (5, 24), np.uint8, chunks=True, scaleoffset=0)

    found = problems(write(tmp_path / "d.h5", {"train_set_x": None, "test_set_x": None}, declare))
    assert found == [
        'train_set_x: found HDF5 filters [1, 1]; expected compression="gzip" or none',
        'test_set_x: found HDF5 filters [6]; expected compression="gzip" or none',
    ]


# Writing, and the network's matrices


def test_what_is_written_can_be_read_and_is_the_same_each_time(tmp_path: Path) -> None:
    x, y = np.arange(48, dtype=np.uint8).reshape(8, 3, 2), np.array([0, 1] * 4)
    digests = set()
    for name in ("a.h5", "b.h5"):
        write_dataset(tmp_path / name, x, y, x[:3], y[:3], ["dog", "na\u00efve cat"])
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    found = examine_dataset(tmp_path / "a.h5")
    assert len(digests) == 1
    assert found.classes == ["dog", "na\u00efve cat"]
    np.testing.assert_array_equal(loaded(tmp_path / "a.h5", "train_set_x", 6), x.reshape(8, 6))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_standardizing_divides_bytes_by_255(dtype: str) -> None:
    x = np.array([[0, 51, 255], [255, 102, 0]], np.uint8)
    rows = np.empty(x.shape, dtype)
    standardize(x, 255.0, rows)
    np.testing.assert_array_equal(rows, x.astype(dtype) / np.dtype(dtype).type(255), strict=True)


def test_values_too_large_for_float32_are_refused() -> None:
    with pytest.raises(DatasetError, match='too large for float32; use "dtype": "float64"'):
        standardize(np.array([[1e39]]), 1.0, np.empty((1, 1), np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_labels_become_a_row_or_one_hot_columns(dtype: str) -> None:
    y = np.array([0, 1, 1])
    row, columns = label_matrix(y, 1, dtype), label_matrix(y, 3, dtype)
    assert row.tolist() == [[0, 1, 1]]
    assert columns.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert row.dtype == columns.dtype == np.dtype(dtype)


# Tables


def with_preprocessing(path: Path, stored: Any, features: int = 2) -> Path:
    x = np.arange(10.0, dtype=np.float32).reshape(-1, features)
    y = np.arange(len(x)) % 2
    write_dataset(path, x, y, x + 100, y, ["a", "b"])
    with h5py.File(path, "a") as file:
        file["preprocessing"] = stored
    return path


TABLE = Preprocessing([Column("x", "number", 1.0, 2.0), Column("y", "boolean")], "class")


def test_a_dataset_of_a_table_says_so(tmp_path: Path) -> None:
    path = with_preprocessing(tmp_path / "d.h5", TABLE.encode())
    assert examine_dataset(path).columns == ["x", "y"]
    assert load_preprocessing(path) == TABLE
    assert load_preprocessing(write(tmp_path / "other.h5")) is None


@pytest.mark.parametrize(
    ("stored", "features", "told"),
    [
        (TABLE.encode(), 5, "preprocessing: found columns that make 2 features; expected those of train_set_x"),
        (np.zeros(4, np.uint8), 2, "preprocessing: found"),
        (np.zeros(4, np.int64), 2, "preprocessing: found 4 values of int64; expected bytes of JSON"),
        (np.zeros(2**20 + 1, np.uint8), 2, "preprocessing: found shape (1048577,), which takes 1,048,577 bytes"),
        ("a text", 2, "preprocessing: found a single value; expected an array"),
    ],
)
def test_other_preprocessing_is_refused(tmp_path: Path, stored: Any, features: int, told: str) -> None:
    assert told in problems(with_preprocessing(tmp_path / "d.h5", stored, features))[0]
