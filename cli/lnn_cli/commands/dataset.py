"""``lnn dataset``: checking, copying and making datasets."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lnn.errors import InputError
from lnn_cli.options import ForceOption, JsonOption, ValidationOption, WeightsOption, WhiteOption
from lnn_cli.ui.console import note, print_json, print_pairs, print_table, say, size, tell_warnings
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.files import refuse_to_replace, write_whole
from lnn_cli.ui.sources import (
    TableOptions,
    as_dataset,
    convert_pictures,
    convert_table,
    share_of,
    tell_left_out,
    test_of,
    validation_of,
)
from lnn_client.datasets import TEST_SHARE, check_dataset, check_training, examples, existing_file
from lnn_client.parameters import output_layer, parameters_path

if TYPE_CHECKING:
    from lnn.data.dataset import DatasetSummary
    from lnn_cli.ui.charts import Chart
    from lnn_client.dataset_files import Made

CLASSES_SHOWN = 100
COLUMNS_SHOWN = 100

OutputOption = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Dataset to write.")]


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Dataset to look at.")],
    parameters: Annotated[
        Path | None, typer.Option("--parameters", "-p", help="Check that these parameters fit, too.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is in a dataset, or everything that is wrong with it.

    Example: lnn dataset check datasets.h5 --parameters parameters.json
    """
    if parameters is not None:
        check_training(file, existing_file(parameters).read_bytes(), str(parameters))
    summary = check_dataset(file)
    if as_json:
        print_json(asdict(summary))
        return
    print_pairs(
        [
            ("file", f"{file} ({size(file.stat().st_size)})"),
            ("training", f"{summary.m} examples" + (", with weights" if summary.weighted else "")),
            *([("validation", f"{summary.m_validation} examples")] if summary.m_validation else []),
            ("testing", f"{summary.m_test} examples"),
            ("features", f"{summary.features}" + _made_of(summary)),
            ("values", _values(summary)),
            *([("classes", f"{len(summary.classes)}: {', '.join(summary.classes)}")] if summary.classes else []),
            *([("targets", f"{len(summary.targets)}: {', '.join(summary.targets)}")] if summary.targets else []),
        ]
    )
    tell_warnings(summary.warnings)
    verdict = "can be trained on" if summary.warnings else "is fine"
    note(f"the dataset {verdict}" + ("" if parameters is None else f", and {parameters} fits it"))


def _made_of(summary: DatasetSummary) -> str:
    """Where the features come from, as far as that is known."""
    from lnn.data.preprocessing import listed

    if summary.image_shape:
        return f", pictures of {' x '.join(map(str, summary.image_shape))}"
    return f", of {len(summary.columns)} columns of a table: {listed(summary.columns)}" if summary.columns else ""


def _values(summary: DatasetSummary) -> str:
    """Type and scale; and of pictures the values that are black and white."""
    divided = "used as they are" if summary.scale == 1 else f"divided by {summary.scale:g} for training"
    if summary.value_range is None or summary.image_shape is None:
        return f"{summary.dtype}, {divided}"
    black, white = summary.value_range
    return f"{summary.dtype}, {divided}; black is {black:g}, white {white:g}"


def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Dataset to look at; or a table, with --label.")],
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="What to learn of a table.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Picture to draw: .png, .svg or .pdf.")
    ] = Path("grid.png"),
    columns: Annotated[int, typer.Option("--columns", min=1, max=30, help="Examples of each class.")] = 10,
    test: Annotated[bool, typer.Option("--test", help="Draw test examples, not training examples.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another seed shows other examples.")] = 0,
    force: ForceOption = False,
) -> None:
    """Draw examples of every class in a grid, or a table's columns.

    Of a table, a row for each column on the terminal; in the picture the
    balance of the classes, histograms, and two columns as points.

    Example: lnn dataset show datasets.h5 -o grid.png
    """
    from lnn_cli.ui.charts import LIGHT, picture_suffix, render
    from lnn_cli.ui.grid import grid

    refuse_to_replace(output, force=force)
    suffix = picture_suffix(output)
    split = "test" if test else "train"
    with as_dataset([file], TableOptions(label)) as (dataset, _):
        summary = check_dataset(dataset)
        shown = (
            [grid(dataset, summary, split, columns, seed)] if summary.image_shape else _table(dataset, summary, split)
        )
        say(write_whole(output, render(shown, LIGHT, suffix)))
    for chart in shown:
        note(chart.about)


def _table(file: Path, summary: DatasetSummary, split: str) -> list[Chart]:
    """The charts of rows of features, whose columns are told."""
    from lnn_cli.ui.table_charts import charts, read_rows, summary_rows

    rows = read_rows(file, summary, split)
    part = "testing" if split == "test" else "training"
    counted = f"{rows.total:,}" if rows.total == len(rows.y) else f"the first {len(rows.y):,} of {rows.total:,}"
    say(f"{counted} rows for {part}")
    headings = ("column", "kind", "least", "mean", "deviation", "largest", "most frequent")
    print_table(headings, summary_rows(rows)[:COLUMNS_SHOWN], right=headings[2:6])
    if len(rows.columns) > COLUMNS_SHOWN:
        note(f"{len(rows.columns) - COLUMNS_SHOWN} more columns are not shown")
    return charts(f"{file.name} ({part})", summary, rows)


def example(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Example to copy; none lists them.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write (default: datasets.h5, or NAME.csv)."),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Copy one of the datasets and tables that come with the project.

    Example: lnn dataset example iris -o iris.csv
    """
    known = examples()
    if name is None:
        for known_name in known:
            say(known_name)
        return
    if name not in known:
        raise CliError(f"there is no example {name!r}; there is: {', '.join(known) or 'none in this installation'}")
    source = known[name]
    output = output or Path(source.name)
    refuse_to_replace(output, force=force)
    shutil.copyfile(source, output)
    say(f"{output} ({size(output.stat().st_size)})")
    label = ""
    if source.suffix == ".csv":
        with source.open(encoding="utf-8") as file:
            label = f" --label {next(csv.reader(file))[-1]}"
    note(f"train on it: lnn train {output}{label} --wait")


def from_images(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder for each class.")],
    output: OutputOption,
    pixels: Annotated[int, typer.Option("--size", min=1, max=1024, help="Side, in pixels.")] = 64,
    gray: Annotated[bool, typer.Option("--gray", "--grey", help="Gray instead of color.")] = False,
    test_share: Annotated[
        str | None,
        typer.Option("--test", "--test-share", metavar="SHARE", help="Share to test with (0.2)."),
    ] = None,
    validation: ValidationOption = None,
    all_classes: Annotated[
        bool, typer.Option("--all-classes", help="Folders named train or test are classes, too.")
    ] = False,
    white: WhiteOption = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same split.")] = 0,
    force: ForceOption = False,
) -> None:
    """Make a dataset of pictures, one folder for each class.

    Pictures may have any size and format. A share of each class is drawn at
    random for testing, unless DIR has train/ and test/. Unreadable files are
    skipped and named.

    Example: lnn dataset from-images pets/ -o pets.h5 --size 64
    """
    from lnn_client.class_folders import find_layout

    share = TEST_SHARE if test_share is None else share_of(test_share)
    refuse_to_replace(output, force=force)
    layout = find_layout(directory, split_folders=not all_classes)
    if layout.is_split and test_share is not None:
        raise CliError(f"--test {share:g}: {directory} says by its folders which pictures are for testing; omit it")
    shape = (pixels, pixels) if gray else (pixels, pixels, 3)
    made = convert_pictures(output, directory, layout, shape, share, white, seed, validation_of(validation))
    tell_made(output, made)


def from_table(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV, Parquet, Feather or Excel.")],
    label: Annotated[str, typer.Option("--label", metavar="COLUMN", help="What to learn.")],
    output: OutputOption,
    test: Annotated[
        str,
        typer.Option(
            metavar="PART",
            help="Share to test with, or a column.",
        ),
    ] = str(TEST_SHARE),
    validation: ValidationOption = None,
    missing: Annotated[
        Literal["refuse", "mean", "median", "most-frequent", "drop"],
        typer.Option(metavar="HOW", help="refuse, mean, median, most-frequent or drop."),
    ] = "refuse",
    standardize: Annotated[bool, typer.Option("--standardize/--no-standardize", help="Mean 0, deviation 1.")] = True,
    drop: Annotated[list[str] | None, typer.Option("--drop", metavar="COLUMN", help="Leave it out.")] = None,
    weights: WeightsOption = None,
    category: Annotated[
        list[str] | None,
        typer.Option("--category", metavar="COLUMN", help="Its numbers are names."),
    ] = None,
    regression: Annotated[bool, typer.Option("--regression", help="Whole numbers are no classes.")] = False,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The same seed, the same split.")] = 0,
    force: ForceOption = False,
) -> None:
    """Make a dataset of a table, a row for each example.

    Categories become one feature each, at most 100 a column. The model takes rows
    as the table has them; statistics come from the training rows alone.

    Example: lnn dataset from-table iris.csv --label species -o iris.h5
    """
    from lnn_client.table_datasets import Choices

    refuse_to_replace(output, force=force)
    part, held_out = test_of(test), validation_of(validation)
    names = drop or [], category or []
    choices = Choices(label, part, missing, standardize, *names, regression, seed, held_out, weights)
    tell_made(output, convert_table(output, file, choices), "rows", weights)


def tell_made(output: Path, made: Made, kind: str = "examples", weights: str | None = None) -> None:
    """What has become of a source, what is not in the dataset, and how to train on it."""
    tell_left_out(made)
    columns = made.preprocessing.columns if made.preprocessing else []
    kinds = Counter(column.kind for column in columns)
    names = {"number": "numbers", "boolean": "booleans", "category": "categories"}
    print_pairs(
        [
            ("file", f"{output} ({size(output.stat().st_size)})"),
            ("training", f"{made.train.total()} {kind}" + ("" if weights is None else f" (weighted by {weights!r})")),
            ("testing", f"{made.test.total()} {kind}"),
            *([("validation", f"{made.validation.total()} {kind}")] if made.validation else []),
            *(
                (
                    f"  {name}",
                    f"{made.train[index]} for training, {made.test[index]} for testing"
                    + (f", {made.validation[index]} for validation" if made.validation else ""),
                )
                for index, name in enumerate(made.classes[:CLASSES_SHOWN])
            ),
            *([("  ...", f"{rest} more classes")] if (rest := len(made.classes) - CLASSES_SHOWN) > 0 else []),
            ("label", "classes" if made.classes else "numbers to predict: regression"),
            *([("columns", ", ".join(f"{count} of {names[one]}" for one, count in kinds.items()))] if kinds else []),
            ("features", str(made.features)),
        ]
    )
    _tell_output_layer(output, len(made.classes))
    tell_warnings(made.warnings)


def _tell_output_layer(output: Path, classes: int) -> None:
    units, kind = output_layer(classes)
    last = f"layer{_layers_at_hand()}"
    fitting = f"--set neurons.{last}={units} --set activations.{last}={kind}"
    note(f"the output layer for it has {units} neuron(s) with {kind}: lnn train {output} {fitting} --wait")


def _layers_at_hand() -> str:
    """How many layers a training has whose parameters nobody names; ``L`` if these cannot be read."""
    try:
        return str(json.loads(parameters_path(None).read_text(encoding="utf-8"))["layers"])
    except (InputError, KeyError, OSError, TypeError, ValueError):
        return "L"
