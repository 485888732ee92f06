"""Terraform, applied to the local cloud: the same configuration as on AWS, with terraform/local.tfvars."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

from lnn.environment import architecture
from lnn_tools.errors import ToolError
from lnn_tools.local_cloud import tls
from lnn_tools.local_cloud.home import BUILD, REPOSITORY, Home, locked
from lnn_tools.local_cloud.ports import LOOPBACK
from lnn_tools.local_cloud.processes import Service, tail
from lnn_tools.local_cloud.servers import ACCOUNT, REGION, ROOT_KEY
from lnn_tools.local_cloud.tools import emulator_python
from lnn_tools.packaging.functions import package_functions
from lnn_tools.packaging.layer import build_for_local

CONFIGURATION = REPOSITORY / "terraform"
CONFIGURATION_SUFFIXES = {".tf", ".tfvars", ".tftpl", ".json"}

# On a busy machine the AWS provider closes about one connection in a thousand before it has read the answer. Its second
# request fails because the resource exists by then. For some resources it repeats the request for five minutes; no
# resource takes 100 s otherwise.
STALLED = re.compile(r"Still creating\.\.\. \[0?(1m[45]\d|[2-9]m\d+)s elapsed\]")
EXISTS = re.compile(r"^.*Error: .*(Conflict|Duplicate|Exists|already exists)", re.MULTILINE)
POLL_SECONDS = 0.5


class LostAnswerError(ToolError):
    """The provider made a resource, lost the answer, and now takes the resource for another's."""


def build_artifacts() -> list[Path]:
    """Builds the local layer and the functions' archives where they are out of date; returns them.

    Raises:
        ToolError: a build failed.
    """
    python = emulator_python()
    with locked(BUILD / ".artifacts.lock"):
        layer = build_for_local(python)
        package_functions(REPOSITORY / "functions", BUILD / "functions", str(python))
    return [layer, *sorted((BUILD / "functions").glob("*.zip"))]


def variables(redis: Service) -> dict[str, str]:
    """The Terraform variables that depend on this machine; terraform/local.tfvars has the others."""
    return {
        "architecture": architecture(),
        "cache_port": str(redis.port),
        **({"cache": json.dumps({"transit_encryption": True})} if redis.secret else {}),
        "runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
    }


def deploy(home: Home, emulator: Service, redis: Service) -> bool:
    """Applies Terraform if anything has changed since it was applied to this emulator; returns whether it had.

    Raises:
        ToolError: Terraform is missing, or fails.
        LostAnswerError: Terraform fails in a way that a fresh emulator cures.
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
        raise ToolError(
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
    """The options of every Terraform command for this cloud."""
    return [
        f"-state={home.terraform_state}",
        "-var-file=local.tfvars",
        *(f"-var={name}={value}" for name, value in variables(redis).items()),
    ]


def initialize(home: Home, environment: Mapping[str, str], log: Any) -> None:
    """Fetches providers and modules into the home, once for each configuration."""
    mirror = subprocess.run(
        [str(REPOSITORY / "scripts" / "provider_mirror.sh")], capture_output=True, text=True, check=False
    )
    if mirror.returncode:
        raise ToolError(mirror.stderr.strip())
    stamp = home.terraform_data / "initialized"
    sources = [path for path in configuration_files() if path.suffix == ".tf"]
    wanted = hash_of([*sources, CONFIGURATION / ".terraform.lock.hcl"]) + mirror.stdout
    if stamp.exists() and stamp.read_text() == wanted:
        return
    options = [f"-plugin-dir={mirror.stdout}"] if mirror.stdout else []
    terraform(["init", "-lockfile=readonly", *options], environment, log)
    stamp.write_text(wanted)


def terraform(arguments: list[str], environment: Mapping[str, str], log: Any) -> None:
    """Runs Terraform with its output in a log.

    Raises:
        ToolError: Terraform failed; with the last lines of its log.
        LostAnswerError: the log shows that the provider lost an answer.
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
        kind = LostAnswerError if EXISTS.search(path.read_text()) else ToolError
        raise kind(f"terraform {arguments[0]} failed; {tail(path, 16)}")


def ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """True if a process ends within ``seconds``."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Terminates Terraform, which stops its providers; kills it after 20 seconds."""
    process.terminate()  # not SIGINT: a background job may ignore it, and its children inherit that
    if not ended(process, 20):
        process.kill()


def terraform_environment(home: Home, emulator: Service) -> dict[str, str]:
    """The user's environment without the variables that could lead Terraform to a real account."""
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
    """Writes cloud.json, which the command line and the tests read."""
    outputs = json.loads(home.terraform_state.read_text())["outputs"]
    description = {
        "endpoint": endpoint(emulator),
        "region": outputs["region"]["value"],
        "prefix": outputs["prefix"]["value"],
        "redis": tls.connection(home, redis),
        "credentials": {"access_key_id": ROOT_KEY, "secret_access_key": emulator.secret},
        "account": ACCOUNT,
        # By path: API Gateway's host name would not resolve everywhere.
        "predictions": f"{endpoint(emulator)}/_aws/execute-api/{outputs['prediction_api_id']['value']}/",
    }
    part = home.path / "cloud.json.part"
    part.write_text(json.dumps(description, indent=2) + "\n")
    part.chmod(0o600)
    part.replace(home.description)


def cache_users(emulator: Service) -> list[dict[str, Any]]:
    """ElastiCache's users, with their access strings, as Terraform made them."""
    client = boto3.client(
        "elasticache",
        endpoint_url=endpoint(emulator),
        region_name=REGION,
        aws_access_key_id=ROOT_KEY,
        aws_secret_access_key=emulator.secret,
    )
    return [user for user in client.describe_users()["Users"] if user["UserName"] != "default"]


def endpoint(emulator: Service) -> str:
    """The emulator's address for every AWS client."""
    return f"http://{LOOPBACK}:{emulator.port}"


def configuration_files() -> list[Path]:
    """The files of the Terraform configuration, modules included."""
    return sorted(
        path
        for path in CONFIGURATION.rglob("*")
        if path.is_file() and path.suffix in CONFIGURATION_SUFFIXES and ".terraform" not in path.parts
    )


def hash_of(files: list[Path]) -> str:
    """One hash over the names and contents of files."""
    digest = hashlib.sha256()
    for path in files:
        contents = path.read_bytes()
        digest.update(f"{path.name}\0{len(contents)}\0".encode())
        digest.update(contents)
    return digest.hexdigest()
