"""A deployment, on the local cloud or in an AWS account."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lnn.aws.clocks import service_clock
from lnn.errors import ResourceDeleted, RunStateError
from lnn.messages import Message
from lnn.names import Names, s3_uri, tensor_key
from lnn_client.deployment import Deployment, deployment_name
from lnn_client.errors import (
    Ambiguous,
    ClientError,
    LocalCloudDown,
    NoRegion,
    NotFound,
    OtherAccount,
    OtherRegion,
    UnsupportedSystem,
)

if TYPE_CHECKING:
    import boto3
    import redis
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

    from lnn.runs.record import Run
    from lnn.runs.store import Ledger
    from lnn.serving.registry import ModelRecord, Registry
    from lnn_client.sweeps import Sweep
    from lnn_client.training import Run as RunHandle

DEFAULT_PREFIX = "lnn"
HOME_VARIABLE = "LNN_HOME"
# Names one of several deployments that were made from this folder.
DEPLOYMENT_VARIABLE = "LNN_DEPLOYMENT"
# Set where AWS cannot be asked for it: a private subnet without a way to its identity service.
ACCOUNT_VARIABLE = "LNN_ACCOUNT"


LATEST = "latest"
NEWEST, STAGING, PRODUCTION = "newest", "staging", "production"

_Found = TypeVar("_Found")


class Target(StrEnum):
    """Where the functions run."""

    LOCAL = "local"
    AWS = "aws"


def repository() -> Path:
    """Root of the project's checkout; the current folder if the package is installed elsewhere."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else Path.cwd()


def local_home() -> Path:
    """Folder that describes the local cloud."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named) if named else repository() / ".lnn" / "local"


def aws_home() -> Path:
    """Folder in which `make deploy` keeps what it knows of the deployment that is meant.

    Raises:
        ClientError: ``LNN_DEPLOYMENT`` is no name of a deployment.
    """
    home = repository() / ".lnn" / "aws"
    name = os.environ.get(DEPLOYMENT_VARIABLE)
    return home / deployment_name(name) if name else home


def local_description() -> dict[str, Any]:
    """What ``make up`` wrote about the local cloud: endpoint, region, prefix, credentials, Redis.

    Raises:
        LocalCloudDown: it has not been started yet.
        ClientError: the file is damaged.
        UnsupportedSystem: it cannot run here.
    """
    if platform.system() == "Windows":
        raise UnsupportedSystem(
            "the local cloud runs on Linux and macOS, not on Windows; work in WSL (in PowerShell: "
            "wsl --install, then set LNN up in the Linux that it brings)"
        )
    path = local_home() / "cloud.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LocalCloudDown("the local cloud is not running; start it with: make up") from None
    except json.JSONDecodeError as error:
        raise ClientError(f"{path} is damaged ({error}); write it again with: make down up") from error
    if not isinstance(description, dict) or not {"endpoint", "region", "credentials"} <= description.keys():
        raise ClientError(f"{path} is incomplete; write it again with: make down up")
    return description


class Cloud:
    """One deployment: its runs, its models, its names, and clients that are made when first used.

    Raises:
        ClientError: the local cloud has never been started or cannot run on this system; or the profile is for another
            region than the deployment.
    """

    def __init__(self, target: str = Target.LOCAL, prefix: str | None = None, region: str | None = None) -> None:
        self._arguments = target, prefix, region
        self.target = Target(target)
        self.endpoint: str | None = None
        self.deployment: Deployment | None = None
        if self.target is Target.LOCAL:
            local = local_description()
            self.session = _local_session(local)
            self.endpoint = local["endpoint"]
            self.known_account = local.get("account")
            deployed: str = local.get("prefix", DEFAULT_PREFIX)
        else:
            self.session, self.deployment = _aws_session(prefix, region)
            self.known_account = os.environ.get(ACCOUNT_VARIABLE)
            deployed = self.deployment.prefix if self.deployment else DEFAULT_PREFIX
        self.prefix = prefix or deployed

    def __reduce__(self) -> tuple[type[Cloud], tuple[str, str | None, str | None]]:
        """Another process makes clients of its own."""
        return Cloud, self._arguments

    def __deepcopy__(self, memo: object) -> Cloud:
        """Nothing of it changes, so one serves all: scikit-learn copies the parameters of estimators."""
        return self

    @cached_property
    def names(self) -> Names:
        """Names of the deployment's resources; asks AWS for the account if it is not known.

        Raises:
            OtherAccount: the credentials are of another account than the deployment.
        """
        account = self.known_account or self.caller()["Account"]
        wrong = None if self.known_account or not self.deployment else self.deployment.other_account(account)
        if wrong:
            raise OtherAccount(f"{wrong}, or {ACCOUNT_VARIABLE}={account} for a deployment there")
        return Names(self.prefix, account, self.region)

    @property
    def region(self) -> str:
        """Region of the session.

        Raises:
            NoRegion: none is configured.
        """
        region = self.session.region_name
        if not region:
            raise NoRegion("no AWS region is set")
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
    def logs(self) -> Any:
        """Client for the functions' logs."""
        return self.client("logs")

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

    def find_run(self, wanted: str = LATEST) -> Run:
        """The run that an id, the start of one, or ``latest`` means.

        Raises:
            NotFound: there is none.
            Ambiguous: there is more than one.
        """
        exact = None if wanted in {LATEST, ""} else self.ledger.get_run(wanted)
        if exact is not None:
            return exact
        runs = {run.run_id: run for run in self.ledger.list_runs()}
        if wanted != LATEST:
            return _only("run", wanted, runs)
        if not runs:
            raise NotFound("run")
        return next(iter(runs.values()))

    def find_model(self, wanted: str = NEWEST) -> ModelRecord:
        """The registered model that an id, the start of one, ``staging``, ``production`` or ``newest`` means.

        Raises:
            NotFound: there is none.
            Ambiguous: there is more than one.
        """
        if wanted in (STAGING, PRODUCTION):
            current = self.registry.current()
            in_stage = current.staging if wanted == STAGING else current.production
            if in_stage is None:
                raise NotFound(f"model in {wanted}")
            wanted = in_stage
        exact = self.registry.get(wanted) if wanted else None
        if exact is not None:
            return exact
        models = {model["model_id"]: model for model in self.registry.list_models()}
        if wanted == NEWEST and models:
            return next(iter(models.values()))
        return _only("model", wanted, models)

    def train(
        self,
        X: Any,
        y: Any = None,
        *,
        parameters: Mapping[str, Any] | Path | None = None,
        test: float | None = None,
        standardize: bool | None = None,
        regression: bool = False,
        sample_weight: Any = None,
        **changes: Any,
    ) -> RunHandle:
        """Train a network on X and y; the run goes on when this returns: see ``Run.wait``.

        Args:
            X: Examples (m, n) as an array, nested lists, or a frame of pandas or polars; pictures (m, height, width) or
                (m, height, width, 3); or the path of a ``datasets.h5`` or of a table.
            y: Labels (m,), or numbers to predict (m,) or (m, targets); of a frame or a table the name of its column.
            parameters: A whole ``parameters.json``, or its path. None: a network that fits the data.
            test: Share of each class that the model is tested with, 0.2 if not given; a dataset is split already.
            standardize: Whether features get mean 0 and deviation 1; None: where some lie beyond -1 to 1.
            regression: Whether y holds numbers to predict, however few different ones there are.
            sample_weight: How much each example counts where it trains, (m,), from 0; of a frame or a table also the
                name of its column, where y is one. Examples that test or validate count alike.
            changes: Values that replace those of the parameters: ``epochs=30``, ``strategy="neuron"``, ``name="one"``.

        Raises:
            InputError: everything that is wrong with the data or the parameters. Nothing is uploaded.
        """
        from lnn_client.datasets import TEST_SHARE
        from lnn_client.training import Source, train

        share = TEST_SHARE if test is None else test
        seed = int(changes.get("seed", 0))
        source = Source(X, y, share, standardize, regression, seed, sample_weight=sample_weight)
        return train(self, source, parameters, changes)

    def sweep(
        self,
        X: Any,
        y: Any = None,
        *,
        space: Mapping[str, Any],
        name: str,
        parameters: Mapping[str, Any] | Path | None = None,
        test: float | None = None,
        sample_weight: Any = None,
        changes: Mapping[str, Any] | None = None,
        **plan: Any,
    ) -> Sweep:
        """Train with many settings on X and y (see ``train``), and register the best model; waits for the end.

        Args:
            X: As for ``train``.
            y: As for ``train``.
            space: The settings that vary: see ``lnn_client.search_space``.
            name: The sweep's. One that was begun goes on, with its own data and plan.
            parameters: As for ``train``.
            test: As for ``train``.
            sample_weight: As for ``train``.
            changes: Values of parameters that do not vary.
            plan: Of ``trials``, ``parallel``, ``sampler``, ``pruner``, ``seed``, ``max_usd``, ``seconds`` and ``folds``
                those that are not the defaults of ``lnn sweep``. With ``folds=5`` each setting is cross-validated.

        Raises:
            InputError: everything that is wrong with the data, the parameters or the space.
        """
        from lnn_client.datasets import TEST_SHARE
        from lnn_client.sweeps import Plan, checked, created, found
        from lnn_client.training import Source, prepared

        try:
            going = found(self, name)
        except NotFound:
            source = Source(X, y, TEST_SHARE if test is None else test, sample_weight=sample_weight)
            with prepared(source, parameters, changes) as (dataset, content):
                wanted = Plan(name, space, json.loads(content), **{"trials": 30, **plan})
                going = created(self, checked(wanted, dataset), dataset)
        going.run()
        going.register_best()
        return going

    def run(self, wanted: str = LATEST) -> RunHandle:
        """The run that an id, the start of one, or ``latest`` means, to wait for, to stop and to ask."""
        from lnn_client.training import Run

        return Run(self, self.find_run(wanted).run_id)

    def runs(self) -> list[RunHandle]:
        """All runs, the newest first."""
        from lnn_client.training import Run

        return [Run(self, record.run_id) for record in self.ledger.list_runs()]

    def resume(self, run_id: str, epochs: int | None = None, step: bool | None = None) -> int:
        """Let a stopped or failed run go on from its last checkpoint; returns its new generation.

        With ``epochs`` it trains so many in all, and a completed one may go on, too. ``step`` says whether it waits at
        each step from now on; None leaves that as it is.

        Raises:
            RunStateError: the run cannot go on.
            SettingsError: no run may have so many epochs.
        """
        from lnn.aws.invoker import Invoker

        if epochs is not None:
            self._check_longer(run_id, epochs)
        generation = self.ledger.reopen(run_id, epochs, step)
        invoker = Invoker(self.functions, self.names.trainer, self.names.neuron)
        invoker.invoke_trainer(Message(run_id, generation, "start"))
        return generation

    def _check_longer(self, run_id: str, epochs: int) -> None:
        """Raises SettingsError where no run may have so many epochs, and RunStateError where files that the run goes
        on with have expired: it would fail, and its end is worth more.
        """
        from lnn.aws.client_errors import refusals
        from lnn.data.in_memory import TRAIN_Y
        from lnn.job.hyperparameters import parse_settings

        run = self.find_run(run_id)
        if not run.is_prepared:
            return  # that it cannot be resumed at all is worth more
        if run.settings:
            parse_settings(json.dumps({**run.settings, "epochs": epochs}))
        for key in (tensor_key(run_id, TRAIN_Y), *([run.checkpoint["key"]] if run.checkpoint else [])):
            address = s3_uri(self.names.bucket, key)
            try:
                with refusals("read", address):
                    self.s3.head_object(Bucket=self.names.bucket, Key=key)
            except ResourceDeleted as error:
                raise RunStateError(
                    f"run {run_id} cannot be resumed: {address} is deleted, as the files of an ended run are after "
                    "some days (runs_expiry_days in Terraform); train the dataset anew"
                ) from error

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
        service_clock.follow(self.session.events)
        make: Any = self.session.client
        return make(service, endpoint_url=self.endpoint, config=config)


def _only(kind: str, wanted: str, known: Mapping[str, _Found]) -> _Found:
    """The one whose id starts with ``wanted``."""
    found = [name for name in known if wanted and name.startswith(wanted)]
    if not found:
        raise NotFound(kind, wanted)
    if len(found) > 1:
        raise Ambiguous(kind, wanted, found)
    return known[found[0]]


def _local_session(description: Mapping[str, Any]) -> boto3.Session:
    import boto3
    import botocore.session

    credentials = description["credentials"]
    # The user's AWS profile and configuration have no say in what happens on this machine.
    nobodys = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    return boto3.Session(
        botocore_session=botocore.session.Session(session_vars=nobodys),
        aws_access_key_id=credentials["access_key_id"],
        aws_secret_access_key=credentials["secret_access_key"],
        region_name=description["region"],
    )


def _aws_session(prefix: str | None, region: str | None) -> tuple[boto3.Session, Deployment | None]:
    """The session, and the deployment that this folder made if it is the one that is meant."""
    import boto3

    made = Deployment.load(aws_home())
    session = boto3.Session(region_name=region or _region(made))
    if not made or session.region_name != made.region or (prefix or made.prefix) != made.prefix:
        made = None
    return session, made


def region_of_environment() -> str | None:
    """The region that a variable names. boto3 itself reads only the second of them."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


def _region(made: Deployment | None) -> str | None:
    """The region to work in where no option names it: the deployment's, unless the environment names another.

    What environment and profile named when `make deploy` ran says nothing: the deployment went elsewhere all the same.

    Raises:
        OtherRegion: the profile is for another region.
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
    raise OtherRegion(
        f"profile {session.profile_name!r} is for {named}, but {made.prefix!r} is deployed in {made.region} (account "
        f"{made.account})",
        made.region,
    )
