"""The scale benchmark's workers exchange through the emulated network and a Redis with TLS, each in its process."""

from __future__ import annotations

import pytest

from lnn_tools.errors import ToolError
from lnn_tools.local_cloud import tls
from lnnbench.scale.cells import DATA, RESIDENT, Cell
from lnnbench.scale.fleet import measure
from lnnbench.scale.network import Network

CELLS = [Cell(DATA, 2, 4000, 0.001), Cell(DATA, 3, 4000, 0.001), Cell(RESIDENT, 3, 16_000, 0.002)]


def test_each_cell_has_a_row_with_its_step_and_what_it_took_of_the_processors():
    try:
        rows = list(measure(CELLS, Network(0.004, 20e6, 40e6), seconds=0.0))
    except ToolError as error:
        if tls.wanted():
            raise
        pytest.skip(str(error))
    assert [(row["way"], row["workers"], row["bytes"], row.get("error")) for row in rows] == [
        (cell.way, cell.workers, cell.bytes, None) for cell in CELLS
    ]
    for row in rows:
        assert row["step_ms"] > row["wait_ms"]
        assert row["round_trip_ms"] > 0
        assert row["worker_cpu_ms"] > 0
