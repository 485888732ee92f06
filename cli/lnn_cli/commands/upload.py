"""``lnn upload``: a dataset to be trained with the bucket's own parameters."""

from pathlib import Path
from typing import Annotated

import typer

from lnn.names import TRAINING_INPUT
from lnn_cli.options import DatasetArgument, PrefixOption, RegionOption, TargetOption, connect
from lnn_cli.ui.console import say, tell_warnings
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.facts import failure
from lnn_client.cloud import Target
from lnn_client.datasets import existing_file


def upload(
    dataset: DatasetArgument,
    parameters: Annotated[
        Path | None, typer.Argument(metavar="[PARAMETERS.json]", help="Replaces the parameters in the bucket.")
    ] = None,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Upload a dataset to be trained with the bucket's parameters.

    It goes straight to training_input/, where parameters.json of the last
    upload applies. New parameters, if given, are uploaded first.
    Nothing is checked here: Launch does that.

    Example: lnn upload datasets.h5 parameters.json
    """
    from lnn_cli.ui.upload import launched_run, opened_run, say_how_to_watch, show_upload

    existing_file(dataset)
    if dataset.suffix != ".h5":
        raise CliError(f"{dataset} does not end in .h5, and only such uploads start a run; rename it")
    content = existing_file(parameters).read_bytes() if parameters else None
    cloud = connect(target, prefix, region)
    uploaded = show_upload(cloud, dataset, content, TRAINING_INPUT, dataset.name)
    say(f"uploaded to {uploaded.uri}")
    run = opened_run(cloud, uploaded)
    say(f"run {run.run_id}")
    run = launched_run(cloud, run)
    if run.status == "FAILED":
        raise CliError(failure(run))
    tell_warnings(run.warnings)
    say_how_to_watch(run.run_id)
