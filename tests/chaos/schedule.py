"""Which runs meet which faults: drawn from the table by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chaos.scene import Fault

Draw = tuple[Fault, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Round:
    """One fault, and the strategies of the runs that it strikes together."""

    number: int
    fault: Fault
    strategies: tuple[str, ...]

    @property
    def by_itself(self) -> bool:
        """Whether other rounds would feel it."""
        return self.fault.shared or any(name in self.fault.heavy for name in self.strategies)


def schedule(faults: Sequence[Fault], runs: int, seed: int) -> list[Round]:
    """Rounds with ``runs`` runs in all: a fault of each kind, then every fault with every strategy, again and again."""
    rng = random.Random(seed)
    rounds: list[Round] = []
    left = runs
    for fault, strategies in _draws(faults, rng):
        rounds.append(Round(len(rounds), fault, strategies[:left]))
        left -= len(rounds[-1].strategies)
        if not left:
            return rounds
    raise AssertionError("the draws never end")


def one_of_each_kind(faults: Sequence[Fault], seed: int) -> list[Round]:
    """The first rounds of ``schedule``."""
    return [Round(number, *draw) for number, draw in enumerate(_of_each_kind(faults, random.Random(seed)))]


def _draws(faults: Sequence[Fault], rng: random.Random) -> Iterator[Draw]:
    yield from _of_each_kind(faults, rng)
    while True:
        cells = [cell for fault in faults for cell in _cells(fault, rng)]
        rng.shuffle(cells)
        yield from cells


def _of_each_kind(faults: Iterable[Fault], rng: random.Random) -> list[Draw]:
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind, []).append(fault)
    chosen = [rng.choice(same) for same in kinds.values()]
    return [(fault, tuple(rng.choices(fault.strategies, k=fault.several))) for fault in chosen]


def _cells(fault: Fault, rng: random.Random) -> list[Draw]:
    """A fault with each of its strategies; all of them at once where it strikes every run on the cloud."""
    if fault.several > 1:
        return [(fault, tuple(rng.choices(fault.strategies, k=fault.several)))]
    return [(fault, fault.strategies)] if fault.shared else [(fault, (name,)) for name in fault.strategies]
