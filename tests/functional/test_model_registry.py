"""The models table: what is registered, what is in use, and two people who change it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lnn.errors import ConcurrentModification, ModelStateError
from lnn.serving.registry import Registry
from lnn.serving.rollout import Canary, Current

TABLE = "lnn-models"


@pytest.fixture
def registry() -> Iterator[Registry]:
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name="us-east-1")
        dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "model_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "model_id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Registry(dynamodb, TABLE)


def add(registry: Registry, model_id: str, uploaded_at: float = 1.0, **facts: Any) -> bool:
    return registry.add({"model_id": model_id, "uploaded_at": uploaded_at, **facts}, "registration")


def stages_of(registry: Registry) -> dict[str, str]:
    return {model["model_id"]: model["stage"] for model in registry.list_models()}


def test_nothing_is_in_use_at_first(registry: Registry) -> None:
    assert registry.current() == Current()
    assert registry.list_models() == []
    assert registry.changes() == []


def test_a_new_model_is_in_staging_with_its_figures(registry: Registry) -> None:
    assert add(registry, "a", test_accuracy=0.96, image_shape=[8, 8], refused=None)
    assert registry.current() == Current(version=1, staging="a")
    model = registry.get("a")
    assert model is not None
    assert (model["stage"], model["test_accuracy"], model["image_shape"]) == ("staging", 0.96, [8, 8])
    assert "refused" not in model


def test_a_model_is_added_once(registry: Registry) -> None:
    assert add(registry, "a")
    assert not add(registry, "a")
    assert registry.current().version == 1
    assert len(registry.changes()) == 1


def test_a_write_whose_answer_was_lost_is_known_for_its_own(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call is made twice, as botocore makes it when the first answer does not arrive."""
    client: Any = registry._client
    call = client._make_api_call
    tokens = []

    def twice(operation: str, arguments: Any) -> Any:
        if operation == "TransactWriteItems":  # by its token DynamoDB answers the second like the first
            tokens.append(arguments["ClientRequestToken"])
        elif operation != "GetItem":
            call(operation, arguments)
        return call(operation, arguments)

    monkeypatch.setattr(client, "_make_api_call", twice)
    assert registry.refuse({"model_id": "a", "source": "s3://b/k", "uploaded_at": 1.0, "refused": "no model"})
    assert not registry.refuse({"model_id": "a", "source": "s3://b/k", "uploaded_at": 1.0, "refused": "no model"})
    assert add(registry, "b")
    assert registry.claim_message("b")
    assert not registry.claim_message("b")
    registry.promote("b", "somebody")
    assert len(set(tokens)) == 2, "each transaction has a token of its own"


def meanwhile(monkeypatch: pytest.MonkeyPatch, registry: Registry, act: Callable[[], object]) -> None:
    """Lets somebody else act once, between the next look at what is in use and the write that follows it."""
    look = registry.current

    def look_then_act() -> Current:
        seen = look()
        monkeypatch.setattr(registry, "current", look)
        act()
        return seen

    monkeypatch.setattr(registry, "current", look_then_act)


def test_of_two_copies_of_an_upload_that_come_at_once_one_registers_the_model(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = []
    meanwhile(monkeypatch, registry, lambda: other.append(add(registry, "a")))
    assert (add(registry, "a"), other) == (False, [True])
    assert stages_of(registry) == {"a": "staging"}
    assert len(registry.changes()) == 1


def test_two_models_that_come_at_once_are_both_registered(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile(monkeypatch, registry, lambda: add(registry, "b"))
    assert add(registry, "a")
    assert stages_of(registry) == {"a": "staging", "b": "retired"}


def test_an_event_that_comes_late_does_not_push_out_a_newer_model(registry: Registry) -> None:
    add(registry, "new", uploaded_at=20.0)
    add(registry, "old", uploaded_at=10.0)
    assert registry.current().staging == "new"
    assert stages_of(registry) == {"new": "staging", "old": "retired"}


TASK: dict[str, Any] = {"sizes": [30, 1], "classes": 2}
GOOD = {**TASK, "beats_base_rate": True, "skill": 0.6}
WEIGHTED = {**TASK, "beats_base_rate": False, "skill": 0.9}
CONSTANT = {**TASK, "beats_base_rate": False, "skill": 0.0, "remarks": ["no better than always answering 'ok'"]}
NUMBERS = {"sizes": [30, 1], "classes": 0, "targets": 1}


@pytest.mark.parametrize(
    ("there", "new"),
    [
        (GOOD, CONSTANT),
        (WEIGHTED, CONSTANT),
        (WEIGHTED, {**GOOD, "beats_base_rate": False}),
        ({**NUMBERS, "test_r2": 0.5}, {**NUMBERS, "test_r2": -0.1}),
    ],
)
def test_a_model_that_does_not_beat_the_base_rate_leaves_staging_to_a_better_one(
    registry: Registry, there: dict[str, Any], new: dict[str, Any]
) -> None:
    add(registry, "there", **there)
    assert add(registry, "new", uploaded_at=2.0, **new)
    assert registry.current() == Current(version=1, staging="there")
    model = registry.get("new")
    assert model is not None
    assert (model["stage"], len(registry.changes())) == ("retired", 1)
    assert model["held_back"].endswith("; there, which is in staging, is better")
    assert model["held_back"].startswith(new.get("remarks", ["it does not beat the base rate"])[0])
    registry.promote("new", "ada")
    assert registry.current().production == "new", "a person may promote it nevertheless"


@pytest.mark.parametrize(
    ("there", "new"),
    [
        (CONSTANT, CONSTANT),
        (CONSTANT, GOOD),
        (WEIGHTED, GOOD),
        (GOOD, WEIGHTED),
        ({**GOOD, "sizes": [31, 1]}, CONSTANT),
        ({**GOOD, "classes": 3}, CONSTANT),
        (TASK, CONSTANT),
        (GOOD, TASK),
        (GOOD, {}),
        ({**NUMBERS, "test_r2": 0.5}, {**NUMBERS, "test_r2": 0.1}),
        ({**NUMBERS, "test_r2": -0.5}, {**NUMBERS, "test_r2": -0.1}),
    ],
)
def test_any_other_model_takes_staging(registry: Registry, there: dict[str, Any], new: dict[str, Any]) -> None:
    """One of other data, too, and one of which a release before stored no figures."""
    add(registry, "there", **there)
    add(registry, "new", uploaded_at=2.0, **new)
    assert registry.current().staging == "new"
    model = registry.get("new")
    assert model is not None
    assert "held_back" not in model


def test_promotion_and_rollback_move_the_models_and_are_written_down(registry: Registry) -> None:
    add(registry, "a")
    registry.promote("a", "ada")
    add(registry, "b")
    registry.promote("b", "bob", 10)
    assert registry.current().canary == Canary("b", 10)
    assert stages_of(registry) == {"a": "production", "b": "staging"}
    registry.promote("b", "bob")
    assert stages_of(registry) == {"a": "retired", "b": "production"}
    registry.roll_back("ada")
    assert stages_of(registry) == {"a": "production", "b": "retired"}
    changes = registry.changes()
    assert [change["version"] for change in changes] == [1, 2, 3, 4, 5, 6]
    assert [change["who"] for change in changes] == ["registration", "ada", "registration", "bob", "bob", "ada"]
    assert changes[-1]["what"] == "a back into production, in the place of b"
    assert all(earlier["at"] <= later["at"] for earlier, later in pairwise(changes))


def test_a_rejected_model_can_still_be_promoted_later(registry: Registry) -> None:
    add(registry, "a")
    registry.reject("a", "ada")
    assert stages_of(registry) == {"a": "retired"}
    registry.promote("a", "ada")
    assert stages_of(registry) == {"a": "production"}


@pytest.mark.parametrize("name", ["nobody", "current", "change#000000001"])
def test_what_is_no_model_cannot_be_promoted(registry: Registry, name: str) -> None:
    add(registry, "a")
    with pytest.raises(ModelStateError, match="there is no model"):
        registry.promote(name, "ada")


def test_a_refused_model_is_listed_with_its_reason_and_cannot_be_promoted(registry: Registry) -> None:
    refused = {"model_id": "unreadable-1", "stage": "retired", "refused": "not a params.h5", "uploaded_at": 1.0}
    assert registry.refuse(refused)
    assert not registry.refuse(refused)
    assert registry.list_models()[0]["refused"] == "not a params.h5"
    with pytest.raises(ModelStateError, match=r"cannot predict: not a params\.h5"):
        registry.promote("unreadable-1", "ada")


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told_by_whom(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        add(registry, name)
    registry.promote("a", "ada")
    meanwhile(monkeypatch, registry, lambda: registry.promote("b", "bob"))
    with pytest.raises(ConcurrentModification, match="bob: b into production"):
        registry.promote("c", "cyd")
    assert registry.current().production == "b"
    assert stages_of(registry) == {"a": "retired", "b": "production", "c": "staging"}
    assert registry.changes()[-1]["who"] == "bob"


def test_a_message_about_a_model_is_claimed_once(registry: Registry) -> None:
    add(registry, "a")
    assert [registry.claim_message("a") for _ in range(3)] == [True, False, False]
    assert not registry.claim_message("nobody")
