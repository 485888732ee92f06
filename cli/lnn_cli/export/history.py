"""A run's history for spreadsheets (CSV)."""

import csv
import io
from collections.abc import Sequence

from lnn.runs.record import EpochRow, Run
from lnn_client.histories import figures, names_of_figures


def encode_csv(run: Run, history: Sequence[EpochRow]) -> bytes:
    """A line for each recorded epoch; figures in full precision, accuracies as shares of 1. Unknown ones are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names_of_figures(run, history, "seconds"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(figures(run, history, "seconds"))
    return text.getvalue().encode()
