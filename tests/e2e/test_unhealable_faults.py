"""Permissions taken away, data deleted, a function that is broken: the run says so, and goes on once it is mended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.e2e_cloud import CloudUnderTest, Outcome, Run, eventually
from support.e2e_jobs import FUSED_DATASET, FUSED_PARAMETERS, NEURON_DATASET, NEURON_PARAMETERS

TOLD_SECONDS = 120.0
"""From the fault to the message that tells people of it."""

POLICY = "e2e-taken-away"
GANG = NEURON_PARAMETERS | {"workers": 2, "batch_size": None, "epochs": 200, "checkpoint_seconds": 1}
JOBS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "neuron": (NEURON_DATASET, NEURON_PARAMETERS),
    "fused": (FUSED_DATASET, FUSED_PARAMETERS),
    "resident": (NEURON_DATASET, GANG | {"strategy": "resident"}),
    "data": (NEURON_DATASET, GANG | {"strategy": "data"}),
}


@pytest.fixture(scope="module")
def expected(cloud: CloudUnderTest, undisturbed_neuron: Outcome, undisturbed_fused: Outcome) -> dict[str, Outcome]:
    """What the jobs lead to when nothing happens to them."""
    runs = cloud.train_all((f"undisturbed-{strategy}", *JOBS[strategy]) for strategy in ("resident", "data"))
    others = {run.strategy: cloud.outcome(run.run_id) for run in runs}
    return {"neuron": undisturbed_neuron, "fused": undisturbed_fused, **others}


@contextmanager
def taken_away(cloud: CloudUnderTest, role: str, action: str, resource: str) -> Iterator[None]:
    """A function's role may no longer do something."""
    arn = cloud.functions.get_function_configuration(FunctionName=cloud.names.function(role))["Role"]
    name = arn.rpartition("/")[2]
    denied = {"Effect": "Deny", "Action": action, "Resource": resource}
    iam = cloud.client("iam")
    iam.put_role_policy(
        RoleName=name,
        PolicyName=POLICY,
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [denied]}),
    )
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=name, PolicyName=POLICY)


def failed(cloud: CloudUnderTest, run_id: str) -> Run:
    """The run once it has failed and people know, with the watch called as its schedule calls it, but more often."""
    began = time.monotonic()

    def told() -> bool:
        cloud.send("trainer", {"state": "watch"})
        time.sleep(2)
        return any(message.subject == "LNN: training failed" for message in cloud.messages(run_id))

    eventually(told, f"the message that {run_id} has failed", TOLD_SECONDS, lambda: cloud.run(run_id))
    run = cloud.run(run_id)
    assert run.status == "FAILED"
    (message,) = [one for one in cloud.messages(run_id) if one.subject == "LNN: training failed"]
    assert run.reason in message.body
    assert f"lnn resume {run_id}" in message.body
    print(f"{run.strategy}: {time.monotonic() - began:.1f} s: {run.reason}")
    return run


def goes_on(cloud: CloudUnderTest, run_id: str, outcome: Outcome) -> None:
    resumed = cloud.lnn("resume", run_id)
    assert resumed.returncode == 0, resumed.stderr
    cloud.healed(run_id)
    assert cloud.outcome(run_id) == outcome
    cloud.await_no_keys(run_id)


TAKEN: dict[str, tuple[str, str, str, str, str]] = {
    "reading checkpoints": ("neuron", "trainer", "s3:GetObject", "{bucket}/runs/*", "not allowed to read s3://"),
    "reading examples": ("data", "neuron", "s3:GetObject", "{bucket}/runs/*", "not allowed to read s3://"),
    "writing the model": (
        "resident",
        "neuron",
        "s3:PutObject",
        "{bucket}/runs/*/results/*",
        "not allowed to write s3://",
    ),
    "the history": ("neuron", "trainer", "dynamodb:BatchWriteItem", "*", "not allowed to write to the table"),
    "calling neurons": ("neuron", "trainer", "lambda:InvokeFunction", "*-neuron", "not allowed to invoke the function"),
    "calling the trainer": (
        "neuron",
        "neuron",
        "lambda:InvokeFunction",
        "*-trainer",
        "not allowed to invoke the function",
    ),
}


@pytest.mark.parametrize("taken", TAKEN)
def test_a_permission_taken_away_ends_the_run_and_given_back_lets_it_go_on(
    cloud: CloudUnderTest, expected: dict[str, Outcome], taken: str
) -> None:
    strategy, role, action, resource, cause = TAKEN[taken]
    arn = resource.format(bucket=f"arn:aws:s3:::{cloud.names.bucket}")
    with taken_away(cloud, role, action, arn):
        run = failed(cloud, cloud.start(f"taken-{strategy}", *JOBS[strategy]))
    assert cause in run.reason
    goes_on(cloud, run.run_id, expected[strategy])


def test_a_bucket_emptied_while_training_ends_the_run_and_restored_lets_it_go_on(
    cloud: CloudUnderTest, undisturbed_neuron: Outcome
) -> None:
    run_id = cloud.start("emptied", *JOBS["neuron"])
    cloud.reached(run_id, 1)
    bucket = cloud.names.bucket
    objects = cloud.s3.list_objects_v2(Bucket=bucket, Prefix=f"runs/{run_id}/")["Contents"]
    markers = [
        {"Key": one["Key"], "VersionId": cloud.s3.delete_object(Bucket=bucket, Key=one["Key"])["VersionId"]}
        for one in objects
    ]
    for process in cloud.workers("trainer"):  # what it has in memory would do for the whole run
        process.kill()
    run = failed(cloud, run_id)
    assert "which is gone" in run.reason
    for marker in markers:
        cloud.s3.delete_object(Bucket=bucket, **marker)
    goes_on(cloud, run_id, undisturbed_neuron)


def test_a_neuron_that_cannot_start_ends_the_run_with_what_it_raises(
    cloud: CloudUnderTest, expected: dict[str, Outcome]
) -> None:
    name = cloud.names.function("neuron")
    before = cloud.functions.get_function_configuration(FunctionName=name)["Handler"]
    cloud.functions.update_function_configuration(FunctionName=name, Handler="neuron.nothing.handler")
    try:
        run = failed(cloud, cloud.start("broken-neuron", *JOBS["resident"]))
    finally:
        cloud.functions.update_function_configuration(FunctionName=name, Handler=before)
    assert "the Neuron function fails whenever it is called" in run.reason
    assert "nothing" in run.reason
    goes_on(cloud, run.run_id, expected["resident"])


def test_a_run_whose_record_may_not_be_written_is_a_dead_letter_and_goes_on_by_itself(
    cloud: CloudUnderTest, expected: dict[str, Outcome]
) -> None:
    before = cloud.dead_letters("trainer")
    with taken_away(cloud, "trainer", "dynamodb:UpdateItem", f"*{cloud.names.runs_table}"):
        run_id = cloud.start("unwritable", *JOBS["fused"])
        eventually(lambda: cloud.dead_letters("trainer") > before, "a dead letter", state=lambda: cloud.run(run_id))
    assert cloud.run(run_id).status == "PENDING"
    cloud.healed(run_id)
    assert cloud.outcome(run_id) == expected["fused"]
