"""The project's marks: figures to reach, each with what was measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lnnbench.samples import median_of, ratio

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


def cat(section: Report) -> Iterator[Mark]:
    ways = section["ways"]
    total, training = (median_of(ways, "auto, float64", figure) for figure in ("seconds_total", "seconds_training"))
    yield Mark("cat job, `auto`: upload to model", 6, total, " s")
    yield Mark("cat job, `auto`: training", 1.5, training, " s")
    torch = ratio(ways, "auto, float64", "torch, float64", "seconds_training")
    yield Mark("cat job, `auto`: training over PyTorch's", 0.15, torch)
    for dtype in ("float64", "float32"):
        name = f"resident, 2 workers, {dtype}"
        over = ratio(ways, name, f"numpy, {dtype}", "ms_per_epoch")
        yield Mark(f"cat job, `resident`, 2 workers, {dtype}: an epoch over the numpy loop's", 1.2, over)
        waiting = median_of(ways, name, "synchronization_ms_per_step")
        yield Mark(f"cat job, `resident`, 2 workers, {dtype}: synchronization a step", 1.0, waiting, " ms")
    epoch, busy = (median_of(ways, "neuron, float64", name) for name in ("ms_per_epoch", "emulator_ms_per_epoch"))
    share = "" if busy is None else f"{busy:,.0f} ms of it are the emulator's own work"
    yield Mark("cat job, `neuron`: an epoch", 1200, epoch, " ms", remark=share)


def batches(section: Report) -> Iterator[Mark]:
    speed = ratio(section["ways"], "numpy, float32", "data, 2 workers, float32", "ms_per_epoch")
    what = "batches of 512, `data`, 2 workers: examples a second over the numpy loop's"
    yield Mark(what, 0.7, speed, at_least=True)


def memory(section: Report) -> Iterator[Mark]:
    once, twice = section["runs"]
    for name, peak in once["peak_mb"].items():
        if peak is not None:
            yield Mark(f"batches of 512, `data`: peak memory of {name.title()}", 400, peak, " MB")
    for name, peak in once["peak_mb"].items():
        more = twice["peak_mb"].get(name)
        if peak is not None and more is not None:
            growth = (more / peak - 1) * 100
            yield Mark(f"twice the examples, `data`: growth of the peak of {name.title()}", 5, growth, "%")


def cold(section: Report) -> Iterator[Mark]:
    for name, found in section.items():
        yield Mark(f"cold start of {name.title()}", 600, found["cold_ms"], " ms")


def estimate(section: Report) -> Iterator[Mark]:
    factors = [max(row["factor"], 1 / row["factor"]) for row in section["rows"]]
    what = "estimated over measured time on the local cloud, the worst factor in either direction"
    yield Mark(what, 1.5, max(factors, default=None))


SECTIONS = {"cat": cat, "batches": batches, "memory": memory, "cold": cold, "estimate": estimate}
