"""MkDocs hooks that add pages outside docs/ to the site, and rewrite links between files of the repository.

A file has the same path on the site as in the repository, without docs/.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[3]
OUTSIDE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    "benchmarks/results/bench.md",
    "benchmarks/results/scale.md",
    "benchmarks/results/*.png",
    "cli/README.md",
    "examples/*/README.md",
    "functions/predict/openapi.json",
    "terraform/modules/*/README.md",
)
"""The files of the site that are outside docs/."""

LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")
"""A link to a path, without a scheme (`https:`), and not to an anchor of its own page."""

SEARCH = 'data-md-component="search" role="dialog"'


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages and pictures of OUTSIDE."""
    for pattern in OUTSIDE:
        for source in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, str(source.relative_to(ROOT)), abs_src_path=str(source)))
    return files


def on_post_page(output: str, **_: Any) -> str:
    """Names the search for people who hear the page: the theme's dialog has no name."""
    return output.replace(SEARCH, f'{SEARCH} aria-label="Search"')


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turns links between files of the repository into links between pages of the site."""
    here = page.file.src_uri
    in_repository = posixpath.dirname(here if page.file.generated_by else f"docs/{here}")

    def relinked(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(in_repository, link["path"]))
        if not (ROOT / target).exists():
            raise PluginError(f"{here}: a link to {target}, which is not in the repository")
        on_site = re.sub(r"\.ipynb$", ".md", target.removeprefix("docs/"))  # a notebook has a page of its own
        if (ROOT / target).is_dir():
            on_site = f"{on_site}/README.md"
        if files.get_file_from_path(on_site):
            return f"{link['text']}({posixpath.relpath(on_site, posixpath.dirname(here) or '.')}{link['anchor'] or ''})"
        if link["text"].startswith("!"):
            raise PluginError(f"{here}: {target} is not on the site; add it to OUTSIDE in lnn_tools/docs/site.py")
        if config.repo_url:
            return f"{link['text']}({config.repo_url.rstrip('/')}/blob/main/{target})"
        return link["text"].strip("[]")

    return LINK.sub(relinked, markdown)
