"""A stepped run on the command line: begun, let go on, shown, stopped, resumed."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from lnn.aws.invoker import Invoker
from lnn.errors import NonRetryable
from lnn.messages import Message
from support.plans import plan

if TYPE_CHECKING:
    from pathlib import Path

    from support.aws_account import RunCli, World

RUN = "20261121T101500Z-0a1b2c3d"
PLAN = plan(sizes=[5, 4, 1], activations=["tanh", "sigmoid"], stepped=True)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What reaches the Trainer."""
    messages: list[Message] = []
    monkeypatch.setattr(Invoker, "invoke_trainer", lambda _, message: messages.append(message))
    return messages


@pytest.fixture
def paused(world: World, sent: list[Message]) -> World:
    """A run that waits after layer 1's forward step."""
    world.open_run(RUN)
    facts: Any = {"settings": {"step": True}, "plan": PLAN.as_json(), "strategy": "neuron", "epochs": PLAN.epochs}
    assert world.ledger.describe(RUN, **facts, checkpoint={"epoch": 0, "key": "runs/c.npz"})
    assert world.ledger.claim(RUN, 1, "trainer")
    pause(world, 1)
    return world


def pause(world: World, layer: int) -> None:
    """The run waits after a forward step."""
    place: Any = {"epoch": 1, "batch": 0, "after": "forward", "layer": layer}
    assert world.ledger.pause(RUN, 1, {"number": layer, "generation": 1, "since": 1e9, **place})


def test_train_with_step_uploads_that_and_says_how_to_go_on(
    cli: RunCli, world: World, dataset: Path, parameters: Path
) -> None:
    def accept() -> None:
        assert world.ledger.describe(RUN, strategy="neuron", settings={"step": True})

    world.script = [world.launch, accept]
    result = cli("train", dataset, "-p", parameters, "--strategy", "neuron", "--step")
    assert result.exit_code == 0, result.output
    assert f"it waits at each step: lnn view {RUN} --target aws, or lnn step {RUN} --target aws" in result.stderr
    bucket = world.s3.list_buckets()["Buckets"][0]["Name"]
    key = next(key for key in world.stored() if key.endswith(".json"))
    uploaded = json.loads(world.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert (uploaded["strategy"], uploaded["step"]) == ("neuron", True)


def test_step_lets_the_run_go_on_and_says_where_it_waits_then(cli: RunCli, paused: World, sent: list[Message]) -> None:
    paused.script = [partial(pause, paused, 2)]
    result = cli("step", RUN)
    assert result.exit_code == 0, result.output
    assert result.stdout == "epoch 1: layer 2 forward has been computed: 1 neuron; next: the cost\n"
    assert sent == [Message(RUN, 1, "forward", 1, 0, 1)]
    assert paused.run(RUN).steps_allowed == 1


def test_step_takes_many_steps_or_whole_epochs_and_prints_json(cli: RunCli, paused: World) -> None:
    paused.script = [partial(pause, paused, 2)]
    result = cli("step", RUN, "--count", 1, "--json")
    assert json.loads(result.stdout) == {
        "run_id": RUN,
        "status": "RUNNING",
        "epoch": 0,
        "waits": {"done": "epoch 1: layer 2 forward has been computed: 1 neuron", "next": "the cost"},
    }
    paused.script = []
    assert "goes on; see where it is: lnn show" in cli("step", RUN, "--epochs", 2).stderr
    assert paused.run(RUN).steps_allowed == 2 * 5
    refused = cli("step", RUN, "--epochs", 2, "--count", 3)
    assert (refused.exit_code, "give one of them" in refused.stderr) == (1, True)


def test_a_waiting_run_is_shown_as_one_and_not_as_quiet(cli: RunCli, paused: World) -> None:
    shown = cli("show", RUN).stdout
    assert "layer 1 forward has been computed: 4 neurons; next: layer 2 forward" in shown.replace("\n", " ")
    assert "no sign of life" not in shown
    assert "waits for its next step" in cli("runs").stdout
    public = json.loads(cli("show", RUN, "--json").stdout)
    assert (public["paused"]["number"], public["paused"]["after"], "steps_allowed" in public) == (1, "forward", False)
    assert paused.run(RUN).is_paused


def test_a_stop_wakes_the_run_that_waits(cli: RunCli, paused: World, sent: list[Message]) -> None:
    assert cli("stop", RUN).exit_code == 0
    assert sent == [Message(RUN, 1, "forward", 1, 0, 1)]
    assert not paused.run(RUN).is_paused
    refused = cli("step", RUN)
    assert (refused.exit_code, "it is asked to stop" in refused.stderr) == (1, True)


def test_who_may_stop_runs_need_not_be_allowed_to_call_functions(
    cli: RunCli, paused: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NonRetryable("AWS refuses to invoke lnn-trainer")

    monkeypatch.setattr(Invoker, "invoke_trainer", refuse)
    assert cli("stop", RUN).exit_code == 0
    assert paused.run(RUN).stop_requested


def test_a_stopped_run_is_resumed_without_its_steps_or_with_them(
    cli: RunCli, paused: World, sent: list[Message]
) -> None:
    for option, stepped in (("--no-step", False), ("--step", True)):
        paused.end(RUN, "STOPPED", "asked")
        assert cli("resume", RUN, option).exit_code == 0
        run = paused.run(RUN)
        assert (run.is_stepped, run.parsed_plan.stepped) == (stepped, stepped)
        assert sent[-1] == Message(RUN, run.generation + 1, "start")
        assert paused.ledger.claim(RUN, run.generation + 1, "trainer")
