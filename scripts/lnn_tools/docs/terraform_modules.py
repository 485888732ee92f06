"""A Terraform module's inputs and outputs, in two tables: no other program is needed for these."""

import json
from pathlib import Path
from typing import Any

import hcl2


def text_of(value: str) -> str:
    """The text of a quoted string or a heredoc, on one line, escaped for a table's cell."""
    heredoc = value.startswith('"<<')
    text: str = value.partition("\n")[2].rpartition("\n")[0] if heredoc else json.loads(value)
    return " ".join(text.split()).replace("|", "\\|")


def type_of(value: str) -> str:
    """A type without the ${} that hcl2 puts around it, escaped for a table's cell."""
    return value.removeprefix("${").removesuffix("}").replace("|", "\\|")


def default_of(variable: dict[str, Any]) -> str:
    """A default as Terraform shows it, or "required"."""
    if "default" not in variable:
        return "required"
    value = variable["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value).replace(chr(92) + chr(34), '')}`"


def blocks(file: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and contents of a file's blocks of one kind, in order."""
    with file.open() as source:
        found = hcl2.load(source).get(kind, [])
    return [(json.loads(name), content) for block in found for name, content in block.items()]


def tables(module: Path) -> str:
    """A module's inputs and outputs, as Markdown."""
    inputs = [
        f"| `{name}` | {text_of(variable['description'])} | `{type_of(variable['type'])}` | {default_of(variable)} |"
        for name, variable in blocks(module / "variables.tf", "variable")
    ]
    outputs = [
        f"| `{name}` | {text_of(output['description'])} |" for name, output in blocks(module / "outputs.tf", "output")
    ]
    return "\n".join(
        [
            "## Inputs\n",
            "| name | what | type | default |\n|---|---|---|---|",
            *inputs,
            "\n## Outputs\n",
            "| name | what |\n|---|---|",
            *outputs,
        ]
    )
