"""The site's pages of the notebooks show what is in the notebooks, and outputs of just that code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lnn_tools.docs import notebook_pages
from lnn_tools.docs.notebook_pages import KEPT, MOST_BYTES, NAMES, StaleOutputsError, digest, kept, markdown, notebook

PICTURES = {"Introduction": 5, "Codebook": 12, "Analysis": 7, "Client": 4}
"""At least so many."""


def code_of(name: str) -> list[dict[str, Any]]:
    return [cell for cell in notebook(name)["cells"] if cell["cell_type"] == "code"]


def pictures_of(name: str) -> list[str]:
    outputs = [output for cell in kept(name)["cells"].values() for output in cell["outputs"]]
    return [output["picture"] for output in outputs if "picture" in output]


@pytest.mark.parametrize("name", NAMES)
def test_the_outputs_that_are_kept_are_those_of_the_notebook_s_code(name: str) -> None:
    digests = {cell["id"]: digest(notebook_pages.source_of(cell)) for cell in code_of(name)}
    shown = {cell: of["source"] for cell, of in kept(name)["cells"].items()}
    assert list(shown.items()) == list(digests.items()), f"{name} has changed: make pages"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_all_code_and_every_output_of_it_in_order(name: str) -> None:
    page, place = markdown(notebook(name)["cells"], kept(name)["cells"]), 0
    for cell in code_of(name):
        outputs = kept(name)["cells"][cell["id"]]["outputs"]
        shown = [output.get("picture") or output["text"].rstrip() for output in outputs]
        for text in [notebook_pages.source_of(cell), *shown]:
            place = page.index(text, place) + len(text)
    assert len(pictures_of(name)) >= PICTURES[name]


def test_each_picture_is_there_and_no_other() -> None:
    named = [picture for name in NAMES for picture in pictures_of(name)]
    assert len(set(named)) == len(named)
    assert all((KEPT / picture).is_file() for picture in named)
    files = {file.name for file in KEPT.iterdir()}
    assert files == {picture for picture in named if "/" not in picture} | {f"{name}.json" for name in NAMES}


def test_what_is_kept_is_bounded_and_has_no_metadata_of_a_run() -> None:
    assert sum(file.stat().st_size for file in KEPT.iterdir()) <= MOST_BYTES
    for name in NAMES:
        text = (KEPT / f"{name}.json").read_text()
        assert "execution" not in text
        assert "metadata" not in text
        assert json.loads(text).keys() == {"cells"}


def test_a_page_leads_to_the_others() -> None:
    page = markdown(notebook("Introduction")["cells"], kept("Introduction")["cells"])
    assert "[Codebook](Codebook.md)" in page
    assert "[Analysis](Analysis.md)" in page


@pytest.mark.parametrize("change", ["print(2)", ""])
def test_code_that_has_changed_since_is_refused(change: str) -> None:
    cell = {"cell_type": "code", "id": "one", "source": [change]}
    known = {"one": {"source": digest("print(1)"), "outputs": [{"text": "1\n"}]}}
    with pytest.raises(StaleOutputsError, match="one"):
        markdown([cell], known)
    with pytest.raises(StaleOutputsError, match="one"):
        markdown([cell], {})
    assert "1" in markdown([{**cell, "source": "print(1)"}], known)
