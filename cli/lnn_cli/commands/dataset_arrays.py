"""``lnn dataset from-arrays`` and ``join``: datasets of arrays that other programs have written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lnn_cli.commands.dataset import OutputOption, tell_made
from lnn_cli.options import ForceOption, ValidationOption
from lnn_cli.ui.files import refuse_to_replace
from lnn_cli.ui.sources import convert_arrays, share_of, validation_of

StandardizeOption = Annotated[
    bool | None,
    typer.Option(
        "--standardize/--no-standardize", help="Mean 0, deviation 1 (default: of rows with values beyond -1 to 1)."
    ),
]
RegressionOption = Annotated[bool, typer.Option("--regression", help="Whole numbers are no classes.")]


def from_arrays(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="An .npz, .npy or IDX files, or a folder.")],
    output: OutputOption,
    test: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Share of each class to test with (default: 0.2)."),
    ] = None,
    validation: ValidationOption = None,
    standardize: StandardizeOption = None,
    regression: RegressionOption = False,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The same seed, the same split.")] = 0,
    force: ForceOption = False,
) -> None:
    """Make a dataset of arrays: .npz, .npy, or MNIST's IDX files.

    Their names say what they are: X and y, or x_train, y_train, x_test, y_test.
    Of one .npy or IDX file the others beside it are taken, too.

    Example: lnn dataset from-arrays mnist.npz -o mnist.h5
    """
    from lnn_client.array_datasets import ArrayChoices
    from lnn_client.array_files import read_arrays

    refuse_to_replace(output, force=force)
    share = None if test is None else share_of(test)
    choices = ArrayChoices(share, standardize, regression, seed, validation_of(validation))
    tell_made(output, convert_arrays(output, read_arrays(files), choices))


def join(
    train: Annotated[Path, typer.Argument(metavar="TRAIN.h5", help="Holds the examples to train on.")],
    test: Annotated[Path, typer.Argument(metavar="TEST.h5", help="Holds the examples to test with.")],
    output: OutputOption,
    standardize: StandardizeOption = None,
    regression: RegressionOption = False,
    force: ForceOption = False,
) -> None:
    """Make one dataset of two HDF5 files: training and testing.

    Example: lnn dataset join train_catvnoncat.h5 test_catvnoncat.h5 -o cats.h5
    """
    from lnn_client.array_datasets import ArrayChoices
    from lnn_client.array_files import read_pair

    refuse_to_replace(output, force=force)
    choices = ArrayChoices(standardize=standardize, regression=regression)
    tell_made(output, convert_arrays(output, read_pair(train, test), choices))
