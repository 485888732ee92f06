"""The parameter server: one run's tensors and small values in Redis, under typed keys (see ``codec``).

Every key of a run starts with ``lnn:{run_id}:``. The braces are a Redis hash tag: they keep a run's
keys in one slot, so that a script may touch several of them on a cluster too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlencode

import numpy as np
import redis
from numpy.typing import NDArray
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from lnn.aws.clocks import is_fresh, wall
from lnn.environment import CacheAddress
from lnn.errors import CacheLost, LnnError
from lnn.parameter_server.codec import TensorKey, Value, decode, encode, key_of

logger = logging.getLogger(__name__)

KEY_LIFETIME_SECONDS = 24 * 3600
"""Keys of a run that nobody closes go away by themselves; a live run renews them each epoch."""

PRESENCE_SECONDS = 4
PRESENCE_INTERVAL_SECONDS = 1.0
"""A sign of life is renewed so often, and outlives two renewals that fail."""

TOKEN_LIFETIME_SECONDS = 900
"""An ElastiCache IAM token is valid for 15 minutes (ElastiCache user guide, "Authenticating with IAM")."""

TOKEN_KEPT_SECONDS = TOKEN_LIFETIME_SECONDS - 60
"""How long a token is used for new connections: less than it is valid, since ElastiCache has a clock of its own."""

NOT_NOW = (
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
)
"""What a server answers that was the primary until a failover, or that is not ready yet. Nothing was changed then, and
the name of the cache leads to another server soon, or the server becomes ready (Valkey documentation, "Replication";
ElastiCache user guide, "Minimizing downtime in Valkey and Redis OSS with Multi-AZ")."""

# One element of each row: a column, without fetching the matrix around it.
_COLUMN = """
local parts = {}
for row = 0, tonumber(ARGV[2]) - 1 do
  local from = row * tonumber(ARGV[3]) + tonumber(ARGV[1])
  parts[row + 1] = redis.call('GETRANGE', KEYS[1], from, from + tonumber(ARGV[4]) - 1)
end
return table.concat(parts)
"""


class Presence:
    """A sign of life in Redis, kept up from a thread of its own: gone within some seconds of its process.

    Used as a context manager.
    """

    def __init__(self, client: redis.Redis, path: str) -> None:
        self._client = client
        self._path = path
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="presence", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join(PRESENCE_SECONDS)
        with suppress(redis.RedisError):  # then it goes by itself
            self._client.delete(self._path)

    def _keep_up(self) -> None:
        while True:
            try:
                self._client.set(self._path, b"", ex=PRESENCE_SECONDS)
            except redis.RedisError as error:
                logger.warning("no sign of life", extra={"error": str(error)})
            if self._leaving.wait(PRESENCE_INTERVAL_SECONDS):
                return


class ParameterServer:
    """One run's values in Redis."""

    def __init__(self, client: redis.Redis, run_id: str) -> None:
        self.client = client
        self.prefix = f"lnn:{{{run_id}}}:"
        self._column = client.register_script(_COLUMN)

    def path(self, key: str | TensorKey) -> str:
        """Where Redis keeps ``key``."""
        return f"{self.prefix}{key}"

    def put(self, name: str, value: Value) -> str:
        """Store ``value`` and return its typed key."""
        key = key_of(name, value)
        self.client.set(self.path(key), encode(value), ex=KEY_LIFETIME_SECONDS)
        return key

    def get(self, key: str | TensorKey) -> Any:
        """Raises CacheLost when there is no such key."""
        return self.get_many([key])[0]

    def get_many(self, keys: Iterable[str | TensorKey]) -> list[Any]:
        """Several values in one round trip. Raises CacheLost when any is missing."""
        wanted = [str(key) for key in keys]
        values: list[Any] = self.client.mget([self.path(key) for key in wanted])
        return [decode(key, self._present(key, raw)) for key, raw in zip(wanted, values, strict=True)]

    def get_row(self, key: TensorKey, row: int) -> NDArray[Any]:
        """Row ``row`` of a matrix, shape (1, columns); only its bytes travel."""
        return self.get_rows([key], row)[0]

    def get_rows(self, keys: Iterable[TensorKey], row: int) -> list[NDArray[Any]]:
        """The same row of several matrices, each (1, columns), in one round trip."""
        wanted = list(keys)
        pipeline = self.client.pipeline(transaction=False)
        for key in wanted:
            start = row * key.row_size
            pipeline.getrange(self.path(key), start, start + key.row_size - 1)
        return [
            np.frombuffer(self._filled(key, raw, key.row_size), key.dtype).reshape((1, *key.shape[1:]))
            for key, raw in zip(wanted, pipeline.execute(), strict=True)
        ]

    def get_column(self, key: TensorKey, column: int) -> NDArray[Any]:
        """Column ``column`` of a matrix, shape (rows, 1); only its bytes travel."""
        rows = key.shape[0]
        item = key.dtype.itemsize
        raw = self._column(keys=[self.path(key)], args=[column * item, rows, key.row_size, item], client=self.client)
        return np.frombuffer(self._filled(key, raw, rows * item), key.dtype).reshape((rows, 1))

    def takes_writes(self) -> bool:
        """Whether the server answers and has room."""
        try:
            self.put("probe", 1)
        except redis.RedisError as error:
            logger.warning("parameter server does not take writes", extra={"error": str(error)})
            return False
        return True

    def renew(self) -> None:
        """Put off the expiry of every key of the run."""
        pipeline = self.client.pipeline(transaction=False)
        for path in self._paths():
            pipeline.expire(path, KEY_LIFETIME_SECONDS)
        pipeline.execute()

    def delete_run(self) -> int:
        """Remove every key of the run; returns how many there were."""
        paths = list(self._paths())
        return int(self.client.unlink(*paths)) if paths else 0

    def _paths(self) -> Iterable[bytes]:
        # SCAN reads [, ], ? and * as a pattern; run ids have none of them.
        return self.client.scan_iter(match=f"{self.prefix}*", count=1000)

    @staticmethod
    def _present(key: str, raw: bytes | None) -> bytes:
        if raw is None:
            raise CacheLost(f"{key} is not in the parameter server")
        return raw

    @staticmethod
    def _filled(key: TensorKey, raw: bytes, size: int) -> bytes:
        if len(raw) != size:
            raise CacheLost(f"{key} is not in the parameter server, or not whole")
        return raw


def connect(address: CacheAddress, region: str) -> redis.Redis:
    """A client that reconnects by itself, with TLS and IAM login where the address asks for it.

    It does so, too, where the server is not the one to ask at the moment (``NOT_NOW``): the new connection leads to
    whatever server the name stands for by then.

    Repeating a command after a broken connection is safe: every write of this system is either
    fenced by a step's id or writes the same bytes again.
    """
    return redis.Redis(
        host=address.host,
        port=address.port,
        ssl=address.tls,
        credential_provider=IamLogin(address, region) if address.user else None,
        socket_timeout=10,
        socket_connect_timeout=5,
        socket_keepalive=True,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries=4),
        retry_on_error=[*NOT_NOW],
        health_check_interval=0,
    )


class IamLogin(redis.CredentialProvider):
    """Signs ElastiCache IAM tokens and renews them before they expire, by the wall clock: see ``lnn.aws.clocks``.

    The token is a presigned ``connect`` request without its scheme (ElastiCache user guide,
    "Authenticating with IAM").
    """

    def __init__(self, address: CacheAddress, region: str) -> None:
        self._address = address
        self._region = region
        self._token: tuple[str, float] | None = None
        """With the moment that it was signed at."""

    def get_credentials(self) -> tuple[str, str]:
        kept, now = self._token, wall()
        if kept is None or not is_fresh(kept[1], TOKEN_KEPT_SECONDS, now):
            kept = self._token = self._sign(), now
        return self._address.user, kept[0]

    def _sign(self) -> str:
        # Imported here: only a cache with IAM login pays for botocore.
        import botocore.session
        from botocore.model import ServiceId
        from botocore.signers import RequestSigner

        session = botocore.session.get_session()
        credentials = session.get_credentials()
        if credentials is None:
            raise LnnError("no AWS credentials to sign the cache's IAM token with")
        signer = RequestSigner(
            ServiceId("elasticache"),
            self._region,
            "elasticache",
            "v4",
            credentials,
            session.get_component("event_emitter"),
        )
        query = urlencode({"Action": "connect", "User": self._address.user})
        signed: str = signer.generate_presigned_url(
            {
                "method": "GET",
                "url": f"https://{self._address.name}/?{query}",
                "body": {},
                "headers": {},
                "context": {},
            },
            operation_name="connect",
            expires_in=TOKEN_LIFETIME_SECONDS,
            region_name=self._region,
        )
        return signed.removeprefix("https://")
