"""Ranks that all-reduce with PyTorch's gloo behind the emulated network; runs in .venv-bench.

Each pair of ranks has a connection. The addresses that ranks publish are replaced, where they are read, by the
proxy's: so every byte between two ranks passes the cards of both. Gloo compares ports to
decide which of two ranks connects to the other one: so a proxy's port is in the same order with the reader's own as the
peer's is.
"""

import json
import multiprocessing as mp
import os
import re
import socket
import struct
import sys
import time
from datetime import timedelta
from multiprocessing.connection import Connection
from statistics import fmean, median
from typing import Any

import torch
import torch.distributed as dist

from lnnbench.scale.network import LOOPBACK, Control
from lnnbench.scale.worker import LEAST_STEPS, MOST_STEPS

ADDRESS = re.compile(rb"\x02\x00(..)\x7f\x00\x00\x01", re.DOTALL)
"""A sockaddr_in of 127.0.0.1: family, port, address."""


PORTS = (*range(20_000, 32_768), *range(61_000, 65_536))
"""For the proxy: none that Linux gives to whoever asks for any."""
ENOUGH = 2000


def place(port: int) -> int:
    """By which gloo orders ports: the number that their bytes are, in network order, to this machine."""
    return int.from_bytes(port.to_bytes(2, "big"), sys.byteorder)


def ports_beside(own: int, peer: int) -> list[int]:
    """Ports that gloo takes for greater than a rank's own if it takes the peer's for greater, else for less."""
    greater = place(peer) > place(own)
    return [port for port in PORTS if (place(port) > place(own)) == greater][:ENOUGH]


def port_in(address: re.Match[bytes]) -> int:
    return int.from_bytes(address[1], "big")


def rerouted(published: bytes, way: Any) -> bytes:
    """What a rank has published, with the ports that ``way(port)`` says in place of its own."""

    def through(found: re.Match[bytes]) -> bytes:
        return b"\x02\x00" + struct.pack(">H", way(port_in(found))) + b"\x7f\x00\x00\x01"

    return ADDRESS.sub(through, published)


class Rerouting(dist.Store):  # type: ignore[misc]
    """A store in which a rank reads the proxy's ports in place of its peers' own."""

    def __init__(self, store: Any, rank: int, control: Control) -> None:
        super().__init__()
        self._store, self._rank, self._control = store, rank, control
        self._own_port = 0

    def set(self, key: str, value: bytes) -> None:
        if found := ADDRESS.search(value):
            self._own_port = port_in(found)
        self._store.set(key, value)

    def get(self, key: str) -> bytes:
        published: bytes = self._store.get(key)
        owner = key.rpartition("/")[2]
        if not owner.isdigit() or int(owner) == self._rank:
            return published
        return rerouted(published, lambda port: self._way(port, int(owner)))

    def _way(self, port: int, owner: int) -> int:
        return self._control.way(self._rank, port, owner, ports_beside(self._own_port, port))

    def wait(self, *arguments: Any) -> None:
        self._store.wait(*arguments)

    def add(self, key: str, value: int) -> int:
        return int(self._store.add(key, value))

    def check(self, keys: list[str]) -> bool:
        return bool(self._store.check(keys))

    def has_extended_api(self) -> bool:
        return False


def rank_of(rank: int, given: dict[str, Any], port: int, results: Connection) -> None:
    """One rank: measures all cells, and sends the facts of each."""
    torch.set_num_threads(1)
    control, workers = Control(given["control"]), given["workers"]
    store = dist.TCPStore(LOOPBACK, port, workers, is_master=rank == 0, timeout=timedelta(seconds=120))
    dist.init_process_group("gloo", store=Rerouting(store, rank, control), rank=rank, world_size=workers)
    for cell in given["cells"]:
        values = torch.ones(cell["values"])

        def step(wait: float = cell["wait_seconds"], values: torch.Tensor = values) -> float:
            began = time.perf_counter()
            time.sleep(wait)
            dist.all_reduce(values)
            return time.perf_counter() - began

        first = torch.tensor(step())
        dist.all_reduce(first)
        count = min(MOST_STEPS, max(LEAST_STEPS, int(given["seconds"] / (float(first) / workers))))
        before, cpu = control.facts()["cpu_seconds"], time.process_time()
        found = [step() for _ in range(count)]
        cpu = time.process_time() - cpu
        proxy = control.facts()["cpu_seconds"] - before
        results.send((found, cpu / count, proxy / count))
    dist.barrier()
    os._exit(0)  # at an orderly end PyTorch waits for the threads of the store


def main() -> None:
    given = json.loads(sys.argv[1])
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    context = mp.get_context("fork")  # PyTorch is imported once
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    pipes, processes = [], []
    for rank in range(given["workers"]):
        here, there = context.Pipe()
        processes.append(context.Process(target=rank_of, args=(rank, given, port, there), daemon=True))
        processes[-1].start()
        there.close()
        pipes.append(here)
    for _ in given["cells"]:
        found = [pipe.recv() for pipe in pipes]
        steps = [fmean(of_step) for of_step in zip(*(one[0] for one in found), strict=True)]
        facts = {
            "step_ms": 1000 * median(steps),
            "steps": len(steps),
            "worker_cpu_ms": 1000 * fmean(one[1] for one in found),
            "redis_cpu_ms": 0.0,
            "proxy_cpu_ms": 1000 * found[0][2],
        }
        print(json.dumps(facts), flush=True)
    for process in processes:
        process.join(10)


if __name__ == "__main__":
    main()
