"""What Terraform tells a function."""

from __future__ import annotations

import os
import platform

import pytest

from lnn.environment import Environment, vcpus
from lnn.errors import LnnError

VARIABLES = {
    "AWS_REGION": "eu-central-1",
    "LNN_BUCKET": "bucket",
    "LNN_RUNS_TABLE": "runs",
    "LNN_COSTS_TABLE": "costs",
    "LNN_INVOCATIONS_TABLE": "invocations",
    "LNN_MODELS_TABLE": "models",
    "LNN_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:lnn-events",
    "LNN_TRAINER_FUNCTION": "lnn-trainer",
    "LNN_NEURON_FUNCTION": "lnn-neuron",
    "LNN_NEURON_WINDOW": "16",
    "LNN_TRAINER_MEMORY_MB": "3008",
    "LNN_NEURON_MEMORY_MB": "1769",
    "LNN_NEURON_STORAGE_MB": "2048",
    "LNN_MAX_WORKERS": "16",
    "LNN_LAUNCH_TIMEOUT": "300",
    "LNN_TRAINER_TIMEOUT": "900",
    "LNN_NEURON_TIMEOUT": "600",
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
    "LNN_CACHE_HOST": "cache.example",
    "LNN_CACHE_PORT": "6379",
    "LNN_CACHE_TLS": "true",
    "LNN_CACHE_USER": "lnn-functions",
    "LNN_CACHE_NAME": "lnn-cache",
}
OPTIONAL = {"POWERTOOLS_LOG_LEVEL", "LNN_NEURON_WINDOW", "LNN_CACHE_TLS", "LNN_CACHE_USER", "LNN_CACHE_NAME"}


def test_every_variable_is_read() -> None:
    environment = Environment.read(VARIABLES)
    assert environment.region == "eu-central-1"
    assert environment.bucket == "bucket"
    assert (environment.runs_table, environment.costs_table) == ("runs", "costs")
    assert (environment.invocations_table, environment.models_table) == ("invocations", "models")
    assert (environment.trainer_function, environment.neuron_function) == ("lnn-trainer", "lnn-neuron")
    assert environment.neuron_window == 16
    assert (environment.trainer_memory_mb, environment.neuron_memory_mb) == (3008, 1769)
    assert (environment.neuron_storage_mb, environment.max_workers) == (2048, 16)
    assert (environment.launch_timeout, environment.trainer_timeout, environment.neuron_timeout) == (300, 900, 600)
    assert environment.log_level == "DEBUG"
    cache = environment.cache
    assert (cache.host, cache.port, cache.tls) == ("cache.example", 6379, True)
    assert (cache.user, cache.name) == ("lnn-functions", "lnn-cache")


@pytest.mark.parametrize("variable", sorted(VARIABLES.keys() - OPTIONAL))
def test_a_missing_variable_is_named(variable: str) -> None:
    variables = {name: value for name, value in VARIABLES.items() if name != variable}
    with pytest.raises(LnnError, match=f"environment variable '{variable}' is not set"):
        Environment.read(variables)


def test_a_cache_is_encrypted_unless_it_is_said_not_to_be() -> None:
    variables = {name: value for name, value in VARIABLES.items() if name not in OPTIONAL}
    environment = Environment.read(variables)
    assert environment.cache.tls is True
    assert environment.cache.user == ""
    assert environment.neuron_window == 0
    assert Environment.read({**variables, "LNN_CACHE_TLS": "false"}).cache.tls is False


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [("aarch64", "arm64"), ("arm64", "arm64"), ("x86_64", "x86_64"), ("AMD64", "x86_64")],
)
def test_the_architecture_is_the_machine_s_own(
    machine: str, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert Environment.read(VARIABLES).architecture == architecture


@pytest.mark.parametrize(("memory_mb", "threads"), [("512", 1), ("1769", 1), ("1770", 2), ("3008", 2), ("10240", 6)])
def test_a_function_has_the_vcpus_that_its_memory_buys(
    memory_mb: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert vcpus({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb}) == threads
    assert vcpus({}) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert vcpus({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb}) == 1
