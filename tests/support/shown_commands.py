"""Every command that a page of the repository shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from support.known_programs import PROGRAMS, check_command
from support.repository import REPOSITORY

SHELL = {"bash", "console", "sh", "shell"}
"""Languages of code blocks whose lines are commands."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A command as a page shows it; ``whole`` if it stands in a block, to be copied, and not within a sentence."""

    page: str
    text: str
    whole: bool

    def check(self) -> None:
        """Raises UnknownCommandError where nothing takes such a command."""
        check_command(shlex.split(self.text), whole=self.whole)


def pages() -> list[Path]:
    """Every Markdown page of the repository, what is installed or built left out."""
    tops = [top for top in sorted(REPOSITORY.iterdir()) if top.name == ".github" or top.name[0] not in "._"]
    found = [top for top in tops if top.suffix == ".md"]
    folders = [top for top in tops if top.is_dir() and top.name not in {"build", "dist"}]
    return found + [page for folder in folders for page in sorted(folder.rglob("*.md"))]


def blocks_without_language(page: Path) -> list[int]:
    """Lines where a code block begins that does not say what it holds."""
    tokens = _tokens(page.read_text())
    return [(token.map or [0])[0] + 1 for token in tokens if token.type in {"fence", "code_block"} and not token.info]


def commands_of(page: Path) -> list[Shown]:
    """The commands in a page's blocks and sentences."""
    return list(commands_in(page.read_text(), str(page.relative_to(REPOSITORY))))


def commands_in(markdown: str, name: str) -> Iterator[Shown]:
    for token in _tokens(markdown):
        if token.type == "fence" and token.info in SHELL:
            for line in token.content.replace("\\\n", " ").splitlines():
                yield from _commands(name, line.removeprefix("$ "), whole=token.info != "console")
        for inline in token.children or []:
            if inline.type == "code_inline" and _is_command(inline.content):
                yield from _commands(name, inline.content, whole=False)


def _tokens(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(markdown)


def _is_command(code: str) -> bool:
    """Whether code within a sentence is a command with arguments; `lnn ...: what is wrong` is an error's text."""
    words = [word for word in code.split() if not re.match(r"[A-Z_]+=", word)]
    return len(words) > 1 and words[0] in PROGRAMS.keys() - {".", "cd"} and not words[1].startswith("...")


def _commands(page: str, line: str, *, whole: bool) -> Iterator[Shown]:
    """The commands of a line: without notation (`[--json]`, `RUN...`, `<a place>`), each of `a|b` by itself."""
    line = re.sub(r"<[^>]+>", "PLACE", line.replace("[OPTIONS]", ""))
    line = re.sub(r" > \S+", "", line)  # a file for what is printed
    line = re.sub(r"\[+([A-Z-][^\]]*?)\]+|\{([A-Z][^}]*)\}", r"\1\2", line)
    line = re.sub(r"(?<=\w)\.\.\.(?= |$)", "", line)
    if alternatives := re.search(r"(?<!\S)[\w-]+(?:\|[\w-]+)+(?!\S)", line):
        for choice in alternatives[0].split("|"):
            yield from _commands(page, line.replace(alternatives[0], choice), whole=whole)
        return
    lexer = shlex.shlex(line, posix=False, punctuation_chars=";|&")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in {";", "|", "&&", "||"}:
            if words:
                yield Shown(page, " ".join(words), whole)
            words = []
        else:
            words.append(word)
