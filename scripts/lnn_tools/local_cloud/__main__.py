"""Starts, stops and shows the local cloud: `make up`, `make down`, `make status`.

LNN_HOME sets its folder (default .lnn/local), LNN_EMULATOR_PORT and LNN_REDIS_PORT set its ports (0: any free port).
With LNN_REDIS_TLS=1 Redis has TLS and users with access strings, and the functions log in with IAM, as on AWS.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable

from lnn_client.cloud import local_home
from lnn_tools.errors import ToolError, exit_status
from lnn_tools.local_cloud import deployment, tls
from lnn_tools.local_cloud.deployment import LostAnswerError
from lnn_tools.local_cloud.home import Home, locked
from lnn_tools.local_cloud.ports import is_listening
from lnn_tools.local_cloud.processes import Service, stop, stop_strays
from lnn_tools.local_cloud.servers import emulator_answers, ensure_emulator, ensure_redis, redis_answers

TRIES = 3
"""Deployments onto a fresh emulator before `up` fails."""


def up(home: Home) -> int:
    """Starts the servers that do not run and deploys what has changed."""
    began = time.monotonic()
    home.create()
    with locked(home.path / "lock"):
        redis = ensure_redis(home)
        for left in reversed(range(TRIES)):
            try:
                emulator, changed = start_and_deploy(home, redis)
                break
            except LostAnswerError as error:
                # A cloud that was ready before holds the user's runs and models; a new one is empty.
                if home.description.exists():
                    raise ToolError(f"{error}\nTo start again without its runs and models: make down up") from error
                if not left:
                    raise
                print("Terraform lost an answer; trying again with a fresh emulator", flush=True)
                stop_emulator(home)
        deployment.describe(home, emulator, redis)
        if redis.secret:
            tls.grant(home, redis, deployment.cache_users(emulator))
    print(f"local cloud ready in {time.monotonic() - began:.0f} s ({'deployed' if changed else 'nothing to deploy'})")
    return 0


def start_and_deploy(home: Home, redis: Service) -> tuple[Service, bool]:
    """Starts the emulator and deploys to it; returns it, and whether anything had changed."""
    emulator, is_new = ensure_emulator(home, redis)
    if is_new:
        forget_deployment(home)
    print(f"emulator: {deployment.endpoint(emulator)}  Redis: 127.0.0.1:{redis.port}", flush=True)
    print("deploying what has changed with Terraform", flush=True)
    return emulator, deployment.deploy(home, emulator, redis)


def stop_emulator(home: Home) -> None:
    """Stops the emulator and its workers."""
    running = Service.load(home.record("emulator"))
    if running:
        stop(running)
    stop_strays(home.scratch)


def down(home: Home) -> int:
    """Stops the servers that `up` started, and no other process."""
    if not home.path.exists():
        print("local cloud: not running")
        return 0
    with locked(home.path / "lock"):
        services = {name: Service.load(home.record(name)) for name in ("emulator", "redis")}
        for running in filter(None, services.values()):
            stop(running)
        stop_strays(home.scratch)
        for name, service in services.items():
            if service and not freed(service.port):
                raise ToolError(f"{name} has stopped, but its port {service.port} is still in use")
            home.record(name).unlink(missing_ok=True)
        forget_deployment(home)
        shutil.rmtree(home.scratch, ignore_errors=True)
    print("local cloud: stopped" if any(services.values()) else "local cloud: not running")
    return 0


def status(home: Home) -> int:
    """Prints the state of each part; the exit status is 0 if all of them run."""
    checks: dict[str, Callable[[Service], bool]] = {
        "emulator": lambda found: emulator_answers(found.port),
        "redis": lambda found: redis_answers(home, found),
    }
    healthy = True
    for name, answers in checks.items():
        found = Service.load(home.record(name))
        well = found is not None and answers(found)
        healthy &= well
        if found is None:
            print(f"{name}: not running")
        else:
            print(f"{name}: {'running' if well else 'not answering'}, 127.0.0.1:{found.port}, process {found.pid}")
    deployed = healthy and home.description.exists()
    print(f"terraform: {'applied' if deployed else 'not applied'}")
    return 0 if deployed else 1


def forget_deployment(home: Home) -> None:
    """Deletes the Terraform state and the description of a cloud that has stopped: nothing of it is left."""
    home.description.unlink(missing_ok=True)
    (home.path / "applied").unlink(missing_ok=True)
    for state in home.path.glob("terraform.tfstate*"):
        state.unlink()


def freed(port: int, seconds: float = 5.0) -> bool:
    """True once nothing listens on a port; false if something still does after ``seconds``."""
    deadline = time.monotonic() + seconds
    while is_listening(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Start, stop or show the local cloud.")
    parser.add_argument("command", choices=("up", "down", "status"))
    command = {"up": up, "down": down, "status": status}[parser.parse_args().command]
    return exit_status("local cloud", lambda: command(Home(local_home().absolute())))


if __name__ == "__main__":
    sys.exit(main())
