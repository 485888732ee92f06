"""The command line, in an AWS account of the test's own."""

from __future__ import annotations

import pytest

from support.aws_account import (
    RunCli,
    dataset,
    parameters,
    run_cli,
    service_models_are_read_once,
    surroundings,
    unused_port,
    world,
)

__all__ = ["dataset", "parameters", "service_models_are_read_once", "surroundings", "unused_port", "world"]


@pytest.fixture
def cli() -> RunCli:
    return run_cli
