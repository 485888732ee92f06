"""``lnn predict --on-lambda`` on the local cloud: each row once, whoever is killed and whatever comes twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest
from PIL import Image

from lnn.data.preprocessing import Column, Preprocessing
from lnn.models.model_file import Model, encode_model
from lnn.models.store import digest_of
from lnn.names import BATCHES, PREDICTION_OUTPUT, batch_model_key, part_key, prediction_key
from lnn.network import Network
from lnn.serving.batch_parts import reason_in, rows_of_part
from support.e2e_cloud import CloudUnderTest, environment, eventually, s3_event
from support.models import brightness_model

ROWS, HIDDEN = 20_000, 2000
KILLS = 4


def table_model(hidden: int = HIDDEN) -> Model:
    """Large enough that a part has a few thousand rows, and takes a while."""
    rng = np.random.default_rng(4)
    sizes = [3, hidden, hidden, 2]
    layers = [
        (rng.normal(size=(units, before)) / np.sqrt(before), rng.normal(size=(units, 1)))
        for before, units in pairwise(sizes)
    ]
    columns = [Column("age", "number", 40.0, 10.0), Column("color", "category", categories=["blue", "red"])]
    activations = ["tanh", "tanh", "softmax"]
    return Model(layers, "batch-e2e", activations, ["no", "yes"], None, 1.0, preprocessing=Preprocessing(columns, "y"))


def folder(start: str, model: bytes) -> str:
    return f"{start}{digest_of(model)}/"


def answers(cloud: CloudUnderTest, model: bytes) -> list[str]:
    """The key of each version of each answer for parts with this model."""
    pages = cloud.s3.get_paginator("list_object_versions").paginate(
        Bucket=cloud.names.bucket, Prefix=folder(PREDICTION_OUTPUT, model)
    )
    return [version["Key"] for page in pages for version in page.get("Versions", [])]


def kill_functions(cloud: CloudUnderTest, ended: threading.Event, killed: list[int]) -> None:
    """Kill what predicts, every other second, until so many are dead."""
    while len(killed) < KILLS and not ended.wait(2.0):
        for process in cloud.workers("predict")[:1]:
            try:
                process.kill()
                killed.append(process.pid)
            except psutil.Error:  # it has just ended
                continue


def test_a_batch_with_kills_and_duplicates_has_every_row_once(cloud: CloudUnderTest, tmp_path: Path) -> None:
    model = table_model()
    content = encode_model(model)
    (tmp_path / "params.h5").write_bytes(content)
    raw = [(20 + row / 400, ("red", "blue")[row % 2]) for row in range(ROWS)]
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_text("age,color\n" + "".join(f"{age},{color}\n" for age, color in raw))
    command = ["predict", rows, "-m", tmp_path / "params.h5", "-o", out, "--on-lambda", "--parallel", "3"]

    # The client is killed in the middle.
    first = subprocess.Popen(
        [Path(sys.executable).with_name("lnn"), *command],
        env=environment(cloud.home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: len(answers(cloud, content)) >= 2, "two answers", state=lambda: answers(cloud, content))
    finally:
        first.kill()
        first.wait()
    assert not out.exists()

    # The same command goes on, while functions are killed and the first parts come again.
    ended, killed = threading.Event(), list[int]()
    killer = threading.Thread(target=kill_functions, args=(cloud, ended, killed))
    killer.start()
    try:
        listed = cloud.s3.list_objects_v2(Bucket=cloud.names.bucket, Prefix=folder(BATCHES, content))["Contents"]
        for entry in listed:
            if entry["Key"].endswith(".npy"):
                again = {"bucket": cloud.names.bucket, "key": entry["Key"], "version_id": None, "etag": ""}
                cloud.send("predict", s3_event(again | {"sequencer": "1", "event_time": "2026-01-02T03:04:05Z"}))
        done = cloud.lnn(*command, seconds=500)
    finally:
        ended.set()
        killer.join()
    assert done.returncode == 0, done.stderr
    assert killed

    stored = answers(cloud, content)
    assert len(stored) == len(set(stored)) == -(-ROWS // rows_of_part(model)), "each part has one answer, stored once"
    frame = pl.read_csv(out)
    assert frame.columns == ["class", "probability", "p(no)", "p(yes)"]
    assert model.preprocessing is not None
    expected = Network([3, HIDDEN, HIDDEN, 2], model.activations).predict_proba(
        model.parameters, model.preprocessing.matrix(raw)
    )
    np.testing.assert_allclose(frame.select("p(no)", "p(yes)").to_numpy(), expected.T, rtol=1e-12, atol=1e-12)
    assert frame["class"].to_list() == [("no", "yes")[index] for index in expected.argmax(axis=0)]


def test_pictures_are_predicted_and_a_broken_one_is_a_line_with_its_reason(
    cloud: CloudUnderTest, tmp_path: Path
) -> None:
    (tmp_path / "params.h5").write_bytes(encode_model(brightness_model()))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(6):
        Image.new("L", (9, 5), number * 50).save(pictures / f"{number}.png")
    (pictures / "3.png").write_bytes(b"no picture")
    out = tmp_path / "out.parquet"
    done = cloud.lnn("predict", pictures, "-m", tmp_path / "params.h5", "-o", out, "--on-lambda")
    assert done.returncode == 0, done.stderr
    frame = pl.read_parquet(out)
    assert frame["class"].to_list() == ["dark", "dark", "dark", None, "light", "light"]
    assert [place for place, problem in enumerate(frame["problem"].to_list()) if problem] == [3]


@pytest.mark.parametrize("kind", ["damaged", "without a place"])
def test_an_upload_that_is_no_part_leaves_its_reason(cloud: CloudUnderTest, kind: str) -> None:
    content = encode_model(table_model(2))
    cloud.put(batch_model_key(digest_of(content)), content)
    key = part_key(digest_of(content), "0" * 64) if kind == "damaged" else f"{BATCHES}mine/e2e.npy"
    cloud.put(key, b"not what it should be")
    listing = {"Bucket": cloud.names.bucket, "Prefix": prediction_key(key)}
    eventually(lambda: cloud.s3.list_objects_v2(**listing).get("Contents"), f"an answer to {key}")
    answer = cloud.s3.get_object(Bucket=cloud.names.bucket, Key=prediction_key(key))["Body"].read()
    assert ("SHA-256 is not the one" if kind == "damaged" else "expected prediction_input/batches/") in str(
        reason_in(answer)
    )
