"""What the emulator takes for itself: an epoch of strategy ``neuron`` with calls that do nothing.

As many calls as an epoch has, in the same order: for each step the neurons of its layer, a window of them at a time,
then one call where the Trainer's would be. Each is a message to the Neuron function about a run that is long over,
which it looks up in Redis and drops.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lnnbench.cloud import BenchmarkError, Cloud
from lnnbench.jobs import Job

NO_RUN = "20000101T000000Z-00000000"


def idle_epoch(cloud: Cloud, job: Job) -> float:
    """Milliseconds of one epoch's calls without their work."""
    window = int(cloud.variables("neuron")["LNN_NEURON_WINDOW"]) or max(job.units)
    message = {"run_id": NO_RUN, "generation": 1, "state": "forward", "epoch": 1, "batch": 0, "layer": 1, "neuron": 0}

    def call(_: int) -> None:
        cloud.lambda_client.invoke(
            FunctionName=cloud.function("neuron"), InvocationType="Event", Payload=json.dumps(message).encode()
        )

    with cloud.redis.monitor() as monitor, ThreadPoolExecutor(window) as pool:
        arrivals = looked_up(monitor)
        began = time.perf_counter()
        for width in [*job.units, *reversed(job.units)]:
            for calls in (width, 1):
                under_way = list(pool.map(call, range(min(window, calls))))
                for arrived in range(1, calls + 1):
                    next(arrivals)
                    if len(under_way) < calls:
                        under_way.append(pool.submit(call, arrived))  # type: ignore[arg-type]
        return (time.perf_counter() - began) * 1000


def looked_up(monitor: Any) -> Iterator[None]:
    """One item for each time that somebody looks the run up."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if NO_RUN in monitor.next_command()["command"]:
            yield
    raise BenchmarkError("an epoch of calls that do nothing took more than 60 s")
