"""The barrier: every result counts once, and a step is left once, whatever repeats or comes late."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from threading import Barrier as Gate

import numpy as np
import pytest
import redis

from lnn.errors import CacheLost, StaleStep
from lnn.messages import Step
from lnn.parameter_server.barrier import RENEWAL_SECONDS, ArrivalStatus, Barrier
from lnn.parameter_server.codec import NEVER, TensorKey
from lnn.parameter_server.server import ParameterServer

FILL = "2-a"
ENTRY = Step(2, 0, 0, "forward", 0, FILL)
STEP = Step(2, 1, 0, "forward", 1, FILL)
NEXT = Step(2, 1, 0, "forward", 2, FILL)
WIDTH = 3
A = TensorKey("A1", np.dtype(np.float64), (WIDTH, 2), 1)
DZ = TensorKey("dZ2", np.dtype(np.float64), (1, 2), 1)
EMPTY_A = replace(A, version=NEVER)


@pytest.fixture
def server(client: redis.Redis) -> ParameterServer:
    return ParameterServer(client, "run-1")


@pytest.fixture
def fill(server: ParameterServer) -> ParameterServer:
    return server.fill(FILL)


@pytest.fixture
def barrier(server: ParameterServer, fill: ParameterServer) -> Barrier:
    """A barrier whose current step waits for three neurons that each store a row of A1."""
    barrier = Barrier(server)
    assert barrier.reserve(ENTRY)
    fill.put_tensor(EMPTY_A, np.zeros(A.shape))
    assert barrier.open(ENTRY, STEP, WIDTH, {"cost_sum": "0.5", "invocations": "0", "neuron_ms": "0"}, [A])
    return barrier


def row(neuron: int) -> list[tuple[TensorKey, np.ndarray]]:
    return [(A, np.full((1, 2), neuron + 1.0))]


def complete(barrier: Barrier, step: Step = STEP) -> None:
    for neuron in range(WIDTH):
        barrier.arrive(step, neuron, row(neuron))


def state(client: redis.Redis) -> dict[bytes, object]:
    readers = {b"hash": client.hgetall, b"list": lambda key: client.lrange(key, 0, -1), b"string": client.get}
    return {key: readers[client.type(key)](key) for key in sorted(client.keys())}


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


def test_a_neuron_s_row_is_stored_in_its_place(barrier: Barrier, fill: ParameterServer) -> None:
    complete(barrier)
    np.testing.assert_array_equal(fill.get(A), [[1, 1], [2, 2], [3, 3]])


def test_a_repeat_learns_where_the_step_stands_and_changes_nothing(barrier: Barrier, fill: ParameterServer) -> None:
    barrier.arrive(STEP, 2, row(2))
    first = barrier.arrive(STEP, 0, row(0))
    again = barrier.arrive(STEP, 0, [(A, np.full((1, 2), 99.0))])
    assert (again.ordinal, again.status) == (first.ordinal, ArrivalStatus.COUNTED)
    np.testing.assert_array_equal(fill.get_row(A, 0), [[1, 1]])
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
        replace(STEP, generation=1),
        replace(STEP, generation=3),
        replace(STEP, epoch=2),
        replace(STEP, batch=1),
        replace(STEP, direction="backward"),
        replace(STEP, layer=2),
        replace(STEP, fill="2-b"),
    ],
    ids=lambda step: step.id,
)
def test_what_belongs_to_another_step_changes_nothing(barrier: Barrier, client: redis.Redis, late: Step) -> None:
    before = state(client)
    assert barrier.arrive(late, 0, row(0), 5).status is ArrivalStatus.STALE
    assert not barrier.advance(late, NEXT, 1, {}, [(DZ, np.ones((1, 2)))])
    assert not barrier.open(late, NEXT, 1, {}, [])
    assert barrier.adopt(late, 9, []) is None
    barrier.confirm_dispatch(late)
    with pytest.raises(StaleStep):
        barrier.read(late, [EMPTY_A])
    with pytest.raises(StaleStep), barrier.abandoned_if_lost(late):
        raise CacheLost("what a later step has taken away")
    with pytest.raises(StaleStep):
        barrier.keep(late, [A])
    assert state(client) == before


def test_who_finds_nothing_of_the_run_in_redis_says_so(client: redis.Redis) -> None:
    barrier = Barrier(ParameterServer(client, "no-run"))
    with pytest.raises(CacheLost):
        barrier.arrive(STEP, 0, row(0))
    with pytest.raises(CacheLost):
        barrier.current(STEP)
    with pytest.raises(CacheLost):
        barrier.read(STEP, [A])
    with pytest.raises(CacheLost):
        barrier.open(ENTRY, STEP, WIDTH, {}, [A])
    assert not barrier.advance(STEP, NEXT, 1, {})
    assert barrier.adopt(STEP, 3, []) is None
    assert barrier.position() is None
    assert client.keys() == []


def test_a_lost_tensor_is_reported_and_the_neuron_is_not_counted(
    barrier: Barrier, fill: ParameterServer, client: redis.Redis
) -> None:
    client.delete(fill.path(A))
    with pytest.raises(CacheLost):
        barrier.arrive(STEP, 0, row(0))
    assert barrier.missing(STEP, WIDTH) == [0, 1, 2]
    assert not client.exists(fill.path(A)), "half a tensor must not look like a whole one"


def test_a_tensor_that_is_there_in_part_is_lost(barrier: Barrier, fill: ParameterServer, client: redis.Redis) -> None:
    client.set(fill.path(A), client.getrange(fill.path(A), 0, 30))
    with pytest.raises(CacheLost):
        barrier.arrive(STEP, 2, row(2))
    assert client.strlen(fill.path(A)) == 31


def test_one_lost_tensor_of_several_keeps_all_rows_out(barrier: Barrier, fill: ParameterServer) -> None:
    gone = replace(A, name="gone")
    with pytest.raises(CacheLost):
        barrier.arrive(STEP, 0, [*row(0), (gone, np.ones((1, 2)))])
    np.testing.assert_array_equal(fill.get(EMPTY_A), np.zeros(A.shape))


def test_the_missing_neurons_are_known_by_number(barrier: Barrier) -> None:
    barrier.arrive(STEP, 1, row(1))
    assert barrier.missing(STEP, WIDTH) == [0, 2]


def test_arrivals_at_another_step_count_for_nothing(barrier: Barrier, client: redis.Redis) -> None:
    """As a key that goes back to an earlier value has them."""
    for neuron in range(WIDTH):
        barrier.arrive(STEP, neuron, row(neuron))
    old = client.dump("lnn:{run-1}:arrivals")
    assert barrier.advance(STEP, NEXT, WIDTH, {})
    client.restore("lnn:{run-1}:arrivals", 0, old)
    position = barrier.position()
    assert position is not None
    assert position.arrived == 0
    assert barrier.missing(NEXT, WIDTH) == [0, 1, 2]
    assert not barrier.advance(NEXT, STEP, WIDTH, {})
    assert barrier.arrive(NEXT, 0, row(0)).ordinal == 1
    assert barrier.missing(NEXT, WIDTH) == [1, 2]


def test_the_kth_to_arrive_invokes_the_neuron_k_places_behind_the_window(barrier: Barrier) -> None:
    assert barrier.arrive(STEP, 0, row(0), window=2).following == 2
    assert barrier.arrive(STEP, 0, row(0), window=2).following == 2, "a repeat heals a crash before it was invoked"
    assert barrier.arrive(STEP, 1, row(1), window=2).following is None, "the step has three neurons"


def test_nobody_invokes_anybody_without_a_window(barrier: Barrier) -> None:
    assert barrier.arrive(STEP, 0, row(0)).following is None


def test_after_arrivals_were_lost_no_neuron_invokes_itself_or_another_that_has_arrived(
    barrier: Barrier, client: redis.Redis, server: ParameterServer
) -> None:
    barrier.arrive(STEP, 0, row(0), window=2)
    client.delete(server.step_paths[1])
    assert barrier.arrive(STEP, 2, row(2), window=2).following is None, "the first of two places is its own"
    client.delete(server.step_paths[1])
    assert barrier.arrive(STEP, 2, row(2), window=1).following == 1
    assert barrier.arrive(STEP, 1, row(1), window=1).following is None, "neuron 2 would invoke neuron 1 again"
    assert barrier.arrive(STEP, 2, row(2), window=1).following is None


def test_one_of_those_who_arrive_renews_the_lease_when_it_is_time(barrier: Barrier, client: redis.Redis) -> None:
    assert not barrier.arrive(STEP, 0, row(0)).lease_due, "nobody holds a lease by this step"
    client.hset("lnn:{run-1}:step", "renewed_at", repr(barrier.now() - RENEWAL_SECONDS + 60))
    assert not barrier.arrive(STEP, 0, row(0)).lease_due
    client.hset("lnn:{run-1}:step", "renewed_at", repr(barrier.now() - RENEWAL_SECONDS))
    assert [barrier.arrive(STEP, neuron, row(neuron)).lease_due for neuron in (0, 1, 2)] == [True, False, False]
    position = barrier.position()
    assert position is not None
    assert 0 <= position.now - float(position.fields["renewed_at"]) < RENEWAL_SECONDS


# Reading


def test_what_a_step_reads_is_of_that_step_or_not_read(barrier: Barrier, fill: ParameterServer) -> None:
    complete(barrier)
    (read,) = barrier.read(STEP, [A])
    np.testing.assert_array_equal(read, [[1, 1], [2, 2], [3, 3]])
    barrier.advance(STEP, NEXT, 1, {})
    with pytest.raises(StaleStep):
        barrier.read(STEP, [A])


@pytest.mark.parametrize("version", [NEVER, 0, 2])
def test_rows_of_another_update_are_lost(barrier: Barrier, fill: ParameterServer, version: int) -> None:
    complete(barrier)
    other = replace(A, version=version)
    reads: list[Callable[[], object]] = [
        lambda: barrier.read(STEP, [other]),
        lambda: fill.get(other),
        lambda: fill.get_row(other, 1),
        lambda: fill.get_column(other, 1),
    ]
    for read in reads:
        with pytest.raises(CacheLost, match="A1"):
            read()


def test_a_row_that_nobody_wrote_is_lost(barrier: Barrier, fill: ParameterServer) -> None:
    barrier.arrive(STEP, 0, row(0))
    np.testing.assert_array_equal(fill.get_row(A, 0), [[1, 1]])
    for read in (lambda: fill.get_row(A, 1), lambda: fill.get_column(A, 0), lambda: fill.get(A)):
        with pytest.raises(CacheLost):
            read()


def test_a_fill_that_has_lost_something_is_not_adopted(barrier: Barrier, fill: ParameterServer) -> None:
    with pytest.raises(CacheLost), barrier.abandoned_if_lost(STEP):
        fill.get(A)
    assert barrier.position() is None
    assert barrier.adopt(STEP, 3, []) is None


# Advancing


def test_a_complete_step_is_left_with_its_fields_and_tensors(barrier: Barrier, fill: ParameterServer) -> None:
    complete(barrier)
    assert barrier.advance(STEP, NEXT, 1, {"cost_sum": "0.75"}, [(DZ, np.array([[3.0, 4.0]]))])
    position = barrier.position()
    assert position is not None
    assert (position.step, position.width, position.arrived, position.dispatched) == (NEXT, 1, 0, False)
    assert position.fields == {"cost_sum": "0.75", "invocations": "4", "neuron_ms": "0", "recorded": "4"}
    np.testing.assert_array_equal(fill.get(DZ), [[3.0, 4.0]])


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
                step, following = replace(STEP, epoch=number + 1), replace(STEP, epoch=number + 2)
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
    barrier: Barrier, redis_port: int, fill: ParameterServer
) -> None:
    width, copies = 24, 4
    key = TensorKey("A2", np.dtype(np.float32), (width, 3), 1)
    fill.put_tensor(key, np.zeros(key.shape, key.dtype))
    assert barrier.open(STEP, NEXT, width, {}, [key])
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
    np.testing.assert_array_equal(fill.get(key), np.repeat(np.arange(width, dtype=np.float32)[:, None], 3, axis=1))


# Generations


def test_an_older_generation_cannot_begin(barrier: Barrier, client: redis.Redis) -> None:
    before = state(client)
    assert not barrier.reserve(Step(1, 0, 0, "forward", 0, "1-a"))
    assert state(client) == before


@pytest.mark.parametrize("generation", [2, 3, 10])
def test_the_same_or_a_later_generation_opens_its_step_anew(barrier: Barrier, generation: int) -> None:
    complete(barrier)
    entry = Step(generation, 0, 0, "forward", 0, f"{generation}-b")
    opened = Step(generation, 1, 0, "forward", 1, f"{generation}-b")
    assert barrier.reserve(entry)
    assert barrier.open(entry, opened, 5, {"cost_sum": "0.0"}, [])
    position = barrier.position()
    assert position is not None
    assert (position.step, position.width, position.arrived) == (opened, 5, 0)
    assert position.fields == {"cost_sum": "0.0"}


def test_generations_are_compared_as_numbers(barrier: Barrier) -> None:
    assert barrier.reserve(Step(10, 0, 0, "forward", 0, "10-a"))
    assert not barrier.reserve(Step(9, 0, 0, "forward", 0, "9-a"))


def test_a_fill_that_lost_a_key_is_not_opened(server: ParameterServer, client: redis.Redis) -> None:
    barrier = Barrier(server)
    barrier.reserve(ENTRY)
    with pytest.raises(CacheLost, match=FILL):
        barrier.open(ENTRY, STEP, WIDTH, {}, [A])


def test_an_adopted_step_keeps_its_arrivals_and_refuses_the_old_generation(barrier: Barrier) -> None:
    barrier.arrive(STEP, 0, row(0))
    barrier.confirm_dispatch(STEP)
    adopted = barrier.adopt(STEP, 3, [A])
    assert adopted == replace(STEP, generation=3)
    position = barrier.position()
    assert position is not None
    assert (position.step, position.arrived, position.dispatched) == (adopted, 1, False)
    assert position.fields["cost_sum"] == "0.5"
    assert barrier.arrive(STEP, 1, row(1)).status is ArrivalStatus.STALE
    assert barrier.arrive(adopted, 1, row(1)).status is ArrivalStatus.COUNTED
    assert barrier.missing(adopted, WIDTH) == [2]


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


def test_the_run_s_keys_expire_by_themselves(barrier: Barrier, client: redis.Redis) -> None:
    complete(barrier)
    barrier.advance(STEP, NEXT, 1, {}, [(DZ, np.ones((1, 2)))])
    barrier.arrive(NEXT, 0, [(DZ, np.ones((1, 2)))])
    barrier.reserve(replace(ENTRY, generation=3))
    assert [key for key in client.scan_iter() if client.ttl(key) < 0] == []


def test_a_run_s_keys_live_on_while_it_is_at_work(barrier: Barrier, fill: ParameterServer, client: redis.Redis) -> None:
    for path in client.scan_iter():
        client.expire(path, 60)
    barrier.keep(STEP, [A])
    assert {23 * 3600 < client.ttl(path) <= 24 * 3600 for path in client.scan_iter()} == {True}
    client.delete(fill.path(A))
    with pytest.raises(CacheLost):
        barrier.keep(STEP, [A])
    assert barrier.position() is None, "no later generation adopts what is not whole"
