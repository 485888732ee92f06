"""Runs inside the functions, from a layer that only the chaos suite attaches: dies where it is told to.

LNN_CHAOS_FOLDER is where the suite and this module meet. A *subject* is what an invocation is about: a run's id or,
in Launch, the folder of the upload.

    armed/SUBJECT--ROLE--POINT   die at this point, once: whoever can rename the file dies
    struck/SUBJECT--ROLE--POINT  has died there
    repeated/SUBJECT             send each of its messages one to four times more, at once
    sent/SUBJECT.jsonl           every message that was sent, for the suite to deliver late
    busy/PID                     role and subject of the invocation that a process works on
"""

import functools
import importlib.abc
import importlib.machinery
import json
import os
import random
import signal
import sys
from pathlib import Path

FOLDER = Path(os.environ["LNN_CHAOS_FOLDER"])

# Module: (what is wrapped, point before it, point after it).
PATCHES = {
    "lnn.runs.store": [
        ("Ledger.claim", None, "claimed"),
        ("Ledger.record", None, "recorded"),
        ("Ledger.finish", None, "finished"),
    ],
    "lnn.models.store": [
        ("Artifacts.put_checkpoint", None, "checkpoint-stored"),
        ("Artifacts.put_model", None, "model-stored"),
    ],
    "lnn.parameter_server.barrier": [("Barrier.arrive", None, "arrived"), ("Barrier.advance", "advancing", "advanced")],
    "lnn.parameter_server.process_group": [
        ("ProcessGroup.join", None, "joined"),
        ("ProcessGroup.exchange", "arriving", "arrived"),
    ],
    "lnn.launch": [("prepare", "computing", "computed"), ("store_dataset", None, "stored")],
    "lnn.strategies.neuron.neuron": [("forward", "computing", "computed"), ("backward", "computing", "computed")],
    "lnn.strategies.neuron.trainer": [("Conductor._evaluate", "computing", "computed")],
    "lnn.strategies.session": [("Session._train_epoch", "computing", "computed")],
    "lnn.aws.invoker": [],
    "launch.handler": [],
    "trainer.handler": [],
    "neuron.handler": [],
}

# Where None says that a conditional write was refused.
CONDITIONAL = {"claimed", "finished"}

role = subject = ""


def point(name):
    """Die here if that is armed."""
    arm = f"{subject}--{role}--{name}"
    try:
        (FOLDER / "armed" / arm).rename(FOLDER / "struck" / arm)
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def with_points(function, before, after):
    @functools.wraps(function)
    def wrapper(*arguments, **options):
        if before:
            point(before)
        result = function(*arguments, **options)
        refused = result is False or (result is None and after in CONDITIONAL)
        if after and not refused:
            point(after)
        return result

    return wrapper


def about(event):
    """The subject of an invocation's event."""
    if "Records" in event:
        return event["Records"][0]["s3"]["object"]["key"].split("/")[-2]
    return event.get("run_id", "")


def noted(handler, name):
    """A handler that leaves word of what it works on."""

    def wrapper(event, context):
        global role, subject
        role, subject = name, about(event)
        note = FOLDER / "busy" / str(os.getpid())
        note.write_text(f"{role} {subject}")
        try:
            return handler(event, context)
        finally:
            note.unlink(missing_ok=True)

    return wrapper


def repeating(invoke):
    """An ``Invoker._invoke`` whose messages may come several times."""

    def wrapper(self, function, message):
        line = json.dumps({"function": function, "payload": message.as_json()}) + "\n"
        for times in (FOLDER / "repeated" / name for name in {subject, message.run_id}):
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
        setattr(owner, name, with_points(getattr(owner, name), before, after))
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
