#!/usr/bin/env python3
"""LNN's optimizers, schedules, clipping, losses and activations beside PyTorch's own, in float64.

It passes if no difference is above 1e-9.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lnn_tools.errors import exit_status
from lnnbench.definitions import BOUND, UPDATES, comparisons
from lnnbench.machine import machine, revision
from lnnbench.report import figure, table

NAME = "against_pytorch"


def main() -> int:
    parser = argparse.ArgumentParser(description="Optimizers, schedules, losses, activations beside PyTorch's.")
    parser.add_argument("--output", type=Path, help=f"folder for {NAME}.json and {NAME}.md (default: print only)")
    arguments = parser.parse_args()
    rows = list(comparisons())
    report: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "revision": revision(),
        "machine": machine("torch"),
        "bound": BOUND,
        "updates": UPDATES,
        "rows": [{**asdict(row), "passed": row.passed} for row in rows],
        "passed": all(row.passed for row in rows),
    }
    shown = "\n".join(in_markdown(report)) + "\n"
    print(shown)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / f"{NAME}.json").write_text(json.dumps(report, indent=2) + "\n")
        (arguments.output / f"{NAME}.md").write_text(shown)
    return 0 if report["passed"] else 1


def in_markdown(report: dict[str, Any]) -> Iterator[str]:
    """The table of all comparisons."""
    machine_, rows = report["machine"], report["rows"]
    largest = max(row["difference"] for row in rows)
    yield "# Beside PyTorch's own definitions\n"
    yield (
        f"Largest differences in float64 over {report['updates']} updates, or of one evaluation: {report['date']}, "
        f"{machine_['others']},\nnumpy {machine_['numpy']}, {machine_['cpu']}. At most {report['bound']:g} passes; the "
        f"largest of all is {figure(largest)}.\nTrainings have a hidden layer of each of elu, gelu and "
        "silu, class weights, L2, clipping,\nand a cosine schedule with a warm-up.\n"
    )
    yield from table(
        ("LNN", "PyTorch", "largest difference:", "passed"),
        ((row["lnn"], row["pytorch"], figure(row["difference"]), "yes" if row["passed"] else "**no**") for row in rows),
    )


if __name__ == "__main__":
    sys.exit(exit_status(NAME, main))
