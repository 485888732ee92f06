"""Which deployment a Cloud talks to."""

from __future__ import annotations

from pathlib import Path

import pytest

from lnn_client import cloud as targets
from lnn_client.cloud import Cloud, Target
from lnn_client.deployment import DamagedRecordError, Deployment
from lnn_client.errors import OtherAccount, OtherRegion

ACCOUNT, OTHER_ACCOUNT = "123456789012", "210987654321"
MADE = Deployment(ACCOUNT, "eu-central-1", "team", "s3://state/team/terraform.tfstate", profile_region="us-east-1")


@pytest.fixture(autouse=True)
def _nothing_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No region, profile or account but what a test gives."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "LNN_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which MADE was deployed."""
    monkeypatch.setattr(targets, "aws_home", lambda: tmp_path)
    MADE.save(tmp_path)
    return tmp_path


def profile_for(region: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(f"[profile work]\nregion = {region}\n")
    monkeypatch.setenv("AWS_PROFILE", "work")


def credentials_of(account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cloud, "caller", lambda _cloud: {"Account": account})


def test_the_account_is_not_asked_for_where_the_environment_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_cloud: Cloud) -> dict[str, str]:
        raise AssertionError("AWS's identity service was asked")

    monkeypatch.setattr(Cloud, "caller", unreachable)
    monkeypatch.setenv("LNN_ACCOUNT", "123456789012")
    cloud = Cloud(Target.AWS, "team", "eu-west-1")
    assert cloud.names.bucket == "team-123456789012-eu-west-1"


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("profile", [None, "us-east-1", "eu-central-1"])
def test_commands_go_where_make_deploy_put_it(
    profile: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without options or variables, and whatever region the profile named at the deployment already."""
    if profile:
        profile_for(profile, tmp_path, monkeypatch)
    credentials_of(ACCOUNT, monkeypatch)
    cloud = Cloud(Target.AWS)
    assert cloud.names.bucket == "team-123456789012-eu-central-1"
    assert cloud.session.region_name == "eu-central-1"


@pytest.mark.usefixtures("made")
def test_a_profile_for_another_region_is_refused_with_both_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile_for("ap-south-1", tmp_path, monkeypatch)
    with pytest.raises(OtherRegion, match=r"profile 'work' is for ap-south-1, but 'team' is deployed in eu-central-1"):
        Cloud(Target.AWS)
    assert Cloud(Target.AWS, region="ap-south-1").region == "ap-south-1"


@pytest.mark.usefixtures("made")
def test_credentials_of_another_account_are_refused_with_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials_of(OTHER_ACCOUNT, monkeypatch)
    with pytest.raises(OtherAccount, match=f"in account {ACCOUNT}.*are of account {OTHER_ACCOUNT}"):
        _ = Cloud(Target.AWS).names
    with pytest.raises(OtherAccount, match="LNN_ACCOUNT"):
        _ = Cloud(Target.AWS, "team", "eu-central-1").names
    monkeypatch.setenv("LNN_ACCOUNT", OTHER_ACCOUNT)
    assert Cloud(Target.AWS).names.bucket == f"team-{OTHER_ACCOUNT}-eu-central-1"


@pytest.mark.usefixtures("made")
def test_options_and_environment_choose_another_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which this folder knows nothing: neither prefix nor account are taken from its own."""
    credentials_of(OTHER_ACCOUNT, monkeypatch)
    assert Cloud(Target.AWS, region="us-west-2").names.bucket == f"lnn-{OTHER_ACCOUNT}-us-west-2"
    assert Cloud(Target.AWS, "mine").names.bucket == f"mine-{OTHER_ACCOUNT}-eu-central-1"
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert Cloud(Target.AWS).names.bucket == f"lnn-{OTHER_ACCOUNT}-us-west-2"


def test_a_damaged_record_is_refused_with_its_cure(made: Path) -> None:
    (made / "deployment.json").write_text("[]")
    with pytest.raises(DamagedRecordError, match=r"deployment\.json is damaged.*delete it"):
        Cloud(Target.AWS)
