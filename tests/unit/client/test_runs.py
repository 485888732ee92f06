"""A program trains, follows and predicts through the client, and nothing appears on its terminal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from lnn.aws.invoker import Invoker
from lnn.errors import RunStateError
from lnn.messages import Message
from lnn_client import Cloud
from lnn_client.errors import Ambiguous, FollowTimeout, NoModel, NotFound, RunNotOpened
from lnn_client.evaluations import evaluate_run
from lnn_client.models import load_model, model_of_run
from lnn_client.progress import follow, settled
from lnn_client.runs import result
from lnn_client.uploads import upload_training, wait_for_run
from support.aws_account import UPLOADED_RUN
from support.plans import plan

if TYPE_CHECKING:
    from pathlib import Path

    from support.aws_account import World

OLD, NEW = "20261121T101000Z-00000001", "20261121T102000Z-00000002"


@pytest.fixture
def cloud() -> Cloud:
    return Cloud("aws")


def test_a_training_is_silent_from_its_upload_to_its_model(
    cloud: Cloud, world: World, dataset: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sent: list[int] = []
    world.script = [world.launch]
    uploaded = upload_training(cloud, dataset, b"{}", sent=sent.append)
    run_id = wait_for_run(cloud, uploaded).run_id
    world.accept()
    world.script = [partial(world.train, run_id, 2), partial(world.end, run_id)]
    *_, last = follow(cloud.ledger, run_id)
    outcome = result(settled(cloud.ledger, last.run))
    assert (run_id, sum(sent)) == (UPLOADED_RUN, dataset.stat().st_size)
    assert (outcome["status"], outcome["final_cost"]) == ("COMPLETED", 0.25)
    assert [row.cost for row in last.history] == [1.0, 0.5]
    assert capfd.readouterr() == ("", "")


def test_a_model_and_its_test_examples_are_read_in_silence(
    cloud: Cloud, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.train_whole(NEW)
    run = cloud.find_run(NEW)
    model = model_of_run(cloud, run)
    assert load_model(NEW, lambda: cloud).run_id == model.run_id == NEW
    assert sum(map(sum, evaluate_run(cloud, run, model).evaluation.confusion)) == 10
    assert capfd.readouterr() == ("", "")


def test_an_upload_that_opens_no_run_names_where_to_look(cloud: Cloud, world: World, dataset: Path) -> None:
    with pytest.raises(RunNotOpened, match=r"no run was opened within 60 s; .* the queue lnn-launch-dlq$"):
        wait_for_run(cloud, upload_training(cloud, dataset, None))


def test_a_run_that_goes_on_too_long_comes_with_its_last_state(cloud: Cloud, world: World) -> None:
    world.open_run(NEW)
    with pytest.raises(FollowTimeout) as caught:
        list(follow(cloud.ledger, NEW, timeout=3))
    assert (caught.value.run.status, caught.value.timeout) == ("PENDING", 3)


@pytest.mark.parametrize("wanted", ["latest", "2026", "nobody", ""])
def test_a_run_that_does_not_exist_is_not_found(cloud: Cloud, world: World, wanted: str) -> None:
    with pytest.raises(NotFound) as caught:
        cloud.find_run(wanted)
    assert caught.value.kind == "run"


def test_the_start_of_an_id_finds_the_run_that_alone_has_it(cloud: Cloud, world: World) -> None:
    for run_id in (OLD, NEW):
        world.open_run(run_id)
    assert cloud.find_run("20261121T1010").run_id == OLD
    assert cloud.find_run().run_id == NEW
    with pytest.raises(Ambiguous, match="fits 2 runs"):
        cloud.find_run("20261121")


def test_a_run_without_a_model_says_so(cloud: Cloud, world: World) -> None:
    world.open_run(NEW)
    with pytest.raises(NoModel, match="PENDING and has no model"):
        model_of_run(cloud, cloud.find_run(NEW))


def test_resuming_sends_the_trainer_the_next_generation(
    cloud: Cloud, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[Message] = []
    monkeypatch.setattr(Invoker, "invoke_trainer", lambda _, message: messages.append(message))
    world.open_run(NEW)
    world.train(NEW, 1)
    world.end(NEW, "STOPPED", "asked")
    generation = cloud.resume(NEW)
    assert messages == [Message(NEW, generation, "start")]


def test_a_run_that_waits_is_let_go_on_from_python(cloud: Cloud, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[Message] = []
    monkeypatch.setattr(Invoker, "invoke_trainer", lambda _, message: messages.append(message))
    world.open_run(NEW)
    facts: Any = {"settings": {"step": True}, "plan": plan().as_json(), "strategy": "neuron"}
    assert world.ledger.describe(NEW, **facts, checkpoint={"epoch": 0, "key": "k"})
    assert world.ledger.claim(NEW, 1, "trainer")
    paused: Any = {"number": 1, "generation": 1, "since": 1.0, "epoch": 1, "batch": 0, "after": "forward", "layer": 1}
    assert world.ledger.pause(NEW, 1, paused)
    assert cloud.run(NEW).step(2).record.steps_allowed == 2
    cloud.run(NEW).stop()
    assert messages == 2 * [Message(NEW, 1, "forward", 1, 0, 1)]
    with pytest.raises(RunStateError, match="asked to stop"):
        cloud.run(NEW).step()
