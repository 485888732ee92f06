"""``lnn models``, ``promote``, ``reject`` and ``rollback``: which model answers, and who decided that."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lnn.serving import rollout
from lnn_cli.options import ForceOption, JsonOption, PrefixOption, RegionOption, TargetOption, connect
from lnn_cli.ui.console import command, moment, note, number, print_json, print_table, say, share
from lnn_cli.ui.files import refuse_to_replace, write_whole
from lnn_client.cloud import LATEST, Cloud, Target

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="Model id, the start of one that fits no other (a run's id), `staging` or `newest`."
    ),
]


def models(
    history: Annotated[bool, typer.Option("--history", help="Who changed what when, instead.")] = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """List the registered models, newest first, with their stage.

    Example: lnn models --history
    """
    registry = connect(target, prefix, region).registry
    current, found, changes = registry.current(), registry.list_models(), registry.changes()
    if as_json:
        print_json({"current": rollout.as_record(current), "models": found, "history": changes})
        return
    if not found:
        note(f"there is no model yet; train one with: {command('lnn train DATASET.h5 --wait')}")
        return
    if history:
        rows = [[str(change["version"]), moment(change["at"]), change["who"], change["what"]] for change in changes]
        print_table(("change", "when", "who", "what"), rows)
        return
    score = "test score" if any("targets" in model for model in found) else "test accuracy"
    headings = ("model", "stage", score, "registered", "remark")
    print_table(headings, [_row(current, model) for model in found], right=(score,))


def get(
    model: Annotated[
        str, typer.Argument(metavar="MODEL|RUN", help="A model, `production`, `staging`, a run, or `latest`.")
    ] = LATEST,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")] = Path(
        "params.h5"
    ),
    force: ForceOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Download a model as params.h5, which predicts without a cloud.

    Example: lnn model get production -o params.h5
    """
    from lnn.models.validation import inspect_model
    from lnn_client.models import stored_model

    refuse_to_replace(output, force=force)
    content = stored_model(connect(target, prefix, region), model)
    network = inspect_model(content)
    say(write_whole(output, content))
    note(f"model of run {network.run_id}; use it: {command(f'lnn predict FILE --model {output}')}")


def promote(
    model: ModelArgument,
    canary: Annotated[
        int | None,
        typer.Option("--canary", min=1, max=99, metavar="PERCENT", help="Only for this share of the requests."),
    ] = None,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Let a model answer the prediction API, or a share of its requests.

    It takes effect within two seconds.

    Example: lnn promote staging --canary 10
    """
    cloud = connect(target, prefix, region)
    model_id = cloud.find_model(model)["model_id"]
    _tell(cloud.registry.promote(model_id, _who(cloud), canary), as_json=as_json)


def reject(
    model: ModelArgument,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Take a model out of staging. It is kept, and can be promoted later.

    Example: lnn reject staging
    """
    cloud = connect(target, prefix, region)
    model_id = cloud.find_model(model)["model_id"]
    _tell(cloud.registry.reject(model_id, _who(cloud)), as_json=as_json)


def rollback(
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """End a canary; if there is none, bring the model before back.

    It takes effect within two seconds.

    Example: lnn rollback
    """
    cloud = connect(target, prefix, region)
    _tell(cloud.registry.roll_back(_who(cloud)), as_json=as_json)


def _who(cloud: Cloud) -> str:
    return str(cloud.caller()["Arn"])


def _tell(step: rollout.Transition, *, as_json: bool) -> None:
    if as_json:
        print_json({"change": step.what, **rollout.as_record(step.after)})
        return
    say(step.what)
    if step.after.past or step.after.canary:
        note(f"back again: {command('lnn rollback')}")


def _row(current: rollout.Current, model: Mapping[str, Any]) -> list[Any]:
    model_id = model["model_id"]
    stage, remark = current.stage_of(model_id), ""
    if model.get("refused"):
        remark = f"refused: {model['refused']}"
    elif current.canary is not None and current.canary.model_id == model_id:
        remark = f"canary: answers {current.canary.percent}% of production"
    elif model.get("held_back"):
        remark = f"not staged: {model['held_back']}"
    elif model.get("remarks"):
        remark = "; ".join(model["remarks"])
    score = share(model.get("test_accuracy"))
    if model.get("base_rate") is not None:
        score += f", base rate {share(model['base_rate'])}, recall {model['recall']}"
    if model.get("test_rmse") is not None:
        score = f"RMSE {number(model['test_rmse'])}, R2 {number(model.get('test_r2'), 3)}"
    return [model_id, stage, score, moment(model["registered_at"]), remark]
