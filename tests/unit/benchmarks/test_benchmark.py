"""The benchmark compares like with like, and says whether a mark is met."""

import socket
import threading
import time
from itertools import pairwise

import h5py
import pytest

from lnn.data.dataset import label_matrix
from lnn.network import Network, Optimizer, init_parameters, new_slots, take_examples
from lnn.network.batches import batch_slices
from lnnbench.floor import Floor, flops
from lnnbench.jobs import Job, synthetic_job
from lnnbench.marks import Mark
from lnnbench.redis_proxy import proxy
from lnnbench.report import markdown
from lnnbench.samples import ratio, rounds
from lnnbench.ways import NUMPY, Program

EPOCHS = 4


def job(folder, **changes) -> Job:
    given = {"test_examples": 20, "learning_rate": 0.1, "batch_size": None, "dtype": "float64"} | changes
    return synthetic_job(folder, "test", 60, 12, [5, 4, 3], **given)


def cost_in_lnn(job: Job) -> float:
    """The last epoch's cost, by LNN's own network."""
    with h5py.File(job.dataset) as file:
        x, y = file["train_set_x"][:], file["train_set_y"][:]
    X, Y = (x.astype(job.dtype) / 255).T, label_matrix(y, job.units[-1], job.dtype)
    network, optimizer = Network(job.sizes, job.activations, 0.0, job.dtype), Optimizer("sgd", job.learning_rate)
    parameters = init_parameters(job.sizes, job.activations, "auto", 0, job.dtype)
    slots, updates, total = new_slots(parameters, optimizer), 0, 0.0
    for epoch in range(1, EPOCHS + 1):
        total = 0.0
        for batch in batch_slices(job.examples, job.batch_size, 0, epoch):
            updates += 1
            Y_batch = take_examples(Y, batch)
            cost, _ = network.train_step(parameters, slots, take_examples(X, batch), Y_batch, optimizer, updates)
            total += cost * Y_batch.shape[1]
    return total / job.examples


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize(("accuracies", "same_code"), [(False, False), (True, False), (False, True)])
def test_the_plain_loop_that_lnn_is_compared_with_trains_the_same(tmp_path, batch_size, accuracies, same_code):
    small = job(tmp_path, batch_size=batch_size)
    measured = Program(small, *NUMPY, EPOCHS, accuracies=accuracies, same_code=same_code).measure(tmp_path)
    assert measured["final_cost"] == pytest.approx(cost_in_lnn(small), rel=1e-9)
    assert (measured["test_accuracy"] is not None) == accuracies


def test_the_proxy_passes_bytes_on_unchanged_and_late_both_ways():
    delay, sent = 0.02, bytes(range(256)) * 4000

    def echo(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(2**16):
                connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as server, proxy(server.getsockname()[1], delay) as port:
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        with socket.create_connection(("127.0.0.1", port)) as client:
            began = time.monotonic()
            threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
            received = client.recv(1)
            waited = time.monotonic() - began
            while len(received) < len(sent):
                received += client.recv(2**16)
    assert received == sent
    assert waited >= 2 * delay


def test_the_floor_counts_every_product_of_an_epoch(tmp_path):
    small = job(tmp_path)
    first, *others = (inputs * units for inputs, units in pairwise(small.sizes))
    forward = 2 * (first + sum(others)) * (60 + 20)
    gradients, deltas = 2 * (first + sum(others)) * 60, 2 * sum(others) * 60
    assert sum(flops(small)) == forward + gradients + deltas


def test_the_floor_of_workers_has_their_round_trips_and_no_more_than_the_cores_can_do(tmp_path):
    small = job(tmp_path, batch_size=16)
    floor = Floor({"one": {"float64": 1e9}, "all": {"float64": 2e9}}, round_trip=0.001)
    alone, two, four = (floor.workers(small, "data", workers) for workers in (1, 2, 4))
    exchanges = 2 * small.steps  # of 1 ms each
    assert two - exchanges == pytest.approx(alone / 2)
    assert four == pytest.approx(two)


class Fixed:
    """A way whose epochs take given milliseconds."""

    what, epochs = "as told", 1

    def __init__(self, name, of, milliseconds):
        self.name, self.job, self.left = name, of, list(milliseconds)

    def measure(self, scratch):
        return {"ms_per_epoch": self.left.pop(0), "final_cost": 1.0}


def test_a_ratio_is_the_median_over_the_rounds_not_the_ratio_of_medians(tmp_path):
    # The second round hit a busy machine, both ways alike.
    ours, theirs = Fixed("ours", job(tmp_path), [1, 40, 3]), Fixed("theirs", job(tmp_path), [2, 80, 3])
    ways = rounds([ours, theirs], 3, tmp_path, patience=0)
    assert ratio(ways, "ours", "theirs", "ms_per_epoch") == 0.5


@pytest.mark.parametrize(
    ("mark", "met"),
    [
        (Mark("an epoch", 1.2, 1.3, " s"), False),
        (Mark("an epoch", 1.2, 1.2, " s"), True),
        (Mark("speed", 0.7, 0.6, at_least=True), False),
        (Mark("speed", 0.7, 0.7, at_least=True), True),
        (Mark("speed", 0.7, None, at_least=True), None),
    ],
)
def test_a_mark_says_whether_it_is_met(mark, met):
    assert mark.facts()["met"] is met


def test_the_report_shows_a_mark_that_is_missed():
    machine = {"cores": 2, "cpu": "CPU", "python": "3", "numpy": "2", "blas": "BLAS", "others": "none"}
    gflops = {"float64": 1.0, "float32": 2.0}
    report = {
        "date": "2026-01-01",
        "revision": "abc",
        "machine": machine,
        "floor": {"gemm_gflops": {"one": gflops, "all": gflops}, "redis_round_trip_ms": 0.1},
        "load_average": {"before": 0, "after": 0},
        "marks": [Mark("an epoch", 1.2, 1.3, " s").facts()],
    }
    assert "| an epoch: at most 1.2 s | 1.3 s | **no** |" in markdown(report)
