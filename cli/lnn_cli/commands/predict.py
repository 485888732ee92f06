"""``lnn predict``: what a trained network predicts for a picture, or for a row of a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
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
    from lnn_client.tables import Table


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
            help="A run, `latest`, a registered model, `production`, `staging`, or a local params.h5.",
        ),
    ] = "latest",
    invert: Annotated[
        bool, typer.Option("--invert", help="Swap dark and light: the digits were learned white on black.")
    ] = False,
    white: WhiteOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write a .csv or .parquet.")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Name the class of pictures, or of the rows of a table.

    A table has the columns that the model was trained on, with their raw values.

    With -o a picture that cannot be read is a line with its reason.

    Example: lnn predict my-cat.jpg --model latest
    """
    from lnn_client.class_folders import picture_paths
    from lnn_client.models import load_model, predict_each_picture, predict_pictures
    from lnn_client.tables import is_table, open_table

    with_table = any(map(is_table, files))
    if with_table and len(files) > 1:
        raise CliError(f"found {len(files)} files with a table among them; name one table, or pictures only")
    if output is not None:
        if output.suffix.lower() not in (".csv", ".parquet"):
            raise CliError(f"--output {output}: expected a name that ends in .csv or .parquet")
        refuse_to_replace(output, force=force)
    network = load_model(model, lambda: connect(target, prefix, region))
    if with_table:
        _predict_rows(network, open_table(files[0]), output, as_json=as_json)
        return
    images: list[Path] = []
    for file in files:
        found = picture_paths(file) if file.is_dir() else [file]
        if not found:
            raise CliError(f"there is no file in {file}; name pictures, or a folder of them")
        images += found
    if output is not None:
        each = predict_each_picture(network, images, invert=invert, white=white)
        _write(
            output, network, ([str(image), *_line(network, said), problem] for image, said, problem in each), ["file"]
        )
        return
    predictions = predict_pictures(network, images, invert=invert, white=white)
    if as_json:
        print_json([{"image": str(image)} | said.to_json() for image, said in zip(images, predictions, strict=True)])
        return
    rows = [[str(image), *_cells(said)] for image, said in zip(images, predictions, strict=True)]
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


def _predict_rows(network: Model, table: Table, output: Path | None, *, as_json: bool) -> None:
    from lnn_client.models import predict_rows

    batches = predict_rows(network, table)
    if output is not None:
        _write(output, network, (_line(network, said) for batch in batches for said in batch))
        return
    predictions = [said for batch in batches for said in batch]
    if as_json:
        print_json([{"row": row} | said.to_json() for row, said in enumerate(predictions, start=1)])
        return
    rows = [[str(row), *_cells(said)] for row, said in enumerate(predictions, start=1)]
    print_table(("row", *_headings(network)), rows, right=("row", *_right(network)))
    note(f"model of run {network.run_id}")


def _write(path: Path, network: Model, lines: Iterable[Sequence[str | float]], before: Sequence[str] = ()) -> None:
    """A line for each row or picture: its class, the probability of it, and that of each class; or its numbers.

    With columns ``before`` these, a last one says what is wrong with a line that has no prediction. A failure leaves
    nothing behind.
    """
    texts = [*before, *([] if network.list_targets else ["class"]), *(["problem"] if before else [])]
    classes = ["class", "probability", *(f"p({name})" for name in network.list_classes)]
    headings = [*before, *(network.list_targets or classes), *(["problem"] if before else [])]
    counts = [0, 0]
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(headings)
            for line in lines:
                counts[bool(before and line[-1])] += 1
                writer.writerow(line)
        if path.suffix.lower() == ".parquet":
            _to_parquet(unfinished, path, headings, texts)
        else:
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    say(f"{path} ({size(path.stat().st_size)})")
    what = "pictures" if before else "rows"
    note(f"{counts[0]:,} {what}, by the model of run {network.run_id}")
    if counts[1]:
        note(f"{counts[1]:,} of {sum(counts):,} {what} could not be read; the column problem says why")


def _to_parquet(lines: Path, path: Path, headings: Sequence[str], texts: Sequence[str]) -> None:
    """The same rows in columns, some in memory at a time; a failure leaves nothing behind."""
    import polars as pl

    unfinished = path.with_name(path.name + ".columns")
    kinds = {name: pl.String if name in texts else pl.Float64 for name in headings}
    try:
        pl.scan_csv(lines, schema=kinds).sink_parquet(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _line(network: Model, said: Prediction | Numbers | None) -> list[str | float]:
    """The cells of a prediction, empty ones where there is none."""
    from lnn.models.inference import Numbers

    if said is None:
        return [""] * (len(network.list_targets) or 2 + len(network.list_classes))
    if isinstance(said, Numbers):
        return [*said.values]
    return [said.classes[said.index], max(said.probabilities), *said.probabilities]
