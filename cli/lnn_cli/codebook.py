"""What the notebook Codebook uses and does not explain: the digits, an event of S3, and a reader of the barrier."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn.data.dataset import feature_shards, inspect_dataset, label_matrix, load_labels, standardize
from lnn.parameter_server.barrier import Barrier
from lnn.strategies.neuron.layout import Layout

if TYPE_CHECKING:
    from lnn.data.summary import DatasetSummary
    from lnn.messages import Step
    from lnn.network.types import AnyArray
    from lnn.parameter_server.codec import TensorKey
    from lnn.parameter_server.server import ParameterServer
    from lnn_client.cloud import Cloud


@dataclass(frozen=True, slots=True)
class Examples:
    """The training examples of a dataset, as the network takes them."""

    summary: DatasetSummary
    X: AnyArray
    """(n, m)"""
    y: AnyArray
    """Class of each example, (m,)."""
    Y: AnyArray
    """One-hot, (K, m)."""


def load_examples(path: Path) -> Examples:
    """Vectorized, standardized and one-hot. Raises DatasetError."""
    summary = inspect_dataset(path)
    (stored,) = feature_shards(path, "train_set_x", summary.features, rows=summary.m)
    rows = np.empty(stored.shape)
    standardize(stored, summary.scale, rows)
    y = load_labels(path, "train_set_y")
    return Examples(summary, rows.T, y, label_matrix(y, len(summary.classes), "float64"))


def event_of_an_upload(cloud: Cloud, key: str) -> dict[str, Any]:
    """What S3 says when an object with this key arrives: asked of a bucket and a queue of its own."""
    sqs, name = cloud.client("sqs"), f"codebook-{secrets.token_hex(4)}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3 = {"Service": "s3.amazonaws.com"}
    allowed = {"Effect": "Allow", "Principal": s3, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    cloud.s3.create_bucket(Bucket=name)
    try:
        cloud.s3.put_bucket_notification_configuration(
            Bucket=name,
            NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]},
        )
        cloud.s3.put_object(Bucket=name, Key=key, Body=b"an object")
        while True:
            for received in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5).get("Messages", []):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=received["ReceiptHandle"])
                event: dict[str, Any] = json.loads(received["Body"])
                if "Records" in event:  # S3's first message only tries whether it may write to the queue
                    return event
    finally:
        cloud.s3.delete_object(Bucket=name, Key=key)
        cloud.s3.delete_bucket(Bucket=name)
        sqs.delete_queue(QueueUrl=queue)


def results(plan: Layout, step: Step) -> dict[str, TensorKey]:
    """What a step leaves, by name, as typed keys. dZ2 is the Trainer's, left just before its step."""
    layer = step.layer
    if step.direction == "forward":
        key = plan.output_key(step)
        return {key.name: key}
    (weights,), (biases,) = plan.parameter_keys(layer, updates=step.epoch)
    return {f"dZ{layer}": plan.delta_key(layer, step), f"W{layer}": weights, f"b{layer}": biases}


def look(server: ParameterServer, seen: dict[tuple[int, str], AnyArray]) -> bool:
    """Put all that is whole now, and was not seen before, into ``seen``; False if the run is not there."""
    position = Barrier(server).position()
    if position is None or position.step.epoch == 0:
        return False
    fill = server.fill(position.step.fill)
    plan = Layout.parse(fill.get("plan|dict"))
    steps = [plan.first_step(position.step.generation, epoch=1, fill=position.step.fill)]
    while following := plan.following(steps[-1]):
        steps.append(following)
    now = steps.index(position.step)
    per_epoch = 2 * plan.layers
    # Whole: what the steps before this one have left, as far back as nobody replaces it yet, and what this
    # one leaves, once all of its neurons have arrived.
    wanted = {
        (step.epoch, name): key
        for step in steps[max(0, now - per_epoch + 1) : now + position.complete]
        for name, key in results(plan, step).items()
        if (step.epoch, name) not in seen
    }
    values = fill.get_many(wanted.values()) if wanted else []
    after = Barrier(server).position()
    if after is not None and after.step == position.step:  # nothing was replaced while it was read
        seen.update(zip(wanted, values, strict=True))
    return True
