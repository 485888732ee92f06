"""The project's marks: figures to reach, each with what was measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lnn.planning.workload import Functions
from lnn.strategies.data_parallel.memory import RESERVE
from lnnbench.samples import by_name, median_of, ratio

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """One figure: its name, its bound, and the measurement (None: there is none)."""

    what: str
    bound: float
    measured: float | None
    unit: str = ""
    at_least: bool = False
    remark: str = ""

    @property
    def met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    def facts(self) -> dict[str, Any]:
        return {
            "mark": f"{self.what}: {'at least' if self.at_least else 'at most'} {self.bound:g}{self.unit}",
            "bound": self.bound,
            "measured": self.measured,
            "unit": self.unit,
            "met": self.met,
            "remark": self.remark,
        }


def marks(report: Report) -> list[dict[str, Any]]:
    """The marks of all sections in the report."""
    found: list[Mark] = []
    for section, of in SECTIONS.items():
        if section in report:
            found += of(report[section])
    return [mark.facts() for mark in found]


COMMAND = "the whole command, `lnn train --wait`"


def over_numpy(ways: Sequence[Report], name: str, dtype: str, power: int = 1) -> tuple[float | None, str]:
    """A way's epoch (with ``power`` -1 its speed) over that of the numpy loop with the functions' code, and a remark
    with the same for the processor's own code.
    """
    same, own = (
        None if (over := ratio(ways, name, f"numpy{code}, {dtype}", "ms_per_epoch")) is None else over**power
        for code in (" with the functions' code", "")
    )
    return same, "" if own is None else f"{own:.3g} where the loop runs the processor's own code"


def cat(section: Report) -> Iterator[Mark]:
    ways = section["ways"]
    total, training = (median_of(ways, "auto, float64", figure) for figure in ("seconds_total", "seconds_training"))
    yield Mark("cat job, `auto`: upload to model", 6, total, " s")
    command = median_of(ways, "auto, float64", "seconds_command")
    yield Mark(f"cat job, `auto`: {COMMAND}", 1.7, command, " s")
    yield Mark("cat job, `auto`: training", 1.5, training, " s")
    torch = ratio(ways, "auto, float64", "torch, float64", "seconds_training")
    yield Mark("cat job, `auto`: training over PyTorch's", 0.15, torch)
    as_delivered = (median_of(ways, "auto, float32", figure) for figure in ("seconds_total", "seconds_command"))
    for what, bound, measured in zip(("upload to model", COMMAND), (0.9, 1.7), as_delivered, strict=True):
        yield Mark(f'cat job, `auto`, float32, which `dtype` "auto" takes: {what}', bound, measured, " s")
    torch = ratio(ways, "auto, float32", "torch, float32", "ms_per_epoch")
    yield Mark("cat job, `auto`, float32: an epoch over PyTorch's", 0.05, torch)
    for dtype in ("float64", "float32"):
        name = f"resident, 2 workers, {dtype}"
        over, remark = over_numpy(ways, name, dtype)
        what = f"cat job, `resident`, 2 workers, {dtype}: an epoch over the numpy loop's"
        yield Mark(what, 1.2, over, remark=remark)
        waiting = median_of(ways, name, "synchronization_ms_per_step")
        yield Mark(f"cat job, `resident`, 2 workers, {dtype}: synchronization a step", 1.0, waiting, " ms")
    epoch, busy = (median_of(ways, "neuron, float64", name) for name in ("ms_per_epoch", "emulator_ms_per_epoch"))
    share = "" if busy is None else f"{busy:,.0f} ms of it are the emulator's own work"
    yield Mark("cat job, `neuron`: an epoch", 1200, epoch, " ms", remark=share)


def batches(section: Report) -> Iterator[Mark]:
    ways = section["ways"]
    speed, remark = over_numpy(ways, "data, 2 workers, float32", "float32", -1)
    what = "batches of 512, `data`, 2 workers: examples a second over the numpy loop's"
    yield Mark(what, 0.7, speed, at_least=True, remark=remark)
    for name, bound in (("fused", 0.75), ("data, 2 workers", 0.9)):
        torch = ratio(ways, f"{name}, float32", "torch, float32", "ms_per_epoch")
        yield Mark(f"batches of 512, `{name}`: an epoch over PyTorch's", bound, torch)


def table(section: Report) -> Iterator[Mark]:
    ways = section["ways"]
    for name, base, bound in (("fused", "torch", 0.75), ("data, 2 workers", "fused", 1.0)):
        over = ratio(ways, f"{name}, float32", f"{base}, float32", "ms_per_epoch")
        yield Mark(f"3,000,000 rows: an epoch of `{name}` over that of `{base}`", bound, over)
    fused = by_name(ways, "fused, float32")
    over = None if fused is None else fused["median"]["ms_per_epoch"] / fused["floor_ms"]
    yield Mark("3,000,000 rows: an epoch of `fused` over the floor's", 2.5, over)


def neighbors(section: Report) -> Iterator[Mark]:
    over = section["busy"] / section["quiet"]
    yield Mark("batches of 512, `fused`: beside a busy process for each core, over its quiet time", 2.5, over)


def memory(section: Report) -> Iterator[Mark]:
    # Workers hold examples in the memory that they have, less a reserve; the others hold no more than they need.
    bounds = {"neuron": Functions().neuron_memory_mb * (1 - RESERVE)}
    for run, examples in zip(section["runs"], ("", "twice the examples, "), strict=True):
        for name, peak in run["peak_mb"].items():
            if peak is not None:
                what = f"batches of 512, {examples}`data`: peak memory of {name.title()}"
                yield Mark(what, bounds.get(name, 400), peak, " MB")


def cold(section: Report) -> Iterator[Mark]:
    for name, found in section.items():
        yield Mark(f"cold start of {name.title()}", 600, found["cold_ms"], " ms")


def percent_bounds(row: Report) -> str:
    """Between which percents an overhead lies; empty where too few rounds were measured to say."""
    bounds = row["interval_percent"]
    return "" if bounds is None else f"{bounds[0]:+.1f} to {bounds[1]:+.1f}%"


def snapshots(section: Report) -> Iterator[Mark]:
    for row in section["rows"]:
        what = f"{row['job']} job, `{row['strategy']}`: what `snapshots` add to an epoch"
        remark = f"with 95% confidence {bounds}" if (bounds := percent_bounds(row)) else "too few rounds for bounds"
        yield Mark(what, 3, row["overhead_percent"], "%", remark=remark)


def estimate(section: Report) -> Iterator[Mark]:
    factors = [max(row["factor"], 1 / row["factor"]) for row in section["rows"]]
    what = "estimated over measured time on the local cloud, the worst factor in either direction"
    yield Mark(what, 1.5, max(factors, default=None))


SECTIONS = {
    "cat": cat,
    "batches": batches,
    "table": table,
    "snapshots": snapshots,
    "neighbors": neighbors,
    "memory": memory,
    "cold": cold,
    "estimate": estimate,
}
