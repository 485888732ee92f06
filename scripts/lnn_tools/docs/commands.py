"""The reference of the `lnn` command, which Typer generates from the command itself."""

import re
from typing import Any

import typer
from typer.cli import get_docs_for_click

from lnn_cli.main import app


def reference() -> str:
    """A section for each command: usage, arguments, options, an example."""
    root: Any = typer.main.get_command(app)
    _whole_summaries(root)
    text = get_docs_for_click(obj=root, ctx=typer.Context(root, info_name="lnn"), name="lnn")
    text = re.sub(r"^Example: (.+)$", r"Example:\n\n```sh\n\1\n```", text, flags=re.MULTILINE)
    return text.partition("\n")[2].strip()  # the page has its own title


def _whole_summaries(group: Any) -> None:
    """Gives each command a summary of its own: Typer would shorten the help text in lists."""
    for command in group.commands.values():
        command.short_help = (command.help or "").partition("\n")[0]
        if hasattr(command, "commands"):
            _whole_summaries(command)
