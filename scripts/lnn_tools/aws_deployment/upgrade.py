"""The changes that an upgrade makes to a deployment's data, besides those of Terraform."""

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lnn.errors import LnnError
from lnn.runs.store import Ledger
from lnn_tools.errors import ToolError


def enter_unfinished_runs(runs_table: str, costs_table: str, region: str) -> list[str]:
    """Adds unfinished runs of a release without the index of open runs to that index; returns their ids.

    The watch finds runs by the index. The functions may not scan the table, so this uses the deployer's credentials.
    It may be repeated.

    Raises:
        ToolError: the table cannot be read or written.
    """
    ledger = Ledger(boto3.client("dynamodb", region_name=region), runs_table, costs_table)
    try:
        return ledger.watch_unfinished_runs()
    except (BotoCoreError, ClientError, LnnError) as error:
        raise ToolError(
            f"deployed, but unfinished runs are not in the index that the watch reads: {error}. "
            f"Allow dynamodb:Scan and dynamodb:UpdateItem on {runs_table}, then run make deploy again"
        ) from error
