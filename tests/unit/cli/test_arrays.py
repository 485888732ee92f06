"""``lnn dataset from-arrays`` and ``join``: every format and name, the split, and what is refused."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from lnn.data.dataset import load_preprocessing
from lnn.data.validation import examine_dataset

if TYPE_CHECKING:
    from support.aws_account import RunCli

Make = Callable[..., dict[str, Any]]
Arrays = dict[str, np.ndarray]

PICTURES = np.random.default_rng(3).integers(0, 256, (60, 4, 4), dtype=np.uint8)
DIGITS = np.arange(60) % 5


@pytest.fixture(autouse=True)
def checked_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The check of a dataset in this process: to start another takes half a second."""
    monkeypatch.setattr("lnn.data.dataset.inspect_dataset", examine_dataset)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def make(cli: RunCli) -> Make:
    """Makes a dataset of files; gives what is in it."""

    def made(*files: Path | str, command: str = "from-arrays", options: tuple[str, ...] = ()) -> dict[str, Any]:
        result = cli("dataset", command, *files, "-o", "made.h5", "--force", *options)
        assert result.exit_code == 0, result.output
        with h5py.File("made.h5") as file:
            return {name: file[name][...] for name in file}

    return made


@pytest.fixture
def refuse(cli: RunCli) -> Callable[..., str]:
    """The error that refuses files; it leaves no file behind."""

    def refused(*files: Path | str, command: str = "from-arrays", options: tuple[str, ...] = ()) -> str:
        before = set(Path().iterdir())
        result = cli("dataset", command, *files, "-o", "bad.h5", *options)
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        assert set(Path().iterdir()) == before
        *_, line = result.stderr.splitlines()
        assert line.startswith("error: ")
        return line

    return refused


def idx(path: Path, values: np.ndarray) -> Path:
    """A file as MNIST's are; gzipped where its name says so."""
    kinds = {"uint8": 0x08, "int32": 0x0C, "float32": 0x0D}
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, kinds[values.dtype.name], values.ndim, *values.shape)
    content = head + values.astype(values.dtype.newbyteorder(">")).tobytes()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def mnist(folder: Path, suffix: str = ".gz", first: str = "") -> Path:
    """A folder with MNIST's four files."""
    for part, x, y in (("train", PICTURES[:40], DIGITS[:40]), ("t10k", PICTURES[40:], DIGITS[40:])):
        idx(folder / f"{first}{part}-images-idx3-ubyte{suffix}", x)
        idx(folder / f"{first}{part}-labels-idx1-ubyte{suffix}", y.astype(np.uint8))
    return folder


def assert_is_mnist(found: dict[str, Any]) -> None:
    np.testing.assert_array_equal(found["train_set_x"], PICTURES[:40])
    np.testing.assert_array_equal(found["test_set_x"], PICTURES[40:])
    assert found["train_set_x"].dtype == np.uint8
    names = found["list_classes"]
    assert [int(names[label]) for label in found["train_set_y"]] == DIGITS[:40].tolist()
    assert [int(names[label]) for label in found["test_set_y"]] == DIGITS[40:].tolist()


# Formats -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("images_train", "labels_train", "images_test", "labels_test"),
        ("trainX", "trainY", "testX", "testY"),
        ("training_data", "training_targets", "testing_data", "testing_targets"),
        ("X", "y", "X_test", "y_test"),
    ],
)
def test_arrays_of_an_npz_are_found_by_the_names_that_libraries_give_them(make: Make, names: tuple[str, ...]) -> None:
    arrays = (PICTURES[:40], DIGITS[:40], PICTURES[40:], DIGITS[40:])
    np.savez_compressed("mnist.npz", **dict(zip(names, arrays, strict=True)))
    assert_is_mnist(make("mnist.npz"))


def test_mnist_s_own_files_are_read_from_their_folder_packed_or_not(make: Make, tmp_path: Path) -> None:
    assert_is_mnist(make(mnist(tmp_path / "packed")))
    assert_is_mnist(make(mnist(tmp_path / "plain", suffix="")))
    both = mnist(mnist(tmp_path / "both"), suffix="")
    assert_is_mnist(make(both))


def test_one_file_of_mnist_brings_the_others_of_its_data_set(make: Make, tmp_path: Path) -> None:
    folder = mnist(mnist(tmp_path / "emnist", first="emnist-letters-"), first="emnist-digits-")
    assert_is_mnist(make(folder / "emnist-digits-train-images-idx3-ubyte.gz"))
    assert_is_mnist(make(*sorted(folder.glob("emnist-letters-*"))))


def test_two_files_of_mnist_are_split(make: Make, tmp_path: Path) -> None:
    folder = mnist(tmp_path / "mnist")
    for file in folder.glob("t10k*"):
        file.unlink()
    found = make(folder)
    assert (len(found["train_set_x"]), len(found["test_set_x"])) == (30, 10)
    every = np.concatenate([found["train_set_x"], found["test_set_x"]])
    assert sorted(every.reshape(40, -1).tolist()) == sorted(PICTURES[:40].reshape(40, -1).tolist())


@pytest.mark.parametrize("names", [("X.npy", "y.npy"), ("first.npy", "second.npy"), ("a_images.npy", "a_labels.npy")])
def test_a_pair_of_npy_files_is_split_class_by_class_and_alike_for_a_seed(make: Make, names: tuple[str, str]) -> None:
    for name, values in zip(names, (PICTURES, DIGITS), strict=True):
        np.save(name, values)
    one, again, other = (make(*names, options=("--test", "0.25", "--seed", seed)) for seed in "112")
    assert np.bincount(one["test_set_y"]).tolist() == [3] * 5
    assert np.bincount(one["train_set_y"]).tolist() == [9] * 5
    np.testing.assert_array_equal(one["test_set_x"], again["test_set_x"])
    assert one["test_set_x"].tolist() != other["test_set_x"].tolist()
    place = {picture.tobytes(): digit for picture, digit in zip(PICTURES, DIGITS, strict=True)}
    for part in ("train", "test"):
        digits = [place[picture.tobytes()] for picture in one[f"{part}_set_x"]]
        assert one[f"{part}_set_y"].tolist() == digits


def coursera(folder: Path, classes: Any = (b"non-cat", b"cat")) -> tuple[Path, Path]:
    """The two files of the course: their labels are (1, m) in some copies, and (m,) in others."""
    rng = np.random.default_rng(4)
    paths = folder / "train_catvnoncat.h5", folder / "test_catvnoncat.h5"
    for path, part, count in zip(paths, ("train", "test"), (20, 8), strict=True):
        with h5py.File(path, "w") as file:
            file[f"{part}_set_x"] = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
            file[f"{part}_set_y"] = np.arange(count)[np.newaxis] % len(classes)
            file["list_classes"] = classes
    return paths


def test_coursera_s_two_files_are_joined_in_any_order(make: Make, tmp_path: Path) -> None:
    train, test = coursera(tmp_path)
    for pair in ((train, test), (test, train)):
        found = make(*pair, command="join")
        assert found["list_classes"].tolist() == [b"non-cat", b"cat"]
        assert found["train_set_x"].shape == (20, 8, 8, 3)
        assert found["test_set_y"].tolist() == [0, 1] * 4


def test_class_names_may_be_integers_as_indices_or_as_labels(make: Make, tmp_path: Path) -> None:
    pair = coursera(tmp_path, classes=np.arange(6))
    assert make(*pair, command="join")["list_classes"].tolist() == [b"0", b"1", b"2", b"3", b"4", b"5"]
    for path, part in zip(pair, ("train", "test"), strict=True):
        with h5py.File(path, "a") as file:
            file[f"{part}_set_y"][...] = file[f"{part}_set_y"][...] * 10
            file["list_classes"][...] = np.arange(6) * 10
    found = make(*pair, command="join")
    assert found["list_classes"].tolist() == [b"0", b"10", b"20", b"30", b"40", b"50"]
    assert found["train_set_y"].tolist() == [place % 6 for place in range(20)]


def test_files_that_each_have_x_and_y_are_joined_by_their_order(make: Make) -> None:
    for name, chosen in (("a.h5", slice(40)), ("b.h5", slice(40, None))):
        with h5py.File(name, "w") as file:
            file["X"], file["y"] = PICTURES[chosen], DIGITS[chosen]
    assert_is_mnist(make("a.h5", "b.h5", command="join"))


def test_arrays_for_validation_are_the_validation_set(make: Make, refuse: Callable[..., str]) -> None:
    arrays = {"x_train": PICTURES[:30], "y_train": DIGITS[:30], "x_val": PICTURES[30:40], "y_val": DIGITS[30:40]}
    np.savez("d.npz", **arrays, x_test=PICTURES[40:], y_test=DIGITS[40:])
    found = make("d.npz")
    np.testing.assert_array_equal(found["validation_set_x"], PICTURES[30:40])
    assert found["validation_set_y"].tolist() == DIGITS[30:40].tolist()
    assert examine_dataset("made.h5").m_validation == 10
    assert "omit --validation" in refuse("d.npz", options=("--validation", "0.1"))
    del arrays["y_val"]
    np.savez("d.npz", **arrays)
    assert "expected labels for validation, too" in refuse("d.npz")


def test_a_validation_set_is_drawn_from_the_training_examples(make: Make) -> None:
    np.savez("d.npz", X=PICTURES, y=DIGITS)
    found = make("d.npz", options=("--validation", "0.3"))
    assert [np.bincount(found[f"{part}_set_y"]).tolist() for part in ("train", "test", "validation")] == [
        [7] * 5, [2] * 5, [3] * 5,
    ]  # fmt: skip
    every = np.concatenate([found[f"{part}_set_x"] for part in ("train", "test", "validation")])
    assert sorted(every.reshape(60, -1).tolist()) == sorted(PICTURES.reshape(60, -1).tolist())


def test_weights_are_found_by_their_names_and_kept_by_the_training_examples(make: Make, tmp_path: Path) -> None:
    X, weights = np.arange(60.0)[:, np.newaxis] / 60, np.arange(60) / 7
    np.savez("d.npz", X=X, y=DIGITS, sample_weight=weights)
    found = make("d.npz", options=("--validation", "0.3"))
    np.testing.assert_array_equal(found["train_set_w"], weights[np.rint(found["train_set_x"][:, 0] * 60).astype(int)])
    np.savez("d.npz", x_train=X, y_train=DIGITS, train_set_w=weights, x_test=X[:9], y_test=DIGITS[:9])
    np.testing.assert_array_equal(make("d.npz")["train_set_w"], weights)
    train, test = coursera(tmp_path)
    with h5py.File(train, "a") as file:
        file["train_set_w"] = weights[:20]
    np.testing.assert_array_equal(make(test, train, command="join")["train_set_w"], weights[:20])


# Labels and features -------------------------------------------------------------------------------------------------


def test_one_hot_labels_texts_and_booleans_are_classes(make: Make) -> None:
    np.savez("d.npz", X=PICTURES, y=np.eye(5)[DIGITS])
    hot = make("d.npz")
    assert (hot["list_classes"].tolist(), hot["train_set_y"].ndim) == ([b"0", b"1", b"2", b"3", b"4"], 1)
    texts = np.array(["ant", "bee", "cat", "dog", "emu"])
    np.savez("d.npz", X=PICTURES, y=texts[DIGITS])
    named = make("d.npz")
    assert named["list_classes"].tolist() == [b"ant", b"bee", b"cat", b"dog", b"emu"]
    np.testing.assert_array_equal(named["train_set_y"], hot["train_set_y"])
    np.savez("d.npz", X=PICTURES, y=DIGITS, target_names=texts)
    np.testing.assert_array_equal(make("d.npz")["list_classes"], named["list_classes"])
    np.savez("d.npz", X=PICTURES, y=DIGITS > 2)
    assert make("d.npz")["list_classes"].tolist() == [b"false", b"true"]
    np.savez("d.npz", X=PICTURES, y=(DIGITS + 3.0)[:, np.newaxis])
    assert make("d.npz")["list_classes"].tolist() == [b"3", b"4", b"5", b"6", b"7"]


def test_quantities_are_numbers_to_predict(make: Make) -> None:
    X = np.random.default_rng(0).normal(size=(60, 3))
    np.savez("d.npz", X=X, y=X[:, 0] * 3)
    found = make("d.npz", options=("--no-standardize",))
    assert found["list_targets"].tolist() == [b"y"]
    np.testing.assert_allclose(found["train_set_x"][:, 0] * 3, found["train_set_y"])
    np.savez("d.npz", X=X, y=X[:, :2])
    assert make("d.npz")["list_targets"].tolist() == [b"y0", b"y1"]
    np.savez("d.npz", X=X, y=np.arange(60) % 5)
    assert make("d.npz", options=("--regression",))["train_set_y"].dtype == np.float64


def test_rows_of_numbers_are_standardized_by_the_training_rows_alone(make: Make) -> None:
    rng = np.random.default_rng(8)
    train, test = rng.normal(30, 9, (50, 4)), rng.normal(-5, 2, (20, 4))
    train[:, 3] = test[:, 3] = 0.1
    arrays = {"x_train": train, "y_train": np.arange(50) % 2, "x_test": test, "y_test": np.arange(20) % 2}
    np.savez("rows.npz", **arrays, feature_names=np.array(["a", "b", "c", "d"]))
    found = make("rows.npz")
    oracle = StandardScaler().fit(train)
    np.testing.assert_allclose(found["train_set_x"], oracle.transform(train), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["test_set_x"], oracle.transform(test), rtol=1e-6, atol=1e-6)
    stored = load_preprocessing("made.h5")
    assert stored is not None
    assert stored.names == ["a", "b", "c", "d"]
    np.testing.assert_allclose(stored.matrix(test.tolist()).T, oracle.transform(test), rtol=1e-12, atol=1e-12)


def test_rows_between_minus_1_and_1_stay_as_they_are_unless_asked_for(make: Make) -> None:
    X = np.random.default_rng(0).uniform(-1, 1, (60, 3))
    np.savez("d.npz", X=X, y=DIGITS)
    assert "preprocessing" not in make("d.npz")
    assert load_preprocessing("made.h5") is None
    assert "preprocessing" in make("d.npz", options=("--standardize",))


def test_integers_become_what_training_takes(make: Make) -> None:
    np.savez("d.npz", X=PICTURES.astype(np.int64), y=DIGITS)
    assert make("d.npz")["train_set_x"].dtype == np.uint8
    np.savez("d.npz", X=PICTURES.reshape(60, -1).astype(np.int64), y=DIGITS)
    assert make("d.npz")["train_set_x"].dtype == np.float32


def test_what_is_left_out_is_told(cli: RunCli) -> None:
    np.savez("d.npz", X=PICTURES, y=DIGITS, notes=np.arange(3))
    result = cli("dataset", "from-arrays", "d.npz", "-o", "made.h5")
    assert result.exit_code == 0, result.output
    assert "left out: array 'notes': its name is that of no examples and no labels" in result.stderr
    assert "60 x 4 x 4 values of uint8, 960 bytes before compression" in result.stderr


# Refusals ------------------------------------------------------------------------------------------------------------


def npz(**arrays: Any) -> str:
    np.savez("bad.npz", **arrays)
    return "bad.npz"


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"X": PICTURES}, "found 'X'; expected labels, too: name them as in X and y, or x_train"),
        ({"x_train": PICTURES, "y_train": DIGITS, "x_test": PICTURES}, "expected labels for testing, too"),
        ({"a": PICTURES, "b": DIGITS}, "found no array with such a name, beside array 'a'"),
        ({"X": PICTURES, "data": PICTURES, "y": DIGITS}, "found 'X' and 'data', which are both examples"),
        ({"X": PICTURES, "y": DIGITS[:50]}, "found 'X' of shape (60, 4, 4) and 'y' of shape (50,); expected as many"),
        ({"X": np.zeros((3, 60)), "y": DIGITS}, "found an example in each column of (3, 60); expected one in each row"),
        ({"X": PICTURES, "y": np.array([object()] * 60)}, "'y': found Python objects"),
        ({"X": np.full((60, 2), np.nan), "y": DIGITS}, "'X': found NaN or infinity in example 0; expected finite"),
        ({"X": np.array([["a"]] * 60), "y": DIGITS}, "'X': found <U1; expected numbers as examples"),
        ({"X": PICTURES * np.uint16(9), "y": DIGITS}, "in pictures; expected 0 to 255: save (x / white)"),
        ({"X": PICTURES, "y": np.where(DIGITS, DIGITS, np.nan)}, "'y': found NaN or infinity at index 0"),
        ({"X": PICTURES, "y": np.zeros(60)}, "found 1 different labels ('0' only); expected 2 to 1,000"),
        ({"X": PICTURES, "y": np.arange(60).astype("datetime64[D]")}, "'y': found datetime64[D]; expected numbers"),
        ({"X": PICTURES, "y": DIGITS + 0.5, "classes": ["a", "b"]}, "found labels with fractions, and the names of 2"),
        ({"X": PICTURES, "y": DIGITS, "classes": ["a", "b"]}, "train_set_y: found label 2"),
        ({"X": np.zeros((60, 2, 2, 2, 2)), "y": DIGITS}, "expected (m, n), (m, h, w) or (m, h, w, c)"),
        ({"X": PICTURES, "y": DIGITS, "sample_weight": DIGITS[1:]}, "bad.npz: 'sample_weight': found shape (59,); exp"),
        ({"X": PICTURES, "y": DIGITS, "sample_weight": DIGITS - 1}, "'sample_weight': found -1 at index "),
    ],
)
def test_arrays_that_are_no_data_set_are_one_error(
    refuse: Callable[..., str], arrays: dict[str, Any], told: str
) -> None:
    assert told in refuse(npz(**arrays))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "found no IDX file"),
        (b"\0\0\x08", "found no IDX file"),
        (b"\0\0\x08\x02\0\0", "found the start of an IDX file only"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "found 3 bytes of values; expected 5"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "found more bytes of values; expected 2"),
        (b"\0\0\x08\x04" + b"\xff" * 16, "MiB of values; expected at most"),
        (b"P5 28 28 255", "found no IDX file"),
    ],
)
def test_files_that_are_no_idx_are_one_error(refuse: Callable[..., str], content: bytes, told: str) -> None:
    Path("train-labels-idx1-ubyte").write_bytes(content)
    idx(Path("train-images-idx3-ubyte"), PICTURES)
    assert told in refuse("train-labels-idx1-ubyte")


def test_damaged_and_other_files_are_one_error(refuse: Callable[..., str], tmp_path: Path) -> None:
    Path("a.npz").write_bytes(b"PK\x03\x04 no archive")
    assert "a.npz: cannot be read: " in refuse("a.npz")
    content = io.BytesIO()
    np.savez_compressed(content, X=PICTURES, y=DIGITS)
    Path("cut.npz").write_bytes(content.getvalue()[:-40])
    assert "cut.npz: cannot be read: " in refuse("cut.npz")
    with zipfile.ZipFile("odd.npz", "w") as packed:
        packed.writestr("X.npy", b"no array")
    assert "odd.npz: 'X': found no array" in refuse("odd.npz")
    Path("X.npy").write_bytes(b"no array")
    np.save("y.npy", DIGITS)
    assert "X.npy: found no array; write it with numpy.save" in refuse("X.npy", "y.npy")
    packed_badly = idx(tmp_path / "m" / "train-images-idx3-ubyte.gz", PICTURES)
    idx(tmp_path / "m" / "train-labels-idx1-ubyte.gz", DIGITS.astype(np.uint8))
    packed_badly.write_bytes(packed_badly.read_bytes()[:-30])
    assert "cannot be read" in refuse(packed_badly.parent)
    Path("notes.txt").write_text("no arrays")
    assert "found .txt; expected one .npz, a folder, or .npy and IDX files" in refuse("notes.txt")
    assert "none.npz does not exist; name a file" in refuse("none.npz")
    (tmp_path / "empty").mkdir()
    assert "expected examples for training, too" in refuse(tmp_path / "empty")


def test_a_share_is_refused_where_the_arrays_are_split_or_it_is_none(refuse: Callable[..., str]) -> None:
    np.savez("s.npz", x_train=PICTURES, y_train=DIGITS, x_test=PICTURES, y_test=DIGITS)
    assert "says by itself which examples are for testing; omit --test" in refuse("s.npz", options=("--test", "0.3"))
    for share in ("0", "1", "many"):
        assert f"--test {share}: it must lie between 0 and 1" in refuse("s.npz", options=("--test", share))


def test_pairs_that_do_not_belong_together_are_one_error(refuse: Callable[..., str], tmp_path: Path) -> None:
    train, test = coursera(tmp_path)
    assert "which are both examples for training" in refuse(train, train, command="join")
    with h5py.File(test, "a") as file:
        file["list_classes"][...] = [b"dog", b"cat"]
    assert "found 'dog', 'cat'; expected 'non-cat', 'cat', as in" in refuse(train, test, command="join")
    with h5py.File(test, "a") as file:
        del file["test_set_y"]
        file["list_classes"][...] = [b"non-cat", b"cat"]
    assert "expected labels for testing, too" in refuse(train, test, command="join")
    Path("no.h5").write_bytes(b"no HDF5")
    assert "no.h5: " in refuse("no.h5", test, command="join")
