"""Many seeds, one after the other; what a seed stands for; and how a failing one is shrunk."""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulation import faults as fault_table
from simulation.code_under_test import Code
from simulation.faults import Fault
from simulation.invariants import Reference, bits_of_checkpoint, bits_of_its_model, problems
from simulation.jobs import STRATEGIES, Job, job
from simulation.world import Action, World

JOBS = 32
"""So many jobs are drawn from; each is trained undisturbed once."""


@dataclass(frozen=True)
class Case:
    """All that a seed stands for."""

    seed: int
    job: Job
    faults: tuple[Fault, ...]
    actions: tuple[Action, ...]
    choices: int | None = None


class Campaign:
    """Simulations of one checkout's code."""

    def __init__(self, tree: Path, strategies: Sequence[str] = STRATEGIES) -> None:
        self._code = Code(tree)
        self._strategies = tuple(strategies)
        self._references: dict[tuple[int, int], Reference] = {}

    def reference(self, of: Job) -> Reference:
        """What a job leads to undisturbed; it is trained at the first call."""
        key = of.number, of.parameters["seed"]
        if key not in self._references:
            self._references[key] = self._reference(of)
        return self._references[key]

    def _reference(self, of: Job) -> Reference:
        whole = World(self._code, of, f"reference {of.number}")
        if not whole.run():
            raise RuntimeError(f"{of} does not end by itself: {whole.scheduler.now}, {whole.functions.errors}")
        run_id = whole.uploads[0]
        run = whole.ledger_run(run_id)
        if run.status != "COMPLETED":
            raise RuntimeError(f"{of} ends as {run.status}: {run.reason}")
        every = World(self._code, of.with_every_checkpoint(), f"reference {of.number}")
        every.run()
        bits, models = {}, {}
        prefix = f"runs/{every.uploads[0]}/checkpoints/"
        for key, versions in every.s3.objects.items():
            if key.startswith(prefix):
                epoch, batches = map(int, key.removeprefix(prefix).removesuffix(".npz").split("-")[1:3])
                body = versions[-1].body or b""
                bits[epoch, batches], models[epoch, batches] = bits_of_checkpoint(body), bits_of_its_model(body)
        reference = Reference(
            bits=bits,
            models=models,
            history=every.history(every.uploads[0]),
            epochs=run.epoch,
            status=run.status,
            sites={site: count for site, count in whole.transport.sites.items() if not site.startswith("person")},
            messages=dict(whole.functions.messages),
            duration=run.finished_at - run.created_at,
        )
        found = problems(whole, True, {of.parameters["seed"]: reference})
        if found:
            raise RuntimeError(f"undisturbed, {of}: {found}")
        return reference

    def job(self, number: int) -> Job:
        return job(number, self._strategies)

    def case(self, seed: int) -> Case:
        """What a seed stands for."""
        dice = random.Random(f"case {seed}")
        drawn = self.job(dice.randrange(JOBS))
        reference = self.reference(drawn)
        faults = fault_table.draw(dice, reference.sites, reference.messages, reference.duration)
        actions = self._actions(dice, reference.duration)
        chance = dice.random()
        if chance < 0.1:
            faults, actions = _two_parameters(dice, reference)
        elif chance < 0.25:
            faults = [_twin(dice, reference), *(faults[:1] if dice.random() < 0.5 else [])]
        faults += fault_table.draw_throttling(dice, reference.duration)
        faults += fault_table.draw_long_outage(dice, reference.duration)
        return Case(seed, drawn, tuple(faults), tuple(actions))

    @staticmethod
    def _actions(dice: random.Random, duration: float) -> list[Action]:
        """Stops and resumes. The last resume is repeated later, for a run that had not stopped yet."""
        if dice.random() < 0.6:
            return []
        actions = []
        moment = 0.0
        for _ in range(dice.choice((1, 1, 2))):
            moment += dice.uniform(0.0, duration)
            actions.append(Action("stop", moment))
            if dice.random() < 0.7:
                moment += dice.choice((0.1, 1.0, 5.0, 30.0)) * dice.random()
                actions.append(Action("resume", moment))
                actions += [Action("resume", moment + later) for later in (3.0, 20.0, 90.0)]
                moment += 3.0
        return actions

    def run(self, case: Case, trace: bool = False) -> tuple[list[str], World]:
        """Everything that does not hold at the end of a case."""
        world = World(self._code, case.job, case.seed, case.faults, case.actions, case.choices, trace)
        in_time = world.run()
        references = {case.job.parameters["seed"]: self.reference(case.job)}
        if any(action.what == "other parameters" for action in case.actions):
            other = case.job.with_other_weights()
            references[other.parameters["seed"]] = self.reference(other)
        return problems(world, in_time, references), world

    def shrunk(self, case: Case) -> Case:
        """The same problem with as few faults, actions and choices as possible."""
        wanted = kinds(self.run(case)[0])

        def fails(smaller: Case) -> bool:
            return bool(wanted & kinds(self.run(smaller)[0]))

        changed = True
        while changed:
            changed = False
            for name in ("faults", "actions"):
                entries = getattr(case, name)
                for index in range(len(entries)):
                    smaller = Case(**{**vars(case), name: entries[:index] + entries[index + 1 :]})
                    if fails(smaller):
                        case, changed = smaller, True
                        break
        low, high = 0, self.run(case)[1].scheduler.thrown
        while low < high:
            middle = (low + high) // 2
            if fails(smaller := Case(**{**vars(case), "choices": middle})):
                case, high = smaller, middle
            else:
                low = middle + 1
        return case


def kinds(found: Sequence[str]) -> set[str]:
    return {problem.partition(":")[0] for problem in found}


def _twin(dice: random.Random, reference: Reference) -> Fault:
    """An invocation stands still while another gets the same message; then both go on."""
    sites = [site for site in sorted(reference.sites) if site.startswith(("trainer", "neuron"))]
    between_steps = [site for site in sites if "_end_batch" in site]
    site = dice.choice(between_steps if between_steps and dice.random() < 0.6 else sites)
    return Fault(
        dice.choice(("freeze before", "freeze after")),
        site=site,
        number=dice.randint(1, reference.sites[site]),
        seconds=round(dice.uniform(1.0, 20.0), 1),
        what="again",
        at=dice.choice((0.1, 0.5, 2.0)),
    )


def _two_parameters(dice: random.Random, reference: Reference) -> tuple[list[Fault], list[Action]]:
    """Launch stands still after it has read the parameters, and the event comes again when there are others."""
    sites = [site for site in sorted(reference.sites) if site.startswith("launch")]
    site = dice.choice(sites)
    faults = [
        Fault(
            dice.choice(("freeze before", "freeze after")),
            site=site,
            number=dice.randint(1, reference.sites[site]),
            seconds=dice.choice((12.0, 15.0, 20.0, 60.0)),
        ),
        Fault("message twice", what="launch", number=1, seconds=dice.choice((0.1, 1.0, 6.0))),
    ]
    others = [site for site in sorted(reference.sites) if site.startswith(("trainer", "neuron"))]
    for _ in range(dice.choice((1, 1, 2))):
        site = dice.choice(others)
        faults.append(
            Fault(dice.choice(("kill before", "kill after")), site=site, number=dice.randint(1, reference.sites[site]))
        )
    return faults, [Action("other parameters", dice.uniform(0.0, 3.0))]


def main(repository: Path) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one alone, shrunk")
    parser.add_argument("--trace", action="store_true", help="print every step of the one seed")
    parser.add_argument("--tree", type=Path, default=repository, help="another checkout, whose code is simulated")
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--undisturbed", type=int, help="only so many jobs, without a fault")
    parser.add_argument("--steps", action="store_true", help="tell how many events and choices each seed had")
    parser.add_argument("--keep-going", action="store_true", help="go on after a failing seed")
    arguments = parser.parse_args()
    campaign = Campaign(arguments.tree, arguments.strategies)
    gc.freeze()  # the modules stay; looking for garbage among them took a tenth of the time
    gc.set_threshold(20_000, 20, 50)
    if arguments.undisturbed is not None:
        raise SystemExit(_undisturbed(campaign, arguments.undisturbed))
    if arguments.seed is not None:
        raise SystemExit(_one(campaign, arguments.seed, arguments.trace))
    raise SystemExit(_many(campaign, arguments.first, arguments.seeds, arguments.keep_going, arguments.steps))


def _undisturbed(campaign: Campaign, count: int) -> int:
    for number in range(count):
        drawn = campaign.job(number)
        reference = campaign.reference(drawn)
        print(f"job {number} ({drawn.strategy}): {reference.status} after {reference.duration:.1f} s")
    return 0


def _one(campaign: Campaign, seed: int, trace: bool) -> int:
    case = campaign.case(seed)
    found, world = campaign.run(case)
    print(f"seed {seed}: {case.job}")
    if found and not trace:
        case = campaign.shrunk(case)
        found, world = campaign.run(case)
    for entry in (*case.faults, *case.actions):
        print(f"  {entry}")
    print(f"  choices: {case.choices}")
    if trace:
        found, world = campaign.run(case, trace=True)
        print("\n".join(world.transport.trace or []))
    print("\n".join(found) or "no difference")
    return bool(found)


def _many(campaign: Campaign, first: int, count: int, keep_going: bool, steps: bool) -> int:
    began = time.process_time()
    seen: Counter[str] = Counter()
    failing = 0
    number = 0
    for seed in range(first, first + count):
        number += 1
        case = campaign.case(seed)
        found, world = campaign.run(case)
        if steps:
            print(f"seed {seed}: {world.scheduler.events} events, {world.scheduler.thrown} choices")
        if found:
            failing += 1
            seen.update(kinds(found))
            shown = "; ".join(str(entry) for entry in (*case.faults, *case.actions))
            print(
                f"seed {seed} ({case.job.strategy}): {' | '.join(problem[:200] for problem in found)} [{shown}]",
                flush=True,
            )
            if not keep_going:
                break
    seconds = time.process_time() - began
    speed = f"{number / seconds * 3600:,.0f} an hour"
    print(f"{number} runs in {seconds:.1f} s of one core ({speed}), {failing} with differences")
    print(json.dumps(dict(seen)))
    return int(failing > 0)
