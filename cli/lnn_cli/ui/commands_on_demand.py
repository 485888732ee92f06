"""Commands that are imported when they are asked for: ``lnn train`` need not pay for the other twenty."""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer


@dataclass(frozen=True, slots=True)
class Source:
    """Where a command is, and the heading of the help that lists it."""

    module: str
    function: str
    panel: str | None

    def load(self, name: str) -> Any:
        """The command that Typer makes of the function."""
        alone = typer.Typer(add_completion=False)
        function = getattr(import_module(self.module), self.function)
        alone.command(name, rich_help_panel=self.panel, no_args_is_help=False)(function)
        return typer.main.get_command(alone)


class CommandsOnDemand(MutableMapping[str, Any]):
    """A group's commands by name, those of ``sources`` first; each is made when it is asked for, and once."""

    def __init__(self, sources: Mapping[str, Source], made: Mapping[str, Any]) -> None:
        self._sources = sources
        self._commands: dict[str, Any] = {**dict.fromkeys(sources), **made}

    def __getitem__(self, name: str) -> Any:
        command = self._commands[name]
        if command is None:
            command = self._commands[name] = self._sources[name].load(name)
        return command

    def __setitem__(self, name: str, command: Any) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)
