"""What of docs/ is made from something else is what that something gives now."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from lnn.job.hyperparameters import Settings
from lnn_tools.docs import commands, parameters, picture, references

SVG = "{http://www.w3.org/2000/svg}"
TWO_BOXES = """
title = "Two"
size = [300, 100]
note = ""
kinds = {plain = ["#fff", "#000"]}
boxes.left = {kind = "plain", at = [0, 0, 100, 50], text = ["a < b"]}
boxes.right = {kind = "plain", at = [200, 0, 100, 50], name = "Right", text = []}
arrows = [{ends = ["left", "%s"]}]
"""


@pytest.mark.parametrize("file", ["flow.svg", "cli.md", "parameters.md"])
def test_a_made_file_is_what_its_source_gives(file: str) -> None:
    path = references.DOCS / file
    assert path.read_text() == references.made()[path], "run make docs"


def test_a_page_that_has_lost_the_place_for_what_is_made_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "cli.md"
    page.write_text(f"# Commands\n\n{references.BEGIN}\n")
    with pytest.raises(ValueError, match=r"cli\.md has no place"):
        references.between(page, lambda: "")


def test_every_parameter_has_a_row_that_says_what_it_is_for_and_what_it_may_be() -> None:
    rows = parameters.table().splitlines()[2:]
    assert [row.split("|")[1].strip(" `") for row in rows] == list(Settings.model_fields)
    assert all(len(cell) > 5 for row in rows for cell in row.split(" | ")[1:3])


def test_the_reference_of_the_commands_has_each_with_an_example() -> None:
    sections = commands.reference().split("\n## ")[1:]
    assert len(sections) > 20
    assert [section.partition("\n")[0] for section in sections if "Example:\n\n```sh" not in section] == []


def test_an_arrow_goes_from_border_to_border_of_its_boxes(tmp_path: Path) -> None:
    source = tmp_path / "two.toml"
    source.write_text(TWO_BOXES % "right")
    drawn = ET.fromstring(picture.draw(source))  # noqa: S314 - drawn here
    (line,) = drawn.iter(f"{SVG}line")
    ends = [float(line.attrib[end]) for end in ("x1", "y1", "x2", "y2")]
    assert ends == [100 + picture.GAP, 25, 200 - picture.GAP, 25]
    assert [text.text for text in drawn.iter(f"{SVG}text")][:2] == ["a < b", "Right"]


def test_an_arrow_to_a_box_that_is_not_there_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "two.toml"
    source.write_text(TWO_BOXES % "middle")
    with pytest.raises(KeyError, match="middle"):
        picture.draw(source)
