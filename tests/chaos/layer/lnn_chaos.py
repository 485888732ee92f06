"""Runs inside the functions, from a layer that only the chaos suite attaches: dies, or stands still, where it is told.

LNN_CHAOS_FOLDER is where the suite and this module meet. A *subject* is what an invocation is about: a run's id or,
in Launch, the folder of the upload.

    armed/SUBJECT--ROLE--POINT--ACTION   kill or freeze at this point, once, a process that has come by as often as the
                                         text says: whoever can rename the file is struck
    struck/SUBJECT--ROLE--POINT--ACTION  process id of the one that was
    paced/SUBJECT                        seconds that each epoch takes longer
    clocks/SUBJECT                       seconds by which the clock of an environment may be wrong, either way
    repeated/SUBJECT                     send each of its messages one to four times more, at once
    sent/SUBJECT.jsonl                   every message that was sent, for the suite to deliver late
    busy/PID                             role, subject and id of the invocation that a process works on
"""

import functools
import importlib.abc
import importlib.machinery
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

FOLDER = Path(os.environ["LNN_CHAOS_FOLDER"])

# Module: (what is wrapped, point before it, point after it).
PATCHES = {
    "lnn.runs.store": [
        ("Ledger.open_run", None, "opened"),
        ("Ledger.describe", "describing", "described"),
        ("Ledger.claim", None, "claimed"),
        ("Ledger.renew", "renewing", None),
        ("Ledger.record", "recording", "recorded"),
        ("Ledger.finish", "finishing", "finished"),
        ("Ledger.close", "closing", None),
    ],
    "lnn.runs.watchdog": [("revive", "reviving", "revived"), ("finish", "ending", "ended")],
    "lnn.models.store": [
        ("Artifacts.put_checkpoint", "checkpoint-storing", "checkpoint-stored"),
        ("Artifacts.put_model", "model-storing", "model-stored"),
        ("Artifacts.publish", "publishing", "published"),
        ("Artifacts.get_upload", None, "upload-read"),
    ],
    "lnn.parameter_server.server": [
        ("ParameterServer.put_tensor", None, "put"),
        ("ParameterServer.remove", "clearing", None),
    ],
    "lnn.parameter_server.barrier": [("Barrier.arrive", None, "arrived"), ("Barrier.advance", "advancing", "advanced")],
    "lnn.parameter_server.process_group": [
        ("ProcessGroup.join", None, "joined"),
        ("ProcessGroup.exchange", "arriving", "arrived"),
    ],
    "lnn.data.uploads": [("UploadReader.read_parameters", None, "parameters-read")],
    "lnn.launch": [("prepare", "computing", "computed"), ("store_dataset", None, "stored")],
    "lnn.serving.registry": [("Registry.add", "adding", "added")],
    "lnn.strategies.neuron.neuron": [
        (direction, "computing", "computed") for direction in ("forward", "backward", "update")
    ],
    "lnn.strategies.neuron.trainer": [
        ("Conductor._evaluate", "computing", "computed"),
        ("Conductor._clip", "computing", "computed"),
        ("Conductor._end_batch", "batch-ending", None),
    ],
    "lnn.strategies.session": [("Session._train_epoch", "computing", "computed")],
    "lnn.aws.invoker": [],
    "launch.handler": [],
    "register.handler": [],
    "trainer.handler": [],
    "neuron.handler": [],
}

BLOWS = {"freeze": signal.SIGSTOP, "kill": signal.SIGKILL}

# Where None says that a conditional write was refused.
CONDITIONAL = {"claimed", "finished"}

# What takes longer in a run that is paced.
PACED = {"Session._train_epoch", "Conductor._evaluate"}


class Here:
    """The invocation that this process works on."""

    role = subject = ""
    clock_ahead = 0.0


passed = Counter()
true_time = time.time
# Of this environment: by which share of the most its clock is wrong.
wrong = random.Random(os.getpid()).uniform(-1, 1)


def wrong_time():
    """What the clock of this environment says."""
    return true_time() + Here.clock_ahead


time.time = wrong_time


def text(place, name):
    """What the suite has left there, or None."""
    try:
        return (FOLDER / place / name).read_text()
    except FileNotFoundError:
        return None


def point(name):
    """Die or stand still here if that is armed."""
    for action, blow in BLOWS.items():
        arm = f"{Here.subject}--{Here.role}--{name}--{action}"
        passes = text("armed", arm)
        if not passes:
            continue
        passed[arm] += 1
        if passed[arm] <= int(passes):
            continue
        note = FOLDER / "struck" / f".{os.getpid()}"
        try:
            (FOLDER / "armed" / arm).rename(note)
        except FileNotFoundError:
            continue
        note.write_text(str(os.getpid()))
        note.rename(FOLDER / "struck" / arm)
        os.kill(os.getpid(), blow)


def with_points(function, path, before, after):
    @functools.wraps(function)
    def wrapper(*arguments, **options):
        if path in PACED and (pace := text("paced", Here.subject)):
            time.sleep(float(pace))
        if before:
            point(before)
        result = function(*arguments, **options)
        refused = result is False or (result is None and after in CONDITIONAL)
        if after and not refused:
            point(after)
        return result

    return wrapper


def of_a_run(function):
    """What the watch does for a run is about that run."""

    @functools.wraps(function)
    def wrapper(services, run):
        watched, Here.subject = Here.subject, run.run_id
        try:
            return function(services, run)
        finally:
            Here.subject = watched

    return wrapper


def of_a_model(function):
    """To add a run's model is about the run, even where the event is that of the latest model, which is the same."""

    @functools.wraps(function)
    def wrapper(registry, model, who):
        handled, Here.subject = Here.subject, model.get("run_id") or Here.subject
        try:
            return function(registry, model, who)
        finally:
            Here.subject = handled

    return wrapper


def about(event):
    """The subject of an invocation's event."""
    if "Records" in event:
        return event["Records"][0]["s3"]["object"]["key"].split("/")[-2]
    return event.get("run_id") or event["state"]


def noted(handler, name):
    """A handler that leaves word of what it works on."""

    def wrapper(event, context):
        Here.subject = about(event)
        Here.role = "watch" if Here.subject == "watch" else name
        Here.clock_ahead = wrong * float(text("clocks", Here.subject) or 0)
        note = FOLDER / "busy" / str(os.getpid())
        note.write_text(f"{Here.role} {Here.subject} {context.aws_request_id}")
        try:
            return handler(event, context)
        finally:
            Here.clock_ahead = 0.0
            note.unlink(missing_ok=True)

    return wrapper


def repeating(invoke):
    """An ``Invoker._invoke`` whose messages may come several times."""

    def wrapper(self, function, message):
        line = json.dumps({"function": function, "payload": message.as_json()}) + "\n"
        for times in (FOLDER / "repeated" / name for name in {Here.subject, message.run_id}):
            if times.exists():
                with (FOLDER / "sent" / f"{message.run_id}.jsonl").open("a") as file:
                    file.write(line)
                for _ in range(random.randint(1, 4)):
                    invoke(self, function, message)
                break
        invoke(self, function, message)

    return wrapper


def patch(module):
    for path, before, after in PATCHES[module.__name__]:
        *owners, name = path.split(".")
        owner = functools.reduce(getattr, owners, module)
        setattr(owner, name, with_points(getattr(owner, name), path, before, after))
    if module.__name__ == "lnn.runs.watchdog":
        module.revive, module.finish = of_a_run(module.revive), of_a_run(module.finish)
    if module.__name__ == "lnn.serving.registry":
        module.Registry.add = of_a_model(module.Registry.add)
    if module.__name__ == "lnn.aws.invoker":
        module.Invoker._invoke = repeating(module.Invoker._invoke)
    if module.__name__.endswith(".handler"):
        module.handler = noted(module.handler, module.__name__.split(".")[0])


class Finder(importlib.abc.MetaPathFinder):
    """Patches a module as soon as it is imported."""

    def find_spec(self, fullname, path, target=None):
        if fullname not in PATCHES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                patch(module)

            spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
