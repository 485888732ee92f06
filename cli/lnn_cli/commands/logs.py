"""``lnn logs``: what the functions have logged about a run."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from lnn.runs.record import Run
from lnn.text.characters import in_json
from lnn_cli.options import PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import command, note, number, output, print_json, say
from lnn_client.cloud import LATEST, Target
from lnn_client.logs import FUNCTIONS, Function, Line, Log

_LEVELS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
_PLACE = ("epoch", "batch", "layer", "neuron")
_NOT_SHOWN = frozenset(
    {
        *("run_id", "generation", "state", *_PLACE, "level", "message", "timestamp", "function"),
        *("elapsed_seconds", "peak_memory_mb"),
        *("_aws", "location", "service", "cold_start", "xray_trace_id", "exception", "stack_trace"),
        *("function_name", "function_memory_size", "function_arn", "function_request_id"),
    }
)


def logs(
    run: RunArgument = LATEST,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    function: Annotated[Function | None, typer.Option("--function", help="Lines of this function only.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list of the lines; with --follow, an object a line.")
    ] = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Print what the functions have logged about a run.

    Each line has its time, function, place in the run, and message.
    On the local cloud, lines appear when the invocation that wrote them ends.

    Example: lnn logs latest --follow --function trainer
    """
    cloud = connect(target, prefix, region)
    log = Log(cloud, cloud.find_run(run), [function] if function else FUNCTIONS)
    if follow:
        for line in log.follow():
            _print(line, as_json)
        return
    lines = log.new_lines()
    if as_json:
        print_json([line.fields for line in lines])
        return
    for line in lines:
        _print(line, as_json)
    if not lines:
        note(_nothing(log.run, function))


def _nothing(run: Run, function: Function | None) -> str:
    run_id, whose = run.run_id, f"the {function} function" if function else "the functions"
    if run.has_ended:
        return (
            f"{whose} logged nothing about run {run_id}, or it is no longer kept; see: {command(f'lnn show {run_id}')}"
        )
    return f"{whose} logged nothing about run {run_id} yet; wait with: {command(f'lnn logs {run_id} --follow')}"


def _print(line: Line, as_json: bool) -> None:
    if as_json:
        say(in_json(line.fields))
        return
    fields = line.fields
    text = Text()
    text.append(f"{datetime.fromtimestamp(line.at, UTC).astimezone():%H:%M:%S.%f}"[:-3], style="dim")
    text.append(f"  {fields['function']:<7}  {_place(fields)}")
    if fields.get("level") in _LEVELS:
        text.append(f"{fields['level']} ", style=_LEVELS[fields["level"]])
    text.append(str(fields.get("message", "")), style="bold")
    for name, value in fields.items():
        if name not in _NOT_SHOWN and value is not None:
            text.append(f"  {name}={_value(value)}")
    for told in str(fields.get("exception", "")).splitlines():
        text.append(f"\n    {told}")
    output().print(text, soft_wrap=True)


def _place(fields: Mapping[str, Any]) -> str:
    """Where in the run. Epochs, layers and neurons count from 1, so that 0 is none; workers from 0."""
    names = [name for name in _PLACE if fields.get(name) or (name == "neuron" and fields.get(name) is not None)]
    return f"[{', '.join(f'{name} {fields[name]}' for name in names)}] " if names else ""


def _value(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    return number(value) if isinstance(value, float) else str(value)
