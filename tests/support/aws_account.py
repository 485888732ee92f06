"""An AWS account (moto) with the system's bucket and tables, and a clock that moves when the command waits."""

from __future__ import annotations

import functools
import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
import h5py
import numpy as np
import pytest
from botocore.loaders import JSONFileLoader, Loader
from moto import mock_aws
from typer import testing
from typer.testing import CliRunner, Result

from lnn.data.in_memory import TEST_X, TEST_Y
from lnn.job.plan import Plan
from lnn.models.model_file import Model, encode_model
from lnn.models.store import Artifacts
from lnn.names import Names, params_key
from lnn.network import init_parameters
from lnn.runs.attributes import CheckpointPointer
from lnn.runs.record import EpochRow, Run
from lnn.runs.store import Ledger
from lnn_cli.main import app
from lnn_client import cloud as targets
from support import quick_moto  # noqa: F401 - by importing it

NAMES = Names("lnn", "123456789012", "us-east-1")
TABLES = {
    NAMES.runs_table: {"run_id": "S"},
    NAMES.costs_table: {"run_id": "S", "epoch": "N"},
    NAMES.invocations_table: {"invocation": "S"},
    NAMES.models_table: {"model_id": "S"},
}
PARAMETERS = {
    "epochs": 4,
    "layers": 2,
    "neurons": {"layer1": 3, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
}

LAUNCHED = {
    "epochs": PARAMETERS["epochs"],
    "strategy": "fused",
    "strategy_reason": "it fits one function",
    "workers": 1,
    "settings": PARAMETERS,
    "dimensions": {
        "features": 16,
        "examples": 8,
        "test_examples": 4,
        "classes": ["dark", "light"],
        "sizes": [16, 3, 1],
    },
}

UPLOADED_RUN = "20261121T101500Z-0a1b2c3d"

RunCli = Callable[..., Result]

# A command line of its own for each test would be made from all the functions' signatures anew.
testing._get_command = functools.cache(testing._get_command)  # type: ignore[attr-defined]


def run_cli(*arguments: str | Path) -> Result:
    """Runs the command line; a traceback on any stream is a failure of every test."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    return result


@dataclass
class World:
    """The cloud around the command: ``script`` is what happens there, a step for each time the command sleeps."""

    ledger: Ledger
    s3: Any
    now: float = 1000.0
    script: list[Callable[[], None]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.script:
            self.script.pop(0)()

    def stored(self, prefix: str = "") -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=NAMES.bucket, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def launch(self) -> None:
        """What LaunchLambda does: opens a run for the newest dataset."""
        listed = self.s3.list_objects_v2(Bucket=NAMES.bucket, Prefix="training_input/")["Contents"]
        key = max((e for e in listed if e["Key"].endswith(".h5")), key=lambda e: e["LastModified"])["Key"]
        head = self.s3.head_object(Bucket=NAMES.bucket, Key=key)
        self.open_run(
            UPLOADED_RUN,
            dataset_key=key,
            dataset={
                "bucket": NAMES.bucket,
                "key": key,
                "version_id": head["VersionId"],
                "etag": head["ETag"].strip('"'),
            },
            upload_started_at=float(head["Metadata"]["upload-started-at"]),
        )

    def accept(self, run_id: str = UPLOADED_RUN) -> None:
        """Launch has found nothing wrong."""
        assert self.ledger.describe(run_id, **LAUNCHED)

    def open_run(self, run_id: str, **attributes: Any) -> None:
        assert self.ledger.open_run(run_id, **attributes)

    def train(self, run_id: str, epochs: int) -> None:
        """A trainer takes the run over and gets as far as ``epochs``."""
        generation = self.run(run_id).generation + 1
        assert self.ledger.claim(run_id, generation, "trainer")
        rows = [EpochRow(e, 1 / e, 0.5 + e / 10, 0.4 + e / 10, 0.25) for e in range(1, epochs + 1)]
        self.ledger.record(run_id, rows)
        saved: CheckpointPointer = {"epoch": epochs, "key": "runs/c.npz"}
        self.ledger.renew(run_id, generation, epoch=epochs, cost=1 / epochs, checkpoint=saved)

    def end(self, run_id: str, status: Any = "COMPLETED", reason: str | None = None, **more: Any) -> None:
        run = self.run(run_id)
        started = run.upload_started_at or 100.0
        figures = {
            "final_cost": 0.25,
            "train_accuracy": 0.9,
            "test_accuracy": 0.8,
            "training_started_at": started + 1,
            "training_ended_at": started + 3,
            "model_written_at": started + 4.5,
            "artefacts": {"params": f"s3://{NAMES.bucket}/prediction_input/{run_id}/params.h5"},
            **more,
        }
        facts = figures if status == "COMPLETED" else more
        ended = self.ledger.finish(run_id, run.generation, status, reason, **facts)
        assert ended is not None
        self.ledger.close(ended)

    def train_whole(
        self,
        run_id: str = UPLOADED_RUN,
        *,
        shape: tuple[int, ...] | None = (4, 4),
        features: int = 16,
        classes: Sequence[str] = ("dark", "light"),
        activations: Sequence[str] = ("relu", "sigmoid"),
        dtype: str = "float64",
        epochs: int = 4,
        ending: Mapping[str, Any] = MappingProxyType({}),
        **settings: Any,
    ) -> Model:
        """A run from its upload to its end, with a model, and test examples in the bucket; returns the model."""
        features = int(np.prod(shape)) if shape else features
        units = 1 if len(classes) == 2 and activations[-1] == "sigmoid" else len(classes)
        sizes = [features, *(3 for _ in activations[1:]), units]
        parameters = init_parameters(sizes, list(activations), "auto", 0, dtype)
        model = Model(parameters, run_id, list(activations), list(classes), shape, 255.0 if shape else 1.0)
        self.open_run(run_id, upload_started_at=100.0)
        plan = Plan(
            sizes=sizes,
            activations=list(activations),
            epochs=epochs,
            batch_size=None,
            learning_rate=0.1,
            optimizer="sgd",
            l2=0.0,
            dtype=dtype,
            seed=0,
            threshold=None,
            record_every=1,
            checkpoint_seconds=30.0,
            notify_every=None,
            max_seconds=None,
            max_usd=None,
            examples=8,
            test_examples=len(classes) * 5,
            list_classes=list(classes),
            image_shape=list(shape) if shape else None,
            scale=model.scale,
            strategy="fused",
            workers=1,
            shard_rows=4,
        )
        dimensions = {
            "features": features,
            "examples": 8,
            "test_examples": plan.test_examples,
            "classes": list(classes),
            "sizes": sizes,
        }
        described = {
            **LAUNCHED,
            "settings": {**PARAMETERS, "epochs": epochs, **settings},
            "epochs": epochs,
            "plan": plan.as_json(),
            "dimensions": dimensions,
            "estimate": {"seconds": 9.9, "usd": 0.000189},
        }
        assert self.ledger.describe(run_id, **described)
        self.train(run_id, epochs)
        rng = np.random.default_rng(1)
        rows = rng.integers(0, 256, (plan.test_examples, features), dtype=np.uint8)
        artifacts = Artifacts(self.s3, NAMES.bucket)
        self.s3.put_object(Bucket=NAMES.bucket, Key=params_key(run_id), Body=encode_model(model))
        artifacts.put_tensor(run_id, TEST_Y, np.arange(plan.test_examples) % len(classes))
        for index in range(-(-plan.test_examples // plan.shard_rows)):
            shard = rows[index * plan.shard_rows : (index + 1) * plan.shard_rows]
            artifacts.put_shard(run_id, TEST_X, index, shard if shape else shard / 255)
        self.end(run_id, **ending)
        return model

    def run(self, run_id: str) -> Run:
        run = self.ledger.get_run(run_id)
        assert run is not None
        return run


@pytest.fixture(scope="session", autouse=True)
def service_models_are_read_once() -> Iterator[None]:
    """Every command makes a session of its own, and botocore would read its large files and folders for each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", staticmethod(functools.cache(JSONFileLoader().load_file)))
        for name in ("list_available_services", "list_api_versions"):
            patch.setattr(Loader, name, _once_for_each_path(getattr(Loader, name)))
        yield


def _once_for_each_path(look: Callable[..., Any]) -> Callable[..., Any]:
    """A look into the folders of a loader, remembered for every loader of the same folders."""
    found: dict[Any, Any] = {}

    def once(loader: Loader, *arguments: str, **named: str) -> Any:
        wanted = (*loader.search_paths, *arguments, *named.items())
        if wanted not in found:
            found[wanted] = look(loader, *arguments, **named)
        return found[wanted]

    return once


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of this machine's, a folder of its own, and a terminal of known width."""
    for name in ("LNN_HOME", "LNN_PREFIX", "AWS_PROFILE", "AWS_ENDPOINT_URL", "LNN_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LNN_HOME", str(tmp_path / "no-cloud"))
    monkeypatch.setattr(targets, "aws_home", lambda: tmp_path / "no-deployment")
    monkeypatch.setenv("LNN_TARGET", "aws")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def unused_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=NAMES.bucket)
        s3.put_bucket_versioning(Bucket=NAMES.bucket, VersioningConfiguration={"Status": "Enabled"})
        dynamodb = boto3.client("dynamodb")
        for table, keys in TABLES.items():
            dynamodb.create_table(
                TableName=table,
                BillingMode="PAY_PER_REQUEST",
                KeySchema=[
                    {"AttributeName": name, "KeyType": kind}
                    for name, kind in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in keys.items()],
            )
        made = World(Ledger(dynamodb, NAMES.runs_table, NAMES.costs_table), s3)
        monkeypatch.setattr("lnn_client.progress.sleep", made.sleep)
        for module in ("lnn_client.uploads", "lnn_client.progress", "lnn_cli.ui.progress", "lnn_cli.ui.live_view"):
            monkeypatch.setattr(f"{module}.monotonic", lambda: made.now)
        yield made


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A valid dataset of two classes of 4x4 gray pictures."""
    path = tmp_path / "shapes data.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for name, count in (("train", 8), ("test", 4)):
            file[f"{name}_set_x"] = rng.integers(0, 256, (count, 4, 4), dtype=np.uint8)
            file[f"{name}_set_y"] = np.arange(count) % 2
        file["list_classes"] = [b"dark", b"light"]
    return path


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    path = tmp_path / "parameters.json"
    path.write_text(json.dumps(PARAMETERS))
    return path
