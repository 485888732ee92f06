"""The end of a run under zombies: a writer stops at a chosen call, others go on, then it wakes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from lnn.errors import NonRetryable
from lnn.messages import Message
from lnn.models.store import Artifacts
from lnn.names import LATEST_PARAMS, LATEST_RESULTS, params_key, results_key
from lnn.runs import finalize
from lnn.runs.store import Ledger
from support.crashes import killed
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset
from support.zombies import frozen

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS = {
    "epochs": 6,
    "layers": 2,
    "neurons": {"layer1": 3, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "strategy": "fused",
}


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> Callable[..., str]:
    """Launches a run; its start message is the queue's only one."""

    def launched(**changes: Any) -> str:
        cloud.queue.messages.clear()
        upload = cloud.upload(tiny_dataset(tmp_path / "datasets.h5"), PARAMETERS | changes)
        assert cloud.launch(upload) == "launched"
        return upload.run_id

    return launched


def start(cloud: InProcessCloud, run_id: str, generation: int) -> Callable[[], None]:
    return lambda: cloud.deliver("trainer", Message(run_id, generation, "start"))


def resume(cloud: InProcessCloud, run_id: str) -> None:
    """Resume the run and train it to its end."""
    start(cloud, run_id, cloud.services.ledger.reopen(run_id))()


def carried_out(cloud: InProcessCloud, run_id: str) -> None:
    """The watch finds nothing more to do."""
    cloud.run_to_end(run_id)


ENDING = {
    "the checkpoint is stored": (Artifacts, "put_checkpoint"),
    "the model is stored": (Artifacts, "put_model"),
    "the end is written": (Ledger, "finish"),
    "the model is published": (Artifacts, "publish"),
    "the end is noted as carried out": (Ledger, "close"),
}


@pytest.mark.parametrize("before", ENDING)
def test_a_writer_that_wakes_after_the_run_was_stopped_resumed_and_completed_changes_nothing(
    before: str, cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    expected = cloud.outcome(cloud.run_to_end(launch()).run_id)
    run_id, ledger = launch(), cloud.services.ledger
    ledger.request_stop(run_id)
    with frozen(*ENDING[before], start(cloud, run_id, 1)) as zombie:
        if not cloud.run(run_id).has_ended:  # its successor ends the run
            cloud.let_leases_expire(run_id)
            start(cloud, run_id, 2)()
        assert cloud.run(run_id).status == "STOPPED"
        resume(cloud, run_id)
        completed, latest = cloud.run(run_id), cloud.read(LATEST_PARAMS)
        zombie.thaw()
    carried_out(cloud, run_id)
    run = cloud.run(run_id)
    assert (run.status, run.ended_model) == ("COMPLETED", completed.ended_model)
    assert cloud.outcome(run_id) == expected
    assert cloud.read(params_key(run_id)) == cloud.read(LATEST_PARAMS) == latest
    results = json.loads(cloud.read(results_key(run_id)))
    assert (results["status"], results["epochs"]) == ("COMPLETED", 6)
    assert cloud.read(LATEST_RESULTS) == cloud.read(results_key(run_id))


def test_an_undisturbed_end_takes_few_calls_and_reads_nothing_back(
    cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    cloud.run_to_end(launch())  # the latest copies are there
    run_id, keys = launch(), Counter[str]()
    writes: list[str] = []
    cloud.s3.meta.events.register("before-call.s3", lambda model, **_: keys.update([model.name]))
    cloud.s3.meta.events.register(
        "provide-client-params.s3.PutObject", lambda params, **_: writes.append(params["Key"].partition("/")[0])
    )
    start(cloud, run_id, 1)()
    assert cloud.run(run_id).status == "COMPLETED"
    assert {name: keys[name] for name in ("PutObject", "HeadObject", "CopyObject")} == {
        "PutObject": 6,
        "HeadObject": 2,
        "CopyObject": 0,
    }
    assert writes[:3] == ["runs", "runs", "prediction_input"], "checkpoint, model, and then its copy"


def test_a_run_that_completes_before_another_one_was_published_stays_the_latest(
    cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    first = launch()
    with killed("finish", after=True):
        start(cloud, first, 1)()
    assert (cloud.run(first).status, cloud.run(first).closing) == ("COMPLETED", True)
    second = launch(learning_rate=0.2)
    start(cloud, second, 1)()
    carried_out(cloud, first)
    assert cloud.read(LATEST_PARAMS) == cloud.read(params_key(second)) != cloud.read(params_key(first))
    assert json.loads(cloud.read(LATEST_RESULTS))["run_id"] == second


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_copies_of_which_the_watch_makes_the_rest_are_of_one_content(
    copies: int, cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    run_id = launch()
    with killed("publish", after=True, countdown=copies):
        start(cloud, run_id, 1)()
    assert cloud.run(run_id).closing
    carried_out(cloud, run_id)
    assert cloud.read(LATEST_PARAMS) == cloud.read(params_key(run_id))
    assert cloud.read(LATEST_RESULTS) == cloud.read(results_key(run_id))


def test_a_run_resumed_while_its_end_is_carried_out_has_its_next_end_told(
    cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    run_id, ledger = launch(), cloud.services.ledger
    cloud.messages_sent()
    ledger.request_stop(run_id)
    with frozen(Ledger, "close", start(cloud, run_id, 1)) as zombie:
        with killed("finish", after=True):
            resume(cloud, run_id)
        assert cloud.run(run_id).status == "COMPLETED"
        zombie.thaw()
        assert (cloud.run(run_id).told, cloud.run(run_id).closing) == (False, True)
    carried_out(cloud, run_id)
    stopped, completed = sorted(cloud.messages_sent(), reverse=True)
    assert (stopped[:21], completed[:23]) == ("LNN: training stopped", "LNN: training completed")


@pytest.mark.parametrize("before", ["publish", "freed_workers"])
def test_an_end_that_another_one_carries_out_meanwhile_is_told_once(
    before: str, cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    run_id = launch()
    cloud.messages_sent()
    with killed("finish", after=True):
        start(cloud, run_id, 1)()
    ended = cloud.run(run_id)
    with frozen(finalize, before, lambda: finalize.close(cloud.services, ended)) as zombie:
        carried_out(cloud, run_id)
        zombie.thaw()
    (message,) = cloud.messages_sent()
    assert message.startswith("LNN: training completed")


def test_a_run_that_ends_twice_under_one_generation_has_two_ends(
    cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    run_id, ledger = launch(), cloud.services.ledger
    first = ledger.finish(run_id, 0, "FAILED", "the Trainer cannot be invoked")
    ledger.reopen(run_id)
    second = ledger.finish(run_id, 0, "FAILED", "still not")
    assert first is not None
    assert second is not None
    assert (first.ends, second.ends) == (1, 2)
    assert not ledger.close(first)
    assert ledger.close(second)


def test_a_copy_that_may_not_be_written_is_made_by_the_watch_once_it_may(
    cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    run_id = launch()
    put = Artifacts._put

    def refused(self: Artifacts, key: str, *arguments: Any, **named: Any) -> None:
        if not key.startswith("runs/"):
            raise NonRetryable(f"not allowed to write {key}")
        put(self, key, *arguments, **named)

    with patch.object(Artifacts, "_put", refused):
        start(cloud, run_id, 1)()
        for _ in range(2):
            cloud.let_leases_expire(run_id)
            cloud.deliver("trainer", Message("", 0, "watch"))
    run = cloud.run(run_id)
    assert (run.status, run.closing, run.told) == ("COMPLETED", True, True)
    notes = [event["what"] for event in run.events if "not published" in event["what"]]
    assert notes == [f"the model is not published yet: not allowed to write {params_key(run_id)}"]
    carried_out(cloud, run_id)
    assert cloud.read(params_key(run_id)) == cloud.read(LATEST_PARAMS)
    assert [subject[:23] for subject in cloud.messages_sent()].count("LNN: training completed") == 1


def test_an_end_that_a_trainer_of_the_release_before_left_undone_is_carried_out(
    cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    """That one wrote model and results under the run's name before the end, and counted no ends."""
    run_id = launch()
    with patch.object(finalize, "close"):
        start(cloud, run_id, 1)()
    run = cloud.run(run_id)
    assert run.ended_model is not None
    cloud.put(params_key(run_id), model := cloud.read(run.ended_model["key"]))
    cloud.put(results_key(run_id), results := b'{"run_id": "it"}')
    cloud.dynamodb.update_item(
        TableName=NAMES.runs_table,
        Key={"run_id": {"S": run_id}},
        UpdateExpression="REMOVE ends, ended_model, last_write",
    )
    carried_out(cloud, run_id)
    assert (cloud.read(LATEST_PARAMS), cloud.read(LATEST_RESULTS)) == (model, results)
    assert (cloud.read(params_key(run_id)), cloud.read(results_key(run_id))) == (model, results)
    assert len([subject for subject in cloud.messages_sent() if "completed" in subject]) == 1
