"""``lnn history``: cost and accuracy of each recorded epoch."""

from lnn_cli.options import JsonOption, PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import note, number, print_json, print_table, share
from lnn_client.cloud import Target


def history(
    run: RunArgument,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Print cost and accuracy of each recorded epoch.

    Accuracies are in percent, with --json shares of 1;
    ms are the milliseconds that an epoch took.

    Example: lnn history latest --json > history.json
    """
    cloud = connect(target, prefix, region)
    found = cloud.find_run(run)
    rows = cloud.ledger.history(found.run_id)
    columns = ("epoch", "cost", "train_accuracy", "test_accuracy")
    if as_json:
        print_json([{name: getattr(row, name) for name in columns} for row in rows])
        return
    if not rows:
        note(f"run {found.run_id} ({found.status}) has no epoch recorded yet")
        return
    headings = ("epoch", "cost", "train", "test", "ms")
    cells = (
        (
            str(row.epoch),
            number(row.cost, 6),
            share(row.train_accuracy),
            share(row.test_accuracy),
            number(row.seconds * 1000, 3),
        )
        for row in rows
    )
    print_table(headings, cells, right=headings)
