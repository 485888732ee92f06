"""Make the example tables: small ones that scikit-learn carries, and toys that it or numpy draws.

    pip install -r requirements/dev.txt && pip install -e .      # from the repository's root
    python examples/tables/make_tables.py                        # writes examples/tables/*.csv

The same versions of numpy and scikit-learn write the same bytes. See README.md for sources and licenses.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_iris, load_wine, make_circles, make_moons

FOLDER = Path(__file__).parent
SEED = 0
TOY_ROWS = 400
TURNS = 1.0


def main() -> None:
    """Write all tables."""
    for name, load in (("iris", load_iris), ("wine", load_wine)):
        known = load()
        names = [feature.removesuffix(" (cm)") for feature in known.feature_names]
        label = {"iris": "species", "wine": "cultivar"}[name]
        write(name, [*names, label], rows_of(known.data, known.target_names[known.target]))
    patients, progression = load_diabetes(return_X_y=True, scaled=False)
    write("diabetes", [*load_diabetes().feature_names, "progression"], rows_of(patients, progression.astype(int)))
    for name, (points, of_class) in toys().items():
        write(name, ["x", "y", "class"], rows_of(points.round(4), np.array(["a", "b"])[of_class]))


def toys() -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Points in the plane and their classes."""
    random = np.random.default_rng(SEED)
    square = random.uniform(-1, 1, (TOY_ROWS, 2))
    return {
        "xor": (square, (square[:, 0] * square[:, 1] < 0).astype(int)),
        "moons": make_moons(TOY_ROWS, noise=0.15, random_state=SEED),
        "circles": make_circles(TOY_ROWS, noise=0.08, factor=0.5, random_state=SEED),
        "spiral": spiral(random),
    }


def spiral(random: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two arms that turn around each other."""
    of_class = np.arange(TOY_ROWS) % 2
    radius = np.sqrt(random.uniform(0.01, 1, TOY_ROWS))
    angle = 2 * np.pi * TURNS * radius + np.pi * of_class
    points = radius[:, np.newaxis] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points + random.normal(0, 0.02, points.shape), of_class


def rows_of(X: NDArray[Any], labels: Sequence[Any]) -> Iterator[list[Any]]:
    """Lines of a table: the features and the label of each example."""
    for features, label in zip(X.tolist(), labels, strict=True):
        yield [*(int(value) if value == int(value) else value for value in features), label]


def write(name: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write ``name``.csv and say so."""
    path = FOLDER / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(names)
        lines.writerows(rows)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
