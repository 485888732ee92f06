"""``lnn predict``: what a trained network predicts for a picture, or for a row of a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lnn_cli.options import ForceOption, JsonOption, PrefixOption, RegionOption, TargetOption, WhiteOption, connect
from lnn_cli.ui.console import note, number, print_json, print_table, say, share, size
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.files import refuse_to_replace
from lnn_client.cloud import Target

if TYPE_CHECKING:
    from lnn.models.inference import Numbers, Prediction
    from lnn.models.model_file import Model


def predict(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Pictures of any size and format, or one table.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL|RUN|FILE",
            help="A run, `latest`, a registered model, `production`, `staging`, or a local params.h5.",
        ),
    ] = "latest",
    invert: Annotated[
        bool, typer.Option("--invert", help="Swap dark and light: the digits were learned white on black.")
    ] = False,
    white: WhiteOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Of a table: CSV file to write.")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Name the class of pictures, or of the rows of a table.

    A table has the columns that the model was trained on, with their raw values.

    A model of regression answers its numbers instead.

    Example: lnn predict my-cat.jpg --model latest
    """
    from lnn_client.models import load_model, predict_pictures
    from lnn_client.tables import is_table

    if any(map(is_table, files)):
        if len(files) > 1:
            raise CliError(f"found {len(files)} files with a table among them; name one table, or pictures only")
        if output is not None:
            refuse_to_replace(output, force=force)
        network = load_model(model, lambda: connect(target, prefix, region))
        _predict_rows(network, files[0], output, as_json=as_json)
        return
    if output is not None:
        raise CliError(f"--output {output}: it is for the rows of a table; for pictures use --json")
    network = load_model(model, lambda: connect(target, prefix, region))
    predictions = predict_pictures(network, files, invert=invert, white=white)
    if as_json:
        print_json([{"image": str(image)} | said.to_json() for image, said in zip(files, predictions, strict=True)])
        return
    rows = [[str(image), *_cells(said)] for image, said in zip(files, predictions, strict=True)]
    print_table(("image", *_headings(network)), rows, right=_right(network))
    note(f"model of run {network.run_id}")


def _headings(network: Model) -> Sequence[str]:
    return network.list_targets or ("class", "probability")


def _right(network: Model) -> Sequence[str]:
    return network.list_targets or ("probability",)


def _cells(said: Prediction | Numbers) -> list[str]:
    from lnn.models.inference import Numbers

    if isinstance(said, Numbers):
        return [number(value, 6) for value in said.values]
    return [said.classes[said.index], share(said.probabilities[said.index])]


def _predict_rows(network: Model, file: Path, output: Path | None, *, as_json: bool) -> None:
    from lnn_client.models import predict_rows
    from lnn_client.tables import open_table

    batches = predict_rows(network, open_table(file))
    if output is not None:
        count = _write_csv(output, network, batches)
        say(f"{output} ({size(output.stat().st_size)})")
        note(f"{count:,} rows, by the model of run {network.run_id}")
        return
    predictions = [said for batch in batches for said in batch]
    if as_json:
        print_json([{"row": row} | said.to_json() for row, said in enumerate(predictions, start=1)])
        return
    rows = [[str(row), *_cells(said)] for row, said in enumerate(predictions, start=1)]
    print_table(("row", *_headings(network)), rows, right=("row", *_right(network)))
    note(f"model of run {network.run_id}")


def _write_csv(path: Path, network: Model, batches: Iterator[Sequence[Prediction | Numbers]]) -> int:
    """A line for each row: its class, the probability of it, and that of each class; of regression its numbers.

    Returns how many rows there are. A failure leaves nothing behind.
    """
    count = 0
    unfinished = path.with_name(path.name + ".part")
    classes = ["class", "probability", *(f"p({name})" for name in network.list_classes)]
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(network.list_targets or classes)
            for batch in batches:
                count += len(batch)
                lines.writerows(map(_line, batch))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _line(said: Prediction | Numbers) -> list[str | float]:
    from lnn.models.inference import Numbers

    if isinstance(said, Numbers):
        return [*said.values]
    return [said.classes[said.index], max(said.probabilities), *said.probabilities]
