"""Training from Python: arrays, a frame or a file go in, and a ``Run`` comes out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lnn.data.weights import WEIGHTS
from lnn.errors import InputError
from lnn_client.array_datasets import ArrayChoices, weights_of
from lnn_client.array_datasets import make_dataset as dataset_of_arrays
from lnn_client.array_files import CLASSES, FEATURE_NAMES, Arrays
from lnn_client.datasets import TEST_SHARE, check_dataset, check_training, existing_file
from lnn_client.errors import TrainingFailed
from lnn_client.parameters import project_parameters, propose, read_parameters
from lnn_client.progress import Look, follow, settled
from lnn_client.progress_bar import ProgressBar
from lnn_client.stepping import next_step, request_stop
from lnn_client.trained import Model
from lnn_client.uploads import upload_training, wait_for_run

if TYPE_CHECKING:
    import polars as pl

    from lnn.runs.record import Run as Record
    from lnn_client.cloud import Cloud
    from lnn_client.dataset_files import Made
    from lnn_client.neurons import Neuron

Data: TypeAlias = Any
"""An array, nested lists, or a frame of pandas or polars (m, n); or the path of a dataset or a table."""

ARRAYS = Path("the arrays")
"""What errors call data that has no path."""


@dataclass(frozen=True, slots=True)
class Source:
    """The examples of a training, and how they are split."""

    X: Data
    y: Data = None
    """Labels (m,), or numbers to predict (m,) or (m, targets); of a table the name of its column."""
    test: float = TEST_SHARE
    """Share of the examples, of each class, that the model is tested with and never sees."""
    standardize: bool | None = None
    """None: features of which some lie beyond -1 to 1."""
    regression: bool = False
    """The labels are numbers to predict, however few different ones there are."""
    seed: int = 0
    classes: Sequence[str] = ()
    """Names of the classes, where y holds their indices."""
    sample_weight: Any = None
    """How much each example counts in training (m,); of a table the name of its column. None: all count alike."""


def train(
    cloud: Cloud,
    source: Source,
    parameters: Mapping[str, Any] | Path | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Run:
    """Upload the examples with their parameters; the run that this starts.

    ``parameters`` are a whole ``parameters.json``: where there are none, a network is chosen that fits the data.
    ``changes`` are values that replace those of either, as ``{"epochs": 30, "neurons.layer1": 16}``.

    Raises:
        InputError: everything that is wrong with the data or the parameters. Nothing is uploaded.
        RunNotOpened: the deployment did not answer the upload.
    """
    with prepared(source, parameters, changes) as (dataset, content):
        check_training(dataset, content, "the parameters")
        uploaded = upload_training(cloud, dataset, content)
    return Run(cloud, wait_for_run(cloud, uploaded).run_id)


@contextmanager
def prepared(
    source: Source, parameters: Mapping[str, Any] | Path | None = None, changes: Mapping[str, Any] | None = None
) -> Iterator[tuple[Path, bytes]]:
    """The examples as a dataset's file, which is there until the end, and ``parameters.json``; see ``train``."""
    if not 0 < source.test < 1:
        raise InputError(f"test: found {source.test:g}; expected a share between 0 and 1")
    by_hand = [f"{key}={json.dumps(value)}" for key, value in (changes or {}).items()]
    with tempfile.TemporaryDirectory(prefix="lnn-") as folder:
        dataset, made = _dataset(source, Path(folder) / "datasets.h5")
        yield dataset, _parameters(parameters, by_hand, dataset, made)


class Run:
    """A run of a deployment. What it says is read anew each time, so it may be asked from several threads."""

    def __init__(self, cloud: Cloud, run_id: str) -> None:
        self.cloud, self.run_id = cloud, run_id

    @property
    def record(self) -> Record:
        """Everything that is stored about it.

        Raises:
            NotFound: the run does not exist (any more).
        """
        return self.cloud.find_run(self.run_id)

    @property
    def status(self) -> str:
        """PENDING, RUNNING, COMPLETED, FAILED or STOPPED."""
        return self.record.status

    def wait(self, timeout: float | None = None, progress: Callable[[Look], object] | bool = False) -> Run:
        """Wait for its end.

        ``progress`` is called with each look at it, at least twice a second; True shows a bar in a terminal and in a
        notebook.

        Raises:
            FollowTimeout: it goes on after ``timeout`` seconds.
            TrainingFailed: it has failed; the error says why.
        """
        record, bar = None, ProgressBar()
        shown = progress if callable(progress) else bar if progress else None
        try:
            for look in follow(self.cloud.ledger, self.run_id, timeout=timeout):
                if shown is not None:
                    shown(look)
                record = look.run
        finally:
            bar.close()
        if record is None:
            raise AssertionError("following a run gives one look at least")
        record = settled(self.cloud.ledger, record)
        if record.status == "FAILED":
            raise TrainingFailed(record)
        return self

    def stop(self) -> Run:
        """Ask it to end with the model that it has. Raises RunStateError once it has ended."""
        request_stop(self.cloud, self.run_id)
        return self

    def step(self, count: int = 1) -> Run:
        """Let a run that waits at each step (``step=True``) take so many more.

        Raises:
            RunStateError: it takes no steps.
        """
        next_step(self.cloud, self.run_id, count)
        return self

    def resume(self, epochs: int | None = None) -> Run:
        """Let it go on from its last checkpoint: see ``Cloud.resume``."""
        self.cloud.resume(self.run_id, epochs)
        return self

    def history(self) -> pl.DataFrame:
        """A row for each recorded epoch, with ``epoch``, ``cost`` and what else ``lnn history --json`` has."""
        import polars as pl

        from lnn_client.histories import figures

        rows = figures(self.record, self.cloud.ledger.history(self.run_id), "seconds")
        names = list(rows[0]) if rows else ["epoch", "cost"]
        frame = pl.DataFrame(rows, schema=names, infer_schema_length=None)
        return frame.select(name for name in names if name == "epoch" or frame[name].null_count() < len(frame))

    def model(self) -> Model:
        """The trained model.

        Raises:
            NoModel: it has none (yet).
        """
        from lnn_client.models import model_of_run

        return Model(model_of_run(self.cloud, self.record))

    def neuron(self, layer: int, neuron: int, epoch: int | None = None, examples: Sequence[int] = ()) -> Neuron:
        """One neuron in numbers, after ``epoch`` or the last one; layers and neurons count from 1.

        Raises:
            CannotReplay: the run's files are deleted, or it has not trained so far.
        """
        from lnn_client.neurons import Neurons, probe_examples
        from lnn_client.replay import Replay

        record = self.record
        replay, after = Replay(self.cloud, record), record.epoch if epoch is None else epoch
        chosen = list(examples) or probe_examples(replay.plan, replay.data.y)
        return Neurons(replay.plan, replay.data, replay.parameters(after), after).neuron(layer, neuron, chosen)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the page that ``lnn report`` writes, as ``RUN.html`` if no path is given; returns the path.

        The page says what it lacks, as mistakes of a run whose examples are deleted.
        """
        from importlib.metadata import entry_points

        (html,) = entry_points(group="lnn.report", name="html")
        content, _ = html.load()(self.cloud, self.record)
        written = Path(f"{self.run_id}.html" if path is None else path)
        written.write_bytes(content)
        return written

    def __repr__(self) -> str:
        return f"Run({self.run_id!r})"

    def _repr_html_(self) -> str:
        """Its state and the curve of its cost, for a notebook."""
        from lnn_client.curve import curve_of

        record, history = self.record, self.cloud.ledger.history(self.run_id)
        told = f"{record.run_id}: {record.status}, epoch {record.epoch} of {record.epochs or '?'}"
        return f"<figure><figcaption>{told}</figcaption>{curve_of([row.cost for row in history])}</figure>"


def _dataset(source: Source, path: Path) -> tuple[Path, Made | None]:
    """The dataset's file, and what was made where it had to be; a dataset that there is stays as it is."""
    if isinstance(source.X, str | Path):
        return _of_file(path, Path(source.X), source)
    names = _names(source.X)
    if names and isinstance(source.y, str):
        return path, _made_of_frame(path, source)
    if source.y is None:
        raise InputError("there are examples and no labels; name y, or of a table the column to learn")
    X, y = np.asarray(source.X), np.asarray(source.y)
    if X.dtype == object:
        raise InputError(
            "X holds texts or missing values, not numbers alone; put the labels into the frame and name their column: "
            'y="column"'
        )
    arrays = Arrays(ARRAYS)
    arrays.add("x", "X", X)
    arrays.add("y", "y", y)
    for role, given in ((FEATURE_NAMES, names), (CLASSES, source.classes)):
        if len(given):
            arrays.add(role, role, np.array(given, np.str_))
    if source.sample_weight is not None:
        arrays.add(WEIGHTS, "sample_weight", weights_of(source.sample_weight, X.shape[:1], "sample_weight"))
    choices = ArrayChoices(
        test=source.test, standardize=source.standardize, regression=source.regression, seed=source.seed
    )
    return path, dataset_of_arrays(path, arrays, choices)


def _of_file(path: Path, file: Path, source: Source) -> tuple[Path, Made | None]:
    """A dataset, which is itself, or that of a table."""
    if source.y is None:
        if source.sample_weight is not None:
            raise InputError(f"sample_weight: {file} is a dataset, whose weights are its own {WEIGHTS}; omit it")
        return existing_file(file), None
    if not isinstance(source.sample_weight, str | None):
        raise InputError(f"sample_weight: {file} is a table; name its column of weights")
    return path, _made_of_table(path, file, source, source.sample_weight)


def _names(X: Data) -> list[str]:
    """The names of a frame's columns; none of an array."""
    return [str(name) for name in getattr(X, "columns", [])]


def _made_of_table(path: Path, file: Path, source: Source, weights: str | None) -> Made:
    from lnn_client.table_datasets import Choices
    from lnn_client.table_datasets import make_dataset as dataset_of_table
    from lnn_client.tables import open_table

    standardize = source.standardize is not False
    choices = Choices(
        source.y,
        source.test,
        standardize=standardize,
        regression=source.regression,
        seed=source.seed,
        weights=weights,
    )
    return dataset_of_table(path, open_table(file), choices, lambda _: None)


def _made_of_frame(path: Path, source: Source) -> Made:
    """The dataset of a frame of pandas or polars, of which one column is the label."""
    import polars as pl

    frame = source.X if isinstance(source.X, pl.DataFrame) else _of_pandas(source.X)
    file, weights = path.with_name("frame.parquet"), source.sample_weight
    if not isinstance(weights, str | None):
        values = weights_of(weights, frame.shape[:1], "sample_weight")
        weights = max(frame.columns, key=len) + "_weight"  # longer than the name of any column
        frame = frame.with_columns(pl.Series(weights, values))
    frame.write_parquet(file)
    return _made_of_table(path, file, source, weights)


def _of_pandas(frame: Any) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({str(name): frame[name].to_numpy() for name in frame.columns}, nan_to_null=True, strict=False)


def _parameters(
    given: Mapping[str, Any] | Path | None, by_hand: Sequence[str], dataset: Path, made: Made | None
) -> bytes:
    """The parameters as they are uploaded."""
    if isinstance(given, Mapping):
        path = dataset.with_name("parameters.json")
        path.write_text(json.dumps(dict(given)), encoding="utf-8")
        return read_parameters(path, by_hand, None)
    if given is not None:
        return read_parameters(Path(given), by_hand, None)
    path = project_parameters()
    if made is not None:
        facts = len(made.classes), made.train.total(), made.features
    else:
        summary = check_dataset(dataset)
        facts = len(summary.classes), summary.m, summary.features
    return read_parameters(path, [*propose(path, *facts, by_hand).changes, *by_hand], None)
