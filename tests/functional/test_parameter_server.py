"""The parameter server: what one run stores comes back exactly, and is nobody else's."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from lnn.environment import CacheAddress
from lnn.errors import CacheLost, LnnError
from lnn.messages import Step
from lnn.parameter_server.barrier import Barrier
from lnn.parameter_server.codec import TensorKey
from lnn.parameter_server.connection import TOKEN_LIFETIME_SECONDS, IamLogin, connect
from lnn.parameter_server.server import ParameterServer

W = np.arange(12.0).reshape(3, 4)
W_KEY = TensorKey("W1", W.dtype, W.shape)


@pytest.fixture
def server(client: redis.Redis) -> ParameterServer:
    return ParameterServer(client, "run-1")


# One Redis for all examples: each overwrites the one before.
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    npst.arrays(
        st.one_of(npst.boolean_dtypes(), npst.integer_dtypes(), npst.floating_dtypes(), npst.complex_number_dtypes()),
        npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    )
)
def test_arrays_come_back_bit_for_bit(server: ParameterServer, array: np.ndarray[Any, Any]) -> None:
    read = server.get(server.put("A", array))
    assert (read.dtype, read.shape, read.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize("value", [{"epochs": 3, "class": "Hündchen"}, "text: 猫", "", -7, 10**30])
def test_small_values_come_back_equal(server: ParameterServer, value: Any) -> None:
    assert server.get(server.put("value", value)) == value


def test_keys_say_what_they_hold_under_the_run_s_own_prefix(server: ParameterServer, client: redis.Redis) -> None:
    assert server.put("W1", W) == "W1|float64#3#4"
    server.put("plan", {})
    assert sorted(client.keys()) == [b"lnn:{run-1}:W1|float64#3#4", b"lnn:{run-1}:plan|dict"]


def test_what_no_step_has_named_yet_goes_away_by_itself_soon(server: ParameterServer, client: redis.Redis) -> None:
    server.put("plan", {})
    server.fill("1-a").put_tensor(replace(W_KEY, version=0), W)
    assert server.takes_writes()
    assert {0 < client.ttl(path) <= 3600 for path in client.scan_iter()} == {True}


def test_a_fill_s_keys_contain_its_name_and_nobody_else_reads_them(
    server: ParameterServer, client: redis.Redis
) -> None:
    server.fill("1-a").put("W1", W)
    server.fill("2-b").put("W1", -W)
    assert sorted(client.keys()) == [b"lnn:{run-1}:fill:1-a:W1|float64#3#4", b"lnn:{run-1}:fill:2-b:W1|float64#3#4"]
    np.testing.assert_array_equal(server.fill("1-a").get(W_KEY), W)
    np.testing.assert_array_equal(server.fill("2-b").get(W_KEY), -W)
    with pytest.raises(CacheLost):
        server.get(W_KEY)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_with_versions_come_back_bit_for_bit(server: ParameterServer, dtype: str) -> None:
    key, matrix = TensorKey("W1", np.dtype(dtype), W.shape, 7), W.astype(dtype)
    server.put_tensor(key, matrix)
    np.testing.assert_array_equal(server.get(key), matrix, strict=True)
    np.testing.assert_array_equal(server.get_row(key, 2), matrix[2:], strict=True)
    np.testing.assert_array_equal(server.get_column(key, 3), matrix[:, 3:], strict=True)


def test_several_values_come_back_in_the_order_asked_for(server: ParameterServer) -> None:
    keys = [server.put("b", np.ones(2)), server.put("n", 3), server.put("W1", W)]
    n, w, b = server.get_many([keys[1], W_KEY, keys[0]])
    assert n == 3
    np.testing.assert_array_equal(w, W)
    np.testing.assert_array_equal(b, np.ones(2))


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_row_comes_back_alone(server: ParameterServer, row: int) -> None:
    server.put("W1", W)
    np.testing.assert_array_equal(server.get_row(W_KEY, row), W[row : row + 1], strict=True)


def test_rows_of_matrices_of_several_dtypes_come_back_together(server: ParameterServer) -> None:
    b = np.arange(3, dtype=np.float32).reshape(3, 1)
    server.put("W1", W)
    server.put("b1", b)
    of_W, of_b = server.get_rows([W_KEY, TensorKey("b1", b.dtype, b.shape)], 2)
    np.testing.assert_array_equal(of_W, W[2:], strict=True)
    np.testing.assert_array_equal(of_b, b[2:], strict=True)


@pytest.mark.parametrize("column", [0, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_column_comes_back_alone(server: ParameterServer, column: int, dtype: str) -> None:
    matrix = W.astype(dtype)
    key = TensorKey.parse(server.put("W1", matrix))
    np.testing.assert_array_equal(server.get_column(key, column), matrix[:, column : column + 1], strict=True)


@pytest.mark.parametrize(
    "read",
    [
        lambda server: server.get(W_KEY),
        lambda server: server.get_many([server.put("n", 1), W_KEY]),
        lambda server: server.get_row(W_KEY, 0),
        lambda server: server.get_rows([TensorKey.parse(server.put("b1", np.ones((3, 1)))), W_KEY], 1),
        lambda server: server.get_column(W_KEY, 0),
    ],
    ids=["get", "get_many", "get_row", "get_rows", "get_column"],
)
def test_whatever_is_gone_is_reported_as_lost(server: ParameterServer, read: Any) -> None:
    with pytest.raises(CacheLost, match="W1"):
        read(server)


@pytest.mark.parametrize(
    "read",
    [
        lambda server: server.get(W_KEY),
        lambda server: server.get_row(W_KEY, 2),
        lambda server: server.get_column(W_KEY, 0),
    ],
    ids=["get", "get_row", "get_column"],
)
def test_what_is_there_in_part_is_reported_as_lost(server: ParameterServer, client: redis.Redis, read: Any) -> None:
    client.set(server.path(W_KEY), W.tobytes()[:70])
    with pytest.raises(CacheLost, match="W1"):
        read(server)


def test_a_column_can_be_read_after_redis_has_forgotten_its_scripts(
    server: ParameterServer, client: redis.Redis
) -> None:
    server.put("W1", W)
    server.get_column(W_KEY, 0)
    client.script_flush()
    np.testing.assert_array_equal(server.get_column(W_KEY, 1), W[:, 1:2])


def test_runs_do_not_see_each_other(server: ParameterServer, client: redis.Redis) -> None:
    other = ParameterServer(client, "run-10")
    server.put("W1", W)
    other.put("W1", -W)
    np.testing.assert_array_equal(server.get(W_KEY), W)
    assert server.remove(1) == 1
    np.testing.assert_array_equal(other.get(W_KEY), -W)
    with pytest.raises(CacheLost):
        server.get(W_KEY)


def test_deleting_a_run_leaves_nothing_and_may_be_repeated(server: ParameterServer, client: redis.Redis) -> None:
    for index in range(2500):
        server.put(f"key{index}", index)
    assert server.remove(1) == 2500
    assert server.remove(1) == 0
    assert client.keys() == []


def left_by(server: ParameterServer, generation: int) -> set[bytes]:
    """The keys of two fills and a process group of a generation."""
    fills = [server.fill(f"{generation}-{name}") for name in "ab"]
    for fill in fills:
        fill.put("W1", W)
    place = server.path(f"gang:{generation}-a:0")
    server.client.set(place, b"")
    return {*(fill.path(W_KEY).encode() for fill in fills), place.encode()}


def test_the_end_of_a_generation_leaves_the_later_ones_alone(server: ParameterServer, client: redis.Redis) -> None:
    keys = {generation: left_by(server, generation) for generation in (1, 2, 3, 10)}
    server.put("W1", W)  # as an earlier release named it
    assert server.remove(2) == 7
    assert set(client.keys()) == keys[3] | keys[10]


def test_the_end_of_a_generation_leaves_the_fill_that_a_later_one_has_adopted(
    server: ParameterServer, client: redis.Redis
) -> None:
    left_by(server, 1)
    barrier, step = Barrier(server), Step(1, 0, 0, "forward", 0, "1-b")
    assert barrier.reserve(step)
    assert barrier.adopt(step, 2, [W_KEY]) is not None
    server.remove(1)
    assert set(client.keys()) == {server.fill("1-b").path(W_KEY).encode(), b"lnn:{run-1}:step"}
    server.remove(2)
    assert client.keys() == []


def test_a_client_reconnects_after_its_connection_was_broken(redis_port: int, client: redis.Redis) -> None:
    address = CacheAddress("127.0.0.1", redis_port, tls=False, user="", name="")
    mine = connect(address, "us-east-1")
    mine.set("key", "value")
    assert client.client_kill_filter(_type="normal", skipme=True) >= 1
    assert mine.get("key") == b"value"
    mine.close()


# IAM login


ADDRESS = CacheAddress("master.lnn-cache.example", 6379, tls=True, user="lnn-functions", name="lnn-cache")


@pytest.fixture
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session/token+==")


@pytest.mark.usefixtures("_credentials")
def test_the_login_s_token_is_a_presigned_connect_request_without_its_scheme() -> None:
    user, token = IamLogin(ADDRESS, "eu-central-1").get_credentials()
    assert user == "lnn-functions"
    assert token.startswith("lnn-cache/?")
    query = {name: values[0] for name, values in parse_qs(urlsplit(f"https://{token}").query).items()}
    assert query["Action"] == "connect"
    assert query["User"] == "lnn-functions"
    assert query["X-Amz-Expires"] == "900"
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-Credential"].startswith("AKIDEXAMPLE/")
    assert query["X-Amz-Credential"].endswith("/eu-central-1/elasticache/aws4_request")
    assert query["X-Amz-Security-Token"] == "session/token+=="
    assert query["X-Amz-SignedHeaders"] == "host"
    assert len(query["X-Amz-Signature"]) == 64


@pytest.mark.usefixtures("_credentials")
def test_a_token_is_kept_until_shortly_before_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    login = IamLogin(ADDRESS, "us-east-1")
    signed = iter(["first", "second"])
    now = 1000.0
    monkeypatch.setattr(login, "_sign", lambda: next(signed))
    monkeypatch.setattr(time, "time", lambda: now)
    assert login.get_credentials()[1] == "first"
    now += TOKEN_LIFETIME_SECONDS - 61
    assert login.get_credentials()[1] == "first"
    now += 2
    assert login.get_credentials()[1] == "second"


def test_a_login_without_credentials_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(LnnError, match="no AWS credentials"):
        IamLogin(ADDRESS, "us-east-1").get_credentials()


def test_only_an_address_with_a_user_logs_in() -> None:
    def credentials(user: str) -> Any:
        client = connect(CacheAddress("127.0.0.1", 1, tls=True, user=user, name="lnn-cache"), "us-east-1")
        return client.connection_pool.connection_kwargs.get("credential_provider")

    assert credentials("") is None
    assert isinstance(credentials("lnn-functions"), IamLogin)
