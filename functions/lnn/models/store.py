"""What a run leaves in S3: tensors, checkpoints, the model and the results.

This is the one home of their formats. ``params.h5`` is enough to predict with, alone.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lnn.aws.client_errors import refusals
from lnn.aws.s3_client import PromptS3
from lnn.data.hdf5 import Hdf5File, open_bytes, open_file
from lnn.data.value_range import Range
from lnn.errors import InputError, LnnError, ModelError
from lnn.names import (
    LATEST_PARAMS,
    LATEST_RESULTS,
    checkpoint_key,
    model_key,
    params_key,
    results_key,
    s3_uri,
    shard_key,
    tensor_key,
)
from lnn.network import Network
from lnn.network.types import Parameters, Slots

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

Array = NDArray[Any]

MODEL_FILE = "params.h5"
MAX_MODEL_BYTES = 10_240 * 2**20
"""Of a model's arrays: no function has more memory to train one (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""

EXAMPLE_SPACE = "example_space."
"""Prefix of that formulation's arrays in a checkpoint."""


EPOCH_SO_FAR = "epoch_so_far"
"""Name of the array in a checkpoint that holds ``EpochSoFar``; a checkpoint after a whole epoch has none."""


@dataclass(frozen=True, slots=True)
class EpochSoFar:
    """What the first batches of an epoch have come to."""

    batches: int = 0
    cost_sum: float = 0.0
    """Of their costs, each times its batch's examples."""
    correct: int = 0
    """Examples of them that were predicted right before the update."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that training goes on from: the state after ``epoch`` epochs, and what there is of the next."""

    epoch: int
    parameters: Parameters
    slots: Slots
    example_space: Mapping[str, Array] | None = None
    """The first layer as the example-space formulation holds it; None in the plain one."""
    so_far: EpochSoFar = EpochSoFar()

    def stored_as(self, key: str) -> dict[str, Any]:
        """What a run's record says of it."""
        return {"epoch": self.epoch, "batches": self.so_far.batches, "key": key}


@dataclass(frozen=True, slots=True)
class Model:
    """A trained network, as ``params.h5`` holds it."""

    parameters: Parameters
    run_id: str
    activations: list[str]
    list_classes: list[str]
    image_shape: tuple[int, ...] | None
    scale: float
    """What its training examples were divided by."""
    value_range: Range | None = None
    """Their values of black and of white, as stored; None for rows of floats, and in files of before it was kept."""

    @property
    def features(self) -> int:
        return int(self.parameters[0][0].shape[1])

    def predict_proba(self, X: Array) -> Array:
        """Probability of each class, (K, m), for standardized examples X (n, m)."""
        sizes = [self.features, *(len(W) for W, _ in self.parameters)]
        probabilities = Network(sizes, self.activations).predict_proba(self.parameters, X)
        if len(self.list_classes) == 2 and probabilities.shape[0] == 1:
            return np.concatenate([1 - probabilities, probabilities])
        return probabilities


class Artifacts:
    """The bucket of one deployment."""

    def __init__(self, client: S3Client, bucket: str, prompt: S3Client | None = None) -> None:
        """``prompt``, if given, is asked first: see ``PromptS3``."""
        self._s3 = PromptS3(client, prompt)
        self.bucket = bucket

    def put_tensor(self, run_id: str, name: str, value: Array) -> None:
        self._put_array(tensor_key(run_id, name), value)

    def get_tensor(self, run_id: str, name: str) -> Array:
        """Raises LnnError when the run's data is gone, or no longer what was stored."""
        return self._get_array(tensor_key(run_id, name))

    def put_shard(self, run_id: str, name: str, index: int, rows: Array) -> None:
        """Store one of the consecutive parts of a tensor that is too large to be one object."""
        self._put_array(shard_key(run_id, name, index), rows)

    def get_shard(self, run_id: str, name: str, index: int) -> Array:
        """Raises LnnError when the run's data is gone, or no longer what was stored."""
        return self._get_array(shard_key(run_id, name, index))

    def put_checkpoint(self, run_id: str, generation: int, checkpoint: Checkpoint) -> str:
        """Store a checkpoint and return its key."""
        arrays: dict[str, Array] = {}
        layers = zip(checkpoint.parameters, checkpoint.slots, strict=True)
        for layer, ((W, b), (slots_W, slots_b)) in enumerate(layers, start=1):
            arrays[f"W{layer}"], arrays[f"b{layer}"] = W, b
            for slot, (of_W, of_b) in enumerate(zip(slots_W, slots_b, strict=True)):
                arrays[f"W{layer}.{slot}"], arrays[f"b{layer}.{slot}"] = of_W, of_b
        for name, value in (checkpoint.example_space or {}).items():
            arrays[f"{EXAMPLE_SPACE}{name}"] = value
        if checkpoint.so_far.batches:
            arrays[EPOCH_SO_FAR] = np.array(astuple(checkpoint.so_far), np.float64)  # counts are exact below 2^53
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        key = checkpoint_key(run_id, generation, checkpoint.epoch, checkpoint.so_far.batches)
        self._put(key, buffer.getvalue())
        return key

    def get_checkpoint(self, key: str, epoch: int) -> Checkpoint:
        """The checkpoint stored under ``key``; its arrays are writable.

        Raises LnnError when it is gone, or no longer what was stored.
        """
        with self._whole(key) as body, np.load(body, allow_pickle=False) as stored:
            layers = sum(1 for name in stored.files if name.startswith("W") and "." not in name)
            slots = sum(1 for name in stored.files if name.startswith("W1."))
            own = [name for name in stored.files if name.startswith(EXAMPLE_SPACE)]
            batches, cost_sum, correct, seconds = stored[EPOCH_SO_FAR] if EPOCH_SO_FAR in stored.files else (0, 0, 0, 0)
            return Checkpoint(
                epoch=epoch,
                parameters=[(stored[f"W{i}"], stored[f"b{i}"]) for i in range(1, layers + 1)],
                slots=[
                    (
                        [stored[f"W{i}.{slot}"] for slot in range(slots)],
                        [stored[f"b{i}.{slot}"] for slot in range(slots)],
                    )
                    for i in range(1, layers + 1)
                ],
                example_space={name.removeprefix(EXAMPLE_SPACE): stored[name] for name in own} or None,
                so_far=EpochSoFar(int(batches), float(cost_sum), int(correct), float(seconds)),
            )

    def put_model(self, model: Model) -> str:
        """Store ``params.h5`` of a run and return its ``s3://`` address."""
        key = params_key(model.run_id)
        self._put(key, encode_model(model))
        return s3_uri(self.bucket, key)

    def put_registered_model(self, model_id: str, content: bytes) -> None:
        """Keep a registered model's ``params.h5`` where no later upload replaces it."""
        self._put(model_key(model_id), content)

    def get_registered_model(self, model_id: str) -> Model:
        """Raises LnnError when it is gone, or not one."""
        return load_model(self._get(model_key(model_id)))

    def get_upload(self, key: str, version_id: str | None, max_bytes: int) -> bytes:
        """An uploaded object, as the event that tells of it has its version.

        Raises InputError when it has more than ``max_bytes``, Gone when it has been deleted since.
        """
        version: dict[str, Any] = {"VersionId": version_id} if version_id else {}

        def read(client: S3Client) -> bytes:
            answer = client.get_object(Bucket=self.bucket, Key=key, **version)
            if answer["ContentLength"] > max_bytes:
                answer["Body"].close()
                raise InputError(f"it has {answer['ContentLength']:,} bytes, and {max_bytes:,} are the most")
            return answer["Body"].read()

        with refusals("read", s3_uri(self.bucket, key)):
            return self._s3.ask(read)

    def put_results(self, run_id: str, results: Mapping[str, Any]) -> str:
        """Store ``results.json`` of a run and return its ``s3://`` address."""
        key = results_key(run_id)
        self._put(key, json.dumps(results, indent=2).encode(), "application/json")
        return s3_uri(self.bucket, key)

    def publish_latest(self, run_id: str) -> None:
        """Make a finished run's model and results the latest."""
        for source, target in (
            (params_key(run_id), LATEST_PARAMS),
            (results_key(run_id), LATEST_RESULTS),
        ):
            with refusals("copy", f"{s3_uri(self.bucket, source)} to {s3_uri(self.bucket, target)}"):
                self._copy(source, target)

    def _put_array(self, key: str, value: Array) -> None:
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        self._put(key, buffer.getvalue())

    def _get_array(self, key: str) -> Array:
        with self._whole(key) as body:
            loaded: Array = np.load(body, allow_pickle=False)
        return loaded

    @contextmanager
    def _whole(self, key: str) -> Iterator[io.BytesIO]:
        """An object to be parsed. Raises LnnError when it is gone, or cannot be."""
        body = io.BytesIO(self._get(key))
        try:
            yield body
        except (BadZipFile, EOFError, KeyError, ValueError) as error:
            raise LnnError(
                f"{s3_uri(self.bucket, key)} is no longer what was stored ({error}); restore its earlier version and "
                "resume the run, or upload the dataset again"
            ) from error

    def _put(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        def put(client: S3Client) -> None:
            client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

        with refusals("write", s3_uri(self.bucket, key)):
            self._s3.ask(put, sent=len(body))

    def _get(self, key: str) -> bytes:
        with refusals("read", s3_uri(self.bucket, key)):
            return self._s3.ask(lambda client: client.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def _copy(self, source: str, target: str) -> None:
        place: CopySourceTypeDef = {"Bucket": self.bucket, "Key": source}
        self._s3.ask(lambda client: client.copy_object(Bucket=self.bucket, Key=target, CopySource=place))


def encode_model(model: Model) -> bytes:
    """The bytes of ``params.h5``."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for layer, (W, b) in enumerate(model.parameters, start=1):
            file.create_dataset(f"W{layer}", data=W)
            file.create_dataset(f"b{layer}", data=b)
        file.attrs["run_id"] = model.run_id
        file.attrs["layers"] = len(model.parameters)
        file.attrs["activations"] = json.dumps(model.activations)
        file.attrs["list_classes"] = json.dumps(model.list_classes)
        file.attrs["image_shape"] = json.dumps(model.image_shape)
        file.attrs["scale"] = model.scale
        file.attrs["value_range"] = json.dumps(model.value_range)
    return buffer.getvalue()


def load_model(source: str | Path | bytes, max_bytes: int = MAX_MODEL_BYTES) -> Model:
    """The model in a ``params.h5``, given its path or its bytes; ``max_bytes`` bounds its arrays, unpacked.

    Raises ModelError that says what is missing, or what may not be read, when it is not one.
    """
    opened = open_bytes(source, MODEL_FILE) if isinstance(source, bytes) else open_file(source)
    try:
        with opened as file:
            layers = file.attribute("layers")
            if not isinstance(layers, int):
                raise ModelError(f"attribute layers: found {layers!r:.40}; expected a whole number")
            arrays = list(_arrays(file, layers, max_bytes))
            scale = file.attribute("scale")
            stored_range = file.attribute("value_range", "null")
            run_id, activations, list_classes, image_shape = (
                str(file.attribute(name)) for name in ("run_id", "activations", "list_classes", "image_shape")
            )
        shape: Sequence[int] | None = json.loads(image_shape)
        value_range: Sequence[float] | None = json.loads(str(stored_range))
        return Model(
            parameters=list(zip(arrays[::2], arrays[1::2], strict=True)),
            run_id=run_id,
            activations=list(json.loads(activations)),
            list_classes=list(json.loads(list_classes)),
            image_shape=tuple(shape) if shape else None,
            scale=float(scale),
            value_range=None if value_range is None else _range(*value_range),
        )
    except (InputError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ModelError(f"not a params.h5 that LNN wrote: {error}") from error


def _range(black: float, white: float) -> Range:
    return float(black), float(white)


def _arrays(file: Hdf5File, layers: int, max_bytes: int) -> Iterator[Array]:
    """W1, b1, W2, ...: together at most ``max_bytes``."""
    for layer in range(1, layers + 1):
        for kind in "Wb":
            array = file.array(f"{kind}{layer}", max_bytes)
            max_bytes -= array.nbytes
            yield array
