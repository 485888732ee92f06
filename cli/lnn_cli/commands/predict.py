"""``lnn predict``: what a trained network predicts for a picture, or for a row of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from lnn_cli.options import ForceOption, JsonOption, PrefixOption, RegionOption, TargetOption, WhiteOption, connect
from lnn_cli.ui.console import note, number, print_json, print_table, share
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.files import refuse_to_replace
from lnn_cli.ui.prediction_file import line, write_predictions
from lnn_client.cloud import Cloud, Target

if TYPE_CHECKING:
    from lnn.models.inference import Numbers, Prediction
    from lnn.models.model_file import Model
    from lnn_client.batches import Batch
    from lnn_client.tables import Table

    Predicted = tuple[Prediction | Numbers | None, str]

FILE = ("file",)
"""The column before those of a picture's prediction."""


def predict(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Pictures of any size and format, a folder, or one table.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL|RUN|FILE",
            help="A run, model, `production`, `staging`, or a params.h5.",
        ),
    ] = "latest",
    invert: Annotated[
        bool, typer.Option("--invert", help="Swap dark and light: the digits were learned white on black.")
    ] = False,
    white: WhiteOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write a .csv or .parquet.")
    ] = None,
    on_lambda: Annotated[bool, typer.Option("--on-lambda", help="Let functions do it; with -o.")] = False,
    parallel: Annotated[int, typer.Option(min=1, help="Functions at once.")] = 8,
    force: ForceOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Name the class of pictures, or of the rows of a table.

    A table has the columns that the model was trained on, with their raw values.

    With -o a picture that cannot be read is a line with its reason. With --on-lambda a repeated command goes on.

    Example: lnn predict my-cat.jpg --model latest
    """
    from lnn_client.models import load_model, predict_each_picture, predict_pictures
    from lnn_client.tables import is_table, open_table

    with_table = any(map(is_table, files))
    if with_table and len(files) > 1:
        raise CliError(f"found {len(files)} files with a table among them; name one table, or pictures only")
    if output is not None:
        if output.suffix.lower() not in (".csv", ".parquet"):
            raise CliError(f"--output {output}: expected a name that ends in .csv or .parquet")
        refuse_to_replace(output, force=force)
    if on_lambda:
        if output is None:
            raise CliError("--on-lambda writes a file; name it with -o answers.csv")
        batch = _batch(connect(target, prefix, region), model, parallel)
        if with_table:
            _rows_on_lambda(batch, open_table(files[0]), output)
        else:
            _pictures_on_lambda(batch, _pictures(files), output, invert=invert, white=white)
        return
    network = load_model(model, lambda: connect(target, prefix, region))
    if with_table:
        _predict_rows(network, open_table(files[0]), output, as_json=as_json)
        return
    images = _pictures(files)
    if output is not None:
        each = predict_each_picture(network, images, invert=invert, white=white)
        lines = ([str(image), *line(network, said), problem] for image, said, problem in each)
        write_predictions(output, network, lines, FILE)
        return
    predictions = predict_pictures(network, images, invert=invert, white=white)
    if as_json:
        print_json([{"image": str(image)} | said.to_json() for image, said in zip(images, predictions, strict=True)])
        return
    rows = [[str(image), *_cells(said)] for image, said in zip(images, predictions, strict=True)]
    print_table(("image", *_headings(network)), rows, right=_right(network))
    note(f"model of run {network.run_id}")


def _pictures(files: Sequence[Path]) -> list[Path]:
    """Every picture that is named, or lies in a folder that is."""
    from lnn_client.class_folders import picture_paths

    images: list[Path] = []
    for file in files:
        found = picture_paths(file) if file.is_dir() else [file]
        if not found:
            raise CliError(f"there is no file in {file}; name pictures, or a folder of them")
        images += found
    return images


def _headings(network: Model) -> Sequence[str]:
    return network.list_targets or ("class", "probability")


def _right(network: Model) -> Sequence[str]:
    return network.list_targets or ("probability",)


def _cells(said: Prediction | Numbers) -> list[str]:
    from lnn.models.inference import Numbers

    if isinstance(said, Numbers):
        return [number(value, 6) for value in said.values]
    return [said.classes[said.index], share(said.probabilities[said.index])]


def _predict_rows(network: Model, table: Table, output: Path | None, *, as_json: bool) -> None:
    from lnn_client.models import predict_rows

    batches = predict_rows(network, table)
    if output is not None:
        write_predictions(output, network, (line(network, said) for batch in batches for said in batch))
        return
    predictions = [said for batch in batches for said in batch]
    if as_json:
        print_json([{"row": row} | said.to_json() for row, said in enumerate(predictions, start=1)])
        return
    rows = [[str(row), *_cells(said)] for row, said in enumerate(predictions, start=1)]
    print_table(("row", *_headings(network)), rows, right=("row", *_right(network)))
    note(f"model of run {network.run_id}")


# On Lambda -----------------------------------------------------------------------------------------------------------


def _batch(cloud: Cloud, model: str, parallel: int) -> Batch:
    from lnn_client.batches import Batch
    from lnn_client.models import model_content

    return Batch(cloud, model_content(model, lambda: cloud), parallel)


def _rows_on_lambda(batch: Batch, table: Table, output: Path) -> None:
    from lnn_client.batches import rows_of_table

    problems: dict[int, str] = {}

    def lines() -> Iterator[list[str | float]]:
        for place, (said, problem) in enumerate(_told(batch.predictions(rows_of_table(batch.model, table)), "rows")):
            if problem:
                problems[place] = problem
            yield line(batch.model, said)

    write_predictions(output, batch.model, lines(), problems=problems)


def _pictures_on_lambda(
    batch: Batch, images: Sequence[Path], output: Path, *, invert: bool, white: float | None
) -> None:
    from lnn_client.batches import rows_of_pictures

    rows = rows_of_pictures(batch.model, images, invert=invert, white=white)
    each = zip(images, _told(batch.predictions(rows), "pictures"), strict=True)
    lines = ([str(image), *line(batch.model, said), problem] for image, (said, problem) in each)
    write_predictions(output, batch.model, lines, FILE)


def _told(predictions: Iterable[Predicted], what: str) -> Iterator[Predicted]:
    """The same, with a remark now and then on how far they are."""
    from lnn_cli.ui.progress import PLAIN_LINE_SECONDS

    last = monotonic()
    for count, predicted in enumerate(predictions):
        if monotonic() - last >= PLAIN_LINE_SECONDS:
            last = monotonic()
            note(f"{count:,} {what} predicted")
        yield predicted
