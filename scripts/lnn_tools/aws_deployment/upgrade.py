"""What an upgrade does to a deployment's data besides Terraform's own changes."""

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lnn.errors import LnnError
from lnn.runs.store import Ledger
from lnn_tools.aws_deployment.errors import DeploymentError


def enter_unfinished_runs(runs_table: str, costs_table: str, region: str) -> list[str]:
    """Enter runs of a release without the index of open runs in it, so that the watch finds them; returns their ids.

    The functions may not read the whole table, so this is done with the credentials that deploy. Repeating it is
    harmless.

    Raises:
        DeploymentError: the table cannot be read or written.
    """
    ledger = Ledger(boto3.client("dynamodb", region_name=region), runs_table, costs_table)
    try:
        return ledger.watch_unfinished_runs()
    except (BotoCoreError, ClientError, LnnError) as error:
        raise DeploymentError(
            f"deployed, but runs that were going on are not in the index that the watch reads: {error}. "
            f"Allow dynamodb:Scan and dynamodb:UpdateItem on {runs_table}, then run make deploy again"
        ) from error
