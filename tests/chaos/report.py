"""The table of what came of it, by fault."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from chaos.runner import Result

COMPANY = "one fault alone", "two faults in one run"


def show(results: Iterable[Result], seconds: float, console: Console) -> bool:
    """Print the table; whether all is as it should be."""
    everything = list(results)
    console.print(_table(everything))
    wrong = [result for result in everything if result.problem is not None]
    same_bits = f"{len(everything) - len(wrong)} of {len(everything)} runs the same to the bit"
    console.print(f"{same_bits}, in {seconds:.0f} s; load of the machine at the end: {os.getloadavg()[2]:.1f}")
    slowest = max(everything, key=lambda result: result.recovery or 0.0, default=None)
    if slowest is not None and slowest.recovery is not None:
        where = f"{slowest.round.name} x {slowest.strategy}, run {slowest.run_id}"
        console.print(f"Slowest recovery: {slowest.recovery:.1f} s, {where}:")
        for line in slowest.story:
            console.print(f"  {line}", markup=False)
    for result in wrong:
        console.print(
            f"WRONG: {result.round.number} {result.round.name} x {result.strategy}, run {result.run_id}: "
            f"{result.problem}",
            markup=False,
        )
    return not wrong


def _table(everything: list[Result]) -> Table:
    """By fault, then by what else distinguishes the runs."""
    table = Table("fault", "runs", "same", "slowest recovery, s", title="Chaos")
    faults = sorted({name for result in everything for name in result.struck})
    lasting = sorted({seconds for result in everything for seconds in result.round.seconds})
    for name in faults:
        table.add_row(*_row(name, [result for result in everything if name in result.struck]))
    table.add_section()
    for together, name in enumerate(COMPANY):
        table.add_row(*_row(name, [result for result in everything if (len(result.struck) > 1) == together]))
    for seconds in lasting:
        same = [result for result in everything if seconds in result.round.seconds]
        table.add_row(*_row(f"frozen for {seconds:g} s", same))
    table.add_section()
    for strategy in sorted({result.strategy for result in everything}):
        table.add_row(*_row(strategy, [result for result in everything if result.strategy == strategy]))
    return table


def _row(name: str, some: list[Result]) -> tuple[str, str, str, str]:
    right = sum(result.problem is None for result in some)
    recovery = max((result.recovery for result in some if result.recovery is not None), default=None)
    return name, str(len(some)), str(right), "" if recovery is None else f"{recovery:.1f}"
