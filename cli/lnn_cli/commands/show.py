"""``lnn show``: all about one run."""

from lnn_cli.options import JsonOption, PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import moment, print_json, print_pairs, say, words
from lnn_cli.ui.facts import facts
from lnn_cli.ui.standing import newest_row
from lnn_client.cloud import LATEST, Target
from lnn_client.runs import as_shown


def show(
    run: RunArgument = LATEST,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Show all about one run: figures, settings, events, model.

    Times are in seconds (an epoch's in ms), costs in US dollars;
    accuracies are in percent, with --json shares of 1;
    RMSE and MAE of regression in the units of its targets.

    Example: lnn show latest
    """
    cloud = connect(target, prefix, region)
    found = cloud.find_run(run)
    if as_json:
        print_json(as_shown(found))
        return
    print_pairs(facts(found, newest_row(cloud.ledger, found)))
    if found.settings:
        say("\nsettings")
        print_pairs((f"  {name}", words(value)) for name, value in found.settings.items())
    if found.events:
        say("\nevents")
        print_pairs((f"  {moment(event['at'])}", event["what"]) for event in found.events)
