"""The names that Terraform gives are the ones that the code uses."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from typing import Any

import pytest

from lnn import names
from lnn.environment import Environment
from lnn.planning.workload import Functions
from lnn.runs.store import WATCHED_INDEX
from support.repository import REPOSITORY
from support.terraform_plans import ACCOUNT, Resources, of_function

ROLES = ("launch", "neuron", "predict", "register", "trainer")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("aws-default", names.Names("lnn", ACCOUNT, "us-east-1")),
        ("aws-zones", names.Names("team-lnn", ACCOUNT, "eu-west-1")),
    ],
)
def test_resources_have_the_names_that_the_code_composes(
    shape: str, expected: names.Names, planned: Callable[[str], Resources]
) -> None:
    resources = planned(shape)

    def value(address: str, attribute: str) -> Any:
        return resources[address]["values"][attribute]

    assert value("module.s3_trigger.aws_s3_bucket.this", "bucket") == expected.bucket
    assert value("module.elasticache.aws_elasticache_replication_group.this", "replication_group_id") == expected.cache
    assert value("module.prediction_api.aws_apigatewayv2_api.this", "name") == expected.prediction_api
    assert value("module.sns.aws_sns_topic.this", "name") == expected.topic.rsplit(":", 1)[-1]
    for table in ("costs", "invocations", "models", "runs"):
        address = f'module.dynamodb.aws_dynamodb_table.this["{table}"]'
        assert value(address, "name") == getattr(expected, f"{table}_table")
    for role in ROLES:
        assert value(of_function(role, "aws_lambda_function.this"), "function_name") == expected.function(role)
        assert value(of_function(role, "aws_cloudwatch_log_group.this"), "name") == expected.log_group(role)


def test_the_bucket_treats_the_folders_as_the_code_does(planned: Callable[[str], Resources]) -> None:
    resources = planned("aws-default")
    triggers = resources["module.s3_trigger.aws_s3_bucket_notification.this"]["values"]["lambda_function"]
    starts = {trigger["id"]: (trigger["filter_prefix"], trigger["filter_suffix"]) for trigger in triggers}
    rules = resources["module.s3_trigger.aws_s3_bucket_lifecycle_configuration.this"]["values"]["rule"]
    expiring = {rule["filter"][0]["prefix"] for rule in rules if rule["expiration"][0].get("days")}
    parameters = resources["module.s3_trigger.aws_s3_object.parameters"]["values"]
    assert starts == {
        "batches": (names.BATCHES, ".npy"),
        "models": (names.PREDICTION_INPUT, ".h5"),
        "uploads": (names.TRAINING_INPUT, ".h5"),
    }
    # What registration writes must not register again.
    assert names.model_key("x").startswith(names.MODELS)
    assert not names.model_key("x").endswith(".h5")
    assert names.part_key("x", "y").endswith(".npy")
    assert not names.batch_model_key("x").endswith((".h5", ".npy")), "a batch's model starts nothing"
    assert expiring == {names.RUNS, names.BATCHES, names.PREDICTION_OUTPUT}
    assert parameters["key"] == names.TRAINING_INPUT + names.PARAMETERS


def test_handlers_are_where_lambda_looks_for_them(planned: Callable[[str], Resources]) -> None:
    for role in ROLES:
        handler = planned("aws-default")[of_function(role, "aws_lambda_function.this")]["values"]["handler"]
        *module, function = handler.split(".")
        source = (REPOSITORY / "functions").joinpath(*module).with_suffix(".py").read_text()
        assert function in {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("role", ROLES)
def test_functions_read_their_environment_from_what_terraform_sets(role: str, deployed: Resources) -> None:
    function = deployed[of_function(role, "aws_lambda_function.this")]["values"]
    variables = function["environment"][0]["variables"]
    environment = Environment.read({"AWS_REGION": "us-east-1"} | variables)
    expected = names.Names("lnn", ACCOUNT, "us-east-1")
    assert environment.bucket == expected.bucket
    assert environment.runs_table == expected.runs_table
    assert environment.costs_table == expected.costs_table
    assert environment.invocations_table == expected.invocations_table
    assert environment.topic_arn == deployed["module.sns.aws_sns_topic.this"]["values"]["arn"]
    assert environment.trainer_function == expected.trainer
    assert environment.neuron_function == expected.neuron
    assert environment.neuron_concurrency == 998, "of the account's 1,000, two stay for the Trainer and Launch"
    assert environment.cache.host == "cache.example.internal"
    assert (environment.cache.tls, environment.cache.user, environment.cache.name) == (
        True,
        "lnn-functions",
        expected.cache,
    )
    assert (variables["POWERTOOLS_METRICS_NAMESPACE"], variables["POWERTOOLS_SERVICE_NAME"]) == ("LNN", expected.prefix)
    same_bits = json.loads((REPOSITORY / "terraform" / "same_bits.json").read_text())
    assert same_bits[function["architectures"][0]].items() <= variables.items()


def test_the_watch_queries_the_index_that_terraform_makes_and_may_read_no_more_of_all_runs(
    deployed: Resources,
) -> None:
    table = deployed['module.dynamodb.aws_dynamodb_table.this["runs"]']["values"]
    (index,) = table["global_secondary_index"]
    assert (index["name"], index["hash_key"], index["projection_type"]) == (WATCHED_INDEX, WATCHED_INDEX, "KEYS_ONLY")
    statements = json.loads(deployed[of_function("trainer", "aws_iam_role_policy.this")]["values"]["policy"])[
        "Statement"
    ]
    assert [statement["Action"] for statement in statements if "dynamodb:Scan" in statement["Action"]] == []
    (find,) = (statement for statement in statements if statement["Sid"] == "FindRuns")
    runs = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/{table['name']}"
    assert (find["Action"], find["Resource"]) == (["dynamodb:Query"], [f"{runs}/index/{WATCHED_INDEX}"])


def test_the_longest_invocation_is_one_figure_for_terraform_and_for_estimates_without_a_deployment(
    deployed: Resources,
) -> None:
    timeouts = {role: deployed[of_function(role, "aws_lambda_function.this")]["values"]["timeout"] for role in ROLES}
    variables = deployed[of_function("trainer", "aws_lambda_function.this")]["values"]["environment"][0]["variables"]
    environment = Environment.read({"AWS_REGION": "us-east-1"} | variables)
    assert (environment.launch_timeout, environment.neuron_timeout, environment.trainer_timeout) == (
        timeouts["launch"],
        timeouts["neuron"],
        timeouts["trainer"],
    )
    default = Functions()
    assert (default.neuron_timeout, default.trainer_timeout) == (timeouts["neuron"], timeouts["trainer"])


def test_each_environment_fits_into_lambdas_4_kilobytes(deployed: Resources) -> None:
    for role in ROLES:
        variables = deployed[of_function(role, "aws_lambda_function.this")]["values"]["environment"][0]["variables"]
        assert sum(len(name) + len(value) for name, value in variables.items()) < 4096 * 3 / 4
