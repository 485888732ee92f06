"""A run's objects in S3: tensors, checkpoints, the model and the results."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from lnn.aws.client_errors import refusals
from lnn.aws.s3_client import RetryingS3
from lnn.errors import InputError, LnnError
from lnn.models.checkpoint import EPOCH_SO_FAR, EXAMPLE_SPACE, Checkpoint, EpochSoFar
from lnn.models.model_file import Model, encode_model, load_model
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
from lnn.network.types import AnyArray

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef


class Artifacts:
    """The bucket of one deployment."""

    def __init__(self, client: S3Client, bucket: str, prompt: S3Client | None = None) -> None:
        """``prompt`` is a client with a short time-out that is tried first: see ``RetryingS3``."""
        self._s3 = RetryingS3(client, prompt)
        self.bucket = bucket

    def put_tensor(self, run_id: str, name: str, value: AnyArray) -> None:
        self._put_array(tensor_key(run_id, name), value)

    def get_tensor(self, run_id: str, name: str) -> AnyArray:
        """Raises LnnError when the object was deleted or is corrupt."""
        return self._get_array(tensor_key(run_id, name))

    def put_shard(self, run_id: str, name: str, index: int, rows: AnyArray) -> None:
        """Store one of the consecutive parts of a tensor that is too large for one object."""
        self._put_array(shard_key(run_id, name, index), rows)

    def get_shard(self, run_id: str, name: str, index: int) -> AnyArray:
        """Raises LnnError when the object was deleted or is corrupt."""
        return self._get_array(shard_key(run_id, name, index))

    def put_checkpoint(self, run_id: str, generation: int, checkpoint: Checkpoint) -> str:
        """Store a checkpoint and return its key."""
        arrays: dict[str, AnyArray] = {}
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

        Raises LnnError when it was deleted or is corrupt.
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
        """Store a registered model's ``params.h5`` under a key that no upload overwrites."""
        self._put(model_key(model_id), content)

    def get_registered_model(self, model_id: str) -> Model:
        """Raises LnnError when it was deleted or is no model."""
        return load_model(self._get(model_key(model_id)))

    def get_upload(self, key: str, version_id: str | None, max_bytes: int) -> bytes:
        """The content of an uploaded object, in the version that its event names.

        Raises InputError when it is larger than ``max_bytes``, ResourceDeleted when it has been deleted since.
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

    def _put_array(self, key: str, value: AnyArray) -> None:
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        self._put(key, buffer.getvalue())

    def _get_array(self, key: str) -> AnyArray:
        with self._whole(key) as body:
            loaded: AnyArray = np.load(body, allow_pickle=False)
        return loaded

    @contextmanager
    def _whole(self, key: str) -> Iterator[io.BytesIO]:
        """An object for a parser to read. Raises LnnError when it was deleted or the parser fails."""
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
