"""A run's history for TensorBoard: an event file that grows with the run."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from lnn.runs.record import EpochRow, Run, figures_of_updates
from lnn_client.histories import before_first_gap
from lnn_client.needs import need

FLUSH_SECONDS = 1
"""A thread of tensorboardX writes: so long, at most, the file lags behind the run."""


class EventFile(AbstractContextManager["EventFile"]):
    """An event file in a folder, with the curves of a run's history at the times of their epochs as far as known.

    Beside the accuracies are the base rate and, as one point, the final model's balanced accuracy and lowest recall.

    Raises:
        MissingPackage: the package tensorboardX is not installed.
    """

    def __init__(self, folder: Path) -> None:
        library = need("tensorboardX", "tensorboardX", "TensorBoard's event files")
        self._writer = library.SummaryWriter(str(folder), flush_secs=FLUSH_SECONDS)
        self._epoch, self._seconds, self._has_end = 0, 0.0, False

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, run: Run, history: Sequence[EpochRow]) -> None:
        """Writes the rows that are new, up to the first gap while the run goes on; then its end, too."""
        began = run.training_started_at or run.created_at
        measured = (*run.cost_names, *run.score_names)
        tags = {name: "/".join(reversed(name.split("_"))) for name in measured}  # such as accuracy/train
        tags |= {name: name for name in figures_of_updates(history)}
        tags["seconds"] = "seconds_an_epoch"
        base_rate = run.base_rate("test")
        for row in history if run.has_ended else before_first_gap(run, history):
            if row.epoch <= self._epoch:
                continue
            # Rows of every nth epoch stand for n epochs, whose time is not recorded: then only their order is right.
            self._epoch, self._seconds = row.epoch, self._seconds + row.seconds
            for name, tag in tags.items():
                if (value := getattr(row, name)) is not None:
                    self._writer.add_scalar(tag, value, row.epoch, walltime=began + self._seconds)
            if base_rate is not None:
                self._writer.add_scalar("accuracy/base_rate", base_rate, row.epoch, walltime=began + self._seconds)
        # Only the end of a run counts by class.
        if run.has_ended and self._epoch and not self._has_end and (metrics := run.test_metrics) is not None:
            self._has_end = True
            figures = {"balanced_accuracy": metrics.balanced_accuracy, "lowest_recall": metrics.lowest_recall}
            for name, value in figures.items():
                self._writer.add_scalar(f"{name}/test", value, run.model_epoch, walltime=began + self._seconds)
