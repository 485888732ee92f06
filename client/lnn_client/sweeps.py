"""Sweeps: many trainings of one dataset that differ in some settings, side by side, for the best of them.

Everything that a sweep is lies in the deployment: its description and its dataset in a folder of the bucket, and each
trial as a run like any other, whose dataset is a copy in a folder of the trial's number. So a sweep whose driver is
gone goes on from another machine, with no trial lost or run twice: the trial's folder says whether it was begun.

Settings are drawn in the order of the trials, and a trial is drawn from what those have come to that ended
``parallel`` places before it, and no others. So the same sweep draws the same settings, however fast its trials are,
and however often its driver was killed. Where results teach nothing, the next
trial begins when any has ended.
"""

from __future__ import annotations

import json
import math
import re
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from botocore.exceptions import ClientError as AwsError

from lnn.aws.clocks import service_clock
from lnn.errors import InputError, RunStateError
from lnn.names import PARAMETERS, PARAMETERS_VERSION, PREDICTION_INPUT, UPLOAD_STARTED_AT, params_key, sweep_folder
from lnn_client.datasets import check_dataset, check_training
from lnn_client.errors import ClientError, NotFound, RunNotOpened
from lnn_client.search_space import Space
from lnn_client.sweep_storage import Original, head, run_ids
from lnn_client.uploads import DATASET, OPEN_TIMEOUT_SECONDS

if TYPE_CHECKING:
    import optuna
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

    from lnn.data.dataset import DatasetSummary
    from lnn.runs.record import Run
    from lnn_client.cloud import Cloud

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["none", "median", "halving"]
State = Literal["waiting", "running", "complete", "pruned", "failed"]

METRIC = "validation_cost"
"""What trials are compared by: of examples that neither training nor the final test sees."""
VALIDATION_SHARE = 0.2
"""Held out for that where the parameters hold nothing out."""
POLL_SECONDS = 0.3
MOST_TRIALS = 1_000
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_DESCRIPTION, _SOURCE = "sweep.json", "dataset"
"""Objects of a sweep's folder. S3 starts a training for names that end in .h5 only."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep is to do; stored with it."""

    name: str
    space: Mapping[str, Any]
    parameters: Mapping[str, Any]
    """Of every trial, where the space changes nothing; a whole ``parameters.json``."""
    trials: int
    parallel: int = 4
    sampler: Sampler = "tpe"
    pruner: Pruner = "none"
    seed: int = 0
    max_usd: float | None = None
    """No trial begins that might take the sweep beyond so many US dollars, by the estimates."""
    seconds: float | None = None
    """No trial begins after so many seconds, and those at work are stopped."""

    @property
    def folder(self) -> str:
        return sweep_folder(self.name)

    def content(self, settings: Mapping[str, Any], number: int) -> bytes:
        """A trial's ``parameters.json``."""
        from lnn.job.hyperparameters import apply_overrides

        tags = [f"sweep:{self.name}", f"trial:{number}"]
        changes = [f"{key}={json.dumps(value)}" for key, value in {**settings, "name": self.name, "tags": tags}.items()]
        return json.dumps(apply_overrides(dict(self.parameters), changes)).encode()


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a sweep; trials count from 1."""

    number: int
    settings: Mapping[str, Any]
    state: State = "waiting"
    run_id: str | None = None
    value: float | None = None
    """Its lowest validation cost, once that is known."""
    record: Run | None = None


def checked(plan: Plan, dataset: Path, summary: DatasetSummary | None = None) -> Plan:
    """The plan with what it leaves open, if all of it can be done.

    Raises:
        InputError: everything that is wrong with it.
    """
    if not _NAME.fullmatch(plan.name):
        raise InputError(f"the sweep's name: found {plan.name!a:.60}; expected up to 41 of a-z, 0-9 and -")
    if not 1 <= plan.trials <= MOST_TRIALS or plan.parallel < 1:
        raise InputError(
            f"found {plan.trials} trials, {plan.parallel} at once; expected 1 to {MOST_TRIALS}, and 1 at least"
        )
    space = Space.parse(plan.space)
    if plan.sampler == "grid":
        if space.grid is None:
            raise InputError('a grid needs values to count: name a list for each setting, or a "step"')
        plan = replace(plan, trials=min(plan.trials, math.prod(map(len, space.grid.values()))))
    if summary is None:
        with suppress(InputError):  # told below, with what else is wrong
            summary = check_dataset(dataset)
    parameters = dict(plan.parameters)
    if not parameters.get("validation") and not (summary is not None and summary.m_validation):
        parameters["validation"] = VALIDATION_SHARE
    plan = replace(plan, parameters=parameters)
    for end in range(2):  # either end of everything: what lies between is as good
        ends = {
            key: json.dumps(of[-end]) if isinstance(of, list) else of[("low", "high")[end]]
            for key, of in space.raw.items()
        }
        check_training(dataset, plan.content(space.settings(ends), 1), "the parameters of a trial", summary)
    return plan


def created(cloud: Cloud, plan: Plan, dataset: Path) -> Sweep:
    """Upload a checked plan and its dataset, once for all trials.

    Raises:
        InputError: there is a sweep of that name.
    """
    bucket, key = cloud.names.bucket, plan.folder + _DESCRIPTION
    if head(cloud, key) is not None:
        raise InputError(f"there is a sweep {plan.name} already; go on with it (--resume), or take another name")
    cloud.s3.upload_file(str(dataset), bucket, plan.folder + _SOURCE)
    # The description is last: a sweep that has one has its dataset.
    cloud.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(asdict(plan), indent=1).encode())
    return Sweep(cloud, plan, is_new=True)


def found(cloud: Cloud, name: str) -> Sweep:
    """A sweep that was begun. Raises NotFound."""
    try:
        stored = cloud.s3.get_object(Bucket=cloud.names.bucket, Key=sweep_folder(name) + _DESCRIPTION)
    except AwsError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
            raise NotFound("sweep", name) from error
        raise
    return Sweep(cloud, Plan(**json.loads(stored["Body"].read())))


class Sweep:
    """A sweep, and this process as its driver.

    ``is_new``: this process has created it, so that no other can have begun a trial.
    """

    def __init__(self, cloud: Cloud, plan: Plan, *, is_new: bool = False) -> None:
        self._cloud, self.plan, self._is_new = cloud, plan, is_new
        self._dataset = Original(cloud, plan.folder + _SOURCE)
        self._space = Space.parse(plan.space)
        self._study: optuna.Study = _study(plan)
        self._asked: list[optuna.trial.Trial] = []
        self._reported: dict[int, int] = {}
        """The last epoch of each trial that Optuna's pruner knows of."""
        self._uploaded_at: dict[int, float] = {}
        self._began = time.monotonic()
        self.trials: list[Trial] = []
        self.ended_early: str | None = None
        """Why not all trials were run."""

    def run(self, tell: Callable[[Self], object] = lambda _: None) -> list[Trial]:
        """Run what is left of the trials; ``tell`` is called after each look at them. Returns all that were run.

        Trials that an earlier driver has begun are looked up and waited for.
        """
        begun = self._begun()
        while True:
            while (number := self._next()) is not None:
                self._begin(number, begun)
            self._look()
            tell(self)
            if not self._running() and self._next() is None:
                self._tell_study(len(self.trials))
                return self.trials
            time.sleep(POLL_SECONDS)

    def best(self) -> Trial | None:
        """The complete trial of the lowest value, the first of several; if none is complete, one that was stopped."""
        known = [trial for trial in self.trials if trial.value is not None]
        complete = [trial for trial in known if trial.state == "complete"]
        return min(complete or known, key=lambda trial: (float(trial.value or 0.0), trial.number), default=None)

    def ranking(self) -> list[Trial]:
        """All trials, the best first; those without a value last."""
        return sorted(self.trials, key=lambda one: (one.value is None, one.value or 0.0, one.number))

    def importances(self) -> dict[str, float]:
        """How much each setting has to do with the value, as shares; empty where too few trials tell.

        Of complete trials, by PED-ANOVA (Watanabe, Bansal, Hutter 2023), as Optuna computes it.
        """
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        if sum(trial.state == "complete" for trial in self.trials) < 2 * len(self._space.raw) + 2:
            return {}
        with suppress(ValueError, RuntimeError):
            return dict(get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator()))
        return {}

    def register_best(self) -> Trial | None:
        """Hand the best trial's model to the registry; repeating it changes nothing. None where no trial has one."""
        best = self.best()
        if best is None or best.run_id is None:
            return None
        bucket = self._cloud.names.bucket
        source: CopySourceTypeDef = {"Bucket": bucket, "Key": params_key(best.run_id)}
        key = f"{PREDICTION_INPUT}sweep-{self.plan.name}/params.h5"
        self._cloud.s3.copy(CopySource=source, Bucket=bucket, Key=key)
        return best

    # Trials

    @property
    def _learns(self) -> bool:
        """Whether a trial depends on what earlier ones have come to; otherwise one may begin when any has ended."""
        return self.plan.sampler == "tpe" or self.plan.pruner != "none"

    def _is_over(self) -> bool:
        """Whether the time for all of it is over."""
        return self.plan.seconds is not None and time.monotonic() - self._began >= self.plan.seconds

    def _running(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.state == "running"]

    def _next(self) -> int | None:
        """The number of the trial that may begin now; None where none may, or none is left."""
        plan, number = self.plan, len(self.trials) + 1
        if number > plan.trials or self.ended_early is not None or len(self._running()) >= plan.parallel:
            return None
        # What a trial is drawn from must not depend on which of the others were faster.
        if self._learns and any(trial.state == "running" for trial in self.trials[: max(0, number - plan.parallel)]):
            return None
        if self._is_over():
            self.ended_early = f"{plan.seconds:g} seconds are over"
            return None
        if plan.max_usd is not None and (expected := self._usd()) > plan.max_usd:
            self.ended_early = f"one more trial might take it beyond ${plan.max_usd:g} (${expected:.6f})"
            return None
        return number

    def _usd(self) -> float:
        """What the sweep will have cost with one more trial: trials at work as estimated, and one like the dearest."""
        known = [max(float(one.record.usd or 0.0), _estimated(one)) for one in self.trials if one.record is not None]
        return sum(known) + max(known, default=0.0)

    def _begin(self, number: int, begun: Mapping[int, Run]) -> None:
        """Draw a trial's settings, and start it unless it was begun before."""
        if self._learns:
            self._tell_study(max(0, number - self.plan.parallel))
        if self.plan.sampler == "grid":
            self._study.enqueue_trial(self._space.point(number - 1))
        asked = self._study.ask(self._space.distributions())
        self._asked.append(asked)
        trial = Trial(number, self._space.settings(asked.params), "running")
        if (run := begun.get(number)) is not None:
            trial = replace(trial, run_id=run.run_id, record=run)
        else:
            self._upload(trial)
            self._uploaded_at[number] = time.monotonic()
        self.trials.append(trial)

    def _tell_study(self, count: int) -> None:
        """Give Optuna what the first ``count`` trials have come to; they have ended."""
        from optuna.trial import TrialState

        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        for asked, trial in zip(self._asked[:count], self.trials, strict=False):
            if self._study.trials[asked.number].state is TrialState.RUNNING:
                value = trial.value if trial.state == "complete" else None
                self._study.tell(asked, value, states[trial.state])

    def _upload(self, trial: Trial) -> None:
        """Start a trial, unless a driver that was killed meanwhile has."""
        cloud, bucket = self._cloud, self._cloud.names.bucket
        folder = self._folder_of(trial.number)
        if not self._is_new and head(cloud, folder + DATASET) is not None:
            return
        content = self.plan.content(trial.settings, trial.number)
        put = cloud.s3.put_object(Bucket=bucket, Key=folder + PARAMETERS, Body=content, ContentType="application/json")
        metadata = {UPLOAD_STARTED_AT: f"{time.time() + service_clock.offset:.6f}"}
        if version := put.get("VersionId"):
            metadata[PARAMETERS_VERSION] = version
        # The copy is made in S3, and its arrival starts the run.
        self._dataset.copy_to(folder + DATASET, metadata)

    def _folder_of(self, number: int) -> str:
        return f"{self.plan.folder}{number:04d}/"

    def _begun(self) -> dict[int, Run]:
        """The runs of the trials that were begun, by whichever driver, by number."""
        found: dict[int, Run] = {}
        for run in self._cloud.ledger.list_runs():
            if run.dataset_key.startswith(self.plan.folder):
                found[int(run.dataset_key.removeprefix(self.plan.folder).partition("/")[0])] = run
        return found

    def _look(self) -> None:
        """Read the trials at work again; stop those that the pruner gives up."""
        unopened = [trial for trial in self.trials if trial.run_id is None]
        opened = run_ids(self._cloud, self.plan.folder) if unopened else {}
        for trial in unopened:
            if (run_id := opened.get(self._folder_of(trial.number) + DATASET)) is not None:
                self.trials[trial.number - 1] = replace(trial, run_id=run_id)
            elif time.monotonic() - self._uploaded_at[trial.number] > OPEN_TIMEOUT_SECONDS:
                log = self._cloud.names.log_group("launch")
                raise RunNotOpened(f"no run was opened for trial {trial.number}; look at the log group {log}")
        for place, trial in enumerate(self.trials):
            if trial.state != "running" or trial.run_id is None:
                continue
            run = self._cloud.ledger.get_run(trial.run_id)
            if run is None:
                raise ClientError(f"run {trial.run_id} of trial {trial.number} is gone")
            if run.has_ended and not run.is_unfinished:
                self.trials[place] = _ended(replace(trial, record=run))
                continue
            self.trials[place] = replace(trial, record=run)
            if run.has_ended or run.stop_requested:
                continue
            if self._is_over() or (self.plan.pruner != "none" and self._hopeless(trial)):
                with suppress(RunStateError):  # it has just ended
                    self._cloud.ledger.request_stop(trial.run_id)

    def _hopeless(self, trial: Trial) -> bool:
        """Whether the pruner would end a trial, by the epochs that its history has."""
        asked = self._asked[trial.number - 1]
        for row in self._cloud.ledger.history(str(trial.run_id), self._reported.get(trial.number, 0)):
            if row.validation_cost is not None:
                asked.report(row.validation_cost, row.epoch)
                self._reported[trial.number] = row.epoch
        return bool(asked.should_prune())


def _ended(trial: Trial) -> Trial:
    """A trial whose run has ended. One that was stopped is pruned, whatever model it has."""
    run = trial.record
    if run is None or run.status == "FAILED" or run.validation_cost is None:
        return replace(trial, state="failed")
    return replace(trial, state="pruned" if run.status == "STOPPED" else "complete", value=float(run.validation_cost))


def _estimated(trial: Trial) -> float:
    """What a trial at work is estimated to cost; 0 for one that has ended, whose cost is known."""
    estimate = trial.record.estimate if trial.record is not None else None
    return float(estimate["usd"]) if estimate is not None and trial.state == "running" else 0.0


def _study(plan: Plan) -> optuna.Study:
    with warnings.catch_warnings():
        # Of tqdm, for bars that nobody asks Optuna for: a notebook would show it.
        warnings.filterwarnings("ignore", message="IProgress not found")
        import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers: Mapping[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=plan.seed, constant_liar=True),
        "random": lambda: optuna.samplers.RandomSampler(seed=plan.seed),
        "grid": lambda: optuna.samplers.RandomSampler(seed=plan.seed),  # which has nothing to draw: see ``_begin``
    }
    pruners: Mapping[str, Callable[[], optuna.pruners.BasePruner]] = {
        "none": optuna.pruners.NopPruner,
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3),
        "halving": optuna.pruners.SuccessiveHalvingPruner,
    }
    return optuna.create_study(direction="minimize", sampler=samplers[plan.sampler](), pruner=pruners[plan.pruner]())
