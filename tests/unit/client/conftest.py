"""An AWS account of the test's own."""

from support.aws_account import dataset, service_models_are_read_once, surroundings, world

__all__ = ["dataset", "service_models_are_read_once", "surroundings", "world"]
