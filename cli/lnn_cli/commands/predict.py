"""``lnn predict``: which class a trained network sees in a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lnn_cli.commands.models import PRODUCTION, STAGING, find_model
from lnn_cli.options import JsonOption, PrefixOption, RegionOption, TargetOption, WhiteOption, check_white
from lnn_cli.ui.console import note, print_json, print_table, share
from lnn_cli.ui.errors import CliError
from lnn_client.cloud import Target, command, connect
from lnn_client.datasets import existing_file
from lnn_client.runs import LATEST, find_run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lnn.models.inference import Prediction
    from lnn.models.model_file import Model
    from lnn_client.cloud import Cloud

_MODEL_SUFFIX = ".h5"


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures of any size and format.")],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL|RUN|FILE",
            help="A run, `latest`, a registered model, `production`, `staging`, or a local params.h5.",
        ),
    ] = "latest",
    invert: Annotated[
        bool, typer.Option("--invert", help="Swap dark and light: the digits were learned white on black.")
    ] = False,
    white: WhiteOption = None,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Name the class of each picture, with its probability.

    Example: lnn predict my-cat.jpg --model latest
    """
    check_white(white)
    network = load_named(model, target, prefix, region)
    predictions = predict_pictures(network, images, invert=invert, white=white)
    if as_json:
        print_json([{"image": str(image)} | said.to_json() for image, said in zip(images, predictions, strict=True)])
        return
    rows = [
        [str(image), said.classes[said.index], share(said.probabilities[said.index])]
        for image, said in zip(images, predictions, strict=True)
    ]
    print_table(("image", "class", "probability"), rows, right=("probability",))
    note(f"model of run {network.run_id}")


def predict_pictures(
    model: Model, images: list[Path], *, invert: bool = False, white: float | None = None
) -> list[Prediction]:
    """Predictions for pictures, in their order.

    Raises:
        CliError: the model was not trained on pictures, or some pictures cannot be read; names all of them.
    """
    from lnn.models import inference

    if model.image_shape is None:
        raise CliError(
            f"the model of run {model.run_id} was trained on {model.features} plain features, not on pictures; "
            "use lnn.models.model_file.load_model from Python for such data"
        )
    columns = []
    problems = []
    for image in images:
        try:
            columns.append(_features(model, image, invert=invert, white=white))
        except CliError as error:
            problems.append(str(error))
    if problems:
        raise CliError("; ".join(problems))
    return inference.predict(model, columns)


def _features(model: Model, image: Path, *, invert: bool, white: float | None) -> NDArray[np.float64]:
    """The picture as one column of X (n,), on the scale that the model was trained on."""
    from lnn.models.inference import column_of_picture
    from lnn_client.pictures import read_picture

    assert model.image_shape is not None  # noqa: S101 - predict_pictures has checked it
    pixels = read_picture(image, model.image_shape, white)
    if invert:
        pixels = 255 - pixels
    return column_of_picture(model, pixels)


def load_named(model: str, target: Target, prefix: str | None, region: str | None) -> Model:
    """The model in a local file, a registered one, or that of a run in the bucket."""
    from lnn.models.validation import inspect_model

    path = Path(model)
    if path.suffix == _MODEL_SUFFIX or path.is_file():
        return inspect_model(existing_file(path))
    return inspect_model(_download(connect(target, prefix, region), model))


def _download(cloud: Cloud, model: str) -> bytes:
    from botocore.exceptions import ClientError

    from lnn.names import LATEST_PARAMS, model_key, params_key

    if model in (STAGING, PRODUCTION) or cloud.registry.get(model) is not None:
        found = find_model(cloud.registry, model)
        key, remedy = model_key(found["model_id"]), found.get("refused", "restore it, or upload it again")
    elif model == LATEST:
        key, remedy = LATEST_PARAMS, f"train one with: {command('lnn train DATASET.h5 --wait')}"
    else:
        run = find_run(cloud.ledger, model)
        key, remedy = (
            params_key(run["run_id"]),
            f"run {run['run_id']} is {run['status']}; pick another from: {command('lnn runs')}",
        )
    try:
        content: bytes = cloud.s3.get_object(Bucket=cloud.names.bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
            raise CliError(f"there is no model at s3://{cloud.names.bucket}/{key}; {remedy}") from error
        raise
    return content
