"""``lnn report``: all about a run, to be read and passed on."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lnn_cli.options import ForceOption, PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import note, say
from lnn_cli.ui.files import refuse_to_replace, write_whole
from lnn_client.cloud import LATEST, Target

Format = Literal["html", "png", "md"]


def report(
    run: RunArgument = LATEST,
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
    if format_ == "html":
        from lnn_cli.report.whole import html_of_findings

        content = html_of_findings(cloud, findings)
    elif format_ == "md":
        pictures = path.with_name(f"{path.stem}-pictures")
        content = page.markdown(findings, target, pictures, THEMES[theme]).encode()
    else:
        content = page.picture(findings, target, THEMES[theme])
    say(write_whole(path, content))
    for reason in findings.missing:
        note(f"not in it: {reason}")


def _by_name(path: Path | None) -> Format:
    known: dict[str, Format] = {".png": "png", ".md": "md", ".markdown": "md"}
    return known.get("" if path is None else path.suffix.lower(), "html")
