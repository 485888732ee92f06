"""Finding mistakes in a dataset and its parameters here, before anything is uploaded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lnn.errors import InputError
from lnn_cli.ui.console import note
from lnn_cli.ui.errors import CliError

if TYPE_CHECKING:
    from lnn.data.dataset import DatasetSummary
    from lnn.job.hyperparameters import Settings


def check_training(dataset: Path, parameters: bytes, parameters_name: str) -> tuple[DatasetSummary, Settings]:
    """Checks both with the rules that Launch applies; returns what is in them.

    Raises:
        CliError: everything wrong with either, in one line.
    """
    from lnn.data.dataset import inspect_dataset
    from lnn.job.hyperparameters import parse_settings
    from lnn.planning.feasibility import check_settings_fit

    problems = []
    summary = settings = None
    try:
        summary = inspect_dataset(existing_file(dataset))
    except InputError as error:
        problems.append(f"{dataset}: {error}")
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
        raise CliError("; ".join(problems))
    return summary, settings


def check_dataset(dataset: Path) -> DatasetSummary:
    """What is in a dataset.

    Raises:
        CliError: everything wrong with it, in one line.
    """
    from lnn.data.dataset import inspect_dataset

    try:
        return inspect_dataset(existing_file(dataset))
    except InputError as error:
        raise CliError(f"{dataset}: {error}") from error


def tell_warnings(warnings: Iterable[str]) -> None:
    """Says on standard error what is odd about a dataset that can be trained on."""
    for warning in warnings:
        note(f"warning: {warning}")


def existing_file(path: Path) -> Path:
    """The path itself.

    Raises:
        CliError: there is no file there.
    """
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise CliError(f"{path} {what}; name a file")
    return path
