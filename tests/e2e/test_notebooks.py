"""The notebooks as a reader runs them, top to bottom against the local cloud, and what their cells show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lnn_tools.docs.notebook_pages import KEPT, NAMES, kept
from support.e2e_cloud import CloudUnderTest, environment
from support.repository import REPOSITORY

FIGURES = {"Introduction": 4, "Codebook": 12, "Analysis": 7, "Client": 3}
"""At least so many."""

# Runs in each kernel before the first cell: whatever shows a figure renders it with this method.
HOOK = """
import json, os
from matplotlib.backend_bases import FigureCanvasBase

def text(artist):
    return artist.get_text() if artist is not None else ""

def described(axes):
    return {
        "title": axes.get_title(),
        "labels": [axes.get_xlabel(), axes.get_ylabel()],
        "ticks": bool(axes.axison and (len(axes.get_xticks()) or len(axes.get_yticks()))),
        "picture": bool(axes.images),
        "colors": axes.get_label() == "<colorbar>",
        "empty": not axes.has_data(),
    }

def checked(canvas, *arguments, render=FigureCanvasBase.print_figure, **options):
    figure = canvas.figure
    seen = {"title": text(figure._suptitle), "axes": [described(axes) for axes in figure.axes]}
    with open(os.environ["FIGURES_SEEN"], "a") as file:
        file.write(json.dumps(seen) + "\\n")
    return render(canvas, *arguments, **options)

FigureCanvasBase.print_figure = checked
"""


@dataclass(frozen=True, slots=True)
class Executed:
    """A notebook after all of its cells have run."""

    cells: list[dict[str, Any]]
    figures: list[dict[str, Any]]
    page: str

    @property
    def code(self) -> list[dict[str, Any]]:
        return [cell for cell in self.cells if cell["cell_type"] == "code"]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        return [output for cell in self.code for output in cell["outputs"]]

    @property
    def printed(self) -> str:
        return "".join("".join(output["text"]) for output in self.outputs if output["output_type"] == "stream")


@pytest.fixture(scope="module")
def tools() -> Path:
    """The interpreter that `make notebooks` uses."""
    done = subprocess.run(
        [REPOSITORY / "scripts" / "setup.sh", "notebooks"],
        env=environment(REPOSITORY / ".lnn") | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return REPOSITORY / ".venv-notebooks" / "bin" / "python"


@pytest.fixture(scope="module", params=NAMES)
def executed(
    request: pytest.FixtureRequest, cloud: CloudUnderTest, tools: Path, tmp_path_factory: pytest.TempPathFactory
) -> Executed:
    """One of the notebooks, run by the script behind `make notebooks`."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "hook.py").write_text(HOOK)
    figures = folder / "figures.jsonl"
    figures.touch()
    done = subprocess.run(
        [tools, "-m", "lnn_tools.docs.notebooks", name, "--output", folder],
        env=environment(cloud.home) | {"IPYTHONDIR": str(folder / "ipython"), "FIGURES_SEEN": str(figures)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return Executed(
        cells=json.loads((folder / f"{name}.ipynb").read_text())["cells"],
        figures=[json.loads(line) for line in figures.read_text().splitlines()],
        page=(folder / f"{name}.html").read_text(),
    )


def heading(executed: Executed) -> str:
    """The notebook's name, as its first cell begins."""
    return "".join(executed.cells[0]["source"]).removeprefix("# ").partition(":")[0]


def test_every_cell_runs_without_an_error_or_a_warning(executed: Executed) -> None:
    assert all(cell["execution_count"] for cell in executed.code)
    for output in executed.outputs:
        assert output["output_type"] != "error", output
        assert output.get("name") != "stderr", output
    assert not re.search(r"\bwarning\b", executed.printed, re.IGNORECASE)


def test_every_figure_has_axes_and_a_title(executed: Executed) -> None:
    assert len(executed.figures) >= FIGURES[heading(executed)]
    for figure in executed.figures:
        drawn = [axes for axes in figure["axes"] if not axes["colors"] and not axes["empty"]]
        assert drawn
        # Panels of one kind share labels; a picture without ticks has no axes to label.
        labeled = any(all(axes["labels"]) for axes in drawn)
        for axes in drawn:
            assert axes["title"] or figure["title"], figure
            assert all(axes["labels"]) or (axes["picture"] and (labeled or not axes["ticks"])), figure


def test_every_figure_is_on_the_page_which_needs_no_network(executed: Executed) -> None:
    assert executed.page.count('src="data:image/png;base64,') == len(executed.figures)
    assert not re.search(
        r"""(src|href)=["']?https?:|@import|import .* from""",
        re.sub(r"<pre>.*?</pre>", "", executed.page, flags=re.DOTALL),
    )


def test_all_that_is_compared_is_the_same(executed: Executed) -> None:
    """Client compares a model with its file, Codebook everything that it computes by hand; the others accuracies."""
    apart = [float(found) for found in re.findall(r"differs? by (\S+) at most", executed.printed)]
    assert all(difference < 1e-9 for difference in apart)
    assert len(apart) >= (17 if heading(executed) == "Codebook" else 0)
    if heading(executed) == "Codebook":
        assert re.search(r"^COMPLETED, \d+ invocations; 80 arrays seen$", executed.printed, re.MULTILINE)
        assert re.findall(r"^epoch +(\d+) ", executed.printed, re.MULTILINE)[-10:] == [str(e) for e in range(1, 11)]


def test_an_accuracy_stands_beside_the_base_rate_and_recall(executed: Executed) -> None:
    if heading(executed) not in ("Analysis", "Client"):
        pytest.skip("it prints no accuracy")
    for name in ("base rate", "balanced accuracy", "recall"):
        assert re.search(rf"^{name}: .*%", executed.printed, re.MULTILINE)


def test_the_site_keeps_outputs_of_the_same_kinds(executed: Executed, tools: Path, tmp_path: Path) -> None:
    """Pictures where there were pictures, texts where there were texts: what is committed is what cells show."""
    name = heading(executed)
    (tmp_path / f"{name}.ipynb").write_text(json.dumps({"cells": executed.cells}))
    command = [tools, "-m", "lnn_tools.docs.notebook_outputs", name, "--executed", tmp_path]
    done = subprocess.run([*command, "--output", tmp_path / "kept"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    now, committed = (
        {cell: [list(output) for output in of["outputs"]] for cell, of in kept(name, folder)["cells"].items()}
        for folder in (tmp_path / "kept", KEPT)
    )
    assert now == committed
    assert any(now.values())


def test_without_a_cloud_a_notebook_says_how_to_start_one(tools: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [tools, "-m", "lnn_tools.docs.notebooks", "Analysis", "--output", tmp_path],
        env=environment(tmp_path / "nothing"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        done.stderr == "notebooks: Analysis: LocalCloudDown: the local cloud is not running; start it with: make up\n"
    )
