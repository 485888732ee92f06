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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chaos.cloud import ROLES, ChaosCloud
from chaos.comparison import difference, figures_of
from chaos.faults import FAULTS
from chaos.jobs import LONG, PACED, RARE_CHECKPOINTS_SECONDS, STRATEGIES, Job
from chaos.person import press, stepped
from chaos.scene import Fault, Figures, Scene, TooLate, Victim
from chaos.schedule import Round
from support.e2e_cloud import Run, eventually

SIDE_BY_SIDE = 4
"""Rounds under way at once, on two cores."""
IDLE_SIDE_BY_SIDE = 6
"""Beside them, rounds that wait most of the time."""
WATCH_SECONDS = 5.0
LOOK_SECONDS = 0.2
RUN_SECONDS = 240.0
"""Of any run, ten times what it takes alone: the machine may be busy with other things."""
UNDISTURBED_SECONDS = 600.0
"""All wait for these runs."""
ZOMBIE_SECONDS = 60.0
"""Within which a process that was frozen, and a call that was late, have come to their end."""
ATTEMPTS = 3
PACED_SECONDS = 15.0
"""How much longer than a fault a run goes on that is paced: a successor takes over after about as long."""
MOST_PACE = 1.5
"""Seconds that an epoch takes longer at most: recovery is seen at the end of one."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one run."""

    round: Round
    strategy: str
    run_id: str
    struck: tuple[str, ...]
    """Names of the faults that came in time."""
    problem: str | None
    recovery: float | None
    seconds: float
    generations: int
    story: list[str]


@dataclass(frozen=True, slots=True)
class Play:
    """A round as it was played."""

    victims: list[Victim]
    errors: list[BaseException | None]
    """Of each fault."""
    seconds: float

    @property
    def error(self) -> BaseException | None:
        """What went wrong, but for a fault that came too late beside one that struck."""
        wrong = [error for error in self.errors if error is not None and not isinstance(error, TooLate)]
        return next(iter(wrong), None) or (self.errors[0] if all(self.errors) else None)


class Runner:
    """Drives one disturbable cloud."""

    def __init__(self, cloud: ChaosCloud, seed: int, failures: Path, say: Callable[[str], Any] = print) -> None:
        self._cloud, self._seed, self._failures, self._say = cloud, seed, failures, say
        self._undisturbed: dict[str, Figures] = {}
        self._ended = threading.Event()

    def run(self, rounds: Iterable[Round]) -> list[Result]:
        """Every round's results."""
        rounds = list(rounds)
        side_by_side = [turn for turn in rounds if not turn.by_itself]
        watch = threading.Thread(target=self._watch, daemon=True)
        watch.start()
        try:
            wanted = {_known(job): job for turn in rounds for name in turn.strategies for job in _jobs(turn, name)}
            with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
                list(pool.map(self._figures, wanted.values()))
            results: list[Result] = []
            with ThreadPoolExecutor(SIDE_BY_SIDE) as pool, ThreadPoolExecutor(IDLE_SIDE_BY_SIDE) as idle:
                played = [(idle if turn.idles else pool).submit(self._play, turn) for turn in side_by_side]
                try:
                    for some in played:
                        results += some.result()
                except BaseException:  # a person's, too: what has not begun never does
                    for some in played:
                        some.cancel()
                    raise
            for turn in rounds:
                if turn.by_itself:
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

    def _figures(self, job: Job) -> Figures:
        """What the job leads to by itself; trained when it is first asked for, before anything disturbs the cloud.

        On a busy machine a run is taken over without a fault. Then several runs have to agree.
        """
        known = _known(job)
        if known not in self._undisturbed:
            found: list[Figures] = []
            for _ in range(ATTEMPTS):
                run_id = self._cloud.start("undisturbed", job.dataset, job.parameters)
                run = self._cloud.completed(run_id, UNDISTURBED_SECONDS)
                found.append(figures_of(self._cloud, run))
                self._say(
                    f"undisturbed {run.strategy}, {job.epochs:,} epochs: {run.finished_at - run.created_at:.1f} s"
                )
                if not run.disturbances["takeovers"]:
                    found = found[-1:]
                    break
            if found != found[:1] * len(found):
                raise RuntimeError(f"the undisturbed runs of {run.strategy} differ")
            self._undisturbed[known] = found[0]
        return self._undisturbed[known]

    def _play(self, turn: Round) -> list[Result]:
        """Play a round; once more, with other dice and longer runs, where those were faster than the fault.

        How many epochs a fault needs that goes on all the time depends on the machine.
        """
        for attempt in range(ATTEMPTS):
            dice = random.Random(f"{self._seed} {turn.number} {attempt}")
            play = self._play_once(turn, dice, 2**attempt if turn.long else 1)
            late = any(isinstance(error, TooLate) for error in play.errors)
            if not late or (attempt and play.error is None):  # one of two did strike, twice: that will do
                break
        return [self._judge(turn, victim, play) for victim in play.victims]

    def _play_once(self, turn: Round, rng: random.Random, times: int) -> Play:
        cloud = self._cloud
        victims = []
        for name in turn.strategies:
            job, *others = _jobs(turn, name, times)
            other = self._figures(others[0]) if others else None
            dice = random.Random(f"{self._seed} {turn.number} steps")
            victims.append(Victim(name, stepped(job, dice), self._figures(job), other, dice=dice))
        began = time.monotonic()
        with ExitStack() as undo:
            scene = Scene(cloud, rng, victims, undo, turn.seconds)
            for victim in victims:
                folder = cloud.new_folder(f"chaos-{turn.number}")
                victim.folder = folder.rstrip("/").rpartition("/")[2]
            for fault in turn.faults:
                if fault.prepare is not None:
                    fault.prepare(scene)
            for victim in victims:
                folder = f"training_input/{victim.folder}/"
                victim.upload = cloud.upload("", victim.job.dataset, victim.job.parameters, folder=folder)
            try:
                for victim in victims:
                    victim.run = cloud.run_of(victim.upload)
                    victim.run_id = victim.run.run_id
                    if turn.paced:
                        cloud.pace(victim.run_id, _pace(victim.job, turn.seconds))
                with ThreadPoolExecutor(2) as pool:
                    following = pool.submit(self._follow, victims)
                    errors = self._strike(turn, scene)
                    following.result()
                self._settle(victims)
            except Exception as error:  # noqa: BLE001 - of this round; the others are to be played
                errors = [error]
        return Play(victims, errors, time.monotonic() - began)

    def _strike(self, turn: Round, scene: Scene) -> list[BaseException | None]:
        """Let every fault strike, and the runs go on at full speed afterwards."""
        try:
            with ThreadPoolExecutor(len(turn.faults)) as pool:
                strikes = [pool.submit(fault.strike, scene) for fault in turn.faults]
            return [strike.exception() for strike in strikes]
        finally:
            for victim in scene.victims:
                victim.resumes = False
                self._cloud.pace(victim.run_id, 0)

    def _settle(self, victims: Iterable[Victim]) -> None:
        """Wait until nobody is left who may still change something about a run."""

        def settled() -> bool:
            return not any(
                any(self._cloud.is_at_work(zombie.process, zombie.invocation) for zombie in victim.zombies)
                or any(trouble.under_way for trouble in victim.troubles)
                or (victim.zombies and self._cloud.run(victim.run_id).is_unfinished)
                for victim in victims
            )

        eventually(settled, "processes that were frozen and calls that are late to come to their end", ZOMBIE_SECONDS)

    def _judge(self, turn: Round, victim: Victim, play: Play) -> Result:
        """Compare, tell, and keep what there is to know of a run that is not as it should be."""
        errors = [*play.errors, *[None] * (len(turn.faults) - len(play.errors))]
        if victim.run_id:
            victim.run = self._cloud.run(victim.run_id)
        result = Result(
            turn,
            victim.way,
            victim.run_id,
            tuple(fault.name for fault, error in zip(turn.faults, errors, strict=True) if error is None),
            self._problem(victim, play.error),
            victim.recovery,
            play.seconds,
            victim.run.generation,
            _story(victim.run),
        )
        self._tell(result)
        if result.problem is not None:
            self._keep(result, play.error)
        return result

    def _follow(self, victims: list[Victim]) -> None:
        deadline = time.monotonic() + RUN_SECONDS
        going = list(victims)
        while going and time.monotonic() < deadline:
            for victim in list(going):
                resumes = victim.resumes
                try:
                    victim.run = self._cloud.run(victim.run_id)
                    press(self._cloud, victim, victim.run)
                except (BotoCoreError, ClientError) as error:  # the machine is busy
                    self._say(f"{victim.run_id} cannot be read: {error}")
                    continue
                victim.watched(victim.run)
                if not victim.run.is_unfinished and not resumes:
                    going.remove(victim)
            time.sleep(LOOK_SECONDS)
        for victim in going:
            # Its thread waits for the run's end.
            victim.given_up, victim.resumes = True, False

    def _problem(self, victim: Victim, error: BaseException | None) -> str | None:
        """What is wrong with a run that has ended, or None."""
        if victim.given_up:
            return f"still {victim.run.status} after {RUN_SECONDS:.0f} s"
        if error is not None:
            what = "the fault did not strike" if isinstance(error, TooLate) else type(error).__name__
            return f"{what}: {error}"
        if victim.run.status != "COMPLETED":
            return f"{victim.run.status}: {victim.run.reason}"
        try:
            return difference(self._cloud, victim)
        except Exception as missing:  # noqa: BLE001 - what is not there cannot be compared
            return f"{type(missing).__name__}: {missing}"

    def _tell(self, result: Result) -> None:
        recovered = "" if result.recovery is None else f", recovery {result.recovery:.1f} s"
        outcome = result.problem or "same bits"
        head = f"{result.round.number:3d} {result.round.name} x {result.strategy}"
        self._say(f"{head}: {outcome} ({result.seconds:.1f} s, {result.generations} generations{recovered})")

    def _keep(self, result: Result, error: BaseException | None) -> None:
        """All that is needed to see what went wrong, and to repeat it."""
        folder = self._failures / (result.run_id or f"round-{result.round.number}")
        folder.mkdir(parents=True, exist_ok=True)
        story = [
            f"seed {self._seed}, round {result.round.number}: {result.round.name} x {result.strategy}",
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


def _jobs(turn: Round, name: str, times: int = 1) -> list[Job]:
    """The strategy's job for a round, with ``times`` as many epochs; then the one with other parameters, if any."""
    job = (LONG if turn.long else PACED if turn.paced else STRATEGIES)[name]
    if times != 1:
        job = job.with_epochs(times * job.epochs)
    if turn.rarely:
        job = job.with_parameters(checkpoint_seconds=RARE_CHECKPOINTS_SECONDS)
    others = [fault.other_parameters for fault in turn.faults if fault.other_parameters]
    return [job, *(job.with_parameters(**other) for other in others)]


def _known(job: Job) -> str:
    """What tells two jobs apart that lead to different bits."""
    return json.dumps({**job.parameters, "checkpoint_seconds": None}, sort_keys=True)


def _pace(job: Job, seconds: tuple[float, ...]) -> float:
    """How much longer a part of an epoch takes, so that a run outlasts its fault."""
    lasts = max(seconds, default=PACED_SECONDS) + PACED_SECONDS
    return min(MOST_PACE, lasts / (0.7 * job.epochs)) / job.pauses


def _story(run: Run) -> list[str]:
    """The run's events, with seconds since it was opened."""
    events = run.events
    return [f"{event['at'] - events[0]['at']:6.1f} s  {event['what']}" for event in events]


def faults_of(kinds: Iterable[str] | None = None) -> list[Fault]:
    """The table, or the rows whose name or kind contains one of ``kinds``."""
    wanted = list(kinds or [])
    return [fault for fault in FAULTS if not wanted or any(text in f"{fault.name} {fault.kind}" for text in wanted)]
