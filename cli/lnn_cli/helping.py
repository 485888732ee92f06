"""How a group of commands shows its help: a line for each command, so that all of it fits a screen."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

_UNTITLED = "Commands"
_RARE_OPTIONS = frozenset({"show_completion"})


class CompactHelp(TyperGroup):
    """A command group whose help has headings in place of boxes."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help; what does not fit a line is cut there, and whole in the command's own help."""
        console = Console(highlight=False)
        with console.capture() as captured:
            console.print(f"Usage: {ctx.command_path} [OPTIONS] COMMAND [ARGS]...\n", markup=False)
            console.print(f"{(self.help or '').strip()}\n", markup=False)
            console.print(self._commands(ctx))
            console.print(self._options(ctx))
        formatter.write("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; its flags show no type, which would only say that they are flags."""
        command = super().get_command(ctx, cmd_name)
        for parameter in command.params if command is not None else []:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return command

    def _commands(self, ctx: Any) -> Group:
        commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        panels = {name: getattr(command, "rich_help_panel", None) or _UNTITLED for name, command in commands}
        order = list(dict.fromkeys(panels.values()))
        commands.sort(key=lambda named: order.index(panels[named[0]]))
        width = max(len(name) for name, _ in commands)
        parts: list[Text | Table] = []
        for panel, members in groupby(commands, key=lambda named: panels[named[0]]):
            parts.append(Text(panel, style="bold"))
            parts.append(_lines(((name, command.get_short_help_str(200)) for name, command in members), width))
        return Group(*parts)

    def _options(self, ctx: Any) -> Group:
        options = [option for option in self.get_params(ctx) if option.name not in _RARE_OPTIONS]
        records = [(", ".join(option.opts), getattr(option, "help", None) or "") for option in options]
        width = max(len(names) for names, _ in records)
        return Group(Text("Options", style="bold"), _lines(iter(records), width))


def _lines(pairs: Any, width: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="cyan", width=width + 2, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for name, text in pairs:
        table.add_row(f"  {name}", text)
    return table
