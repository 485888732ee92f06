"""A run's objects in S3: tensors, checkpoints, the model and the results."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from lnn.aws.client_errors import conditions, refusals
from lnn.aws.s3_client import RetryingS3
from lnn.errors import ConditionFailed, InputError, LnnError, NonRetryable, ResourceDeleted, StaleGeneration
from lnn.models.checkpoint import BEST, EPOCH_SO_FAR, EXAMPLE_SPACE, Best, Checkpoint, EpochSoFar
from lnn.models.model_file import Model, load_model
from lnn.names import (
    checkpoint_key,
    ended_model_key,
    model_key,
    s3_uri,
    shard_key,
    tensor_key,
    timeline_key,
)
from lnn.network.types import AnyArray

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PUBLISH_TRIES = 8
"""Attempts to replace a published object; each concurrent writer costs at most one."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Which end of which run a published object is of: its metadata."""

    run_id: str
    end: int
    """Number of the run's end, from 1; 0 for what a release without these marks wrote, or a person."""
    stored_at: float
    """When the model was stored, in epoch seconds."""

    def metadata(self) -> dict[str, str]:
        return {"run-id": self.run_id, "end": str(self.end), "stored-at": repr(self.stored_at)}

    def by_end(self) -> tuple[Any, ...]:
        """The order of one run's ends."""
        return (self.end,)

    def by_time(self) -> tuple[Any, ...]:
        """The order in which the models of all runs were made."""
        return (self.stored_at, self.run_id, self.end)


def digest_of(content: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    return sha256(content).hexdigest()


class Artifacts:
    """The bucket of one deployment.

    What a run has stored under a key is never replaced: each key names the one content that it can have. Published
    copies are replaced by later ones alone: see ``publish``.
    """

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
            arrays[EPOCH_SO_FAR] = checkpoint.so_far.as_array()
        if checkpoint.best is not None:
            arrays[BEST] = np.array(checkpoint.best, np.float64)
        for layer, (W, b) in enumerate(checkpoint.best_parameters or (), start=1):
            arrays[f"{BEST}.W{layer}"], arrays[f"{BEST}.b{layer}"] = W, b
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        key = checkpoint_key(run_id, generation, checkpoint.epoch, checkpoint.so_far.batches)
        self._put_once(key, buffer.getvalue())
        return key

    def get_checkpoint(self, key: str, epoch: int) -> Checkpoint:
        """The checkpoint stored under ``key``; its arrays are writable.

        Raises LnnError when it was deleted or is corrupt.
        """
        with self._whole(key) as body, np.load(body, allow_pickle=False) as stored:
            layers = sum(1 for name in stored.files if name.startswith("W") and "." not in name)
            slots = sum(1 for name in stored.files if name.startswith("W1."))
            own = [name for name in stored.files if name.startswith(EXAMPLE_SPACE)]
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
                so_far=EpochSoFar.of(stored[EPOCH_SO_FAR]) if EPOCH_SO_FAR in stored.files else EpochSoFar(),
                best=_best_in(stored),
                best_parameters=[
                    (stored[f"{BEST}.W{i}"], stored[f"{BEST}.b{i}"])
                    for i in range(1, layers + 1)
                    if f"{BEST}.W{i}" in stored.files
                ]
                or None,
            )

    def put_timeline(
        self, run_id: str, fill: str, first: int, count: int, epochs: tuple[int, int], part: bytes
    ) -> None:
        """Store a part of a run's timeline; see ``lnn.names.timeline_key``."""
        self._put_once(timeline_key(run_id, fill, first, count, epochs), part)

    def put_model(self, content: bytes, run_id: str, generation: int, epoch: int, batches: int) -> str:
        """Store the ``params.h5`` that a generation ends a run with; returns its key.

        Raises StaleGeneration where the key has another content: somebody else works under this generation.
        """
        key = ended_model_key(run_id, generation, epoch, batches)
        if not self._put_once(key, content) and self._get(key) != content:
            raise StaleGeneration(f"somebody else has stored another {s3_uri(self.bucket, key)}")
        return key

    def get_model(self, key: str, digest: str | None) -> bytes:
        """A model's file. Raises NonRetryable when it was deleted, or its SHA-256 is not ``digest``."""
        content = self._get(key)
        if digest is not None and digest_of(content) != digest:
            raise NonRetryable(f"{s3_uri(self.bucket, key)} is not what was stored: its SHA-256 is not {digest}")
        return content

    def put_registered_model(self, model_id: str, content: bytes) -> None:
        """Store a registered model's ``params.h5`` under a key that no upload overwrites.

        Raises LnnError where the key has another content.
        """
        key = model_key(model_id)
        if not self._put_once(key, content) and self._get(key) != content:
            raise LnnError(f"{s3_uri(self.bucket, key)} has another content; delete it, and upload the model again")

    def put_prediction(self, key: str, content: bytes) -> bool:
        """Store what is predicted for a part of a batch; False where somebody has stored an answer before."""
        return self._put_once(key, content)

    def get_registered_model(self, model_id: str, digest: str | None) -> Model:
        """Raises LnnError when it was deleted, is no model, or its SHA-256 is not ``digest``."""
        return load_model(self.get_model(model_key(model_id), digest))

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

    def get_results(self, key: str) -> bytes:
        """A ``results.json``."""
        return self._get(key)

    def publish(
        self,
        key: str,
        content: bytes,
        mark: Mark,
        order: Callable[[Mark], tuple[Any, ...]],
        *,
        likely_new: bool = False,
    ) -> bool:
        """Put ``content`` where people look for it, unless what is there is as late as ``mark``; True if it was put.

        S3 replaces only what this function has looked at, so ``order`` never goes back, however late a writer is.
        ``likely_new`` saves the look at an object that is not expected to exist.
        """
        found = None if likely_new else self._published(key)
        for _ in range(PUBLISH_TRIES):
            if found is not None and order(found[0]) >= order(mark):
                return False
            try:
                self._put(key, content, None if found is None else found[1], mark)
            except ConditionFailed:
                found = self._published(key)
            else:
                return True
        raise ConditionFailed(f"{s3_uri(self.bucket, key)} changed {PUBLISH_TRIES} times while it was to be replaced")

    def _published(self, key: str) -> tuple[Mark, str] | None:
        """The mark of a published object and its ETag; None where there is none."""
        try:
            with refusals("read", s3_uri(self.bucket, key)):
                head = self._s3.ask(lambda client: client.head_object(Bucket=self.bucket, Key=key))
        except ResourceDeleted:
            return None
        try:
            kept = head["Metadata"]
            mark = Mark(kept["run-id"], int(kept["end"]), float(kept["stored-at"]))
        except (KeyError, ValueError):
            mark = Mark("", 0, head["LastModified"].timestamp())
        return mark, head["ETag"]

    def _put_array(self, key: str, value: AnyArray) -> None:
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        self._put_once(key, buffer.getvalue())

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

    def _put_once(self, key: str, body: bytes) -> bool:
        """Store what nobody has stored under this key yet; False where somebody has, or an earlier try of this."""
        try:
            self._put(key, body, replaced=None)
        except ConditionFailed:
            return False
        return True

    def _put(self, key: str, body: bytes, replaced: str | None, mark: Mark | None = None) -> None:
        """Store an object in place of the one with the ETag ``replaced``, or where there is none.

        Raises ConditionFailed where there is another.
        """
        address = s3_uri(self.bucket, key)
        kind = "application/json" if key.endswith(".json") else "application/octet-stream"
        more: Any = {"IfNoneMatch": "*"} if replaced is None else {"IfMatch": replaced}
        if mark is not None:
            more["Metadata"] = mark.metadata()

        def put(client: S3Client) -> None:
            client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=kind, **more)

        with refusals("write", address), conditions(address):
            self._s3.ask(put, sent=len(body))

    def _get(self, key: str) -> bytes:
        with refusals("read", s3_uri(self.bucket, key)):
            return self._s3.ask(lambda client: client.get_object(Bucket=self.bucket, Key=key)["Body"].read())


def _best_in(stored: Mapping[str, AnyArray]) -> Best | None:
    if BEST not in stored:
        return None
    epoch, cost = stored[BEST].tolist()
    return Best(int(epoch), cost)
