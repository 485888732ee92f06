"""The documentation's site: built without a warning, every link leads somewhere, and nothing comes from the network."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from support.browser_pages import PATIENCE_MS, violations
from support.repository import REPOSITORY

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}

pytestmark = pytest.mark.timeout(600)  # the first time, the builder is installed


class Page(HTMLParser):
    """Where a page's links lead, what it loads, and the anchors in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.lines: list[str] = []
        self._in_block = False
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_block |= tag == "pre"
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if tag == "a" and name == "href" and value:
                self.links.append(value)
            if (tag, name) in LOADED and value and ("rel", "canonical") not in attrs:
                self.loads.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._in_block &= tag != "pre"

    def handle_data(self, data: str) -> None:
        if not self._in_block:
            self.lines += [line.lstrip() for line in data.split("\n")[1:]]


def mkdocs(repository: Path, site: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [REPOSITORY / ".venv-docs" / "bin" / "mkdocs", "build", "--strict", "--site-dir", site]
    variables = os.environ | {"NO_MKDOCS_2_WARNING": "1"} | environment
    return subprocess.run(command, cwd=repository, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def builder() -> None:
    done = subprocess.run([REPOSITORY / "scripts" / "setup.sh", "docs"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(builder: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The site, and what building it said."""
    site = tmp_path_factory.mktemp("site")
    done = mkdocs(REPOSITORY, site)
    assert done.returncode == 0, done.stderr
    return site, done.stderr


@pytest.fixture(scope="module")
def pages(built: tuple[Path, str]) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(built[0].rglob("*.html"))}


@pytest.fixture
def copy(builder: None, tmp_path: Path) -> Path:
    """What the site is made of, to be changed."""
    left_out = shutil.ignore_patterns(".*", "build", "*.h5", "__pycache__", "terraform.tfstate*")

    def ignored(folder: str, names: list[str]) -> set[str]:
        return (left_out(folder, names) | ({"tests"} if Path(folder) == REPOSITORY else set())) - {".github"}

    shutil.copytree(REPOSITORY, tmp_path / "copy", ignore=ignored)
    return tmp_path / "copy"


def test_the_site_is_built_without_a_warning(built: tuple[Path, str]) -> None:
    assert "WARNING" not in built[1]
    assert "ERROR" not in built[1]


def test_every_link_leads_to_a_page_and_to_a_place_on_it(pages: dict[Path, Page]) -> None:
    assert len(pages) > 30
    broken = []
    for page in pages.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or page.path.name == "404.html":
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in pages[target].anchors):
                broken.append(f"{page.path.name}: {link}")
    assert broken == []


def test_what_begins_like_an_item_of_a_list_is_one(pages: dict[Path, Page]) -> None:
    """MkDocs needs four spaces before what else belongs to an item, and an empty line before the first one."""
    lost = [f"{page.path.name}: {line}" for page in pages.values() for line in page.lines if line.startswith("- ")]
    assert lost == []


def test_no_page_loads_anything_from_the_network(pages: dict[Path, Page]) -> None:
    loaded = [load for page in pages.values() for load in page.loads]
    assert len(loaded) > 100
    assert [load for load in loaded if urlsplit(load).netloc] == []


def test_the_home_page_is_the_readme_and_pictures_are_where_pages_show_them(built: tuple[Path, str]) -> None:
    site = built[0]
    home = (site / "index.html").read_text()
    assert all(
        text in home for text in ("Try it", 'src="flow.svg"', 'src="view.webp"', 'href="how-to.html"', "PyTorch")
    )
    assert 'src="benchmarks/results/cat.png"' in (site / "strategies.html").read_text()
    assert (site / "benchmarks" / "results" / "cat.png").is_file()


def test_each_notebook_has_a_page_with_its_pictures_and_the_readme_leads_there(
    built: tuple[Path, str], pages: dict[Path, Page]
) -> None:
    folder = built[0] / "notebooks"
    for name in ("Introduction", "Codebook", "Analysis", "Client"):
        drawn = [load for load in pages[folder / f"{name}.html"].loads if load.startswith(name)]
        assert len(drawn) >= 4
        assert all((folder / file).is_file() for file in drawn)
        assert f"notebooks/{name}.html" in pages[built[0] / "notebooks.html"].links
    assert list(folder.glob("*.json")) == []


def test_a_link_to_a_file_that_is_not_on_the_site_leads_to_the_repository_where_its_address_is_given(
    built: tuple[Path, str], copy: Path
) -> None:
    assert "variables.tf</a>" not in (built[0] / "aws.html").read_text()
    done = mkdocs(copy, copy / "site", LNN_REPOSITORY_URL="https://git.example.org/lnn/")
    assert done.returncode == 0, done.stderr
    link = '<a href="https://git.example.org/lnn/blob/main/terraform/variables.tf">'
    assert link in (copy / "site" / "aws.html").read_text()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[gone](gone.md)", "docs/gone.md, which is not in the repository"),
        ("[gone](../terraform/gone.tf)", "terraform/gone.tf, which is not in the repository"),
        ("![page](../functions/predict/page.html)", "functions/predict/page.html is not on the site"),
        ("[gone](aws.md#gone)", "does not contain an anchor '#gone'"),
        ("[gone](#gone)", "no such anchor on this page"),
        ('<!-- include-markdown "../README.md" start="## Gone" -->', "## Gone"),
        ('<!-- include-markdown "../GONE.md" -->', "GONE.md"),
    ],
)
def test_what_leads_nowhere_stops_the_build(copy: Path, text: str, complaint: str) -> None:
    page = copy / "docs" / "index.md"
    page.write_text(f"{page.read_text()}\n{text}\n")
    done = mkdocs(copy, copy / "site")
    assert done.returncode != 0
    assert complaint in done.stderr


LOOKED_AT = (
    *("index", "getting-started", "how-to", "teaching", "support"),
    *("concepts", "strategies", "tables", "view", "predictions", "aws"),
)
OF_THE_THEME = ("landmark-unique", "scrollable-region-focusable")
"""What the theme's own script adds to blocks of code and to wide tables."""


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Prints nothing."""


@pytest.fixture(scope="module")
def address(built: tuple[Path, str]) -> Iterator[str]:
    """Where the site is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(built[0]))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_page_keeps_nobody_out_and_its_console_stays_empty(
    browser: Any, tools: Path, address: str, name: str, scheme: str
) -> None:
    page, said = browser.new_page(color_scheme=scheme), []
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{address}/{name}.html")
    page.wait_for_load_state("networkidle")
    found = violations(page, next(tools.rglob("axe.min.js")).read_text())
    page.close()
    assert [problem for problem in found if not problem.startswith(OF_THE_THEME)] == []
    assert said == []
