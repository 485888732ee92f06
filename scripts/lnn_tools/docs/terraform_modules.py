"""Writes each Terraform module's inputs and outputs into its README; with --check, only compares.

terraform-docs is a program of its own to install; what of it is needed here is two tables.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import hcl2

MODULES = Path(__file__).resolve().parents[3] / "terraform" / "modules"
BEGIN, END = "<!-- made by lnn_tools.docs.terraform_modules -->", "<!-- /made -->"


def text_of(value: str) -> str:
    """What a quoted string or a heredoc says, on one line, with nothing that would end a table's cell."""
    heredoc = value.startswith('"<<')
    text: str = value.partition("\n")[2].rpartition("\n")[0] if heredoc else json.loads(value)
    return " ".join(text.split()).replace("|", "\\|")


def type_of(value: str) -> str:
    """A type as it is written."""
    return value.removeprefix("${").removesuffix("}").replace("|", "\\|")


def default_of(variable: dict[str, Any]) -> str:
    """A default as Terraform would show it, or that there is none."""
    if "default" not in variable:
        return "required"
    value = variable["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value).replace(chr(92) + chr(34), '')}`"


def blocks(file: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and contents of a file's blocks of one kind, in the file's order."""
    with file.open() as source:
        found = hcl2.load(source).get(kind, [])
    return [(json.loads(name), content) for block in found for name, content in block.items()]


def tables(module: Path) -> str:
    """Inputs and outputs of a module, as Markdown."""
    inputs = [
        f"| `{name}` | {text_of(variable['description'])} | `{type_of(variable['type'])}` | {default_of(variable)} |"
        for name, variable in blocks(module / "variables.tf", "variable")
    ]
    outputs = [
        f"| `{name}` | {text_of(output['description'])} |" for name, output in blocks(module / "outputs.tf", "output")
    ]
    return "\n".join(
        [
            BEGIN,
            "## Inputs\n",
            "| name | what | type | default |\n|---|---|---|---|",
            *inputs,
            "\n## Outputs\n",
            "| name | what |\n|---|---|",
            *outputs,
            END,
        ]
    )


def documented(module: Path) -> str:
    """The module's README with its tables as they have to be."""
    readme = (module / "README.md").read_text()
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before.rstrip()}\n\n{tables(module)}{after.rstrip()}\n"


def main() -> int:
    """Writes or compares; exit status 1 where --check finds a README that is behind."""
    parser = argparse.ArgumentParser(description="Keep the modules' READMEs up to date.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a README is behind")
    check = parser.parse_args().check
    behind = [path for path in sorted(MODULES.iterdir()) if documented(path) != (path / "README.md").read_text()]
    for module in behind:
        if check:
            print(f"terraform_modules: {module.name}/README.md is behind: run make docs", file=sys.stderr)
        else:
            (module / "README.md").write_text(documented(module))
    return 1 if check and behind else 0


if __name__ == "__main__":
    sys.exit(main())
