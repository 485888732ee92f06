"""What of a cell's outputs the site keeps: texts, and drawings as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lnn_client.curve import curve_of
from lnn_tools.docs.notebook_outputs import LINE_COLOR, keep
from lnn_tools.errors import ToolError


def kept(folder: Path, *outputs: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is kept of a cell with these outputs."""
    cell = {"cell_type": "code", "id": "one", "source": ["run"], "outputs": list(outputs)}
    (folder / "Some.ipynb").write_text(json.dumps({"cells": [cell]}))
    keep("Some", folder / "Some.ipynb", folder)
    found: list[dict[str, str]] = json.loads((folder / "Some.json").read_text())["cells"]["one"]["outputs"]
    return found


def shown(html: str, text: str) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"text/html": [html], "text/plain": [text]}, "metadata": {}}


def test_of_html_the_text_beside_it_is_kept_in_lines_of_their_own(tmp_path: Path) -> None:
    printed = {"output_type": "stream", "name": "stdout", "text": ["after\n"]}
    found = kept(tmp_path, shown("<progress></progress>", "[###]"), shown("<table></table>", "a b"), printed)
    assert found == [{"text": "[###]\na b\nafter\n"}]


def test_a_curve_in_html_becomes_a_file_below_its_caption(tmp_path: Path) -> None:
    html = f"<figure><figcaption>a &lt; b</figcaption>{curve_of([2.0, 1.0])}</figure>"
    found = kept(tmp_path, shown(html, "Run('r')"))
    assert found == [{"text": "a < b\n"}, {"picture": "Some-one-1.svg"}]
    drawing = (tmp_path / "Some-one-1.svg").read_text()
    assert drawing.startswith('<svg xmlns="http://www.w3.org/2000/svg" role="img"')
    assert f'stroke="{LINE_COLOR}"' in drawing


def test_html_without_a_text_that_says_the_same_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no text beside it"):
        kept(tmp_path, shown("<table></table>", "<IPython.core.display.HTML object>"))
