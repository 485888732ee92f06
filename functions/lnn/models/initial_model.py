"""Warm start: a run that begins with the weights of a model in place of drawn ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from lnn.errors import InputError, ResourceDeleted, SettingsError
from lnn.models.validation import inspect_model, misfits
from lnn.names import LATEST_PARAMS, PREDICTION_INPUT, model_key, params_key, s3_uri

if TYPE_CHECKING:
    from lnn.job.plan import Plan
    from lnn.models.model_file import Model
    from lnn.models.store import Artifacts
    from lnn.network.types import Parameters

LATEST = "latest"
"""Name of the model of the run that completed last."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Runs and registered models; keys are made of these names."""

INSPECTION_SECONDS = 60.0

EXPECTED = 'expected a run with a model, a registered model, "latest", or the address of a params.h5'


def initial_parameters(
    artifacts: Artifacts, named: str, plan: Plan, drawn: Parameters, max_bytes: int, *, replace_output: bool
) -> tuple[Parameters, list[str]]:
    """The parameters to begin with, and warnings: those of the model ``named``, which must fit the plan.

    With ``replace_output`` the last layer is as it was ``drawn``. The model's file and arrays take at most
    ``max_bytes`` each. Raises SettingsError.
    """
    model = _model(artifacts, named, max_bytes)
    kept = len(drawn) - replace_output
    if problems := _problems(model, plan, drawn, kept, replace_output=replace_output):
        raise SettingsError([f"initial_model: {problem}" for problem in problems])
    parameters = [
        (W.astype(plan.dtype, copy=True), b.astype(plan.dtype, copy=True)) for W, b in model.parameters[:kept]
    ]
    if not all(np.isfinite(array).all() for layer in parameters for array in layer):
        raise SettingsError(f'initial_model: found weights too large for {plan.dtype}; use "dtype": "float64"')
    return parameters + drawn[kept:], list(_warnings(model, plan))


def _model(artifacts: Artifacts, named: str, max_bytes: int) -> Model:
    for key in _keys(artifacts.bucket, named):
        try:
            content = artifacts.get_upload(key, None, max_bytes)
            model = inspect_model(content, max_bytes, INSPECTION_SECONDS)
        except ResourceDeleted:
            continue
        except InputError as error:
            raise _refused(artifacts, key, error.problems) from error
        if wrong := misfits(model):
            raise _refused(artifacts, key, wrong)
        return model
    raise SettingsError(f'initial_model: found "{named}", and no such model; {EXPECTED}')


def _refused(artifacts: Artifacts, key: str, problems: Iterable[str]) -> SettingsError:
    return SettingsError([f"initial_model: {s3_uri(artifacts.bucket, key)}: {problem}" for problem in problems])


def _keys(bucket: str, named: str) -> list[str]:
    """Where the model may be. Raises SettingsError for what is no name, and no address of a model here."""
    here = s3_uri(bucket, PREDICTION_INPUT)
    if named.startswith(here):
        return [named.removeprefix(s3_uri(bucket, ""))]
    if named.startswith("s3://"):
        raise SettingsError(
            f'initial_model: found "{named[:200]}"; expected an address under {here}: upload the model there first'
        )
    if not NAME.fullmatch(named):
        raise SettingsError(f'initial_model: found "{named[:200]}"; {EXPECTED}')
    return [LATEST_PARAMS] if named == LATEST else [params_key(named), model_key(named)]


def _problems(model: Model, plan: Plan, drawn: Parameters, kept: int, *, replace_output: bool) -> list[str]:
    """Why the first ``kept`` layers of a model are none for the plan."""
    found, wanted = ("-".join(map(str, sizes)) for sizes in (_sizes(model.parameters), _sizes(drawn)))
    shapes = [[W.shape for W, _ in parameters[:kept]] for parameters in (model.parameters, drawn)]
    inner_fits = (
        len(model.parameters) == len(drawn)
        and shapes[0][: len(drawn) - 1] == shapes[1][: len(drawn) - 1]
        and model.activations[:-1] == plan.activations[:-1]
    )
    cure = ', or "replace_output": true, as the last layer alone differs' if inner_fits and not replace_output else ""
    if shapes[0] != shapes[1] or len(model.parameters) != len(drawn):
        return [f"found a network {found}; expected {wanted}, as parameters.json and the dataset have it{cure}"]
    if model.activations[:kept] != plan.activations[:kept]:
        theirs, ours = (", ".join(names[:kept]) for names in (model.activations, plan.activations))
        return [f"found the activations {theirs}; expected {ours}, as in parameters.json{cure}"]
    if not replace_output and (model.list_classes, model.list_targets) != (plan.list_classes, plan.list_targets):
        theirs = ", ".join(model.list_classes or model.list_targets)[:200]
        return [f'found a model of {theirs}; expected those of the dataset, or "replace_output": true']
    return []


def _sizes(parameters: Parameters) -> list[int]:
    return [parameters[0][0].shape[1], *(len(W) for W, _ in parameters)]


def _warnings(model: Model, plan: Plan) -> Iterator[str]:
    """How the model's examples were made otherwise than those of the dataset."""
    if model.scale != plan.scale:
        yield (
            f"initial_model: its examples were divided by {model.scale:g}, those of the dataset by {plan.scale:g}; "
            "store the dataset's values as the model's were"
        )
    if (model.preprocessing is not None) != plan.preprocessed:
        yield "initial_model: the model or the dataset is of a table, and the other is not"
