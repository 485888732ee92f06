"""Trains one small job with every strategy, in both dtypes, and prints a digest of each run's parameters and history.

Its batches are in parts, as those of large jobs are.

A program of its own: OpenBLAS and numpy choose their code as they are loaded.
Usage: ``python -m support.every_strategy REDIS_PORT``.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import boto3
import numpy as np
import redis
from moto import mock_aws

from lnn.data.dataset import write_dataset
from lnn.network import parts
from support.inprocess_cloud import REGION, InProcessCloud

PARAMETERS = {
    "epochs": 2,
    "layers": 3,
    "neurons": {"layer1": 4, "layer2": 3, "layer3": 3},
    "activations": {"layer1": "tanh", "layer2": "sigmoid", "layer3": "softmax"},
    "learning_rate": 0.1,
    "seed": 3,
}


def main() -> None:
    os.environ |= {"AWS_DEFAULT_REGION": REGION, "POWERTOOLS_METRICS_NAMESPACE": "LNN"}
    rng = np.random.default_rng(5)
    digests: dict[str, str] = {}
    parts.LEAST_EXAMPLES = parts.LEAST_MULTIPLICATIONS = 1
    with tempfile.TemporaryDirectory() as folder, closing(redis.Redis(port=int(sys.argv[1]))) as client:
        dataset = Path(folder) / "datasets.h5"
        X, X_test = rng.random((64, 300)), rng.random((12, 300))
        write_dataset(dataset, X, rng.integers(0, 3, 64), X_test, rng.integers(0, 3, 12), ["a", "b", "c"])
        # With sgd and so few examples, ``fused`` computes in example space.
        for strategy, optimizer in [(name, "sgd") for name in ("fused", "neuron", "resident", "data")] + [
            ("fused", "adam")
        ]:
            for dtype in ("float64", "float32"):
                client.flushall()
                workers = 2 if strategy in {"resident", "data"} else None
                with mock_aws():
                    cloud = InProcessCloud(client, boto3.Session(region_name=REGION))
                    settings = PARAMETERS | {"strategy": strategy, "dtype": dtype, "workers": workers}
                    settings["optimizer"] = optimizer
                    upload = cloud.upload(dataset.read_bytes(), settings)
                    cloud.launch(upload)
                    run = cloud.run_to_end(upload.run_id)
                    if run.status != "COMPLETED":
                        sys.exit(f"{strategy}: {run.status}, {run.reason}")
                    arrays, history = cloud.outcome(upload.run_id)
                content = b"".join(arrays) + json.dumps(history).encode()
                digests[f"{strategy}, {optimizer}, {dtype}"] = hashlib.sha256(content).hexdigest()
    print(json.dumps(digests))


if __name__ == "__main__":
    main()
