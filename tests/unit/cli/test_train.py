"""``lnn train`` and ``lnn upload``: what reaches the bucket, and what is said about the run."""

from __future__ import annotations

import gzip
import json
import re
import struct
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from PIL import Image

from lnn.data.dataset import DatasetSummary, inspect_dataset
from lnn_client.parameters import propose
from support.repository import REPOSITORY

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

RUN = "20261121T101500Z-0a1b2c3d"
BUCKET = "lnn-123456789012-us-east-1"


@pytest.fixture
def trained(world: World) -> World:
    """Launch opens and accepts the run, a trainer takes two looks' time, and the run completes."""
    world.script = [world.launch, world.accept, partial(world.train, RUN, 2), partial(world.end, RUN)]
    return world


def body(world: World, key: str) -> Any:
    return json.loads(world.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def test_train_uploads_parameters_and_dataset_to_a_folder_of_their_own(
    cli: RunCli, trained: World, dataset: Path, parameters: Path
) -> None:
    before = time()
    result = cli("train", dataset)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{RUN}\n"
    assert f"lnn watch {RUN} --target aws" in result.stderr
    keys = sorted(trained.stored())
    assert re.fullmatch(r"training_input/\d{8}T\d{6}Z-[0-9a-f]{6}/datasets\.h5", keys[0])
    assert keys[1] == keys[0].replace("datasets.h5", "parameters.json")
    head = trained.s3.head_object(Bucket=BUCKET, Key=keys[0])
    assert re.fullmatch(r"\d+\.\d{6}", head["Metadata"]["upload-started-at"])
    assert before - 0.001 <= float(head["Metadata"]["upload-started-at"]) <= time()
    assert body(trained, keys[1]) == json.loads(parameters.read_text())
    assert head["ContentLength"] == dataset.stat().st_size


def test_parameters_are_in_the_bucket_before_the_dataset(
    cli: RunCli, trained: World, dataset: Path, parameters: Path
) -> None:
    cli("train", dataset)
    written = {
        Path(entry["Key"]).name: entry["LastModified"]
        for entry in trained.s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    }
    assert written["parameters.json"] <= written["datasets.h5"]


def test_set_and_strategy_change_what_is_uploaded(cli: RunCli, trained: World, dataset: Path, parameters: Path) -> None:
    result = cli(
        "train", dataset, "--strategy", "neuron", "--set", "epochs=20", "--set", "neurons.layer1=5",
        "--set", "batch_size=null", "--set", "optimizer=adam",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    uploaded = body(trained, next(key for key in trained.stored() if key.endswith(".json")))
    assert uploaded["strategy"] == "neuron"
    assert uploaded["epochs"] == 20
    assert uploaded["neurons"] == {"layer1": 5, "layer2": 1}
    assert uploaded["batch_size"] is None
    assert uploaded["optimizer"] == "adam"


def test_a_name_and_tags_are_uploaded_as_they_are(cli: RunCli, trained: World, dataset: Path, parameters: Path) -> None:
    result = cli("train", dataset, "--name", '12 "wide"', "--tag", "sweep", "--tag", "5")
    assert result.exit_code == 0
    folder = trained.run(RUN).dataset_key.rpartition("/")[0]
    uploaded = body(trained, f"{folder}/parameters.json")
    assert (uploaded["name"], uploaded["tags"]) == ('12 "wide"', ["sweep", "5"])


def test_wait_json_prints_one_object_with_the_outcome(
    cli: RunCli, trained: World, dataset: Path, parameters: Path
) -> None:
    result = cli("train", dataset, "--wait", "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    seconds = printed.pop("seconds")
    assert seconds["total"] == pytest.approx(4.5)
    assert seconds["training"] == pytest.approx(2.0)
    assert printed.pop("ms_per_epoch") == pytest.approx(1000.0)
    assert printed == {
        "run_id": RUN,
        "status": "COMPLETED",
        "reason": None,
        "strategy": "fused",
        "workers": 1,
        "epochs": 2,
        "final_cost": 0.25,
        "train_accuracy": 0.9,
        "test_accuracy": 0.8,
        "invocations": 2,
        "model": f"s3://{BUCKET}/prediction_input/{RUN}/params.h5",
    }


def test_wait_tells_progress_on_stderr_and_the_outcome_on_stdout(
    cli: RunCli, trained: World, dataset: Path, parameters: Path
) -> None:
    result = cli("train", dataset, "--wait")
    assert result.exit_code == 0, result.output
    assert "RUNNING  epoch 2/4  cost 0.5" in result.stderr
    assert "test 60.0%" in result.stderr
    assert "test accuracy 80.0%" in result.stdout
    assert f"model: s3://{BUCKET}/prediction_input/{RUN}/params.h5" in result.stdout


def test_json_without_wait_tells_the_run_and_its_status(
    cli: RunCli, trained: World, dataset: Path, parameters: Path
) -> None:
    result = cli("train", dataset, "--json")
    printed = json.loads(result.stdout)
    assert (printed["run_id"], printed["status"], printed["final_cost"]) == (RUN, "PENDING", None)


def test_a_failed_run_is_exit_status_1_with_its_reason_in_both_forms(
    cli: RunCli, world: World, dataset: Path, parameters: Path
) -> None:
    world.script = [world.launch, partial(world.end, RUN, "FAILED", "epochs: found -1")]
    result = cli("train", dataset, "--wait", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["reason"] == "epochs: found -1"
    assert result.stderr.splitlines()[-1].startswith(f"error: run {RUN} failed: epochs: found -1; see: lnn show")


def test_a_run_that_launch_refuses_is_exit_status_1_without_waiting(
    cli: RunCli, world: World, dataset: Path, parameters: Path
) -> None:
    world.script = [world.launch, partial(world.end, RUN, "FAILED", "train_set_x: found NaN")]
    result = cli("train", dataset)
    assert result.exit_code == 1
    assert "train_set_x: found NaN" in result.stderr
    assert "lnn watch" not in result.stderr


def test_a_stopped_run_is_exit_status_1(cli: RunCli, world: World, dataset: Path, parameters: Path) -> None:
    world.script = [
        world.launch,
        world.accept,
        partial(world.train, RUN, 2),
        partial(world.end, RUN, "STOPPED", "asked to"),
    ]
    result = cli("train", dataset, "--wait")
    assert result.exit_code == 1
    assert f"lnn resume {RUN}" in result.stderr


def test_no_run_within_a_minute_says_where_to_look(cli: RunCli, world: World, dataset: Path, parameters: Path) -> None:
    began = world.now
    result = cli("train", dataset)
    assert result.exit_code == 1
    assert 60 <= world.now - began < 62
    assert "/aws/lambda/lnn-launch" in result.stderr
    assert "lnn-launch-dlq" in result.stderr
    assert "lnn doctor --target aws" in result.stderr


def test_timeout_leaves_the_run_and_says_so(cli: RunCli, world: World, dataset: Path, parameters: Path) -> None:
    world.script = [world.launch, world.accept, partial(world.train, RUN, 2)]
    result = cli("train", dataset, "--wait", "--json", "--timeout", "30")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == "RUNNING"
    assert "still RUNNING after 30 s" in result.stderr
    assert world.run(RUN).status == "RUNNING"


def test_mistakes_in_both_files_are_told_at_once_before_any_upload(cli: RunCli, world: World, tmp_path: Path) -> None:
    (tmp_path / "bad.h5").write_bytes(b"not HDF5")
    (tmp_path / "bad.json").write_text('{"epochs": 0, "speed": 1}')
    result = cli("train", tmp_path / "bad.h5", "--parameters", tmp_path / "bad.json")
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    for part in ("bad.h5", "HDF5", "bad.json", "epochs", "speed", "learning_rate"):
        assert part in line
    assert world.stored() == []


def test_parameters_that_do_not_fit_the_dataset_are_told_before_any_upload(
    cli: RunCli, world: World, dataset: Path, parameters: Path
) -> None:
    result = cli("train", dataset, "--set", "neurons.layer2=7")
    assert result.exit_code == 1
    assert "neurons.layer2" in result.stderr
    assert world.stored() == []


def test_no_check_leaves_the_judgment_to_launch(cli: RunCli, world: World, tmp_path: Path, parameters: Path) -> None:
    (tmp_path / "bad.h5").write_bytes(b"not HDF5")
    parameters.write_text("{broken")
    world.script = [world.launch, world.accept]
    result = cli("train", tmp_path / "bad.h5", "--no-check", "--json")
    assert result.exit_code == 0, result.output
    stored = next(key for key in world.stored() if key.endswith(".json"))
    assert world.s3.get_object(Bucket=BUCKET, Key=stored)["Body"].read() == b"{broken"


@pytest.mark.parametrize("change", ["epochs", "=3", "epochs.deep=3"])
def test_a_change_that_cannot_be_applied_is_named(
    cli: RunCli, world: World, dataset: Path, parameters: Path, change: str
) -> None:
    result = cli("train", dataset, "--set", change)
    assert result.exit_code == 1
    assert "--set" in result.stderr
    assert world.stored() == []


def test_a_missing_dataset_is_one_line(cli: RunCli, tmp_path: Path) -> None:
    result = cli("train", tmp_path / "none.h5")
    assert result.exit_code == 1
    assert result.stderr == f"error: {tmp_path / 'none.h5'} does not exist; name a file\n"


def test_ctrl_c_while_waiting_leaves_the_run_and_says_so(
    cli: RunCli, world: World, dataset: Path, parameters: Path
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    world.script = [world.launch, world.accept, interrupt]
    result = cli("train", dataset, "--wait")
    assert result.exit_code == 130
    assert f"run {RUN} goes on: lnn watch {RUN} --target aws" in result.stderr


def test_a_bucket_that_is_not_there_points_to_doctor(
    cli: RunCli, world: World, dataset: Path, parameters: Path
) -> None:
    result = cli("train", dataset, "--prefix", "other")
    assert result.exit_code == 1
    assert "not deployed" in result.stderr
    assert len(result.stderr.splitlines()[-1]) < 300


def test_upload_goes_straight_to_training_input_and_names_the_run(
    cli: RunCli, trained: World, dataset: Path, parameters: Path
) -> None:
    result = cli("upload", dataset, parameters)
    assert result.exit_code == 0, result.output
    assert sorted(trained.stored()) == ["training_input/parameters.json", "training_input/shapes data.h5"]
    assert result.stdout.splitlines() == [
        f"uploaded to s3://{BUCKET}/training_input/shapes data.h5",
        f"run {RUN}",
    ]
    assert f"lnn watch {RUN}" in result.stderr


def test_upload_without_parameters_leaves_those_in_the_bucket(cli: RunCli, trained: World, dataset: Path) -> None:
    trained.s3.put_object(Bucket=BUCKET, Key="training_input/parameters.json", Body=b'{"mine": 1}')
    assert cli("upload", dataset).exit_code == 0
    assert body(trained, "training_input/parameters.json") == {"mine": 1}


def test_upload_refuses_a_name_that_starts_no_run(cli: RunCli, world: World, dataset: Path) -> None:
    other = dataset.rename(dataset.with_suffix(".hdf5"))
    result = cli("upload", other)
    assert result.exit_code == 1
    assert ".h5" in result.stderr
    assert world.stored() == []


def test_a_second_upload_of_the_same_key_finds_its_own_run(cli: RunCli, world: World, dataset: Path) -> None:
    """The version tells the two apart; the first upload's run must not be taken for the second's."""
    world.s3.upload_file(str(dataset), BUCKET, "training_input/shapes data.h5")
    first = world.s3.head_object(Bucket=BUCKET, Key="training_input/shapes data.h5")["VersionId"]
    place = {"bucket": BUCKET, "key": "training_input/shapes data.h5", "version_id": first, "etag": "0"}
    world.open_run("20260101T000000Z-ffffffff", dataset_key=place["key"], dataset=place)
    world.script = [world.launch, world.accept]
    assert f"run {RUN}" in cli("upload", dataset).stdout


def test_train_warns_of_a_dataset_that_is_likely_a_mistake(
    cli: RunCli, trained: World, dataset: Path, parameters: Path
) -> None:
    with h5py.File(dataset, "a") as file:
        file["test_set_x"][0] = file["train_set_x"][0]
    result = cli("train", dataset)
    assert result.exit_code == 0, result.output
    assert "warning: test_set_x: found 1 of 4 examples in train_set_x as well" in result.stderr
    assert result.stdout == f"{RUN}\n"


# Tables


def iris(path: Path, classes: int, rows: int = 60, missing: str = "") -> Path:
    lines = [f"{row % 7},{row % 5 + (row % classes) * 3},kind {row % classes}" for row in range(rows)]
    path.write_text("\n".join(["length,width,species", *lines, *([missing] if missing else [])]) + "\n")
    return path


@pytest.mark.parametrize(("classes", "units", "kind"), [(2, 1, "sigmoid"), (3, 3, "softmax")])
def test_a_table_is_trained_in_one_step_with_an_output_layer_that_fits(
    cli: RunCli, trained: World, parameters: Path, tmp_path: Path, classes: int, units: int, kind: str
) -> None:
    own = json.loads(parameters.read_text())
    own["batch_size"] = 5000
    parameters.write_text(json.dumps(own))
    result = cli("train", iris(tmp_path / "iris.csv", classes), "--label", "species", "--set", "epochs=7")
    assert result.exit_code == 0, result.output
    assert "48 rows for training, 12 for testing" in result.stderr
    assert "batch_size=null" in result.stderr
    dataset, sent = sorted(trained.stored())
    stored = body(trained, sent)
    last = f"layer{stored['layers']}"
    assert (stored["neurons"][last], stored["activations"][last]) == (units, kind)
    assert (stored["epochs"], stored["batch_size"]) == (7, None)
    copy = tmp_path / "copy.h5"
    copy.write_bytes(trained.s3.get_object(Bucket=BUCKET, Key=dataset)["Body"].read())
    assert inspect_dataset(copy).columns == ["length", "width"]


def test_parameters_that_are_named_are_not_changed(cli: RunCli, world: World, parameters: Path, tmp_path: Path) -> None:
    table = iris(tmp_path / "iris.csv", 3)
    result = cli("train", table, "--label", "species", "--parameters", parameters)
    assert result.exit_code == 1
    assert "neurons.layer2" in result.stderr
    result = cli("train", table, "--label", "species", "--set", "neurons.layer2=7")
    assert "neurons.layer2: found 7" in result.stderr
    assert world.stored() == []


def test_what_is_wrong_with_a_table_is_said_before_the_upload(
    cli: RunCli, world: World, dataset: Path, tmp_path: Path
) -> None:
    table = iris(tmp_path / "iris.csv", 3, missing=",1,kind 0")
    told = cli("train", table, "--label", "species").stderr
    assert "column 'length': found 1 of 61 values missing" in told
    assert "other options for tables are those of lnn dataset from-table" in told
    assert "--label COLUMN" in cli("train", table).stderr
    assert "is no table" in cli("train", dataset, "--label", "species").stderr
    assert world.stored() == []


def test_gaps_columns_and_split_of_a_table_are_said_as_for_from_table(
    cli: RunCli, trained: World, parameters: Path, tmp_path: Path
) -> None:
    table = iris(tmp_path / "iris.csv", 3, missing=",1,kind 0")
    result = cli(
        "train", table, "--label", "species", "--missing", "median", "--drop", "width", "--test", "0.5",
        "--set", "epochs=2",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "30 rows for training, 31 for testing" in result.stderr or "31 rows for training, 30" in result.stderr
    assert "left out: column 'width': --drop" in result.stderr
    assert uploaded(trained, tmp_path).columns == ["length"]


def test_a_column_of_weights_is_uploaded_as_weights_and_is_no_feature(
    cli: RunCli, trained: World, tmp_path: Path
) -> None:
    table = iris(tmp_path / "iris.csv", 3)
    options = ("--label", "species", "--weights", "width")
    result = cli("train", table, *options)
    assert result.exit_code == 0, result.output
    assert "48 rows for training (weighted by 'width'), 12 for testing;" in result.stderr
    assert "48 examples of 1 features" in cli("estimate", table, *options).stderr
    summary = uploaded(trained, tmp_path)
    assert (summary.columns, summary.weighted) == (["length"], True)


def test_a_share_of_a_table_to_validate_with_is_drawn_as_by_from_table(
    cli: RunCli, trained: World, tmp_path: Path
) -> None:
    table = iris(tmp_path / "iris.csv", 3)
    options = ("--label", "species", "--test", "0.2", "--validation", "0.25")
    result = cli("train", table, *options)
    assert result.exit_code == 0, result.output
    assert "36 rows for training, 12 for testing, 12 for validation" in result.stderr
    assert "chosen for 3 classes, 36 examples" in result.stderr
    assert "chosen for 3 classes, 36 examples" in cli("estimate", table, *options).stderr
    assert uploaded(trained, tmp_path).m_validation == 12
    assert cli("dataset", "from-table", table, *options, "-o", tmp_path / "made.h5").exit_code == 0
    with h5py.File(tmp_path / "uploaded.h5") as sent, h5py.File(tmp_path / "made.h5") as made:
        assert set(sent) == set(made) > {"validation_set_x", "validation_set_y"}
        for name in sent:
            assert np.array_equal(sent[name][()], made[name][()]), name


def test_a_table_s_validation_set_and_a_share_in_the_parameters_are_one_too_many(
    cli: RunCli, world: World, tmp_path: Path
) -> None:
    table = iris(tmp_path / "iris.csv", 3)
    result = cli("train", table, "--label", "species", "--validation", "0.25", "--set", "validation=0.25")
    assert result.exit_code == 1
    assert "validation: found 0.25, and validation_set_x with 12 examples; expected one of them" in result.stderr
    assert world.stored() == []


# Any source in one step


def uploaded(world: World, folder: Path) -> DatasetSummary:
    """What is in the dataset that has been uploaded last."""
    key = max(key for key in world.stored() if key.endswith(".h5"))
    copy = folder / "uploaded.h5"
    copy.write_bytes(world.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    return inspect_dataset(copy)


def write_source(kind: str, folder: Path) -> list[Path]:
    """A data set of three classes, 24 pictures to train on and 6 to test with; returns what to name in `lnn train`."""
    folder.mkdir()
    y = np.arange(30) % 3
    x = np.random.default_rng(1).integers(0, 40, (30, 8, 8), dtype=np.uint8) + (100 * y).astype(np.uint8)[:, None, None]
    parts = {"train": (x[:24], y[:24]), "test": (x[24:], y[24:])}
    if kind == "npz":
        arrays = {
            f"{name}_{part}": values for part, both in parts.items() for name, values in zip("xy", both, strict=True)
        }
        np.savez(folder / "d.npz", **arrays)
        return [folder / "d.npz"]
    if kind in {"two h5", "folder of h5"}:
        for part, (of_x, of_y) in parts.items():
            with h5py.File(folder / f"{part}_shapes.h5", "w") as file:
                file[f"{part}_set_x"], file[f"{part}_set_y"] = of_x, of_y
                file["list_classes"] = [b"a", b"b", b"c"]
        return [folder] if kind == "folder of h5" else [folder / "train_shapes.h5", folder / "test_shapes.h5"]
    for part, (of_x, of_y) in parts.items():
        if kind == "pictures":
            for place, (pixels, label) in enumerate(zip(of_x, of_y, strict=True)):
                path = folder / part / "abc"[label] / f"{place}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
            continue
        name = part.replace("test", "t10k")
        for values, what in ((of_x, "images-idx3"), (of_y.astype(np.uint8), "labels-idx1")):
            head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
            (folder / f"{name}-{what}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))
    return [folder / "train-images-idx3-ubyte.gz"] if kind == "one of IDX" else [folder]


@pytest.mark.parametrize("kind", ["npz", "two h5", "folder of h5", "pictures", "IDX", "one of IDX"])
def test_any_data_set_is_trained_in_one_step_with_no_other_option(
    cli: RunCli, trained: World, tmp_path: Path, kind: str
) -> None:
    result = cli("train", *write_source(kind, tmp_path / "data"))
    assert result.exit_code == 0, result.output
    assert "24 examples for training, 6 for testing" in result.stderr
    summary = uploaded(trained, tmp_path)
    assert (summary.m, summary.m_test, len(summary.classes)) == (24, 6, 3)
    sent = body(trained, next(key for key in trained.stored() if key.endswith(".json")))
    last = f"layer{sent['layers']}"
    assert (sent["neurons"][last], sent["activations"][last]) == (3, "softmax")
    assert sent["batch_size"] == 8
    (said,) = (line for line in result.stderr.splitlines() if line.startswith("chosen for 3 classes, 24 examples"))
    assert "output 3 softmax; loss cross-entropy; batches of 8; adam, learning rate 0.0" in said


@pytest.mark.parametrize("kind", ["npz", "two h5", "pictures", "IDX"])
def test_a_share_of_any_data_set_is_held_out_to_validate_with(
    cli: RunCli, trained: World, tmp_path: Path, kind: str
) -> None:
    result = cli("train", *write_source(kind, tmp_path / "data"), "--validation", "0.25")
    assert result.exit_code == 0, result.output
    assert "18 examples for training, 6 for testing, 6 for validation" in result.stderr
    summary = uploaded(trained, tmp_path)
    assert (summary.m, summary.m_test, summary.m_validation) == (18, 6, 6)


def test_a_dataset_is_trained_with_an_output_layer_that_fits_and_parameters_that_fit_stay(
    cli: RunCli, trained: World, dataset: Path, tmp_path: Path
) -> None:
    result = cli("train", dataset)
    assert result.exit_code == 0, result.output
    sent = body(trained, next(key for key in trained.stored() if key.endswith(".json")))
    assert (sent["neurons"]["layer3"], sent["activations"]["layer3"], sent["batch_size"]) == (1, "sigmoid", 8)
    digits = inspect_dataset(REPOSITORY / "examples" / "digits" / "datasets.h5")
    assert propose(REPOSITORY / "parameters.json", 10, digits.m, digits.features).changes == []


@pytest.mark.parametrize("kind", ["table", "dataset", "npz", "pictures"])
def test_an_estimate_is_of_the_network_that_a_training_of_the_same_data_has(
    cli: RunCli, trained: World, dataset: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "table":
        table = iris(tmp_path / "iris.csv", 3, missing=",1,kind 0")
        data = [table, "--label", "species", "--missing", "median", "--drop", "width", "--test", "0.5"]
    else:
        data = [dataset] if kind == "dataset" else [*write_source(kind, tmp_path / "data")]
    proposed, started = (cli(command, *data, "--set", "l2=0.5") for command in ("estimate", "train"))
    assert (proposed.exit_code, started.exit_code) == (0, 0), proposed.output + started.output
    said = [
        [line for line in result.stderr.splitlines() if line.startswith(("chosen for", "in place of", "left out"))]
        for result in (proposed, started)
    ]
    assert len(said[0]) >= 2
    assert said[0] == said[1]
    sent = tmp_path / "sent.json"
    sent.write_text(json.dumps(body(trained, next(key for key in trained.stored() if key.endswith(".json")))))
    same, small = (
        json.loads(cli("estimate", *data, "--json", *more).stdout)["rows"]
        for more in (["-p", sent], ["-p", sent, "--set", "epochs=1"])
    )
    rows = json.loads(cli("estimate", *data, "--set", "l2=0.5", "--json").stdout)["rows"]
    assert rows == same
    assert rows != small


@pytest.mark.parametrize(
    ("facts", "changes"),
    [
        ((3, 120, 4), {"neurons.layer3": 3, "batch_size": 8}),
        ((2, 200, 12_288), {"neurons.layer3": 1, "activations.layer3": "sigmoid", "learning_rate": 0.0005}),
        ((10, 60_000, 784), {"neurons.layer1": 128, "batch_size": 128, "epochs": 20}),
        ((0, 353, 10), {"neurons.layer3": 1, "activations.layer3": "linear", "learning_rate": 0.01}),
        ((3, 5, 4), {"batch_size": None}),
    ],
)
def test_the_network_is_proposed_by_what_the_data_is(facts: tuple[int, int, int], changes: dict[str, Any]) -> None:
    proposal = propose(REPOSITORY / "parameters.json", *facts)
    found = {key: json.loads(value) for key, _, value in (change.partition("=") for change in proposal.changes)}
    assert found.items() >= changes.items()


def test_of_a_person_s_own_parameters_only_what_does_not_fit_is_changed(parameters: Path) -> None:
    own = json.loads(parameters.read_text())
    assert (own["neurons"]["layer2"], own["activations"]["layer2"]) == (1, "sigmoid")
    assert propose(parameters, 2, 60_000, 12_288).changes == []
    assert propose(parameters, 3, 60, 4).changes == ["neurons.layer2=3", 'activations.layer2="softmax"']


def test_what_is_set_by_hand_is_not_proposed_and_shows_in_the_network_s_words() -> None:
    by_hand = ["neurons.layer1=5", "batch_size=7", 'loss="auto"']
    proposal = propose(REPOSITORY / "parameters.json", 3, 120, 4, by_hand)
    assert [change for change in proposal.changes if change.startswith(("neurons.layer1", "batch_size"))] == []
    assert "hidden layers of 5" in proposal.network
    assert "batches of 7" in proposal.network


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("a.h5", "b.h5", "c.h5"), "found 3 files that are not one data set; expected one, TRAIN.h5 and TEST.h5"),
        (("a.npz", "--label", "y"), "--label y: a.npz is no table"),
        (("a.h5", "--missing", "mean"), "--missing mean: a.h5 is no table"),
        (("a.h5", "--weights", "w"), "--weights w: a.h5 is no table"),
        (("a.h5", "--test", "0.2"), "--test 0.2: a.h5 says by itself which examples are for testing"),
        (("a.h5", "--validation", "0.1"), "--validation 0.1: a.h5 is a dataset; hold examples out with --set"),
        (("a.csv", "--label", "y", "--validation", "2"), "--validation 2: it must lie between 0 and 1"),
        (("a.npz", "--validation", "some"), "--validation some: it must lie between 0 and 1"),
        (("none.h5",), "none.h5 does not exist; name a file"),
        (("nowhere",), "nowhere does not exist; name a file"),
        ((".",), ". must hold a folder of pictures for each of at least 2 classes"),
    ],
)
def test_what_is_no_data_set_is_one_error(cli: RunCli, world: World, arguments: tuple[str, ...], told: str) -> None:
    result = cli("train", *arguments)
    assert result.exit_code == 1
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert world.stored() == []
