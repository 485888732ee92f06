"""The resources of a deployment, and which of them are there."""

from lnn_client.cloud import Cloud

FUNCTIONS = ("launch", "trainer", "neuron", "register", "predict")


def resources(cloud: Cloud) -> dict[str, list[str]]:
    """Names by kind: the bucket, the tables, the functions."""
    names = cloud.names
    return {
        "bucket": [names.bucket],
        "tables": [names.runs_table, names.costs_table, names.invocations_table, names.models_table],
        "functions": [names.function(role) for role in FUNCTIONS],
    }


def absent_resources(cloud: Cloud, kind: str, names: list[str]) -> list[str]:
    """The names under which the deployment has nothing."""
    from botocore.exceptions import ClientError

    absent = []
    for name in names:
        try:
            _look_at(cloud, kind, name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"404", "NoSuchBucket", "ResourceNotFoundException"}:
                raise
            absent.append(name)
    return absent


def _look_at(cloud: Cloud, kind: str, name: str) -> None:
    if kind == "bucket":
        cloud.s3.head_bucket(Bucket=name)
    elif kind == "tables":
        cloud.dynamodb.describe_table(TableName=name)
    else:
        cloud.functions.get_function_configuration(FunctionName=name)
