"""The ``lnn`` command: wires the commands together."""

from typing import Annotated

import typer

from lnn_cli.ui.commands_on_demand import Source
from lnn_cli.ui.errors import OneLineErrors
from lnn_cli.ui.help import CompactHelp

_HELP = """Train neural networks on AWS Lambda: upload data, watch the run, use the model.

Example: lnn dataset example digits -o digits.h5 && lnn train digits.h5 --wait
"""


def _sources(panel: str | None, modules: dict[str, tuple[str, ...]]) -> dict[str, Source]:
    """The functions of modules in ``lnn_cli.commands`` as commands, which have the functions' names."""
    return {
        function.replace("_", "-"): Source(f"lnn_cli.commands.{module}", function, panel)
        for module, functions in modules.items()
        for function in functions
    }


COMMANDS = {
    **_sources("Train", {name: (name,) for name in ("train", "sweep", "upload", "estimate")}),
    **_sources("Runs", {name: (name,) for name in ("runs", "show", "history", "watch", "view", "neuron", "logs")}),
    **_sources("Runs", {"stop_resume": ("stop", "resume"), "step": ("step",)}),
    **_sources("Use", {name: (name,) for name in ("predict", "evaluate", "page", "report", "compare", "export")}),
    **_sources("Use", {"models": ("models", "promote", "reject", "rollback")}),
    **_sources("Runs", {"doctor": ("doctor",)}),
}
"""In the order of the help."""
DATASET_COMMANDS = _sources(
    None,
    {
        "dataset": ("check", "show", "example", "from_images", "from_table"),
        "dataset_arrays": ("from_arrays", "join"),
    },
)
MODEL_COMMANDS = _sources(None, {"models": ("get",)})


class Root(OneLineErrors):
    """``lnn`` itself."""

    sources = COMMANDS


class Datasets(CompactHelp):
    """``lnn dataset``."""

    sources = DATASET_COMMANDS


class Model(CompactHelp):
    """``lnn model``."""

    sources = MODEL_COMMANDS


app = typer.Typer(
    name="lnn",
    cls=Root,
    help=_HELP,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
dataset_app = typer.Typer(
    cls=Datasets,
    help="Check, show, copy and make datasets.\n\nExample: lnn dataset check datasets.h5",
    invoke_without_command=True,
)
model_app = typer.Typer(
    cls=Model,
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


app.add_typer(model_app, name="model", rich_help_panel="Use")
app.add_typer(dataset_app, name="dataset", rich_help_panel="Train")
