"""Which runs meet which faults: drawn from the table by a seed, every fault at least once where the count allows it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle

from lnnchaos.scene import Fault


@dataclass(frozen=True, slots=True)
class Round:
    """One fault, and the strategies of the runs that it strikes together."""

    number: int
    fault: Fault
    strategies: tuple[str, ...]


def schedule(faults: Iterable[Fault], runs: int, seed: int) -> list[Round]:
    """Rounds with ``runs`` runs in all."""
    rng = random.Random(seed)
    table = list(faults)
    rounds: list[Round] = []
    left = runs
    draws = _draws(table, rng)
    while left:
        fault, strategies = next(draws)
        strategies = strategies[:left]
        rounds.append(Round(len(rounds), fault, strategies))
        left -= len(strategies)
    return rounds


def _draws(table: list[Fault], rng: random.Random) -> Iterator[tuple[Fault, tuple[str, ...]]]:
    """First one fault of each kind, then every fault with every strategy, again and again."""
    for kind in dict.fromkeys(fault.kind for fault in table):
        fault = rng.choice([fault for fault in table if fault.kind == kind])
        yield fault, tuple(rng.choices(fault.strategies, k=fault.several))
    for _ in cycle([None]):
        cells: list[tuple[Fault, tuple[str, ...]]] = []
        for fault in table:
            if fault.several > 1:
                cells.append((fault, tuple(rng.choices(fault.strategies, k=fault.several))))
            elif fault.shared:
                cells.append((fault, fault.strategies))
            else:
                cells += [(fault, (strategy,)) for strategy in fault.strategies]
        rng.shuffle(cells)
        yield from cells
