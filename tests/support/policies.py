"""The policies that docs/ ships, filled in, and IAM's rules to ask them with ("Policy evaluation logic", IAM)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from support.repository import REPOSITORY

DOCS = REPOSITORY / "docs"
DEPLOYER = ("deployer-policy", "deployer-policy-access", "deployer-policy-network")
BOUNDARY = "permissions-boundary"
ACCOUNT, PREFIX, REGION = "123456789012", "lnn", "us-east-1"

Document = dict[str, Any]
Context = Mapping[str, str | list[str]]


def policy(name: str, prefix: str = PREFIX, region: str = REGION, account: str = ACCOUNT) -> Document:
    """A policy of docs/ for a deployment, as docs/aws.md has it made."""
    text = (DOCS / f"{name}.json").read_text()
    document: Document = json.loads(
        text.replace("PREFIX", prefix).replace("REGION", region).replace("ACCOUNT", account)
    )
    return document


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allows(
    documents: Iterable[Document], action: str, resources: str | list[str], context: Context | None = None
) -> bool:
    """Whether identity policies allow an action: on each of its resources by some statement, and denied by none."""
    statements = [statement for document in documents for statement in as_list(document["Statement"])]

    def effects(resource: str) -> set[str]:
        return {
            statement["Effect"]
            for statement in statements
            if any(fits(action.lower(), str(pattern).lower()) for pattern in as_list(statement["Action"]))
            and any(fits(resource, pattern) for pattern in as_list(statement["Resource"]))
            and holds(statement.get("Condition", {}), context or {})
        }

    return all(effects(resource) == {"Allow"} for resource in as_list(resources))


def fits(text: str, pattern: str) -> bool:
    """IAM's wildcards are ``*`` and ``?``; a bracket is a bracket."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def holds(condition: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Whether every key of a condition has a value that its operator takes."""
    present = {key.lower(): value for key, value in context.items()}
    return all(
        key_holds(operator, present.get(key.lower()), [str(value) for value in as_list(expected)])
        for operator, keys in condition.items()
        for key, expected in keys.items()
    )


def key_holds(operator: str, actual: str | list[str] | None, expected: list[str]) -> bool:
    """Whether one operator takes one key's value; raises KeyError for an operator that no policy here has."""
    if operator == "Null":
        return (actual is None) == (expected == ["true"])
    quantifier, _, rest = operator.rpartition(":")
    name, if_exists = re.subn("IfExists$", "", rest)
    if quantifier == "ForAllValues":
        return all(compare(name, value, expected) for value in as_list(actual or []))
    if actual is None:
        return bool(if_exists) or ("Not" in name and not quantifier)
    return any(compare(name, value, expected) for value in as_list(actual))


def compare(name: str, actual: str, expected: list[str]) -> bool:
    """Whether a value is one of those expected, or, for a negated operator, none of them."""
    matches = {
        "ArnEquals": fits,
        "ArnLike": fits,
        "Bool": lambda one, other: one.lower() == other.lower(),
        "StringEquals": str.__eq__,
        "StringLike": fits,
    }[name.replace("Not", "")]
    return any(matches(actual, value) for value in expected) != ("Not" in name)
