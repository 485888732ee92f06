"""``lnn export``: a run's model or history in other programs' formats, or all of it in MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lnn.runs.record import EpochRow, Run
from lnn_cli.options import ForceOption, PrefixOption, RegionOption, RunArgument, TargetOption, connect, sweep_named
from lnn_cli.ui.console import note, say
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.files import refuse_to_replace, write_whole
from lnn_cli.ui.scores import beside_history
from lnn_client.cloud import LATEST, Cloud, Target

if TYPE_CHECKING:
    from lnn_client.sweeps import Sweep


def export(
    kind: Annotated[
        Literal["safetensors", "onnx", "csv", "tensorboard", "mlflow"],
        typer.Option("--format", metavar="FORMAT", help="safetensors, onnx, csv, tensorboard, mlflow."),
    ],
    run: RunArgument = LATEST,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="File or folder (default: RUN.FORMAT).")
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            envvar="MLFLOW_TRACKING_URI", metavar="URI", help="MLflow: its server or database.", show_envvar=False
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            envvar="MLFLOW_EXPERIMENT_NAME",
            metavar="NAME",
            help="MLflow: lnn, or the sweep's name.",
            show_envvar=False,
        ),
    ] = None,
    force: ForceOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Write a run's model or history in another program's format.

    safetensors, onnx: the model. ONNX takes X (examples, n), divided by the
    metadata's `scale`; of tables numbers as they are, categories one-hot.
    csv, tensorboard: each epoch's cost, scores (accuracies as shares of 1), seconds.
    mlflow: all of a run, or of a sweep's runs.

    Example: lnn export latest --format onnx -o model.onnx
    """
    cloud = connect(target, prefix, region)
    if kind == "mlflow":
        _export_to_mlflow(cloud, run, tracking_uri, experiment, output, force=force)
        return
    found = cloud.find_run(run)
    path = output or Path(f"{found.run_id}.{kind}")
    if kind == "tensorboard":
        _export_events(cloud, found, path, force=force)
        return
    refuse_to_replace(path, force=force)
    say(write_whole(path, _encoded(cloud, found, kind)))


def _encoded(cloud: Cloud, run: Run, kind: str) -> bytes:
    if kind == "csv":
        from lnn_cli.export.history import encode_csv

        history = _history(cloud, run)
        for line in beside_history(run):
            note(line)
        return encode_csv(run, history)
    from lnn_cli.export.tensors import encode_safetensors
    from lnn_client.models import model_of_run
    from lnn_client.onnx_model import encode_onnx, properties

    model = model_of_run(cloud, run)
    if model.preprocessing is not None:
        note(f"its input: {properties(model, standardizes=kind == 'onnx')['input']}; see its metadata `features`")
    return encode_onnx(model) if kind == "onnx" else encode_safetensors(model)


def _export_events(cloud: Cloud, run: Run, folder: Path, *, force: bool) -> None:
    from lnn_cli.export.tensorboard import EventFile

    if folder.is_file():
        raise CliError(f"{folder} is a file; TensorBoard's events need a folder: name another with --output")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise CliError(f"{folder} is not empty; name another folder, or add to it with --force")
    history = _history(cloud, run)
    with EventFile(folder) as events:
        events.add(run, history)
    say(str(folder))
    note(f"look at it: tensorboard --logdir {folder}")


def _history(cloud: Cloud, run: Run) -> list[EpochRow]:
    history = cloud.ledger.history(run.run_id)
    if not history:
        raise CliError(f"run {run.run_id} ({run.status}) has no epoch recorded yet")
    return history


def _export_to_mlflow(
    cloud: Cloud, wanted: str, uri: str | None, experiment: str | None, output: Path | None, *, force: bool
) -> None:
    if uri is None or output is not None:
        raise CliError(
            "MLflow takes runs at an address, not in a file: name its server with --tracking-uri, such as "
            "http://127.0.0.1:5000, or set MLFLOW_TRACKING_URI"
        )
    sweep = sweep_named(cloud, wanted)
    runs = [(cloud.find_run(wanted), {})] if sweep is None else [*_of_sweep(sweep)]
    for run, _ in runs:
        if not run.has_ended:
            raise CliError(f"run {run.run_id} is {run.status}: wait for its end, or stop it")
    if not runs:
        raise CliError(f"sweep {wanted} has begun no run yet")

    from lnn_cli.export.tracking import TrackingServer
    from lnn_cli.report.findings import gather
    from lnn_cli.report.whole import html_of_findings

    server = TrackingServer(uri, experiment or ("lnn" if sweep is None else wanted))
    for run, tags in runs:
        findings = gather(cloud, run)
        report = html_of_findings(cloud, findings)
        say(server.add(findings, report, tags, force=force))
        for reason in findings.missing:
            note(f"not in it: {reason}")


def _of_sweep(sweep: Sweep) -> Iterator[tuple[Run, Mapping[str, str]]]:
    """Each of its runs, with its place in the sweep."""
    sweep_tag = {"lnn.sweep": sweep.plan.name}
    for trial in sweep.trials:
        for one in trial.runs:
            if one.record is not None:
                fold = {} if one.fold is None else {"lnn.fold": str(one.fold)}
                yield one.record, {**sweep_tag, "lnn.trial": str(trial.number), **fold}
    if sweep.refit is not None and sweep.refit.record is not None:
        yield sweep.refit.record, {**sweep_tag, "lnn.trial": "best, with all examples"}
