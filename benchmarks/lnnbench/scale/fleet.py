"""Redis with TLS, an emulated network, and so many processes that exchange through both."""

import json
import multiprocessing as mp
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from multiprocessing.connection import Connection, wait
from pathlib import Path
from statistics import fmean, median
from typing import Any

import psutil
import redis

from lnn_tools.local_cloud import tls
from lnn_tools.local_cloud.home import REPOSITORY, Home
from lnn_tools.local_cloud.processes import Service, stop
from lnn_tools.local_cloud.servers import REDIS_PORT, ensure_redis
from lnnbench.cloud import BenchmarkError
from lnnbench.scale.cells import GLOO, Cell
from lnnbench.scale.network import Control, Network, emulated
from lnnbench.scale.worker import Found, work

PINGS = 200
ANSWER_SECONDS = 180
"""The longest that a worker may take for a cell beyond the steps themselves: it starts, connects and joins."""
GLOO_SECONDS = 120
"""The longest that gloo may take for all cells with as many ranks."""
BENCH_PYTHON = REPOSITORY / ".venv-bench" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Cache:
    """A Redis with TLS that lets in whoever reaches it."""

    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def cache() -> Iterator[Cache]:
    """A Redis of its own, which workers reach as functions reach ElastiCache, but without a login.

    Raises ToolError where no server with TLS is to be had.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        os.environ |= {tls.VARIABLE: "1", REDIS_PORT[0]: "0"}
        try:
            service = ensure_redis(home)
            try:
                os.environ["SSL_CERT_FILE"] = str(tls.authority(home))
                admit(home, service)
                yield Cache(service.port, psutil.Process(service.pid))
            finally:
                stop(service)
        finally:
            os.environ.clear()
            os.environ.update(before)


def admit(home: Home, service: Service) -> None:
    """Open the keys of runs to connections without a login: IAM's is not part of an exchange."""
    with redis.Redis(**tls.connection(home, service)) as administrator:
        administrator.execute_command("ACL", "SETUSER", "default", "on", "nopass", "~lnn:*", "+@all", "-@dangerous")


def measure(cells: Iterable[Cell], network: Network, seconds: float) -> Iterator[dict[str, Any]]:
    """A row for each cell, as soon as it is there; with ``error`` where it failed."""
    with cache() as server:
        late = delayed(network, server)
        for (workers, over_gloo), group in groupby(cells, key=lambda cell: (cell.workers, cell.way == GLOO)):
            with emulated(late) as control:
                if over_gloo:
                    yield from gloo_rows(list(group), workers, control, seconds)
                else:
                    yield from rows(list(group), workers, control, server, seconds)


def delayed(network: Network, server: Cache) -> Network:
    """The network whose PING takes as long as ``network`` says: the proxy, TLS and Redis take a part of it."""
    with emulated(replace(network, round_trip_seconds=0.0)) as control:
        own = round_trip(control.way(0, server.port))
    return replace(network, round_trip_seconds=max(0.0, network.round_trip_seconds - own))


def rows(
    cells: Sequence[Cell], workers: int, control: Control, server: Cache, seconds: float
) -> Iterator[dict[str, Any]]:
    """The rows of cells with as many workers, all measured by the same processes."""
    ports = [control.way(rank, server.port) for rank in range(workers)]
    trip = round_trip(ports[0])
    with crew(ports, cells, seconds) as connections:
        for cell in cells:
            before = server.cpu_seconds(), control.facts()
            try:
                found = answers(connections)
            except BenchmarkError as error:
                yield facts_of(cell) | {"error": str(error)}
                return
            steps = len(found[0].step_seconds) + 1
            after = server.cpu_seconds(), control.facts()
            yield facts_of(cell) | {
                "round_trip_ms": 1000 * trip,
                "step_ms": 1000 * step_seconds(found),
                "steps": steps - 1,
                "worker_cpu_ms": 1000 * fmean(one.cpu_seconds for one in found),
                "redis_cpu_ms": 1000 * (after[0] - before[0]) / steps,
                "proxy_cpu_ms": 1000 * (after[1]["cpu_seconds"] - before[1]["cpu_seconds"]) / steps,
                "proxy_late_ms": 1000 * after[1]["late_seconds"],
            }


def facts_of(cell: Cell) -> dict[str, Any]:
    return {
        "way": cell.way,
        "workers": cell.workers,
        "bytes": cell.bytes,
        "wait_ms": 1000 * cell.wait_seconds,
    }


def step_seconds(found: Sequence[Found]) -> float:
    """The median of a step's time, which is the mean of all workers': they wait for one another."""
    return median(fmean(of_step) for of_step in zip(*(one.step_seconds for one in found), strict=True))


def round_trip(port: int) -> float:
    """Median seconds of a PING with TLS through the network."""
    with redis.Redis(host="127.0.0.1", port=port, ssl=True) as client:
        seconds = []
        for _ in range(PINGS):
            began = time.perf_counter()
            client.ping()
            seconds.append(time.perf_counter() - began)
    return median(seconds)


@contextmanager
def crew(ports: Sequence[int], cells: Sequence[Cell], seconds: float) -> Iterator[list[Connection]]:
    """A process for each port, which measures the cells one after the other."""
    context = mp.get_context("forkserver")  # it imports once, and each process begins with that
    context.set_forkserver_preload(["lnnbench.scale.worker"])
    claimed = [(str(number), cell) for number, cell in enumerate(cells)]
    processes, connections = [], []
    try:
        for rank, port in enumerate(ports):
            here, there = context.Pipe()
            process = context.Process(target=work, args=(rank, port, claimed, seconds, there), daemon=True)
            process.start()
            there.close()
            processes.append(process)
            connections.append(here)
        yield connections
    finally:
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()


def answers(connections: Sequence[Connection]) -> list[Found]:
    """What every worker found of the next cell, in rank order. Raises BenchmarkError when one ends or is silent."""
    for connection in connections:
        connection.send(None)
    found: dict[int, Found] = {}
    deadline = time.monotonic() + ANSWER_SECONDS
    while waiting := {connection.fileno(): rank for rank, connection in enumerate(connections) if rank not in found}:
        ready = wait(list(waiting), max(0.0, deadline - time.monotonic()))
        if not ready:
            raise BenchmarkError(f"no answer from {len(waiting)} workers in {ANSWER_SECONDS} s")
        for rank in (waiting[int(descriptor)] for descriptor in ready if isinstance(descriptor, int)):
            try:
                found[rank] = connections[rank].recv()
            except EOFError as error:
                raise BenchmarkError(f"worker {rank} ended: its error is on standard error") from error
    return [found[rank] for rank in range(len(connections))]


# gloo


def gloo_missing() -> str:
    """Why gloo is not measured; empty where it can be."""
    if not BENCH_PYTHON.exists():
        return "no .venv-bench with PyTorch (scripts/setup.sh bench makes it)"
    code = "import torch.distributed as d, sys; sys.exit(not (d.is_available() and d.is_gloo_available()))"
    done = subprocess.run([BENCH_PYTHON, "-c", code], check=False, capture_output=True)
    return "PyTorch in .venv-bench has no gloo" if done.returncode else ""


def gloo_rows(cells: Sequence[Cell], workers: int, control: Control, seconds: float) -> Iterator[dict[str, Any]]:
    """The rows of cells that PyTorch's gloo all-reduces."""
    asked = [{"values": cell.values, "wait_seconds": cell.wait_seconds} for cell in cells]
    given = json.dumps({"workers": workers, "control": control.port, "cells": asked, "seconds": seconds})
    command = [str(BENCH_PYTHON), "-m", "lnnbench.scale.gloo", given]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GLOO_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        yield from (facts_of(cell) | {"error": f"gloo took more than {GLOO_SECONDS} s"} for cell in cells)
        return
    answered = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    late = control.facts()["late_seconds"]
    for cell, answer in zip(cells, answered, strict=False):
        yield facts_of(cell) | answer | {"proxy_late_ms": 1000 * late}
    for cell in cells[len(answered) :]:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        yield facts_of(cell) | {"error": last}
