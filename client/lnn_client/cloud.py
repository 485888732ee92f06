"""The cloud a command talks to: the local one, or the user's AWS account."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnn.names import Names
from lnn_cli.ui.errors import CliError
from lnn_client.deployment import DamagedRecordError, Deployment

if TYPE_CHECKING:
    import boto3
    import redis
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

    from lnn.aws.invoker import Invoker
    from lnn.runs.store import Ledger
    from lnn.serving.registry import Registry

DEFAULT_PREFIX = "lnn"
HOME_VARIABLE = "LNN_HOME"
NOT_ON_WINDOWS = (
    "the local cloud runs on Linux and macOS, not on Windows: work in WSL (in PowerShell: wsl --install, then set LNN "
    "up in the Linux that it brings), or use your AWS account with --target aws"
)
# Set where AWS cannot be asked for it: a private subnet without a way to its identity service.
ACCOUNT_VARIABLE = "LNN_ACCOUNT"


class Target(StrEnum):
    """Where the functions run."""

    LOCAL = "local"
    AWS = "aws"


_chosen: ContextVar[Target] = ContextVar("target", default=Target.LOCAL)


def command(line: str) -> str:
    """A command to recommend, for the target that this one was given."""
    return line if _chosen.get() is Target.LOCAL else f"{line} --target {_chosen.get()}"


def repository() -> Path:
    """Root of the project's checkout; the current folder if the package is installed elsewhere."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else Path.cwd()


def local_home() -> Path:
    """Folder that describes the local cloud."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named) if named else repository() / ".lnn" / "local"


def aws_home() -> Path:
    """Folder in which `make deploy` keeps what it knows of the deployment."""
    return repository() / ".lnn" / "aws"


def local_description() -> dict[str, Any]:
    """What ``make up`` wrote about the local cloud: endpoint, region, prefix, credentials, Redis.

    Raises:
        CliError: it has not been started yet, or the file is damaged.
    """
    path = local_home() / "cloud.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CliError("the local cloud is not running; start it with: make up") from None
    except json.JSONDecodeError as error:
        raise CliError(f"{path} is damaged ({error}); write it again with: make down up") from error
    if not isinstance(description, dict) or not {"endpoint", "region", "credentials"} <= description.keys():
        raise CliError(f"{path} is incomplete; write it again with: make down up")
    return description


@dataclass(frozen=True)
class Cloud:
    """One deployment: where it is, its names, and clients that are made when first used."""

    target: Target
    session: boto3.Session
    prefix: str
    endpoint: str | None
    known_account: str | None
    deployment: Deployment | None = None

    @cached_property
    def names(self) -> Names:
        """Names of the deployment's resources; asks AWS for the account if it is not known.

        Raises:
            CliError: the credentials are of another account than the deployment.
        """
        account = self.known_account or self.caller()["Account"]
        wrong = None if self.known_account or not self.deployment else self.deployment.other_account(account)
        if wrong:
            raise CliError(f"{wrong}, or {ACCOUNT_VARIABLE}={account} for a deployment there")
        return Names(self.prefix, account, self.region)

    @property
    def region(self) -> str:
        """Region of the session.

        Raises:
            CliError: none is configured.
        """
        region = self.session.region_name
        if not region:
            raise CliError("no AWS region is set; pass --region or set AWS_REGION")
        return region

    @cached_property
    def s3(self) -> S3Client:
        """Client for the bucket."""
        return self.client("s3")  # type: ignore[no-any-return]

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """Client for the tables."""
        return self.client("dynamodb")  # type: ignore[no-any-return]

    @cached_property
    def functions(self) -> LambdaClient:
        """Client for the Lambda functions."""
        return self.client("lambda")  # type: ignore[no-any-return]

    @cached_property
    def ledger(self) -> Ledger:
        """The runs of this deployment."""
        from lnn.runs.store import Ledger

        return Ledger(self.dynamodb, self.names.runs_table, self.names.costs_table)

    @cached_property
    def registry(self) -> Registry:
        """The models of this deployment."""
        from lnn.serving.registry import Registry

        return Registry(self.dynamodb, self.names.models_table)

    @cached_property
    def invoker(self) -> Invoker:
        """Sends messages to the functions."""
        from lnn.aws.invoker import Invoker

        return Invoker(self.functions, self.names.trainer, self.names.neuron)

    @cached_property
    def cache(self) -> redis.Redis:
        """Connection to the parameter server. On AWS only what is in the VPC and has the functions' variables gets one.

        Raises:
            LnnError: a variable is missing.
        """
        if self.target is Target.AWS:
            from lnn.environment import Environment
            from lnn.parameter_server.connection import connect as connect_to

            return connect_to(Environment.read().cache, self.region)
        import redis

        return redis.Redis(**local_description()["redis"])

    def caller(self) -> Mapping[str, str]:
        """The identity that the credentials belong to: ``Account``, ``Arn``."""
        answer: Mapping[str, str] = self.client("sts").get_caller_identity()
        return answer

    def client(self, service: str) -> Any:
        """A client of the session, which soon gives up what it cannot reach."""
        from botocore.config import Config

        if self.target is Target.AWS:
            config = Config(connect_timeout=5, retries={"mode": "standard", "total_max_attempts": 5})
        else:
            config = Config(
                connect_timeout=5,
                proxies={},
                read_timeout=60,
                retries={"mode": "standard", "total_max_attempts": 3},
                s3={"addressing_style": "path"},
            )
        make: Any = self.session.client
        return make(service, endpoint_url=self.endpoint, config=config)


def connect(target: Target, prefix: str | None = None, region: str | None = None) -> Cloud:
    """The cloud that ``--target``, ``--prefix`` and ``--region`` mean.

    Raises:
        CliError: the local cloud has never been started, or cannot run on this system.
    """
    _chosen.set(target)
    if target is Target.LOCAL and platform.system() == "Windows":
        raise CliError(NOT_ON_WINDOWS)
    return _connect_local(prefix) if target is Target.LOCAL else _connect_aws(prefix, region)


def _connect_local(prefix: str | None) -> Cloud:
    description = local_description()
    import boto3
    import botocore.session

    credentials = description["credentials"]
    # The user's AWS profile and configuration have no say in what happens on this machine.
    nobodys = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    session = boto3.Session(
        botocore_session=botocore.session.Session(session_vars=nobodys),
        aws_access_key_id=credentials["access_key_id"],
        aws_secret_access_key=credentials["secret_access_key"],
        region_name=description["region"],
    )
    return Cloud(
        target=Target.LOCAL,
        session=session,
        prefix=prefix or description.get("prefix", DEFAULT_PREFIX),
        endpoint=description["endpoint"],
        known_account=description.get("account"),
    )


def _connect_aws(prefix: str | None, region: str | None) -> Cloud:
    import boto3

    try:
        made = Deployment.load(aws_home())
    except DamagedRecordError as error:
        raise CliError(str(error)) from error
    region = region or _region(made)
    session = boto3.Session(region_name=region)
    if not made or session.region_name != made.region or (prefix or made.prefix) != made.prefix:
        made = None
    return Cloud(
        target=Target.AWS,
        session=session,
        prefix=prefix or (made.prefix if made else DEFAULT_PREFIX),
        endpoint=None,
        known_account=os.environ.get(ACCOUNT_VARIABLE),
        deployment=made,
    )


def region_of_environment() -> str | None:
    """The region that a variable names. boto3 itself reads only the second of them."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


def _region(made: Deployment | None) -> str | None:
    """The region to work in where no option names it: the deployment's, unless the environment names another.

    What environment and profile named when `make deploy` ran says nothing: the deployment went elsewhere all the same.

    Raises:
        CliError: the profile is for another region.
    """
    import boto3

    session = boto3.Session()
    variable = region_of_environment()
    named = variable or session.region_name
    if made is None:
        return named
    if named in {None, made.region, made.profile_region}:
        return made.region
    if variable:
        return variable
    raise CliError(
        f"profile {session.profile_name!r} is for {named}, but {made.prefix!r} is deployed in {made.region} (account "
        f"{made.account}); pass --region {made.region}, set AWS_REGION, or set AWS_PROFILE to another profile"
    )
