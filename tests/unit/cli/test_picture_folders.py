"""``lnn dataset from-images``: which folders are classes and which are the split; and pictures that leave a choice."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from PIL import Image

from lnn.data.dataset import inspect_dataset
from lnn.models.model_file import encode_model
from support.models import brightness_model

if TYPE_CHECKING:
    from click.testing import Result

    from support.aws_account import RunCli

BLACK, WHITE = 0, 255


def pictures(folder: Path, level: int, count: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("L", (4, 4), level).save(folder / f"{number}.png")


def tree(root: Path, *folders: str) -> Path:
    """A folder of pictures: those of dogs are white, all others black."""
    for folder in folders:
        pictures(root / folder, WHITE if "dog" in folder.lower() else BLACK)
    return root


def make(cli: RunCli, root: Path, *arguments: Any) -> Result:
    return cli("dataset", "from-images", root, "-o", "pets.h5", "--size", "4", "--grey", *arguments)


def assert_refused(result: Result, *parts: str) -> None:
    assert result.exit_code == 1, result.output
    # The size of what is about to be written may be said before.
    *_, line = result.stderr.splitlines()
    assert result.stderr.count("error: ") == 1
    for part in parts:
        assert part in line
    assert not list(Path().glob("pets.h5*"))


def levels(part: str) -> list[tuple[int, int]]:
    """(label, level) of each example."""
    with h5py.File("pets.h5") as file:
        x, y = file[f"{part}_set_x"][()], file[f"{part}_set_y"][()]
    return sorted(zip(y.tolist(), x.reshape(len(x), -1).mean(axis=1).tolist(), strict=True))


SPLIT = ("train/cat", "train/dog", "test/cat", "test/dog")


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("TRAIN", "Test"), ("training", "testing")])
def test_folders_named_train_and_test_are_the_split(cli: RunCli, tmp_path: Path, train: str, test: str) -> None:
    root = tree(tmp_path / "pets", *(path.replace("train", train).replace("test", test) for path in SPLIT))
    pictures(root / train / "dog", WHITE, count=5)
    result = make(cli, root)
    assert result.exit_code == 0, result.output
    assert inspect_dataset("pets.h5").classes == ["cat", "dog"]
    assert levels("train") == [(0, BLACK)] * 2 + [(1, WHITE)] * 5
    assert levels("test") == [(0, BLACK)] * 2 + [(1, WHITE)] * 2


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_a_validation_folder_is_the_validation_set(cli: RunCli, tmp_path: Path, name: str) -> None:
    result = make(cli, tree(tmp_path / "pets", *SPLIT, f"{name}/cat", f"{name}/dog"))
    assert result.exit_code == 0, result.output
    assert inspect_dataset("pets.h5").m_validation == 4
    assert len(levels("train")) == len(levels("test")) == 4
    assert levels("validation") == [(0, BLACK)] * 2 + [(1, WHITE)] * 2
    told = make(cli, tmp_path / "pets", "--force", "--validation", "0.5").stderr
    assert "says by its folders which pictures are for validation; omit --validation" in told


def test_a_validation_set_is_drawn_from_each_class_s_training_pictures(cli: RunCli, tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", "cat", "dog")
    for name in ("cat", "dog"):
        for place in range(8):
            (root / name / f"more-{place}.png").write_bytes(next((root / name).iterdir()).read_bytes())
    result = make(cli, root, "--validation", "0.25")
    assert result.exit_code == 0, result.output
    # Of 10 pictures 2 are for testing, and of 8 that are left 2 for validation.
    assert levels("test") == levels("validation") == [(0, BLACK)] * 2 + [(1, WHITE)] * 2
    assert levels("train") == [(0, BLACK)] * 6 + [(1, WHITE)] * 6
    assert "6 for training, 2 for testing, 2 for validation" in result.stdout


def test_validation_without_test_is_refused_with_both_ways_on(cli: RunCli, tmp_path: Path) -> None:
    root = tree(tmp_path / "bees", "train/ant", "train/bee", "val/ant", "val/bee")
    result = make(cli, root)
    assert_refused(result, "nothing named test", "rename val/ to test/", f"name {root}/train in place", "--all-classes")
    assert make(cli, root / "train").exit_code == 0


TWO_READINGS = {
    "beside another folder": (("train/cat", "train/dog", "test/cat", "cat"), "test/ and train/ beside cat/"),
    "a class called train": (("train", "car", "bus"), "train/ beside bus/ and car/"),
    "unsorted pictures to try": (("cat", "dog", "test"), "test/ beside cat/ and dog/"),
    "pictures straight in both": (("train", "test"), "test/ and train/ without a folder for each class"),
    "pictures straight in one": (("train/cat", "train/dog", "test"), "test/ without a folder for each class"),
    "two for one part": ((*SPLIT, "Test/cat"), "Test/ and test/, which are the same part"),
    "train alone": (("train/cat", "train/dog"), "train/ and nothing named test"),
    "test alone": (("test/cat", "test/dog"), "test/ and nothing named train"),
    "the split in each class": (("cat/train", "cat/test", "dog/train", "dog/test"), "test/cat, train/cat"),
}


@pytest.mark.parametrize("name", TWO_READINGS)
def test_what_can_be_read_in_two_ways_is_refused_with_both(cli: RunCli, tmp_path: Path, name: str) -> None:
    folders, found = TWO_READINGS[name]
    result = make(cli, tree(tmp_path / "pets", *folders))
    assert_refused(result, found, "can be read in two ways", "split", "--all-classes")


def test_with_all_classes_every_folder_is_a_class(cli: RunCli, tmp_path: Path) -> None:
    result = make(cli, tree(tmp_path / "traffic", "train", "car", "test"), "--all-classes")
    assert result.exit_code == 0, result.output
    assert inspect_dataset("pets.h5").classes == ["car", "test", "train"]
    heap = tree(tmp_path / "heap", "cat/train", "cat/test", "dog/train", "dog/test")
    assert make(cli, heap, "--all-classes", "--force").exit_code == 0
    assert len(levels("train")) + len(levels("test")) == 8


def test_a_class_that_only_test_has_is_refused(cli: RunCli, tmp_path: Path) -> None:
    assert_refused(make(cli, tree(tmp_path / "pets", *SPLIT, "test/dogs")), "test pictures of dogs", "no training")


def test_a_class_that_only_train_has_is_trained(cli: RunCli, tmp_path: Path) -> None:
    result = make(cli, tree(tmp_path / "pets", *SPLIT, "train/emu"))
    assert result.exit_code == 0, result.output
    assert "2 for training, 0 for testing" in result.stdout


def test_files_beside_the_classes_of_a_split_are_told(cli: RunCli, tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", *SPLIT)
    for folder in (root, root / "train"):
        (folder / "labels.csv").write_text("a,b")
    stderr = make(cli, root).stderr
    assert f"skipped: {root}/labels.csv is in no class's folder" in stderr
    assert f"skipped: {root}/train/labels.csv is in no class's folder" in stderr


def test_a_class_whose_training_pictures_are_all_broken_is_none(cli: RunCli, tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", *SPLIT, "train/emu", "test/emu")
    for path in (root / "train" / "emu").iterdir():
        path.write_bytes(b"broken")
    result = make(cli, root)
    assert inspect_dataset("pets.h5").classes == ["cat", "dog"], result.output
    assert f"{root}/train/emu holds no picture that can be read, so it is no class" in result.stderr


def test_test_pictures_that_are_all_broken_are_an_error(cli: RunCli, tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", *SPLIT)
    for path in (root / "test").rglob("*.png"):
        path.write_bytes(b"broken")
    result = make(cli, root)
    assert result.exit_code == 1
    assert "no picture of the test folder can be read" in result.stderr
    assert not list(Path().glob("pets.h5*"))


def test_a_share_for_what_the_folders_say_is_refused(cli: RunCli, tmp_path: Path) -> None:
    assert_refused(make(cli, tree(tmp_path / "pets", *SPLIT), "--test-share", "0.3"), "--test 0.3", "omit it")


# Names ---------------------------------------------------------------------------------------------------------------

NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize("names", [("Cat", "cat"), (NFC, NFD), ("cat", "cat ")])
def test_folders_whose_names_are_one_are_refused(cli: RunCli, tmp_path: Path, names: tuple[str, str]) -> None:
    assert_refused(make(cli, tree(tmp_path / "pets", *names, "dog")), "more than once", "rename a class, or join both")


def test_train_and_test_may_spell_a_class_in_two_unicode_forms(cli: RunCli, tmp_path: Path) -> None:
    """As one half unpacked on macOS and the other on Linux has it."""
    result = make(cli, tree(tmp_path / "pets", f"train/{NFC}", f"test/{NFD}", "train/dog", "test/dog"))
    assert result.exit_code == 0, result.output
    assert inspect_dataset("pets.h5").classes == [NFC, "dog"]


def test_train_and_test_that_spell_a_class_in_two_cases_are_refused(cli: RunCli, tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", "train/Cat", "test/cat", "train/dog", "test/dog")
    assert_refused(make(cli, root), "'Cat' more than once, also as 'cat'")


@pytest.mark.parametrize("folders", [("dog", "{}"), ("train/{}", "train/dog", "test/dog")])
def test_a_folder_whose_name_is_not_utf_8_is_refused_with_the_command_that_renames_it(
    cli: RunCli, tmp_path: Path, folders: tuple[str, ...]
) -> None:
    try:
        root = tree(tmp_path / "pets", *(folder.format(os.fsdecode(b"caf\xe9")) for folder in folders))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert_refused(make(cli, root), r"b'caf\xe9'", "not UTF-8", "convmv -f latin1 -t utf8")


def test_a_folder_whose_name_cannot_be_shown_is_refused_before_any_picture_is_read(cli: RunCli, tmp_path: Path) -> None:
    assert_refused(
        make(cli, tree(tmp_path / "pets", "cat\ndog", "emu")), r"'cat\ndog'", "which holds a control character, U+000A"
    )


def test_names_that_a_dataset_cannot_hold_leave_no_file_behind(cli: RunCli, tmp_path: Path) -> None:
    assert_refused(make(cli, tree(tmp_path / "pets", *(f"{number:0200d}" for number in range(400)))), "use shorter")


def test_a_picture_whose_name_is_not_utf_8_is_read_and_told_like_any(cli: RunCli, tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", "cat", "dog")
    try:
        shutil.copy(root / "cat" / "0.png", root / "cat" / os.fsdecode(b"\xe9.png"))
        (root / "cat" / os.fsdecode(b"\xe8.png")).write_bytes(b"broken")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    result = make(cli, root)
    assert result.exit_code == 0, result.output
    assert len(levels("train")) + len(levels("test")) == 5
    assert r"\udce8.png: it is not a picture" in result.stderr


# Pictures that leave a choice ----------------------------------------------------------------------------------------


@pytest.fixture
def microscope(tmp_path: Path) -> Path:
    """12 bits in PNG of 16, as many cameras write them."""
    root = tmp_path / "microscope"
    for name, level in (("cell", 4095), ("void", 0)):
        (root / name).mkdir(parents=True)
        for number in range(2):
            Image.fromarray(np.full((4, 4), level, np.uint16)).save(root / name / f"{number}.png")
    return root


def test_a_white_that_nothing_says_stops_the_command_and_is_not_skipped(cli: RunCli, microscope: Path) -> None:
    result = make(cli, microscope)
    assert_refused(result, "cell/0.png", "4095 to 4095 of 65,535", "--white 4095", "--white 65535")


def test_a_white_that_the_user_says_is_what_pictures_are_scaled_by(cli: RunCli, microscope: Path) -> None:
    result = make(cli, microscope, "--white", "4095")
    assert result.exit_code == 0, result.output
    assert levels("train") + levels("test") == [(0, WHITE), (1, BLACK)] * 2


@pytest.mark.parametrize("white", ["0", "-1", "nan", "inf"])
def test_a_white_that_nothing_can_be_divided_by_is_refused(cli: RunCli, microscope: Path, white: str) -> None:
    assert_refused(make(cli, microscope, "--white", white), f"--white {white}", "above 0")


def test_a_model_sees_a_deep_picture_as_its_dataset_has_it(cli: RunCli, microscope: Path) -> None:
    Path("params.h5").write_bytes(encode_model(brightness_model()))
    picture = microscope / "cell" / "0.png"
    assert "--white 4095" in cli("predict", picture, "--model", "params.h5").stderr
    result = cli("predict", picture, "--model", "params.h5", "--white", "4095", "--json")
    assert json.loads(result.stdout)[0]["class"] == "light", result.output


def test_a_heic_picture_named_jpg_is_skipped_with_its_cure(cli: RunCli, tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", "cat", "dog")
    (root / "cat" / "IMG_0001.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50))
    result = make(cli, root)
    assert result.exit_code == 0
    assert "IMG_0001.jpg: it is a HEIC picture, as iPhones take them" in result.stderr
    assert "heif-convert" in result.stderr
