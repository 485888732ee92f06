"""This machine's rate of matrix products, and its round trip to Redis."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import redis

from lnnbench.cloud import printed
from lnnbench.redis_proxy import proxy

ROUND_TRIPS = 300
GEMM_TRIES = 3
"""The best of several processes counts: a busy moment must not raise the floor above the measurements."""
CLOSE_ENOUGH = 0.1
"""The allowed error of a round trip, relative to the wanted one."""

GEMM = """
import json, sys, time
import numpy as np
size = 1536
rates = {}
for dtype in ("float64", "float32"):
    a, b = (np.random.default_rng(0).random((size, size)).astype(dtype) for _ in range(2))
    out = np.empty_like(a)
    seconds = []
    for _ in range(30):
        began = time.perf_counter()
        np.matmul(a, b, out=out)
        seconds.append(time.perf_counter() - began)
    rates[dtype] = 2 * size**3 / min(seconds)
print(json.dumps(rates))
"""


def gemm_rates() -> dict[str, dict[str, float]]:
    """The best rate of a large matrix product, flops a second, by threads (``one``, ``all``) and dtype."""
    unlimited = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    rates: dict[str, dict[str, float]] = {"one": {}, "all": {}}
    for threads, environment in GEMM_TRIES * (("one", unlimited | {"OPENBLAS_NUM_THREADS": "1"}), ("all", unlimited)):
        for dtype, rate in printed("matrix products", [sys.executable, "-c", GEMM], 120, env=environment).items():
            rates[threads][dtype] = max(rate, rates[threads].get(dtype, 0.0))
    return rates


def round_trip(port: int, payload_bytes: int = 0) -> float:
    """Median seconds of one exchange with Redis: a push and a pop of ``payload_bytes``, in one pipeline."""
    client = redis.Redis(host="127.0.0.1", port=port)
    part, key = b"x" * payload_bytes, "lnnbench:round-trip"
    seconds = []
    for _ in range(ROUND_TRIPS):
        pipeline = client.pipeline(transaction=False)
        pipeline.rpush(key, part)
        pipeline.blpop([key], 1)
        began = time.perf_counter()
        pipeline.execute()
        seconds.append(time.perf_counter() - began)
    client.close()
    return median(seconds)


@contextmanager
def slower_redis(port: int, wanted: float) -> Iterator[tuple[int, float]]:
    """A proxy that slows an exchange to ``wanted`` seconds; yields its port, and the measured seconds."""
    delay = max(0.0, (wanted - round_trip(port)) / 2)
    for _ in range(6):
        with proxy(port, delay) as slow_port:
            found = round_trip(slow_port)
        if abs(found - wanted) < CLOSE_ENOUGH * wanted:
            break
        delay = max(0.0, delay + (wanted - found) / 2)
    with proxy(port, delay) as slow_port:
        yield slow_port, round_trip(slow_port)
