"""The barrier: every result counts once, and a step is left once, whatever repeats or comes late."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier as Gate

import numpy as np
import pytest
import redis

from lnn.errors import CacheLost
from lnn.messages import Step
from lnn.parameter_server.barrier import ArrivalStatus, Barrier
from lnn.parameter_server.codec import TensorKey
from lnn.parameter_server.server import ParameterServer

STEP = Step(2, 1, 0, "forward", 1)
NEXT = Step(2, 1, 0, "forward", 2)
WIDTH = 3
A = TensorKey("A1", np.dtype(np.float64), (WIDTH, 2))
DZ = TensorKey("dZ2", np.dtype(np.float64), (1, 2))


@pytest.fixture
def server(client: redis.Redis) -> ParameterServer:
    return ParameterServer(client, "run-1")


@pytest.fixture
def barrier(server: ParameterServer) -> Barrier:
    """A barrier whose current step waits for three neurons that each store a row of A1."""
    server.put(A.name, np.zeros(A.shape))
    barrier = Barrier(server)
    assert barrier.open(STEP, WIDTH, {"cost_sum": "0.5", "invocations": "0", "neuron_ms": "0"})
    return barrier


def row(neuron: int) -> list[tuple[TensorKey, np.ndarray]]:
    return [(A, np.full((1, 2), neuron + 1.0))]


def complete(barrier: Barrier, step: Step = STEP) -> None:
    for neuron in range(WIDTH):
        barrier.arrive(step, neuron, row(neuron))


def state(client: redis.Redis) -> dict[bytes, object]:
    return {
        key: client.hgetall(key) if client.type(key) == b"hash" else client.get(key) for key in sorted(client.keys())
    }


# Arriving


def test_each_neuron_counts_once_in_the_order_of_arrival(barrier: Barrier) -> None:
    arrivals = [barrier.arrive(STEP, neuron, row(neuron)) for neuron in (2, 0, 1)]
    assert [arrival.ordinal for arrival in arrivals] == [1, 2, 3]
    assert [arrival.status for arrival in arrivals] == [
        ArrivalStatus.COUNTED,
        ArrivalStatus.COUNTED,
        ArrivalStatus.COMPLETE,
    ]
    assert {arrival.width for arrival in arrivals} == {WIDTH}


def test_a_neuron_s_row_is_stored_in_its_place(barrier: Barrier, server: ParameterServer) -> None:
    complete(barrier)
    np.testing.assert_array_equal(server.get(A), [[1, 1], [2, 2], [3, 3]])


def test_a_repeat_learns_where_the_step_stands_and_changes_nothing(barrier: Barrier, server: ParameterServer) -> None:
    barrier.arrive(STEP, 2, row(2))
    first = barrier.arrive(STEP, 0, row(0))
    again = barrier.arrive(STEP, 0, [(A, np.full((1, 2), 99.0))])
    assert (again.ordinal, again.status) == (first.ordinal, ArrivalStatus.COUNTED)
    np.testing.assert_array_equal(server.get_row(A, 0), [[1, 1]])
    position = barrier.position()
    assert position is not None
    assert (position.arrived, position.complete) == (2, False)
    barrier.arrive(STEP, 1, row(1))
    assert barrier.arrive(STEP, 0, row(0)).status is ArrivalStatus.COMPLETE, "a repeat may heal a lost last message"


def test_a_repeat_is_paid_for_too(barrier: Barrier) -> None:
    for _ in range(3):
        barrier.arrive(STEP, 1, row(1), milliseconds=7)
    position = barrier.position()
    assert position is not None
    assert (position.fields["invocations"], position.fields["neuron_ms"]) == ("3", "21")


@pytest.mark.parametrize(
    "late",
    [
        Step(1, 1, 0, "forward", 1),
        Step(3, 1, 0, "forward", 1),
        Step(2, 2, 0, "forward", 1),
        Step(2, 1, 1, "forward", 1),
        Step(2, 1, 0, "backward", 1),
        Step(2, 1, 0, "forward", 2),
    ],
    ids=lambda step: step.id,
)
def test_what_belongs_to_another_step_changes_nothing(barrier: Barrier, client: redis.Redis, late: Step) -> None:
    before = state(client)
    assert barrier.arrive(late, 0, row(0), 5).status is ArrivalStatus.STALE
    assert not barrier.advance(late, NEXT, 1, {}, [(DZ, np.ones((1, 2)))])
    assert barrier.adopt(late, 9) is None
    barrier.confirm_dispatch(late)
    assert not barrier.is_current(late)
    assert state(client) == before


def test_who_finds_nothing_of_the_run_in_redis_says_so(client: redis.Redis) -> None:
    barrier = Barrier(ParameterServer(client, "no-run"))
    with pytest.raises(CacheLost):
        barrier.arrive(STEP, 0, row(0))
    with pytest.raises(CacheLost):
        barrier.is_current(STEP)
    assert not barrier.advance(STEP, NEXT, 1, {})
    assert barrier.adopt(STEP, 3) is None
    assert barrier.position() is None
    assert client.keys() == []


def test_a_lost_tensor_is_reported_and_the_neuron_is_not_counted(
    barrier: Barrier, server: ParameterServer, client: redis.Redis
) -> None:
    client.delete(server.path(A))
    with pytest.raises(CacheLost):
        barrier.arrive(STEP, 0, row(0))
    assert barrier.missing(WIDTH) == [0, 1, 2]
    assert not client.exists(server.path(A)), "half a tensor must not look like a whole one"


def test_one_lost_tensor_of_several_keeps_all_rows_out(barrier: Barrier, server: ParameterServer) -> None:
    gone = TensorKey("gone", A.dtype, A.shape)
    with pytest.raises(CacheLost):
        barrier.arrive(STEP, 0, [*row(0), (gone, np.ones((1, 2)))])
    np.testing.assert_array_equal(server.get(A), np.zeros(A.shape))


def test_the_missing_neurons_are_known_by_number(barrier: Barrier) -> None:
    barrier.arrive(STEP, 1, row(1))
    assert barrier.missing(WIDTH) == [0, 2]


# Advancing


def test_a_complete_step_is_left_with_its_fields_and_tensors(barrier: Barrier, server: ParameterServer) -> None:
    complete(barrier)
    assert barrier.advance(STEP, NEXT, 1, {"cost_sum": "0.75"}, [(DZ, np.array([[3.0, 4.0]]))])
    position = barrier.position()
    assert position is not None
    assert (position.step, position.width, position.arrived, position.dispatched) == (NEXT, 1, 0, False)
    assert position.fields == {"cost_sum": "0.75", "invocations": "4", "neuron_ms": "0"}
    np.testing.assert_array_equal(server.get(DZ), [[3.0, 4.0]])


def test_an_incomplete_step_is_not_left(barrier: Barrier, client: redis.Redis) -> None:
    for neuron in range(WIDTH - 1):
        barrier.arrive(STEP, neuron, row(neuron))
    before = state(client)
    assert not barrier.advance(STEP, NEXT, 1, {"cost_sum": "9"}, [(DZ, np.ones((1, 2)))])
    assert state(client) == before


def test_a_second_advance_changes_nothing(barrier: Barrier, client: redis.Redis) -> None:
    complete(barrier)
    assert barrier.advance(STEP, NEXT, 1, {"cost_sum": "0.75"}, [(DZ, np.ones((1, 2)))])
    before = state(client)
    assert not barrier.advance(STEP, NEXT, 1, {"cost_sum": "1.5"}, [(DZ, np.zeros((1, 2)))])
    assert state(client) == before


def test_of_many_who_race_to_advance_exactly_one_wins(barrier: Barrier, redis_port: int) -> None:
    racers, steps = 8, 25
    gate = Gate(racers)

    def race(_: int) -> list[int]:
        won = []
        with closing(redis.Redis(port=redis_port)) as mine:
            own = Barrier(ParameterServer(mine, "run-1"))
            for number in range(steps):
                step, following = Step(2, number + 1, 0, "forward", 1), Step(2, number + 2, 0, "forward", 1)
                gate.wait(timeout=30)
                for neuron in range(WIDTH):
                    own.arrive(step, neuron, row(neuron))
                if own.advance(step, following, WIDTH, {}):
                    won.append(number)
        return won

    with ThreadPoolExecutor(racers) as pool:
        wins = Counter(number for won in pool.map(race, range(racers)) for number in won)
    assert wins == dict.fromkeys(range(steps), 1)


def test_of_many_copies_of_neurons_each_is_counted_once_and_completion_is_seen(
    barrier: Barrier, redis_port: int, server: ParameterServer
) -> None:
    width, copies = 24, 4
    key = TensorKey("A2", np.dtype(np.float32), (width, 3))
    server.put(key.name, np.zeros(key.shape, key.dtype))
    barrier.open(NEXT, width, {})
    work = [neuron for neuron in range(width) for _ in range(copies)]
    random.Random(5).shuffle(work)  # noqa: S311 - a test's dice

    def arrive(neuron: int) -> tuple[int, int, ArrivalStatus]:
        with closing(redis.Redis(port=redis_port)) as mine:
            own = Barrier(ParameterServer(mine, "run-1"))
            arrival = own.arrive(NEXT, neuron, [(key, np.full((1, 3), neuron))])
        return neuron, arrival.ordinal, arrival.status

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(arrive, work))
    ordinals = {neuron: {ordinal for other, ordinal, _ in seen if other == neuron} for neuron in range(width)}
    assert all(len(found) == 1 for found in ordinals.values()), "a repeat keeps its place"
    assert {next(iter(found)) for found in ordinals.values()} == set(range(1, width + 1))
    last = next(neuron for neuron, found in ordinals.items() if found == {width})
    assert any(status is ArrivalStatus.COMPLETE for neuron, _, status in seen if neuron == last)
    np.testing.assert_array_equal(server.get(key), np.repeat(np.arange(width, dtype=np.float32)[:, None], 3, axis=1))


# Generations


def test_an_older_generation_cannot_open_a_step(barrier: Barrier, client: redis.Redis) -> None:
    before = state(client)
    assert not barrier.open(Step(1, 5, 0, "forward", 1), WIDTH, {})
    assert state(client) == before


@pytest.mark.parametrize("generation", [2, 3, 10])
def test_the_same_or_a_later_generation_opens_its_step_anew(barrier: Barrier, generation: int) -> None:
    complete(barrier)
    opened = Step(generation, 1, 0, "forward", 1)
    assert barrier.open(opened, 5, {"cost_sum": "0.0"})
    position = barrier.position()
    assert position is not None
    assert (position.step, position.width, position.arrived) == (opened, 5, 0)
    assert position.fields == {"cost_sum": "0.0"}


def test_generations_are_compared_as_numbers(barrier: Barrier) -> None:
    assert barrier.open(Step(10, 1, 0, "forward", 1), 1, {})
    assert not barrier.open(Step(9, 1, 0, "forward", 1), 1, {})


def test_an_adopted_step_keeps_its_arrivals_and_refuses_the_old_generation(barrier: Barrier) -> None:
    barrier.arrive(STEP, 0, row(0))
    barrier.confirm_dispatch(STEP)
    adopted = barrier.adopt(STEP, 3)
    assert adopted == Step(3, 1, 0, "forward", 1)
    position = barrier.position()
    assert position is not None
    assert (position.step, position.arrived, position.dispatched) == (adopted, 1, False)
    assert position.fields["cost_sum"] == "0.5"
    assert barrier.arrive(STEP, 1, row(1)).status is ArrivalStatus.STALE
    assert barrier.arrive(adopted, 1, row(1)).status is ArrivalStatus.COUNTED
    assert barrier.missing(WIDTH) == [2]


# Dispatch


def test_a_step_whose_dispatch_was_not_confirmed_is_abandoned_after_a_while(
    barrier: Barrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = barrier.position()
    assert position is not None
    assert not position.dispatched
    assert not position.abandoned, "it has only just been opened"
    monkeypatch.setattr("lnn.parameter_server.barrier.DISPATCH_SECONDS", 0.0)
    assert position.abandoned
    barrier.confirm_dispatch(STEP)
    position = barrier.position()
    assert position is not None
    assert not position.abandoned


def test_scripts_that_redis_has_forgotten_are_sent_again(barrier: Barrier, client: redis.Redis) -> None:
    barrier.arrive(STEP, 0, row(0))
    client.script_flush()
    assert barrier.arrive(STEP, 1, row(1)).ordinal == 2


def test_the_run_s_keys_expire_by_themselves(barrier: Barrier, server: ParameterServer, client: redis.Redis) -> None:
    complete(barrier)
    barrier.advance(STEP, NEXT, 1, {}, [(DZ, np.ones((1, 2)))])
    barrier.arrive(NEXT, 0, [(DZ, np.ones((1, 2)))])
    assert [key for key in client.scan_iter() if client.ttl(key) < 0] == []
