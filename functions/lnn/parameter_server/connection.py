"""The connection to Redis: TLS, IAM login, and retries after a failover."""

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from lnn.aws.clocks import is_fresh, wall
from lnn.environment import CacheAddress

TOKEN_LIFETIME_SECONDS = 900
"""An ElastiCache IAM token is valid for 15 minutes (ElastiCache user guide, "Authenticating with IAM")."""

TOKEN_KEPT_SECONDS = TOKEN_LIFETIME_SECONDS - 60
"""How long a token is used for new connections: a minute less, since ElastiCache's clock may differ."""

TRY_LATER = (
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
)
"""Errors of a former primary after a failover, or of a server that is not ready yet. The command changed nothing. Soon
the cache's name resolves to the new primary, or the server is ready (Valkey documentation, "Replication";
ElastiCache user guide, "Minimizing downtime in Valkey and Redis OSS with Multi-AZ")."""

UNREACHABLE = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, *TRY_LATER)
"""Errors of a server that is away for longer than the client tries by itself, or not ready."""


def connect(address: CacheAddress, region: str) -> redis.Redis:
    """A client that reconnects by itself, with TLS and IAM login where the address asks for it.

    It also reconnects after an error in ``TRY_LATER``: the new connection resolves the name again.

    Repeating a command after a broken connection is safe: every write is fenced by a step's id or
    writes the same bytes again.
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
        retry_on_error=[*TRY_LATER],
        health_check_interval=0,
    )


class IamLogin(redis.CredentialProvider):
    """Signs ElastiCache IAM tokens and renews them before they expire, by the wall clock: see ``lnn.aws.clocks``."""

    def __init__(self, address: CacheAddress, region: str) -> None:
        self._address = address
        self._region = region
        self._token: tuple[str, float] | None = None
        """The token, and the wall-clock time at which it was signed."""

    def get_credentials(self) -> tuple[str, str]:
        kept, now = self._token, wall()
        if kept is None or not is_fresh(kept[1], TOKEN_KEPT_SECONDS, now):
            kept = self._token = self._sign(), now
        return self._address.user, kept[0]

    def _sign(self) -> str:
        # Imported here: only a cache with IAM login pays for botocore.
        from lnn.aws.cache_login import signed_token

        return signed_token(self._address.name, self._address.user, self._region, TOKEN_LIFETIME_SECONDS)
