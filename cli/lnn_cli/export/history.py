"""A run's history for spreadsheets (CSV) and for TensorBoard (event files)."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from lnn.runs.record import EpochRow, Run, figures_of_updates
from lnn_client.histories import figures, names_of_figures
from lnn_client.needs import need


def encode_csv(run: Run, history: Sequence[EpochRow]) -> bytes:
    """A line for each recorded epoch; figures in full precision, accuracies as shares of 1. Unknown ones are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names_of_figures(run, history, "seconds"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(figures(run, history, "seconds"))
    return text.getvalue().encode()


def write_tensorboard(folder: Path, run: Run, history: Sequence[EpochRow]) -> None:
    """An event file in ``folder`` with the history's curves, at the times of their epochs as far as these are known.

    Beside the accuracies are the base rate and, as one point, the final model's balanced accuracy and lowest recall.

    Raises:
        MissingPackage: the package tensorboardX is not installed.
    """
    library = need("tensorboardX", "tensorboardX", "an export for TensorBoard")
    at = run.training_started_at or run.created_at
    measured = (*run.cost_names, *run.score_names)
    tags = {name: "/".join(reversed(name.split("_"))) for name in measured}  # such as accuracy/train
    tags |= {name: name for name in figures_of_updates(history)}
    tags["seconds"] = "seconds_an_epoch"
    base_rate = run.base_rate("test")
    with library.SummaryWriter(str(folder)) as writer:
        for row in history:
            # Rows of every nth epoch stand for n epochs, whose time is not recorded: then only their order is right.
            at += row.seconds
            for name, tag in tags.items():
                if (value := getattr(row, name)) is not None:
                    writer.add_scalar(tag, value, row.epoch, walltime=at)
            if base_rate is not None:
                writer.add_scalar("accuracy/base_rate", base_rate, row.epoch, walltime=at)
        # Only the end of a run counts by class.
        if history and (metrics := run.test_metrics) is not None:
            writer.add_scalar("balanced_accuracy/test", metrics.balanced_accuracy, run.model_epoch, walltime=at)
            writer.add_scalar("lowest_recall/test", metrics.lowest_recall, run.model_epoch, walltime=at)
