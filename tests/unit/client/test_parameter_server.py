"""How the command, and who computes beside it, reach the parameter server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lnn.errors import LnnError
from lnn_client.cloud import Cloud, Target

DESCRIPTION = {
    "endpoint": "http://127.0.0.1:4566",
    "region": "us-east-1",
    "credentials": {"access_key_id": "test", "secret_access_key": "secret"},
    "redis": {"host": "127.0.0.1", "port": 6399, "username": "lnn", "password": "secret"},
}
FUNCTIONS = {
    "AWS_REGION": "eu-central-1",
    "LNN_BUCKET": "lnn-123456789012-eu-central-1",
    "LNN_RUNS_TABLE": "lnn-runs",
    "LNN_COSTS_TABLE": "lnn-costs",
    "LNN_INVOCATIONS_TABLE": "lnn-invocations",
    "LNN_MODELS_TABLE": "lnn-models",
    "LNN_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:lnn-events",
    "LNN_TRAINER_FUNCTION": "lnn-trainer",
    "LNN_NEURON_FUNCTION": "lnn-neuron",
    "LNN_LAUNCH_TIMEOUT": "900",
    "LNN_TRAINER_TIMEOUT": "900",
    "LNN_NEURON_TIMEOUT": "900",
    "LNN_TRAINER_MEMORY_MB": "3008",
    "LNN_NEURON_MEMORY_MB": "1769",
    "LNN_NEURON_STORAGE_MB": "2048",
    "LNN_MAX_WORKERS": "16",
    "LNN_CACHE_HOST": "lnn-cache.example",
    "LNN_CACHE_PORT": "6379",
    "LNN_CACHE_USER": "lnn-functions",
    "LNN_CACHE_NAME": "lnn-cache",
}


def test_the_local_parameter_server_is_the_one_that_make_up_describes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cloud.json").write_text(json.dumps(DESCRIPTION))
    monkeypatch.setenv("LNN_HOME", str(tmp_path))
    reached = Cloud(Target.LOCAL).cache.get_connection_kwargs()
    assert {name: reached[name] for name in DESCRIPTION["redis"]} == DESCRIPTION["redis"]


def test_on_aws_the_parameter_server_is_the_functions_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FUNCTIONS.items():
        monkeypatch.setenv(name, value)
    cache = Cloud(Target.AWS, region="eu-central-1").cache
    assert (cache.get_connection_kwargs()["host"], cache.get_connection_kwargs()["port"]) == ("lnn-cache.example", 6379)
    assert cache.connection_pool.connection_class.__name__ == "SSLConnection"


def test_outside_of_the_vpc_it_says_which_variable_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LNN_CACHE_HOST", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with pytest.raises(LnnError, match="is not set"):
        _ = Cloud(Target.AWS, region="eu-central-1").cache
