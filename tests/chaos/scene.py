"""What a fault works on: the cloud, the runs it strikes, and a place to say when it struck."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from chaos.aws_proxy import Trouble
from chaos.cloud import ChaosCloud
from chaos.jobs import Job
from support.e2e_cloud import Outcome, Run, Upload, eventually

LAG_SECONDS = 1.5
"""What the ledger says by then may be from before the fault: progress is reported once a second."""

STRIKE_SECONDS = 120.0
"""How long a fault waits for its moment."""


class TooLate(Exception):
    """The run had ended before the fault could strike."""


@dataclass
class Victim:
    """One run under a fault."""

    strategy: str
    job: Job
    undisturbed: Outcome
    folder: str = ""
    """Of its upload: what Launch calls it by, before there is a run."""
    upload: Upload | None = None
    run_id: str = ""
    progress: list[tuple[float, int]] = field(default_factory=list)
    """(time, epoch) whenever the epoch has changed."""
    struck: list[float] = field(default_factory=list)
    """When the fault struck; for an outage, when it was over."""
    trouble: Trouble | None = None
    """With the AWS calls that are about it."""
    keys_may_stay: bool = False
    """A Redis that comes back with an old snapshot brings a run's keys back after its end; they expire in a day."""
    throughout: bool = False
    """It was disturbed all the time: its longest standstill counts."""
    run: Run = field(default_factory=lambda: Run("", "PENDING"))

    def watched(self, run: Run) -> None:
        """Take down how far the run is."""
        if not self.progress or run.epoch != self.progress[-1][1] or run.has_ended:
            self.progress.append((time.time(), run.epoch))

    @property
    def recovery(self) -> float | None:
        """Seconds from the fault until the run was further than before, or had ended; the longest of several."""
        if self.throughout:
            times = [at for at, _ in self.progress]
            return max((later - at for at, later in pairwise(times)), default=0.0)
        return max((self._recovery_from(at) for at in self.struck), default=None)

    def _recovery_from(self, at: float) -> float:
        known = at + LAG_SECONDS
        reached = max((epoch for when, epoch in self.progress if when <= known), default=0)
        end = self.progress[-1][0]
        return max(0.0, next((when for when, epoch in self.progress if when > known and epoch > reached), end) - at)


@dataclass
class Scene:
    """One fault and its victims."""

    cloud: ChaosCloud
    rng: random.Random
    victims: list[Victim]
    undo: ExitStack
    """What is to be put right once all runs have ended."""

    @property
    def victim(self) -> Victim:
        """The only one."""
        (victim,) = self.victims
        return victim

    @property
    def going(self) -> bool:
        """Whether any run has not ended."""
        return any(not victim.run.has_ended for victim in self.victims)

    def strike(self) -> None:
        """The fault strikes now, all that have not ended."""
        for victim in self.victims:
            if not victim.run.has_ended:
                victim.struck.append(time.time())

    def wait_for(self, probe: Callable[[], Any], what: str) -> Any:
        """What ``probe`` finds. Raises TooLate when all runs end without it."""

        def look() -> Any:
            found = probe()
            if not found and not self.going:
                raise TooLate(what)
            return found

        return eventually(look, what, STRIKE_SECONDS)

    def wait_for_progress(self) -> None:
        """Wait until every run has come a random part of its way; several do not wait long for the slowest."""
        share = self.rng.uniform(0.02, 0.5 / len(self.victims))
        for victim in self.victims:
            self.wait_for(
                lambda victim=victim: victim.run.epoch >= share * victim.job.epochs,
                f"{share:.0%} of {victim.strategy}",
            )

    def pause(self, least: float, most: float) -> None:
        """Let a random time go by."""
        time.sleep(self.rng.uniform(least, most))


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the table: what happens to a run, and to which runs it can happen."""

    name: str
    kind: str
    strategies: tuple[str, ...]
    strike: Callable[[Scene], None]
    """Called, in a thread of its own, once every run is known."""
    prepare: Callable[[Scene], None] | None = None
    """Called before the uploads."""
    shared: bool = False
    """It strikes every run on the cloud."""
    long: bool = False
    """It needs a job of a minute or so."""
    heavy: tuple[str, ...] = ()
    """Strategies with which it keeps the whole machine busy."""
    several: int = 1
    """How many runs it takes."""
