"""A run that goes on with more epochs: the same bits as a run that had them from the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lnn.aws.invoker import Invoker
from lnn.errors import RunStateError
from lnn.messages import Message
from support.aws_account import run_cli, surroundings
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset

__all__ = ["surroundings"]

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.5,
    "optimizer": "momentum",
    "record_every": 2,
    "strategy": "fused",
}
WAYS: dict[str, dict[str, Any]] = {
    "fused": {"validation": 0.3, "batch_size": 4},
    "example space": {"validation": 0.3},
    "resident": {"strategy": "resident", "workers": 2, "optimizer": "adam"},
    "data": {"strategy": "data", "workers": 3, "validation": 0.3, "batch_size": 4},
    "neuron": {"strategy": "neuron", "validation": 0.3, "schedule": {"kind": "step", "every": 2, "factor": 0.5}},
}


def launched(cloud: InProcessCloud, tmp_path: Path, **changes: Any) -> str:
    features = changes.pop("features", 5)
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5", features=features), PARAMETERS | changes)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    return upload.run_id


def ended(cloud: InProcessCloud, tmp_path: Path, **changes: Any) -> Any:
    return cloud.run_to_end(launched(cloud, tmp_path, **changes))


@pytest.mark.parametrize("way", WAYS)
def test_a_completed_run_goes_on_to_the_bits_of_a_longer_one(way: str, cloud: InProcessCloud, tmp_path: Path) -> None:
    changes = WAYS[way] | {"features": 200 if way == "example space" else 5}
    whole = ended(cloud, tmp_path, **changes, epochs=9)
    run = ended(cloud, tmp_path, **changes)
    assert (run.status, run.epoch) == ("COMPLETED", 3)
    cloud.queue.invoke_trainer(Message(run.run_id, cloud.services.ledger.reopen(run.run_id, 6), "start"))
    assert cloud.run_to_end(run.run_id).epoch == 6
    cloud.queue.invoke_trainer(Message(run.run_id, cloud.services.ledger.reopen(run.run_id, 9), "start"))
    longer = cloud.run_to_end(run.run_id)
    assert (longer.status, longer.epoch, longer.epochs, longer.settings["epochs"]) == ("COMPLETED", 9, 9, 9)
    if whole.plan["formulation"] == longer.plan["formulation"]:
        assert cloud.outcome(run.run_id) == cloud.outcome(whole.run_id)
    assert [row.epoch for row in cloud.services.ledger.history(run.run_id)] == [2, 4, 6, 8, 9]
    assert longer.final_cost == pytest.approx(whole.final_cost, rel=1e-9)


def test_the_command_lets_it_go_on(cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ended(cloud, tmp_path)
    monkeypatch.setattr(Invoker, "_invoke", lambda _, __, message: cloud.queue._invoke("trainer", message))
    result = run_cli("resume", run.run_id, "--epochs", "5")
    assert result.exit_code == 0, result.output
    assert cloud.run_to_end(run.run_id).epoch == 5
    story = [event["what"] for event in cloud.run(run.run_id).events]
    assert "resumed, to train 5 epochs in all" in story


@pytest.mark.parametrize(
    ("changes", "epochs", "expected"),
    [
        ({}, 3, "found epochs 3; expected more than the 3 that it has trained"),
        ({"threshold": 100.0}, 9, "it ended before its last epoch (the cost"),
        ({"schedule": {"kind": "cosine"}}, 9, "its schedule, cosine, spreads over all epochs"),
        ({}, 10_000_001, "epochs: found 10000001; expected an integer from 1 to 10000000"),
    ],
)
def test_a_run_that_gains_nothing_by_it_is_left_as_it_is(
    changes: dict[str, Any], epochs: int, expected: str, cloud: InProcessCloud, tmp_path: Path
) -> None:
    run = ended(cloud, tmp_path, **changes)
    result = run_cli("resume", run.run_id, "--epochs", str(epochs))
    assert result.exit_code == 1
    assert expected in " ".join(result.output.split())
    assert cloud.run(run.run_id) == run


def test_a_completed_run_whose_files_are_gone_stays_completed(cloud: InProcessCloud, tmp_path: Path) -> None:
    run = ended(cloud, tmp_path)
    cloud.s3.delete_object(Bucket=NAMES.bucket, Key=run.checkpoint["key"])
    result = run_cli("resume", run.run_id, "--epochs", "5")
    assert result.exit_code == 1
    assert "is deleted, as the files of an ended run are after some days" in " ".join(result.output.split())
    assert cloud.run(run.run_id) == run


def test_without_a_number_a_completed_run_does_not_go_on(cloud: InProcessCloud, tmp_path: Path) -> None:
    run = ended(cloud, tmp_path)
    with pytest.raises(RunStateError, match="only a FAILED or STOPPED run can be; name a higher number of epochs"):
        cloud.services.ledger.reopen(run.run_id)
