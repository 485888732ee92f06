"""What a training leaves in CloudWatch: lines that all say whose they are, and figures that become metrics."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import pytest

from lnn.runs.logs import PLACE
from lnn.runs.metrics import Metric
from lnn.runs.record import Run
from support.e2e_cloud import CloudUnderTest
from support.e2e_jobs import blobs, encode, network

ROLES = ("launch", "trainer", "neuron")
DATASET = encode(blobs())
PARAMETERS = network(3, 1, epochs=4, notify_every=2)
OF_THE_PLATFORM = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ")
"""Lambda's own lines, around those of the function."""


@pytest.fixture(scope="module", params=["fused", "neuron", "resident"])
def run(request: pytest.FixtureRequest, cloud: CloudUnderTest) -> Run:
    """A completed run."""
    changes = {"strategy": request.param} | ({"workers": 2} if request.param == "resident" else {})
    completed = cloud.completed(cloud.start("logged", DATASET, PARAMETERS | changes))
    # A function's lines are there once its invocation is over.
    count = 2 if request.param == "resident" else 1
    last = "worker done" if request.param == "resident" else "run ended"
    role = who_ends(completed)
    cloud.logged(role, completed.run_id, last, count=count)
    cloud.logged("trainer", completed.run_id, "handled")
    return completed


def who_ends(run: Run) -> str:
    """The function that ends a run."""
    return "neuron" if run.strategy == "resident" else "trainer"


def lines_around(cloud: CloudUnderTest, role: str, run_id: str) -> list[dict[str, Any]]:
    """The functions' lines in every log stream that names the run.

    The emulator makes a stream for each invocation, but may begin it with the last lines that the same worker wrote for
    the invocation before.
    """
    # From the upload on, by the run's name: the emulator gives no more than its first ten thousand lines.
    uploaded = datetime.strptime(run_id[:16], "%Y%m%dT%H%M%S%z")
    pages = cloud.logs.get_paginator("filter_log_events").paginate(
        logGroupName=cloud.names.log_group(role), startTime=int(uploaded.timestamp() * 1000)
    )
    streams: dict[str, list[str]] = {}
    for page in pages:
        for event in page["events"]:
            streams.setdefault(event["logStreamName"], []).append(event["message"])
    about = [lines for lines in streams.values() if any(run_id in line for line in lines)]
    return [json.loads(line) for lines in about for line in lines if not line.startswith(OF_THE_PLATFORM)]


def test_every_line_of_a_run_is_json_with_its_place(cloud: CloudUnderTest, run: Run) -> None:
    for role in ROLES:
        lines = lines_around(cloud, role, run.run_id)
        assert [line for line in lines if not set(PLACE) <= set(line) or not line["message"]] == []
        # Lines of metrics do not name their invocation.
        own = {line.get("function_request_id") for line in lines if line["run_id"] == run.run_id} - {None}
        assert bool(own) == (role != "neuron" or run.strategy != "fused"), role
        of_them = [line for line in lines if line.get("function_request_id") in own]
        assert [line for line in of_them if line["run_id"] != run.run_id] == []


def test_neurons_and_workers_say_which_one_they_are(cloud: CloudUnderTest, run: Run) -> None:
    lines = [json.loads(line) for line in cloud.log_lines("neuron", run.run_id, "done")]
    places = {(line["state"], line["epoch"], line["layer"], line["neuron"]) for line in lines if "standing" in line}
    if run.strategy == "neuron":
        steps = [(epoch, layer) for epoch in range(1, 5) for layer in (1, 2)]
        assert places == {
            (state, epoch, layer, neuron)
            for state in ("forward", "backward")
            for epoch, layer in steps
            for neuron in range(1, (3, 1)[layer - 1] + 1)
        }
    if run.strategy == "resident":
        assert {(line["state"], line["neuron"]) for line in lines if "outcome" in line} == {("start", 0), ("start", 1)}


def test_figures_are_in_the_log_in_embedded_metric_format(cloud: CloudUnderTest, run: Run) -> None:
    lines = [json.loads(line) for role in ROLES for line in cloud.log_lines(role, run.run_id, "_aws")]
    for line in lines:
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
        assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 3600
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert (directive["Namespace"], directive["Dimensions"]) == ("LNN", [["service"]])
        assert line["service"] == cloud.names.prefix
        assert {metric["Name"] for metric in directive["Metrics"]} == set(line) & set(Metric)
    curve = sorted((line for line in lines if Metric.EPOCHS in line), key=lambda line: line["epoch"])
    history = cloud.history(run.run_id)
    assert [line["epoch"] for line in curve] == [1, 2, 3, 4]
    assert [line[Metric.COST] for line in curve] == [[row["cost"]] for row in history]
    assert [line[Metric.TRAIN_ACCURACY][0] for line in curve] == pytest.approx(
        [100 * row["train_accuracy"] for row in history]
    )
    (end,) = [line for line in lines if Metric.DOLLARS in line]
    assert end[Metric.INVOCATIONS] == [run.invocations]
    assert end[Metric.DOLLARS] == [pytest.approx(run.usd)]


def test_lnn_logs_tells_the_run_from_its_launch_to_its_end(cloud: CloudUnderTest, run: Run) -> None:
    lines = cloud.lnn_json("logs", run.run_id)
    assert lines[0]["function"] == "launch"
    assert {line["run_id"] for line in lines} == {run.run_id}
    assert "run ended" in [line["message"] for line in lines]


def test_lnn_logs_follows_a_run_to_its_end(cloud: CloudUnderTest) -> None:
    run_id = cloud.start("followed", DATASET, PARAMETERS | {"strategy": "fused"})
    followed = cloud.lnn("logs", run_id, "--follow", "--function", "trainer")
    assert followed.returncode == 0, followed.stderr
    assert "run prepared" not in followed.stdout
    assert followed.stdout.count("  status=COMPLETED\n") == 1


def test_dashboard_and_alarms_are_there_and_alarms_reach_the_topic(cloud: CloudUnderTest) -> None:
    cloudwatch = cloud.client("cloudwatch")
    body = cloudwatch.get_dashboard(DashboardName=f"{cloud.names.prefix}-trainings-{cloud.names.region}")[
        "DashboardBody"
    ]
    assert json.loads(body)["widgets"]
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix=f"{cloud.names.prefix}-")["MetricAlarms"]
    assert {alarm["AlarmName"] for alarm in alarms} >= {
        f"{cloud.names.prefix}-{name}" for name in ("stalled-run", "cache-memory-001", "trainer-errors")
    }
    assert {action for alarm in alarms for action in alarm["AlarmActions"]} == {cloud.names.topic}
