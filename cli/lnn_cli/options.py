"""Options that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lnn_cli.ui.completion import run_ids
from lnn_cli.ui.console import recommend_for
from lnn_cli.ui.errors import CliError
from lnn_client.cloud import LATEST, Cloud, Target
from lnn_client.errors import NotFound

if TYPE_CHECKING:
    from lnn_client.sweeps import Sweep

_PANEL = "Where"

TargetOption = Annotated[
    Target,
    typer.Option(
        "--target",
        envvar="LNN_TARGET",
        help="Where it runs (default: local, or LNN_TARGET).",
        rich_help_panel=_PANEL,
        show_default=False,
        show_envvar=False,
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        envvar="LNN_PREFIX",
        help="Prefix of the deployment (default: LNN_PREFIX, or what `make deploy` used, or lnn).",
        rich_help_panel=_PANEL,
        show_envvar=False,
    ),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        "--region",
        help="AWS region (default: AWS_REGION, or where `make deploy` put it, or your profile's).",
        rich_help_panel=_PANEL,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 is any free one.")]
OpenOption = Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Save the page as one file instead; 10 MB at most.")
]
ForceOption = Annotated[bool, typer.Option("--force", "-f", help="Replace the file if it exists.")]


def _above_nothing(white: float | None) -> float | None:
    """Raises CliError for a --white that nothing can be divided by."""
    if white is not None and not 0 < white < math.inf:
        raise CliError(f"--white {white:g}: it must be a number above 0, for example 4095")
    return white


WhiteOption = Annotated[
    float | None,
    typer.Option(
        callback=_above_nothing, metavar="VALUE", help="What is white in pictures of over 8 bits: 4095 for 12."
    ),
]
DataArgument = Annotated[list[Path], typer.Argument(metavar="DATA...", help="Files, or a folder.")]
LabelOption = Annotated[str | None, typer.Option(metavar="COLUMN", help="What to learn of a table.")]
TestOption = Annotated[str | None, typer.Option(metavar="PART", help="Share, or column, to test.")]
ValidationOption = Annotated[str | None, typer.Option(metavar="SHARE", help="Share to validate with.")]
MissingOption = Annotated[
    Literal["refuse", "mean", "median", "most-frequent", "drop"] | None,
    typer.Option(metavar="HOW", help="Gaps: mean, drop, ..."),
]
DropOption = Annotated[list[str] | None, typer.Option("--drop", metavar="COLUMN", help="Leave out; repeatable.")]
WeightsOption = Annotated[str | None, typer.Option("--weights", metavar="COLUMN", help="How much a row counts.")]
ParametersOption = Annotated[Path | None, typer.Option("--parameters", "-p", help="Default: ./parameters.json.")]
ChangesOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one; repeatable.")]
DatasetArgument = Annotated[Path, typer.Argument(metavar="DATASET.h5", help="HDF5 file with the examples.")]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Run id, the start of one that fits no other, or `latest`.", autocompletion=run_ids
    ),
]


def sweep_named(cloud: Cloud, name: str) -> Sweep | None:
    """The sweep of that name, if there is one; an id of a run has a T, which no sweep's name has."""
    from lnn_client.sweep_plan import NAME
    from lnn_client.sweeps import found

    if name == LATEST or not NAME.fullmatch(name):
        return None
    try:
        sweep = found(cloud, name)
    except NotFound:
        return None
    sweep.look()
    return sweep


def connect(target: Target, prefix: str | None, region: str | None) -> Cloud:
    """The deployment that ``--target``, ``--prefix`` and ``--region`` name; commands to recommend are for it, too."""
    recommend_for(target)
    return Cloud(target, prefix, region)
