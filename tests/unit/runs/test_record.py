"""The record of a run: what the release before stored is read, and written back, as it was."""

from __future__ import annotations

from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest

from lnn.aws.dynamodb_items import plain
from lnn.job import class_metrics
from lnn.messages import Message
from lnn.runs import attributes
from lnn.runs.attributes import Attributes, CheckpointPointer, PublicRun, Status, public_view
from lnn.runs.record import ALLOWED_IN, ENDED, FIELD_NAMES, GOING, LEADS_TO, Run, to_item
from support.stored_runs import NAMES, stored_run


def read(name: str) -> Run:
    return Run.from_item(plain(stored_run(name)["item"]))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_the_release_before_is_written_back_as_it_was_stored(name: str) -> None:
    run = read(name)
    attributes_of_it = {attribute: run.attribute(attribute) for attribute in run.stored}
    assert to_item(attributes_of_it) == plain(stored_run(name)["item"])  # type: ignore[arg-type]
    assert run.status == name.partition("-")[0].upper()


def test_a_run_that_was_taken_over_has_every_kind_of_attribute() -> None:
    run = read("running-taken-over")
    assert (run.generation, run.epoch, run.stop_requested, run.attempts) == (
        2,
        1,
        True,
        {"epoch": 1, "batches": 0, "count": 2},
    )
    assert run.latest_checkpoint["epoch"] == 0
    assert run.parsed_plan.sizes == [5, 4, 1]
    assert (run.network, run.settings["optimizer"]) == ("5-4-1", "sgd")
    assert run.fault_of(1) == "the Trainer: RuntimeError: no more"
    assert run.fault_of(2) is None
    assert run.disturbances["takeovers"] == 1


@pytest.mark.parametrize(
    ("status", "epoch", "batches", "rows"),
    [
        ("RUNNING", 7, 0, [3, 6, 9, 11]),
        ("STOPPED", 7, 0, [3, 6, 7]),
        ("STOPPED", 7, 2, [3, 6]),
        ("STOPPED", 6, 2, [3, 6]),
        ("COMPLETED", 11, 0, [3, 6, 9, 11]),
    ],
)
def test_the_record_decides_which_rows_of_the_table_are_history(
    status: Status, epoch: int, batches: int, rows: list[int]
) -> None:
    """With ``record_every`` 3 of 11 epochs, where the table has a row of each."""
    settings, checkpoint = {"record_every": 3}, CheckpointPointer(epoch=epoch, batches=batches, key="k")
    run = Run("r", status, settings=settings, checkpoint=checkpoint, epoch=epoch, epochs=11)
    assert [of for of in range(1, 12) if run.has_row(of)] == rows


def test_what_a_resumed_run_has_lost_is_null_and_not_absent() -> None:
    shown = public_view(read("pending-reopened"))
    assert (shown["reason"], shown["finished_at"], shown["fault"]) == (None, None, None)


def test_attributes_of_a_later_release_are_neither_read_nor_shown() -> None:
    run = Run.from_item({"run_id": "r", "status": "RUNNING", "momentum_of_the_future": 1, "epoch": 3})
    assert public_view(run) == {"run_id": "r", "status": "RUNNING", "epoch": 3}


def test_attributes_that_an_earlier_release_did_not_store_have_defaults() -> None:
    run = Run.from_item({"run_id": "r", "status": "FAILED", "reason": "no"})
    assert (run.generation, run.invocations, run.step_invocations, run.events) == (0, 0, 0, ())
    assert (run.disturbances["takeovers"], run.checkpoint, run.told) == (0, None, False)


def test_the_record_and_the_attributes_that_may_be_written_are_the_same_in_name_and_type() -> None:
    def without_none(hint: Any) -> Any:
        return get_args(hint)[0] if NoneType in get_args(hint) else hint

    names = {**vars(class_metrics), **vars(attributes)}
    read_as = {name: without_none(hint) for name, hint in get_type_hints(Run, names).items()}
    written_as = {FIELD_NAMES.get(name, name): without_none(hint) for name, hint in get_type_hints(Attributes).items()}
    del read_as["stored"]
    assert read_as == written_as


def test_what_only_functions_need_is_not_public() -> None:
    assert get_type_hints(Attributes).keys() - get_type_hints(PublicRun).keys() == {
        *("owner", "heartbeat", "lease_expires", "attempts", "stop_requested"),
        *("dataset_key", "plan", "ended_model", "ends", "parameters_file", "reached", "closing"),
        *("told", "told_use", "watched", "progressed", "stop_reason"),
    }


PAUSED = {"number": 3, "generation": 2, "since": 1.0, "epoch": 1, "batch": 0, "after": "cost", "layer": 2}
STEPPED = {"run_id": "r", "status": "RUNNING", "generation": 2, "settings": {"step": True}, "paused": PAUSED}


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({}, True),
        ({"steps_allowed": 2}, True),
        ({"steps_allowed": 3}, False),
        ({"generation": 3}, False),
        ({"stop_requested": True}, False),
        ({"status": "PENDING"}, False),
        ({"status": "STOPPED"}, False),
        ({"settings": {"step": False}}, False),
        ({"paused": None}, False),
    ],
)
def test_a_stepped_run_waits_at_a_pause_that_its_generation_may_not_pass(changes: dict[str, Any], waits: bool) -> None:
    assert Run.from_item(STEPPED | changes).is_paused == waits


def test_the_next_step_is_the_one_that_the_run_waits_for_or_the_one_after_those_it_may_take() -> None:
    passed = [Run.from_item(STEPPED | {"steps_allowed": allowed}).steps_passed for allowed in (0, 2, 3, 7)]
    assert passed == [2, 2, 3, 7]


def test_what_wakes_a_run_is_the_message_of_its_step_and_none_of_an_earlier_generation() -> None:
    assert Run.from_item(STEPPED).message_at_pause == Message("r", 2, "forward", 1, 0, 2)
    assert Run.from_item(STEPPED | {"generation": 3}).message_at_pause is None
    assert Run.from_item(STEPPED | {"status": "STOPPED"}).message_at_pause is None


def test_every_status_can_be_left() -> None:
    left = {status for change in LEADS_TO for status in ALLOWED_IN[change]}
    assert left == {*GOING, *ENDED}


TESTED = {
    "dimensions": {"classes": ["ok", "fraud"], "class_counts": {"train": [195, 5], "test": [49, 1]}},
    "test_classes": {"examples": [49, 1], "predicted": [50, 0], "right": [49, 0]},
    "plan": {"activations": ["relu", "sigmoid"], "sizes": [5, 4, 1], "learning_rate": 0.5},
}


def test_the_figures_by_class_follow_from_the_record() -> None:
    run = Run.from_item({"run_id": "r", "status": "COMPLETED", "final_cost": 0.1, **TESTED})
    assert run.test_metrics is not None
    assert (run.test_metrics.accuracy, run.test_metrics.balanced_accuracy) == (0.98, 0.5)
    assert (run.base_rate("train"), run.base_rate("test")) == (0.975, 0.98)
    assert run.remarks == ["on the test examples the model is no better than always answering 'ok' (98.0%)"]


def test_a_run_of_the_release_before_has_no_figures_by_class_and_nothing_is_made_up() -> None:
    run = read("completed-fused")
    assert (run.test_metrics, run.base_rate("train"), run.base_rate("test"), run.remarks) == (None, None, None, [])


@pytest.mark.parametrize(("output", "units", "cost"), [("sigmoid", 1, 1.4), ("softmax", 2, 1.4), ("sigmoid", 2, 2.8)])
def test_a_huge_cost_at_chance_comes_with_the_cure(output: str, units: int, cost: float) -> None:
    plan = {"activations": ["relu", output], "sizes": [5, 4, units], "learning_rate": 0.5}
    facts = {"run_id": "r", "status": "COMPLETED", **TESTED, "plan": plan}
    (_, told) = Run.from_item({**facts, "final_cost": cost}).remarks
    assert told.startswith("training has diverged or is stuck; lower learning_rate (it is 0.5): the final cost is")
    assert len(Run.from_item({**facts, "final_cost": cost / 1.1}).remarks) == 1
    learned = {"examples": [49, 1], "predicted": [49, 1], "right": [49, 1]}
    assert Run.from_item({**facts, "final_cost": cost, "test_classes": learned}).remarks == []


def test_a_regression_that_is_worse_than_the_mean_says_so_and_one_that_is_far_off_how_to_mend_it() -> None:
    item = {"run_id": "r", "status": "COMPLETED", **TESTED, "dimensions": {"targets": ["y"]}}
    assert Run.from_item({**item, "train_r2": 0.5, "test_r2": 0.4}).remarks == []
    mean = "on the test examples the model is no better than always predicting their mean: R2 is -0.1"
    assert Run.from_item({**item, "train_r2": 0.5, "test_r2": -0.1}).remarks == [mean]
    (_, told) = Run.from_item({**item, "train_r2": -40.0, "test_r2": -50.0}).remarks
    assert told == "training has diverged or is stuck; lower learning_rate (it is 0.5): R2 in training is -40"
