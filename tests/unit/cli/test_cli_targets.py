"""Which deployment a command talks to."""

from __future__ import annotations

import pytest

from lnn_cli.targets import Cloud, Target, connect


def test_the_account_is_not_asked_for_where_the_environment_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_cloud: Cloud) -> dict[str, str]:
        raise AssertionError("AWS's identity service was asked")

    monkeypatch.setattr(Cloud, "caller", unreachable)
    monkeypatch.setenv("LNN_ACCOUNT", "123456789012")
    cloud = connect(Target.AWS, "team", "eu-west-1")
    assert cloud.names.bucket == "team-123456789012-eu-west-1"
