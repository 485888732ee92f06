"""``lnn evaluate``: how a model does on a dataset, and where it goes wrong."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lnn_cli.options import JsonOption, PrefixOption, RegionOption, TargetOption, connect
from lnn_cli.ui.class_figures import SHOWN_CLASSES, by_class, in_short, reliability
from lnn_cli.ui.console import note, number, print_json, print_pairs, print_table, say, share
from lnn_cli.ui.errors import CliError
from lnn_client.cloud import LATEST, PRODUCTION, Target
from lnn_client.datasets import Split, check_dataset

if TYPE_CHECKING:
    from lnn.models.evaluation import Evaluation, NumbersEvaluation


def evaluate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET.h5", help="A dataset, or a labeled table.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL|RUN|FILE",
            help="A registered model, `production`, `staging`, a run, `latest`, or a local params.h5; with --api a "
            "registered one. Default: latest; with --api what is in production.",
        ),
    ] = None,
    through_api: Annotated[bool, typer.Option("--api", help="Ask the prediction API, example by example.")] = False,
    split: Annotated[Split, typer.Option(help="Examples of a dataset.")] = "test",
    worst: Annotated[int, typer.Option(min=0, help="Show at most so many of the worst mistakes.")] = 10,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Say how often a model is right, what it confuses, its worst errors.

    Accuracy stands beside the base rate: how often always answering the
    most frequent class would be right. Of regression: RMSE and MAE in the
    units of the target, and R2.

    Example: lnn evaluate digits.h5 --model staging --json
    """
    from lnn.data.dataset import load_labels
    from lnn.models.evaluation import NumbersEvaluation, evaluate_numbers
    from lnn.models.evaluation import evaluate as judge
    from lnn_client.evaluations import outputs_here, outputs_of_api, outputs_of_table
    from lnn_client.models import load_model
    from lnn_client.tables import is_table, open_table

    if is_table(dataset):
        if through_api:
            raise CliError(f"--api asks for the examples of a dataset: lnn dataset from-table {dataset} makes one")
        network = load_model(model or LATEST, lambda: connect(target, prefix, region))
        outputs, labels, unlabeled = outputs_of_table(network, open_table(dataset))
        if unlabeled:
            note(f"left out: {unlabeled:,} rows without a label")
        name, source = network.run_id, str(dataset)
        classes, targets = network.list_classes, network.list_targets
    else:
        summary = check_dataset(dataset)
        labels, source = load_labels(dataset, f"{split}_set_y"), f"{dataset} ({split})"
        classes, targets = summary.classes, summary.targets
        if through_api:
            cloud = connect(target, prefix, region)
            name = cloud.find_model(model or PRODUCTION)["model_id"]
            outputs = outputs_of_api(cloud, name, dataset, split, summary)
        else:
            network = load_model(model or LATEST, lambda: connect(target, prefix, region))
            name = network.run_id
            outputs = outputs_here(network, dataset, split, summary)
    found: Evaluation | NumbersEvaluation
    found = evaluate_numbers(targets, outputs, labels, worst) if targets else judge(classes, outputs, labels, worst)
    if as_json:
        part = {} if is_table(dataset) else {"split": split}
        print_json({"model": name, "dataset": str(dataset)} | part | {"examples": found.examples} | asdict(found))
    elif isinstance(found, NumbersEvaluation):
        _show_numbers(found, name, source)
    else:
        _show(found, name, source)


def _show_numbers(found: NumbersEvaluation, model: str, dataset: str) -> None:
    print_pairs([("model", model), ("dataset", dataset), ("examples", f"{found.examples}")])
    say("\nerrors: R2 is 0 for who always predicts the mean, 1 for who is always right")
    rows = [
        [one.target, *map(number, (one.rmse, one.mae, one.r2, one.mean, one.deviation))]
        for one in found.targets[:SHOWN_CLASSES]
    ]
    if len(found.targets) > 1:
        rows.append(["all", *map(number, (found.rmse, found.mae, found.r2)), "", ""])
    headings = ("target", "RMSE", "MAE", "R2", "true mean", "true deviation")
    print_table(headings, rows, right=headings[1:])
    if found.r2 is not None and found.r2 <= 0:
        note("the model is no better than always predicting the mean")
    if found.mistakes:
        say("\nlargest errors")
        rows = [
            [str(one.example), one.target, number(one.true), number(one.predicted), number(one.predicted - one.true)]
            for one in found.mistakes
        ]
        columns = ("example", "target", "true", "predicted", "error")
        print_table(columns, rows, right=("example", "true", "predicted", "error"))


def _show(found: Evaluation, model: str, dataset: str) -> None:
    print_pairs([("model", model), ("dataset", dataset), *in_short(found)])
    if found.remark:
        note(f"the model is {found.remark}")
    for table in (by_class(found), reliability(found)):
        say(f"\n{table.title}")
        print_table(table.headings, table.rows, right=table.headings[1:])
    if len(found.classes) <= SHOWN_CLASSES:
        say("\nconfusion: rows are true classes, columns predicted ones")
        rows = [[name, *map(str, counts)] for name, counts in zip(found.classes, found.confusion, strict=True)]
        print_table(("", *found.classes), rows, right=found.classes)
    else:
        note(f"the confusion matrix of {len(found.classes)} classes is in --json")
    if found.mistakes:
        say("\nworst mistakes")
        rows = [
            [str(m.example), m.label, m.predicted, share(m.probability), share(m.probability_of_label)]
            for m in found.mistakes
        ]
        headings = ("example", "true", "predicted", "p(predicted)", "p(true)")
        print_table(headings, rows, right=("example", "p(predicted)", "p(true)"))
