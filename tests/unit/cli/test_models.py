"""``lnn models``, ``promote``, ``reject`` and ``rollback``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lnn.serving.registry import Registry

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

MODELS_TABLE = "lnn-models"
FIRST, SECOND = "20261101T080000Z-aaaaaaaa-11111111", "20261102T080000Z-bbbbbbbb-22222222"


@pytest.fixture
def registry(world: World) -> Registry:
    found = Registry(world.ledger._client, MODELS_TABLE)
    for position, model_id in enumerate((FIRST, SECOND)):
        facts: dict[str, Any] = {"uploaded_at": float(position), "test_accuracy": 0.9 + position / 20}
        assert found.add({"model_id": model_id, **facts}, "registration")
    return found


def test_models_are_listed_newest_first_with_stage_and_accuracy(cli: RunCli, registry: Registry) -> None:
    registry.promote(FIRST, "ada")
    registry.promote(SECOND, "ada", 25)
    registry.refuse({"model_id": "unreadable-1", "refused": "no W1", "uploaded_at": 1.0})
    lines = cli("models").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["unreadable-1", "retired"],
        [SECOND, "staging"],
        [FIRST, "production"],
    ]
    assert "refused: no W1" in lines[1]
    assert "95.0%" in lines[2]
    assert "canary: answers 25% of production" in lines[2]


def test_accuracy_is_listed_beside_base_rate_and_recall(cli: RunCli, registry: Registry) -> None:
    figures: Any = {"test_accuracy": 0.98, "base_rate": 0.98, "recall": "'ok' 100.0%, 'fraud' 0.0%"}
    registry.add({"model_id": "m", "uploaded_at": 9.0, "remarks": ["no better"], **figures}, "registration")
    line = cli("models").stdout.splitlines()[1]
    assert "98.0%, base rate 98.0%, recall 'ok' 100.0%, 'fraud' 0.0%" in line
    assert line.endswith("no better")


def test_a_model_that_did_not_take_staging_says_why(cli: RunCli, registry: Registry) -> None:
    known: Any = {"sizes": [3, 1], "classes": 2}
    registry.add({"model_id": "good", "uploaded_at": 8.0, "skill": 1.0, **known}, "registration")
    figures: Any = {"test_accuracy": 0.5, "skill": 0.0, "beats_base_rate": False}
    registry.add({"model_id": "poor", "uploaded_at": 9.0, **known, **figures}, "registration")
    line = next(line for line in cli("models").stdout.splitlines() if line.startswith("poor"))
    assert line.split()[1] == "retired"
    assert line.endswith("not staged: it does not beat the base rate; good, which is in staging, is better")


def test_json_has_what_is_in_use_every_model_and_the_history(cli: RunCli, registry: Registry) -> None:
    registry.promote(FIRST, "ada")
    found = json.loads(cli("models", "--json").stdout)
    assert found["current"]["production"] == FIRST
    assert [model["model_id"] for model in found["models"]] == [SECOND, FIRST]
    assert found["history"][-1]["who"] == "ada"


def test_no_model_yet_says_how_to_get_one(cli: RunCli, world: World) -> None:
    result = cli("models")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "lnn train" in result.stderr


def test_a_model_goes_into_production_and_back_and_the_history_tells_who(cli: RunCli, registry: Registry) -> None:
    assert cli("promote", FIRST[:25]).stdout == f"{FIRST} into production\n"
    result = cli("promote", "staging")
    assert result.stdout == f"{SECOND} into production\n"
    assert "lnn rollback --target aws" in result.stderr
    assert json.loads(cli("rollback", "--json").stdout)["production"] == FIRST
    history = cli("models", "--history").stdout.splitlines()
    assert f"{FIRST} back into production" in history[-1]
    assert "arn:aws:" in history[-1]


def test_a_canary_takes_its_share_and_a_rollback_ends_it(cli: RunCli, registry: Registry) -> None:
    cli("promote", FIRST)
    answer = json.loads(cli("promote", SECOND, "--canary", "10", "--json").stdout)
    assert (answer["production"], answer["canary"]) == (FIRST, {"model_id": SECOND, "percent": 10})
    assert "no longer answers" in cli("rollback").stdout
    assert registry.current().production == FIRST


def test_a_rejected_model_leaves_staging(cli: RunCli, registry: Registry) -> None:
    assert cli("reject", "newest").stdout == f"{SECOND} rejected\n"
    assert registry.current().staging is None


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["promote", "nobody"], "there is no model 'nobody'"),
        (["promote", "202611"], "fits 2 models"),
        (["promote", ""], "there is no model"),
        (["promote", "production"], "there is no model in production"),
        (["promote", "current"], "there is no model 'current'"),
        (["promote", FIRST, "--canary", "10"], "no model in production to share"),
        (["reject", FIRST], "not in staging"),
        (["rollback"], "nothing to roll back to"),
    ],
)
def test_what_cannot_be_done_is_one_line_that_says_why(
    cli: RunCli, registry: Registry, arguments: list[str], why: str
) -> None:
    result = cli(*arguments)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert why in line


@pytest.mark.parametrize("percent", ["0", "100", "-5", "half"])
def test_a_share_that_is_none_is_wrong_usage(cli: RunCli, registry: Registry, percent: str) -> None:
    assert cli("promote", FIRST, "--canary", percent).exit_code == 2
