"""``lnn dataset``: check, example and from-images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from PIL import Image

from lnn.dataset import inspect_dataset

if TYPE_CHECKING:
    from .conftest import RunCli


def test_check_says_what_is_in_a_dataset(cli: RunCli, dataset: Path) -> None:
    result = cli("dataset", "check", dataset)
    assert result.exit_code == 0
    for part in ("8 examples", "4 examples", "16, pictures of 4 x 4", "uint8", "2: dark, light"):
        assert part in result.stdout
    assert json.loads(cli("dataset", "check", dataset, "--json").stdout)["m"] == 8


def test_check_tells_everything_that_is_wrong_in_one_line(cli: RunCli, dataset: Path) -> None:
    with h5py.File(dataset, "a") as file:
        del file["test_set_x"]
        file["train_set_y"][0] = 9
        del file["list_classes"]
    result = cli("dataset", "check", dataset)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "test_set_x" in line
    assert "list_classes" in line


def test_check_with_parameters_tells_whether_they_fit(cli: RunCli, dataset: Path, parameters: Path) -> None:
    assert cli("dataset", "check", dataset, "--parameters", parameters).exit_code == 0
    parameters.write_text(parameters.read_text().replace('"layer2": 1', '"layer2": 5'))
    result = cli("dataset", "check", dataset, "--parameters", parameters)
    assert result.exit_code == 1
    assert "neurons.layer2" in result.stderr


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch, dataset: Path, tmp_path: Path) -> None:
    """A checkout whose only example is `shapes`."""
    folder = tmp_path / "checkout" / "examples" / "shapes"
    folder.mkdir(parents=True)
    (folder / "datasets.h5").write_bytes(dataset.read_bytes())
    monkeypatch.setattr("lnn_cli.datasets.repository", lambda: tmp_path / "checkout")


def test_an_example_is_copied_and_not_over_another_file(cli: RunCli, examples: None, dataset: Path) -> None:
    assert cli("dataset", "example", "shapes", "-o", "copy.h5").exit_code == 0
    assert Path("copy.h5").read_bytes() == dataset.read_bytes()
    again = cli("dataset", "example", "shapes", "-o", "copy.h5")
    assert again.exit_code == 1
    assert "--force" in again.stderr
    assert cli("dataset", "example", "shapes", "-o", "copy.h5", "--force").exit_code == 0


def test_examples_are_listed_and_an_unknown_one_names_them(cli: RunCli, examples: None) -> None:
    assert cli("dataset", "example").stdout == "shapes\n"
    result = cli("dataset", "example", "cats", "-o", "copy.h5")
    assert result.exit_code == 1
    assert "shapes" in result.stderr
    assert not Path("copy.h5").exists()


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Mixed pictures of three classes, one of them broken, one a text, one of them hidden."""
    root = tmp_path / "pets"
    counts = {"cat": 10, "dog": 5, "emu": 1}
    for position, (name, count) in enumerate(counts.items()):
        (root / name / "more").mkdir(parents=True)
        for number in range(count):
            suffix = ("png", "jpg", "bmp", "webp", "gif")[number % 5]
            image = Image.new("RGB", (20 + number, 30), (position * 100, number, 0))
            image.save(root / name / ("more" if number % 2 else ".") / f"{number}.{suffix}")
    (root / "cat" / "broken.png").write_bytes((root / "cat" / "0.png").read_bytes()[:-30])
    (root / "dog" / "notes.txt").write_text("about dogs")
    (root / "dog" / ".DS_Store").write_bytes(b"x")
    (root / "empty").mkdir()
    (root / "readme.md").write_text("pets")
    return root


def test_a_folder_for_each_class_becomes_a_valid_dataset(cli: RunCli, pets: Path) -> None:
    result = cli("dataset", "from-images", pets, "-o", "pets.h5", "--size", "16")
    assert result.exit_code == 0, result.output
    summary = inspect_dataset("pets.h5")
    assert summary.classes == ["cat", "dog", "emu"]
    assert summary.image_shape == (16, 16, 3)
    assert (summary.m, summary.m_test) == (13, 3)
    with h5py.File("pets.h5") as file:
        assert np.bincount(file["test_set_y"][()]).tolist() == [2, 1]
        assert np.bincount(file["train_set_y"][()]).tolist() == [8, 4, 1]
        reds = file["train_set_x"][:, 0, 0, 0].astype(int)
        assert np.abs(reds - 100 * file["train_set_y"][()]).max() < 10


def test_what_is_skipped_is_told_with_the_reason(cli: RunCli, pets: Path) -> None:
    skipped = [
        line
        for line in cli("dataset", "from-images", pets, "-o", "pets.h5", "--size", "8").stderr.splitlines()
        if line.startswith("skipped: ")
    ]
    assert len(skipped) == 4
    for name, reason in (
        ("broken.png", "damaged"),
        ("notes.txt", "not a picture"),
        ("empty", "no picture"),
        ("readme.md", "in no class's folder"),
    ):
        assert any(name in line and reason in line for line in skipped)


def test_the_split_follows_the_seed(cli: RunCli, pets: Path) -> None:
    def examples_of(name: str, seed: int) -> list[int]:
        cli("dataset", "from-images", pets, "-o", name, "--size", "8", "--seed", seed)
        with h5py.File(name) as file:
            return file["train_set_x"][:, 0, 0, 1].tolist()

    first = examples_of("a.h5", 1)
    assert examples_of("b.h5", 1) == first
    assert examples_of("c.h5", 2) != first


def test_grey_examples_have_no_colour_axis(cli: RunCli, pets: Path) -> None:
    assert cli("dataset", "from-images", pets, "-o", "pets.h5", "--size", "8", "--grey").exit_code == 0
    assert inspect_dataset("pets.h5").image_shape == (8, 8)


@pytest.mark.parametrize("share", ["0", "1", "1.5"])
def test_a_share_that_leaves_one_side_empty_is_refused(cli: RunCli, pets: Path, share: str) -> None:
    result = cli("dataset", "from-images", pets, "-o", "pets.h5", "--test-share", share)
    assert result.exit_code == 1
    assert "--test-share" in result.stderr


def test_fewer_than_two_classes_is_refused_and_writes_nothing(cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "one" / "cat").mkdir(parents=True)
    result = cli("dataset", "from-images", tmp_path / "one", "-o", "one.h5")
    assert result.exit_code == 1
    assert "at least 2 classes" in result.stderr
    (tmp_path / "one" / "dog").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "one" / "cat" / "a.png")
    result = cli("dataset", "from-images", tmp_path / "one", "-o", "one.h5")
    assert result.exit_code == 1
    assert "dog" in result.stderr
    assert list(tmp_path.glob("one.h5*")) == []


def test_a_folder_that_is_not_there_is_named(cli: RunCli) -> None:
    result = cli("dataset", "from-images", "nowhere", "-o", "x.h5")
    assert result.stderr.startswith("error: nowhere is not a folder")
