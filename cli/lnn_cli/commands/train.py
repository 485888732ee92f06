"""``lnn train``: an upload with its parameters, and the run that it starts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lnn.errors import InputError
from lnn.runs.record import Run
from lnn_cli.options import JsonOption, PrefixOption, RegionOption, TargetOption, connect
from lnn_cli.ui.console import command, note, print_json, say, tell_warnings
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.facts import tell_end
from lnn_client.cloud import Cloud, Target
from lnn_client.datasets import check_training, existing_file
from lnn_client.errors import FollowTimeout
from lnn_client.parameters import fitting_changes, parameters_path, read_parameters
from lnn_client.runs import result

if TYPE_CHECKING:
    from lnn_client.table_datasets import Made

TEST_SHARE = 0.2
"""Share of each class of a table to test with."""


def train(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET.h5", help="Or a table, with --label.")],
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="What to learn of a table.")] = None,
    parameters: Annotated[
        Path | None,
        typer.Option("--parameters", "-p", help="Default: ./parameters.json, else the project's."),
    ] = None,
    strategy: Annotated[
        str | None, typer.Option("--strategy", "-s", help="How to train: auto, neuron, fused, ...")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one parameter; repeat for more."),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="A name for the run.")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; repeat for more.")] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Show progress until the run ends.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Stop waiting then; the run goes on."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Look for mistakes before the upload.", show_default=False)
    ] = True,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Upload a dataset, or a table, with its parameters: a run starts.

    With --wait the exit status is 0 only if the run completes.

    Example: lnn train examples/digits/datasets.h5 --set epochs=50 --wait
    """
    from lnn_cli.ui.upload import launched_run, opened_run, say_how_to_watch, show_upload
    from lnn_client.uploads import DATASET, own_folder

    existing_file(dataset)
    path = parameters_path(parameters)
    named = [] if name is None else [f"name={json.dumps(name)}"]
    tagged = [f"tags={json.dumps(tags)}"] if tags else []
    wanted = [*(changes or []), *named, *tagged]
    with _as_dataset(dataset, label) as (file, made):
        fitting = _fitting(path, made, wanted) if made is not None and parameters is None else []
        content = read_parameters(path, [*fitting, *wanted], strategy)
        if check:
            tell_warnings(check_training(file, content, str(path))[0].warnings)
        cloud = connect(target, prefix, region)
        run = opened_run(cloud, show_upload(cloud, file, content, own_folder(), DATASET))
    run_id = run.run_id
    note(f"run {run_id} is open")
    if wait:
        run = _wait(cloud, run_id, timeout, as_json=as_json)
    else:
        run = launched_run(cloud, run)
        if run.status != "FAILED":
            say_how_to_watch(run_id)
    if not check:
        tell_warnings(run.warnings)
    if wait or run.status == "FAILED":
        tell_end(run, as_json=as_json)
        if not as_json:
            say(f"model: {result(run)['model']}")
    elif as_json:
        print_json(result(run))
    else:
        say(run_id)


@contextmanager
def _as_dataset(file: Path, label: str | None) -> Iterator[tuple[Path, Made | None]]:
    """The dataset to upload: the file, or what is made of a table, in a folder that lasts as long as this context.

    Raises:
        CliError: --label is missing, or the file is no table.
        InputError: the table cannot be taken as it is.
    """
    from lnn_client.tables import is_table

    if not is_table(file):
        if label is not None:
            raise CliError(f"--label {label}: {file} is no table; omit it, or name a CSV file or another table")
        yield file, None
        return
    if label is None:
        raise CliError(f"{file} is a table; name the column to learn: --label COLUMN")
    from lnn_cli.commands.dataset import tell_left_out
    from lnn_client.table_datasets import Choices, make_dataset
    from lnn_client.tables import open_table

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{file.name.partition('.')[0]}.h5"
        try:
            made = make_dataset(path, open_table(file), Choices(label, TEST_SHARE), lambda _: None)
        except InputError as error:
            raise InputError([*error.problems, "options for tables are those of lnn dataset from-table"]) from error
        tell_left_out(made)
        note(f"{file}: {made.train.total()} rows for training, {made.test.total()} for testing")
        yield path, made


def _fitting(path: Path, made: Made, wanted: list[str]) -> list[str]:
    """What of the parameters is changed so that they fit the table, said; --set stands above it."""
    changes = fitting_changes(path, len(made.classes), made.train.total())
    # What is set by hand is not chosen.
    named = {change.partition("=")[0] for change in wanted}
    chosen = [change for change in changes if change.partition("=")[0] not in named]
    if chosen:
        learned = f"{len(made.classes)} classes" if made.classes else "numbers to predict"
        note(f"chosen for {learned}: {', '.join(chosen)}")
    return chosen


def _wait(cloud: Cloud, run_id: str, timeout: float | None, *, as_json: bool) -> Run:
    from lnn_cli.ui.progress import watch_run

    try:
        return watch_run(cloud.ledger, run_id, timeout)
    except FollowTimeout as error:
        if as_json:
            print_json(result(error.run))
        raise
    except KeyboardInterrupt:
        watch, stop = command(f"lnn watch {run_id}"), command(f"lnn stop {run_id}")
        note(f"no longer watching; run {run_id} goes on: {watch}, or end it: {stop}")
        raise
