"""A connection to the parameter server: TLS, IAM login, and what is asked again after a failover."""

from __future__ import annotations

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from lnn.aws.clocks import is_fresh, wall
from lnn.environment import CacheAddress

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
    """Signs ElastiCache IAM tokens and renews them before they expire, by the wall clock: see ``lnn.aws.clocks``."""

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
        from lnn.aws.cache_login import signed_token

        return signed_token(self._address.name, self._address.user, self._region, TOKEN_LIFETIME_SECONDS)
