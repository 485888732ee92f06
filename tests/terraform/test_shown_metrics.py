"""Dashboard, alarms and queries speak of what the functions write, and of all of it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lnn.runs import logs
from lnn.runs.metrics import Metric
from support.repository import REPOSITORY
from support.terraform_plans import SHAPES, Resources, of_function

Series = tuple[str, str, tuple[tuple[str, str], ...]]
"""Namespace, name and dimensions of a metric."""

OF_AWS = {
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    "AWS/Lambda": {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"},
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
    # https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheMetrics.Redis.html and CacheMetrics.HostLevel.html
    "AWS/ElastiCache": {"CPUUtilization", "DatabaseMemoryUsagePercentage", "EngineCPUUtilization"},
}
FUNCTIONS = REPOSITORY / "functions"


def body(resources: Resources) -> dict[str, Any]:
    (dashboard,) = [resource for resource in resources.values() if resource["type"] == "aws_cloudwatch_dashboard"]
    decoded: dict[str, Any] = json.loads(dashboard["values"]["dashboard_body"])
    return decoded


def shown(resources: Resources) -> set[Series]:
    """Every metric of the dashboard."""
    rows = [row for widget in body(resources)["widgets"] for row in widget["properties"].get("metrics", [])]
    return {series(row) for row in rows if isinstance(row[0], str)}


def series(row: list[Any]) -> Series:
    namespace, name, *rest = [part for part in row if isinstance(part, str)]
    return namespace, name, tuple(zip(rest[::2], rest[1::2], strict=True))


def alarmed(resources: Resources) -> set[Series]:
    """Every metric that an alarm watches."""
    return {
        (alarm["namespace"], alarm["metric_name"], tuple(sorted(alarm["dimensions"].items())))
        for resource in resources.values()
        if resource["type"] == "aws_cloudwatch_metric_alarm"
        for alarm in [resource["values"]]
    }


def queries(resources: Resources) -> dict[str, str]:
    """Every query: the saved ones, and those of the dashboard."""
    saved = {
        resource["values"]["name"]: resource["values"]["query_string"]
        for resource in resources.values()
        if resource["type"] == "aws_cloudwatch_query_definition"
    }
    of_dashboard = {
        widget["properties"]["title"]: widget["properties"]["query"]
        for widget in body(resources)["widgets"]
        if widget["type"] == "log"
    }
    return saved | of_dashboard


def logged() -> Iterator[str]:
    """Every text in the functions' code."""
    for path in FUNCTIONS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@pytest.mark.parametrize("shape", SHAPES)
def test_the_dashboard_shows_what_the_functions_emit_and_nothing_else(
    shape: str, planned: Callable[[str], Resources]
) -> None:
    resources = planned(shape)
    trainer = resources[of_function("trainer", "aws_lambda_function.this")]["values"]["function_name"]
    dimensions = (("service", trainer.removesuffix("-trainer")),)  # test_resource_names: what the functions emit under
    own = {metric for metric in shown(resources) if not metric[0].startswith("AWS/")}
    assert own == {("LNN", str(metric), dimensions) for metric in Metric}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_function_queue_and_cache_node_is_shown(shape: str, planned: Callable[[str], Resources]) -> None:
    resources = planned(shape)

    def named(kind: str, attribute: str) -> set[str]:
        return {found["values"][attribute] for found in resources.values() if found["type"] == kind}

    (cache,) = [found["values"] for found in resources.values() if found["type"] == "aws_elasticache_replication_group"]
    nodes = {f"{cache['replication_group_id']}-{node:03d}" for node in range(1, cache["num_cache_clusters"] + 1)}
    expected = {
        ("AWS/Lambda", "FunctionName"): named("aws_lambda_function", "function_name"),
        ("AWS/SQS", "QueueName"): named("aws_sqs_queue", "name"),
        ("AWS/ElastiCache", "CacheClusterId"): nodes,
    }
    assert {metric[:2] for metric in shown(resources) if metric[0] in OF_AWS} == {
        (namespace, name) for namespace, names in OF_AWS.items() for name in names
    }
    for (namespace, dimension), names in expected.items():
        for metric in OF_AWS[namespace]:
            assert {found[2] for found in shown(resources) if found[:2] == (namespace, metric)} == {
                ((dimension, name),) for name in names
            }


@pytest.mark.parametrize("shape", SHAPES)
def test_alarms_watch_metrics_that_the_dashboard_shows_and_are_on_it(
    shape: str, planned: Callable[[str], Resources]
) -> None:
    resources = planned(shape)
    assert alarmed(resources) - shown(resources) == set()
    assert {name for _, name, _ in alarmed(resources)} == {
        *("ApproximateNumberOfMessagesVisible", "DatabaseMemoryUsagePercentage", "Errors", "Throttles"),
        Metric.STALLED_RUNS,
    }
    (overview,) = [widget for widget in body(resources)["widgets"] if widget["type"] == "alarm"]
    names = {arn.partition(":alarm:")[2] for arn in overview["properties"]["alarms"]}
    assert names == {
        resource["values"]["alarm_name"]
        for resource in resources.values()
        if resource["type"] == "aws_cloudwatch_metric_alarm"
    }


def test_graphs_name_what_they_show(planned: Callable[[str], Resources]) -> None:
    for widget in body(planned("aws-default"))["widgets"]:
        if widget["type"] == "metric":
            described = [row[-1] for row in widget["properties"]["metrics"]]
            assert all(one.get("label") or one.get("visible") is False for one in described), widget["properties"][
                "title"
            ]


def test_queries_ask_for_messages_that_are_logged_and_figures_that_are_emitted(
    planned: Callable[[str], Resources],
) -> None:
    found = queries(planned("aws-default"))
    assert len(found) == 8
    texts = set(logged())
    for name, query in found.items():
        asked = re.findall(r'message (?:= |in \[)("[^\]|]+?")(?:\]| or|\n| and|$)', query)
        for message in [text for group in asked for text in re.findall(r'"([^"]+)"', group)]:
            assert message in texts, f"{name}: nothing logs {message!r}"
        assert set(re.findall(r"\b([A-Z]\w+)\.0\b", query)) <= set(Metric), name
        assert "run_id" in query, name
    assert "run_id" in logs.PLACE


def test_each_saved_query_asks_for_some_message_or_level(planned: Callable[[str], Resources]) -> None:
    for name, query in queries(planned("aws-default")).items():
        assert re.search(r"filter .*(message|level) (=|in)", query), name


def test_queries_of_one_run_take_the_run_that_a_person_types(planned: Callable[[str], Resources]) -> None:
    dashboard = body(planned("aws-default"))
    (variable,) = dashboard["variables"]
    about_one = [
        widget["properties"]["title"]
        for widget in dashboard["widgets"]
        if f"filter run_id like /{variable['pattern']}/" in widget["properties"].get("query", "")
    ]
    assert about_one == ["Cost by epoch", "Runs that ended", "Slowest steps"]
