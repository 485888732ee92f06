"""``lnn history``: cost and scores of each recorded epoch."""

from lnn_cli.options import JsonOption, PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import note, number, print_json, print_table
from lnn_cli.ui.scores import OF_UPDATES, beside_history, in_tables, label, of_updates_in_tables, text
from lnn_client.cloud import LATEST, Target
from lnn_client.histories import figures


def history(
    run: RunArgument = LATEST,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Print cost and scores of each recorded epoch.

    Accuracies are in percent, with --json shares of 1;
    regression has RMSE and R2, with --json also MAE; rate is the learning rate,
    norm the gradient's before clipping; ms are the milliseconds that an epoch took.
    A run with a validation set has its cost, too, and with --json that of the test set.
    Beside accuracies --json has base_rate, and at the epoch of the final model
    balanced_accuracy and lowest_recall: other epochs are not counted by class.

    Example: lnn history latest --json > history.json
    """
    cloud = connect(target, prefix, region)
    found = cloud.find_run(run)
    rows = cloud.ledger.history(found.run_id)
    if as_json:
        print_json(figures(found, rows))
        return
    if not rows:
        note(f"run {found.run_id} ({found.status}) has no epoch recorded yet")
        return
    costs = found.cost_names[:2]
    shown, of_updates = in_tables(found), of_updates_in_tables(rows)
    names = [label(name) if found.is_regression else name.partition("_")[0] for name in shown]
    names += [OF_UPDATES[name] for name in of_updates]
    headings = ("epoch", *(cost.replace("_", " ") for cost in costs), *names, "ms")
    cells = (
        (
            str(row.epoch),
            *(number(getattr(row, cost), 6) for cost in costs),
            *(text(row, name) for name in (*shown, *of_updates)),
            number(row.seconds * 1000, 3),
        )
        for row in rows
    )
    print_table(headings, cells, right=headings)
    for line in beside_history(found):
        note(line)
