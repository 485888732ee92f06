"""The credentials of a deployment: found once, by boto3, and handed to Terraform.

The AWS provider 5.x, and the S3 backend, do not know the logins that `aws login` keeps, nor every SSO profile that
boto3 knows: https://github.com/hashicorp/terraform-provider-aws/issues/45316 and 45589.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lnn_client.cloud import region_of_environment
from lnn_tools.aws_deployment.errors import DeploymentError

# A first deployment takes ten to fifteen minutes, most of them for the cache; AWS allows itself more.
DEPLOYMENT_MINUTES = 30
LEAST_MINUTES = 5
LOG_IN = "log in again ('aws login', or 'aws sso login'), or set AWS_PROFILE to another profile"
# Whatever else leads to credentials must not win over those that are handed over.
PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


@dataclass(frozen=True, slots=True)
class Identity:
    """Credentials, and the account that they are of."""

    account: str
    profile_region: str | None
    """The region that profile or environment name."""
    credentials: Any
    """As botocore keeps them; it renews those that can be renewed."""

    def environment(self, others: Mapping[str, str]) -> dict[str, str]:
        """The environment of a Terraform that acts with these credentials, and with no profile.

        Raises:
            DeploymentError: they have expired and cannot be renewed.
        """
        try:
            keys = self.credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError, RuntimeError) as error:  # the last: renewed, but past already
            raise DeploymentError(f"the AWS login has ended ({error}); {LOG_IN}") from error
        named = {
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_SESSION_TOKEN": keys.token,
        }
        kept = {name: value for name, value in others.items() if name not in named and name not in PROFILES}
        return kept | {name: value for name, value in named.items() if value}

    def lasts(self, minutes: int) -> bool:
        """Whether the credentials are good for so long; nothing is known of temporary keys without a date."""
        needed: Callable[[int], bool] | None = getattr(self.credentials, "refresh_needed", None)
        return needed is None or not needed(minutes * 60)

    def check_time(self, say: Callable[[str], None]) -> None:
        """Warns of credentials that may end before a deployment does.

        Raises:
            DeploymentError: they end at once.
        """
        self.environment({})  # renews what can be renewed
        if not self.lasts(LEAST_MINUTES):
            raise DeploymentError(f"the AWS credentials expire within {LEAST_MINUTES} minutes; {LOG_IN}")
        if not self.lasts(DEPLOYMENT_MINUTES):
            say(
                f"aws: the credentials expire within {DEPLOYMENT_MINUTES} minutes, and a first deployment may take as "
                "long. If they end before it does, log in again and repeat the command: it goes on where it stopped."
            )


def identity() -> Identity:
    """Of the credentials in use, wherever boto3 finds them.

    Raises:
        DeploymentError: there are none that work.
    """
    try:
        session = boto3.Session()
        credentials = session.get_credentials()
        if credentials is None:
            raise DeploymentError("no AWS credentials; run 'aws login' or 'aws configure', or set AWS_PROFILE")
        account = session.client("sts", region_name=session.region_name or "us-east-1").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        raise DeploymentError(f"no working AWS credentials ({error}); {LOG_IN}") from error
    return Identity(str(account), region_of_environment() or session.region_name, credentials)
