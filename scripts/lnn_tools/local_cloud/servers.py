"""The two servers: Redis, which is the parameter server, and the AWS emulator, which runs the functions."""

import hashlib
import http.client
import json
import os
import secrets

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lnn_tools.errors import ToolError
from lnn_tools.local_cloud import tls
from lnn_tools.local_cloud.home import Home
from lnn_tools.local_cloud.ports import LOOPBACK, claim_port, wanted_port
from lnn_tools.local_cloud.processes import Service, await_ready, start, start_time, stop, stop_strays
from lnn_tools.local_cloud.tools import emulator_python, redis_server, tls_redis_server

ACCOUNT = "000000000000"
REGION = "us-east-1"
# The emulator's root user, which may do everything. Its secret is random at each start: the cloud runs code, and only a
# user who can read cloud.json may use it.
ROOT_KEY = "test"

EMULATOR_PORT = ("LNN_EMULATOR_PORT", 4566)
REDIS_PORT = ("LNN_REDIS_PORT", 6399)
HEALTH_PATH = "/_ministack/health"

# The packaged Redis uses glibc's malloc, which returns the memory of every large message to the kernel; the kernel
# clears it before the next one. ElastiCache's jemalloc keeps it, and so do these settings: they halve the time of an
# exchange of 0.4 MB.
KEEP_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(8 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20)}


def ensure_redis(home: Home) -> Service:
    """Returns Redis, and starts it if it does not run.

    Raises:
        ToolError: its port is taken, or it does not start.
    """
    running = Service.load(home.record("redis"))
    port = running_or_wanted(running, REDIS_PORT, "Redis")
    if running and tls.wanted() != bool(running.secret):
        raise ToolError(f"Redis runs {'with' if running.secret else 'without'} TLS; stop it first: make down")
    if running and port == running.port:
        return running
    port = claim_port(REDIS_PORT[0], port, "Redis")
    binary = tls_redis_server() if tls.wanted() else redis_server()
    secret = secrets.token_hex(20) if tls.wanted() else ""
    # Redis saves nothing: its contents can be recomputed, and end with the cloud.
    options = {"port": port, "bind": LOOPBACK, "save": "", "appendonly": "no", "daemonize": "no", "dir": home.scratch}
    if secret:
        options |= tls.options(home, port, secret)
    command = [str(binary)] + [part for name, value in options.items() for part in (f"--{name}", str(value))]
    home.scratch.mkdir(exist_ok=True)
    process = start(command, home.log("redis"), clean_environment(home) | KEEP_FREED_MEMORY, home.scratch)
    service = Service(process.pid, start_time(process.pid) or "", port, str(binary), secret)
    service.save(home.record("redis"))
    await_ready("Redis", process, lambda: redis_answers(home, service), home.log("redis"), 10)
    return service


def ensure_emulator(home: Home, cache: Service) -> tuple[Service, bool]:
    """Returns the emulator, and whether it was started now: it did not run, or ran with other settings.

    Raises:
        ToolError: its port is taken, or it does not start.
    """
    running = Service.load(home.record("emulator"))
    port = running_or_wanted(running, EMULATOR_PORT, "the emulator")
    python = emulator_python()
    settings = emulator_settings(home, cache)
    fingerprint = hashlib.sha256(json.dumps([str(python), settings], sort_keys=True).encode()).hexdigest()[:16]
    if running and fingerprint == running.fingerprint and emulator_answers(running.port):
        return running, False
    if running:
        stop(running)
    # Workers of an emulator that was killed would wait for it forever.
    stop_strays(home.scratch)
    port = claim_port(EMULATOR_PORT[0], port, "the emulator")
    secret = secrets.token_hex(20)
    environment = clean_environment(home) | settings
    environment |= {"GATEWAY_PORT": str(port), "AWS_ACCESS_KEY_ID": ROOT_KEY, "AWS_SECRET_ACCESS_KEY": secret}
    process = start([str(python), "-m", "ministack"], home.log("emulator"), environment, home.scratch)
    service = Service(process.pid, start_time(process.pid) or "", port, fingerprint, secret)
    service.save(home.record("emulator"))
    await_ready("the emulator", process, lambda: emulator_answers(port), home.log("emulator"), 60)
    return service, True


def running_or_wanted(running: Service | None, setting: tuple[str, int], what: str) -> int | None:
    """The running service's port, else the port that the environment names (None: any).

    Raises:
        ToolError: the service runs on another port than the environment names.
    """
    variable, default = setting
    wanted = wanted_port(variable, default)
    if running is None:
        return wanted
    if os.environ.get(variable) and wanted not in {None, running.port}:
        raise ToolError(f"{what} runs on port {running.port}, not {variable}={wanted}; stop it first: make down")
    return running.port


def emulator_settings(home: Home, cache: Service) -> dict[str, str]:
    """The emulator's environment without its port and credentials. Its workers inherit it."""
    return {
        # Enforces IAM policies, so that a missing permission fails here, before it fails on AWS.
        "AUTH": "true",
        "BIND_HOST": LOOPBACK,
        "IOT_MTLS_ENABLED": "0",
        "IOT_MTLS_PORT": "0",
        "SFTP_ENABLED": "0",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "REDIS_HOST": LOOPBACK,
        "REDIS_PORT": str(cache.port),
        # The certificate that the workers' Python trusts.
        **({"SSL_CERT_FILE": str(tls.authority(home))} if cache.secret else {}),
        # Each execution is a process: without a limit a burst of calls would start one for each.
        "LAMBDA_ACCOUNT_CONCURRENCY": "32",
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "1",
        "LAMBDA_EXECUTOR": "local",
        "PERSIST_STATE": "0",
        "STATE_DIR": str(home.scratch / "state"),
        "S3_DATA_DIR": str(home.scratch / "s3"),
        # An address without a server: the emulator must not start containers.
        "DOCKER_HOST": f"unix://{home.scratch / 'no-docker.sock'}",
        # A function sets its threads by its memory; this is the default for one that does not.
        "OPENBLAS_NUM_THREADS": "1",
    }


def clean_environment(home: Home) -> dict[str, str]:
    """The environment of every server, without the user's credentials, profiles and Python settings.

    Its home and temporary folder are the cloud's own, and are deleted with it.
    """
    home.scratch.mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(home.scratch),
        "LANG": "C.UTF-8",
        "PATH": os.environ.get("PATH", os.defpath),
        "TMPDIR": str(home.scratch),
    }


def redis_answers(home: Home, server: Service) -> bool:
    """True if Redis answers PING."""
    try:
        with redis.Redis(**tls.connection(home, server), socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def emulator_answers(port: int) -> bool:
    """True if the emulator answers on a port and enforces IAM."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", HEALTH_PATH)
        response = connection.getresponse()
        return bool(response.status == 200 and json.load(response).get("auth") == "enabled")
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
