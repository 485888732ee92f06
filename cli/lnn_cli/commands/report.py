"""``lnn report``: all about a run, to be read and passed on."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lnn_cli.options import ForceOption, PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import note, size
from lnn_cli.ui.files import refuse_to_replace, write_whole
from lnn_client.cloud import Target


class Format(StrEnum):
    """What a report can be."""

    HTML = "html"
    PNG = "png"
    MD = "md"


class ThemeName(StrEnum):
    """Colors of a picture."""

    LIGHT = "light"
    DARK = "dark"


def report(
    run: RunArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write (default: RUN.html).")
    ] = None,
    kind: Annotated[
        Format | None, typer.Option("--format", help="A page, one picture, or Markdown (default: by the file's name).")
    ] = None,
    theme: Annotated[
        ThemeName, typer.Option("--theme", help="Colors of png and md (default: light).")
    ] = ThemeName.LIGHT,
    force: ForceOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Write a report: curves, mistakes, weights, timeline, faults, cost.

    An HTML page is complete in itself: no network, light and dark. Markdown
    has its pictures in a folder beside it. Times in seconds, costs in US dollars.

    Example: lnn report latest -o report.html
    """
    format_ = kind or _by_name(output)
    cloud = connect(target, prefix, region)
    found = cloud.find_run(run)
    path = output or Path(f"{found.run_id}.{format_}")
    refuse_to_replace(path, force=force)

    from lnn_cli.report import page
    from lnn_cli.report.findings import gather
    from lnn_cli.ui.charts import THEMES

    findings = gather(cloud, found)
    if format_ is Format.HTML:
        content = page.html(findings, target).encode()
    elif format_ is Format.MD:
        pictures = path.with_name(f"{path.stem}-pictures")
        content = page.markdown(findings, target, pictures, THEMES[theme]).encode()
    else:
        content = page.picture(findings, target, THEMES[theme])
    write_whole(path, content)
    typer.echo(f"{path} ({size(len(content))})")
    for reason in findings.missing:
        note(f"not in it: {reason}")


def _by_name(path: Path | None) -> Format:
    suffix = "" if path is None else path.suffix.lower().removeprefix(".")
    return {"png": Format.PNG, "md": Format.MD, "markdown": Format.MD}.get(suffix, Format.HTML)
