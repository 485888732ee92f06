"""The notebooks as pages of the site: MkDocs hooks that put a notebook's cells and what they showed together.

Prose and code are the notebook's own. What its cells showed is kept in docs/notebooks by ``notebook_outputs``, since
the site's builder has no local cloud to run them on. A cell whose code has changed since stops the build.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOKS = ROOT / "notebooks"
KEPT = ROOT / "docs" / "notebooks"
NAMES = ("Introduction", "Codebook", "Analysis", "Client")
MOST_BYTES = 1_500_000
"""Of all that is kept: the repository has it in every clone."""

MADE = """*These are the outputs of one run on the local cloud. `make notebooks` runs the notebook on yours.*"""


class StaleOutputsError(Exception):
    """A notebook's code is other than the one whose outputs are kept."""


def digest(source: str) -> str:
    """Of a cell's code, as it is kept beside what the cell showed."""
    return hashlib.sha256(source.encode()).hexdigest()


def source_of(cell: Mapping[str, Any]) -> str:
    return "".join(cell["source"])


def notebook(name: str) -> dict[str, Any]:
    """A notebook of the repository, in nbformat's JSON."""
    read: dict[str, Any] = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return read


def kept(name: str, folder: Path = KEPT) -> dict[str, Any]:
    """For the id of each code cell, in their order, the ``source``'s digest and the ``outputs``.

    An output has ``text``, or the file name of a ``picture``, relative to docs/notebooks.
    """
    read: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return read


def markdown(cells: list[dict[str, Any]], outputs: Mapping[str, Any]) -> str:
    """The page of a notebook with these cells. Raises StaleOutputsError."""
    return "\n\n".join(_parts(cells, outputs)) + "\n"


def _parts(cells: list[dict[str, Any]], outputs: Mapping[str, Any]) -> Iterator[str]:
    heading = ""
    for number, cell in enumerate(cells):
        source = source_of(cell)
        if cell["cell_type"] == "markdown":
            heading = next(iter(re.findall(r"^#+ (.*)$", source, re.MULTILINE)[-1:]), heading)
            yield _linked(source)
            if number == 0:
                yield MADE
            continue
        shown = outputs.get(cell["id"])
        if shown is None or shown["source"] != digest(source):
            raise StaleOutputsError(f"cell {cell['id']} has other code than the one whose outputs are kept")
        yield f"``` python\n{source}\n```"
        for output in shown["outputs"]:
            if "picture" in output:
                yield f"![{heading}: what this cell draws]({output['picture']})"
            else:
                yield f"``` {{ .text .output }}\n{output['text'].rstrip()}\n```"


def _linked(source: str) -> str:
    """Prose in which a notebook's name leads to its page."""
    return re.sub(rf"`({'|'.join(NAMES)})\.ipynb`", r"[\1](\1.md)", source)


# Hooks


def on_files(files: Any, config: Any) -> Any:
    """Adds a page for each notebook, which is made once links between files of the repository are turned."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - the tests import this module without MkDocs

    for name in NAMES:
        files.append(File.generated(config, f"notebooks/{name}.md", content=f"# {name}\n"))
    return files


def on_page_markdown(text: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001
    from mkdocs.exceptions import PluginError  # noqa: PLC0415 - as above

    folder, _, file = page.file.src_uri.rpartition("/")
    name = file.removesuffix(".md")
    if folder != "notebooks" or name not in NAMES:
        return text
    try:
        return markdown(notebook(name)["cells"], kept(name)["cells"])
    except StaleOutputsError as error:
        raise PluginError(f"notebooks/{name}.ipynb: {error}; run it again: make pages") from error
