"""Sweeps: many trainings of one dataset that differ in some settings, side by side, for the best of them.

Everything that a sweep is lies in the deployment: its description and its dataset in a folder of the bucket, and each
trial as a run like any other, whose dataset is a copy in a folder of the trial's number. So a sweep whose driver is
gone goes on from another machine, with no trial lost or run twice: the trial's folder says whether it was begun.

Settings are drawn in the order of the trials, and a trial is drawn from what those have come to that ended
``trials_at_once`` places before it, and no others. So the same sweep draws the same settings, however fast its trials
are, and however often its driver was killed. Where results teach nothing, the next
trial begins when any has ended.

With folds a trial is several runs, each with the dataset of a fold, and the best setting is trained once more at the
end, with the dataset as it was given.
"""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from botocore.exceptions import ClientError as AwsError

from lnn.aws.clocks import service_clock
from lnn.errors import InputError, RunStateError
from lnn.names import PARAMETERS, PARAMETERS_VERSION, PREDICTION_INPUT, UPLOAD_STARTED_AT, params_key, sweep_folder
from lnn_client.datasets import check_dataset
from lnn_client.errors import ClientError, NotFound, RunNotOpened
from lnn_client.search_space import Space
from lnn_client.sweep_plan import VALIDATION_SHARE, Plan, checked
from lnn_client.sweep_storage import Original, has_ended, head, run_ids
from lnn_client.sweep_trials import Trial, TrialRun, best_of
from lnn_client.uploads import DATASET, OPEN_TIMEOUT_SECONDS

if TYPE_CHECKING:
    import optuna
    import polars as pl
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

    from lnn.runs.record import Run
    from lnn_client.cloud import Cloud

__all__ = ["VALIDATION_SHARE", "Plan", "Sweep", "Trial", "TrialRun", "checked", "created", "found"]

POLL_SECONDS = 0.1
"""Between two looks at the runs: each takes a small request for each run, and a place that is free waits for one."""
_DESCRIPTION, _SOURCE, _FOLD = "sweep.json", "dataset", "fold-"
"""Objects of a sweep's folder. S3 starts a training for names that end in .h5 only."""


def created(cloud: Cloud, plan: Plan, dataset: Path) -> Sweep:
    """Upload a checked plan and its dataset, or that of each fold, too, once for all trials.

    Raises:
        InputError: there is a sweep of that name.
    """
    bucket, key = cloud.names.bucket, plan.folder + _DESCRIPTION
    if head(cloud, key) is not None:
        raise InputError(f"there is a sweep {plan.name} already; go on with it (--resume), or take another name")
    cloud.s3.upload_file(str(dataset), bucket, plan.folder + _SOURCE)
    if plan.folds:
        from lnn_client.folds import Folds

        folds = Folds.drawn(dataset, check_dataset(dataset), plan.folds, plan.seed)
        with tempfile.TemporaryDirectory(prefix="lnn-") as folder:
            file = Path(folder) / DATASET
            for fold in range(1, plan.folds + 1):  # one at a time: the disk has room for one more of them
                folds.write(file, fold)
                cloud.s3.upload_file(str(file), bucket, f"{plan.folder}{_FOLD}{fold}")
    # The description is last: a sweep that has one has its datasets.
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
        folds = range(1, plan.folds + 1) if plan.folds else ()
        self._datasets = {None: Original(cloud, plan.folder + _SOURCE)} | {
            fold: Original(cloud, f"{plan.folder}{_FOLD}{fold}") for fold in folds
        }
        self._space = Space.parse(plan.space)
        self._study: optuna.Study = _study(plan)
        self._asked: list[optuna.trial.Trial] = []
        self._told = 0
        """Trials that Optuna knows the end of: the first so many."""
        self._reported: dict[int, int] = {}
        """The last epoch of each trial that Optuna's pruner knows of."""
        self._uploaded_at: dict[str, float] = {}
        """By the run's folder."""
        self._began = time.monotonic()
        self.trials: list[Trial] = []
        self.refit: TrialRun | None = None
        """With folds: the last training, of the best setting with all training examples."""
        self.ended_early: str | None = None
        """Why not all of it was run."""

    def run(self, tell: Callable[[Self], object] = lambda _: None) -> list[Trial]:
        """Run what is left of the trials; ``tell`` is called after each look at them. Returns all that were run.

        Trials that an earlier driver has begun are looked up and waited for. With folds the best setting is trained
        once more at the end: see ``refit``.
        """
        begun = self._begun()
        while True:
            while (number := self._next(begun)) is not None:
                self._begin(number, begun)
            self._look()
            tell(self)
            if not self._at_work() and self._next(begun) is None:
                break
            time.sleep(POLL_SECONDS)
        self.trials = [trial.settled(no_more=True) for trial in self.trials]
        tell(self)
        self._tell_study(len(self.trials))
        if self.plan.folds and (best := self.best()) is not None:
            self._fit(best, begun, tell)
        return self.trials

    def look(self) -> list[Trial]:
        """The trials that were begun, as they are now. It begins none, stops none and waits for none."""
        begun = self._begun()
        while (number := self._next(begun)) is not None and self._following_folder() in begun:
            self._taken_over(number, begun)
            self.trials[-1] = self.trials[-1].settled(no_more=False)
        at_work = (place for place, trial in enumerate(self.trials) if trial.state == "running")
        self._tell_study(next(at_work, len(self.trials)))
        if self.plan.folds and (best := self.best()) is not None and self._refit_folder(best) in begun:
            self.refit = _recorded(TrialRun(self._refit_folder(best)), begun)
        return self.trials

    def best(self) -> Trial | None:
        """The complete trial of the lowest value, the first of several; if none is complete, one that was stopped."""
        return best_of(self.trials)

    def best_run(self) -> TrialRun | None:
        """The run whose model is the best trial's: with folds, the one of all training examples. None without one."""
        if self.plan.folds:
            return self.refit
        best = self.best()
        return best.runs[0] if best is not None else None

    def ranking(self) -> list[Trial]:
        """All trials, the best first; those without a value last."""
        return sorted(self.trials, key=lambda one: (one.value is None, one.value or 0.0, one.number))

    def report(self, path: str | Path | None = None) -> Path:
        """Write the page that ``lnn report`` writes, as ``NAME.html`` if no path is given; returns the path."""
        from importlib.metadata import entry_points

        (html,) = entry_points(group="lnn.report", name="sweep")
        written = Path(f"{self.plan.name}.html" if path is None else path)
        written.write_text(html.load()(self, self._cloud.target), encoding="utf-8")
        return written

    def table(self) -> pl.DataFrame:
        """A row for each trial, the best first: its number, state, validation cost and settings.

        With folds the cost is the mean of theirs, ``spread`` its standard deviation, and ``costs`` has each.
        """
        import polars as pl

        rows: list[dict[str, object]] = []
        for trial in self.ranking():
            row: dict[str, object] = {"trial": trial.number, "state": trial.state, "validation_cost": trial.value}
            if trial.folds:
                row |= {"spread": trial.spread, "costs": trial.costs}
            rows.append(row | dict(trial.settings))
        return pl.DataFrame(rows, infer_schema_length=None, strict=False)

    def _repr_html_(self) -> str:
        """Its table, for a notebook."""
        return self.table()._repr_html_()

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
        run = self.best_run()
        if run is None or run.run_id is None or run.record is None or run.record.status == "FAILED":
            return None
        bucket = self._cloud.names.bucket
        source: CopySourceTypeDef = {"Bucket": bucket, "Key": params_key(run.run_id)}
        key = f"{PREDICTION_INPUT}sweep-{self.plan.name}/params.h5"
        self._cloud.s3.copy(CopySource=source, Bucket=bucket, Key=key)
        return self.best()

    # Trials

    @property
    def _learns(self) -> bool:
        """Whether a trial depends on what earlier ones have come to; otherwise one may begin when any has ended."""
        return self.plan.sampler == "tpe" or self.plan.pruner != "none"

    def _is_over(self) -> bool:
        """Whether the time for all of it is over."""
        return self.plan.seconds is not None and time.monotonic() - self._began >= self.plan.seconds

    def _at_work(self) -> int:
        """How many runs are at work."""
        return sum(not run.has_ended for trial in self.trials for run in trial.runs)

    def _unfinished(self) -> Trial | None:
        """The trial of which some runs were not begun; only the last one may be."""
        last = self.trials[-1] if self.trials else None
        return last if last is not None and len(last.runs) < self.plan.runs_of_trial else None

    def _next(self, begun: Mapping[str, Run]) -> int | None:
        """The number of the trial of which a run may begin now; None where none may, or none is left.

        What an earlier driver has begun is taken over whatever it costs, and however late it is.
        """
        plan, unfinished = self.plan, self._unfinished()
        number = len(self.trials) + (unfinished is None)
        if number > plan.trials or self.ended_early is not None or self._at_work() >= plan.parallel:
            return None
        # What a trial is drawn from must not depend on which of the others were faster.
        earlier = self.trials[: max(0, number - plan.trials_at_once)] if unfinished is None and self._learns else []
        if any(trial.state == "running" for trial in earlier):
            return None
        done = len(unfinished.runs) if unfinished is not None else 0
        if self._following_folder() in begun:
            return number
        if self._is_over():
            self.ended_early = f"{plan.seconds:g} seconds are over"
            return None
        more = plan.runs_of_trial - done + (1 if plan.folds else 0)
        if plan.max_usd is not None and (expected := self._usd(more)) > plan.max_usd:
            self.ended_early = f"one more trial might take it beyond ${plan.max_usd:g} (${expected:.6f})"
            return None
        return number

    def _usd(self, more: int) -> float:
        """What the sweep will have cost with so many runs more: runs at work as estimated, the others like the dearest.

        With folds, one of them trains with all examples, and costs by so much more.
        """
        runs = [run for trial in self.trials for run in trial.runs]
        known = [run.usd for run in runs]
        not_yet_known = sum(run.usd == 0 and not run.has_ended for run in runs)
        all_examples = 1 / (self.plan.folds - 1) if self.plan.folds else 0.0
        return sum(known) + (not_yet_known + more + all_examples) * max(known, default=0.0)

    def _begin(self, number: int, begun: Mapping[str, Run]) -> None:
        """Begin the trial's next run, unless an earlier driver has; of a trial without one, draw the settings first."""
        if self._taken_over(number, begun):
            return
        trial = self.trials[-1]
        run = TrialRun(*self._place(number, len(trial.runs)))
        tags = [f"trial:{number}", *([] if run.fold is None else [f"fold:{run.fold}"])]
        self._start(run, self.plan.content(trial.settings, *tags))
        self.trials[-1] = replace(trial, runs=(*trial.runs, run))

    def _taken_over(self, number: int, begun: Mapping[str, Run]) -> bool:
        """Whether the trial's next run was begun by an earlier driver: then the trial has it now, with its settings."""
        if number > len(self.trials):
            self.trials.append(self._drawn(number))
        trial = self.trials[-1]
        run = _recorded(TrialRun(*self._place(number, len(trial.runs))), begun)
        if run.record is not None:
            self.trials[-1] = replace(trial, runs=(*trial.runs, run))
        return run.record is not None

    def _place(self, number: int, done: int) -> tuple[str, int | None]:
        """Folder and fold of a trial's run, after so many others of it."""
        if not self.plan.folds:
            return f"{self.plan.folder}{number:04d}/", None
        return f"{self.plan.folder}{number:04d}-{_FOLD}{done + 1}/", done + 1

    def _following_folder(self) -> str:
        """The folder of the run that would begin next."""
        unfinished = self._unfinished()
        number, done = (len(self.trials) + 1, 0) if unfinished is None else (unfinished.number, len(unfinished.runs))
        return self._place(number, done)[0]

    def _refit_folder(self, best: Trial) -> str:
        """By the trial's number: a sweep that goes on after its time was over may find a better one."""
        return f"{self.plan.folder}refit-{best.number:04d}/"

    def _drawn(self, number: int) -> Trial:
        """The next trial, with its settings."""
        if self._learns:
            self._tell_study(max(0, number - self.plan.trials_at_once))
        if self.plan.sampler == "grid":
            self._study.enqueue_trial(self._space.point(number - 1))
        asked = self._study.ask(self._space.distributions())
        self._asked.append(asked)
        return Trial(number, self._space.settings(asked.params), "running", folds=self.plan.folds)

    def _fit(self, best: Trial, begun: Mapping[str, Run], tell: Callable[[Self], object]) -> None:
        """Train the best trial's settings once more, with all training examples, and wait for the end."""
        folder = self._refit_folder(best)
        if self.plan.max_usd is not None and folder not in begun and (expected := self._usd(1)) > self.plan.max_usd:
            limit = f"${self.plan.max_usd:g} (${expected:.6f})"
            self.ended_early = f"training the best setting with all examples might take it beyond {limit}"
            return
        content = self.plan.content(best.settings, f"refit:{best.number}", epochs=best.epochs_to_refit)
        self.refit = _recorded(TrialRun(folder), begun)
        if self.refit.record is None:
            self._start(self.refit, content)
        while not self.refit.has_ended:
            opened = run_ids(self._cloud, self.plan.folder) if self.refit.run_id is None else {}
            self.refit = self._looked(self.refit, opened)
            tell(self)
            if not self.refit.has_ended:
                time.sleep(POLL_SECONDS)

    def _start(self, run: TrialRun, content: bytes) -> None:
        self._upload(run, content)
        self._uploaded_at[run.folder] = time.monotonic()

    def _tell_study(self, count: int) -> None:
        """Give Optuna what the first ``count`` trials have come to; they have ended."""
        from optuna.trial import TrialState

        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        for asked, trial in list(zip(self._asked, self.trials, strict=True))[self._told : count]:
            value = trial.value if trial.state == "complete" else None
            self._study.tell(asked, value, states[trial.state])
        self._told = max(self._told, count)

    def _upload(self, run: TrialRun, content: bytes) -> None:
        """Start a run, unless a driver that was killed meanwhile has."""
        cloud, bucket = self._cloud, self._cloud.names.bucket
        if not self._is_new and head(cloud, run.folder + DATASET) is not None:
            return
        put = cloud.s3.put_object(
            Bucket=bucket, Key=run.folder + PARAMETERS, Body=content, ContentType="application/json"
        )
        metadata = {UPLOAD_STARTED_AT: f"{time.time() + service_clock.offset:.6f}"}
        if version := put.get("VersionId"):
            metadata[PARAMETERS_VERSION] = version
        # The copy is made in S3, and its arrival starts the run.
        self._datasets[run.fold].copy_to(run.folder + DATASET, metadata)

    def _begun(self) -> dict[str, Run]:
        """The runs that were begun, by whichever driver, by the folder of their dataset."""
        if self._is_new:
            return {}
        opened = run_ids(self._cloud, self.plan.folder)
        records = {key: self._cloud.ledger.get_run(run_id) for key, run_id in opened.items()}
        return {key.removesuffix(DATASET): run for key, run in records.items() if run is not None}

    def _look(self) -> None:
        """Read the runs at work again; stop those that the pruner gives up."""
        at_work = [run for trial in self.trials for run in trial.runs if not run.has_ended]
        unopened = any(run.run_id is None for run in at_work)
        opened = run_ids(self._cloud, self.plan.folder) if unopened else {}
        for place, known in enumerate(self.trials):
            if known.state != "running":
                continue
            runs = tuple(run if run.has_ended else self._looked(run, opened) for run in known.runs)
            trial = replace(known, runs=runs)
            self.trials[place] = trial.settled(no_more=self.ended_early is not None)
            for run in runs:
                if run.record is None or run.record.has_ended or run.record.stop_requested:
                    continue
                if self._is_over() or (self.plan.pruner != "none" and self._hopeless(trial)):
                    with suppress(RunStateError):  # it has just ended
                        self._cloud.ledger.request_stop(run.record.run_id)

    def _looked(self, run: TrialRun, opened: Mapping[str, str]) -> TrialRun:
        """A run at work, read again; ``opened`` has the ids of runs by their datasets."""
        if run.run_id is None:
            run = replace(run, run_id=opened.get(run.folder + DATASET))
        if run.run_id is None:
            if time.monotonic() - self._uploaded_at[run.folder] > OPEN_TIMEOUT_SECONDS:
                log, what = self._cloud.names.log_group("launch"), run.folder.removeprefix(self.plan.folder)
                raise RunNotOpened(f"no run was opened for trial {what.rstrip('/')}; look at the log group {log}")
            return run
        # While it is at work, its whole record is of use for limits only.
        limited = self.plan.max_usd is not None or self.plan.pruner != "none" or self._is_over()
        if not limited and not has_ended(self._cloud, run.run_id):
            return run
        record = self._cloud.ledger.get_run(run.run_id)
        if record is None:
            raise ClientError(f"run {run.run_id} of sweep {self.plan.name} is gone")
        return replace(run, record=record)

    def _hopeless(self, trial: Trial) -> bool:
        """Whether the pruner would end a trial, by the epochs that its history has."""
        asked = self._asked[trial.number - 1]
        for row in self._cloud.ledger.history(str(trial.run_id), self._reported.get(trial.number, 0)):
            if row.validation_cost is not None:
                asked.report(row.validation_cost, row.epoch)
                self._reported[trial.number] = row.epoch
        return bool(asked.should_prune())


def _recorded(run: TrialRun, begun: Mapping[str, Run]) -> TrialRun:
    """The run with its record, if it was begun."""
    record = begun.get(run.folder)
    return run if record is None else replace(run, run_id=record.run_id, record=record)


def load_sampling() -> None:
    """Import Optuna now, which takes half a second, rather than with the first sweep."""
    with warnings.catch_warnings():
        # Of tqdm, for bars that nobody asks Optuna for: a notebook would show it.
        warnings.filterwarnings("ignore", message="IProgress not found")
        import optuna  # noqa: F401


def _study(plan: Plan) -> optuna.Study:
    load_sampling()
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
