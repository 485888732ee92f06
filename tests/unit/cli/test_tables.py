"""``lnn dataset from-table`` and ``lnn predict`` of rows: every format, every kind of column, and no leakage."""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from lnn.aws.events import HttpRequest
from lnn.data.dataset import load_preprocessing
from lnn.data.preprocessing import Preprocessing
from lnn.data.validation import examine_dataset
from lnn.models.model_file import Model, encode_model
from lnn.serving.api import PredictionApi
from lnn.serving.registry import Registry
from lnn.serving.rollout import Current
from lnn_client import tables
from lnn_client.prediction_api import Answer
from lnn_client.table_columns import MAX_CATEGORIES
from lnn_client.table_datasets import Choices, make_dataset
from lnn_client.tables import open_table
from support.models import Shelves

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

Make = Callable[..., Path]

NAMES = ["age", "color", "member", "income", "bought"]


def rows(count: int = 60) -> list[list[Any]]:
    rng = np.random.default_rng(11)
    return [
        [
            float(rng.normal(40, 9)),
            str(rng.choice(["red", "blue", "grün"])),
            bool(rng.random() < 0.5),
            float(rng.exponential(1e4)),
            str(rng.choice(["no", "yes", "perhaps"])),
        ]
        for _ in range(count)
    ]


def write_csv(path: Path, data: Sequence[Sequence[Any]], names: Sequence[str] = NAMES, separator: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, delimiter=separator)
        lines.writerows([names, *data])
    return path


@pytest.fixture
def checked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of a dataset in this process: to start another takes half a second."""
    monkeypatch.setattr("lnn.data.dataset.inspect_dataset", examine_dataset)


@pytest.fixture
def make(cli: RunCli, tmp_path: Path, checked_here: None) -> Make:
    """Makes a dataset of a table, or of rows."""

    def made(table: Path | Sequence[Sequence[Any]], *options: str, names: Sequence[str] = NAMES) -> Path:
        if not isinstance(table, Path):
            table = write_csv(tmp_path / "made.csv", table, names)
        output = tmp_path / "made.h5"
        label = [] if "--label" in options else ["--label", names[-1]]
        result = cli("dataset", "from-table", table, *label, "-o", output, "--force", *options)
        assert result.exit_code == 0, result.output
        return output

    return made


@pytest.fixture
def refuse(cli: RunCli, tmp_path: Path, checked_here: None) -> Callable[..., str]:
    """The one line that refuses a table; it leaves no file behind."""

    def refused(table: Path | Sequence[Sequence[Any]], *options: str, names: Sequence[str] = NAMES) -> str:
        if not isinstance(table, Path):
            table = write_csv(tmp_path / "bad.csv", table, names)
        before = set(tmp_path.iterdir())
        label = [] if "--label" in options else ["--label", names[-1]]
        result = cli("dataset", "from-table", table, *label, "-o", tmp_path / "bad.h5", *options)
        assert (result.exit_code, result.stdout) == (1, "")
        assert set(tmp_path.iterdir()) == before
        (line,) = result.stderr.splitlines()
        return line

    return refused


def preprocessing_of(path: Path) -> Preprocessing:
    found = load_preprocessing(path)
    assert found is not None
    return found


def parts_of(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: file[name][...] for name in file if name != "preprocessing"}


def test_features_are_what_scikit_learn_makes_of_the_training_rows(make: Make) -> None:
    data = rows()
    for place, part in enumerate(data):
        part.insert(0, "test" if place % 4 == 0 else "train")
    path = make(data, "--test", "part", names=["part", *NAMES])
    train, test = ([row[1:] for row in data if row[0] == part] for part in ("train", "test"))
    oracle = ColumnTransformer(
        [
            ("age", StandardScaler(), [0]),
            ("color", OneHotEncoder(sparse_output=False), [1]),
            ("member", "passthrough", [2]),
            ("income", StandardScaler(), [3]),
        ]
    )
    expected = oracle.fit_transform(np.array(train, dtype=object)).astype(float)
    found = parts_of(path)
    np.testing.assert_allclose(found["train_set_x"], expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        found["test_set_x"], oracle.transform(np.array(test, dtype=object)).astype(float), rtol=1e-6, atol=1e-6
    )
    assert found["list_classes"].tolist() == [b"no", b"perhaps", b"yes"]
    for name, wanted in (("train", train), ("test", test)):
        classes = [found["list_classes"][label].decode() for label in found[f"{name}_set_y"]]
        assert classes == [row[-1] for row in wanted]
    assert preprocessing_of(path).features == ["age", "color=blue", "color=grün", "color=red", "member", "income"]


def test_nothing_of_the_test_rows_reaches_the_training_features(make: Make) -> None:
    data = [[*row[:-1], "test" if place % 3 == 0 else "train", row[-1]] for place, row in enumerate(rows())]
    names = [*NAMES[:-1], "part", NAMES[-1]]
    one = make(data, "--test", "part", "--missing", "median", names=names)
    first, learned = preprocessing_of(one), parts_of(one)
    for row in data:
        if row[4] == "test":
            row[:4] = [1e6, "violet" if row[2] else "red", not row[2], -5e8]
    other = make(data, "--test", "part", "--missing", "median", names=names)
    assert preprocessing_of(other) == first
    np.testing.assert_array_equal(parts_of(other)["train_set_x"], learned["train_set_x"])
    # The change was one that statistics of all rows would have shown.
    assert np.abs(parts_of(other)["test_set_x"]).max() > 1e3


def test_the_split_is_stratified_and_the_same_for_a_seed(make: Make) -> None:
    data = [[place, "a" if place < 80 else "b"] for place in range(100)]
    chosen = []
    for seed in ("1", "1", "2"):
        path = make(data, "--no-standardize", "--test", "0.25", "--seed", seed, names=["x", "y"])
        found = parts_of(path)
        assert np.bincount(found["test_set_y"]).tolist() == [20, 5]
        assert sorted([*found["train_set_x"][:, 0], *found["test_set_x"][:, 0]]) == list(range(100))
        chosen.append(found["test_set_x"][:, 0].tolist())
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize("batch_rows", [7, 20_000])
def test_every_format_gives_the_same_dataset(
    make: Make, tmp_path: Path, batch_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BATCH_ROWS", batch_rows)
    data = rows()
    frame = pl.DataFrame(data, schema=NAMES, orient="row")
    files = {
        name: tmp_path / f"table.{name}" for name in ("csv", "semicolons.csv", "tsv", "csv.gz", "parquet", "feather")
    }
    write_csv(files["csv"], data)
    write_csv(files["semicolons.csv"], data, separator=";")
    write_csv(files["tsv"], data, separator="\t")
    files["csv.gz"].write_bytes(gzip.compress(files["csv"].read_bytes()))
    frame.write_parquet(files["parquet"])
    frame.with_columns(pl.col("color").cast(pl.Categorical)).write_ipc(files["feather"])
    expected = None
    for name, file in files.items():
        path = make(file, "--label", "bought")
        found = {**parts_of(path), "preprocessing": preprocessing_of(path).encode()}
        expected = expected or found
        assert found.keys() == expected.keys()
        for part, values in found.items():
            np.testing.assert_array_equal(values, expected[part], err_msg=f"{name}: {part}")


@pytest.mark.parametrize("policy", ["mean", "median", "most-frequent"])
def test_missing_values_are_filled_as_scikit_learn_fills_them(make: Make, policy: str) -> None:
    data = rows()
    for place in range(0, 60, 7):
        data[place][0] = ["", "NA", "?"][place % 3]
        data[place + 1][1] = ""
        data[place + 2][2] = "null"
    for place, row in enumerate(data):
        row[0] = row[0] if isinstance(row[0], str) else round(row[0])
        row.insert(0, place % 5 == 0)
    path = make(data, "--missing", policy, "--test", "part", names=["part", *NAMES])
    raw = np.array([row[1:5] for row in data if not row[0]], dtype=object)
    ages = np.array([[np.nan if isinstance(age, str) else age] for age in raw[:, 0]], dtype=float)
    oracle = make_pipeline(SimpleImputer(strategy=policy.replace("-", "_")), StandardScaler())
    found = parts_of(path)["train_set_x"]
    np.testing.assert_allclose(found[:, :1], oracle.fit_transform(ages), rtol=1e-6, atol=1e-6)
    colors = raw[:, 1:2].copy()
    colors[colors == ""] = None
    most = SimpleImputer(strategy="most_frequent", missing_values=None)
    one_hot = OneHotEncoder(sparse_output=False).fit_transform(most.fit_transform(colors))
    np.testing.assert_array_equal(found[:, 1:4], one_hot)
    members = [value for value in raw[:, 2] if value != "null"]
    likely = max([False, True], key=members.count)
    np.testing.assert_array_equal(found[:, 4] > 0, [likely if value == "null" else value for value in raw[:, 2]])
    # A row with a missing value is taken by the model, too, and by the same rule.
    assert preprocessing_of(path).matrix([[None, None, None, 5.0]]).shape == (6, 1)


def test_rows_are_dropped_with_the_reason(cli: RunCli, tmp_path: Path) -> None:
    data = [[*row[:4], "", row[4]] for row in rows(20)]
    data[3][0], data[4][1], data[5][5], data[6][5] = "", "n/a", "", ""
    names = [*NAMES[:4], "nothing", NAMES[4]]
    table = write_csv(tmp_path / "table.csv", [[place, *row] for place, row in enumerate(data)], ["", *names])
    options = ("--missing", "drop", "--drop", "income", "-o", tmp_path / "made.h5")
    result = cli("dataset", "from-table", table, "--label", "bought", *options)
    assert result.exit_code == 0, result.output
    told = result.stderr.splitlines()
    for part in (
        "left out: 2 rows: a value is missing",
        "left out: 2 rows: no label in column 'bought'",
        "left out: column 'income': --drop",
        "left out: column 'nothing': it is empty",
        "left out: the column without a name: it is no feature, but a number of rows as tools write it",
    ):
        assert part in told
    found = parts_of(tmp_path / "made.h5")
    assert len(found["train_set_x"]) + len(found["test_set_x"]) == 16
    assert preprocessing_of(tmp_path / "made.h5").names == ["age", "color", "member"]


def test_a_category_that_only_test_rows_have_is_told_and_its_rows_left_out(cli: RunCli, tmp_path: Path) -> None:
    data = [[place, "red" if place % 2 else "blue", place < 16, "ab"[place % 2]] for place in range(20)]
    data[18][1] = "green"
    data[0][2] = data[1][2] = "validation"
    for row in data[2:]:
        row[2] = "train" if row[2] else "test"
    table = write_csv(tmp_path / "table.csv", data, ["x", "color", "part", "y"])
    options = ("--test", "part", "-o", tmp_path / "made.h5")
    result = cli("dataset", "from-table", table, "--label", "y", *options)
    assert result.exit_code == 0, result.output
    told = "1 rows for testing or validation: column 'color' has a category that no training row has"
    assert told in result.stderr
    found = parts_of(tmp_path / "made.h5")
    assert [len(found[f"{part}_set_y"]) for part in ("train", "test", "validation")] == [14, 3, 2]
    again = cli("dataset", "from-table", table, "--label", "y", "--force", "--validation", "0.2", *options)
    assert "column 'part' says which rows are for validation; omit --validation" in again.stderr


def test_a_validation_set_is_drawn_from_the_training_rows_and_gives_no_statistics(make: Make) -> None:
    data = [[place, "ab"[place % 2]] for place in range(100)]
    path = make(data, "--validation", "0.25", names=["x", "y"])
    found = parts_of(path)
    assert [len(found[f"{part}_set_y"]) for part in ("train", "test", "validation")] == [60, 20, 20]
    assert np.bincount(found["validation_set_y"]).tolist() == [10, 10]
    column = preprocessing_of(path).columns[0]
    raw = {
        part: np.rint(found[f"{part}_set_x"][:, 0] * column.scale + column.mean).astype(int).tolist()
        for part in ("train", "test", "validation")
    }
    assert sorted(place for places in raw.values() for place in places) == list(range(100))
    assert column.mean == pytest.approx(np.mean(raw["train"]))
    assert examine_dataset(path).m_validation == 20


@pytest.mark.parametrize("share", ["0", "1", "some"])
def test_a_share_for_validation_that_is_none_is_one_error(refuse: Callable[..., str], share: str) -> None:
    assert f"--validation {share}: it must lie between 0 and 1" in refuse(rows(), "--validation", share)


def weighed(count: int) -> list[list[Any]]:
    """Rows x, w, y, of which each has a weight of its own."""
    return [[place, place / 4, "ab"[place % 2]] for place in range(count)]


def test_each_training_row_keeps_its_weight_however_many_rows_are_read_at_once(
    make: Make, monkeypatch: pytest.MonkeyPatch, cli: RunCli
) -> None:
    data = weighed(100)
    data[7][2] = ""  # a row without a label is left out, and its weight with it
    for rows_at_once in (9, 20_000):
        monkeypatch.setattr(tables, "BATCH_ROWS", rows_at_once)
        path = make(data, "--weights", "w", "--validation", "0.25", "--no-standardize", names=["x", "w", "y"])
        found = parts_of(path)
        np.testing.assert_array_equal(found["train_set_w"], found["train_set_x"][:, 0] / 4)
        assert len(found["train_set_x"]) + len(found["test_set_x"]) + len(found["validation_set_x"]) == 99
        assert not {"test_set_w", "validation_set_w"} & set(found)
    assert preprocessing_of(path).names == ["x"]
    assert re.search(r"training +59 examples, with weights\n", cli("dataset", "check", path).stdout)


@pytest.mark.parametrize(
    ("row", "weight", "told"),
    [
        (3, -1, "column 'w': found '-1' in row 4; expected a weight in each row, a number from 0 to 1e+30"),
        (18, "", "column 'w': found no value in row 19"),
        (0, "heavy", "column 'w': found 'heavy' in row 1"),
        (5, "inf", "column 'w': found 'inf' in row 6"),
        (5, 2e30, "in row 6"),
    ],
)
def test_a_weight_that_is_none_is_one_error(
    refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch, row: int, weight: Any, told: str
) -> None:
    monkeypatch.setattr(tables, "BATCH_ROWS", 8)
    data = weighed(20)
    data[row][1] = weight
    assert told in refuse(data, "--weights", "w", names=["x", "w", "y"])


def test_the_lines_of_from_table_say_what_weights_its_rows(cli: RunCli, tmp_path: Path) -> None:
    table = write_csv(tmp_path / "t.csv", weighed(20), ["x", "w", "y"])
    result = cli("dataset", "from-table", table, "--label", "y", "--weights", "w", "-o", tmp_path / "made.h5")
    assert re.search(r"training +16 rows \(weighted by 'w'\)\n", result.stdout), result.output


def test_weights_of_0_alone_are_refused(cli: RunCli, tmp_path: Path) -> None:
    table = write_csv(tmp_path / "t.csv", [[place, 0, label] for place, _, label in weighed(20)], ["x", "w", "y"])
    result = cli("dataset", "from-table", table, "--label", "y", "--weights", "w", "-o", tmp_path / "made.h5")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith("t.csv: train_set_w: found only 0; expected examples that count")
    assert list(tmp_path.iterdir()) == [table]


@pytest.mark.parametrize("also", [("--label", "w"), ("--label", "y", "--test", "w")])
def test_a_column_of_weights_is_nothing_else(refuse: Callable[..., str], also: tuple[str, ...]) -> None:
    told = refuse(weighed(20), "--weights", "w", *also, names=["x", "w", "y"])
    assert "column 'w': found it named twice" in told


def test_numbers_may_be_names_and_labels_may_be_numbers(make: Make) -> None:
    data = [[place % 3 + 10, place * 0.5, (10, 9)[place % 2]] for place in range(20)]
    path = make(data, "--category", "zone", names=["zone", "x", "y"])
    assert preprocessing_of(path).features == ["zone=10", "zone=11", "zone=12", "x"]
    assert parts_of(path)["list_classes"].tolist() == [b"9", b"10"]


def test_a_constant_has_the_scale_1(make: Make) -> None:
    path = make([[0.1, place, "ab"[place % 2]] for place in range(20)], names=["constant", "x", "y"])
    column = preprocessing_of(path).columns[0]
    assert (column.mean, column.scale) == (pytest.approx(0.1), 1.0)
    assert np.abs(parts_of(path)["train_set_x"][:, 0]).max() < 1e-6


def with_column(name: str, values: Sequence[Any]) -> tuple[list[list[Any]], list[str]]:
    """A table with one column in question beside a good one."""
    return [[value, place, "ab"[place % 2]] for place, value in enumerate(values)], [name, "x", "y"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([f"2024-03-{day:02d}" for day in range(1, 21)], "column 'c': found dates or times; expected numbers"),
        ([f"{day}.3.2024 10:00" for day in range(1, 21)], "column 'c': found dates or times"),
        (
            [*range(19), "many"],
            "column 'c': found 'many' in row 20 of a column of numbers; expected finite numbers: mend it",
        ),
        ([*range(19), "inf"], "column 'c': found 'inf' in row 20 of a column of numbers"),
        (
            [*range(19), ""],
            "column 'c': found 1 of 20 values missing; expected all: fill them with --missing mean, median",
        ),
        (
            [f"name {n}" for n in range(MAX_CATEGORIES + 1)],
            f"column 'c': found more than {MAX_CATEGORIES} different texts; expected numbers, or at most",
        ),
    ],
)
def test_a_column_that_cannot_be_taken_is_one_error_with_its_cure(
    refuse: Callable[..., str], values: list[Any], told: str
) -> None:
    data, names = with_column("c", values)
    line = refuse(data, names=names)
    assert told in line
    assert "--drop" in line or "--missing" in line


def test_every_bad_column_is_named_at_once(refuse: Callable[..., str]) -> None:
    data = [[f"2024-01-{place + 1:02d}", "" if place == 3 else place, "ab"[place % 2]] for place in range(20)]
    line = refuse(data, names=["day", "x", "y"])
    assert "column 'day'" in line
    assert "column 'x'" in line


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([f"id {place}" for place in range(2000)], "column 'y': found more than 1,000 different labels"),
        ([*range(1500), "b"], "column 'y': found more than 1,000 different labels"),
        (["a"] * 20, "column 'y': found 'a' only; expected at least two different labels"),
        ([1.5] * 20, "column 'y': found '1.5' only; expected at least two different labels"),
        ([""] * 20, "column 'y': found no label only; expected at least two different labels"),
        (["a", "b"], "no row is left for testing"),
    ],
)
def test_labels_that_are_no_classes_are_one_error(refuse: Callable[..., str], labels: list[Any], told: str) -> None:
    assert told in refuse([[place, label] for place, label in enumerate(labels)], names=["x", "y"])


@pytest.mark.parametrize("odd", ["inf", "many"])
def test_a_text_among_quantities_does_not_make_classes_of_them(refuse: Callable[..., str], odd: str) -> None:
    data: list[list[Any]] = [[place, 0.5 * place] for place in range(40)]
    data[7][1] = odd
    told = f"column 'y': found '{odd}' in row 8 of a column of numbers to predict; expected finite numbers: mend it"
    assert told in refuse(data, names=["x", "y"])


def test_a_few_numbers_among_names_are_names(make: Make) -> None:
    path = make([[place, ("a", "b", "7")[place % 3]] for place in range(30)], names=["x", "y"])
    assert parts_of(path)["list_classes"].tolist() == [b"7", b"a", b"b"]


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pl.Series([0.0] * 19 + [float("inf")]), "column 'c': found 'inf' in row 20 of a column of numbers"),
        (pl.Series([b"x"] * 20), "column 'c': found values of type Binary; expected numbers, booleans or texts"),
        (pl.Series([None] * 20), "found no value in any column but the label; expected one to learn from"),
        (pl.Series(range(20)).cast(pl.Duration), "column 'c': found dates or times"),
        (pl.Series([{"a": 1}] * 20), "column 'c': found values of type Struct"),
        (pl.Series([None, *range(19)]), "column 'c': found 1 of 20 values missing; expected all: fill them with --m"),
        (pl.Series([str(place) + "!" for place in range(120)] * 2), "column 'c': found more than 100 different texts"),
    ],
    ids=["infinite", "bytes", "empty", "durations", "objects", "gaps", "categories"],
)
def test_a_typed_column_that_cannot_be_taken_is_one_error(
    refuse: Callable[..., str], tmp_path: Path, column: pl.Series, told: str
) -> None:
    labels = [("a", "b")[place % 2] for place in range(len(column))]
    pl.DataFrame({"c": column, "y": labels}).write_parquet(tmp_path / "t.parquet")
    assert told in refuse(tmp_path / "t.parquet", "--label", "y")


def workbook(path: Path, data: Sequence[Sequence[Any]], names: Sequence[str]) -> Path:
    """The smallest .xlsx with one sheet: ECMA-376, part 1, 12.3 and 18.3."""

    def cell(value: Any) -> str:
        if isinstance(value, bool):
            return f'<c t="b"><v>{int(value)}</v></c>'
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value!r}</v></c>"

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in [names, *data])
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType='
        f'"application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{kind}.sheet.main+xml"/><Override PartName="/xl/sheet.xml" ContentType="{kind}.worksheet+xml"/>'
        "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="s" sheetId="1" '
        'r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="sheet.xml"/></Relationships>',
        "xl/sheet.xml": f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    return path


def test_a_workbook_gives_the_dataset_of_the_same_csv(make: Make, tmp_path: Path) -> None:
    data = rows()
    expected = parts_of(make(data))
    path = make(workbook(tmp_path / "book.xlsx", data, NAMES), "--label", "bought")
    for part, values in parts_of(path).items():
        np.testing.assert_array_equal(values, expected[part], err_msg=part)
    assert preprocessing_of(path).names == NAMES[:4]


def test_cells_of_several_lines_are_read_whole_wherever_a_block_of_text_ends(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = [[place, f'a "{place % 3}"\n1,2\n', "xy"[place % 2]] for place in range(60)]
    table = write_csv(tmp_path / "lines.csv", data, ["n", "text", "y"])
    expected = parts_of(make(table, "--label", "y"))
    assert preprocessing_of(tmp_path / "made.h5").columns[1].categories == [f'a "{n}"\n1,2' for n in range(3)]
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(tables, "BLOCK_BYTES", size)
        for part, values in parts_of(make(table, "--label", "y")).items():
            np.testing.assert_array_equal(values, expected[part], err_msg=f"{size}: {part}")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the peak of a process alone")
def test_a_large_table_is_converted_in_bounded_memory(tmp_path: Path) -> None:
    """130 MB of text more take less than 60 MB more memory: in a process of its own, which tells its peak."""
    numbers = np.random.default_rng(0).normal(size=(20_000, 6))
    lines = "".join(",".join(f"{x:.6f}" for x in row) + f",{place % 2}\n" for place, row in enumerate(numbers))
    program = (
        "import sys; from pathlib import Path\n"
        "from lnn_client.table_datasets import Choices, make_dataset; from lnn_client.tables import open_table\n"
        "made = make_dataset(Path(sys.argv[2]), open_table(Path(sys.argv[1])), Choices('y'), lambda rows: None)\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]\n"
        "print(made.train.total() + made.test.total(), int(peak) // 1024)"
    )
    peaks = []
    for copies in (8, 120):
        table = tmp_path / f"{copies}.csv"
        with table.open("w") as file:
            file.write("a,b,c,d,e,f,y\n")
            file.writelines(lines for _ in range(copies))
        answer = subprocess.run(
            [sys.executable, "-c", program, table, tmp_path / "d.h5"], capture_output=True, text=True, check=True
        )
        count, peak = map(int, answer.stdout.split())
        assert count == 20_000 * copies
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 60, peaks
    assert peaks[1] < 300, peaks


@pytest.mark.slow
@pytest.mark.parametrize("label", ["0,1", "0.5,1.25"], ids=["classes", "numbers to predict"])
def test_few_bytes_are_kept_of_each_row(tmp_path: Path, label: str) -> None:
    """What numpy has allocated at most; a process's own peak hides it behind the buffers of polars."""
    rows = 1_200_000
    first, second = label.split(",")
    table, made = tmp_path / "long.csv", tmp_path / "d.h5"
    table.write_text("x,y\n" + f"1,{first}\n2,{second}\n" * (rows // 2))
    tracemalloc.start()
    try:
        make_dataset(made, open_table(table), Choices("y"), lambda rows: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 9 bytes while parts are drawn, 5 MB of chunks, 4 MB of text and its copy.
    assert peak < 9 * rows + 16_000_000


@pytest.mark.parametrize(("classes", "size"), [(128, 1), (129, 2)])
def test_a_class_is_stored_in_as_few_bytes_as_all_of_them_need(make: Make, classes: int, size: int) -> None:
    data: list[list[Any]] = [[place % classes, f"kind{place % classes:03}"] for place in range(5 * classes)]
    parts = parts_of(make(data, "--no-standardize", names=["x", "y"]))
    assert [name.decode() for name in parts["list_classes"]] == [f"kind{place:03}" for place in range(classes)]
    for part in ("train", "test"):
        assert parts[f"{part}_set_y"].dtype.itemsize == size
        np.testing.assert_array_equal(parts[f"{part}_set_y"], parts[f"{part}_set_x"][:, 0])


@pytest.mark.parametrize(
    "labels",
    [[place % 3 for place in range(1500)], list(range(1500)), [*([7] * 700), *([""] * 300), *range(1500)]],
    ids=["classes", "quantities", "quantities after a long time"],
)
def test_labels_are_the_same_however_many_rows_are_read_at_once(
    make: Make, labels: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data: list[list[Any]] = [[place, label] for place, label in enumerate(labels)]
    expected = parts_of(make(data, "--no-standardize", names=["x", "y"]))
    given = np.array([math.nan if label == "" else label for label in labels])
    for rows_at_once in (100, 999):
        monkeypatch.setattr(tables, "BATCH_ROWS", rows_at_once)
        parts = parts_of(make(data, "--no-standardize", names=["x", "y"]))
        assert parts.keys() == expected.keys()
        for part in ("train", "test"):
            np.testing.assert_array_equal(parts[f"{part}_set_x"], expected[f"{part}_set_x"])
            np.testing.assert_array_equal(parts[f"{part}_set_y"], given[parts[f"{part}_set_x"][:, 0].astype(int)])


def test_texts_among_numbers_to_predict_are_one_error(refuse: Callable[..., str]) -> None:
    table = [[place, place % 5] for place in range(20)] + [[20, "five"]]
    told = "column 'y': found 'five'; expected finite numbers to predict, or no --regression"
    assert told in refuse(table, "--regression", names=["x", "y"])


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        ([0.5 * place for place in range(40)], []),
        (list(range(300)), []),
        (list(range(1500)), []),
        ([place % 5 for place in range(40)], ["--regression"]),
    ],
    ids=["fractions", "many", "more than there are classes", "asked for"],
)
def test_labels_that_are_quantities_make_a_dataset_of_regression(
    make: Make, labels: list[float], options: list[str]
) -> None:
    data: list[list[Any]] = [[place, label] for place, label in enumerate(labels)]
    path = make([*data, [7, ""]], *options, names=["x", "y"])
    parts = parts_of(path)
    assert "list_classes" not in parts
    assert parts["list_targets"].tolist() == [b"y"]
    assert parts["train_set_y"].dtype == np.float64
    assert len(parts["test_set_y"]) == round(0.2 * len(labels))
    x = np.concatenate([parts["train_set_x"], parts["test_set_x"]])[:, 0]
    y = np.concatenate([parts["train_set_y"], parts["test_set_y"]])
    assert sorted(y) == sorted(labels)
    column = preprocessing_of(path).columns[0]
    rows_of = np.rint(x * column.scale + column.mean).astype(int)
    assert [labels[row] for row in rows_of] == y.tolist()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--label", "boughd"), "has no column 'boughd'; its columns are 'age', 'color'"),
        (("--drop", "hue"), "has no column 'hue'"),
        (("--test", "part"), "has no column 'part'"),
        (("--weights", "mass"), "has no column 'mass'"),
        (("--test", "1.5"), "--test 1.5: it must lie between 0 and 1"),
        (("--test", "color"), "column 'color': found "),
        (("--missing", "guess"), "guess"),
    ],
)
def test_options_that_do_not_fit_the_table_are_one_error(
    cli: RunCli, tmp_path: Path, options: tuple[str, str], told: str
) -> None:
    table = write_csv(tmp_path / "table.csv", rows())
    label = () if "--label" in options else ("--label", "bought")
    result = cli("dataset", "from-table", table, *label, "-o", tmp_path / "made.h5", *options)
    assert result.exit_code != 0
    assert told in result.stderr
    assert not (tmp_path / "made.h5").exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv", b"", "cannot be read as a table: empty CSV"),
        ("t.csv", b"x,y\n", "has no rows"),
        ("t.csv", b"y\na\nb\n", "has no column but the label"),
        ("t.csv", b"x,y\n1,a,b\n", "cannot be read as a table: found more fields"),
        ("t.csv", b"x,y\n\xe9,a\n1,b\n", "invalid utf-8 sequence: save it as UTF-8"),
        ("t.csv", b"x,x,y\n1,2,a\n", "found two columns named 'x'; rename one"),
        ("t.parquet", b"x,y\n1,a\n", "cannot be read as a table: parquet"),
        ("t.feather", b"x,y\n1,a\n", "cannot be read as a table"),
        ("t.xlsx", b"x,y\n1,a\n", "cannot be read as a table: calamine error"),
        ("t.txt", b"x,y\n1,a\n", "found .txt; expected .csv, .tsv"),
    ],
)
def test_a_file_that_is_no_table_is_one_error(
    refuse: Callable[..., str], tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert told in refuse(path, "--label", "y")


def test_columns_of_other_types_are_refused_by_name(refuse: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"x": [[1], [2]], "y": ["a", "b"]}).write_parquet(path)
    assert "column 'x': found values of type List(Int64)" in refuse(path, "--label", "y")
    pl.DataFrame({"x": [1, 2], "d": [1, 2], "y": ["a", "b"]}).with_columns(pl.col("d").cast(pl.Date)).write_parquet(
        path
    )
    assert "column 'd': found dates or times" in refuse(path, "--label", "y")


def test_check_names_the_columns(cli: RunCli, tmp_path: Path) -> None:
    table = write_csv(tmp_path / "table.csv", rows())
    assert cli("dataset", "from-table", table, "--label", "bought", "-o", tmp_path / "made.h5").exit_code == 0
    result = cli("dataset", "check", tmp_path / "made.h5")
    assert "6, of 4 columns of a table: 'age', 'color', 'member', 'income'" in result.stdout


# Predictions ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(make: Make, tmp_path: Path) -> tuple[Path, Model]:
    """A model with drawn weights for the table."""
    preprocessing = preprocessing_of(make(rows(), "--missing", "mean"))
    rng = np.random.default_rng(5)
    parameters = [(rng.normal(size=(3, preprocessing.width)), rng.normal(size=(3, 1)))]
    classes = ["no", "perhaps", "yes"]
    made = Model(parameters, "run-1", ["softmax"], classes, None, 1.0, preprocessing=preprocessing)
    path = tmp_path / "params.h5"
    path.write_bytes(encode_model(made))
    return path, made


def test_raw_rows_get_their_class_on_the_terminal_as_json_and_in_a_file(
    cli: RunCli, model: tuple[Path, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BATCH_ROWS", 7)
    path, made = model
    assert made.preprocessing is not None
    data = rows(40)[20:]
    table = write_csv(tmp_path / "new.csv", data)
    expected = made.predict_proba(made.preprocessing.matrix([row[:4] for row in data]))
    found = json.loads(cli("predict", table, "--model", path, "--json").stdout)
    assert [entry["row"] for entry in found] == list(range(1, 21))
    for entry, column in zip(found, expected.T, strict=True):
        assert list(entry["probabilities"].values()) == pytest.approx(column.tolist(), abs=1e-12)
    result = cli("predict", table, "--model", path, "-o", tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    lines = list(csv.reader((tmp_path / "out.csv").open()))
    assert lines[0] == ["class", "probability", "p(no)", "p(perhaps)", "p(yes)"]
    assert [line[0] for line in lines[1:]] == [entry["class"] for entry in found]
    assert cli("predict", table, "--model", path).stdout.splitlines()[1].split()[:2] == ["1", found[0]["class"]]
    assert "--force" in cli("predict", table, "--model", path, "-o", tmp_path / "out.csv").stderr


def test_other_types_and_orders_of_columns_predict_the_same(
    cli: RunCli, model: tuple[Path, Model], tmp_path: Path
) -> None:
    data = rows(12)
    frame = pl.DataFrame(data, schema=NAMES, orient="row")
    frame.select("income", "member", "color", "age").write_parquet(tmp_path / "new.parquet")
    table = write_csv(tmp_path / "new.csv", data)
    said = [cli("predict", file, "--model", model[0], "--json").stdout for file in (table, tmp_path / "new.parquet")]
    assert said[0] == said[1] != ""


def test_bad_rows_are_named_and_leave_no_file(cli: RunCli, model: tuple[Path, Model], tmp_path: Path) -> None:
    data = rows(10)
    data[4][0], data[4][1] = "old", "violet"
    table = write_csv(tmp_path / "new.csv", data)
    result = cli("predict", table, "--model", model[0], "-o", tmp_path / "out.csv")
    assert result.exit_code == 1
    assert "row 5: column 'age': found 'old'; expected a finite number" in result.stderr
    assert "row 5: column 'color': found 'violet'; expected one of 'blue', 'grün', 'red'" in result.stderr
    assert not list(tmp_path.glob("out*"))
    lacking = write_csv(tmp_path / "lacking.csv", [row[1:] for row in rows(3)], NAMES[1:])
    assert "has no column 'age'; its columns are 'color'" in cli("predict", lacking, "--model", model[0]).stderr


def test_a_model_is_not_given_what_it_cannot_take(cli: RunCli, model: tuple[Path, Model], tmp_path: Path) -> None:
    table = write_csv(tmp_path / "new.csv", rows(3))
    other = tmp_path / "other.h5"
    other.write_bytes(encode_model(Model(model[1].parameters, "r", ["softmax"], ["a", "b", "c"], None, 1.0)))
    assert "was trained on 6 plain features, and does not know the columns" in cli("predict", table, "-m", other).stderr
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"no picture")
    said = cli("predict", picture, "-m", model[0]).stderr
    assert "was trained on the rows of a table, not on pictures; name a CSV file" in said
    assert "'age', 'color', 'member', 'income'" in said
    assert "name one table" in cli("predict", table, picture, "-m", model[0]).stderr
    assert (
        "trained on the rows of a table" in cli("predict", picture, "-m", model[0], "-o", tmp_path / "out.csv").stderr
    )
    assert not (tmp_path / "out.csv").exists()


def test_a_dataset_of_another_split_is_evaluated_by_its_raw_rows(
    cli: RunCli, model: tuple[Path, Model], make: Make
) -> None:
    data = rows(200)[60:]
    path = make(data, "--seed", "5")
    theirs, ours = preprocessing_of(path), model[1].preprocessing
    assert ours is not None
    assert theirs != ours
    test = parts_of(path)["test_set_x"]
    raw = [dict(zip(theirs.names, theirs.raw(x), strict=True)) for x in test]
    ages = sorted(row[0] for row in data)
    assert min(abs(float(raw[0]["age"]) - age) for age in ages) < 1e-4
    probabilities = model[1].predict_proba(ours.matrix(raw))
    right = float((probabilities.argmax(axis=0) == parts_of(path)["test_set_y"]).mean())
    # As the other table's features alone, they would be taken for others.
    assert np.abs(probabilities - model[1].predict_proba(test.T)).max() > 0.01
    found = json.loads(cli("evaluate", path, "--model", model[0], "--json").stdout)
    assert found["accuracy"] == pytest.approx(right)


def test_a_dataset_without_the_model_s_columns_is_refused(
    cli: RunCli, model: tuple[Path, Model], make: Make, tmp_path: Path
) -> None:
    plain = make(rows())
    with h5py.File(plain, "a") as file:
        del file["preprocessing"]
    said = cli("evaluate", plain, "--model", model[0])
    assert said.exit_code == 1
    assert "does not say from which table its features come" in said.stderr
    other = make([row[1:] for row in rows()], names=NAMES[1:])
    assert "the model takes the column 'age'" in cli("evaluate", other, "--model", model[0]).stderr


def test_the_api_is_asked_with_raw_rows(
    cli: RunCli, world: World, model: tuple[Path, Model], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(world.ledger._client, "lnn-models")
    registry.add({"model_id": "run-1-00000001", "uploaded_at": 1.0}, "registration")
    registry.promote("run-1-00000001", "ada")
    shelves = Shelves({"run-1-00000001": model[1]}, Current(1, "run-1-00000001"))
    api = PredictionApi(shelves.serving(), Path())
    sent: list[Any] = []

    class Gateway:
        def __init__(self, cloud: Any) -> None:
            pass

        def call(self, method: str, path: str, body: bytes, kind: str) -> Answer:
            sent.append(json.loads(body))
            route, _, wanted = path.partition("?model=")
            request = HttpRequest(method, f"/{route}", {"model": wanted}, {"content-type": kind}, body.decode(), False)
            reply = api.answer(request)
            return Answer(reply.status, reply.headers, reply.body.encode())

    monkeypatch.setattr("lnn_client.evaluations.Api", Gateway)
    path = make(rows(100)[30:], "--seed", "3")
    remote = json.loads(cli("evaluate", path, "--api", "--json").stdout)
    local = json.loads(cli("evaluate", path, "--model", model[0], "--json").stdout)
    assert set(sent[0]["features"]) == {"age", "color", "member", "income"}
    assert remote["confusion"] == local["confusion"]


# Evaluations of a table ----------------------------------------------------------------------------------------------


def test_a_labeled_table_is_evaluated_with_the_model_s_own_preprocessing(
    cli: RunCli, model: tuple[Path, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BATCH_ROWS", 7)
    data = rows(40)
    path, made = model
    assert made.preprocessing is not None
    probabilities = made.predict_proba(made.preprocessing.matrix([row[:4] for row in data]))
    right = [made.list_classes[index] == row[4] for index, row in zip(probabilities.argmax(axis=0), data, strict=True)]
    found = json.loads(cli("evaluate", write_csv(tmp_path / "new.csv", data), "--model", path, "--json").stdout)
    assert (found["examples"], found["accuracy"]) == (40, pytest.approx(np.mean(right)))
    for place in (0, 8, 9, 39):
        data[place][4] = ""
    result = cli("evaluate", write_csv(tmp_path / "gaps.csv", data), "--model", path)
    assert result.exit_code == 0, result.output
    assert "left out: 4 rows without a label" in result.stderr
    kept = [good for place, good in enumerate(right) if place not in {0, 8, 9, 39}]
    assert f"{100 * np.mean(kept):.1f}% of 36 examples" in result.stdout


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((0, "old"), "row 3: column 'age': found 'old'; expected a finite number"),
        ((4, "never"), "row 3: column 'bought': found 'never'; expected one of the model's classes: 'no', 'perhaps'"),
    ],
)
def test_a_row_that_cannot_be_evaluated_is_named(
    cli: RunCli, model: tuple[Path, Model], tmp_path: Path, change: tuple[int, str], told: str
) -> None:
    data = rows(5)
    data[2][change[0]] = change[1]
    assert told in cli("evaluate", write_csv(tmp_path / "new.csv", data), "--model", model[0]).stderr


def test_a_table_that_the_model_cannot_be_evaluated_on_is_one_error(
    cli: RunCli, model: tuple[Path, Model], tmp_path: Path
) -> None:
    unlabeled = write_csv(tmp_path / "unlabeled.csv", [row[:4] for row in rows(5)], NAMES[:4])
    assert "has no column 'bought'" in cli("evaluate", unlabeled, "--model", model[0]).stderr
    table = write_csv(tmp_path / "new.csv", rows(5))
    assert "lnn dataset from-table" in cli("evaluate", table, "--api").stderr
    other = tmp_path / "other.h5"
    other.write_bytes(encode_model(Model(model[1].parameters, "r", ["softmax"], ["a", "b", "c"], None, 1.0)))
    assert "was not trained on a table" in cli("evaluate", table, "--model", other).stderr


def test_predictions_of_raw_rows_are_those_of_scikit_learn_s_own_pipeline(cli: RunCli, tmp_path: Path) -> None:
    """Preprocessing, network and forward pass of scikit-learn; its weights in a model of ours."""
    data = rows(80)
    oracle = make_pipeline(
        ColumnTransformer(
            [
                ("age", StandardScaler(), [0]),
                ("color", OneHotEncoder(sparse_output=False), [1]),
                ("member", "passthrough", [2]),
                ("income", StandardScaler(), [3]),
            ]
        ),
        MLPClassifier((7,), activation="tanh", max_iter=60, random_state=0),
    )
    for place, row in enumerate(data):
        row.insert(0, "test" if place >= 60 else "train")
    raw = np.array([row[1:5] for row in data], dtype=object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle.fit(raw[:60], [row[5] for row in data[:60]])
    network = oracle[-1]
    parameters = [(W.T, b[:, np.newaxis]) for W, b in zip(network.coefs_, network.intercepts_, strict=True)]
    table = write_csv(tmp_path / "table.csv", data, ["part", *NAMES])
    options = ("--label", "bought", "--test", "part", "-o", tmp_path / "made.h5")
    assert cli("dataset", "from-table", table, *options).exit_code == 0
    made = Model(
        parameters, "run-1", ["tanh", "softmax"], network.classes_.tolist(), None, 1.0,
        preprocessing=preprocessing_of(tmp_path / "made.h5"),
    )  # fmt: skip
    (tmp_path / "params.h5").write_bytes(encode_model(made))
    new = write_csv(tmp_path / "rows.csv", [row[1:5] for row in data[60:]], NAMES[:4])
    result = cli("predict", new, "--model", tmp_path / "params.h5", "-o", tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    first, *lines = csv.reader((tmp_path / "out.csv").open())
    assert first == ["class", "probability", *(f"p({name})" for name in network.classes_)]
    found = np.array([line[2:] for line in lines], float)
    np.testing.assert_allclose(found, oracle.predict_proba(raw[60:]), rtol=0, atol=1e-6)
    assert [line[0] for line in lines] == oracle.predict(raw[60:]).tolist()


def test_predicted_numbers_of_raw_rows_are_those_of_scikit_learn(cli: RunCli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal([5, -40], [2, 9], (80, 2))
    y = X[:, 0] * 3 + np.abs(X[:, 1])
    frame = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "part": [place >= 60 for place in range(80)], "target": y})
    frame.write_parquet(tmp_path / "table.parquet")
    options = ("--label", "target", "--test", "part", "-o", tmp_path / "made.h5")
    assert cli("dataset", "from-table", tmp_path / "table.parquet", *options).exit_code == 0
    oracle = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(5,), max_iter=30, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle.fit(X[:60], y[:60])
    parameters = [(W.T, b[:, np.newaxis]) for W, b in zip(oracle[-1].coefs_, oracle[-1].intercepts_, strict=True)]
    made = Model(
        parameters, "run-1", ["relu", "linear"], [], None, 1.0,
        preprocessing=preprocessing_of(tmp_path / "made.h5"), list_targets=["target"],
    )  # fmt: skip
    (tmp_path / "params.h5").write_bytes(encode_model(made))
    frame.select("b", "a").write_parquet(tmp_path / "rows.parquet")
    result = cli("predict", tmp_path / "rows.parquet", "--model", tmp_path / "params.h5", "-o", tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    first, *lines = csv.reader((tmp_path / "out.csv").open())
    assert first == ["target"]
    np.testing.assert_allclose([float(line[0]) for line in lines], oracle.predict(X), rtol=1e-6, atol=1e-6)
    evaluated = json.loads(cli("evaluate", tmp_path / "table.parquet", "-m", tmp_path / "params.h5", "--json").stdout)
    assert evaluated["r2"] == pytest.approx(oracle.score(X, y), abs=1e-6)
