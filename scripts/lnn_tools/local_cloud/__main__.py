"""Starts, stops and shows the local cloud: `make up`, `make down`, `make status`.

LNN_HOME chooses its folder (default .lnn/local), LNN_EMULATOR_PORT and LNN_REDIS_PORT its ports (0: any free one).
LNN_REDIS_TLS=1 gives Redis TLS and users with access strings, and the functions an IAM login, as on AWS.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable

from lnn_tools.local_cloud import deployment, tls
from lnn_tools.local_cloud.errors import LocalCloudError, LostAnswerError
from lnn_tools.local_cloud.home import Home, locked
from lnn_tools.local_cloud.ports import is_listening
from lnn_tools.local_cloud.processes import Service, stop, stop_strays
from lnn_tools.local_cloud.servers import emulator_answers, ensure_emulator, ensure_redis, redis_answers

# Deployments onto a fresh emulator before `up` gives up.
TRIES = 3


def up(home: Home) -> int:
    """Starts what does not run and deploys what has changed."""
    began = time.monotonic()
    home.create()
    with locked(home.path / "lock"):
        redis = ensure_redis(home)
        for left in reversed(range(TRIES)):
            try:
                emulator, changed = start_and_deploy(home, redis)
                break
            except LostAnswerError as error:
                # What is in a cloud that was ready before is the user's; a new one holds nothing that would be missed.
                if home.description.exists():
                    raise LocalCloudError(f"{error}\nTo start afresh, without runs and models: make down up") from error
                if not left:
                    raise
                print("Terraform lost an answer; once more, with a fresh emulator", flush=True)
                stop_emulator(home)
        deployment.describe(home, emulator, redis)
        if redis.secret:
            tls.grant(home, redis, deployment.cache_users(emulator))
    print(f"local cloud ready in {time.monotonic() - began:.0f} s ({'deployed' if changed else 'nothing to deploy'})")
    return 0


def start_and_deploy(home: Home, redis: Service) -> tuple[Service, bool]:
    """The emulator with the project deployed, and whether anything had to be deployed."""
    emulator, is_new = ensure_emulator(home, redis)
    if is_new:
        forget_deployment(home)
    print(f"emulator: {deployment.endpoint(emulator)}  Redis: 127.0.0.1:{redis.port}", flush=True)
    print("deploying with Terraform, where anything changed", flush=True)
    return emulator, deployment.deploy(home, emulator, redis)


def stop_emulator(home: Home) -> None:
    """Ends the emulator and its workers."""
    running = Service.load(home.record("emulator"))
    if running:
        stop(running)
    stop_strays(home.scratch)


def down(home: Home) -> int:
    """Stops what `up` started, and nothing else."""
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
                raise LocalCloudError(f"{name} has ended, but port {service.port} is still in use")
            home.record(name).unlink(missing_ok=True)
        forget_deployment(home)
        shutil.rmtree(home.scratch, ignore_errors=True)
    print("local cloud: stopped" if any(services.values()) else "local cloud: not running")
    return 0


def status(home: Home) -> int:
    """Shows what runs; exit status 0 if all of it does."""
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
    """Drops what is known of a cloud that has ended: its Terraform state describes nothing any more."""
    home.description.unlink(missing_ok=True)
    (home.path / "applied").unlink(missing_ok=True)
    for state in home.path.glob("terraform.tfstate*"):
        state.unlink()


def freed(port: int, seconds: float = 5.0) -> bool:
    """Whether nothing listens on a port, now or soon."""
    deadline = time.monotonic() + seconds
    while is_listening(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def main() -> int:
    """Runs the command; an error is one message on standard error."""
    parser = argparse.ArgumentParser(description="Start, stop or show the local cloud.")
    parser.add_argument("command", choices=("up", "down", "status"))
    command = {"up": up, "down": down, "status": status}[parser.parse_args().command]
    try:
        return command(Home.from_environment())
    except LocalCloudError as error:
        print(f"local cloud: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("local cloud: interrupted", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
