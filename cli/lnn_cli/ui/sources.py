"""Tables, arrays and pictures as datasets, with what a person wants to know of it meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lnn.errors import InputError
from lnn_cli.ui.console import messages, note, size
from lnn_cli.ui.errors import CliError
from lnn_client.datasets import TEST_SHARE, existing_file

if TYPE_CHECKING:
    from lnn_client.array_datasets import ArrayChoices
    from lnn_client.array_files import Arrays
    from lnn_client.class_folders import Layout
    from lnn_client.dataset_files import Made
    from lnn_client.table_columns import Missing
    from lnn_client.table_datasets import Choices

HDF5_SUFFIXES = {".h5", ".hdf5"}
PICTURE_SIDE = 64
DROPPED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How a table is read; None where nobody says it."""

    label: str | None = None
    test: str | None = None
    missing: Missing | None = None
    drop: Sequence[str] = ()
    validation: str | None = None
    weights: str | None = None

    def given(self) -> str | None:
        """The first option for tables that somebody has given, as it is typed."""
        options = {
            "--label": self.label,
            "--missing": self.missing,
            "--drop": next(iter(self.drop), None),
            "--weights": self.weights,
        }
        return next((f"{name} {value}" for name, value in options.items() if value is not None), None)


@contextmanager
def as_dataset(files: Sequence[Path], options: TableOptions) -> Iterator[tuple[Path, Made | None]]:
    """The dataset to upload: the file itself, or what is made of a source, which lasts as long as this context.

    Raises:
        CliError: the files are no data set, or the options are not for such files.
        InputError: they cannot be taken as they are.
    """
    from lnn_client.array_files import is_array_file
    from lnn_client.tables import is_table

    first = files[0]
    is_dataset = len(files) == 1 and not (first.is_dir() or is_table(first) or is_array_file(first))
    if not (len(files) == 1 and is_table(first)) and (given := options.given()):
        raise CliError(f"{given}: {first} is no table; omit it, or name a CSV file or another table")
    if is_dataset:
        if options.test is not None:
            raise CliError(f"--test {options.test}: {first} says by itself which examples are for testing; omit it")
        if (share := validation_of(options.validation)) is not None:
            instead = f"--set validation={share:g}"
            raise CliError(f"--validation {share:g}: {first} is a dataset; hold examples out with {instead}")
        yield existing_file(first), None
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{first.name.partition('.')[0] or 'made'}.h5"
        made = _made(path, files, options)
        tell_left_out(made)
        kind = "rows" if is_table(first) else "examples"
        weighted = "" if options.weights is None else f" (weighted by {options.weights!r})"
        counts = f"{made.train.total()} {kind} for training{weighted}, {made.test.total()} for testing"
        if made.validation:
            counts += f", {made.validation.total()} for validation"
        note(f"{', '.join(map(str, files))}: {counts}; {size(path.stat().st_size)} to upload")
        yield path, made


def tell_left_out(made: Made) -> None:
    """What of a source is not in the dataset, and why."""
    for reason in made.dropped[:DROPPED_SHOWN]:
        note(f"left out: {reason}")
    if len(made.dropped) > DROPPED_SHOWN:
        note(f"left out: {len(made.dropped) - DROPPED_SHOWN} more")


def share_of(text: str, other: str = "", option: str = "--test") -> float:
    """A share of the examples. Raises CliError for one that is no number, or leaves a part without examples."""
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise CliError(f"{option} {text}: it must lie between 0 and 1, for example 0.2{other}")
    return share


def validation_of(text: str | None) -> float | None:
    """The share for a validation set; None where nobody wants one."""
    return None if text is None else share_of(text, option="--validation")


def test_of(text: str) -> float | str:
    """The share for testing, or the column that says which rows are. Raises CliError for a share that is none."""
    try:
        float(text)
    except ValueError:
        return text
    return share_of(text, ", or name a column")


def _made(path: Path, files: Sequence[Path], options: TableOptions) -> Made:
    from lnn_client.array_datasets import ArrayChoices
    from lnn_client.array_files import holds_arrays, is_array_file, read_arrays, read_pair
    from lnn_client.tables import is_table

    first = files[0]
    if len(files) == 1 and is_table(first):
        return _of_table(path, first, options)
    validation = validation_of(options.validation)
    choices = ArrayChoices(None if options.test is None else share_of(options.test), validation=validation)
    pair = _pair(files)
    if pair:
        return convert_arrays(path, read_pair(*pair), choices)
    if all(map(is_array_file, files)) or (len(files) == 1 and holds_arrays(first)):
        return convert_arrays(path, read_arrays(files), choices)
    if len(files) == 1:
        return _of_pictures(path, first, choices.test, validation)
    raise CliError(
        f"found {len(files)} files that are not one data set; expected one, TRAIN.h5 and TEST.h5, or .npy and IDX files"
    )


def _pair(files: Sequence[Path]) -> Sequence[Path]:
    """Two HDF5 files, the one for training first: those named, or all that a folder holds."""
    if len(files) == 1 and files[0].is_dir():
        files = sorted(path for path in files[0].iterdir() if path.suffix.lower() in HDF5_SUFFIXES)
        if len(files) == 2 and "test" in files[0].name.lower():
            files = files[::-1]
    return files if len(files) == 2 and all(file.suffix.lower() in HDF5_SUFFIXES for file in files) else ()


def _of_table(path: Path, file: Path, options: TableOptions) -> Made:
    from lnn_client.table_datasets import Choices

    if options.label is None:
        raise CliError(f"{file} is a table; name the column to learn: --label COLUMN")
    test = TEST_SHARE if options.test is None else test_of(options.test)
    held_out = validation_of(options.validation)
    missing = options.missing or "refuse"
    choices = Choices(options.label, test, missing, drop=options.drop, validation=held_out, weights=options.weights)
    try:
        return convert_table(path, file, choices)
    except InputError as error:
        raise InputError([*error.problems, "other options for tables are those of lnn dataset from-table"]) from error


def _of_pictures(path: Path, folder: Path, share: float | None, validation: float | None) -> Made:
    from lnn_client.class_folders import find_layout

    layout = find_layout(folder)
    if layout.is_split and share is not None:
        raise CliError(f"--test {share:g}: {folder} says by its folders which pictures are for testing; omit it")
    shape = (PICTURE_SIDE, PICTURE_SIDE, 3)
    return convert_pictures(path, folder, layout, shape, share or TEST_SHARE, validation=validation)


# What becomes of each kind of source ---------------------------------------------------------------------------------


def convert_table(path: Path, file: Path, choices: Choices) -> Made:
    """The dataset of a table."""
    from lnn_client.table_datasets import make_dataset
    from lnn_client.tables import open_table

    with _progress("reading rows, three times") as step:
        return make_dataset(path, open_table(file), choices, step, note)


def convert_arrays(path: Path, arrays: Arrays, choices: ArrayChoices) -> Made:
    """The dataset of arrays."""
    from lnn_client.array_datasets import make_dataset

    total = sum(len(array) for role, array in arrays.found.items() if role.endswith("y"))
    with _progress("writing examples", total) as step:
        return make_dataset(path, arrays, choices, step, note)


def convert_pictures(
    path: Path,
    folder: Path,
    layout: Layout,
    shape: tuple[int, ...],
    share: float,
    white: float | None = None,
    seed: int = 0,
    validation: float | None = None,
) -> Made:
    """The dataset of a folder of pictures, split by ``share`` unless its folders say the split."""
    import numpy as np

    from lnn_client.class_folders import picture_paths
    from lnn_client.dataset_files import expected_size
    from lnn_client.picture_folders import (
        read_pictures,
        split_of_folders,
        stratified_split,
        with_validation,
        write_dataset,
    )

    total = sum(len(picture_paths(of_class.path)) for of_class in layout.folders)
    with _progress("reading pictures", total) as step:
        pictures = read_pictures(folder, layout, shape, white, lambda: step(1))
    if layout.is_split:
        split = split_of_folders(pictures.parts, seed)
    else:
        split = stratified_split(pictures.labels, share, seed)
    if validation is not None:
        split = with_validation(split, pictures.labels, validation, seed, folder)
    note(expected_size(len(pictures.images), shape, np.dtype(np.uint8)))
    made = write_dataset(path, pictures, split)
    for reason in pictures.skipped:
        note(f"skipped: {reason}")
    if pictures.skipped:
        note(f"{len(pictures.images)} pictures are in the dataset, {len(pictures.skipped)} entries were skipped")
    return made


@contextmanager
def _progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Shows on a terminal how far it is; what it gives is called with how many more are done."""
    from rich.progress import Progress

    console = messages()
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)
