#!/usr/bin/env python3
"""Measures the exchange of 2 to 128 workers behind an emulated network (`make bench-scale`)."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lnn.planning.rates import AWS
from lnn_tools.errors import exit_status
from lnnbench.machine import cores, load_average, machine, revision
from lnnbench.report import RESULTS
from lnnbench.scale import chart
from lnnbench.scale.cells import GLOO, SIZES, WORKERS, Cell, grid
from lnnbench.scale.fleet import gloo_missing, measure
from lnnbench.scale.network import Network
from lnnbench.scale.report import NAME, completed, in_bytes, markdown, write


def main() -> int:
    given = parse()
    if given.again:
        return again(given.output)
    network = Network(given.round_trip_ms / 1000, 1e6 * given.function_mb, 1e6 * given.node_mb)
    missing = "left out by --no-gloo" if given.no_gloo else gloo_missing()
    wanted = [
        cell for cell in grid(given.workers, given.bytes, float("inf"), network) if cell.way != GLOO or not missing
    ]
    cells = [cell for cell in grid(given.workers, given.bytes, given.most_seconds, network) if cell in wanted]
    report: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "revision": revision(),
        "machine": machine(),
        "network": {
            "round_trip_seconds": network.round_trip_seconds,
            "function_bytes": network.function_bytes,
            "node_bytes": network.node_bytes,
        },
        "gloo_missing": missing,
        "most_seconds": given.most_seconds,
        "left_out": ", ".join(named(cell) for cell in wanted if cell not in cells),
        "rows": [],
    }
    before = load_average()
    for row in measure(cells, network, given.seconds):
        report["rows"].append(completed(row, network, cores()))
        report["load_average"] = {"before": before, "after": load_average()}
        told(report["rows"][-1])
        write(report, given.output)
    chart.draw(report["rows"], given.output)
    print(f"\n{markdown(report)}\nwritten: {given.output}")
    return int(any("error" in row for row in report["rows"]))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the exchange of many workers behind an emulated network.")
    parser.add_argument(
        "--workers", type=numbers, metavar="A,B", default=WORKERS, help="numbers of workers (default: %(default)s)"
    )
    parser.add_argument(
        "--bytes", type=numbers, metavar="A,B", default=SIZES, help="of the gradient (default: %(default)s)"
    )
    parser.add_argument(
        "--round-trip-ms", type=float, default=1000 * AWS.round_trip_seconds, help="(default: %(default)s)"
    )
    parser.add_argument(
        "--function-mb",
        type=float,
        default=AWS.function_bytes / 1e6,
        help="MB/s in and out of each function; 0: no limit (default: %(default)s)",
    )
    parser.add_argument(
        "--node-mb",
        type=float,
        default=AWS.cache_bytes / 1e6,
        help="MB/s in and out of the cache's node; 0: no limit (default: %(default)s)",
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of steps in each cell (default: %(default)s)")
    parser.add_argument(
        "--most-seconds",
        type=float,
        default=8.0,
        help="leave out cells whose steps take longer by the model (default: %(default)s)",
    )
    parser.add_argument("--again", action="store_true", help="write the last report again, with today's cost model")
    parser.add_argument("--no-gloo", action="store_true", help="do not measure PyTorch's gloo")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the report (default: %(default)s)")
    return parser.parse_args()


def again(folder: Path) -> int:
    """Measures nothing: what follows from the measured rows, and the estimates, are computed anew."""
    report = json.loads((folder / f"{NAME}.json").read_text())
    network, used = Network(**report["network"]), report["machine"]["cores"]
    report["rows"] = [completed(row, network, used) for row in report["rows"]]
    write(report, folder)
    chart.draw(report["rows"], folder)
    return 0


def numbers(text: str) -> list[int]:
    return [int(float(part)) for part in text.split(",")]


def named(cell: Cell) -> str:
    return f"{cell.way} with {cell.workers} workers and {in_bytes(cell.bytes)}"


def told(row: dict[str, Any]) -> None:
    """Prints a row as soon as it is there."""
    what = f"  {row['way']:<9}{row['workers']:>4} workers {in_bytes(row['bytes']):>9}"
    if "error" in row:
        print(f"{what}  failed: {row['error']}", flush=True)
        return
    model = f", estimate {row['estimate_ms']:9.2f}" if "estimate_ms" in row else ""
    print(f"{what}  overhead {row['overhead_ms']:9.2f} ms{model}, processors {row['processors_ms']:9.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status("bench-scale", main))
