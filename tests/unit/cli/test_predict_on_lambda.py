"""``lnn predict --on-lambda``: the file that the local command writes, from answers of functions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lnn.aws.events import Upload
from lnn.data.preprocessing import Column, Preprocessing
from lnn.models.model_file import Model, encode_model
from lnn.models.store import Artifacts
from lnn.names import BATCHES, LATEST_PARAMS
from lnn.serving import batch_parts
from lnn.serving.batch import BatchPredictions
from support.aws_account import NAMES
from support.models import brightness_model

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

COLUMNS = [Column("age", "number", 40.0, 10.0), Column("color", "category", categories=["blue", "red"])]


def table_model(targets: tuple[str, ...] = ()) -> Model:
    rng = np.random.default_rng(2)
    layers = [(rng.normal(size=(2, 3)), rng.normal(size=(2, 1)))]
    output, classes = ("linear", []) if targets else ("softmax", ["no", "yes"])
    return Model(
        layers,
        "a-run",
        [output],
        classes,
        None,
        1.0,
        list_targets=[*targets],
        preprocessing=Preprocessing(COLUMNS, "y"),
    )


def table(path: Path, *broken: int) -> Path:
    rows = [f"{20 + row},{('red', 'blue')[row % 2]}" for row in range(100)]
    for place in broken:
        rows[place] = "20,green"
    path.write_text("\n".join(["age,color", *rows]) + "\n")
    return path


@pytest.fixture
def functions(world: World, monkeypatch: pytest.MonkeyPatch) -> BatchPredictions:
    """Predict, which has answered every part by the end of any wait; a part has a few rows."""
    monkeypatch.setattr(batch_parts, "PART_BYTES", 240)
    predict = BatchPredictions(Artifacts(world.s3, NAMES.bucket))

    def answer() -> None:
        for key in world.stored(BATCHES):
            if key.endswith(".npy"):
                predict.predict(Upload(NAMES.bucket, key, None, "", "", ""))

    world.script = [answer] * 100
    return predict


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("targets", [(), ("price", "weight")])
def test_a_table_gets_the_file_of_the_local_command(
    cli: RunCli, world: World, tmp_path: Path, suffix: str, targets: tuple[str, ...]
) -> None:
    rows = table(tmp_path / "rows.csv")
    world.s3.put_object(Bucket=NAMES.bucket, Key=LATEST_PARAMS, Body=encode_model(table_model(targets)))
    here, there = tmp_path / f"here.{suffix}", tmp_path / f"there.{suffix}"
    assert cli("predict", rows, "-o", here).exit_code == 0
    result = cli("predict", rows, "-o", there, "--on-lambda", "--parallel", "3")
    assert result.exit_code == 0, result.output
    assert "100 rows, by the model of run a-run" in result.stderr
    read = pl.read_csv if suffix == "csv" else pl.read_parquet
    local, remote = read(here), read(there)
    assert remote.columns == local.columns == (list(targets) or ["class", "probability", "p(no)", "p(yes)"])
    numbers = [name for name in local.columns if name != "class"]
    np.testing.assert_allclose(remote.select(numbers).to_numpy(), local.select(numbers).to_numpy(), rtol=1e-12)
    if not targets:
        assert remote["class"].to_list() == local["class"].to_list()
    assert len([key for key in world.stored(BATCHES) if key.endswith(".npy")]) == 10
    assert sorted(path.name for path in tmp_path.glob("*here.*")) == sorted([here.name, there.name])


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_that_the_model_cannot_take_are_lines_with_their_reason(cli: RunCli, tmp_path: Path, suffix: str) -> None:
    model = tmp_path / "params.h5"
    model.write_bytes(encode_model(table_model()))
    out = tmp_path / f"out.{suffix}"
    result = cli("predict", table(tmp_path / "rows.csv", 7, 42), "-m", model, "-o", out, "--on-lambda")
    assert result.exit_code == 0, result.output
    assert "98 rows" in result.stderr
    assert "2 of 100 rows could not be read; the column problem says why" in result.stderr
    frame = pl.read_csv(out) if suffix == "csv" else pl.read_parquet(out)
    assert frame.columns == ["class", "probability", "p(no)", "p(yes)", "problem"]
    why = {place: problem for place, problem in enumerate(frame["problem"].to_list()) if problem}
    assert why.keys() == {7, 42}
    assert why[42].startswith("row 43: column 'color': found 'green'")
    assert [place for place, name in enumerate(frame["class"].to_list()) if name is None] == [7, 42]
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"params.h5", "rows.csv", out.name}


@pytest.mark.usefixtures("functions")
def test_a_folder_of_pictures_gets_the_file_of_the_local_command(cli: RunCli, tmp_path: Path) -> None:
    model, folder = tmp_path / "params.h5", tmp_path / "pictures"
    model.write_bytes(encode_model(brightness_model()))
    folder.mkdir()
    for number in range(20):
        Image.new("L", (9, 5), number * 12).save(folder / f"{number:02}.png")
    (folder / "07.png").write_bytes(b"no picture")
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    assert cli("predict", folder, "-m", model, "-o", here).exit_code == 0
    result = cli("predict", folder, "-m", model, "-o", there, "--on-lambda")
    assert result.exit_code == 0, result.output
    assert "1 of 20 pictures could not be read" in result.stderr
    local, remote = pl.read_csv(here), pl.read_csv(there)
    assert remote.columns == local.columns
    assert remote.select("file", "class", "problem").equals(local.select("file", "class", "problem"))
    both = [frame["probability"].drop_nulls().to_numpy() for frame in (remote, local)]
    assert [len(each) for each in both] == [19, 19]
    np.testing.assert_allclose(*both, rtol=1e-12)


def test_the_option_needs_a_file_to_write(cli: RunCli, world: World, tmp_path: Path) -> None:
    result = cli("predict", table(tmp_path / "rows.csv"), "--on-lambda")
    assert result.exit_code == 1
    assert "-o answers.csv" in result.stderr
    assert world.stored() == []


@pytest.mark.usefixtures("functions")
def test_a_refused_part_is_one_line_and_leaves_no_file(cli: RunCli, world: World, tmp_path: Path) -> None:
    model = tmp_path / "params.h5"
    model.write_bytes(encode_model(table_model()))

    def damage() -> None:
        for key in world.stored(BATCHES):
            if key.endswith(".npy"):
                world.s3.put_object(Bucket=NAMES.bucket, Key=key, Body=b"damaged")

    world.script.insert(0, damage)
    command = ("predict", table(tmp_path / "rows.csv"), "-m", model, "-o", tmp_path / "out.csv", "--on-lambda")
    result = cli(*command)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "rows 1 to 10: " in line
    assert "is damaged" in line
    assert not list(tmp_path.glob("out.csv*"))
