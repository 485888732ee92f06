"""Terraform, applied to the local cloud: the same configuration as on AWS, with terraform/local.tfvars."""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

from lnn_tools.local_cloud import tls
from lnn_tools.local_cloud.errors import LocalCloudError, LostAnswerError
from lnn_tools.local_cloud.home import BUILD, REPOSITORY, Home, locked
from lnn_tools.local_cloud.ports import LOOPBACK
from lnn_tools.local_cloud.processes import Service, tail
from lnn_tools.local_cloud.servers import ACCOUNT, REGION, ROOT_KEY
from lnn_tools.local_cloud.tools import emulator_python

CONFIGURATION = REPOSITORY / "terraform"
CONFIGURATION_SUFFIXES = {".tf", ".tfvars", ".tftpl", ".json"}

# On a busy machine the AWS provider now and then (about once in a thousand requests) closes a connection before it has
# read the answer. It asks again, and hears that what it asks for exists. For some resources it repeats that for five
# minutes; none takes 100 s otherwise.
STALLED = re.compile(r"Still creating\.\.\. \[0?(1m[45]\d|[2-9]m\d+)s elapsed\]")
EXISTS = re.compile(r"^.*Error: .*(Conflict|Duplicate|Exists|already exists)", re.MULTILINE)
POLL_SECONDS = 0.5


def build_artifacts() -> list[Path]:
    """Builds the local layer and the functions' archives, where they are not up to date.

    Raises:
        LocalCloudError: a build failed; with its own error.
    """
    commands = [
        ["layer", "--local", "--python", str(emulator_python())],
        ["functions", "--quiet"],
    ]
    with locked(BUILD / ".artifacts.lock"):
        for command in commands:
            module, *options = command
            words = [sys.executable, "-m", f"lnn_tools.packaging.{module}", *options]
            result = subprocess.run(words, capture_output=True, text=True, check=False)
            if result.returncode:
                raise LocalCloudError((result.stderr or result.stdout).strip())
    return [BUILD / "layers" / "numpy-h5py-local.zip", *sorted((BUILD / "functions").glob("*.zip"))]


def variables(redis: Service) -> dict[str, str]:
    """What of local.tfvars depends on this machine."""
    return {
        "architecture": "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64",
        "cache_port": str(redis.port),
        **({"cache": json.dumps({"transit_encryption": True})} if redis.secret else {}),
        "runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
    }


def deploy(home: Home, emulator: Service, redis: Service) -> bool:
    """Applies Terraform unless this very cloud has what it would apply; returns whether it did.

    Raises:
        LocalCloudError: Terraform is missing, or fails.
        LostAnswerError: it fails in a way that a fresh emulator mends.
    """
    artifacts = build_artifacts()
    given = variables(redis)
    environment = terraform_environment(home, emulator)
    applied = home.path / "applied"
    wanted = json.dumps(
        {
            "cloud": [emulator.pid, emulator.started],
            "configuration": hash_of(configuration_files()),
            "artifacts": hash_of([*artifacts, REPOSITORY / "parameters.json"]),
            "variables": given | {name: value for name, value in environment.items() if name.startswith("TF_VAR_")},
        },
        sort_keys=True,
    )
    if applied.exists() and applied.read_text() == wanted and home.terraform_state.exists():
        return False
    applied.unlink(missing_ok=True)
    if not shutil.which("terraform"):
        raise LocalCloudError(
            "terraform is not on PATH; install 1.9 or newer: https://developer.hashicorp.com/terraform/install"
        )
    if home.log("terraform").exists():
        home.log("terraform").replace(home.log("terraform").with_suffix(".previous.log"))
    with home.log("terraform").open("w") as log:
        initialize(home, environment, log)
        terraform(["apply", "-auto-approve", "-backup=-", *state_and_variables(home, redis)], environment, log)
    applied.write_text(wanted)
    return True


def state_and_variables(home: Home, redis: Service) -> list[str]:
    """What every command of Terraform for this cloud is given."""
    return [
        f"-state={home.terraform_state}",
        "-var-file=local.tfvars",
        *(f"-var={name}={value}" for name, value in variables(redis).items()),
    ]


def initialize(home: Home, environment: Mapping[str, str], log: Any) -> None:
    """Fetches providers and modules into the home, unless that was done for this configuration."""
    mirror = subprocess.run(
        [str(REPOSITORY / "scripts" / "provider_mirror.sh")], capture_output=True, text=True, check=False
    )
    if mirror.returncode:
        raise LocalCloudError(mirror.stderr.strip())
    stamp = home.terraform_data / "initialized"
    sources = [path for path in configuration_files() if path.suffix == ".tf"]
    wanted = hash_of([*sources, CONFIGURATION / ".terraform.lock.hcl"]) + mirror.stdout
    if stamp.exists() and stamp.read_text() == wanted:
        return
    options = [f"-plugin-dir={mirror.stdout}"] if mirror.stdout else []
    terraform(["init", "-lockfile=readonly", *options], environment, log)
    stamp.write_text(wanted)


def terraform(arguments: list[str], environment: Mapping[str, str], log: Any) -> None:
    """Runs Terraform, quietly.

    Raises:
        LocalCloudError: with the last lines of its log.
        LostAnswerError: the same, where the log shows that an answer was lost.
    """
    command = ["terraform", f"-chdir={CONFIGURATION}", arguments[0], "-input=false", "-no-color", *arguments[1:]]
    path = Path(log.name)
    with subprocess.Popen(
        command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    ) as process:
        while not ended(process, POLL_SECONDS):
            if STALLED.search(path.read_text()):
                interrupt(process)
                raise LostAnswerError(f"terraform {arguments[0]} makes no progress; {tail(path, 16)}")
    if process.returncode:
        kind = LostAnswerError if EXISTS.search(path.read_text()) else LocalCloudError
        raise kind(f"terraform {arguments[0]} failed; {tail(path, 16)}")


def ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether a process ends within so many seconds."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Lets Terraform stop its providers, too; insists after a while."""
    process.terminate()  # a job in the background may have SIGINT ignored, and hand that down
    if not ended(process, 20):
        process.kill()


def terraform_environment(home: Home, emulator: Service) -> dict[str, str]:
    """The user's environment, but nothing in it that could lead Terraform to a real account."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "TF_CLI_ARGS", "TF_WORKSPACE"))
    }
    return kept | {
        "AWS_ACCESS_KEY_ID": ROOT_KEY,
        "AWS_SECRET_ACCESS_KEY": emulator.secret,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint(emulator),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": f"{LOOPBACK},localhost",
        "CHECKPOINT_DISABLE": "1",
        "TF_DATA_DIR": str(home.terraform_data),
        "TF_IN_AUTOMATION": "1",
    }


def describe(home: Home, emulator: Service, redis: Service) -> None:
    """Writes cloud.json, which tells the command line and the tests all they need."""
    outputs = json.loads(home.terraform_state.read_text())["outputs"]
    description = {
        "endpoint": endpoint(emulator),
        "region": outputs["region"]["value"],
        "prefix": outputs["prefix"]["value"],
        "redis": tls.connection(home, redis),
        "credentials": {"access_key_id": ROOT_KEY, "secret_access_key": emulator.secret},
        "account": ACCOUNT,
        # By path: the name of a host that API Gateway would have does not resolve everywhere.
        "predictions": f"{endpoint(emulator)}/_aws/execute-api/{outputs['prediction_api_id']['value']}/",
    }
    part = home.path / "cloud.json.part"
    part.write_text(json.dumps(description, indent=2) + "\n")
    part.chmod(0o600)
    part.replace(home.description)


def cache_users(emulator: Service) -> list[dict[str, Any]]:
    """The users that Terraform has made in ElastiCache, with their access strings."""
    client = boto3.client(
        "elasticache",
        endpoint_url=endpoint(emulator),
        region_name=REGION,
        aws_access_key_id=ROOT_KEY,
        aws_secret_access_key=emulator.secret,
    )
    return [user for user in client.describe_users()["Users"] if user["UserName"] != "default"]


def endpoint(emulator: Service) -> str:
    """Where every AWS client finds the emulator."""
    return f"http://{LOOPBACK}:{emulator.port}"


def configuration_files() -> list[Path]:
    """The Terraform configuration, modules and all."""
    return sorted(
        path
        for path in CONFIGURATION.rglob("*")
        if path.is_file() and path.suffix in CONFIGURATION_SUFFIXES and ".terraform" not in path.parts
    )


def hash_of(files: list[Path]) -> str:
    """Hash of files, names and contents."""
    digest = hashlib.sha256()
    for path in files:
        contents = path.read_bytes()
        digest.update(f"{path.name}\0{len(contents)}\0".encode())
        digest.update(contents)
    return digest.hexdigest()
