"""The file that ``lnn predict -o`` writes: a line for each row or picture, as CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lnn_cli.ui.console import note, say, size

if TYPE_CHECKING:
    from lnn.models.inference import Numbers, Prediction
    from lnn.models.model_file import Model

PROBLEM = "problem"


def line(network: Model, said: Prediction | Numbers | None) -> list[str | float]:
    """The cells of a prediction, empty ones where there is none."""
    from lnn.models.inference import Numbers

    if said is None:
        return [""] * (len(network.list_targets) or 2 + len(network.list_classes))
    if isinstance(said, Numbers):
        return [*said.values]
    return [said.classes[said.index], max(said.probabilities), *said.probabilities]


def write_predictions(
    path: Path,
    network: Model,
    lines: Iterable[Sequence[str | float]],
    before: Sequence[str] = (),
    problems: Mapping[int, str] | None = None,
) -> None:
    """A line for each row or picture: its class, the probability of it, and that of each class; or its numbers.

    With columns ``before`` these, a last one says what is wrong with a line that has no prediction. Without, there is
    such a column where ``problems`` has some by the line's number, from 0, once all lines are written. A failure leaves
    nothing behind.
    """
    texts = [*before, *([] if network.list_targets else ["class"]), *([PROBLEM] if before else [])]
    classes = ["class", "probability", *(f"p({name})" for name in network.list_classes)]
    headings = [*before, *(network.list_targets or classes), *([PROBLEM] if before else [])]
    counts = [0, 0]
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(headings)
            for cells in lines:
                counts[bool(before and cells[-1])] += 1
                writer.writerow(cells)
        if problems:
            counts = [counts[0] - len(problems), len(problems)]
            _add_problems(unfinished, problems)
            headings, texts = [*headings, PROBLEM], [*texts, PROBLEM]
        if path.suffix.lower() == ".parquet":
            _to_parquet(unfinished, path, headings, texts)
        else:
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    say(f"{path} ({size(path.stat().st_size)})")
    what = "pictures" if before else "rows"
    note(f"{counts[0]:,} {what}, by the model of run {network.run_id}")
    if counts[1]:
        note(f"{counts[1]:,} of {sum(counts):,} {what} could not be read; the column {PROBLEM} says why")


def _add_problems(lines: Path, problems: Mapping[int, str]) -> None:
    """A last column for the lines of a CSV file. Most tables have no problem, so it comes in a second pass."""
    wider = lines.with_name(lines.name + ".wider")
    try:
        with lines.open(encoding="utf-8", newline="") as narrow, wider.open("w", encoding="utf-8", newline="") as file:
            rows, writer = csv.reader(narrow), csv.writer(file, lineterminator="\n")
            writer.writerow([*next(rows), PROBLEM])
            writer.writerows([*cells, problems.get(number, "")] for number, cells in enumerate(rows))
        wider.replace(lines)
    finally:
        wider.unlink(missing_ok=True)


def _to_parquet(lines: Path, path: Path, headings: Sequence[str], texts: Sequence[str]) -> None:
    """The same rows in columns, some in memory at a time; a failure leaves nothing behind."""
    import polars as pl

    unfinished = path.with_name(path.name + ".columns")
    kinds = {name: pl.String if name in texts else pl.Float64 for name in headings}
    try:
        pl.scan_csv(lines, schema=kinds).sink_parquet(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
