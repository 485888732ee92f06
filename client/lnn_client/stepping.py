"""A stepped run, from outside: where it waits, and letting it go on."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypedDict

from lnn.errors import LnnError, RunStateError, Throttled
from lnn.job.pauses import Pause, Pauses
from lnn_client.errors import NotFound

if TYPE_CHECKING:
    from lnn.messages import Message
    from lnn.runs.record import Run
    from lnn_client.cloud import Cloud


class Waiting(TypedDict):
    """Where a run waits, in words."""

    done: str
    next: str


def next_step(cloud: Cloud, run_id: str, count: int = 1, *, epochs: int = 0, expected: int | None = None) -> Run:
    """Let a stepped run take ``count`` steps more, or go on to the end of its ``epochs``-th epoch from now on.

    ``expected`` is ``steps_allowed`` as the caller knows it: where somebody has let the run go on since, nothing
    changes, so that a request that is repeated is one step. Otherwise each call is a step of its own.

    Raises:
        NotFound: there is no such run.
        RunStateError: the run is not stepped, is not going, or is to stop.
    """
    while True:
        run = _stepped(cloud, run_id)
        if expected is not None and run.steps_allowed != expected:
            break
        number = run.steps_passed + count
        if epochs:
            number = Pauses.of(run.plan or {}).end_of_epoch(run.steps_passed + 1, epochs)
        allowed = cloud.ledger.allow_steps(run, number)
        if allowed is not None:
            run = allowed
            break
    if run.paused is not None and run.paused["number"] <= run.steps_allowed:
        _send(cloud, run.message_at_pause)
    return run


def arrived(cloud: Cloud, run: Run, timeout: float) -> Run:
    """The run once it waits again, or has ended.

    Raises:
        FollowTimeout: it has not come so far in so many seconds.
    """
    from lnn_client.progress import follow

    looks = follow(cloud.ledger, run.run_id, until=lambda now: now.has_ended or now.is_paused, timeout=timeout)
    *_, last = looks
    return last.run


def request_stop(cloud: Cloud, run_id: str) -> Run:
    """Ask a run to stop; one that waits for a person goes on to the end of its epoch for that.

    Raises:
        RunStateError: it is not going.
    """
    asked = cloud.ledger.request_stop(run_id)
    if asked.is_stepped:
        with suppress(LnnError):  # whoever may stop runs need not be allowed to call functions: the watch does that
            _send(cloud, asked.message_at_pause)
    return asked


def step_of(run: Run) -> dict[str, Any] | None:
    """How far a stepped run may go (``allowed``) and where it ``waits``, of JSON's types; None for any other run."""
    return {"allowed": run.steps_allowed, "waits": waits_at(run)} if run.is_stepped else None


def waits_at(run: Run) -> Waiting | None:
    """What a run that waits for a person has just done, and what comes next; None where it does not wait."""
    paused = run.paused
    if not run.is_paused or paused is None or run.plan is None:
        return None
    pauses, sizes = Pauses.of(run.plan), run.plan["sizes"]
    here = Pause(paused["epoch"], paused["batch"], paused["after"], paused["layer"])
    following = pauses.at(paused["number"] + 1)
    cost = f": {paused['cost']:.6g}" if "cost" in paused else ""
    return {"done": _done(here, sizes[here.layer], cost, pauses), "next": _next(here, following, pauses)}


def _done(pause: Pause, units: int, cost: str, pauses: Pauses) -> str:
    neurons = "1 neuron" if units == 1 else f"{units:,} neurons"
    have, own = ("has its gradient", "its") if units == 1 else ("have their gradients", "their")
    told = {
        "forward": f"layer {pause.layer} forward has been computed: {neurons}",
        "cost": f"the cost has been computed{cost}",
        "backward": f"layer {pause.layer} backward has been computed: {neurons} {have}"
        + ("" if pauses.clipped else f" and {own} next weights"),
        "update": f"layer {pause.layer} has been updated: {neurons}",
    }
    return f"{_place(pause, pauses)}: {told[pause.after]}"


def _next(here: Pause, following: Pause | None, pauses: Pauses) -> str:
    if following is None:
        return "the end of the run"
    names = {"forward": f"layer {following.layer} forward", "cost": "the cost"}
    names |= {"backward": f"layer {following.layer} backward", "update": f"the update of layer {following.layer}"}
    named = names[following.after]
    if following.epoch != here.epoch:
        return f"the end of epoch {here.epoch}, and {named} of epoch {following.epoch}"
    return f"{named} of batch {following.batch + 1} of {pauses.batches}" if following.batch != here.batch else named


def _place(pause: Pause, pauses: Pauses) -> str:
    batch = f", batch {pause.batch + 1} of {pauses.batches}" if pauses.batches > 1 else ""
    return f"epoch {pause.epoch}{batch}"


def _stepped(cloud: Cloud, run_id: str) -> Run:
    """The run, if it may be let go on."""
    run = cloud.ledger.get_run(run_id)
    if run is None:
        raise NotFound("run", run_id)
    if run.has_ended:
        raise RunStateError(f"run {run.run_id} takes no steps: it is {run.status}")
    if run.plan is None:
        raise RunStateError(f"run {run.run_id} takes no steps yet: Launch has not prepared it")
    if not run.is_stepped:
        raise RunStateError(f"run {run.run_id} goes on by itself: only a run that was begun with --step takes steps")
    if run.stop_requested:
        raise RunStateError(f"run {run.run_id} takes no more steps: it is asked to stop")
    return run


def _send(cloud: Cloud, message: Message | None) -> None:
    if message is None:
        return
    from lnn.aws.invoker import Invoker

    with suppress(Throttled):  # the watch lets the run go on within a minute or so
        Invoker(cloud.functions, cloud.names.trainer, cloud.names.neuron).invoke_trainer(message)
