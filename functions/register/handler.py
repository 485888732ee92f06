"""RegisterLambda: enters each uploaded model and puts it into staging."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import wiring
from lnn.aws.clients import IMPATIENT, TABLES, client
from lnn.aws.events import uploads
from lnn.aws.notifier import Notifier
from lnn.environment import Environment
from lnn.runs import logs
from lnn.runs.store import Ledger
from lnn.serving.registration import RegistrationServices, register
from lnn.serving.registry import Registry

environment = Environment.read()
dynamodb = client("dynamodb", TABLES)
shelf = RegistrationServices(
    registry=Registry(dynamodb, environment.models_table),
    artifacts=wiring.artifacts(environment),
    ledger=Ledger(dynamodb, environment.runs_table, environment.costs_table),
    notifier=Notifier(client("sns", IMPATIENT), environment.topic_arn),
)


@logs.invocation
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Register each upload in an S3 event; answers what became of each."""
    outcomes = {}
    for upload in uploads(event):
        outcomes[upload.key] = register(shelf, upload)
        logs.logger.info("upload handled", extra={"key": upload.key, "outcome": outcomes[upload.key]})
    return outcomes
