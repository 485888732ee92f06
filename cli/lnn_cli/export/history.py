"""A run's history for spreadsheets (CSV) and for TensorBoard (event files)."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from lnn.runs.record import EpochRow, Run
from lnn_cli.export.needs import need

COLUMNS = ("epoch", "cost", "train_accuracy", "test_accuracy", "seconds")
TAGS = {
    "cost": "cost",
    "train_accuracy": "accuracy/train",
    "test_accuracy": "accuracy/test",
    "seconds": "seconds_an_epoch",
}


def encode_csv(history: Sequence[EpochRow]) -> bytes:
    """A line for each recorded epoch; figures in full precision, accuracies as shares of 1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(row, name) for name in COLUMNS] for row in history)
    return text.getvalue().encode()


def write_tensorboard(folder: Path, run: Run, history: Sequence[EpochRow]) -> None:
    """An event file in ``folder`` with the history's curves, at the times of their epochs as far as these are known.

    Raises:
        CliError: the package tensorboardX is not installed.
    """
    library = need("tensorboardX", "tensorboardX", "an export for TensorBoard")
    at = run.training_started_at or run.created_at
    with library.SummaryWriter(str(folder)) as writer:
        for row in history:
            # Rows of every nth epoch stand for n epochs, whose time is not recorded: then only their order is right.
            at += row.seconds
            for name, tag in TAGS.items():
                writer.add_scalar(tag, getattr(row, name), row.epoch, walltime=at)
