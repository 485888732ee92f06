"""``lnn predict``: from a picture on disk, through a stored model, to a class."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lnn.models.model_file import Model, encode_model
from lnn.names import LATEST_PARAMS, params_key

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

RUN = "20261101T080000Z-aaaaaaaa"
BUCKET = "lnn-123456789012-us-east-1"


def brightness_model(shape: tuple[int, ...] | None = (4, 4), scale: float = 255.0, run_id: str = RUN) -> Model:
    """Says `light` for pictures whose mean is above one half, with logit 20 (mean - 0.5)."""
    features = int(np.prod(shape or (16,)))
    return Model(
        parameters=[(np.full((1, features), 20 / features), np.array([[-10.0]]))],
        run_id=run_id,
        activations=["sigmoid"],
        list_classes=["dark", "light"],
        image_shape=shape,
        scale=scale,
    )


def save(path: Path, model: Model) -> Path:
    path.write_bytes(encode_model(model))
    return path


def picture(path: Path, level: int, size: tuple[int, int] = (50, 31), mode: str = "RGB") -> Path:
    color = level if mode in {"L", "I;16"} else (level,) * len(mode)
    Image.new(mode, size, color).save(path)
    return path


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (4, 6, 3)])
def test_pictures_of_any_size_get_their_class_and_probability(
    cli: RunCli, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    model = save(tmp_path / "params.h5", brightness_model(shape))
    images = [picture(tmp_path / "night.png", 51), picture(tmp_path / "day.jpg", 204, (3, 200))]
    result = cli("predict", *images, "--model", model, "--json")
    assert result.exit_code == 0, result.output
    night, day = json.loads(result.stdout)
    assert (night["image"], night["class"], night["index"]) == (str(images[0]), "dark", 0)
    assert night["probability"] == pytest.approx(1 / (1 + np.exp(-6)), rel=1e-3)
    assert day["class"] == "light"
    assert day["probabilities"]["light"] == pytest.approx(day["probability"])
    assert sum(day["probabilities"].values()) == pytest.approx(1)


def test_the_table_names_image_class_and_probability(cli: RunCli, tmp_path: Path) -> None:
    model = save(tmp_path / "params.h5", brightness_model())
    result = cli("predict", picture(tmp_path / "day.png", 255), "--model", model)
    assert result.stdout.splitlines()[1].split() == [str(tmp_path / "day.png"), "light", "100.0%"]


def test_the_latest_model_and_that_of_a_run_come_from_the_bucket(cli: RunCli, world: World, tmp_path: Path) -> None:
    world.open_run(RUN)
    world.s3.put_object(Bucket=BUCKET, Key=params_key(RUN), Body=encode_model(brightness_model()))
    world.s3.put_object(Bucket=BUCKET, Key=LATEST_PARAMS, Body=encode_model(brightness_model(run_id="the-latest")))
    image = picture(tmp_path / "day.png", 255)
    assert "model of run the-latest" in cli("predict", image).stderr
    assert f"model of run {RUN}" in cli("predict", image, "--model", "20261101").stderr


def test_no_model_yet_says_how_to_train_one(cli: RunCli, world: World, tmp_path: Path) -> None:
    result = cli("predict", picture(tmp_path / "day.png", 255))
    assert result.exit_code == 1
    assert "there is no model" in result.stderr
    assert "lnn train" in result.stderr


def test_a_run_without_a_model_is_named_with_its_status(cli: RunCli, world: World, tmp_path: Path) -> None:
    world.open_run(RUN)
    result = cli("predict", picture(tmp_path / "day.png", 255), "--model", RUN)
    assert result.exit_code == 1
    assert "PENDING" in result.stderr


def test_a_model_of_plain_features_cannot_see_pictures(cli: RunCli, tmp_path: Path) -> None:
    model = save(tmp_path / "params.h5", brightness_model(None))
    result = cli("predict", picture(tmp_path / "day.png", 255), "--model", model)
    assert result.exit_code == 1
    assert "16 plain features, not on pictures" in result.stderr


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with pictures, one of them in a folder below, and a file that is none."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    picture(folder / "a.png", 51)
    (folder / "b.png").write_text("no picture")
    picture(folder / "more" / "c.png", 204)
    return folder


@pytest.mark.parametrize("name", ["answers.csv", "answers.parquet"])
def test_a_folder_becomes_a_file_in_which_a_broken_picture_is_a_line_with_its_reason(
    cli: RunCli, tmp_path: Path, pictures: Path, name: str
) -> None:
    model, answers = save(tmp_path / "params.h5", brightness_model()), tmp_path / name
    result = cli("predict", pictures, "--model", model, "-o", answers)
    assert result.exit_code == 0, result.output
    assert "1 of 3 pictures could not be read" in result.stderr
    read = pl.read_csv if answers.suffix == ".csv" else pl.read_parquet
    frame = read(answers)
    assert frame.columns == ["file", "class", "probability", "p(dark)", "p(light)", "problem"]
    assert frame["file"].to_list() == [str(pictures / file) for file in ("a.png", "b.png", "more/c.png")]
    assert frame["class"].to_list() == ["dark", None, "light"]
    night, nothing, _ = frame["probability"].to_list()
    assert (night, nothing) == (pytest.approx(1 / (1 + np.exp(-6)), rel=1e-3), None)
    why = frame["problem"].to_list()
    assert (why[0], "not a picture" in why[1], why[2]) == (None, True, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["params.h5", "pictures", name])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-o", "answers.txt"], "expected a name that ends in .csv or .parquet"),
        (["-o", "params.h5.csv"], "--force"),
        ([], "not a picture"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_clear_error(
    cli: RunCli, tmp_path: Path, pictures: Path, arguments: list[str], problem: str
) -> None:
    model = save(tmp_path / "params.h5", brightness_model())
    (tmp_path / "params.h5.csv").write_text("mine")
    result = cli("predict", pictures, "--model", model, *(arguments and ["-o", tmp_path / arguments[1]]))
    assert result.exit_code == 1
    assert problem in result.stderr
    assert (tmp_path / "params.h5.csv").read_text() == "mine"


def test_every_picture_that_cannot_be_read_is_named(cli: RunCli, tmp_path: Path) -> None:
    model = save(tmp_path / "params.h5", brightness_model())
    good = picture(tmp_path / "day.png", 255)
    (tmp_path / "notes.txt").write_text("hello")
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:60])
    wrong = [tmp_path / "notes.txt", cut, tmp_path / "gone.png"]
    result = cli("predict", good, *wrong, "--model", model)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    for name in ("notes.txt", "cut.png", "gone.png"):
        assert name in line
    assert "day.png" not in line
    (tmp_path / "empty").mkdir()
    assert f"there is no file in {tmp_path / 'empty'}" in cli("predict", good, tmp_path / "empty", "-m", model).stderr


def test_a_file_that_is_no_model_is_an_error(cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "params.h5").write_text("no")
    result = cli("predict", picture(tmp_path / "day.png", 255), "--model", tmp_path / "params.h5")
    assert result.exit_code == 1
    assert "params.h5" in result.stderr


def test_invert_swaps_dark_and_light(cli: RunCli, tmp_path: Path) -> None:
    model = save(tmp_path / "params.h5", brightness_model())
    result = cli("predict", picture(tmp_path / "day.png", 255), "--model", model, "--invert", "--json")
    assert json.loads(result.stdout)[0]["class"] == "dark"


def test_models_of_float_data_get_pixels_from_0_to_1(cli: RunCli, tmp_path: Path) -> None:
    model = save(tmp_path / "params.h5", brightness_model(scale=1.0))
    result = cli("predict", picture(tmp_path / "dusk.png", 102), "--model", model, "--json")
    assert json.loads(result.stdout)[0]["class"] == "dark"


def test_orientation_transparency_and_16_bits_are_respected(tmp_path: Path) -> None:
    from lnn_client.pictures import read_picture

    sideways = Image.new("L", (2, 1))
    sideways.putdata([0, 255])
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to be upright
    sideways.save(tmp_path / "sideways.png", exif=exif)
    upright = read_picture(tmp_path / "sideways.png", (2, 1))
    assert upright.tolist() == [[0], [255]]

    Image.new("RGBA", (3, 3), (0, 0, 0, 0)).save(tmp_path / "glass.png")
    assert read_picture(tmp_path / "glass.png", (1, 1, 3)).tolist() == [[[255, 255, 255]]]

    Image.fromarray(np.full((2, 2), 32768, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert read_picture(tmp_path / "deep.png", (1, 1)).tolist() == [[128]]


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_picture_whose_name_is_not_utf_8_is_printed_with_escapes(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    model = save(tmp_path / "params.h5", brightness_model())
    try:
        image = picture(tmp_path / os.fsdecode(b"caf\xe9.png"), 255)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    lnn = Path(sys.executable).with_name("lnn")
    done = subprocess.run(
        [lnn, "predict", image, "--model", model, *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict", "COLUMNS": "300"},
    )
    assert (done.returncode, b"light" in done.stdout) == (0, True), done.stderr
    if arguments:
        assert json.loads(done.stdout)[0]["image"] == str(image)
    else:
        assert rb"caf\udce9.png" in done.stdout
