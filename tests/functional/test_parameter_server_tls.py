"""The functions' way into the cache on AWS, TLS and a signed token of a user with an access string, on a real Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest
import redis

from lnn.environment import CacheAddress
from lnn.parameter_server.connection import TOKEN_LIFETIME_SECONDS, IamLogin, connect
from lnn.parameter_server.resp import RespConnection
from lnn.parameter_server.server import ParameterServer
from lnn_tools.errors import ToolError
from lnn_tools.local_cloud import tls
from lnn_tools.local_cloud.home import Home
from lnn_tools.local_cloud.processes import Service, stop
from lnn_tools.local_cloud.servers import ensure_redis

USER = "lnn-functions"
ACCESS = "on ~lnn:* -@all +@connection +@read +@write +@scripting -@dangerous"


@dataclass
class Cache:
    """A Redis with TLS, and who administers it."""

    home: Home
    service: Service
    administrator: redis.Redis

    @property
    def address(self) -> CacheAddress:
        return CacheAddress("127.0.0.1", self.service.port, tls=True, user=USER, name="lnn-cache")

    def accept(self, *tokens: str) -> None:
        """Lets the functions' user in with these tokens and no others, and ends its connections."""
        self.administrator.execute_command(
            "ACL", "SETUSER", USER, "reset", *ACCESS.split(), *(f">{token}" for token in tokens)
        )
        self.administrator.execute_command("CLIENT", "KILL", "USER", USER)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    home = Home(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as environment:
        required = tls.wanted()
        environment.setenv("LNN_REDIS_TLS", "1")
        environment.setenv("LNN_REDIS_PORT", "0")
        try:
            service = ensure_redis(home)
        except ToolError as error:
            if required:
                raise
            pytest.skip(str(error))
    try:
        with closing(redis.Redis(**tls.connection(home, service))) as administrator:
            yield Cache(home, service, administrator)
    finally:
        stop(service)


@pytest.fixture(autouse=True)
def _environment_of_a_function(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority(cache.home)))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass for whoever reads the clock: Signature Version 4 has the second in it, and logins their age."""
    passed = 0.0
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + passed)

    def wait(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    return wait


def login_of(client: redis.Redis) -> IamLogin:
    found = client.connection_pool.connection_kwargs["credential_provider"]
    assert isinstance(found, IamLogin)
    return found


def test_a_function_logs_in_with_the_token_that_it_signs_and_keeps_tensors(cache: Cache) -> None:
    with closing(connect(cache.address, "us-east-1")) as client:
        cache.accept(login_of(client).get_credentials()[1])
        server = ParameterServer(client, "run-1")
        W = np.arange(12.0).reshape(3, 4)
        key = server.put("W1", W)
        np.testing.assert_array_equal(server.get(key), W)
        assert USER in {connection["user"] for connection in cache.administrator.client_list()}
        server.remove(1)


def test_long_values_go_over_the_wire_by_tls_too(cache: Cache) -> None:
    values = np.arange(300_000, dtype=np.float64)
    with closing(connect(cache.address, "us-east-1")) as client:
        cache.accept(login_of(client).get_credentials()[1])
        connection = client.connection_pool.get_connection()
        wire = RespConnection(connection)
        wire.send([("RPUSH", "lnn:long", values.data.cast("B")), ("LPOP", "lnn:long")])
        pushed, popped = wire.read(), wire.read()
        client.connection_pool.release(connection)
    assert pushed == 1
    np.testing.assert_array_equal(np.frombuffer(popped), values)


def test_a_token_that_the_server_does_not_know_is_refused(cache: Cache) -> None:
    cache.accept("another")
    with closing(connect(cache.address, "us-east-1")) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_broken_connection_is_made_again_with_a_new_token_once_the_old_one_has_expired(
    cache: Cache, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(connect(cache.address, "us-east-1")) as client:
        login = login_of(client)
        old = login.get_credentials()[1]
        cache.accept(old)
        client.set("lnn:key", "value")

        later(TOKEN_LIFETIME_SECONDS)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDROTATED")  # a function's credentials change while it lives
        new = login.get_credentials()[1]
        assert new != old
        assert "AKIDROTATED" in new
        cache.accept(new)
        assert client.get("lnn:key") == b"value"
        client.delete("lnn:key")


def test_a_login_keeps_to_its_access_string(cache: Cache) -> None:
    with closing(connect(cache.address, "us-east-1")) as client:
        cache.accept(login_of(client).get_credentials()[1])
        for command in ("FLUSHALL", "CONFIG GET *", "KEYS *", "ACL LIST", "GET other:key"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command.split())


def test_a_server_with_a_certificate_of_an_unknown_authority_is_not_talked_to(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with closing(connect(cache.address, "us-east-1")) as client:
        cache.accept(login_of(client).get_credentials()[1])
        with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            client.ping()


def test_nobody_gets_in_without_tls_or_without_a_login(cache: Cache) -> None:
    with closing(redis.Redis(port=cache.service.port, retry=None)) as plain, pytest.raises(redis.ConnectionError):
        plain.ping()
    trusting = {"ssl": True, "ssl_ca_certs": str(tls.authority(cache.home))}
    nobody = redis.Redis(host="127.0.0.1", port=cache.service.port, **trusting)
    with closing(nobody), pytest.raises(redis.AuthenticationError):
        nobody.ping()
