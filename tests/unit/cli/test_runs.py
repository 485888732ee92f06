"""``lnn runs``, ``show``, ``history``, ``watch``, ``stop`` and ``resume``."""

from __future__ import annotations

import json
import re
import time
from functools import partial
from typing import TYPE_CHECKING

import boto3
import pytest

from lnn.aws.invoker import Invoker
from lnn.messages import Message
from lnn_client.runs import result
from support import stored_runs
from support.aws_account import LAUNCHED, NAMES

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

OLD, NEW = "20261101T080000Z-aaaaaaaa", "20261102T090000Z-bbbbbbbb"
NAMED = "20261103T090000Z-cccccccc"


@pytest.fixture
def two_runs(world: World) -> World:
    """An old run that completed, and a new one that is training."""
    for run_id in (OLD, NEW):
        world.open_run(run_id)
        world.accept(run_id)
    world.train(OLD, 4)
    world.end(OLD)
    world.train(NEW, 1)
    return world


def test_runs_lists_the_newest_first(cli: RunCli, two_runs: World) -> None:
    result = cli("runs")
    assert result.exit_code == 0
    heading, first, second = result.stdout.splitlines()
    assert heading.split()[:3] == ["run", "status", "strategy"]
    assert first.split()[:4] == [NEW, "RUNNING", "fused", "1/4"]
    assert second.split() == [OLD, "COMPLETED", "fused", "4/4", "0.25", "90.0%", "80.0%", "-"]


def test_a_run_that_goes_on_has_the_same_figures_in_runs_show_history_and_watch(cli: RunCli, two_runs: World) -> None:
    figures = ["1", "60.0%", "50.0%"]
    assert cli("runs").stdout.splitlines()[1].split()[4:7] == figures
    assert cli("history", NEW).stdout.splitlines()[-1].split()[1:4] == figures
    shown = dict(line.split(maxsplit=1) for line in cli("show", NEW).stdout.splitlines() if line.startswith("cost  "))
    assert shown == {"cost": "1"}
    assert [line.split()[-1] for line in cli("show", NEW).stdout.splitlines() if " accuracy " in line] == figures[1:]
    assert "cost 1  train 60.0%  test 50.0%" in cli("watch", NEW, "--timeout", "1").stderr


def test_a_resumed_run_has_the_figures_of_now_and_not_those_of_its_end_before(cli: RunCli, two_runs: World) -> None:
    two_runs.ledger.reopen(OLD, 9)
    two_runs.train(OLD, 5)
    assert cli("runs").stdout.splitlines()[2].split()[3:7] == ["5/9", "0.2", "100.0%", "90.0%"]
    shown = cli("show", OLD).stdout
    assert re.search(r"^cost +0\.2$", shown, re.MULTILINE)
    assert "final cost" not in shown


def test_the_newest_row_of_a_run_that_records_few_epochs_is_found(cli: RunCli, two_runs: World) -> None:
    run_id = NAMED
    two_runs.open_run(run_id)
    assert two_runs.ledger.describe(run_id, **{**LAUNCHED, "settings": {**LAUNCHED["settings"], "record_every": 3}})
    two_runs.train(run_id, 3)
    two_runs.ledger.renew(run_id, 1, epoch=5, cost=0.125)
    assert cli("runs").stdout.splitlines()[1].split()[4:7] == ["0.125", "80.0%", "70.0%"]


def test_a_run_that_goes_on_counts_the_invocations_of_its_neurons_everywhere(cli: RunCli, two_runs: World) -> None:
    two_runs.ledger.renew(NEW, 1, step_invocations=40)
    counted = two_runs.run(NEW).use["invocations"]
    assert counted > 40
    assert f"invocations  {counted}\n" in re.sub(" +", "  ", cli("show", NEW).stdout)
    assert json.loads(cli("show", NEW, "--json").stdout)["invocations"] == counted
    assert json.loads(cli("runs", "--json").stdout)[0]["invocations"] == counted
    assert result(two_runs.run(NEW))["invocations"] == counted
    (row,) = cli("runs", "--columns", "invocations", "--where", "invocations>40").stdout.splitlines()[1:]
    assert row.split() == [NEW, str(counted)]


def test_a_run_that_waits_tells_its_place(cli: RunCli, two_runs: World) -> None:
    two_runs.open_run(waiting := "20261103T090000Z-cccccccc", reason="waiting for capacity, place 3")
    assert "waiting for capacity, place 3" in cli("runs").stdout.splitlines()[1]
    assert "waiting for capacity, place 3" in cli("show", waiting).stdout


def test_runs_json_is_a_list_of_runs(cli: RunCli, two_runs: World) -> None:
    printed = json.loads(cli("runs", "--json", "--limit", "1").stdout)
    assert [run["run_id"] for run in printed] == [NEW]
    assert printed[0]["settings"]["neurons"] == {"layer1": 3, "layer2": 1}
    assert "owner" not in printed[0]


@pytest.fixture
def named_runs(two_runs: World) -> World:
    """Beside the two, a run with a name and tags that a terminal could take for markup."""
    settings = {**two_runs.run(OLD).settings, "name": "Wide [x]", "tags": ["sweep", "[b]"]}
    two_runs.open_run(NAMED, settings=settings)
    return two_runs


def test_runs_shows_names_and_tags_where_there_are_any(cli: RunCli, named_runs: World) -> None:
    heading, first, *others = cli("runs").stdout.splitlines()
    assert heading.split()[-2:] == ["name", "tags"]
    assert "Wide [x]" in first
    assert "sweep, [b]" in first
    assert [line.split()[0] for line in others] == [NEW, OLD]
    shown = cli("show", NAMED).stdout
    assert "Wide [x]" in shown
    assert "sweep, [b]" in shown


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--name", "wide"), [NAMED]),
        (("--tag", "sweep"), [NAMED]),
        (("--tag", "sweep", "--tag", "[b]", "--name", "[X]"), [NAMED]),
        (("--tag", "sweep", "--tag", "other"), []),
        (("--tag", "swee"), []),
        (("--name", "narrow"), []),
    ],
)
def test_runs_finds_by_a_part_of_the_name_and_by_whole_tags(
    cli: RunCli, named_runs: World, options: tuple[str, ...], found: list[str]
) -> None:
    assert [run["run_id"] for run in json.loads(cli("runs", "--json", *options).stdout)] == found
    answer = cli("runs", *options)
    assert ("none of the 3 runs is such a one" in answer.stderr) == (not found)


def test_runs_that_a_condition_picks_in_the_order_of_a_figure(cli: RunCli, two_runs: World) -> None:
    answer = cli("runs", "--where", "epochs>=1, status!=FAILED", "--sort", "epoch", "--columns", "epoch,learning_rate")
    rows = [line.split() for line in answer.stdout.splitlines()]
    assert rows[0] == ["run", "epoch", "learning_rate"]
    assert [row[:2] for row in rows[1:]] == [[NEW, "1"], [OLD, "4"]]
    best = json.loads(cli("runs", "--sort", "test_accuracy", "--json").stdout)
    assert [run["run_id"] for run in best] == [OLD, NEW]  # the other has none yet


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("status=COMPLETED", [OLD]),
        ("status!=COMPLETED", [NEW]),
        ("status~complet", [OLD]),
        ("epoch<2", [NEW]),
        ("epoch<=4,epoch>1", [OLD]),
        ("epoch=4.0", [OLD]),
        ("patience=null,neurons.layer1>0", [NEW, OLD]),
        ("final_cost>0", [OLD]),
    ],
)
def test_a_condition_compares_numbers_as_numbers_and_texts_as_texts(
    cli: RunCli, two_runs: World, where: str, found: list[str]
) -> None:
    assert [run["run_id"] for run in json.loads(cli("runs", "--where", where, "--json").stdout)] == found


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--where", "status"], "expected a name, one of"),
        (["--where", "epoch>many"], "expected a number"),
        (["--sort", "speed"], "no run has 'speed'"),
    ],
)
def test_a_condition_that_is_none_is_one_clear_error(
    cli: RunCli, two_runs: World, arguments: list[str], problem: str
) -> None:
    answer = cli("runs", *arguments)
    assert answer.exit_code == 1
    assert problem in answer.stderr


def test_show_tells_what_was_expected_beside_what_it_took(cli: RunCli, world: World) -> None:
    world.open_run(OLD, usd=0.0123, estimate={"seconds": 75.0, "usd": 0.0125})
    lines = cli("show", OLD).stdout.splitlines()
    (took,) = [number for number, line in enumerate(lines) if line.startswith("cost of it")]
    assert "$0.012300" in lines[took]
    assert lines[took + 1].split(maxsplit=3)[:3] == ["expected", "on", "AWS"]
    assert "1 min 15 s and $0.012500" in lines[took + 1]


def test_no_run_yet_is_no_error_and_tells_how_to_start_one(cli: RunCli, world: World) -> None:
    result = cli("runs")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "lnn train DATASET.h5" in result.stderr
    assert json.loads(cli("runs", "--json").stdout) == []


def test_show_tells_strategy_figures_settings_events_and_model(cli: RunCli, two_runs: World) -> None:
    result = cli("show", OLD)
    assert result.exit_code == 0
    for part in (
        "COMPLETED",
        "fused (it fits one function)",
        "16-3-1",
        "8 for training, 4 for testing; 16 features, 2 classes",
        "80.0%",
        "500 ms an epoch",
        f"prediction_input/{OLD}/params.h5",
        "learning_rate  0.1",
        "layer1 relu, layer2 sigmoid",
        "generation 1 started",
    ):
        assert part in result.stdout


def test_show_tells_who_took_a_run_over_why_and_what_that_cost(cli: RunCli, two_runs: World) -> None:
    ledger = two_runs.ledger
    ledger.renew(NEW, 1, epoch=3, checkpoint={"epoch": 1, "key": "k"})
    ledger.give_up(NEW, 1, "worker 0: worker 1 has left")
    run = ledger.claim(NEW, 2, "owner")
    assert run is not None
    ledger.go_back(run)
    shown = " ".join(cli("show", NEW).stdout.split())
    took_over = r"generation 2 took over, \d\.\d s after the last sign of life: worker 0: worker 1 has left"
    assert re.search(took_over, shown)
    assert "epochs 2 to 3 are trained again: the checkpoint is of epoch 1" in shown
    assert re.search(r"taken over once, after \d\.\d s in all with nobody at work; 2 epochs trained again", shown)
    printed = json.loads(cli("show", NEW, "--json").stdout)
    assert printed["disturbances"]["takeovers"] == 1
    assert printed["disturbances"]["repeated_epochs"] == 2
    took_over, repeated = printed["events"][-2:]
    assert (took_over["generation"], took_over["why"]) == (2, "worker 0: worker 1 has left")
    assert repeated["repeated_epochs"] == 2


def test_show_tells_that_a_run_has_gone_quiet_and_where_to_look(
    cli: RunCli, two_runs: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no sign of life" not in cli("show", NEW).stdout
    later = time.time() + 125
    monkeypatch.setattr("lnn_cli.ui.facts.time.time", lambda: later)
    # At 2 min 05 s, or later on a busy machine.
    assert "no sign of life for 2 min " in cli("show", NEW).stdout
    assert "no sign of life" not in cli("show", OLD).stdout


def test_show_json_has_the_whole_record(cli: RunCli, two_runs: World) -> None:
    printed = json.loads(cli("show", "latest", "--json").stdout)
    assert printed["run_id"] == NEW
    assert printed["events"][0]["what"] == "opened"


@pytest.mark.parametrize(("wanted", "found"), [("latest", NEW), ("20261101", OLD), (OLD, OLD)])
def test_a_run_is_found_by_id_unique_start_or_latest(cli: RunCli, two_runs: World, wanted: str, found: str) -> None:
    assert json.loads(cli("show", wanted, "--json").stdout)["run_id"] == found


def test_an_ambiguous_start_names_the_candidates(cli: RunCli, two_runs: World) -> None:
    result = cli("show", "2026")
    assert result.exit_code == 1
    assert OLD in result.stderr
    assert NEW in result.stderr


@pytest.mark.parametrize("command", ["show", "history", "watch", "stop", "resume"])
def test_an_unknown_run_is_one_line_that_names_it(cli: RunCli, two_runs: World, command: str) -> None:
    result = cli(command, "nope")
    assert result.exit_code == 1
    assert result.stderr == "error: there is no run 'nope'; list them with: lnn runs --target aws\n"


def test_history_json_is_epochs_with_four_figures(cli: RunCli, two_runs: World) -> None:
    printed = json.loads(cli("history", OLD, "--json").stdout)
    assert [row["epoch"] for row in printed] == [1, 2, 3, 4]
    assert printed[1] == {"epoch": 2, "cost": 0.5, "train_accuracy": 0.7, "test_accuracy": pytest.approx(0.6)}


def test_history_json_has_what_accuracies_are_to_be_read_with(cli: RunCli, counted: World) -> None:
    printed = json.loads(cli("history", OLD, "--json").stdout)
    beside = ("base_rate", "balanced_accuracy", "lowest_recall")
    assert list(printed[0]) == ["epoch", "cost", "train_accuracy", "test_accuracy", *beside]
    assert [row["base_rate"] for row in printed] == [0.98] * 4
    of_model = [(row["balanced_accuracy"], row["lowest_recall"]) for row in printed]
    assert of_model == [(None, None)] * 3 + [(0.5, 0.0)]


def test_while_a_run_goes_on_its_history_in_json_has_the_base_rate_alone(cli: RunCli, world: World) -> None:
    world.open_run(OLD)
    dimensions = {**LAUNCHED["dimensions"], "class_counts": {"train": [97, 3], "test": [49, 1]}}
    assert world.ledger.describe(OLD, **{**LAUNCHED, "dimensions": dimensions})
    world.train(OLD, 2)
    printed = json.loads(cli("history", OLD, "--json").stdout)
    assert [list(row)[4:] for row in printed] == [["base_rate"]] * 2


def test_history_table_is_in_order(cli: RunCli, two_runs: World) -> None:
    lines = cli("history", OLD).stdout.splitlines()
    assert lines[0].split() == ["epoch", "cost", "train", "test", "ms"]
    assert lines[2].split() == ["2", "0.5", "70.0%", "60.0%", "250"]
    assert len(lines) == 5


def test_watch_follows_to_the_end_and_succeeds_if_the_run_completes(cli: RunCli, two_runs: World) -> None:
    two_runs.script = [
        partial(two_runs.ledger.renew, NEW, 1, epoch=3, cost=0.3),
        partial(two_runs.ledger.note, NEW, 1, "a neuron was started again"),
        partial(two_runs.end, NEW),
    ]
    result = cli("watch", "latest")
    assert result.exit_code == 0
    assert "RUNNING  epoch 1/4" in result.stderr
    assert "a neuron was started again" in result.stderr
    assert "COMPLETED  epoch 3/4" in result.stderr
    assert f"{NEW} completed 3 epochs" in result.stdout


def test_watch_of_a_run_that_fails_is_exit_status_1(cli: RunCli, two_runs: World) -> None:
    two_runs.script = [partial(two_runs.end, NEW, "FAILED", "the cache was lost")]
    result = cli("watch", NEW)
    assert result.exit_code == 1
    assert "the cache was lost" in result.stderr


def test_watch_in_a_pipe_prints_a_line_only_now_and_then(cli: RunCli, two_runs: World) -> None:
    looks = 90
    two_runs.script = [
        *(partial(two_runs.ledger.renew, NEW, 1, epoch=2 + (i > looks // 2), cost=0.3) for i in range(looks)),
        partial(two_runs.end, NEW),
    ]
    lines = cli("watch", NEW).stderr.splitlines()
    assert 3 <= len(lines) <= 6


def test_watch_waits_until_the_model_is_published(cli: RunCli, two_runs: World) -> None:
    """The status comes first, the latest model and the messages after it."""

    def end_without_closing() -> None:
        assert two_runs.ledger.finish(NEW, 1, "COMPLETED", None)

    def close() -> None:
        ended = two_runs.ledger.get_run(NEW)
        assert ended is not None
        two_runs.ledger.close(ended)

    two_runs.script = [end_without_closing, lambda: None, lambda: None, close]
    assert cli("watch", NEW).exit_code == 0
    assert two_runs.script == []


def test_watch_does_not_wait_for_ever_for_a_trainer_that_died_at_the_end(cli: RunCli, two_runs: World) -> None:
    assert two_runs.ledger.finish(NEW, 1, "COMPLETED", None)
    began = two_runs.now
    assert cli("watch", NEW).exit_code == 0
    assert 15 < two_runs.now - began < 30


def test_stop_asks_and_returns(cli: RunCli, two_runs: World) -> None:
    result = cli("stop", NEW)
    assert result.exit_code == 0
    assert two_runs.run(NEW).stop_requested is True
    assert two_runs.run(NEW).status == "RUNNING"


def test_commands_for_one_run_mean_the_latest_where_none_is_named(
    cli: RunCli, two_runs: World, sent: list[Message]
) -> None:
    assert NEW in cli("stop").stdout
    assert two_runs.run(NEW).stop_requested
    two_runs.end(NEW, status="STOPPED")
    assert cli("resume").exit_code == 0
    assert [message.run_id for message in sent] == [NEW]
    for command in ("show", "history"):
        assert cli(command).stdout == cli(command, NEW).stdout != cli(command, OLD).stdout


def test_stop_wait_succeeds_once_the_run_has_stopped(cli: RunCli, two_runs: World) -> None:
    two_runs.script = [partial(two_runs.end, NEW, "STOPPED", "asked to")]
    result = cli("stop", NEW, "--wait", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["status"] == "STOPPED"


def test_stop_wait_of_a_run_that_completes_first_did_not_do_what_was_asked(cli: RunCli, two_runs: World) -> None:
    two_runs.script = [partial(two_runs.end, NEW)]
    result = cli("stop", NEW, "--wait")
    assert result.exit_code == 1
    assert "completed before it could stop" in result.stderr


def test_stop_of_a_run_that_has_ended_is_refused(cli: RunCli, two_runs: World) -> None:
    result = cli("stop", OLD)
    assert result.exit_code == 1
    assert "COMPLETED" in result.stderr


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Messages to the Trainer."""
    messages: list[Message] = []
    monkeypatch.setattr(Invoker, "invoke_trainer", lambda self, message: messages.append(message))
    return messages


def test_resume_starts_the_next_generation(cli: RunCli, two_runs: World, sent: list[Message]) -> None:
    two_runs.end(NEW, "STOPPED", "asked to")
    result = cli("resume", NEW)
    assert result.exit_code == 0, result.output
    assert sent == [Message(NEW, 2, "start")]
    assert two_runs.run(NEW).status == "PENDING"


def test_resume_wait_follows_to_the_end(cli: RunCli, two_runs: World, sent: list[Message]) -> None:
    two_runs.end(NEW, "FAILED", "crash")
    two_runs.script = [partial(two_runs.train, NEW, 4), partial(two_runs.end, NEW)]
    result = cli("resume", NEW, "--wait", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["epochs"] == 4


def test_resume_of_a_completed_run_is_refused_and_starts_nothing(
    cli: RunCli, two_runs: World, sent: list[Message]
) -> None:
    result = cli("resume", OLD)
    assert result.exit_code == 1
    assert "COMPLETED" in result.stderr
    assert sent == []


def test_a_run_that_never_began_is_not_made_longer(cli: RunCli, two_runs: World, sent: list[Message]) -> None:
    never = f"{NEW}-never"
    two_runs.open_run(never)
    two_runs.end(never, "FAILED", "epochs: missing")
    result = cli("resume", never, "--epochs", "9")
    assert result.exit_code == 1
    assert "it ended before training could start (epochs: missing)" in result.stderr
    assert sent == []


@pytest.mark.parametrize("name", stored_runs.NAMES)
def test_a_run_of_the_release_before_is_shown_byte_for_byte_as_that_release_showed_it(
    cli: RunCli, world: World, name: str
) -> None:
    stored = stored_runs.stored_run(name)
    boto3.client("dynamodb").put_item(TableName=NAMES.runs_table, Item=stored["item"])
    assert cli("show", "latest", "--json").stdout == json.dumps(stored["shown"], indent=2, ensure_ascii=False) + "\n"
    assert json.loads(cli("runs", "--json").stdout) == [stored["shown"]]
    assert result(world.run(stored["item"]["run_id"]["S"])) == stored["result"]


COUNTS = {"examples": [49, 1], "predicted": [50, 0], "right": [49, 0]}
RECALL = "'dark' 100.0%, 'light' 0.0%"
NO_BETTER = "on the test examples the model is no better than always answering 'dark' (98.0%)"


@pytest.fixture
def counted(world: World) -> World:
    """A run whose model answers ``dark`` to everything, which 98% of the examples are."""
    world.open_run(OLD)
    dimensions = {**LAUNCHED["dimensions"], "class_counts": {"train": [97, 3], "test": [49, 1]}}
    assert world.ledger.describe(OLD, **{**LAUNCHED, "dimensions": dimensions})
    world.train(OLD, 4)
    world.end(OLD, test_accuracy=0.98, test_classes=COUNTS)
    return world


def test_wherever_accuracy_is_shown_base_rate_and_recall_stand_beside_it(cli: RunCli, counted: World) -> None:
    shown = cli("show", OLD).stdout
    for line in (
        "test accuracy      98.0%",
        "95% interval       89.5% to 99.6%",
        "base rate          98.0%, by always answering dark",
        "balanced accuracy  50.0%",
        f"recall             {RECALL}",
        f"warning            {NO_BETTER}",
    ):
        assert line in shown
    heading, row = cli("runs").stdout.splitlines()
    assert heading.split()[-5:] == ["seconds", "base", "rate", "lowest", "recall"]
    assert row.split()[-2:] == ["98.0%", "0.0%"]
    history = cli("history", OLD)
    assert "base rate: 97.0% training and 98.0% test" in history.stderr
    assert f"recall of the final model: {RECALL}; balanced accuracy 50.0%" in history.stderr
    watched = cli("watch", OLD)
    assert "test 98.0%  base rate 98.0%  lowest recall 0.0%" in watched.stderr
    assert "test accuracy 98.0%, base rate 98.0%, balanced accuracy 50.0%, recall 'dark' 100.0%" in watched.stdout
    assert f"warning: {NO_BETTER}" in watched.stderr


def test_while_a_run_goes_on_the_base_rate_stands_beside_its_accuracy(cli: RunCli, world: World) -> None:
    world.open_run(OLD)
    counts = {"train": [97, 3], "validation": [24, 1], "test": [49, 1]}
    dimensions = {**LAUNCHED["dimensions"], "validation_examples": 25, "class_counts": counts}
    assert world.ledger.describe(OLD, **{**LAUNCHED, "dimensions": dimensions})
    world.train(OLD, 4)
    told = cli("history", OLD).stderr
    assert "base rate: 97.0% training, 96.0% validation and 98.0% test, by always answering" in told
    assert "recall" not in told
    watched = cli("watch", OLD, "--timeout", "1").stderr
    assert "base rate 98.0%" in watched
    assert "recall" not in watched


def test_a_stopped_run_is_watched_with_its_recall(cli: RunCli, world: World) -> None:
    world.open_run(OLD)
    world.accept(OLD)
    world.train(OLD, 4)
    world.end(OLD, status="STOPPED", final_cost=0.1, test_accuracy=0.98, test_classes=COUNTS)
    watched = cli("watch", OLD)
    assert watched.exit_code == 1
    assert "test 98.0%  base rate 98.0%  lowest recall 0.0%" in watched.stderr


@pytest.mark.parametrize("command", ["show", "runs"])
def test_programs_get_the_figures_beside_the_accuracy(cli: RunCli, counted: World, command: str) -> None:
    printed = json.loads(cli(*(("show", OLD) if command == "show" else ("runs",)), "--json").stdout)
    for found in (printed if command == "show" else printed[0], result(counted.run(OLD))):
        assert (found["base_rate"], found["most_frequent"], found["balanced_accuracy"]) == (0.98, "dark", 0.5)
        assert (found["beats_base_rate"], found["remarks"]) == (False, [NO_BETTER])
        assert [one["recall"] for one in found["by_class"]] == [1.0, 0.0]
