"""Short trainings that measure how fast a cloud is, and what they say of the cost model's own figures."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from lnn.job.hyperparameters import Settings
from lnn.names import CALIBRATION
from lnn.planning.cost_model import Correction, CostModel
from lnn.strategies.registry import STRATEGIES, Strategy
from lnn_client.cloud import Cloud, Target, local_home
from lnn_client.errors import ClientError, FollowTimeout, NotMeasured
from lnn_client.progress import follow
from lnn_client.runs import seconds_total, seconds_training
from lnn_client.uploads import own_folder, upload_training, wait_for_run

RUN_SECONDS = 2.5
"""About how long the epochs of a measured training take together."""

LONGEST_EPOCH_SECONDS = 20.0
"""A strategy whose epochs are expected to take longer is not measured: a calibration is short."""

LIMIT_SECONDS = 20.0
"""The ``max_seconds`` of a measured training: where the model errs, the training still ends."""

SHORT_SECONDS = 1.0
"""A training that takes less is measured three times."""

TIMEOUT_SECONDS = 120.0
MOST_EPOCHS = 4000
NEURON_EPOCHS = 4


@dataclass(frozen=True, slots=True)
class Measured:
    """What one training took."""

    epochs: int
    training: float
    """Seconds from the first epoch's start to the last one's end."""
    around: float
    """Seconds from the upload to the model, less the training."""

    @property
    def epoch(self) -> float:
        return self.training / self.epochs


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured where, when, and with which job."""

    corrections: Mapping[str, Correction] = field(default_factory=dict)
    date: str = ""
    job: Mapping[str, Any] = field(default_factory=dict)
    runs: Mapping[str, list[str]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Strategies that were not measured, with the reason."""

    @property
    def source(self) -> str:
        """Where the figures come from, in a few words."""
        if not self.corrections:
            return "by the model alone"
        sizes = "-".join(str(size) for size in self.job["sizes"])
        return (
            f"calibrated on {self.date} with {', '.join(self.corrections)} ({sizes}, {self.job['examples']} examples)"
        )


NONE = Calibration()


@dataclass
class Bench:
    """Runs trainings of one job and reads what they took."""

    cloud: Cloud
    dataset: Path
    settings: Settings
    tell: Callable[[str], None]
    runs: dict[str, list[str]] = field(default_factory=dict)

    def train(self, strategy: str, epochs: int, workers: int | None = None) -> Measured:
        """One training, waited for.

        Raises:
            NotMeasured: it failed, or took too long; then it was asked to stop.
            RunNotOpened: the cloud did not open a run for it.
        """
        changes = {
            "strategy": strategy,
            "epochs": epochs,
            "workers": workers,
            "threshold": None,
            "patience": None,
            "notify_every": None,
            "max_seconds": LIMIT_SECONDS,
            "max_usd": None,
            "average_every": self.settings.average_every if STRATEGIES[strategy].own_examples else None,
        }
        content = json.dumps(self.settings.to_dict() | changes, indent=2).encode()
        with_workers = f" with {workers} workers" if workers and workers > 1 else ""
        self.tell(f"measuring {strategy}{with_workers}: {epochs} epochs")
        uploaded = upload_training(self.cloud, self.dataset, content, own_folder(CALIBRATION))
        run = wait_for_run(self.cloud, uploaded)
        run_id = run.run_id
        self.runs.setdefault(strategy, []).append(run_id)
        try:
            for look in follow(
                self.cloud.ledger,
                run_id,
                until=lambda run: not run.is_unfinished,
                timeout=TIMEOUT_SECONDS,
            ):
                run = look.run
        except FollowTimeout as error:
            self.cloud.ledger.request_stop(run_id)
            raise NotMeasured(f"run {run_id} took too long and was asked to stop") from error
        except KeyboardInterrupt:
            self.cloud.ledger.request_stop(run_id)
            raise
        total, training = seconds_total(run), seconds_training(run)
        if run.status == "FAILED" or total is None or not training or not run.epoch:
            raise NotMeasured(f"run {run_id} is {run.status}: {run.reason or 'it trained no epoch'}")
        return Measured(int(run.epoch), training, total - training)

    def train_steadily(self, strategy: str, epochs: int) -> Measured:
        """One training; or the middle one of three, where a hiccup would tell. Raises as ``train`` does."""
        first = self.train(strategy, epochs)
        if first.training > SHORT_SECONDS:
            return first
        return sorted([first, self.train(strategy, epochs), self.train(strategy, epochs)], key=lambda m: m.training)[1]


def calibrate(
    cloud: Cloud, dataset: Path, settings: Settings, model: CostModel, tell: Callable[[str], None]
) -> Calibration:
    """Measure every strategy that this deployment can run with this job; ``tell`` hears what is going on.

    Raises:
        NotMeasured: none of them completed.
        RunNotOpened: the cloud opens no runs.
    """
    bench = Bench(cloud, dataset, settings, tell)
    corrections, skipped = {}, {}
    for row in in_order():
        strategy = row.name
        expected = model.estimate(strategy)
        epoch = expected.seconds_training / model.job.epochs
        if not expected.fits:
            skipped[strategy] = expected.reason
        elif epoch > LONGEST_EPOCH_SECONDS:
            skipped[strategy] = f"an epoch is expected to take {epoch:.0f} s"
        else:
            try:
                corrections[strategy] = _measure(row)(bench, strategy, model)
            except NotMeasured as error:
                skipped[strategy] = str(error)
        if strategy in skipped:
            tell(f"{strategy} is not measured: {skipped[strategy]}")
    if not corrections:
        raise NotMeasured("no strategy could be measured; the notes above say why")
    return Calibration(corrections, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", asdict(model.job), bench.runs, skipped)


def in_order() -> list[Strategy]:
    """The strategies as people see them: single neurons first, since they leave warm environments for the workers."""
    return sorted(STRATEGIES.values(), key=lambda strategy: (strategy.takes_workers, strategy.engine is not None))


def _measure(strategy: Strategy) -> Callable[[Bench, str, CostModel], Correction]:
    if strategy.takes_workers:
        return _workers
    return _neuron if strategy.engine is None else _fused


def save(target: Target, calibration: Calibration) -> Path:
    """Keep a calibration for later estimates; returns the file."""
    path = _path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(calibration), indent=2) + "\n")
    return path


def saved(target: Target) -> Calibration | None:
    """The last calibration for a target; None if there is none.

    Raises:
        ClientError: the file is not one.
    """
    path = _path(target)
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text())
        corrections = {name: Correction(**values) for name, values in raw.pop("corrections").items()}
        return Calibration(corrections, **raw)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ClientError(f"{path} is no calibration ({error}); delete it, or calibrate again") from error


def _path(target: Target) -> Path:
    return local_home() / f"calibration-{target}.json"


def _fused(bench: Bench, strategy: str, model: CostModel) -> Correction:
    """Two lengths where something comes once, so that it is told apart from what comes in every epoch.

    Elsewhere one is better: the difference of two has the noise of both.
    """
    costs = model.costs(strategy)
    course = costs.course()
    epochs = _epochs(course.epoch)
    if not course.once:
        only = bench.train_steadily(strategy, epochs)
        return Correction(fixed_seconds=only.around, factor=_ratio(only.epoch, course.epoch))
    while (
        replace(model, job=replace(model.job, epochs=max(1, epochs // 4))).costs(strategy).formulation
        != costs.formulation
    ):
        epochs *= 2
    short = bench.train_steadily(strategy, max(1, epochs // 4))
    long = bench.train_steadily(strategy, max(2, epochs))
    epoch = max(0.0, long.training - short.training) / max(1, long.epochs - short.epochs) or long.epoch
    once = max(0.0, long.training - epoch * long.epochs)
    return Correction(fixed_seconds=long.around, once_seconds=once, factor=_ratio(epoch, course.epoch))


def _workers(bench: Bench, strategy: str, model: CostModel) -> Correction:
    """One worker, which only computes; then two, which exchange as well."""
    alone, pair = model.costs(strategy).course(), model.costs(strategy, 2).course()
    one = bench.train(strategy, _epochs(alone.epoch), 1)
    factor = _ratio(one.epoch, alone.epoch)
    if model.costs(strategy).work()[0] < 2:
        return Correction(fixed_seconds=one.around, factor=factor)
    two = bench.train(strategy, _epochs(pair.epoch + pair.exchange), 2)
    wait = two.epoch - factor * pair.epoch - pair.exchange
    return Correction(fixed_seconds=fmean((one.around, two.around)), factor=factor, wait_seconds=wait)


def _neuron(bench: Bench, strategy: str, model: CostModel) -> Correction:
    """A training to warm the functions, and one to measure."""
    bench.train(strategy, 1)
    measured = bench.train(strategy, NEURON_EPOCHS)
    return Correction(
        fixed_seconds=measured.around, factor=_ratio(measured.epoch, model.costs(strategy).course().epoch)
    )


def _epochs(epoch_seconds: float) -> int:
    return max(2, min(MOST_EPOCHS, round(RUN_SECONDS / epoch_seconds)))


def _ratio(measured: float, modeled: float) -> float:
    """Never nothing: a measurement that noise has made vanish is no measurement."""
    return max(measured / modeled, 0.02)
