"""Plans, makes and removes a deployment in the AWS account of your credentials.

`check` tests only the credentials and the account, before anything is built.

Settings are asked for once. Terraform's variables work, too: TF_VAR_region=eu-central-1, or terraform/terraform.tfvars.
LNN_STATE_BUCKET names the bucket of Terraform's state, LNN_DEPLOYMENT one of several deployments from one clone.
RUNTIME and ARCH set the functions' runtime and architecture, as they do for the layer in `make layer`.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lnn_client.cloud import DEPLOYMENT_VARIABLE, aws_home
from lnn_client.deployment import DamagedRecordError, Deployment
from lnn_tools.aws_deployment import questions
from lnn_tools.aws_deployment.credentials import Identity, identity
from lnn_tools.aws_deployment.folder import CONFIGURATION, Folder, local_state, remote_state
from lnn_tools.aws_deployment.state_bucket import bucket_name, ensure_bucket
from lnn_tools.aws_deployment.upgrade import enter_unfinished_runs
from lnn_tools.errors import ToolError, exit_status

STATE_VARIABLE = "LNN_STATE_BUCKET"
"""Names the bucket of Terraform's state, where nobody is asked for it."""

OLDEST_WITH_LOCK = (1, 10)
"""The first Terraform that locks a state in S3 without a table."""


def deploy(folder: Folder, variables: list[str], *, deployment: Deployment, confirm: Callable[[str], bool]) -> None:
    """Prints the plan, applies it if the user confirms, and records the deployment in the folder."""
    planned = str(folder.path / "planned")
    terraform(folder, "plan", f"-out={planned}", *variables)
    if not confirm("Apply this plan?"):
        raise ToolError("nothing was changed")
    # Recorded before the apply: one that fails half-way leaves resources that must be found again.
    deployment.save(folder.path)
    terraform(folder, "apply", planned)
    tables = json.loads(terraform(folder, "output", "-json", "tables", quiet=True))
    for run_id in enter_unfinished_runs(tables["runs"], tables["costs"], deployment.region):
        print(f"aws: the watch now finds run {run_id}, which the release before began")
    named = f"{DEPLOYMENT_VARIABLE}={folder.path.name} " if folder.is_named else ""
    print(f"deployed; try: {named}.venv/bin/lnn train examples/digits/datasets.h5 --target aws --wait")


def destroy(folder: Folder, variables: list[str], *, confirm: Callable[[str], bool]) -> None:
    """Removes the deployment with its data if the user confirms, and lists what was removed."""
    there = deployed(folder)
    if not there:
        Deployment.forget(folder.path)
        print("aws: nothing is deployed")
        return
    print(*listing(there), sep="\n")
    if not confirm("Remove all of it, with its datasets, models and histories?"):
        raise ToolError("nothing was removed")
    terraform(folder, "destroy", "-auto-approve", *variables)
    left = deployed(folder)
    if left:
        raise ToolError("not removed: " + "; ".join(listing(left)) + "; run make destroy again")
    Deployment.forget(folder.path)
    print("removed:", *listing(there), sep="\n")
    print("AWS deletes the key after seven days, at no cost, and unconfirmed mail subscriptions after 48 hours.")


def deployed(folder: Folder) -> dict[str, list[str]]:
    """Names of the resources in Terraform's state, by type."""
    state = json.loads(terraform(folder, "show", "-json", quiet=True) or "{}")
    found = defaultdict(list)
    for resource in resources(state.get("values", {}).get("root_module", {})):
        values = resource["values"]
        names = (values.get(key) for key in ("name", "bucket", "function_name", "id"))
        found[resource["type"]].append(str(next(filter(None, names), resource["address"])))
    return found


def resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The resources that a module of the state and its child modules manage."""
    yield from (resource for resource in module.get("resources", []) if resource["mode"] == "managed")
    for child in module.get("child_modules", []):
        yield from resources(child)


def listing(found: dict[str, list[str]]) -> list[str]:
    """A line for each type of resource."""
    return [
        f"  {kind.removeprefix('aws_').replace('_', ' ')}: {', '.join(sorted(found[kind]))}" for kind in sorted(found)
    ]


def prepare(
    folder: Folder, found: Identity, answer: Callable[[str], str] | None, *, move_state: bool
) -> tuple[list[str], Deployment]:
    """Asks for missing settings and prepares the folder.

    Returns:
        Terraform's arguments with its variables, and the deployment that they describe.

    Raises:
        ToolError: the settings name another account or region than the deployment's.
    """
    given = questions.given(os.environ, CONFIGURATION)
    refuse_elsewhere(folder, found.account, given)
    refuse_state_that_is_lost(folder)
    first = not folder.backend.exists() and not folder.local_state.exists()
    made = record(folder)  # however its region and prefix were set, they stay until others are set
    remembered = {"region": made.region, "prefix": made.prefix} if made else {}
    name = folder.path.name if folder.is_named else ""
    values = questions.answers(folder.answers, given, answer, remembered=remembered, name=name)
    folder.variables.write_text(json.dumps({"account_id": found.account} | values))
    folder.link()
    bucket = os.environ.get(STATE_VARIABLE)
    if folder.backend.exists():
        backend = json.loads(folder.backend.read_text())["terraform"]["backend"]
        if bucket and backend.get("s3", {}).get("bucket") != bucket:
            raise ToolError(
                f"{STATE_VARIABLE} is {bucket}, but the state of this deployment is {place(backend)}; unset it"
            )
    elif bucket and not first:
        raise ToolError(
            f"{STATE_VARIABLE} is {bucket}, but this deployment has its state in {folder.local_state}; unset it"
        )
    elif bucket:
        backend = state_in(bucket, found.account, **names(values | given))
    elif first and answer and move_state:
        backend = ask_for_state(found.account, answer, folder.local_state, **names(values | given))
    else:
        backend = local_state(folder.local_state)
    deployment = Deployment(
        account=found.account, profile_region=found.profile_region, state=place(backend), **names(values | given)
    )
    refuse_names_of_another(folder, deployment)
    folder.keep_state(backend)
    terraform(folder, "init", "-input=false", "-lockfile=readonly", *provider_options(), quiet=True)
    return [f"-var-file={folder.variables}"], deployment


def refuse_names_of_another(folder: Folder, deployment: Deployment) -> None:
    """Refuses a deployment whose resources would have the names of another one's, made from this clone.

    Raises:
        ToolError: there is one.
    """
    for path in folder.others():
        made = Deployment.load(path)
        if made and (made.account, made.region, made.prefix) == (
            deployment.account,
            deployment.region,
            deployment.prefix,
        ):
            raise ToolError(
                f"the prefix {made.prefix!r} is that of another deployment of this clone ({path.name}); give another, "
                "and if terraform/terraform.tfvars sets it, which all deployments read, take it out there"
            )


def record(folder: Folder) -> Deployment | None:
    """The deployment that was made from the folder.

    Raises:
        ToolError: its record cannot be read.
    """
    try:
        return Deployment.load(folder.path)
    except DamagedRecordError as error:
        raise ToolError(str(error)) from error


def refuse_elsewhere(folder: Folder, account: str, given: Mapping[str, Any]) -> None:
    """Refuses another account or region than the deployment's, where Terraform would make everything a second time.

    Raises:
        ToolError: the credentials' account is not ``account_id``, or account or region are not the deployment's.
    """
    if given.get("account_id") not in {None, "", "null", account}:
        raise ToolError(
            f"account_id is {given['account_id']}, but the credentials belong to account {account}; set AWS_PROFILE"
        )
    made = record(folder)
    if made is None:
        return
    wrong = made.other_account(account)
    if wrong:
        raise ToolError(f"{wrong}, or give the deployment in account {account} a name (LNN_DEPLOYMENT)")
    region = str(given.get("region", made.region))
    if region != made.region:
        raise ToolError(
            f"{made.prefix!r} is deployed in {made.region}, but region is {region} (TF_VAR_region or a .tfvars file); "
            f"drop that, run make destroy first, or give the deployment in {region} a name (LNN_DEPLOYMENT)"
        )


def place(backend: Mapping[str, Any]) -> str:
    """The address of a backend's state, on one line."""
    ((kind, settings),) = backend.items()
    return f"s3://{settings['bucket']}/{settings['key']}" if kind == "s3" else str(settings["path"])


def provider_options() -> list[str]:
    """Terraform's option for the folder that ``LNN_PROVIDER_MIRROR`` names; without it the provider is downloaded.

    Unlike the local cloud this does not search the disk: a program that it found would run with these credentials.

    Raises:
        ToolError: there is no such folder.
    """
    mirror = os.environ.get("LNN_PROVIDER_MIRROR")
    if mirror and not Path(mirror).is_dir():
        raise ToolError(f"LNN_PROVIDER_MIRROR names no folder: {mirror}")
    return [f"-plugin-dir={Path(mirror).absolute()}"] if mirror else []


def names(values: Mapping[str, Any]) -> dict[str, str]:
    return {"prefix": str(values["prefix"]), "region": str(values["region"])}


def refuse_state_that_is_lost(folder: Folder) -> None:
    """Refuses to keep the state on the disk of a machine that goes away, as those of continuous integration do.

    Raises:
        ToolError: ``CI`` is set, and no bucket is named.
    """
    if os.environ.get("CI", "").lower() in {"", "0", "false"} or os.environ.get(STATE_VARIABLE):
        return
    if not folder.backend.exists() or "s3" not in json.loads(folder.backend.read_text())["terraform"]["backend"]:
        raise ToolError(
            "CI is set, so this machine may go away, and Terraform's state with it: set "
            f"{STATE_VARIABLE} to the bucket that keeps it; make deploy makes one that does not exist"
        )


def ask_for_state(account: str, answer: Callable[[str], str], file: Path, prefix: str, region: str) -> dict[str, Any]:
    """Asks for the place of the state; returns the backend."""
    offered = bucket_name(prefix, account, region)
    print("Terraform's state lists what is deployed. Without it nothing can be changed or removed.")
    where = answer("Keep it on this (machine) or, for a team, in an (s3) bucket with a lock [machine]: ").strip()
    if where.lower() != "s3":
        return local_state(file)
    return state_in(answer(f"Bucket [{offered}]: ").strip() or offered, account, prefix, region)


def state_in(bucket: str, account: str, prefix: str, region: str) -> dict[str, Any]:
    """The backend of a state in a bucket, which is made if the account does not have it.

    Raises:
        ToolError: Terraform is too old for its lock, or the bucket is not usable.
    """
    if terraform_version() < OLDEST_WITH_LOCK:
        raise ToolError("a lock in S3 needs Terraform 1.10 or newer; update it, or keep the state here")
    found = ensure_bucket(bucket, account, region)
    backend = remote_state(bucket, state_key(prefix, region, found or region), found or region, account)
    print(f"aws: state in {place(backend)}" + ("" if found else ", a new bucket"))
    return backend


def state_key(prefix: str, region: str, bucket_region: str) -> str:
    """The state's key: deployments of one prefix in several regions may share a bucket.

    Releases before 0.2 knew only buckets of the deployment's own region, and their states stay where they are.
    """
    return f"{prefix}/terraform.tfstate" if region == bucket_region else f"{prefix}/{region}/terraform.tfstate"


def terraform_version() -> tuple[int, int]:
    text = subprocess.run(["terraform", "version", "-json"], capture_output=True, text=True, check=True).stdout
    major, minor = re.match(r"(\d+)\.(\d+)", json.loads(text)["terraform_version"]).groups()  # type: ignore[union-attr]
    return int(major), int(minor)


def terraform(folder: Folder, command: str, *arguments: str, quiet: bool = False) -> str:
    """Runs Terraform; returns its output if ``quiet``, else prints it.

    Raises:
        ToolError: it failed.
    """
    done = subprocess.run(
        ["terraform", f"-chdir={folder.configuration}", command, *arguments],
        stdout=subprocess.PIPE if quiet else None,
        env=folder.identity.environment(os.environ) if folder.identity else None,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ToolError(f"terraform {command} failed" + (f": {done.stdout.strip()}" if done.stdout else ""))
    return done.stdout or ""


def run(action: str, *, yes: bool) -> None:
    """Checks, plans, deploys or destroys.

    Raises:
        ToolError: a command failed, or the user did not confirm it.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        raise ToolError(
            f"AWS_ENDPOINT_URL points at {endpoint}, not at AWS; unset it ('make up' deploys to the local cloud)"
        )
    if not shutil.which("terraform"):
        raise ToolError(
            "terraform is not on PATH; install 1.9 or newer: https://developer.hashicorp.com/terraform/install"
        )
    found = identity()
    folder = Folder(aws_home(), found)
    refuse_elsewhere(folder, found.account, questions.given(os.environ, CONFIGURATION))
    refuse_state_that_is_lost(folder)
    if action in {"check", "destroy"}:
        found.check_time(print)
    if action == "check":
        return
    print(f"aws: account {found.account}")
    for name, variable in (("RUNTIME", "runtime"), ("ARCH", "architecture")):
        if os.environ.get(name):
            os.environ[f"TF_VAR_{variable}"] = os.environ[name]
    # Python has no stdin where it is closed, as some runners of continuous integration leave it.
    answer = input if sys.stdin and sys.stdin.isatty() and not yes else None

    def confirm(question: str) -> bool:
        return yes or (answer is not None and answer(f"{question} Only 'yes' will do: ").strip() == "yes")

    variables, deployment = prepare(folder, found, answer, move_state=action == "deploy")
    if action == "plan":
        terraform(folder, "plan", *variables)
    elif action == "deploy":
        deploy(folder, variables, deployment=deployment, confirm=confirm)
    else:
        destroy(folder, variables, confirm=confirm)


def main() -> int:
    parser = argparse.ArgumentParser(description="Deploy to, or remove from, your AWS account.")
    parser.add_argument("action", choices=("check", "plan", "deploy", "destroy"))
    parser.add_argument("--yes", action="store_true", help="ask nothing: take the defaults, and apply the plan")
    given = parser.parse_args()
    return exit_status("aws", lambda: run(given.action, yes=given.yes))
