"""Which model answers, step by step: promotion, canary, rollback, rejection."""

from __future__ import annotations

from collections import Counter

import pytest

from lnn.errors import ModelStateError
from lnn.serving import rollout
from lnn.serving.rollout import Canary, Current


def test_a_new_model_takes_the_place_of_the_one_in_staging() -> None:
    step = rollout.stage(Current(version=4, production="a", staging="b"), "c")
    assert step.after == Current(version=5, production="a", staging="c")
    assert step.stages == {"b": "retired", "c": "staging"}


def test_a_promoted_model_leaves_staging_and_retires_the_one_before_it() -> None:
    step = rollout.promote(Current(version=1, production="a", staging="b"), "b")
    assert step.after == Current(version=2, production="b", past=("a",))
    assert step.stages == {"a": "retired", "b": "production"}


def test_a_rollback_brings_the_old_one_back_and_a_second_the_one_before_that() -> None:
    current = rollout.promote(rollout.promote(rollout.promote(Current(), "a").after, "b").after, "c").after
    back = rollout.roll_back(current)
    assert (back.after.production, back.stages) == ("b", {"b": "production", "c": "retired"})
    again = rollout.roll_back(back.after)
    assert again.after.production == "a"
    with pytest.raises(ModelStateError, match="nothing to roll back to"):
        rollout.roll_back(again.after)


def test_a_canary_leaves_production_as_it_is_until_it_is_promoted_wholly() -> None:
    canary = rollout.promote(Current(production="a", staging="b"), "b", 10)
    assert canary.after == Current(version=1, production="a", staging="b", canary=Canary("b", 10))
    assert canary.stages == {}
    whole = rollout.promote(canary.after, "b").after
    assert (whole.production, whole.canary, whole.staging, whole.past) == ("b", None, None, ("a",))


def test_a_rollback_ends_a_canary_first() -> None:
    current = Current(version=3, production="b", staging="c", canary=Canary("c", 10), past=("a",))
    step = rollout.roll_back(current)
    assert step.after == Current(version=4, production="b", past=("a",))
    assert step.stages == {"c": "retired"}


def test_a_share_of_the_requests_goes_to_the_canary_and_each_always_to_the_same() -> None:
    current = Current(production="old", canary=Canary("new", 10))
    requests = [f"request {number}".encode() for number in range(5000)]
    answering = [current.answering(request) for request in requests]
    assert 0.08 < Counter(answering)["new"] / len(requests) < 0.12
    assert answering == [current.answering(request) for request in requests]
    more = Current(production="old", canary=Canary("new", 50))
    assert all(more.answering(request) == "new" for request, by in zip(requests, answering, strict=True) if by == "new")


def test_a_rejected_model_is_retired_and_production_is_as_it_was() -> None:
    step = rollout.reject(Current(production="a", staging="b"), "b")
    assert step.after == Current(version=1, production="a")
    assert step.stages == {"b": "retired"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda: rollout.promote(Current(production="a"), "a"), "in production already"),
        (lambda: rollout.promote(Current(), "a", 10), "no model in production"),
        (
            lambda: rollout.promote(Current(production="a", canary=Canary("b", 10)), "b", 10),
            "answers 10% of production",
        ),
        (lambda: rollout.reject(Current(production="a"), "a"), "it is production"),
        (lambda: rollout.reject(Current(production="a"), "b"), "it is retired"),
        (lambda: rollout.roll_back(Current(production="a")), "nothing to roll back to"),
    ],
)
def test_a_change_that_makes_no_sense_says_why(change: object, why: str) -> None:
    with pytest.raises(ModelStateError, match=why):
        change()  # type: ignore[operator]


def test_the_record_survives_being_stored() -> None:
    for current in (Current(), Current(7, "a", "b", Canary("b", 25), ("x", "y"))):
        assert rollout.from_record(rollout.as_record(current)) == current
