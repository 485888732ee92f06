#!/usr/bin/env python3
"""How fast the prediction API of a running local cloud answers: warm, cold, and under load.

A model of 64x64 color pictures, 12288-20-7-5-1, is uploaded for it and asked by name: what is in production stays.

    make up && .venv/bin/python benchmarks/predictions.py [--clients 20] [--seconds 60]
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import statistics
import sys
import threading
import time
from typing import Any

import numpy as np
import urllib3
from PIL import Image

from lnn.models.model_file import Model, encode_model
from lnn.names import PREDICTION_INPUT
from lnn.network import init_parameters
from lnn_client.cloud import Cloud, Target
from lnn_client.prediction_api import Api

SIZES, ACTIVATIONS = [12288, 20, 7, 5, 1], ["relu", "relu", "relu", "sigmoid"]
WARM_CALLS, COLD_CALLS = 200, 5


def picture(seed: int) -> bytes:
    """A PNG of 64x64 pixels of noise."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def uploaded_model(cloud: Cloud) -> str:
    """Registers a model; returns its id."""
    parameters = init_parameters(SIZES, ACTIVATIONS, "auto", time.time_ns() % 2**31, "float64")
    run_id = f"benchmark-{time.time_ns():x}"
    model = Model(parameters, run_id, ACTIVATIONS, ["other", "cat"], (64, 64, 3), 255.0)
    key = f"{PREDICTION_INPUT}{run_id}/params.h5"
    cloud.s3.put_object(Bucket=cloud.names.bucket, Key=key, Body=encode_model(model))
    while True:
        found = [entry["model_id"] for entry in cloud.registry.list_models() if entry["model_id"].startswith(run_id)]
        if found:
            return str(found[0])
        time.sleep(0.2)


def event(model_id: str, body: bytes) -> bytes:
    """POST /predict as API Gateway hands it to the function."""
    return json.dumps(
        {
            "version": "2.0",
            "rawPath": "/predict",
            "queryStringParameters": {"model": model_id},
            "headers": {"content-type": "image/png"},
            "requestContext": {"stage": "$default", "http": {"method": "POST"}},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
    ).encode()


def call(cloud: Cloud, payload: bytes) -> float:
    """Milliseconds that an invocation of the function takes, the emulator's own work included."""
    began = time.perf_counter()
    answer = cloud.functions.invoke(FunctionName=cloud.names.function("predict"), Payload=payload)
    content = json.loads(answer["Payload"].read())
    took = (time.perf_counter() - began) * 1000
    if content.get("statusCode") != 200:
        sys.exit(f"the function answered {content}")
    return took


def cold(cloud: Cloud, payload: bytes) -> list[float]:
    """Milliseconds of invocations that each start an environment: a changed description ends those before."""
    name = cloud.names.function("predict")
    before = cloud.functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    took = []
    for number in range(COLD_CALLS):
        changed = {"Variables": before | {"LNN_BENCHMARK": str(number)}}
        cloud.functions.update_function_configuration(FunctionName=name, Environment=changed)  # type: ignore[arg-type]
        cloud.functions.get_waiter("function_updated_v2").wait(FunctionName=name)
        took.append(call(cloud, payload))
    cloud.functions.update_function_configuration(FunctionName=name, Environment={"Variables": before})
    cloud.functions.get_waiter("function_updated_v2").wait(FunctionName=name)
    return took


def load(url: str, bodies: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """Clients that ask without a pause."""
    statuses: list[int | str] = []
    took: list[float] = []
    ends = time.monotonic() + seconds

    def client(number: int) -> None:
        pool = urllib3.PoolManager()
        while time.monotonic() < ends:
            began = time.perf_counter()
            try:
                answer = pool.request(
                    *("POST", url),
                    body=bodies[number % len(bodies)],
                    headers={"content-type": "image/png"},
                    retries=False,
                )
                statuses.append(answer.status)
            except urllib3.exceptions.HTTPError as error:
                statuses.append(type(error).__name__)
            took.append((time.perf_counter() - began) * 1000)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "requests": len(statuses),
        "lost": {str(status): statuses.count(status) for status in set(statuses) - {200}},
        "ms": {"median": statistics.median(took), "p99": float(np.percentile(took, 99)), "max": max(took)},
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="How fast the prediction API of the running local cloud answers.")
    parser.add_argument("--clients", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=60, help="default: %(default)s")
    given = parser.parse_args()
    cloud = Cloud(Target.LOCAL)
    model_id = uploaded_model(cloud)
    payloads = [event(model_id, picture(seed)) for seed in range(20)]
    colds = cold(cloud, payloads[0])
    # What is known of the registry may be some seconds old.
    warm = [call(cloud, payloads[number % len(payloads)]) for number in range(WARM_CALLS)][10:]
    url = f"{Api(cloud).url}predict?model={model_id}"
    under_load = load(url, [picture(seed) for seed in range(20)], given.clients, given.seconds)
    print(
        json.dumps(
            {
                "warm_ms": {"median": statistics.median(warm), "p99": float(np.percentile(warm, 99))},
                "cold_ms": {"median": statistics.median(colds), "max": max(colds)},
                f"{given.clients} clients for {given.seconds:g} s": under_load,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
