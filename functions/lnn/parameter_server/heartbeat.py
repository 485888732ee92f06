"""A worker's heartbeat: a key in Redis that expires soon after its process dies."""

import logging
import threading
from contextlib import suppress
from typing import Self

import redis

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 4
HEARTBEAT_INTERVAL_SECONDS = 1.0
"""Seconds between renewals; the key outlives two renewals that fail."""


class Heartbeat:
    """A context that keeps a key with a short lifetime in Redis, from a thread of its own."""

    def __init__(self, client: redis.Redis, path: str) -> None:
        self._client = client
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(HEARTBEAT_SECONDS)
        with suppress(redis.RedisError):  # then it expires
            self._client.delete(self._path)

    def _renew(self) -> None:
        while True:
            try:
                self._client.set(self._path, b"", ex=HEARTBEAT_SECONDS)
            except redis.RedisError as error:
                logger.warning("heartbeat not written", extra={"error": str(error)})
            if self._stop.wait(HEARTBEAT_INTERVAL_SECONDS):
                return
