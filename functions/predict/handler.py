"""PredictLambda: answers the prediction API, and predicts the parts of batches that people upload."""

from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import wiring
from lnn.aws.clients import TABLES, client
from lnn.aws.events import http_request, uploads
from lnn.environment import Environment
from lnn.runs import logs
from lnn.serving.api import PredictionApi
from lnn.serving.batch import BatchPredictions
from lnn.serving.registry import Registry
from lnn.serving.router import Serving

environment = Environment.read()
artifacts = wiring.artifacts(environment)
registry = Registry(client("dynamodb", TABLES), environment.models_table)
api = PredictionApi(Serving(registry, artifacts), Path(__file__).parent)
batches = BatchPredictions(artifacts)


@logs.invocation
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one HTTP request, or predict each part in an S3 event and answer what became of it."""
    if parts := uploads(event):
        outcomes = {}
        for part in parts:
            outcomes[part.key] = batches.predict(part)
            logs.logger.info("part handled", extra={"key": part.key, "outcome": outcomes[part.key]})
        return outcomes
    request = http_request(event)
    reply = api.answer(request)
    told = {"method": request.method, "path": request.path[:100], "status": reply.status}
    logs.logger.info("answered", extra=told)
    return reply.as_event()
