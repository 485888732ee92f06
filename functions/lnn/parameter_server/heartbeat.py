"""A worker's sign of life in Redis."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import Self

import redis

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 4
HEARTBEAT_INTERVAL_SECONDS = 1.0
"""A sign of life is renewed so often, and outlives two renewals that fail."""


class Heartbeat:
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
        self._thread.join(HEARTBEAT_SECONDS)
        with suppress(redis.RedisError):  # then it goes by itself
            self._client.delete(self._path)

    def _keep_up(self) -> None:
        while True:
            try:
                self._client.set(self._path, b"", ex=HEARTBEAT_SECONDS)
            except redis.RedisError as error:
                logger.warning("no sign of life", extra={"error": str(error)})
            if self._leaving.wait(HEARTBEAT_INTERVAL_SECONDS):
                return
