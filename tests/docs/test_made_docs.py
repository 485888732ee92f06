"""What of docs/ is made from something else is what that something gives now."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from lnn.job.hyperparameters import Settings
from lnn_tools.docs import commands, parameters, references

TEXT = "{http://www.w3.org/2000/svg}text"


@pytest.mark.parametrize("file", ["docs/cli.md", "docs/parameters.md", "terraform/modules/vpc/README.md"])
def test_a_made_file_is_what_its_source_gives(file: str) -> None:
    path = references.REPOSITORY / file
    assert path.read_text() == references.generated()[path], "run make docs"


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


def test_the_picture_of_the_flow_shows_every_function() -> None:
    root = references.REPOSITORY
    texts = [text.text or "" for text in ET.parse(root / "docs" / "flow.svg").iter(TEXT)]  # noqa: S314 - our own file
    shown = {text.removesuffix(" Lambda").lower() for text in texts if text.endswith(" Lambda")}
    assert shown == {handler.parent.name for handler in (root / "functions").glob("*/handler.py")}


def test_the_recording_of_the_view_moves_and_is_light() -> None:
    path = references.REPOSITORY / "docs" / "view.webp"
    assert path.stat().st_size < 3_000_000
    with Image.open(path) as recording:
        assert getattr(recording, "n_frames", 1) > 20
        first = recording.convert("RGB").tobytes()
        recording.seek(recording.n_frames - 1)
        assert recording.convert("RGB").tobytes() != first
