"""Runs the rounds, side by side unless others would feel it, and compares what they lead to."""

from __future__ import annotations

import json
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chaos.cloud import ROLES, ChaosCloud
from chaos.faults import FAULTS
from chaos.jobs import LONG, STRATEGIES, Job
from chaos.scene import Fault, Scene, TooLate, Victim
from chaos.schedule import Round
from support.e2e_cloud import Outcome, Run

SIDE_BY_SIDE = 4
"""Rounds under way at once, on two cores."""
WATCH_SECONDS = 5.0
LOOK_SECONDS = 0.2
RUN_SECONDS = 180.0
"""Of any run, ten times what it takes alone: the machine may be busy with other things."""
KEYS_SECONDS = 6.0
"""Within which a sign of life of a worker that was killed is gone, too."""
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one run."""

    round: Round
    strategy: str
    run_id: str
    problem: str | None
    recovery: float | None
    seconds: float
    generations: int
    story: list[str]


class Runner:
    """Drives one disturbable cloud."""

    def __init__(self, cloud: ChaosCloud, seed: int, failures: Path, say: Callable[[str], Any] = print) -> None:
        self._cloud, self._seed, self._failures, self._say = cloud, seed, failures, say
        self._undisturbed: dict[tuple[str, bool, int], Outcome] = {}
        self._ended = threading.Event()

    def run(self, rounds: Iterable[Round]) -> list[Result]:
        """Every round's results."""
        rounds = list(rounds)
        side_by_side = [turn for turn in rounds if not turn.by_itself]
        one_by_one = [turn for turn in rounds if turn.by_itself]
        watch = threading.Thread(target=self._watch, daemon=True)
        watch.start()
        try:
            for name, long in sorted({(name, turn.fault.long) for turn in rounds for name in turn.strategies}):
                self._undisturbed_outcome(name, long)
            results: list[Result] = []
            with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
                for some in pool.map(self._play, side_by_side):
                    results += some
            for turn in one_by_one:
                results += self._play(turn)
            return results
        finally:
            self._ended.set()
            watch.join()

    def _watch(self) -> None:
        """What the deployment's schedule does once a minute."""
        while not self._ended.wait(WATCH_SECONDS):
            try:
                self._cloud.send("trainer", {"state": "watch"})
            except (BotoCoreError, ClientError) as error:
                self._say(f"watch: {error}")

    def _undisturbed_outcome(self, name: str, long: bool, times: int = 1) -> Outcome:
        """What the job leads to by itself; trained when it is first asked for, before anything disturbs the cloud."""
        if (name, long, times) not in self._undisturbed:
            began = time.monotonic()
            job = _job(name, long, times)
            run_id = self._cloud.start("undisturbed", job.dataset, job.parameters)
            run = self._cloud.completed(run_id)
            if run.generation != 1:
                raise RuntimeError(f"the undisturbed run of {name} was disturbed: {_story(run)}")
            self._undisturbed[name, long, times] = self._cloud.outcome(run_id)
            self._say(f"undisturbed {name}, {job.epochs:,} epochs: {time.monotonic() - began:.1f} s")
        return self._undisturbed[name, long, times]

    def _play(self, turn: Round) -> list[Result]:
        """Play a round; once more, with other dice and longer runs, where those were faster than the fault.

        How many epochs a fault needs that goes on all the time depends on the machine.
        """
        for attempt in range(ATTEMPTS):
            dice = random.Random(f"{self._seed} {turn.number} {attempt}")
            victims, error, seconds = self._play_once(turn, dice, 2**attempt if turn.fault.long else 1)
            if not isinstance(error, TooLate):
                break
        return [self._judge(turn, victim, error, seconds) for victim in victims]

    def _play_once(
        self, turn: Round, rng: random.Random, times: int
    ) -> tuple[list[Victim], BaseException | None, float]:
        fault, cloud = turn.fault, self._cloud
        victims = [
            Victim(name, _job(name, fault.long, times), self._undisturbed_outcome(name, fault.long, times))
            for name in turn.strategies
        ]
        began = time.monotonic()
        with ExitStack() as undo:
            scene = Scene(cloud, rng, victims, undo)
            for victim in victims:
                folder = cloud.new_folder(f"chaos-{turn.number}")
                victim.folder = folder.rstrip("/").rpartition("/")[2]
            if fault.prepare is not None:
                fault.prepare(scene)
            for victim in victims:
                folder = f"training_input/{victim.folder}/"
                victim.upload = cloud.upload("", victim.job.dataset, victim.job.parameters, folder=folder)
            try:
                for victim in victims:
                    victim.run = cloud.run_of(victim.upload)
                    victim.run_id = victim.run.run_id
                with ThreadPoolExecutor(1) as pool:
                    struck = pool.submit(fault.strike, scene)
                    self._follow(victims)
                    error = struck.exception()
            except TimeoutError as late:
                error = late
        return victims, error, time.monotonic() - began

    def _judge(self, turn: Round, victim: Victim, error: BaseException | None, seconds: float) -> Result:
        """Compare, tell, and keep what there is to know of a run that is not as it should be."""
        result = Result(
            turn,
            victim.strategy,
            victim.run_id,
            self._problem(victim, error),
            victim.recovery,
            seconds,
            victim.run.generation,
            _story(victim.run),
        )
        self._tell(result)
        if result.problem is not None:
            self._keep(result, error)
        return result

    def _follow(self, victims: list[Victim]) -> None:
        deadline = time.monotonic() + RUN_SECONDS
        going = list(victims)
        while going and time.monotonic() < deadline:
            for victim in list(going):
                victim.run = self._cloud.run(victim.run_id)
                victim.watched(victim.run)
                if not victim.run.is_unfinished:
                    going.remove(victim)
            time.sleep(LOOK_SECONDS)
        for victim in going:
            # Its thread waits for the run's end.
            reason = f"still {victim.run.status} after {RUN_SECONDS:.0f} s"
            victim.run = replace(victim.run, status="FAILED", reason=reason)

    def _problem(self, victim: Victim, error: BaseException | None) -> str | None:
        """What is wrong with a run that has ended, or None."""
        if error is not None:
            what = "the fault did not strike" if isinstance(error, TooLate) else type(error).__name__
            return f"{what}: {error}"
        if victim.run.status != "COMPLETED":
            return f"{victim.run.status}: {victim.run.reason}"
        return self._difference(victim)

    def _difference(self, victim: Victim) -> str | None:
        """What distinguishes a completed run from the undisturbed one, or None."""
        outcome = self._cloud.outcome(victim.run_id)
        if outcome.history != victim.undisturbed.history:
            return "another history"
        if outcome.parameters != victim.undisturbed.parameters:
            return "other parameters"
        deadline = time.monotonic() + KEYS_SECONDS
        while not victim.keys_may_stay and (keys := self._cloud.redis_keys(victim.run_id)):
            if time.monotonic() > deadline:
                return f"left in Redis: {', '.join(key.decode() for key in keys)}"
            time.sleep(LOOK_SECONDS)
        return None

    def _tell(self, result: Result) -> None:
        recovered = "" if result.recovery is None else f", recovery {result.recovery:.1f} s"
        outcome = result.problem or "same bits"
        head = f"{result.round.number:3d} {result.round.fault.name} x {result.strategy}"
        self._say(f"{head}: {outcome} ({result.seconds:.1f} s, {result.generations} generations{recovered})")

    def _keep(self, result: Result, error: BaseException | None) -> None:
        """All that is needed to see what went wrong, and to repeat it."""
        folder = self._failures / (result.run_id or f"round-{result.round.number}")
        folder.mkdir(parents=True, exist_ok=True)
        story = [
            f"seed {self._seed}, round {result.round.number}: {result.round.fault.name} x {result.strategy}",
            f"run {result.run_id}: {result.problem}",
            *result.story,
        ]
        if error is not None:
            story += traceback.format_exception(error)
        (folder / "story.txt").write_text("\n".join(story) + "\n")
        run = self._cloud.ledger.get_run(result.run_id) if result.run_id else None
        (folder / "run.json").write_text(json.dumps(run and asdict(run), indent=1, default=str) + "\n")
        for role in ROLES:
            lines = self._cloud.log_lines(role, result.run_id)
            (folder / f"{role}.log").write_text("\n".join(line.rstrip() for line in lines) + "\n")
        for line in story:
            self._say(f"    {line}")
        self._say(f"    kept: {folder}")
        self._say(f"    once more: make chaos SEED={self._seed} ROUNDS={result.round.number}")


def _job(name: str, long: bool, times: int = 1) -> Job:
    """``times`` as many epochs as the strategy's job has."""
    job = (LONG if long else STRATEGIES)[name]
    return job if times == 1 else job.with_epochs(times * job.epochs)


def _story(run: Run) -> list[str]:
    """The run's events, with seconds since it was opened."""
    events = run.events
    return [f"{event['at'] - events[0]['at']:6.1f} s  {event['what']}" for event in events]


def faults_of(kinds: Iterable[str] | None = None) -> list[Fault]:
    """The table, or the rows whose name or kind contains one of ``kinds``."""
    wanted = list(kinds or [])
    return [fault for fault in FAULTS if not wanted or any(text in f"{fault.name} {fault.kind}" for text in wanted)]
