"""``lnn dataset``: check, example and from-images."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from PIL import Image

from lnn.data.dataset import inspect_dataset, label_matrix, write_dataset
from lnn.network import Network, Optimizer, init_parameters, new_slots
from lnn_client.datasets import check_training
from lnn_client.parameters import parameters_path, read_parameters

if TYPE_CHECKING:
    from support.aws_account import RunCli


def test_check_says_what_is_in_a_dataset(cli: RunCli, dataset: Path) -> None:
    result = cli("dataset", "check", dataset)
    assert result.exit_code == 0
    for part in ("8 examples", "4 examples", "16, pictures of 4 x 4", "uint8", "2: dark, light"):
        assert part in result.stdout
    assert json.loads(cli("dataset", "check", dataset, "--json").stdout)["m"] == 8


@pytest.mark.parametrize("command", ["dataset check", "dataset show", "evaluate"])
def test_a_dataset_that_is_not_there_is_named_once(cli: RunCli, tmp_path: Path, command: str) -> None:
    missing = tmp_path / "none.h5"
    result = cli(*command.split(), missing)
    assert (result.exit_code, result.stderr) == (1, f"error: {missing} does not exist; name a file\n")


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
    monkeypatch.setattr("lnn_client.datasets.repository", lambda: tmp_path / "checkout")


def test_an_example_is_copied_and_not_over_another_file(cli: RunCli, examples: None, dataset: Path) -> None:
    assert cli("dataset", "example", "shapes", "-o", "copy.h5").exit_code == 0
    assert Path("copy.h5").read_bytes() == dataset.read_bytes()
    again = cli("dataset", "example", "shapes", "-o", "copy.h5")
    assert again.exit_code == 1
    assert "--force" in again.stderr
    assert cli("dataset", "example", "shapes", "-o", "copy.h5", "--force").exit_code == 0


def test_an_example_table_is_copied_and_says_what_to_learn(cli: RunCli) -> None:
    """The project's own examples: every one of them can be trained on as the note says."""
    names = cli("dataset", "example").stdout.split()
    assert {"circles", "diabetes", "digits", "iris", "moons", "spiral", "wine", "xor"} == set(names)
    for name, label in (("iris", "species"), ("diabetes", "progression"), ("spiral", "class")):
        result = cli("dataset", "example", name)
        assert result.exit_code == 0
        assert f"lnn train {name}.csv --label {label} --wait" in result.stderr
        assert cli("dataset", "from-table", f"{name}.csv", "--label", label, "-o", f"{name}.h5").exit_code == 0


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


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """200 files of many formats, modes and sizes; every fifth is broken in one of several ways."""
    root = tmp_path / "mixed"
    formats = ("png", "jpg", "bmp", "webp", "gif", "tiff", "ppm")
    modes = {
        "png": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
        "jpg": ("RGB", "L", "CMYK"),
        "tiff": ("RGB", "CMYK", "F"),
    }
    rng = np.random.default_rng(0)
    for number in range(200):
        suffix = formats[number % len(formats)]
        mode = modes.get(suffix, ("RGB",))[number % len(modes.get(suffix, ("RGB",)))]
        of_class = number % 2
        noise = rng.integers(0, 60, (*rng.integers(3, 90, 2), 3)) + 190 * of_class
        path = root / ("bright" if of_class else "dark") / f"{number:03d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        gray = noise[..., 0]
        deep = {"I;16": gray.astype(np.uint16) * 257, "F": (gray / 255).astype(np.float32)}
        plain = Image.fromarray(noise.astype(np.uint8))
        (Image.fromarray(deep[mode]) if mode in deep else plain.convert(mode)).save(path)
        if number % 5 == 0:
            content = path.read_bytes()
            ways = (b"", content[:20], content[: len(content) // 3], rng.bytes(500), b"no picture at all")
            path.write_bytes(ways[number // 5 % len(ways)])
    return root


@pytest.mark.slow
def test_200_mixed_pictures_some_broken_give_a_dataset_that_trains(
    cli: RunCli, mixed: Path, recwarn: pytest.WarningsRecorder
) -> None:
    result = cli("dataset", "from-images", mixed, "-o", "mixed.h5", "--size", "8")
    assert result.exit_code == 0, result.output
    skipped = [line for line in result.stderr.splitlines() if line.startswith("skipped: ")]
    told = {Path(line.split()[1]).name[:3] for line in skipped}
    broken = {f"{number:03d}" for number in range(0, 200, 5)}
    # Some decoders make do with a part of a file.
    assert told <= broken
    assert len(told) >= 30
    summary = inspect_dataset("mixed.h5")
    assert summary.m + summary.m_test == 200 - len(skipped)
    assert f"{200 - len(skipped)} pictures are in the dataset, {len(skipped)} entries were skipped" in result.stderr
    (command,) = (line for line in result.stderr.splitlines() if "lnn train" in line)
    assert "--set neurons.layer3=1 --set activations.layer3=sigmoid" in command
    assert accuracy_after_training(Path("mixed.h5"), command) > 0.9
    assert [str(warning.message) for warning in recwarn] == []


def accuracy_after_training(dataset: Path, command: str) -> float:
    """Test accuracy of the network that the recommended command would train, after 60 epochs."""
    changes = re.findall(r"--set (\S+)", command)
    content = read_parameters(parameters_path(None), [*changes, "epochs=60"], None)
    summary, settings = check_training(dataset, content, "parameters")
    with h5py.File(dataset) as file:
        X, X_test = (file[f"{split}_set_x"][()].reshape(-1, summary.features).T / 255 for split in ("train", "test"))
        y, y_test = file["train_set_y"][()], file["test_set_y"][()]
    sizes = [summary.features, *settings.sizes]
    network = Network(sizes, settings.activation_list)
    parameters = init_parameters(sizes, settings.activation_list, "auto", 0, "float64")
    optimizer = Optimizer(settings.optimizer, settings.learning_rate)
    slots = new_slots(parameters, optimizer)
    for t in range(1, 61):
        network.train_step(parameters, slots, X, label_matrix(y, sizes[-1], "float64"), optimizer, t)
    return network.accuracy(parameters, X_test, y_test)


def test_examples_are_shown_as_a_grid(cli: RunCli, pets: Path) -> None:
    cli("dataset", "from-images", pets, "-o", "pets.h5", "--size", "8")
    shown = cli("dataset", "show", "pets.h5", "-o", "grid.png", "--columns", "4")
    assert shown.exit_code == 0, shown.output
    assert "cat 8, dog 4, emu 1" in shown.stderr
    with Image.open("grid.png") as grid:
        # A row for each class, whose pictures are nothing but shades of one color: red by their class.
        reds = np.asarray(grid.convert("RGB")).astype(int)
    for red in (100, 200):
        assert (np.abs(reds - (red, 4, 0)).max(axis=2) < 16).sum() > 1000
    assert cli("dataset", "show", "pets.h5", "-o", "grid.png").exit_code == 1
    again = cli("dataset", "show", "pets.h5", "-o", "grid.png", "--columns", "4", "--test", "--force")
    assert "cat 2, dog 1, emu 0" in again.stderr


def test_plain_features_are_shown_as_columns(cli: RunCli, tmp_path: Path) -> None:
    x = np.arange(24.0).reshape(4, 6)
    write_dataset("plain.h5", x, [0, 1, 0, 1], x[:2], [0, 1], ["a", "b"])
    result = cli("dataset", "show", "plain.h5", "-o", "table.png")
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if line.startswith("x5"))
    # Of 5, 11, 17 and 23.
    assert line.split() == ["x5", "number", "5", "14", "6.708", "23"]
    assert "examples by class: a 2, b 2" in result.stderr
    assert Path("table.png").stat().st_size > 1000
    assert ".png, .svg, .pdf" in cli("dataset", "show", "plain.h5", "-o", "grid.bmp").stderr


def test_a_table_is_shown_with_its_raw_values_and_two_columns_as_points(cli: RunCli) -> None:
    lines = [f"{40 + place},{place % 4 - 7},{'ab'[place % 2]}" for place in range(40)]
    Path("two.csv").write_text("\n".join(["age,height,kind", *lines]))
    result = cli("dataset", "show", "two.csv", "--label", "kind", "-o", "two.svg")
    assert result.exit_code == 0, result.output
    assert "32 rows for training" in result.stdout
    age = next(line.split() for line in result.stdout.splitlines() if line.startswith("age"))
    assert 40 <= float(age[2]) < float(age[3]) < float(age[5]) <= 79
    assert "examples by class: a 16, b 16" in result.stderr
    assert "age and height of each example" in result.stderr
    assert Path("two.svg").read_text().count("<svg") == 1
    test = cli("dataset", "show", "two.csv", "--label", "kind", "--test", "-o", "test.png")
    assert "8 rows for testing" in test.stdout
    assert "--label COLUMN" in cli("dataset", "show", "two.csv", "-o", "none.png").stderr
    assert not Path("none.png").exists()


def test_columns_of_every_kind_are_told_and_drawn(cli: RunCli) -> None:
    lines = [f"{'red' if place % 3 else 'blue'},{place % 2 == 0},{place},{place * 2.5}" for place in range(60)]
    Path("mixed.csv").write_text("\n".join(["color,member,x,price", *lines]))
    result = cli("dataset", "show", "mixed.csv", "--label", "price", "-o", "mixed.pdf")
    assert result.exit_code == 0, result.output
    told = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert "red 6" in told["color"] or "red 7" in told["color"]
    assert "category" in told["color"]
    assert "boolean" in told["member"]
    assert "price: from " in result.stderr
    assert "histograms of 3 columns" in result.stderr
    assert Path("mixed.pdf").read_bytes().startswith(b"%PDF")


def test_the_split_follows_the_seed(cli: RunCli, pets: Path) -> None:
    def examples_of(name: str, seed: int) -> list[int]:
        cli("dataset", "from-images", pets, "-o", name, "--size", "8", "--seed", seed)
        with h5py.File(name) as file:
            return file["train_set_x"][:, 0, 0, 1].tolist()

    first = examples_of("a.h5", 1)
    assert examples_of("b.h5", 1) == first
    assert examples_of("c.h5", 2) != first


def test_gray_examples_have_no_color_axis(cli: RunCli, pets: Path) -> None:
    assert cli("dataset", "from-images", pets, "-o", "pets.h5", "--size", "8", "--grey").exit_code == 0
    assert inspect_dataset("pets.h5").image_shape == (8, 8)


@pytest.mark.parametrize("share", ["0", "1", "1.5"])
def test_a_share_that_leaves_one_side_empty_is_refused(cli: RunCli, pets: Path, share: str) -> None:
    result = cli("dataset", "from-images", pets, "-o", "pets.h5", "--test-share", share)
    assert result.exit_code == 1
    assert f"--test {share}: it must lie between 0 and 1" in result.stderr


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


def test_check_warns_of_what_can_be_trained_on_and_is_likely_a_mistake(cli: RunCli, dataset: Path) -> None:
    with h5py.File(dataset, "a") as file:
        file["test_set_x"][0] = file["train_set_x"][0]
    result = cli("dataset", "check", dataset)
    assert result.exit_code == 0
    assert "warning: test_set_x: found 1 of 4 examples in train_set_x as well" in result.stderr
    assert "the dataset can be trained on" in result.stderr
    assert json.loads(cli("dataset", "check", dataset, "--json").stdout)["warnings"][0].startswith("test_set_x: ")


def test_check_says_which_values_are_black_and_white(cli: RunCli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (6, 8, 8))
    write_dataset(tmp_path / "d.h5", x[:4], [0, 1, 0, 1], x[4:], [0, 1], ["a", "b"])
    assert "float64, divided by 255 for training; black is 0, white 255" in cli("dataset", "check", "d.h5").stdout


@pytest.mark.parametrize("content", [b"x,y\n1,2\n", b"", b"\x89HDF\r\n\x1a\n"])
def test_an_error_about_a_whole_file_names_it_once(content: bytes, cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "no.h5").write_bytes(content)
    for command in (("dataset", "check"), ("train",), ("estimate",)):
        result = cli(*command, tmp_path / "no.h5")
        assert result.exit_code == 1
        assert result.stderr.count("no.h5") == 1
        assert result.stderr.startswith(f"error: {tmp_path / 'no.h5'}: ")
