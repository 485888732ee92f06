"""Which runs meet which faults: drawn from the table by a seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.scene import Fault

AT_LEAST = 2
"""How often each fault is drawn before any is drawn once more."""

LASTS_SECONDS = {2.0: 2, 6.0: 2, 10.0: 2, 20.0: 5, 60.0: 2}
"""How long a process stands still, and how often that is drawn. A successor takes over after about fifteen."""

TWO_AT_ONCE = 0.25
"""Share of the rounds with frozen processes in which there are two."""

LONG_SECONDS = 10.0
"""A process that stands still for so long leaves the machine to others."""

RARELY = 0.3
"""Share of the rounds with faults that come back in which no checkpoint is stored amid the run."""


@dataclass(frozen=True, slots=True)
class Round:
    """One fault or two, and the strategies of the runs that they strike together."""

    number: int
    faults: tuple[Fault, ...]
    strategies: tuple[str, ...]
    seconds: tuple[float, ...] = ()
    """How long the processes stand still that are frozen: the first, and one beside it if there are two."""
    rarely: bool = False
    """The run stores no checkpoint amid its way: what follows a crash begins at the first one."""

    @property
    def name(self) -> str:
        lasts = f", {' and '.join(f'{seconds:g}' for seconds in self.seconds)} s" if self.seconds else ""
        return " + ".join(fault.name for fault in self.faults) + lasts

    @property
    def by_itself(self) -> bool:
        """Whether other rounds would feel it."""
        heavy = {name for fault in self.faults for name in fault.heavy}
        return any(fault.shared for fault in self.faults) or bool(heavy & set(self.strategies))

    @property
    def long(self) -> bool:
        return any(fault.long for fault in self.faults)

    @property
    def paced(self) -> bool:
        return any(fault.paced and not fault.after_end for fault in self.faults)

    @property
    def idles(self) -> bool:
        """Whether most of it is waiting."""
        return max(self.seconds, default=0.0) >= LONG_SECONDS


def schedule(faults: Sequence[Fault], runs: int, seed: int) -> list[Round]:
    """Rounds with ``runs`` runs in all: a fault of each kind; then all others, by themselves or two in one run.

    So many are two in one run that each fault strikes twice, where ``runs`` allows that.
    """
    rng = random.Random(seed)
    rounds = one_of_each_kind(faults, seed, most_seconds=max(LASTS_SECONDS))
    drawn: Counter[tuple[str, str]] = Counter()
    left = runs
    for number, turn in enumerate(rounds):
        left -= len(turn.strategies)
        _count(drawn, turn)
        if left <= 0:
            last = turn.strategies[: len(turn.strategies) + left]
            return [*rounds[:number], Round(number, turn.faults, last, turn.seconds, turn.rarely)]
    while left:
        deck = _deck(faults, drawn)
        rng.shuffle(deck)
        pairs = sum(_width(fault) for fault in deck) - left
        share = min(0.9, max(0.2, 2.4 * pairs / max(1, sum(_pairs_up(fault) for fault in deck))))
        while deck and left:
            drawn_together: tuple[Fault, ...] = (deck.pop(),)
            if _pairs_up(drawn_together[0]) and rng.random() < share:
                drawn_together += _partner(drawn_together[0], deck)
            turn = _round(len(rounds), drawn_together, drawn, rng, max(LASTS_SECONDS))
            turn = Round(turn.number, turn.faults, turn.strategies[:left], turn.seconds, turn.rarely)
            _count(drawn, turn)
            left -= len(turn.strategies)
            rounds.append(turn)
    return rounds


def one_of_each_kind(faults: Sequence[Fault], seed: int, most_seconds: float = 6.0) -> list[Round]:
    """The first rounds of ``schedule``."""
    rng = random.Random(seed)
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind, []).append(fault)
    drawn: Counter[tuple[str, str]] = Counter()
    chosen = [rng.choice(same) for same in kinds.values()]
    return [_round(number, (fault,), drawn, rng, most_seconds) for number, fault in enumerate(chosen)]


def _deck(faults: Sequence[Fault], drawn: Counter[tuple[str, str]]) -> list[Fault]:
    """What each fault still lacks, and its weight beyond that."""
    hits: Counter[str] = Counter()
    for (name, _), times in drawn.items():
        hits[name] += times
    lacking = [fault for fault in faults for _ in range(_rounds_lacking(fault, hits[fault.name]))]
    return lacking or [fault for fault in faults for _ in range(fault.weight)]


def _rounds_lacking(fault: Fault, hits: int) -> int:
    lacking = AT_LEAST + fault.weight - 1 - hits
    return max(0, -(-lacking // _width(fault)))


def _width(fault: Fault) -> int:
    """How many runs a round of it has."""
    return len(fault.strategies) if fault.shared and fault.several == 1 else fault.several


def _pairs_up(fault: Fault) -> bool:
    return _width(fault) == 1 and not fault.shared and not fault.long and not fault.alone


def _partner(fault: Fault, deck: list[Fault]) -> tuple[Fault, ...]:
    """Take another fault out of the deck that can strike the same run."""
    for index in range(len(deck) - 1, -1, -1):
        other = deck[index]
        if _pairs_up(other) and other.kind != fault.kind and set(other.strategies) & set(fault.strategies):
            return (deck.pop(index),)
    return ()


def _round(
    number: int, faults: tuple[Fault, ...], drawn: Counter[tuple[str, str]], rng: random.Random, most_seconds: float
) -> Round:
    first, *others = faults
    common = [name for name in first.strategies if all(name in other.strategies for other in others)]
    if first.several > 1:
        strategies = tuple(rng.choices(common, k=first.several))
    elif first.shared:
        strategies = first.strategies
    else:
        # Those that these faults have met least.
        rng.shuffle(common)
        strategies = (min(common, key=lambda name: sum(drawn[fault.name, name] for fault in faults)),)
    seconds: tuple[float, ...] = ()
    if any(fault.lasting for fault in faults):
        lasts = {long: times for long, times in LASTS_SECONDS.items() if long <= most_seconds}
        count = 2 if rng.random() < TWO_AT_ONCE else 1
        seconds = tuple(rng.choices([*lasts], [*lasts.values()], k=count))
    rarely = any(fault.paced for fault in faults) and rng.random() < RARELY
    return Round(number, faults, strategies, seconds, rarely)


def _count(drawn: Counter[tuple[str, str]], turn: Round) -> None:
    drawn.update((fault.name, name) for fault in turn.faults for name in turn.strategies)
