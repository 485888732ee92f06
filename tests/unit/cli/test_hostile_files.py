"""Models and datasets that reach out of their file, given to every command and notebook that reads one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from PIL import Image

from lnn.errors import ModelError
from lnn.models.model_file import encode_model
from lnn.names import LATEST_PARAMS, Names, params_key
from lnn_client.cloud import Cloud, Target
from support.hostile_files import FEATURES, KINDS, ONE_KIND, dataset_reaching_out, leaks, model_reaching_out, other_file
from support.models import brightness_model
from support.repository import REPOSITORY

if TYPE_CHECKING:
    from typer.testing import Result

    from support.aws_account import RunCli, World

pytestmark = pytest.mark.slow

BUCKET = Names("lnn", "123456789012", "us-east-1").bucket
RUN = "20261121T000000Z-aaaaaaaa"
NOTEBOOKS = REPOSITORY / "notebooks"


REASON = f"not a params.h5 that LNN wrote: W1: {KINDS[ONE_KIND]}"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.h5"
    path.write_bytes(model_reaching_out(ONE_KIND, other_file(tmp_path)))
    return path


@pytest.fixture
def trained(world: World, model: Path) -> str:
    """A run whose model somebody has replaced in the bucket."""
    world.train_whole(RUN)
    for key in (params_key(RUN), LATEST_PARAMS):
        world.s3.put_object(Bucket=BUCKET, Key=key, Body=model.read_bytes())
    return RUN


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "gray.png"
    Image.fromarray(np.full((4, 4), 200, np.uint8)).save(path)
    return path


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    path = tmp_path / "grays.h5"
    with h5py.File(path, "w") as file:
        for split in ("train", "test"):
            file[f"{split}_set_x"] = np.arange(4 * FEATURES, dtype=np.uint8).reshape(4, 4, 4)
            file[f"{split}_set_y"] = np.arange(4) % 2
        file["list_classes"] = [b"dark", b"light"]
    return path


def assert_refused(result: Result, reason: str) -> None:
    assert result.exit_code == 1
    assert result.stderr == f"error: {reason}\n"
    assert result.stdout == ""


def test_predict_refuses_a_file_and_a_run_s_model(cli: RunCli, trained: str, model: Path, picture: Path) -> None:
    for named in (model, trained, "latest"):
        assert_refused(cli("predict", picture, "--model", named), REASON)


def test_evaluate_refuses_a_file_and_a_run_s_model(cli: RunCli, trained: str, model: Path, examples: Path) -> None:
    for named in (model, trained):
        assert_refused(cli("evaluate", examples, "--model", named, "--json"), REASON)


@pytest.mark.parametrize("wanted", ["safetensors", "onnx"])
def test_export_refuses_a_run_s_model_and_writes_nothing(
    cli: RunCli, trained: str, tmp_path: Path, wanted: str
) -> None:
    assert_refused(cli("export", trained, "--format", wanted, "-o", tmp_path / "out"), REASON)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wanted", ["html", "md"])
def test_a_report_says_why_it_has_no_weights(cli: RunCli, trained: str, tmp_path: Path, wanted: str) -> None:
    path = tmp_path / f"report.{wanted}"
    assert cli("report", trained, "-o", path).exit_code == 0
    text = " ".join(path.read_text().split())
    assert f"no weights, evaluation and mistakes: {REASON}" in text
    assert not list(leaks(text))


def test_compare_reads_no_model(cli: RunCli, world: World, trained: str) -> None:
    world.train_whole("20261121T000001Z-bbbbbbbb")
    result = cli("compare", trained, "20261121T000001Z-bbbbbbbb")
    assert result.exit_code == 0
    assert not list(leaks(result.output))


def test_the_notebook_that_looks_at_a_model_refuses_it(world: World, trained: str) -> None:
    cells = json.loads((NOTEBOOKS / "Analysis.ipynb").read_text())["cells"]
    (cell,) = ["".join(cell["source"]) for cell in cells if cell["id"] == "findings"]
    surroundings = {"cloud": Cloud(Target.AWS), "run": world.run(trained)}
    with pytest.raises(ModelError) as refused:
        exec(cell, surroundings)  # noqa: S102 - the notebook's own cell
    assert str(refused.value) == REASON


@pytest.mark.parametrize("name", ["train_set_x", "test_set_x", "list_classes"])
def test_commands_on_a_dataset_refuse_it(cli: RunCli, tmp_path: Path, name: str) -> None:
    path, sound = tmp_path / "theirs.h5", tmp_path / "params.h5"
    path.write_bytes(dataset_reaching_out(ONE_KIND, other_file(tmp_path), name))
    sound.write_bytes(encode_model(brightness_model()))
    for command in (
        ("dataset", "check", path),
        ("dataset", "show", path, "-o", tmp_path / "grid.png"),
        ("evaluate", path, "--model", sound),
    ):
        assert_refused(cli(*command), f"{path}: {name}: {KINDS[ONE_KIND]}")
    assert not (tmp_path / "grid.png").exists()


def test_the_notebook_that_looks_at_a_dataset_refuses_it(tmp_path: Path) -> None:
    path = tmp_path / "theirs.h5"
    path.write_bytes(dataset_reaching_out(ONE_KIND, other_file(tmp_path), "list_classes"))
    cells = json.loads((NOTEBOOKS / "Codebook.ipynb").read_text())["cells"]
    (cell,) = ["".join(cell["source"]) for cell in cells if "open_file(DIGITS)" in "".join(cell["source"])][:1]
    with pytest.raises(Exception, match=f"list_classes: {KINDS[ONE_KIND]}"):
        exec(cell, {"DIGITS": path})  # noqa: S102 - the notebook's own cell
