"""The scale benchmark: the network delays and keeps the order, workers exchange, and the table says what follows."""

from __future__ import annotations

import importlib
import json
import re
import socket
import sys
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from lnn.strategies.data_parallel.exchange import gather_pieces, pieces_of, sum_own_piece
from lnnbench.scale import chart
from lnnbench.scale.cells import DATA, DIGITS_BYTES, GLOO, RESIDENT, Cell, expected, grid, job_of
from lnnbench.scale.fleet import step_seconds
from lnnbench.scale.network import Card, Late, Link, Network, Pipe, emulated
from lnnbench.scale.report import bound, completed, in_ms, markdown, marks, write
from lnnbench.scale.worker import LEAST_STEPS, Found, measured
from support.repository import REPOSITORY

NETWORK = Network(round_trip_seconds=0.001, function_bytes=1e6, node_bytes=4e6)


# The network


def test_bytes_of_a_link_follow_one_another_and_an_idle_one_saves_up_nothing():
    link = Link(100.0)
    assert [link.take(50, now) for now in (10.0, 10.0, 10.2, 20.0)] == [10.5, 11.0, 11.5, 20.5]
    assert Link(0.0).take(10**9, 3.0) == 3.0  # no limit


class Clock:
    """A loop that notes what it is to call, and calls it when told."""

    def __init__(self) -> None:
        self.now, self.calls = 0.0, []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Any) -> None:
        self.calls.append((when, call))

    def run(self) -> list[float]:
        moments = []
        for when, call in sorted(self.calls, key=lambda one: one[0]):
            self.now = when
            moments.append(when)
            call()
        self.calls = []
        return moments


class End:
    """The transport at the other end of a pipe."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.reading = True

    def is_closing(self) -> bool:
        return False

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written.append(data)


def pipe(clock: Clock, *links: Link, delay: float) -> tuple[Pipe, End, End]:
    one, other = (Pipe(clock, links, delay, Late()) for _ in range(2))  # type: ignore[arg-type]
    one.other, other.other = other, one
    here, there = End(), End()
    one.transport, other.transport = here, there  # type: ignore[assignment]
    return one, here, there


def test_bytes_leave_in_order_when_the_slowest_link_has_passed_them_and_half_a_round_trip_later():
    clock = Clock()
    sender, _, receiver = pipe(clock, Link(1000.0), Link(4000.0), delay=0.25)
    sent = [b"a" * 500, b"b" * 1000, b"", b"c"]
    for data in sent:
        sender.data_received(data)
    assert clock.run() == pytest.approx([0.75, 1.75, 1.75, 1.751])
    assert receiver.written == sent


def test_two_functions_share_the_node_and_each_has_a_card_of_its_own():
    clock, node = Clock(), Card(1000.0)
    (one, _, _), (other, _, _) = (pipe(clock, Card(1000.0).out, node.into, delay=0.0) for _ in range(2))
    one.data_received(b"x" * 1000)
    other.data_received(b"y" * 1000)
    assert clock.run() == pytest.approx([1.0, 2.0])


def test_a_full_window_stops_the_sender_until_bytes_have_left():
    clock = Clock()
    sender, end, _ = pipe(clock, Link(1e6), delay=0.0)
    sender.data_received(bytes(2**17))
    assert not end.reading
    clock.run()
    assert end.reading


@contextmanager
def echo() -> Iterator[int]:
    """The port of a server that answers what it receives, and closes after the client's last byte."""

    def answer(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            while data := client.recv(2**16):
                client.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def test_the_proxy_passes_everything_on_unchanged_both_ways_and_the_end_too():
    sent, received = bytes(range(256)) * 4000, b""
    with echo() as port, emulated(Network(0.002, 0.0, 0.0)) as control:
        with socket.create_connection(("127.0.0.1", control.way(0, port))) as client:
            threading.Thread(target=lambda: (client.sendall(sent), client.shutdown(socket.SHUT_WR))).start()
            while data := client.recv(2**16):
                received += data
        facts = control.facts()
    assert received == sent
    assert facts["cpu_seconds"] > 0


def test_a_function_keeps_its_way_and_takes_the_first_free_port_that_it_wants():
    with socket.create_server(("127.0.0.1", 0)) as taken, emulated(NETWORK) as control:
        used = taken.getsockname()[1]
        assert control.way(0, used) == control.way(0, used) != control.way(1, used)
        assert control.way(0, used, peer=1, ports=[used, 0]) not in (0, used)


# Workers


class Group:
    """One of several threads that meet in memory: the part of a process group that an exchange uses."""

    def __init__(self, rank: int, size: int, parts: list[list[Any]], barrier: threading.Barrier) -> None:
        self.rank, self.size, self._parts, self._barrier = rank, size, parts, barrier
        self.peers = [peer for peer in range(size) if peer != rank]

    def exchange(self, parts: list[Any], meanwhile: Callable[[], None] | None = None) -> list[Any]:
        self._parts[self.rank] = [b"".join(map(bytes, part if isinstance(part, tuple) else (part,))) for part in parts]
        self._barrier.wait(10)
        received = [given[self.rank] for given in self._parts]
        self._barrier.wait(10)
        return received

    def all_gather(self, part: Any, meanwhile: Callable[[], None] | None = None) -> list[Any]:
        return self.exchange([part] * self.size, meanwhile)

    def sum_of_all(self, value: float) -> float:
        return value * self.size


def by_all(size: int, work: Callable[[Any], Any]) -> list[Any]:
    """What ``work(group)`` returns in each of so many workers."""
    parts: list[list[Any]] = [[] for _ in range(size)]
    barrier = threading.Barrier(size)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(work, [Group(rank, size, parts, barrier) for rank in range(size)]))


@pytest.mark.parametrize("size", [2, 3, 5])
def test_workers_of_data_come_to_the_sum_of_what_all_have_and_see_all_figures(size):
    def summed(group: Any) -> tuple[Any, list[bytes]]:
        values = np.arange(7, dtype=np.float32) * (group.rank + 1)
        own, parts = sum_own_piece(group, values, b"%03d" % group.rank)
        if len(own) == len(values):
            return own, parts
        pieces_of(values, size)[group.rank][...] = own
        gather_pieces(group, values)
        return values, parts

    wanted = np.arange(7, dtype=np.float32) * sum(range(1, size + 1))
    for values, parts in by_all(size, summed):
        assert values.tolist() == wanted.tolist()
        assert [bytes(part[:3]) for part in parts] == [b"%03d" % rank for rank in range(size)]


@pytest.mark.parametrize("way", [DATA, RESIDENT])
def test_a_worker_measures_at_least_two_steps_each_with_its_wait(way):
    found = by_all(3, lambda group: measured(Cell(way, 3, 400, 0.002), group, seconds=0.0))
    assert [len(one.step_seconds) for one in found] == [LEAST_STEPS] * 3
    assert all(seconds >= 0.002 for one in found for seconds in one.step_seconds)


def test_a_step_takes_as_long_as_the_mean_of_its_workers_and_all_of_them_the_median():
    found = [Found([1.0, 5.0, 3.0], 0.0), Found([3.0, 9.0, 5.0], 0.0)]
    assert step_seconds(found) == 4.0


# Cells and the model


def test_the_model_is_asked_for_an_update_that_exchanges_the_bytes_of_the_cell():
    assert job_of(Cell(DATA, 4, DIGITS_BYTES, 0.0)).parameters * 4 == DIGITS_BYTES
    resident = job_of(Cell(RESIDENT, 4, 16_000, 0.0))
    assert resident.block(4)[0] * resident.examples * 4 == 16_000 / 4
    # Two workers give each other everything, in at most one round trip and the time of the slower link.
    transfer = 2 * 4_000_000 / NETWORK.function_bytes
    assert expected(Cell(DATA, 2, 4_000_000, 0.0), NETWORK) == pytest.approx(0.001 + transfer, rel=0.01)
    assert expected(Cell(DATA, 2, 4_000_000, 0.0), Network(0.001, 0.0, 0.0)) < 0.002


def test_cells_that_the_model_expects_to_take_too_long_are_left_out_and_gloo_has_few_ranks():
    cells = list(grid([2, 16, 128], [4000, DIGITS_BYTES, 40_000_000], 8.0, Network(0.0006, 75e6, 150e6)))
    assert {cell.workers for cell in cells if cell.bytes == 40_000_000} == {2}
    assert {cell.workers for cell in cells if cell.way == GLOO} == {2, 16}
    assert {cell.wait_seconds for cell in cells if cell.workers == 2} == {0.05}
    assert Cell(DATA, 16, DIGITS_BYTES, 0.1) in cells


# gloo


@pytest.fixture
def gloo(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module without PyTorch, which is in another environment."""
    torch = types.ModuleType("torch")
    torch.distributed = types.ModuleType("torch.distributed")  # type: ignore[attr-defined]
    torch.distributed.Store = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch.distributed", torch.distributed)
    monkeypatch.delitem(sys.modules, "lnnbench.scale.gloo", raising=False)
    return importlib.import_module("lnnbench.scale.gloo")


def test_ranks_read_the_ports_of_the_proxy_in_place_of_their_peers(gloo):
    def address(port: int) -> bytes:
        return b"\x02\x00" + port.to_bytes(2, "big") + bytes([127, 0, 0, 1])

    published = b"xy" + address(40_000) + b"\x00" * 8 + address(40_001) + b"z"
    wanted = b"xy" + address(20_000) + b"\x00" * 8 + address(20_001) + b"z"
    assert gloo.rerouted(published, lambda port: port - 20_000) == wanted


@pytest.mark.parametrize(("own", "peer"), [(40_000, 40_001), (40_001, 40_000), (33_023, 60_160), (60_160, 33_023)])
def test_a_port_of_the_proxy_is_on_the_same_side_of_the_own_one_as_the_peers(gloo, own, peer):
    ports = gloo.ports_beside(own, peer)
    assert ports
    assert all((gloo.place(port) > gloo.place(own)) == (gloo.place(peer) > gloo.place(own)) for port in ports)


# The report


def row(
    way: str = DATA, workers: int = 16, size: int = 16_000, wait_ms: float = 6.25, **changes: Any
) -> dict[str, Any]:
    given = {"round_trip_ms": 0.6, "step_ms": 8.0, "steps": 9, "worker_cpu_ms": 0.05, "redis_cpu_ms": 0.2}
    given |= {"proxy_cpu_ms": 0.2, "proxy_late_ms": 0.1}
    return {"way": way, "workers": workers, "bytes": size, "wait_ms": wait_ms} | given | changes


def report(rows: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    facts = {"cores": 2, "cpu": "a processor", "system": "Linux", "architecture": "x86_64", "python": "3.11.7"}
    network = {"round_trip_seconds": 0.0006, "function_bytes": 75e6, "node_bytes": 0.0}
    load = {"before": 0.1, "after": 2.0}
    about = {"date": "2026-11-30", "revision": "abc", "machine": facts, "network": network, "load_average": load}
    return about | {"rows": rows, "gloo_missing": "", "left_out": "", "most_seconds": 8.0} | changes


def test_a_row_says_overhead_efficiency_processors_and_the_models_figure():
    found = completed(row(), NETWORK, cores=2)
    assert found["overhead_ms"] == pytest.approx(1.75)
    assert found["efficiency"] == pytest.approx(6.25 / 8)
    assert found["processors_ms"] == pytest.approx((16 * 0.05 + 0.4) / 2)
    assert not bound(found)
    assert bound(completed(row(worker_cpu_ms=0.2), NETWORK, cores=2))
    estimate = 1000 * expected(Cell(DATA, 16, 16_000, 0.00625), NETWORK)
    assert found["estimate_ms"] == pytest.approx(estimate)
    assert found["factor"] == pytest.approx(1.75 / estimate)
    assert "estimate_ms" not in completed(row(GLOO), NETWORK, cores=2)


def test_the_marks_name_what_is_met_and_count_the_rows_that_processors_do_not_bind():
    good, bad = row(), row(size=DIGITS_BYTES, wait_ms=100.0, step_ms=200.0)
    rows = [completed(one, NETWORK, cores=2) for one in (good, bad)]
    rows[0] |= {"factor": 1.2}
    rows[1] |= {"factor": 0.7}
    told = list(marks(rows))
    assert "efficiency 0.78, at least 0.7 wanted: met (by the cost model 0." in told[0]
    assert "efficiency 0.50, at least 0.85 wanted: not met (by the cost model 0." in told[1]
    assert "in 1 of the 2 rows" in told[2]


def test_the_report_has_a_line_for_each_row_the_network_and_what_it_lacks(tmp_path):
    failed = {"way": DATA, "workers": 128, "bytes": 4_000_000, "wait_ms": 0.78125, "error": "worker 3 ended"}
    rows = [completed(one, NETWORK, cores=2) for one in (row(), row(GLOO), failed)]
    found = report(rows, gloo_missing="no PyTorch", left_out="data with 128 workers and 40 MB")
    write(found, tmp_path)
    text = (tmp_path / "scale.md").read_text()
    assert text == markdown(json.loads((tmp_path / "scale.json").read_text()))
    assert "| data | 16 | 16 KB | 6.25 | 8 | 1.75 | 0.78 |" in text
    assert "| gloo | 16 | 16 KB | 6.25 | 8 | 1.75 | 0.78 | - | - |" in text
    assert "| data | 128 | 4 MB | 0.781 | failed: worker 3 ended |" in text
    assert "75 MB/s in and as much out of each function, any number of bytes/s in" in text
    assert "gloo was not measured: no PyTorch." in text
    assert "Left out, since the model expects steps above 8 s: data with 128 workers and 40 MB." in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {14}


def test_large_figures_are_written_whole():
    assert [in_ms(value) for value in (1234.5, 123.4, 12.34, 0.1234)] == ["1,234", "123", "12.3", "0.123"]


def test_the_chart_is_drawn_of_shared_work_and_without_rows_there_is_none(tmp_path):
    chart.draw([], tmp_path)
    assert not list(tmp_path.iterdir())
    chart.draw([completed(row(workers=count, wait_ms=100 / count), NETWORK, cores=2) for count in (2, 4)], tmp_path)
    assert (tmp_path / "scale.png").read_bytes().startswith(b"\x89PNG")
    assert chart.shared({"wait_ms": 6.25, "workers": 16})
    assert not chart.shared({"wait_ms": 100.0, "workers": 16})


def test_the_committed_tables_are_those_of_the_committed_figures():
    results = REPOSITORY / "benchmarks" / "results"
    assert markdown(json.loads((results / "scale.json").read_text())) == (results / "scale.md").read_text()
