"""Libraries that only an export needs: they are no part of the package's own requirements."""

import sys
from importlib import import_module
from types import ModuleType

from lnn_client.errors import MissingPackage


def need(module: str, package: str, what: str) -> ModuleType:
    """The module.

    Raises:
        MissingPackage: it is not installed; says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"{what} needs the Python package {package}, which is not installed ({error.name} is missing); "
            f"install it: {sys.executable} -m pip install {package}"
        ) from error
