"""``lnn export``: a run's model or history in other programs' formats."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lnn_cli.options import ForceOption, PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import note, size
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.files import refuse_to_replace, write_whole
from lnn_client.cloud import Target

if TYPE_CHECKING:
    from lnn.runs.record import EpochRow, Run
    from lnn_client.cloud import Cloud


class Format(StrEnum):
    """What a run can be exported as."""

    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    CSV = "csv"
    TENSORBOARD = "tensorboard"


def export(
    run: RunArgument,
    kind: Annotated[
        Format, typer.Option("--format", help="The model (safetensors, onnx), or the history (csv, tensorboard).")
    ],
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

    ONNX: input X (examples, n), divided by `scale` of the file's metadata.
    CSV, TensorBoard: cost, accuracies as shares of 1, seconds of each epoch.

    Example: lnn export latest --format onnx -o model.onnx
    """
    cloud = connect(target, prefix, region)
    found = cloud.find_run(run)
    path = output or Path(f"{found.run_id}.{kind}")
    if kind is Format.TENSORBOARD:
        _export_events(cloud, found, path, force=force)
        return
    refuse_to_replace(path, force=force)
    content = _model(cloud, found, kind) if kind in (Format.SAFETENSORS, Format.ONNX) else _csv(cloud, found)
    write_whole(path, content)
    typer.echo(f"{path} ({size(len(content))})")


def _model(cloud: Cloud, run: Run, kind: Format) -> bytes:
    from lnn_cli.export.onnx_model import encode_onnx
    from lnn_cli.export.tensors import encode_safetensors
    from lnn_client.models import model_of_run

    model = model_of_run(cloud, run)
    return encode_onnx(model) if kind is Format.ONNX else encode_safetensors(model)


def _csv(cloud: Cloud, run: Run) -> bytes:
    from lnn_cli.export.history import encode_csv

    return encode_csv(_history(cloud, run))


def _export_events(cloud: Cloud, run: Run, folder: Path, *, force: bool) -> None:
    from lnn_cli.export.history import write_tensorboard

    if folder.is_file():
        raise CliError(f"{folder} is a file; TensorBoard's events need a folder: name another with --output")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise CliError(f"{folder} is not empty; name another folder, or add to it with --force")
    write_tensorboard(folder, run, _history(cloud, run))
    typer.echo(str(folder))
    note(f"look at it: tensorboard --logdir {folder}")


def _history(cloud: Cloud, run: Run) -> list[EpochRow]:
    history = cloud.ledger.history(run.run_id)
    if not history:
        raise CliError(f"run {run.run_id} ({run.status}) has no epoch recorded yet")
    return history
