"""Datasets on this machine: their mistakes, found before anything is uploaded, and those that come with the project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lnn.errors import InputError
from lnn_client.cloud import repository

if TYPE_CHECKING:
    from lnn.data.dataset import DatasetSummary
    from lnn.job.hyperparameters import Settings


TEST_SHARE = 0.2
"""Share of each class to test with, where nobody says another."""

Split = Literal["test", "train"]
"""Which examples of a dataset."""


def check_training(
    dataset: Path, parameters: bytes, parameters_name: str, summary: DatasetSummary | None = None
) -> tuple[DatasetSummary, Settings]:
    """Check both with the rules that Launch applies; returns what they say.

    ``summary`` is that of a dataset which has been checked already.

    Raises:
        InputError: everything wrong with either.
    """
    from lnn.job.hyperparameters import parse_settings
    from lnn.planning.feasibility import check_settings_fit

    problems = []
    settings = None
    if summary is None:
        try:
            summary = check_dataset(dataset)
        except InputError as error:
            problems += error.problems
    try:
        settings = parse_settings(parameters)
    except InputError as error:
        problems.append(f"{parameters_name}: {error}")
    if summary is not None and settings is not None:
        try:
            check_settings_fit(settings, summary)
        except InputError as error:
            problems.append(f"{parameters_name} does not fit {dataset}: {error}")
    if problems or summary is None or settings is None:
        raise InputError(problems)
    return summary, settings


def check_dataset(dataset: Path) -> DatasetSummary:
    """What is in a dataset.

    Raises:
        InputError: everything wrong with it.
    """
    from lnn.data.dataset import inspect_dataset

    existing_file(dataset)
    try:
        return inspect_dataset(dataset)
    except InputError as error:
        # An error about the whole file begins with its name, which is in the path.
        raise InputError(f"{dataset}: {str(error).removeprefix(f'{dataset.name}: ')}") from error


def existing_file(path: Path) -> Path:
    """The path itself.

    Raises:
        InputError: there is no file there.
    """
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}; name a file")
    return path


def examples() -> dict[str, Path]:
    """The datasets and tables that come with the project, by name."""
    folder = repository() / "examples"
    datasets = {path.parent.name: path for path in folder.glob("*/datasets.h5")}
    tables = {path.stem: path for path in folder.glob("tables/*.csv")}
    return dict(sorted({**datasets, **tables}.items()))
