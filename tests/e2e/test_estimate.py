"""``lnn estimate`` and its calibration, on a running cloud."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lnn.names import LATEST_PARAMS, is_calibration
from support.e2e_cloud import CloudUnderTest
from support.e2e_jobs import encode, network, pictures

PICTURES = pictures()
PARAMETERS = network(4, 1, hidden="relu", epochs=2000, learning_rate=0.05)


@pytest.fixture
def job(tmp_path: Path) -> list[Path | str]:
    dataset, parameters = tmp_path / "datasets.h5", tmp_path / "parameters.json"
    dataset.write_bytes(encode(PICTURES))
    parameters.write_text(json.dumps(PARAMETERS))
    return [dataset, "--parameters", parameters]


def test_an_estimate_has_every_strategy_and_what_auto_picks_is_what_a_run_does(
    cloud: CloudUnderTest, job: list[Path | str]
) -> None:
    estimate = cloud.lnn_json("estimate", *job, "--target", "aws")
    assert {row["strategy"] for row in estimate["rows"]} == {"neuron", "fused", "resident", "data"}
    run = cloud.run(cloud.lnn_json("train", *job, "--wait")["run_id"])
    assert run.strategy == estimate["auto"]["strategy"]
    assert run.estimate["seconds"] == pytest.approx(estimate["auto"]["seconds"]["total"])
    assert "expected on AWS" in cloud.lnn("show", run.run_id).stdout


def test_calibration_measures_this_cloud_and_leaves_the_latest_model_alone(
    cloud: CloudUnderTest, job: list[Path | str]
) -> None:
    trained = cloud.lnn_json("train", *job, "--strategy", "fused", "--wait")
    before = cloud.s3.get_object(Bucket=cloud.names.bucket, Key=LATEST_PARAMS)["ETag"]

    estimate = cloud.lnn_json("estimate", *job, "--calibrate")

    assert cloud.s3.get_object(Bucket=cloud.names.bucket, Key=LATEST_PARAMS)["ETag"] == before
    assert set(estimate["calibration"]["corrections"]) == {"neuron", "fused", "resident", "data"}
    (fused,) = [row for row in estimate["rows"] if row["strategy"] == "fused"]
    # Within a factor of 1.5 on a machine at rest; tests share theirs with others.
    assert fused["seconds"]["total"] / 4 < trained["seconds"]["total"] < fused["seconds"]["total"] * 4
    for run_id in (run_id for runs in estimate["calibration"]["runs"].values() for run_id in runs):
        run = cloud.run(run_id)
        assert is_calibration(run.dataset_key)
        assert run.status in {"COMPLETED", "STOPPED", "FAILED"}
