"""The functions' code, imported from this checkout or from another, with the simulation's stand-ins in it."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulation import stand_ins
from simulation.redis_service import Wire, client_of

if TYPE_CHECKING:
    from simulation.world import World

REGION, ACCOUNT = "us-east-1", "123456789012"
VARIABLES = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "LNN_BUCKET": "lnn-bucket",
    "LNN_RUNS_TABLE": "lnn-runs",
    "LNN_COSTS_TABLE": "lnn-costs",
    "LNN_INVOCATIONS_TABLE": "lnn-invocations",
    "LNN_MODELS_TABLE": "lnn-models",
    "LNN_TOPIC_ARN": f"arn:aws:sns:{REGION}:{ACCOUNT}:lnn-events",
    "LNN_TRAINER_FUNCTION": "lnn-trainer",
    "LNN_NEURON_FUNCTION": "lnn-neuron",
    "LNN_LAUNCH_FUNCTION": "lnn-launch",
    "LNN_TRAINER_MEMORY_MB": "3008",
    "LNN_NEURON_MEMORY_MB": "1769",
    "LNN_NEURON_STORAGE_MB": "2048",
    "LNN_LAUNCH_TIMEOUT": "900",
    "LNN_TRAINER_TIMEOUT": "900",
    "LNN_NEURON_TIMEOUT": "900",
    "LNN_MAX_WORKERS": "4",
    "LNN_CACHE_HOST": "cache",
    "LNN_CACHE_PORT": "6379",
    "LNN_CACHE_TLS": "false",
    "POWERTOOLS_SERVICE_NAME": "lnn",
    "POWERTOOLS_METRICS_NAMESPACE": "LNN",
}


class Stage:
    """Where simulations take place, one after the other."""

    world: World
    """The one that is simulated now."""


stage = Stage()


class Code:
    """What the simulation calls of the code under test."""

    def __init__(self, tree: Path) -> None:
        sys.path.insert(0, str(tree / "functions"))
        os.environ.update(VARIABLES)
        logging.disable()
        warnings.simplefilter("ignore")
        _import_lazy_modules()
        import lnn.aws.clients
        import lnn.data.dataset
        import lnn.models.validation
        import lnn.parameter_server.connection
        import lnn.parameter_server.process_group
        import lnn.runs.logs
        import lnn.runs.metrics

        found = Path(lnn.aws.clients.__file__).resolve()
        if tree.resolve() not in found.parents:
            raise RuntimeError(f"lnn was imported from {found}, not from {tree}")
        lnn.runs.logs.invocation = lambda work: work  # type: ignore[assignment]
        lnn.runs.logs.at = lambda **_: None
        lnn.runs.logs.place = dict
        lnn.runs.metrics.emit = lambda *_: None
        lnn.aws.clients.LazyClient = Client  # type: ignore[misc]
        try_later = lnn.parameter_server.connection.TRY_LATER
        self.try_later = try_later
        # Making a client takes milliseconds: one serves all worlds.
        redis_client = client_of(lambda: stage.world.redis)
        lnn.parameter_server.connection.connect = lambda *_: redis_client
        lnn.parameter_server.process_group.RespConnection = Wire
        _memoize_inspection()
        _memoize_files()
        from aws_lambda_powertools.utilities.idempotency.persistence import dynamodb

        dynamodb.boto3 = types.SimpleNamespace(
            __version__=dynamodb.boto3.__version__,
            session=types.SimpleNamespace(Session=lambda *_, **__: types.SimpleNamespace(client=Client)),
        )
        dynamodb.user_agent = types.SimpleNamespace(register_feature_to_client=lambda **_: None)
        self.launch = importlib.import_module("launch.handler")
        self.trainer = importlib.import_module("trainer.handler")
        self.neuron = importlib.import_module("neuron.handler")
        self.register = importlib.import_module("register.handler")
        stand_ins.install()
        _compute_takes_time()
        _checkpoints_at_will()
        _blocks_of_two()

    def handler(self, kind: str) -> Callable[[Any, Any], Any]:
        return getattr(self, kind).handler  # type: ignore[no-any-return]


def _import_lazy_modules() -> None:
    """Modules that functions import only when they need them: the stand-ins have to reach them, too."""
    for name in (
        "lnn.launch", "lnn.train", "lnn.wiring", "lnn.strategies.worker", "lnn.strategies.session",
        "lnn.strategies.neuron.trainer", "lnn.strategies.neuron.neuron", "lnn.strategies.fused.engine",
        "lnn.strategies.resident.engine", "lnn.strategies.data_parallel.engine", "lnn.parameter_server.server",
        "lnn.parameter_server.connection", "lnn.parameter_server.process_group", "lnn.serving.registration",
        "lnn.serving.registry", "lnn.models.validation", "lnn.data.validation", "lnn.aws.idempotency",
        "lnn.strategies.fused.costs", "lnn.strategies.neuron.costs", "lnn.strategies.resident.costs",
        "lnn.strategies.data_parallel.costs",
    ):  # fmt: skip
        importlib.import_module(name)


class Client:
    """A client of whichever world is simulated when it is used."""

    def __init__(self, name: str, config: Any = None) -> None:
        self._name, self._config = name, config
        self._world: Any = None
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        if name in {"exceptions", "meta"}:
            from simulation.aws import EXCEPTIONS

            return EXCEPTIONS if name == "exceptions" else types.SimpleNamespace()
        if self._world is not stage.world:
            self._world = stage.world
            self._client = stage.world.services[self._name].client(self._config)
        return getattr(self._client, name)


def _memoize_inspection() -> None:
    """Files are checked in this process, each content once: a child process takes a third of a second."""
    import lnn.data.dataset
    import lnn.models.validation
    from lnn.data import validation
    from lnn.errors import InputError

    @cache
    def examined(module: str, content: bytes, limits: tuple[int, ...]) -> Any:
        import json
        from dataclasses import asdict

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "datasets.h5"
            path.write_bytes(content)
            if module == "lnn.data.validation":
                return json.loads(json.dumps({"summary": asdict(validation.examine_dataset(path, *limits))}))
            try:
                lnn.models.validation.load_model(path, limits[0])
            except InputError as error:
                return {"problems": error.problems}
            return {}

    def inspect(module: str, path: Any, *limits: int, **_: Any) -> Any:
        answer = examined(module, Path(path).read_bytes(), limits)
        if "problems" in answer:
            raise InputError(answer["problems"])
        return answer

    lnn.data.dataset.inspect = inspect
    lnn.models.validation.inspect = inspect


def _memoize_files() -> None:
    """HDF5 files are read once for each content: nobody changes what they hold."""
    import lnn.data.parts
    import lnn.launch
    import lnn.models.validation

    load_model = cache(lnn.models.validation.load_model)
    lnn.models.validation.load_model = load_model
    labels, shards = lnn.data.parts.load_labels, lnn.launch.feature_shards
    of_labels: dict[Any, Any] = {}
    of_shards: dict[Any, Any] = {}

    def load_labels(path: Path, name: str) -> Any:
        key = path.read_bytes(), name
        if key not in of_labels:
            of_labels[key] = labels(path, name)
        return of_labels[key]

    def feature_shards(path: Path, *arguments: Any) -> Any:
        *others, chosen = arguments
        key = path.read_bytes(), *others, None if chosen is None else chosen.tobytes()
        if key not in of_shards:
            of_shards[key] = [shard.copy() for shard in shards(path, *arguments)]
        return iter([shard.copy() for shard in of_shards[key]])

    lnn.data.parts.load_labels, lnn.launch.feature_shards = load_labels, feature_shards


def _compute_takes_time() -> None:
    """Training steps take simulated time."""
    from lnn.strategies.data_parallel.engine import Data
    from lnn.strategies.fused.engine import InExampleSpace, Textbook
    from lnn.strategies.resident.engine import Resident

    for engine in (Textbook, InExampleSpace, Resident, Data):
        original = engine.step

        def step(self: Any, *arguments: Any, original: Any = original, **named: Any) -> Any:
            stage.world.transport.compute(stage.world.job.step_seconds, "step")
            return original(self, *arguments, **named)

        engine.step = step  # type: ignore[method-assign]


def _checkpoints_at_will() -> None:
    """A job may ask for a checkpoint after every step, however long storing takes."""
    from lnn.strategies.deadline import Deadline

    due = Deadline.checkpoint_due
    Deadline.checkpoint_due = lambda self, ahead: stage.world.job.every_checkpoint or due(self, ahead)  # type: ignore[method-assign]


def has_blocks() -> bool:
    """False for code that writes each row of a history alone."""
    return importlib.util.find_spec("lnn.runs.history_items") is not None


def rows_in(items: Sequence[Mapping[str, Any]]) -> list[tuple[int, float, float, float]]:
    """Epoch, cost and accuracies of the rows in the items of a history, in order."""
    if has_blocks():
        from lnn.runs.history_items import rows_in

        return [(row.epoch, row.cost, row.train_accuracy, row.test_accuracy) for row in rows_in(items)]  # type: ignore[misc]
    from lnn.aws.dynamodb_items import plain

    names = ("cost", "train_accuracy", "test_accuracy")
    return sorted((row["epoch"], *(float(row[name]) for name in names)) for row in map(plain, items))


def _blocks_of_two() -> None:
    """A run of a few epochs has blocks in its history, and rows that are in none."""
    if has_blocks():
        import lnn.runs.history_items
        import lnn.runs.history_writer

        lnn.runs.history_items.BLOCK_ROWS = lnn.runs.history_writer.BLOCK_ROWS = 2
