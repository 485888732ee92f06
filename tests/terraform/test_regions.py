"""Regions differ: in their zones, in what Lambda offers there, and in which names they share with each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import tftest

from support.ec2_zones import answering
from support.terraform_plans import ACCOUNT, Resources

# Types whose names an account has once, whatever the region.
GLOBAL = {"aws_budgets_budget", "aws_cloudwatch_dashboard", "aws_iam_role", "aws_s3_bucket"}
# Types whose names an account has once in each region.
REGIONAL = {
    "aws_apigatewayv2_api",
    "aws_cloudwatch_event_rule",
    "aws_cloudwatch_log_group",
    "aws_cloudwatch_metric_alarm",
    "aws_cloudwatch_query_definition",
    "aws_dynamodb_table",
    "aws_elasticache_parameter_group",
    "aws_elasticache_replication_group",
    "aws_elasticache_subnet_group",
    "aws_elasticache_user",
    "aws_elasticache_user_group",
    "aws_kms_alias",
    "aws_lambda_function",
    "aws_lambda_layer_version",
    "aws_sagemaker_notebook_instance",
    "aws_sagemaker_notebook_instance_lifecycle_configuration",
    "aws_sns_topic",
    "aws_sqs_queue",
}
# Types whose names are of what they belong to: a role, a network, an API.
INNER = {"aws_apigatewayv2_stage", "aws_iam_role_policy", "aws_security_group"}
NAMES = (
    "alarm_name",
    "bucket",
    "dashboard_name",
    "layer_name",
    "name",
    "replication_group_id",
    "user_group_id",
    "user_id",
)
# All that can have a name.
WHOLE: dict[str, Any] = {"emails": ["ada@example.org"], "monthly_budget_usd": 50, "notebook": {"enabled": True}}
WEST = WHOLE | {"region": "us-west-1"}
FRANKFURT = WHOLE | {"region": "eu-central-1", "zone_count": 3}
MEXICO: dict[str, Any] = {"region": "mx-central-1"}
LONGEST_PREFIX = "a-prefix-of-20-chars"


def zones(resources: Resources) -> list[str]:
    return sorted(one["values"]["availability_zone"] for one in resources.values() if one["type"] == "aws_subnet")


def names(resources: Resources, types: set[str]) -> set[tuple[str, str]]:
    """Type and name of everything of these types."""
    found = [(one["type"], one["values"]) for one in resources.values() if one["type"] in types]
    return {
        (kind, values["function_name"] if kind == "aws_lambda_function" else next(filter(None, map(values.get, NAMES))))
        for kind, values in found
    }


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (WEST, ["us-west-1b"]),  # an account without a zone "a"
        (MEXICO, ["mx-central-1a"]),
        (FRANKFURT, ["eu-central-1a", "eu-central-1b", "eu-central-1c"]),
        # No Lambda in "a", and no SageMaker, which a notebook needs, in "b".
        ({"region": "us-east-2", "notebook": {"enabled": True}}, ["us-east-2c"]),
    ],
    ids=["us-west-1", "mx-central-1", "eu-central-1", "us-east-2 with a notebook"],
)
def test_zones_are_those_that_have_every_service(
    plan: Callable[..., Resources], variables: dict[str, Any], expected: list[str]
) -> None:
    assert zones(plan(**variables)) == expected


def test_too_few_zones_are_refused_with_those_that_there_are(
    plan: Callable[..., Resources], terraform: tftest.TerraformTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering({"us-west-1": {"zones": "bc", "lambda": "b", "sns": "bc"}}) as ec2:
        monkeypatch.setitem(terraform.env, "AWS_ENDPOINT_URL_EC2", ec2)
        with pytest.raises(tftest.TerraformTestError) as refused:
            plan(region="us-west-1", zone_count=2)
    message = " ".join(str(refused.value.cmd_error).replace("│", " ").split())
    assert 'zone_count is 2, and the zones are ["b"]' in message
    assert 'Zones of us-west-1 that have lambda, sns: ["b"]' in message


@pytest.mark.parametrize(
    ("variables", "expected"),
    [(WEST, 5), (MEXICO, 0), (FRANKFURT, 5)],
    ids=["us-west-1", "mx-central-1", "eu-central-1"],
)
def test_recursion_is_controlled_where_lambda_lets_it_be(
    plan: Callable[..., Resources], variables: dict[str, Any], expected: int
) -> None:
    types = [one["type"] for one in plan(**variables).values()]
    assert types.count("aws_lambda_function_recursion_config") == expected
    assert types.count("aws_lambda_function") == 5


def test_one_prefix_in_two_regions_shares_no_name_of_the_account(plan: Callable[..., Resources]) -> None:
    here, there = plan(**WEST), plan(**FRANKFURT)
    assert {kind for kind, _ in names(here, GLOBAL)} == GLOBAL
    assert names(here, GLOBAL) & names(there, GLOBAL) == set()


def test_two_prefixes_in_one_region_share_no_name(plan: Callable[..., Resources]) -> None:
    ours, theirs = plan(**WEST), plan(**WEST, prefix=LONGEST_PREFIX)
    assert {kind for kind, _ in names(ours, GLOBAL | REGIONAL)} == GLOBAL | REGIONAL
    assert names(ours, GLOBAL | REGIONAL) & names(theirs, GLOBAL | REGIONAL) == set()


def test_the_longest_names_of_roles_fit(plan: Callable[..., Resources]) -> None:
    roles = [name for _, name in names(plan(**WEST, prefix=LONGEST_PREFIX), {"aws_iam_role"})]
    assert len(roles) == 7
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html: RoleName
    assert max(map(len, roles)) + len("ap-northeast-1") - len("us-west-1") <= 64


def test_every_type_that_has_a_name_is_known_to_be_global_or_regional(plan: Callable[..., Resources]) -> None:
    with_names = {one["type"] for one in plan(**WEST).values() if any(one["values"].get(name) for name in NAMES)}
    of_buckets = {kind for kind in with_names if kind.startswith("aws_s3_bucket_") or kind == "aws_s3_object"}
    assert with_names - of_buckets - INNER <= GLOBAL | REGIONAL


def policies(resources: Resources) -> dict[str, Any]:
    """Policy documents of the endpoints, by service."""
    return {
        one["values"]["service_name"].split(".", 3)[3]: json.loads(one["values"].get("policy") or "null")
        for one in resources.values()
        if one["type"] == "aws_vpc_endpoint"
    }


def test_every_endpoint_leads_to_this_accounts_resources_only(plan: Callable[..., Resources]) -> None:
    own = {
        "Sid": "OwnAccountOnly",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceAccount": ACCOUNT}},
    }
    found = policies(plan(**MEXICO))
    assert set(found) == {"dynamodb", "lambda", "s3", "sns"}
    assert all(policy["Statement"] == [own] for policy in found.values())

    # A notebook's Python is in a bucket of Amazon Linux's: https://docs.aws.amazon.com/linux/al2023/ug/
    found = policies(plan(**FRANKFURT))
    assert set(found) == {"dynamodb", "lambda", "s3", "sagemaker.api", "sns"}
    packages = {
        "Sid": "ReadForeignBuckets",
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::al2023-repos-eu-central-1-de612dc2/*"],
    }
    assert found.pop("s3")["Statement"] == [own, packages]
    assert all(policy["Statement"] == [own] for policy in found.values())
