"""``lnn export``: a run's model or history in other programs' formats."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lnn.runs.record import EpochRow, Run
from lnn_cli.options import ForceOption, PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import note, say
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.files import refuse_to_replace, write_whole
from lnn_cli.ui.scores import beside_history
from lnn_client.cloud import LATEST, Cloud, Target


def export(
    kind: Annotated[
        Literal["safetensors", "onnx", "csv", "tensorboard"],
        typer.Option("--format", help="The model (safetensors, onnx), or the history (csv, tensorboard)."),
    ],
    run: RunArgument = LATEST,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="File, or folder for tensorboard (default: RUN.FORMAT)."),
    ] = None,
    force: ForceOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Write a run's model or history in another program's format.

    ONNX: input X (examples, n), divided by `scale` of the file's metadata; of a
    model of tables numbers as they are, categories one-hot as `features` names them.
    CSV, TensorBoard: cost, scores (accuracies as shares of 1), seconds of each epoch.

    Example: lnn export latest --format onnx -o model.onnx
    """
    cloud = connect(target, prefix, region)
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
