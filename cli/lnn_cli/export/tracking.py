"""Runs in MLflow: settings, figures by epoch, the report, and the model as ONNX with a signature and an example."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lnn.runs.record import EpochRow, Run
from lnn_cli.ui.errors import CliError
from lnn_client.histories import BASE_RATE, OF_MODEL, figures, names_of_figures
from lnn_client.needs import need
from lnn_client.onnx_model import encode_onnx, properties

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lnn.models.model_file import Model
    from lnn_cli.report.findings import Findings

RUN_TAG = "lnn.run_id"

STATUSES = {"COMPLETED": "FINISHED", "STOPPED": "KILLED", "FAILED": "FAILED"}
"""MLflow's name for each end of a run."""

ABOUT_EPOCHS = ("epoch", BASE_RATE, *OF_MODEL)
"""Figures that are no curve: the step itself, and what is known of the model alone."""

METRICS_AT_ONCE = 1000
"""As many as MLflow takes in a request."""

EXAMPLES = 5
"""Of the test set, beside the model."""

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}
"""Variables of MLflow, where the user has not set them: nothing is told of this use, and a server that is not there is
noticed in seconds."""


class TrackingServer:
    """A server of MLflow, or the database of one, and an experiment there."""

    def __init__(self, uri: str, experiment: str) -> None:
        """Raises MissingPackage without the package ``mlflow``."""
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        self._mlflow = need("mlflow", "mlflow", "an export to MLflow")
        self._uri, self._experiment = uri, experiment
        with self._explained():
            self._mlflow.set_tracking_uri(uri)
            self._client = self._mlflow.MlflowClient(uri)
            found = self._client.get_experiment_by_name(experiment)
            self._place = found.experiment_id if found else self._client.create_experiment(experiment)

    def add(self, findings: Findings, report: bytes, tags: Mapping[str, str], *, force: bool) -> str:
        """Write a run that has ended; returns where it is. Nothing stays of one that MLflow does not take whole.

        Raises:
            CliError: the run is there already, and ``force`` does not say to replace it, or MLflow refuses.
        """
        run, entities = findings.run, self._mlflow.entities
        with self._explained():
            earlier = self._client.search_runs([self._place], f"tags.`{RUN_TAG}` = '{run.run_id}'")
            if earlier and not force:
                raise CliError(f"{self._address(earlier[0].info.run_id)} has run {run.run_id}; replace it with --force")
            began = run.training_started_at or run.created_at
            made = self._client.create_run(
                self._place,
                start_time=_milliseconds(began),
                run_name=run.name or run.run_id,
                tags={RUN_TAG: run.run_id, **_tags(run), **tags},
            ).info.run_id
            try:
                settings = [entities.Param(name, value) for name, value in _settings(run).items()]
                self._client.log_batch(made, params=settings)
                metrics = [entities.Metric(*one) for one in _metrics(run, findings.history, began)]
                for start in range(0, len(metrics), METRICS_AT_ONCE):
                    self._client.log_batch(made, metrics=metrics[start : start + METRICS_AT_ONCE])
                self._log_report(made, run, report)
                if findings.model is not None:
                    examples = None if findings.tested is None else findings.tested.X[:, :EXAMPLES].T
                    self._log_model(made, findings.model, examples)
                ended = run.finished_at or began
                self._client.set_terminated(made, STATUSES[run.status], _milliseconds(ended))
            except BaseException:
                with suppress(self._mlflow.exceptions.MlflowException):  # the first failure is the one to tell
                    self._remove(made)
                raise
            for one in earlier:
                self._remove(one.info.run_id)
        return self._address(made)

    def _remove(self, run_id: str) -> None:
        """A run with its model, which MLflow lists beside the runs, too."""
        outputs = self._client.get_run(run_id).outputs
        for one in outputs.model_outputs if outputs else ():
            self._client.delete_logged_model(one.model_id)
        self._client.delete_run(run_id)

    def _log_report(self, made: str, run: Run, report: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="lnn-") as folder:
            path = Path(folder) / f"{run.run_id}.html"
            path.write_bytes(report)
            self._client.log_artifact(made, str(path), "report")

    def _log_model(self, made: str, model: Model, examples: NDArray[np.float64] | None) -> None:
        """The model as ONNX. ``examples`` (m, n) are as the network takes them."""
        onnx = need("onnx", "onnx", "an export to MLflow")
        flavor = need("mlflow.onnx", "mlflow", "an export to MLflow")
        models, types = need("mlflow.models", "mlflow", "MLflow"), need("mlflow.types", "mlflow", "MLflow")
        graph = onnx.load_from_string(encode_onnx(model))
        given, made_of = (
            types.TensorSpec(
                np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)),
                (-1, value.type.tensor_type.shape.dim[1].dim_value),
                value.name,
            )
            for value in (graph.graph.input[0], graph.graph.output[0])
        )
        example = None
        if examples is not None:
            example = {given.name: as_given(model, examples).astype(given.type)}
        with self._mlflow.start_run(run_id=made):
            flavor.log_model(
                graph,
                name="model",
                signature=models.ModelSignature(types.Schema([given]), types.Schema([made_of])),
                input_example=example,
                metadata=properties(model, standardizes=True),
                pip_requirements=["numpy", "onnxruntime"],
                onnx_execution_providers=["CPUExecutionProvider"],
                save_as_external_data=False,
            )

    def _address(self, run_id: str) -> str:
        if self._uri.startswith(("http://", "https://")):
            return f"{self._uri.rstrip('/')}/#/experiments/{self._place}/runs/{run_id}"
        return f"{self._uri}, experiment {self._experiment}, run {run_id}"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except self._mlflow.exceptions.MlflowException as error:
            raise CliError(f"MLflow at {self._uri}: {error}") from error


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)


def _tags(run: Run) -> dict[str, str]:
    """What is known of a run besides settings and figures."""
    remarks = "\n".join(run.remarks)
    known = {
        "lnn.dataset": run.dataset_key,
        "lnn.dataset_etag": run.dataset["etag"] if run.dataset else "",
        "lnn.tags": ",".join(run.tags),
        "lnn.reason": run.reason or "",
        "mlflow.note.content": remarks,
    }
    return {name: value for name, value in known.items() if value}


def _settings(run: Run) -> dict[str, str]:
    """The settings as text, with what the planner has decided in place of what was left to it."""
    dtype = (run.plan or {}).get("dtype")
    decided = {"network": run.network, "strategy": run.strategy, "workers": run.workers, "dtype": dtype}
    known = {**run.settings, **{name: value for name, value in decided.items() if value}}
    known = {name: value for name, value in known.items() if name not in {"name", "tags"} and value is not None}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in known.items()}


def _metrics(run: Run, history: Sequence[EpochRow], began: float) -> Iterator[tuple[str, float, int, int]]:
    """Name, value, moment in milliseconds and epoch of each figure of the history, then of the model."""
    names = [name for name in names_of_figures(run, history, "seconds") if name not in ABOUT_EPOCHS]
    at = began
    for row in figures(run, history, "seconds"):
        # Rows of every nth epoch stand for n epochs, whose time is not recorded: then only their order is right.
        at += row["seconds"] or 0.0
        for name in names:
            if (value := row[name]) is not None:
                yield name, value, _milliseconds(at), int(row["epoch"] or 0)
    metrics = run.test_metrics
    of_model = {
        **{name: run.attribute(name) for name in run.score_names},
        "cost": run.final_cost,
        "validation_cost": run.validation_cost,
        "base_rate": run.base_rate("test"),
        "balanced_accuracy": None if metrics is None else metrics.balanced_accuracy,
        "lowest_recall": None if metrics is None else metrics.lowest_recall,
        "usd": run.usd,
        "training_seconds": run.training_seconds,
    }
    for name, figure in of_model.items():
        if isinstance(figure, float | int):
            yield f"model_{name}", float(figure), _milliseconds(run.finished_at or at), run.model_epoch


def as_given(model: Model, examples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Examples as the ONNX graph takes them, which standardizes the features of a table itself."""
    if model.preprocessing is None:
        return examples
    columns = [column for column in model.preprocessing.columns for _ in column.features]
    return examples * [column.scale for column in columns] + [column.mean for column in columns]
