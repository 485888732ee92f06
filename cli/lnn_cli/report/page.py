"""A report as one HTML page, as Markdown, or as one picture."""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from matplotlib.figure import FigureBase

from lnn.models.evaluation import Evaluation, NumbersEvaluation
from lnn.runs.record import EpochRow, Run
from lnn.text.characters import escaped
from lnn_cli.report.charts import charts_of
from lnn_cli.report.findings import Findings
from lnn_cli.ui import class_figures, scores
from lnn_cli.ui.charts import DARK, LIGHT, Chart, Theme, render
from lnn_cli.ui.console import dollars, duration, moment, number, share, words
from lnn_cli.ui.facts import facts
from lnn_cli.view.bundle import bundled, hash_of
from lnn_client.cloud import Target
from lnn_client.runs import ms_per_epoch, seconds_total, seconds_training

SHOWN_HISTORY = 12
"""Epochs in the table: the first, the last, and some between."""

_TOLD_ELSEWHERE = frozenset({"run", "status", "reason", "warning", "disturbed", "cost of it", "expected on AWS"})


def html(findings: Findings, target: Target, network: str | None = None) -> str:
    """One page that needs nothing else: pictures are in it, in a light and a dark version.

    ``network`` is the page of ``lnn view`` as HTML. Its script is the only one that the report's policy allows.
    """
    return template("report.html.j2").render(
        **_content(findings, target),
        pictures=embedded(charts_of(findings)),
        network=network,
        script_hash=hash_of(bundled("main.js")) if network else None,
    )


def markdown(findings: Findings, target: Target, folder: Path, theme: Theme) -> str:
    """A text for a wiki or a pull request; its pictures are written into ``folder``, beside it."""
    pictures = written(charts_of(findings), folder, theme)
    return template("report.md.j2").render(**_content(findings, target), pictures=pictures)


def picture(findings: Findings, target: Target, theme: Theme) -> bytes:
    """All pictures of a report below each other as one PNG, with the figures above."""
    content = _content(findings, target)
    lines = [f"Run {findings.run.run_id}: {findings.run.status}", *_summary(findings.run)]
    lines += [
        f"{row['name']}: estimated {row['estimated']}, took {row['actual']}"
        for row in content["expenses"]
        if row["estimated"] != "-"
    ]
    charts: Sequence[Chart] = charts_of(findings)
    return render(charts or [_nothing(findings)], theme, "png", heading="\n".join(lines))


def _nothing(findings: Findings) -> Chart:
    """In place of the pictures of a run that has not trained an epoch yet."""
    why = "\n".join(findings.missing) or "no epoch is recorded yet"

    def draw(figure: FigureBase, _: Theme) -> None:
        figure.suptitle(why, wrap=True)

    return Chart("nothing", "Nothing yet", why, 1.5, draw)


def _content(findings: Findings, target: Target) -> dict[str, Any]:
    """What both templates show, in words."""
    run = findings.run
    sums = run.disturbances
    evaluation = None if findings.tested is None else findings.tested.evaluation
    return {
        "run": run,
        "reason": run.reason,
        "warnings": [*map(str, run.warnings), *(run.remarks or _remark(evaluation))],
        "summary": _summary(run),
        "tiles": list(_tiles(run)),
        "facts": [(name, str(value)) for name, value in facts(run) if name not in _TOLD_ELSEWHERE],
        "settings": [(name, words(value)) for name, value in run.settings.items()],
        "history": [_row(row, list(_columns(findings))) for row in _some(findings.history)],
        "score_names": list(_columns(findings).values()),
        "epochs_recorded": len(findings.history),
        "figures": class_figures.in_short(evaluation) if isinstance(evaluation, Evaluation) else [],
        "tables": _tables(evaluation) if isinstance(evaluation, Evaluation) else [],
        "expenses": list(_expenses(run)),
        "local": target is Target.LOCAL,
        "takeovers": sums["takeovers"],
        "silent": duration(sums["silent_seconds"]),
        "repeated_epochs": sums["repeated_epochs"],
        "events": [(moment(event["at"]), str(event["what"])) for event in run.events],
        "missing": findings.missing,
        "version": version("lnn"),
    }


def _remark(evaluation: Evaluation | NumbersEvaluation | None) -> Iterator[str]:
    if isinstance(evaluation, Evaluation) and evaluation.remark:
        yield f"on the test examples the model is {evaluation.remark}"


def _tables(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Tables about the test examples; the first column of each names the row."""
    found = [class_figures.by_class(evaluation), class_figures.reliability(evaluation)]
    return [{**one._asdict(), "title": one.title[0].upper() + one.title[1:]} for one in found]


def _summary(run: Run) -> list[str]:
    """Two lines at most: what was trained, and how."""
    lines = ["no data set was accepted"]
    if run.dimensions:
        lines = [f"network {run.network}, {run.dimensions['examples']:,} training examples"]
    if run.strategy:
        workers = run.workers or 1
        side_by_side = f" with {workers} workers" if workers > 1 else ""
        lines.append(f"strategy {run.strategy}{side_by_side}, {run.epoch:,} of {run.epochs:,} epochs")
    return lines


def _tiles(run: Run) -> Iterator[tuple[str, str]]:
    """The figures that most readers came for."""
    for name in ("test_rmse", "test_mae", "test_r2") if run.is_regression else ("test_accuracy", "train_accuracy"):
        yield scores.label(name), scores.text(run, name)
    if (metrics := run.test_metrics) is not None:
        yield "base rate", share(metrics.base_rate)
        yield "balanced accuracy", share(metrics.balanced_accuracy)
    yield "final cost", number(run.final_cost)
    yield "epochs", f"{run.epoch:,}"
    yield "upload to model", duration(seconds_total(run))
    yield "US dollars", dollars(run.usd)


def _expenses(run: Run) -> Iterator[dict[str, str]]:
    """What was expected beside what it took; ``-`` where nothing was."""
    seconds, usd = (run.estimate["seconds"], run.estimate["usd"]) if run.estimate else (None, None)
    pace = ms_per_epoch(run)
    for name, estimated, actual in (
        ("upload to model", duration(seconds), duration(seconds_total(run))),
        ("US dollars", dollars(usd), dollars(run.usd)),
        ("training alone", "-", duration(seconds_training(run))),
        ("an epoch", "-", "-" if pace is None else f"{number(pace)} ms"),
        ("invocations", "-", f"{run.use['invocations']:,}"),
    ):
        yield {"name": name, "estimated": estimated, "actual": actual}


def _columns(findings: Findings) -> dict[str, str]:
    """The scores in the table of the history, and the figures of updates, each with its words."""
    of_scores = {name: scores.label(name) for name in scores.in_tables(findings.run)}
    return of_scores | {name: scores.OF_UPDATES[name] for name in scores.of_updates_in_tables(findings.history)}


def _row(row: EpochRow, names: Sequence[str]) -> list[str]:
    return [
        f"{row.epoch:,}",
        number(row.cost),
        *(scores.text(row, name) for name in names),
        number(row.seconds * 1000, 3),
    ]


def _some(history: Sequence[EpochRow]) -> list[EpochRow]:
    """At most SHOWN_HISTORY rows, evenly spread, with the first and the last."""
    if len(history) <= SHOWN_HISTORY:
        return list(history)
    last = len(history) - 1
    return [history[round(place * last / (SHOWN_HISTORY - 1))] for place in range(SHOWN_HISTORY)]


def _data_uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def embedded(charts: Iterable[Chart]) -> list[dict[str, str]]:
    """The pictures of a page, in it, in a light and a dark version."""
    return [
        {
            "name": chart.name,
            "title": chart.title,
            "about": chart.about,
            "light": _data_uri(render([chart], LIGHT, "svg")),
            "dark": _data_uri(render([chart], DARK, "svg")),
        }
        for chart in charts
    ]


def written(charts: Sequence[Chart], folder: Path, theme: Theme) -> list[dict[str, str]]:
    """The pictures of a text, as files in ``folder``."""
    if charts:
        folder.mkdir(exist_ok=True)
    for chart in charts:
        (folder / f"{chart.name}.png").write_bytes(render([chart], theme, "png"))
    return [{"title": chart.title, "about": chart.about, "path": f"{folder.name}/{chart.name}.png"} for chart in charts]


def template(name: str) -> Template:
    """One of the folder ``templates``, which writes unsafe characters of what it is given as escapes."""
    environment = Environment(
        loader=PackageLoader("lnn_cli.report"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        finalize=lambda value: escaped(value, keep="\n") if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["in_markdown"] = _in_markdown
    return environment.get_template(name)


def _in_markdown(text: object) -> str:
    """A text from anyone on one line of Markdown, in which no character begins markup or HTML."""
    return re.sub(r"([\\`*\[\]<>&|~$#!]|(?<!\w)_|_(?!\w))", r"\\\1", escaped(str(text).replace("\n", " ")))
