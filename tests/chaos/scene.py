"""What a fault works on: the cloud, the runs it strikes, and a place to say when it struck."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import psutil

from chaos.aws_proxy import Trouble
from chaos.cloud import ChaosCloud
from chaos.jobs import Job
from chaos.tcp_proxy import Stumble
from support.e2e_cloud import Run, Upload, eventually

LAG_SECONDS = 1.5
"""What the ledger says by then may be from before the fault: progress is reported once a second."""

STRIKE_SECONDS = 200.0
"""How long a fault waits for its moment, which may be the end of a run that is paced."""


class TooLate(Exception):
    """The run had ended before the fault could strike."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All that a run leads to but for how long it took: two trainings can be compared bit for bit."""

    history: list[dict[str, float]]
    parameters: dict[str, bytes]
    record: dict[str, Any]
    """Of the run's record in the ledger."""
    results: dict[str, Any]
    """Of ``results.json``."""


class Zombie(NamedTuple):
    """A process that was frozen in an invocation; the next ones that it takes are like any other's."""

    process: psutil.Process
    invocation: str | None
    """None where it had just ended."""


@dataclass
class Victim:
    """One run under a fault."""

    strategy: str
    job: Job
    undisturbed: Figures
    other: Figures | None = None
    """What it leads to with the fault's ``other_parameters``."""
    folder: str = ""
    """Of its upload: what Launch calls it by, before there is a run."""
    upload: Upload | None = None
    run_id: str = ""
    progress: list[tuple[float, int]] = field(default_factory=list)
    """(time, epoch) whenever the epoch has changed."""
    struck: list[float] = field(default_factory=list)
    """When the fault struck; for an outage, when it was over."""
    lasted: list[tuple[float, float]] = field(default_factory=list)
    """From when to when a fault went on that was over in the end."""
    troubles: list[Trouble | Stumble] = field(default_factory=list)
    """With the calls to AWS, and to Redis, that are about it."""
    keys_may_stay: bool = False
    """A Redis that comes back with an old snapshot brings a run's keys back after its end; they expire in a day."""
    messages_may_fail: bool = False
    """SNS fails: a message may be lost, or come twice."""
    messages_may_repeat: int = 0
    """So many stood still between a message about an end and the note of it; SNS gives no fence for that moment."""
    throughout: bool = False
    """It was disturbed all the time: its longest standstill counts."""
    resumes: bool = False
    """It is resumed whenever it has stopped."""
    given_up: bool = False
    """It has taken too long."""
    dice: random.Random = field(default_factory=random.Random)
    """Of the person who lets it go on, if it is stepped."""
    zombies: list[Zombie] = field(default_factory=list)
    run: Run = field(default_factory=lambda: Run("", "PENDING"))

    @property
    def way(self) -> str:
        """How it is trained, for the report."""
        return f"{self.strategy}, stepped" if self.job.parameters.get("step") else self.strategy

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good, and all that follows its end is done."""
        return self.given_up or (not self.run.is_unfinished and not self.resumes)

    def expected(self, run: Run) -> Figures:
        """What a run with its settings leads to."""
        others = self.other is not None and run.settings.get("seed") == self.other.record["settings"]["seed"]
        return self.other if self.other is not None and others else self.undisturbed

    def watched(self, run: Run) -> None:
        """Take down how far the run is."""
        if not self.progress or run.epoch != self.progress[-1][1] or run.has_ended:
            self.progress.append((time.time(), run.epoch))

    @property
    def recovery(self) -> float | None:
        """Seconds from the fault until the run was further than before, or had ended; the longest of several.

        Without the fault's own seconds, where the run was no further before the fault was over.
        """
        if not self.progress:
            return None
        if self.throughout:
            times = [at for at, _ in self.progress]
            return max((self._net(at, later) for at, later in pairwise(times)), default=0.0)
        return max((self._recovery_from(at) for at in self.struck), default=None)

    def _recovery_from(self, at: float) -> float:
        known = at + LAG_SECONDS
        reached = max((epoch for when, epoch in self.progress if when <= known), default=0)
        end = self.progress[-1][0]
        return self._net(at, next((when for when, epoch in self.progress if when > known and epoch > reached), end))

    def _net(self, since: float, until: float) -> float:
        """Seconds without those in which a fault went on that is over by then."""
        seconds, covered = max(0.0, until - since), since
        lasted = [*self.lasted, *(span for trouble in self.troubles for span in trouble.lasted)]
        for began, ended in sorted(lasted):
            if ended <= until:
                seconds -= max(0.0, ended - max(began, covered))
                covered = max(covered, ended)
        return max(0.0, seconds)


@dataclass
class Scene:
    """One fault and its victims."""

    cloud: ChaosCloud
    rng: random.Random
    victims: list[Victim]
    undo: ExitStack
    """What is to be put right once all runs have ended."""
    seconds: tuple[float, ...] = ()
    """How long a fault lasts that is over in the end: the first one, and one beside it if there is to be one."""

    @property
    def victim(self) -> Victim:
        """The only one."""
        (victim,) = self.victims
        return victim

    @property
    def going(self) -> bool:
        """Whether any run has not ended."""
        return any(not victim.is_over for victim in self.victims)

    def strike(self) -> None:
        """The fault strikes now, all that have not ended."""
        for victim in self.victims:
            if not victim.is_over:
                victim.struck.append(time.time())

    def wait_for(self, probe: Callable[[], Any], what: str, *, longer: bool = False) -> Any:
        """What ``probe`` finds. Raises TooLate when all runs end without it, unless it comes ``longer`` after that."""

        def look() -> Any:
            going = self.going
            found = probe()
            if not found and not going and not longer:
                raise TooLate(what)
            return found

        return eventually(look, what, STRIKE_SECONDS)

    def wait_for_progress(self, most: float = 0.5) -> None:
        """Wait until every run has come a random part of its way; several do not wait long for the slowest."""
        share = self.rng.uniform(0.02, most / len(self.victims))
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
    paced: bool = False
    """It lasts some seconds, and the run is to go on afterwards: epochs take longer meanwhile."""
    after_end: bool = False
    """It strikes once the run has ended: longer epochs would only make it wait."""
    lasting: bool = False
    """It lasts as long as ``Scene.seconds`` says."""
    alone: bool = False
    """No other fault is drawn beside it."""
    other_parameters: Mapping[str, Any] = field(default_factory=dict)
    """Settings that may replace those of the run."""
    weight: int = 1
    """How much more often it is drawn than others."""
    heavy: tuple[str, ...] = ()
    """Strategies with which it keeps the whole machine busy."""
    several: int = 1
    """How many runs it takes."""
