"""The tables of a scale benchmark, as JSON and Markdown."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lnnbench.scale.cells import DATA, DIGITS_BYTES, GLOO, TOGETHER_SECONDS, Cell, expected
from lnnbench.scale.network import Network

NAME = "scale"
MARK_WORKERS = 16
MARKS = ((16_000, 1000 * TOGETHER_SECONDS / MARK_WORKERS, 0.7), (DIGITS_BYTES, 1000 * TOGETHER_SECONDS, 0.85))
"""Bytes, milliseconds of each worker's work in a step, the efficiency to reach: with ``data`` and ``MARK_WORKERS``."""
CLOSE = 1.3
"""Within this factor the model's figure counts as right."""
BOUND = 0.5
"""Above this share of the overhead, processors' time makes a row one of this machine, not of functions on AWS."""

Row = Mapping[str, Any]


def completed(row: Row, network: Network, cores: int) -> dict[str, Any]:
    """A measured row with what follows from it, and with what the cost model says (not of gloo)."""
    if "error" in row:
        return dict(row)
    workers, step, waited = row["workers"], row["step_ms"], row["wait_ms"]
    overhead = step - waited
    cpu = workers * row["worker_cpu_ms"] + row["redis_cpu_ms"] + row["proxy_cpu_ms"]
    full = dict(row) | {"overhead_ms": overhead, "efficiency": waited / step, "busy": cpu / (cores * step)}
    # What the processors had to do in the time of the exchange, however it was spread: less is not possible here.
    full["processors_ms"] = cpu / cores
    if row["way"] != GLOO:
        cell = Cell(row["way"], workers, row["bytes"], waited / 1000)
        full["estimate_ms"] = 1000 * expected(cell, network)
        full["factor"] = overhead / full["estimate_ms"]
    return full


def bound(row: Row) -> bool:
    """Whether this machine's processors were busy for most of the exchange."""
    return bool(row["processors_ms"] > BOUND * row["overhead_ms"])


def marks(rows: Sequence[Row]) -> Iterator[str]:
    """The efficiencies to reach, and how near the model comes."""
    for size, waited, least in MARKS:
        for row in rows:
            wanted = (DATA, MARK_WORKERS, size, waited)
            if (row["way"], row["workers"], row["bytes"], row["wait_ms"]) == wanted and "efficiency" in row:
                met = "met" if row["efficiency"] >= least else "not met"
                yield (
                    f"- {MARK_WORKERS} workers, {waited:g} ms of work each, {in_bytes(size)}: efficiency"
                    f" {row['efficiency']:.2f}, at least {least} wanted: {met}"
                    f"{'; bound by the processors' if bound(row) else ''}"
                    f" (by the cost model {waited / (waited + row['estimate_ms']):.2f})"
                )
    judged = [row for row in rows if "factor" in row and not bound(row)]
    within = [row for row in judged if 1 / CLOSE <= row["factor"] <= CLOSE]
    yield (
        f"- cost model: within {CLOSE} of the measured overhead in {len(within)} of the {len(judged)} rows that the"
        " processors do not bind"
    )


def write(report: Mapping[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / f"{NAME}.md").write_text(markdown(report))


def markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    return "\n".join([*heading(report), *marks(report["rows"]), "", *table(report["rows"]), "", *notes(report)]) + "\n"


def heading(report: Mapping[str, Any]) -> Iterator[str]:
    facts, network, load = report["machine"], report["network"], report["load_average"]
    yield "# Exchanges at scale"
    yield ""
    yield (
        f"`make bench-scale` on {report['date']}, {facts['cores']} cores of {facts['cpu']}, {facts['system']}"
        f" {facts['architecture']}, Python {facts['python']}, commit {report['revision']}; load average"
        f" {load['before']} before, {load['after']} after: the workers' own."
    )
    yield ""
    yield (
        f"Emulated network: round trip {1000 * network['round_trip_seconds']:.2g} ms,"
        f" {in_rate(network['function_bytes'])} in and as much out of each function,"
        f" {in_rate(network['node_bytes'])} in and as much out of the cache's node; TLS. A PING through it took"
        f" {trips(report['rows'])}."
    )
    yield ""
    yield "![Overhead and efficiency by workers](scale.png)"
    yield ""


def trips(rows: Sequence[Row]) -> str:
    found = [row["round_trip_ms"] for row in rows if "round_trip_ms" in row]
    return f"{min(found):.2f} to {max(found):.2f} ms" if found else "an unknown time"


def table(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each row."""
    yield (
        "| way | workers | gradient | work, ms | step, ms | overhead, ms | efficiency | `lnn estimate`, ms |"
        " measured / estimate | processor: worker, ms | Redis, ms | network, ms | processors alone, ms |"
    )
    yield f"|---|{'--:|' * 12}"
    for row in rows:
        start = f"| {row['way']} | {row['workers']} | {in_bytes(row['bytes'])} | {row['wait_ms']:.3g} |"
        if "error" in row:
            yield f"{start} failed: {row['error']} |{' |' * 8}"
            continue
        model = f"{in_ms(row['estimate_ms'])} | {row['factor']:.2f}" if "factor" in row else "- | -"
        cpu = [row[f"{who}_cpu_ms"] for who in ("worker", "redis", "proxy")] + [row["processors_ms"]]
        yield (
            f"{start} {in_ms(row['step_ms'])} | {in_ms(row['overhead_ms'])} | {row['efficiency']:.2f} | {model} | "
            + " | ".join(map(in_ms, cpu))
            + (" * |" if bound(row) else " |")
        )


def notes(report: Mapping[str, Any]) -> Iterator[str]:
    """What the figures can tell, and what they cannot."""
    cores = report["machine"]["cores"]
    yield (
        "A step is a wait, in place of computing, and the exchanges of one update. `data` is a reduce-scatter and an"
        " all-gather of the gradient, `resident` an all-gather of that many bytes of W1 X, gloo PyTorch's all-reduce of"
        " the gradient, from rank to rank and without TLS. Efficiency is the wait's share of the step."
    )
    yield ""
    yield (
        f"All processes, Redis and the network share {cores} cores; on AWS each has its own. *Processors alone* is"
        f" the processor time of all of them in a step, over {cores} cores: a step cannot overlap less. A row with *"
        f" spends more than {BOUND:.0%} of its overhead that way: it is an upper bound, and tells nothing of the"
        " network or of the cost model. A worker's processor time includes up to 1 ms of busy-polling in each exchange."
    )
    yield ""
    yield (
        "The estimate is `lnn.planning.cost_model` with AWS's rates and this network: every function has its own"
        " processor. The network has no loss, no jitter and no slow start, a link serves bytes in the order in which"
        " they come, and the node is not slower after minutes of full load, as a small one of AWS is."
    )
    if report["gloo_missing"]:
        yield ""
        yield f"gloo was not measured: {report['gloo_missing']}."
    if report["left_out"]:
        yield ""
        yield f"Left out, since the model expects steps above {report['most_seconds']:g} s: {report['left_out']}."


def in_ms(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def in_bytes(count: float) -> str:
    """Decimal units: 437.5 KB, 4 MB."""
    return f"{count / 1e6:.4g} MB" if count >= 1e6 else f"{count / 1e3:.4g} KB"


def in_rate(bandwidth: float) -> str:
    return f"{bandwidth / 1e6:g} MB/s" if bandwidth else "any number of bytes/s"
