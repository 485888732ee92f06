"""The story of a run: what its events say, and that it stays short."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lnn.runs import event_log
from lnn.runs.attributes import CheckpointPointer, Disturbances, Event
from lnn.runs.record import Run

NOW = 1000.0
RUNNING = Run(
    "run-1",
    "RUNNING",
    generation=1,
    heartbeat=NOW - 12.34,
    lease_expires=NOW - 2.0,
    epoch=45,
    checkpoint={"epoch": 40, "key": "k"},
)


def test_a_run_that_starts_or_is_resumed_is_not_taken_over() -> None:
    event, changed = event_log.beginning(replace(RUNNING, status="PENDING"), 2, NOW)
    assert (event["what"], event["generation"], changed) == ("generation 2 started", 2, {})


def test_a_run_that_was_handed_over_is_not_taken_over() -> None:
    event, changed = event_log.beginning(replace(RUNNING, lease_expires=0.0), 2, NOW)
    assert (event["what"], changed) == ("generation 2 started", {})


def test_a_run_whose_lease_ran_out_was_found_by_the_watch() -> None:
    event, changed = event_log.beginning(RUNNING, 2, NOW)
    assert event["what"] == (
        "generation 2 took over, 12.3 s after the last sign of life: the watch found nobody at work"
    )
    assert event["silent_seconds"] == pytest.approx(12.34)
    assert changed["disturbances"] == {
        "takeovers": 1,
        "silent_seconds": pytest.approx(12.34),
        "repeated_epochs": 0,
    }


def test_a_generation_that_was_given_up_says_what_for_and_an_earlier_one_s_fault_is_no_reason() -> None:
    given_up = replace(RUNNING, lease_expires=0.0, fault={"generation": 1, "what": "the Trainer: OSError: full"})
    event, _ = event_log.beginning(given_up, 2, NOW)
    assert event["what"].endswith("last sign of life: the Trainer: OSError: full")
    assert event["why"] == "the Trainer: OSError: full"
    event, changed = event_log.beginning(replace(given_up, generation=2), 3, NOW)
    assert (event["what"], changed) == ("generation 3 started", {})


@pytest.mark.parametrize(
    ("reached", "what"),
    [
        (45, "epochs 41 to 45 are trained again: the checkpoint is of epoch 40"),
        (41, "epoch 41 is trained again: the checkpoint is of epoch 40"),
    ],
)
def test_going_back_to_the_checkpoint_tells_which_epochs_that_repeats(reached: int, what: str) -> None:
    before: Disturbances = {"takeovers": 2, "silent_seconds": 9.0, "repeated_epochs": 7}
    event, changed = event_log.set_back(replace(RUNNING, epoch=reached, disturbances=before))
    assert event is not None
    assert (event["what"], event["repeated_epochs"]) == (what, reached - 40)
    assert changed["disturbances"] == {**before, "repeated_epochs": 7 + reached - 40}


def test_going_back_to_a_checkpoint_within_an_epoch_says_so() -> None:
    saved: CheckpointPointer = {"epoch": 40, "batches": 7, "key": "k"}
    event, _ = event_log.set_back(replace(RUNNING, epoch=41, checkpoint=saved))
    assert event is not None
    assert event["what"] == "epoch 41 is trained again: the checkpoint is of epoch 40 and 7 batches of the next"


def test_beginning_at_the_checkpoint_s_epoch_repeats_nothing() -> None:
    assert event_log.set_back(replace(RUNNING, epoch=40)) == (None, {})


def test_a_story_of_a_thousand_hand_overs_stays_short_and_counts_what_it_leaves_out() -> None:
    events: list[Event] = []
    for number in range(1000):
        what = f"generation {number} took over: " + "x" * event_log.FAULT_LENGTH
        events = event_log.folded([*events, {"at": float(number), "what": what}])
        assert len(events) <= event_log.LONGEST
    (gap,) = [event for event in events if "left_out" in event]
    assert gap["left_out"] + len(events) - 1 == 1000
    assert gap["what"] == f"{gap['left_out']} events are left out here"
    assert events[0]["at"] == 0.0
    assert events[-1]["at"] == 999.0
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert len(json.dumps(events)) < 40_000, "DynamoDB holds 400 kB, and charges for every one at each write"
