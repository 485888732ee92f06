"""The corpus of bad input: every case, the same each time.

    PYTHONPATH=tests python -m support.bad_input.corpus FOLDER

writes a folder for each case, with its ``datasets.h5`` and ``parameters.json``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from support.bad_input import datasets, parameters
from support.bad_input.cases import Case


def corpus() -> list[Case]:
    return [*datasets.cases(), *parameters.cases()]


def main(folder: Path) -> None:
    for index, case in enumerate(corpus()):
        place = folder / f"{index:03d}-{re.sub('[^a-z0-9]+', '-', case.name.lower())[:60].strip('-')}"
        place.mkdir(parents=True)
        (place / "datasets.h5").write_bytes(case.dataset)
        (place / "parameters.json").write_bytes(case.parameters)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
