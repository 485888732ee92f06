"""Every name that code and Terraform share: functions, tables, the bucket and the keys in it.

Terraform composes the same names; ``tests/terraform`` holds the two together.
"""

import re
from dataclasses import dataclass

TRAINING_INPUT = "training_input/"
CALIBRATION = TRAINING_INPUT + "calibration-"
"""Prefix of datasets for calibration: their models are never published or registered, and send no messages."""

SWEEPS = TRAINING_INPUT + "sweep-"
"""Prefix of a sweep's folder: the models of its trials become neither the latest nor registered, and send no messages.
The best is registered once it is copied to another key of ``PREDICTION_INPUT``."""

TRAINING_RESULTS = "training_results/"
PREDICTION_INPUT = "prediction_input/"
PREDICTION_OUTPUT = "prediction_output/"
RUNS = "runs/"

BATCHES = PREDICTION_INPUT + "batches/"
"""What functions predict side by side: a folder for each model, with the model itself and parts of rows."""

MODELS = PREDICTION_INPUT + "models/"
"""Copies of registered models: predictions read these, so an upload may be deleted or replaced."""

_PART_KEY = re.compile(re.escape(BATCHES) + r"([0-9a-f]{64})/([0-9a-f]{64})\.npy")

PARAMETERS = "parameters.json"
LATEST_PARAMS = PREDICTION_INPUT + "params.h5"
LATEST_RESULTS = TRAINING_RESULTS + "results.json"

UPLOAD_STARTED_AT = "upload-started-at"
"""S3 object metadata: when the client began the upload, in epoch seconds."""

PARAMETERS_VERSION = "parameters-version"
"""S3 object metadata of a dataset: the version id of its ``parameters.json``."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one deployment, from its prefix, account and region."""

    prefix: str
    account: str
    region: str

    @property
    def bucket(self) -> str:
        return f"{self.prefix}-{self.account}-{self.region}"

    @property
    def runs_table(self) -> str:
        return f"{self.prefix}-runs"

    @property
    def costs_table(self) -> str:
        return f"{self.prefix}-costs"

    @property
    def invocations_table(self) -> str:
        return f"{self.prefix}-invocations"

    @property
    def models_table(self) -> str:
        return f"{self.prefix}-models"

    @property
    def topic(self) -> str:
        return f"arn:aws:sns:{self.region}:{self.account}:{self.prefix}-events"

    @property
    def prediction_api(self) -> str:
        return f"{self.prefix}-predictions"

    @property
    def cache(self) -> str:
        return f"{self.prefix}-cache"

    def function(self, role: str) -> str:
        """Name of a Lambda function; ``role`` is ``launch``, ``trainer``, ``neuron``, ``predict`` or ``register``."""
        return f"{self.prefix}-{role}"

    def log_group(self, role: str) -> str:
        return f"/aws/lambda/{self.function(role)}"

    @property
    def launch(self) -> str:
        return self.function("launch")

    @property
    def trainer(self) -> str:
        return self.function("trainer")

    @property
    def neuron(self) -> str:
        return self.function("neuron")


def parameters_key(dataset_key: str) -> str:
    """Key of a dataset's ``parameters.json``, which lies in the same folder."""
    folder, _, _ = dataset_key.rpartition("/")
    return f"{folder}/{PARAMETERS}" if folder else PARAMETERS


def is_calibration(dataset_key: str) -> bool:
    """True for a dataset that was uploaded only to measure training time."""
    return dataset_key.startswith(CALIBRATION)


def is_trial(dataset_key: str) -> bool:
    """True for the dataset of a sweep's trial."""
    return dataset_key.startswith(SWEEPS)


def stays_apart(dataset_key: str) -> bool:
    """True for a dataset whose run is one of many that nobody asked for by itself."""
    return is_calibration(dataset_key) or is_trial(dataset_key)


def sweep_folder(name: str) -> str:
    """Folder of a sweep: its description, its dataset, and a folder for each trial."""
    return f"{SWEEPS}{name}/"


def tensor_key(run_id: str, name: str) -> str:
    return f"{RUNS}{run_id}/tensors/{name}.npy"


def shard_key(run_id: str, name: str, index: int) -> str:
    """Key of one of the consecutive parts in which a large tensor is stored."""
    return f"{RUNS}{run_id}/tensors/{name}/{index:05d}.npy"


def checkpoint_key(run_id: str, generation: int, epoch: int, batches: int = 0) -> str:
    """Key of the state after ``epoch`` epochs and ``batches`` batches of the next.

    Generations never share a key, so a late writer cannot replace its successor's checkpoint.
    """
    return f"{checkpoints_prefix(run_id)}{generation:04d}-{epoch:09d}-{batches:09d}.npz"


def checkpoints_prefix(run_id: str) -> str:
    return f"{RUNS}{run_id}/checkpoints/"


def place_of_checkpoint(key: str) -> tuple[int, int]:
    """The whole epochs and the batches of the next after which a checkpoint was stored."""
    _, epoch, batches = key.rpartition("/")[2].removesuffix(".npz").split("-")
    return int(epoch), int(batches)


def ended_model_key(run_id: str, generation: int, epoch: int, batches: int = 0) -> str:
    """Key of the model that a generation ends a run with, at this place.

    The run's record names the one that counts; ``params_key`` is a copy of that one.
    """
    return f"{RUNS}{run_id}/results/{generation:04d}-{epoch:09d}-{batches:09d}/params.h5"


def timeline_prefix(run_id: str) -> str:
    return f"{RUNS}{run_id}/timeline/"


def timeline_key(run_id: str, fill: str, first: int, count: int, epochs: tuple[int, int]) -> str:
    """Key of ``count`` records of invocations, of which ``first`` is the number of the first, in these epochs.

    ``fill`` is the parameter server's that they were recorded beside. Keys of one run sort in the order of time.
    """
    generation, _, name = fill.partition("-")
    return (
        f"{timeline_prefix(run_id)}{int(generation):06d}-{name}/"
        f"{first:09d}-{count:06d}-{epochs[0]:09d}-{epochs[1]:09d}.gz"
    )


def fill_and_epochs_of_timeline(key: str) -> tuple[str, int, int]:
    """The fill of a part of the timeline, as its key has it, and the first and the last epoch in it."""
    folder, _, name = key.rpartition("/")
    *_, first, last = name.removesuffix(".gz").split("-")
    return folder.rpartition("/")[2], int(first), int(last)


def params_key(run_id: str) -> str:
    return f"{PREDICTION_INPUT}{run_id}/params.h5"


def run_of_params_key(key: str) -> str | None:
    """The run whose model has this key; None where it is no run's."""
    run_id = key.removeprefix(PREDICTION_INPUT).removesuffix("/params.h5")
    return run_id if key == params_key(run_id) else None


def model_key(model_id: str) -> str:
    """Key of a registered model. It lacks the suffix of uploads, so that S3 does not register it again."""
    return f"{MODELS}{model_id}/params"


def batch_model_key(model: str) -> str:
    """Key of the model of a batch, by the SHA-256 of its content. It lacks the suffixes that start functions."""
    return f"{BATCHES}{model}/model"


def part_key(model: str, part: str) -> str:
    """Key of a part of a batch, by the SHA-256 of its model and its own: a key has one content, and one answer."""
    return f"{BATCHES}{model}/{part}.npy"


def place_of_part(key: str) -> tuple[str, str] | None:
    """The SHA-256 of model and part that a part's key names; None for another key."""
    found = _PART_KEY.fullmatch(key)
    return (found[1], found[2]) if found else None


def prediction_key(part: str) -> str:
    """Key of what is predicted for the part with this key, or of the reason for which nothing is."""
    return PREDICTION_OUTPUT + part.removeprefix(BATCHES)


def results_key(run_id: str) -> str:
    return f"{TRAINING_RESULTS}{run_id}/results.json"


def s3_uri(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"
