"""Runs the notebooks on the local cloud, and writes each with its outputs and as an HTML page.

.venv-notebooks/bin/python -m lnn_tools.docs.notebooks [--output build/notebooks] [NAME...]

The exit status is 0 only if every cell ran without an error or a warning.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from traitlets.config import Config

from lnn_tools.docs.notebook_pages import NAMES, NOTEBOOKS

REPOSITORY = Path(__file__).resolve().parents[3]
CELL_SECONDS = 240
# Without encryption a kernel warns that other users of the machine could read its messages.
KERNEL = Config({"KernelManager": {"transport_encryption": "required"}})
# Jupyter's page without the scripts that it fetches: it opens without a network, and nothing here needs them.
PAGE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the notebooks against the local cloud and write them as HTML.")
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"{', '.join(NAMES)} (default: all)")
    parser.add_argument("-o", "--output", type=Path, default=REPOSITORY / "build" / "notebooks", help="folder to write")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"there is no notebook {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    problems = [
        f"{name}: {problem}"
        for name in arguments.names
        for problem in run(NOTEBOOKS / f"{name}.ipynb", arguments.output)
    ]
    for problem in problems:
        print(f"notebooks: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def run(path: Path, output: Path) -> list[str]:
    """Runs one notebook and writes it into ``output``, as far as it came; returns what went wrong."""
    notebook = nbformat.read(path, as_version=4)
    began = time.monotonic()
    resources = {"metadata": {"path": path.parent}}
    client = NotebookClient(notebook, timeout=CELL_SECONDS, resources=resources, config=KERNEL)
    failures = []
    try:
        client.execute()
    except CellExecutionError as error:
        failures.append(f"{error.ename}: {error.evalue}")
    page, _ = HTMLExporter(raw_template=PAGE).from_notebook_node(notebook, {"metadata": {"name": path.stem}})
    target = output / f"{path.stem}.html"
    target.write_text(page, encoding="utf-8")
    nbformat.write(notebook, output / path.name)
    print(f"{target}, in {time.monotonic() - began:.0f} s", flush=True)
    return failures + [f"cell {cell_id} shows a warning: {text}" for cell_id, text in warnings(notebook)]


def warnings(notebook: nbformat.NotebookNode) -> Iterator[tuple[str, str]]:
    """What cells have written to standard error, with the cells' ids."""
    for cell in notebook.cells:
        for shown in cell.get("outputs", []):
            if shown.output_type == "stream" and shown.name == "stderr":
                yield cell.id, shown.text.strip()


if __name__ == "__main__":
    main()
