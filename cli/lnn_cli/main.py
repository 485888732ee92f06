"""The ``lnn`` command: wires the commands together."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from lnn_cli.commands import (
    compare,
    dataset,
    dataset_arrays,
    doctor,
    estimate,
    evaluate,
    export,
    history,
    logs,
    models,
    neuron,
    page,
    predict,
    report,
    runs,
    show,
    step,
    stop_resume,
    sweep,
    train,
    upload,
    view,
    watch,
)
from lnn_cli.ui.errors import OneLineErrors
from lnn_cli.ui.help import CompactHelp

_HELP = """Train neural networks on AWS Lambda: upload data, watch the run, use the model.

Example: lnn dataset example digits -o digits.h5 && lnn train digits.h5 --wait
"""

app = typer.Typer(
    name="lnn",
    cls=OneLineErrors,
    help=_HELP,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
dataset_app = typer.Typer(
    cls=CompactHelp,
    help="Check, show, copy and make datasets.\n\nExample: lnn dataset check datasets.h5",
    invoke_without_command=True,
)


model_app = typer.Typer(
    cls=CompactHelp,
    help="Take a model home.\n\nExample: lnn model get production -o params.h5",
    invoke_without_command=True,
)


def _version(wanted: bool) -> None:
    if wanted:
        from lnn_cli.ui.version import version_text

        typer.echo(f"lnn {version_text()}")
        raise typer.Exit


@model_app.callback()
@dataset_app.callback()
def alone(context: typer.Context) -> None:
    """Stands for a group without a command, which prints what there is."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and commit.")
    ] = False,
) -> None:
    alone(context)


def _add(to: typer.Typer, panel: str | None, *commands: Callable[..., Any]) -> None:
    for command in commands:
        name = command.__name__.replace("_", "-")
        to.command(name, rich_help_panel=panel, no_args_is_help=False)(command)


_add(app, "Train", train.train, sweep.sweep, upload.upload, estimate.estimate)
_add(app, "Runs", runs.runs, show.show, history.history, watch.watch, view.view, neuron.neuron, logs.logs)
_add(app, "Runs", stop_resume.stop, stop_resume.resume, step.step)
_add(app, "Use", predict.predict, evaluate.evaluate, page.page)
_add(app, "Use", report.report, compare.compare, export.export)
_add(app, "Use", models.models, models.promote, models.reject, models.rollback)
_add(dataset_app, None, dataset.check, dataset.show, dataset.example, dataset.from_images, dataset.from_table)
_add(dataset_app, None, dataset_arrays.from_arrays, dataset_arrays.join)
_add(model_app, None, models.get)
app.add_typer(model_app, name="model", rich_help_panel="Use")
app.add_typer(dataset_app, name="dataset", rich_help_panel="Train")
_add(app, "Runs", doctor.doctor)
