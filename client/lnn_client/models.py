"""Models: where a name leads, and what they predict for pictures and for the rows of tables."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from botocore.exceptions import ClientError as AwsError

from lnn.data.preprocessing import Preprocessing, listed
from lnn.errors import InputError
from lnn.models.inference import Numbers, Prediction, column_of_picture, predict
from lnn.models.model_file import Model
from lnn.models.validation import inspect_model
from lnn.names import LATEST_PARAMS, model_key, params_key
from lnn.runs.record import Run
from lnn_client.cloud import LATEST, PRODUCTION, STAGING, Cloud
from lnn_client.datasets import existing_file
from lnn_client.errors import ClientError, NoModel, PictureError, WhiteUnknown
from lnn_client.pictures import read_picture
from lnn_client.tables import Table


def load_model(wanted: str, connect: Callable[[], Cloud]) -> Model:
    """The model in a local file, a registered one, or that of a run in the bucket of the cloud.

    ``connect`` is called only where no file has the name.

    Raises:
        NoModel: the bucket has none.
        ClientError: a registered model is gone from the bucket.
    """
    path = _file(wanted)
    return inspect_model(stored_model(connect(), wanted) if path is None else path)


def model_content(wanted: str, connect: Callable[[], Cloud]) -> bytes:
    """The ``params.h5`` that ``load_model`` loads. Raises as it."""
    path = _file(wanted)
    return stored_model(connect(), wanted) if path is None else path.read_bytes()


def _file(wanted: str) -> Path | None:
    path = Path(wanted)
    return existing_file(path) if path.suffix == ".h5" or path.is_file() else None


def stored_model(cloud: Cloud, wanted: str) -> bytes:
    """The ``params.h5`` of a registered model, a run or a stage, or the latest. Raises as ``load_model``."""
    key, why, run = LATEST_PARAMS, "", None
    found = cloud.find_model(wanted) if wanted in (STAGING, PRODUCTION) else cloud.registry.get(wanted)
    if found is not None:
        key, why = model_key(found["model_id"]), f"; {found.get('refused') or 'restore it, or upload it again'}"
    elif wanted != LATEST:
        run = cloud.find_run(wanted)
        key, why = params_key(run.run_id), f": run {run.run_id} is {run.status}"
    content = content_at(cloud, key)
    if content is None:
        lost = f"there is no model at s3://{cloud.names.bucket}/{key}{why}"
        raise NoModel(lost, run) if found is None else ClientError(lost)
    return content


def model_of_run(cloud: Cloud, run: Run) -> Model:
    """The trained model of a run.

    Raises:
        NoModel: it has none (yet).
    """
    content = content_at(cloud, params_key(run.run_id)) if run.artifacts else None
    if content is None:
        raise NoModel(f"run {run.run_id} is {run.status} and has no model", run)
    return inspect_model(content)


def predict_pictures(
    model: Model, images: Sequence[Path], *, invert: bool = False, white: float | None = None
) -> Sequence[Prediction | Numbers]:
    """Predictions for pictures, in their order.

    Raises:
        InputError: the model was not trained on pictures, or some pictures cannot be read; names all of them.
    """
    shape = picture_shape(model)
    columns = []
    problems = []
    for image in images:
        try:
            pixels = read_picture(image, shape, white)
        except InputError as error:
            problems.append(error)
        else:
            columns.append(column_of_picture(model, 255 - pixels if invert else pixels))
    if problems:
        text = "; ".join(map(str, problems))
        unknown = next((problem for problem in problems if isinstance(problem, WhiteUnknown)), None)
        raise WhiteUnknown(text, unknown.usual) if unknown else PictureError(text)
    return predict(model, np.stack(columns, axis=1))


def predict_each_picture(
    model: Model, images: Sequence[Path], *, invert: bool = False, white: float | None = None
) -> Iterator[tuple[Path, Prediction | Numbers | None, str]]:
    """Each picture with its prediction, or with None and what is wrong with it; one is in memory at a time.

    Raises:
        InputError: the model was not trained on pictures.
    """
    for image in images:
        try:
            (said,) = predict_pictures(model, [image], invert=invert, white=white)
        except PictureError as error:
            yield image, None, str(error)
        else:
            yield image, said, ""


def picture_shape(model: Model) -> tuple[int, ...]:
    """The shape of the pictures that the model takes. Raises InputError where it takes none."""
    if model.image_shape is None:
        raise InputError(f"the model of run {model.run_id} was trained on {_taken(model)}")
    return model.image_shape


def _taken(model: Model) -> str:
    """What a model that takes no pictures does take."""
    if model.preprocessing is None:
        return (
            f"{model.features} plain features, not on pictures; use lnn.models.model_file.load_model from Python for "
            "such data"
        )
    return (
        f"the rows of a table, not on pictures; name a CSV file or another table with the columns "
        f"{listed(model.preprocessing.names)}"
    )


def predict_rows(model: Model, table: Table) -> Iterator[Sequence[Prediction | Numbers]]:
    """Predictions for the rows of a table, in their order, batch by batch. The table has raw values.

    Raises:
        InputError: the model was not trained on a table, the table lacks a column, or a row has a value that the model
            cannot take.
    """
    preprocessing = preprocessing_for(model, table)
    first = 1
    for batch in table.batches(preprocessing.names):
        yield predict(model, preprocessing.matrix(batch.rows(), first))
        first += len(batch)


def preprocessing_for(model: Model, table: Table) -> Preprocessing:
    """How the table's rows become the network's input. Raises InputError where the model does not take them."""
    preprocessing = model.preprocessing
    if preprocessing is None:
        what = f"{model.features} plain features" if model.image_shape is None else "pictures"
        raise InputError(
            f"the model of run {model.run_id} was trained on {what}, and does not know the columns of {table.path}; "
            "train one on a table: lnn dataset from-table"
        )
    table.need(preprocessing.names)
    return preprocessing


def content_at(cloud: Cloud, key: str) -> bytes | None:
    """The object at ``key``; None where there is none."""
    try:
        return cloud.s3.get_object(Bucket=cloud.names.bucket, Key=key)["Body"].read()
    except AwsError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
            return None
        raise
