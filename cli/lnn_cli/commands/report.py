"""``lnn report``: all about a run or a sweep, to be read and passed on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lnn_cli.options import ForceOption, PrefixOption, RegionOption, TargetOption, connect, sweep_named
from lnn_cli.ui.completion import run_ids
from lnn_cli.ui.console import note, say
from lnn_cli.ui.files import refuse_to_replace, write_whole
from lnn_client.cloud import LATEST, Target

if TYPE_CHECKING:
    from lnn.runs.record import Run
    from lnn_cli.ui.charts import Theme
    from lnn_client.cloud import Cloud
    from lnn_client.sweeps import Sweep

Format = Literal["html", "png", "md"]


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Run id or `latest`, or a sweep's name.", autocompletion=run_ids)
    ] = LATEST,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write (default: RUN.html).")
    ] = None,
    kind: Annotated[
        Format | None, typer.Option("--format", help="A page, one picture, or Markdown (default: by the file's name).")
    ] = None,
    theme: Annotated[
        Literal["light", "dark"], typer.Option("--theme", help="Colors of png and md (default: light).")
    ] = "light",
    force: ForceOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Write a report: curves, network, mistakes, timeline, faults, cost.

    An HTML page is complete in itself: no network, light and dark. Markdown
    has its pictures in a folder beside it. Times in seconds, costs in US dollars.
    A sweep's report ranks its trials, and shows what their cost depends on.

    Example: lnn report latest -o report.html
    """
    format_ = kind or _by_name(output)
    cloud = connect(target, prefix, region)
    sweep = sweep_named(cloud, run)
    found = cloud.find_run(run) if sweep is None else None
    path = output or Path(f"{run if found is None else found.run_id}.{format_}")
    refuse_to_replace(path, force=force)

    from lnn_cli.ui.charts import THEMES

    missing: Sequence[str] = ()
    if sweep is not None:
        content = _of_sweep(sweep, target, format_, path, THEMES[theme])
    elif found is not None:
        content, missing = _of_run(cloud, found, target, format_, path, THEMES[theme])
    say(write_whole(path, content))
    for reason in missing:
        note(f"not in it: {reason}")


def _by_name(path: Path | None) -> Format:
    known: dict[str, Format] = {".png": "png", ".md": "md", ".markdown": "md"}
    return known.get("" if path is None else path.suffix.lower(), "html")


def _of_sweep(sweep: Sweep, target: Target, kind: Format, path: Path, theme: Theme) -> bytes:
    from lnn_cli.report import sweep as page

    if kind == "png":
        return page.picture(sweep, target, theme)
    if kind == "md":
        return page.markdown(sweep, target, _pictures(path), theme).encode()
    return page.html(sweep, target).encode()


def _of_run(
    cloud: Cloud, run: Run, target: Target, kind: Format, path: Path, theme: Theme
) -> tuple[bytes, Sequence[str]]:
    """The report, and reasons for what it lacks."""
    from lnn_cli.report import page
    from lnn_cli.report.findings import gather

    findings = gather(cloud, run)
    if kind == "html":
        from lnn_cli.report.whole import html_of_findings

        content = html_of_findings(cloud, findings)
    elif kind == "md":
        content = page.markdown(findings, target, _pictures(path), theme).encode()
    else:
        content = page.picture(findings, target, theme)
    return content, findings.missing


def _pictures(path: Path) -> Path:
    """The folder beside a Markdown file."""
    return path.with_name(f"{path.stem}-pictures")
