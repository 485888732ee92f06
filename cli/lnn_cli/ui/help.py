"""How a group of commands shows its help: a line for each command, so that all of it fits a screen."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

from typer.core import TyperGroup

from lnn_cli.ui.commands_on_demand import CommandsOnDemand, Source

if TYPE_CHECKING:
    from rich.text import Text

_UNTITLED = "Commands"
_RARE_OPTIONS = frozenset({"show_completion"})


class CompactHelp(TyperGroup):
    """A command group whose help has headings in place of boxes, and whose commands are imported on demand."""

    sources: ClassVar[Mapping[str, Source]] = {}

    def __init__(self, *, commands: Mapping[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.commands = CommandsOnDemand(self.sources, commands)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is Typer's
        """The commands' names, without importing any."""
        return list(self.commands)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help; what does not fit a line is cut there, and whole in the command's own help."""
        from rich.console import Console

        console = Console(highlight=False)
        with console.capture() as captured:
            console.print(f"Usage: {ctx.command_path} [OPTIONS] COMMAND [ARGS]...\n", markup=False)
            console.print(f"{(self.help or '').strip()}\n", markup=False)
            for line in (*self._commands(ctx), *self._options(ctx)):
                console.print(line, no_wrap=True, overflow="ellipsis")
        formatter.write("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; its flags show no type, which would only say that they are flags."""
        command: Any = super().get_command(ctx, cmd_name)
        if command is None:
            return None
        for parameter in (*command.params, command.get_help_option(ctx)):
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return command

    def _commands(self, ctx: Any) -> list[Text]:
        from rich.text import Text

        commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        panels = {name: getattr(command, "rich_help_panel", None) or _UNTITLED for name, command in commands}
        order = list(dict.fromkeys(panels.values()))
        commands.sort(key=lambda named: order.index(panels[named[0]]))
        width = max(len(name) for name, _ in commands)
        lines = []
        for panel, members in groupby(commands, key=lambda named: panels[named[0]]):
            lines.append(Text(panel, style="bold"))
            lines += [_line(name, command.get_short_help_str(200), width) for name, command in members]
        return lines

    def _options(self, ctx: Any) -> list[Text]:
        from rich.text import Text

        options = [option for option in self.get_params(ctx) if option.name not in _RARE_OPTIONS]
        records = [(", ".join(option.opts), getattr(option, "help", None) or "") for option in options]
        width = max(len(names) for names, _ in records)
        return [Text("Options", style="bold"), *(_line(names, text, width) for names, text in records)]


def _line(name: str, text: str, width: int) -> Text:
    from rich.text import Text

    return Text.assemble("  ", (f"{name:<{width}}", "cyan"), "  ", text)
