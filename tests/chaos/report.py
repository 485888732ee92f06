"""The table of what came of it: fault x strategy x outcome x recovery time."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from chaos.runner import Result


def show(results: Iterable[Result], seconds: float, console: Console) -> bool:
    """Print the table; whether all is as it should be."""
    cells: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        cells.setdefault((result.round.fault.name, result.strategy), []).append(result)
    table = Table("fault", "strategy", "same bits", "recovery, s", title="Chaos")
    for (fault, strategy), same in sorted(cells.items()):
        right = [result for result in same if result.problem is None]
        times = sorted(result.recovery for result in same if result.recovery is not None)
        recovery = "" if not times else f"{times[0]:.1f}" if len(times) == 1 else f"{times[0]:.1f} to {times[-1]:.1f}"
        table.add_row(fault, strategy, f"{len(right)} of {len(same)}", recovery)
    console.print(table)
    everything = [result for same in cells.values() for result in same]
    wrong = [result for result in everything if result.problem is not None]
    same_bits = f"{len(everything) - len(wrong)} of {len(everything)} runs the same to the bit"
    console.print(f"{same_bits}, in {seconds:.0f} s; load of the machine at the end: {os.getloadavg()[2]:.1f}")
    slowest = max(everything, key=lambda result: result.recovery or 0.0, default=None)
    if slowest is not None and slowest.recovery is not None:
        where = f"{slowest.round.fault.name} x {slowest.strategy}, run {slowest.run_id}"
        console.print(f"Slowest recovery: {slowest.recovery:.1f} s, {where}:")
        for line in slowest.story:
            console.print(f"  {line}")
    for result in wrong:
        console.print(f"WRONG: {result.round.fault.name} x {result.strategy}, run {result.run_id}: {result.problem}")
    return not wrong
