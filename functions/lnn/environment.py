"""A function's configuration: the environment variables that Terraform sets."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

from lnn.errors import LnnError

VCPU_MB = 1769
"""Memory that buys one vCPU (AWS Lambda developer guide, "Configure Lambda function memory")."""


def memory_mb(variables: Mapping[str, str] = os.environ) -> int:
    """The memory of the function that this process is; 0 outside a function."""
    return int(variables.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 0))


def vcpus(variables: Mapping[str, str] = os.environ) -> int:
    """How many threads may compute side by side: the vCPUs that a function's memory buys, a part of one counted whole.

    Outside a function, and never more than: the cores that the process may use.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bought = math.ceil(memory_mb(variables) / VCPU_MB)
    return min(cores, bought) if bought else cores


def architecture() -> str:
    """This machine's instruction set, by Lambda's name for it."""
    return "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


@dataclass(frozen=True, slots=True)
class CacheAddress:
    """Address and login of the parameter server.

    ``user`` empty means no login (the local cloud); otherwise the name of an ElastiCache user
    that authenticates with IAM to the replication group ``name``.
    """

    host: str
    port: int
    tls: bool
    user: str
    name: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Resource names and limits of this deployment."""

    region: str
    bucket: str
    runs_table: str
    costs_table: str
    invocations_table: str
    models_table: str
    topic_arn: str
    trainer_function: str
    neuron_function: str
    neuron_window: int
    """The most neurons of one step that run at once; 0 means no limit."""
    trainer_memory_mb: int
    neuron_memory_mb: int
    neuron_storage_mb: int
    """Size of /tmp."""
    launch_timeout: int
    trainer_timeout: int
    neuron_timeout: int
    """Time limit of each function's invocations, in seconds."""
    log_level: str
    """Lines below this level are not logged. Logs are part of a run's price."""
    max_workers: int
    """The most workers that the planner may choose when ``workers`` is null."""
    architecture: str
    """``arm64`` or ``x86_64``; the price of a GB-second depends on it."""
    cache: CacheAddress
    neuron_concurrency: int = 0
    """The most Neurons that run at once, in all runs; 0 means that no number is known."""

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> Environment:
        """The configuration in ``variables``. Raises LnnError that names a missing variable."""
        try:
            return cls(
                region=variables["AWS_REGION"],
                bucket=variables["LNN_BUCKET"],
                runs_table=variables["LNN_RUNS_TABLE"],
                costs_table=variables["LNN_COSTS_TABLE"],
                invocations_table=variables["LNN_INVOCATIONS_TABLE"],
                models_table=variables["LNN_MODELS_TABLE"],
                topic_arn=variables["LNN_TOPIC_ARN"],
                trainer_function=variables["LNN_TRAINER_FUNCTION"],
                neuron_function=variables["LNN_NEURON_FUNCTION"],
                neuron_window=int(variables.get("LNN_NEURON_WINDOW", "0")),
                trainer_memory_mb=int(variables["LNN_TRAINER_MEMORY_MB"]),
                neuron_memory_mb=int(variables["LNN_NEURON_MEMORY_MB"]),
                neuron_storage_mb=int(variables["LNN_NEURON_STORAGE_MB"]),
                launch_timeout=int(variables["LNN_LAUNCH_TIMEOUT"]),
                trainer_timeout=int(variables["LNN_TRAINER_TIMEOUT"]),
                neuron_timeout=int(variables["LNN_NEURON_TIMEOUT"]),
                log_level=variables.get("POWERTOOLS_LOG_LEVEL", "INFO"),
                max_workers=int(variables["LNN_MAX_WORKERS"]),
                architecture=architecture(),
                cache=CacheAddress(
                    host=variables["LNN_CACHE_HOST"],
                    port=int(variables["LNN_CACHE_PORT"]),
                    tls=variables.get("LNN_CACHE_TLS", "true") == "true",
                    user=variables.get("LNN_CACHE_USER", ""),
                    name=variables.get("LNN_CACHE_NAME", ""),
                ),
                neuron_concurrency=int(variables.get("LNN_NEURON_CONCURRENCY", "0")),
            )
        except KeyError as missing:
            raise LnnError(
                f"environment variable {missing} is not set: deploy the functions with the "
                "project's Terraform, which sets it"
            ) from missing
