"""Options that several commands share."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from lnn_cli.ui.errors import CliError
from lnn_client.cloud import Target

_PANEL = "Where"

TargetOption = Annotated[
    Target,
    typer.Option(
        "--target",
        envvar="LNN_TARGET",
        help="The local cloud, or AWS (default: local, or LNN_TARGET).",
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
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")]
ForceOption = Annotated[bool, typer.Option("--force", "-f", help="Replace the file if it exists.")]
WhiteOption = Annotated[
    float | None,
    typer.Option(
        metavar="VALUE",
        help="What is white in pictures of over 8 bits: 4095 for 12.",
    ),
]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Run id, the start of one that fits no other, or `latest`.")
]


def check_white(white: float | None) -> None:
    """Raises CliError for a --white that nothing can be divided by."""
    if white is not None and not 0 < white < math.inf:
        raise CliError(f"--white {white:g}: it must be a number above 0, for example 4095")
