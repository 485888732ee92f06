"""The two servers: Redis, which is the parameter server, and the AWS emulator, which runs the functions."""

import hashlib
import http.client
import json
import os
import secrets

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lnn_tools.local_cloud import tls
from lnn_tools.local_cloud.errors import LocalCloudError
from lnn_tools.local_cloud.home import Home
from lnn_tools.local_cloud.ports import LOOPBACK, claim_port, wanted_port
from lnn_tools.local_cloud.processes import Service, await_ready, start, start_time, stop, stop_strays
from lnn_tools.local_cloud.tools import emulator_python, redis_server, tls_redis_server

ACCOUNT = "000000000000"
REGION = "us-east-1"
# The emulator's root user: the one key that may do everything. Its secret is drawn anew at each start, so that only
# who can read cloud.json may use the cloud, which runs code.
ROOT_KEY = "test"

EMULATOR_PORT = ("LNN_EMULATOR_PORT", 4566)
REDIS_PORT = ("LNN_REDIS_PORT", 6399)
HEALTH_PATH = "/_ministack/health"

# The packaged Redis uses glibc's malloc, which gives the memory of every large message back to the kernel and gets it
# cleared anew with the next; jemalloc, which ElastiCache has, keeps it. Exchanges of 0.4 MB take half the time so.
KEEP_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(8 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20)}


def ensure_redis(home: Home) -> Service:
    """Redis, started if it does not run.

    Raises:
        LocalCloudError: its port is taken, or it does not start.
    """
    running = Service.load(home.record("redis"))
    port = running_or_wanted(running, REDIS_PORT, "Redis")
    if running and tls.wanted() != bool(running.secret):
        raise LocalCloudError(f"Redis runs {'with' if running.secret else 'without'} TLS; stop it first: make down")
    if running and port == running.port:
        return running
    port = claim_port(REDIS_PORT[0], port, "Redis")
    binary = tls_redis_server() if tls.wanted() else redis_server()
    secret = secrets.token_hex(20) if tls.wanted() else ""
    # No file is kept: what Redis holds can be recomputed, and it ends with the cloud.
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
    """The emulator, started if it does not run or was started with other settings; and whether it was started now.

    Raises:
        LocalCloudError: its port is taken, or it does not start.
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
    # Workers of an emulator that was killed wait for it for ever.
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
    """The running service's port, else the one that the environment asks for (None: any).

    Raises:
        LocalCloudError: it runs on another port than the environment names.
    """
    variable, default = setting
    wanted = wanted_port(variable, default)
    if running is None:
        return wanted
    if os.environ.get(variable) and wanted not in {None, running.port}:
        raise LocalCloudError(f"{what} runs on port {running.port}, not {variable}={wanted}; stop it first: make down")
    return running.port


def emulator_settings(home: Home, cache: Service) -> dict[str, str]:
    """Environment of the emulator, but for its port and credentials. Its workers inherit it."""
    return {
        # IAM policies are enforced, so that a missing permission fails here and not on AWS first.
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
        # The workers' Python trusts what this names.
        **({"SSL_CERT_FILE": str(tls.authority(home))} if cache.secret else {}),
        # Each execution is a process: without a limit a burst would start one for each call.
        "LAMBDA_ACCOUNT_CONCURRENCY": "32",
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "1",
        "LAMBDA_EXECUTOR": "local",
        "PERSIST_STATE": "0",
        "STATE_DIR": str(home.scratch / "state"),
        "S3_DATA_DIR": str(home.scratch / "s3"),
        # Never a container: the address leads nowhere.
        "DOCKER_HOST": f"unix://{home.scratch / 'no-docker.sock'}",
        # A function says itself how many threads its memory buys; this is for one that does not.
        "OPENBLAS_NUM_THREADS": "1",
    }


def clean_environment(home: Home) -> dict[str, str]:
    """What every server starts from: nothing of the user's credentials, profiles or Python settings.

    Home and temporary folder are the cloud's own, so that whatever is left in them goes with it.
    """
    home.scratch.mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(home.scratch),
        "LANG": "C.UTF-8",
        "PATH": os.environ.get("PATH", os.defpath),
        "TMPDIR": str(home.scratch),
    }


def redis_answers(home: Home, server: Service) -> bool:
    """Whether a Redis answers PING there."""
    try:
        with redis.Redis(**tls.connection(home, server), socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def emulator_answers(port: int) -> bool:
    """Whether the emulator answers there, with IAM enforced."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", HEALTH_PATH)
        response = connection.getresponse()
        return bool(response.status == 200 and json.load(response).get("auth") == "enabled")
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
