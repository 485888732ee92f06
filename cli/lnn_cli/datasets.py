"""``lnn dataset``: checking, copying and making datasets."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lnn_cli.checking import check_dataset, check_training, existing_file
from lnn_cli.errors import CliError
from lnn_cli.options import JsonOption
from lnn_cli.rendering import messages, note, number, print_json, print_pairs, size
from lnn_cli.targets import repository

if TYPE_CHECKING:
    from lnn_cli.folders import Pictures, Split

_SHOWN_SKIPPED = 20

OutputOption = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Dataset to write.")]
ForceOption = Annotated[bool, typer.Option("--force", "-f", help="Replace the file if it exists.")]


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
    shape = summary.image_shape
    print_pairs(
        [
            ("file", f"{file} ({size(file.stat().st_size)})"),
            ("training", f"{summary.m} examples"),
            ("testing", f"{summary.m_test} examples"),
            ("features", f"{summary.features}" + (f", pictures of {' x '.join(map(str, shape))}" if shape else "")),
            ("values", f"{summary.dtype}, divided by {number(summary.scale)} for training"),
            ("classes", f"{len(summary.classes)}: {', '.join(summary.classes)}"),
        ]
    )
    note("the dataset is fine" + ("" if parameters is None else f", and {parameters} fits it"))


def example(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Example to copy; none lists them.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Dataset to write.")] = Path(
        "datasets.h5"
    ),
    force: ForceOption = False,
) -> None:
    """Copy one of the datasets that come with the project.

    Example: lnn dataset example digits -o datasets.h5
    """
    known = {path.parent.name: path for path in sorted((repository() / "examples").glob("*/datasets.h5"))}
    if name is None:
        for known_name in known:
            typer.echo(known_name)
        return
    if name not in known:
        raise CliError(f"there is no example {name!r}; there is: {', '.join(known) or 'none in this installation'}")
    _refuse_to_replace(output, force=force)
    shutil.copyfile(known[name], output)
    typer.echo(f"{output} ({size(output.stat().st_size)})")
    note(f"train on it: lnn train {output} --wait")


def from_images(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Holds one folder of pictures for each class.")],
    output: OutputOption,
    pixels: Annotated[
        int, typer.Option("--size", min=1, max=1024, help="Width and height of the examples, in pixels.")
    ] = 64,
    grey: Annotated[bool, typer.Option("--grey", help="Grey instead of colour: a third of the features.")] = False,
    test_share: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of each class that is kept for testing, between 0 and 1.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same split.")] = 0,
    force: ForceOption = False,
) -> None:
    """Make a dataset of pictures, one folder for each class.

    Any sizes and formats; the split for testing is stratified. What cannot be read is skipped, and told.

    Example: lnn dataset from-images pets/ -o pets.h5 --size 64
    """
    from rich.progress import Progress

    from lnn_cli.folders import class_folders, picture_paths, read_pictures, stratified_split, write_dataset

    if not 0 < test_share < 1:
        raise CliError(f"--test-share {test_share}: it must lie between 0 and 1, for example 0.2")
    _refuse_to_replace(output, force=force)
    shape = (pixels, pixels) if grey else (pixels, pixels, 3)
    total = sum(len(picture_paths(folder)) for folder in class_folders(directory))
    console = messages()
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading pictures", total=total)
        pictures = read_pictures(directory, shape, lambda: progress.advance(task))
    split = stratified_split(pictures.labels, test_share, seed)
    write_dataset(output, pictures, split)
    check_dataset(output)
    _tell(output, pictures, split)


def _tell(output: Path, pictures: Pictures, split: Split) -> None:
    for reason in pictures.skipped[:_SHOWN_SKIPPED]:
        note(f"skipped: {reason}")
    if len(pictures.skipped) > _SHOWN_SKIPPED:
        note(f"skipped: {len(pictures.skipped) - _SHOWN_SKIPPED} more")
    train = Counter(pictures.labels[position] for position in split.train)
    test = Counter(pictures.labels[position] for position in split.test)
    print_pairs(
        [
            ("file", f"{output} ({size(output.stat().st_size)})"),
            ("training", f"{len(split.train)} examples"),
            ("testing", f"{len(split.test)} examples"),
            *(
                (f"  {name}", f"{train[index]} for training, {test[index]} for testing")
                for index, name in enumerate(pictures.classes)
            ),
        ]
    )
    units = 1 if len(pictures.classes) == 2 else len(pictures.classes)
    kind = "sigmoid" if units == 1 else "softmax"
    note(f"the output layer for it has {units} unit(s) with {kind}; then: lnn train {output} --wait")


def _refuse_to_replace(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise CliError(f"{path} exists; choose another name, or replace it with --force")
    if not path.absolute().parent.is_dir():
        raise CliError(f"the folder {path.absolute().parent} does not exist; make it first")
