"""The settings of a deployment: asked once and kept in a file, unless they are given in another way."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hcl2
from lark.exceptions import LarkError

from lnn_tools.errors import ToolError


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a person, whose answer is a Terraform variable."""

    name: str
    text: str
    default: str
    parse: Callable[[str], Any]
    """Returns the variable's value for an answer; raises ValueError with the reason if it is invalid."""


def region(text: str) -> str:
    # The same rule as in terraform/variables.tf, checked here before anything is created.
    return matching(r"(?!cn-)[a-z]{2}-[a-z]+-\d", text, "a commercial region as AWS names it, for example eu-central-1")


def prefix(text: str) -> str:
    pattern = r"(?=.{1,20}$)[a-z]([a-z0-9]|-[a-z0-9])*"
    return matching(pattern, text, "at most 20 lower-case letters, digits and single hyphens, a letter first")


def emails(text: str) -> list[str]:
    return [
        matching(r"[^@\s]+@[^@\s]+\.[^@\s]+", part, "plain addresses, with commas between them")
        for part in re.split(r"[,\s]+", text)
        if part
    ]


def dollars(text: str) -> float | None:
    return float(matching(r"\d*[1-9]\d*(\.\d+)?", text, "an amount like 50, or nothing")) if text else None


def matching(pattern: str, text: str, expected: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError(f"found {text!r}; expected {expected}")
    return text


PREFIX = Question("prefix", "Prefix of every name", "lnn", prefix)
QUESTIONS = [
    Question("region", "AWS region", "us-east-1", region),
    PREFIX,
    Question("emails", "Mail addresses for messages about runs (none)", "", emails),
    Question("monthly_budget_usd", "Monthly budget in dollars; messages warn above it (no budget)", "", dollars),
]


START = "TF_VAR_"
"""Of an environment variable that sets a Terraform variable."""


def given(environment: Mapping[str, str], configuration: Path) -> dict[str, Any]:
    """The variables that the environment or the user's .tfvars files set.

    Raises:
        ToolError: a file cannot be read, or sets what is no variable; Terraform would only warn of that.
    """
    declared = set(re.findall(r'^variable "(\w+)"', (configuration / "variables.tf").read_text(), re.MULTILINE))
    values: dict[str, Any] = {
        name.removeprefix(START): value for name, value in environment.items() if name.startswith(START)
    }
    for name in sorted(values.keys() - declared):
        # Other projects have variables of their own; Terraform reads none that it does not know.
        if likely := get_close_matches(name, declared, 1, 0.8):
            raise ToolError(f"{START}{name} sets no variable; did you mean {START}{likely[0]}?")
    for file in tfvars(configuration):
        found = read(file)
        for name in sorted(found.keys() - declared):
            likely = get_close_matches(name, declared, 1)
            cure = f"did you mean {likely[0]}?" if likely else f"the variables are in {configuration.name}/variables.tf"
            raise ToolError(f"{file.name} sets {name!r}, which is no variable; {cure}")
        values |= found
    return {name: value.strip('"') if isinstance(value, str) else value for name, value in values.items()}


def tfvars(configuration: Path) -> list[Path]:
    """The user's files that Terraform reads by itself, in its order."""
    names = [configuration / "terraform.tfvars", configuration / "terraform.tfvars.json"]
    named = [file for file in names if file.exists()]
    return named + sorted([*configuration.glob("*.auto.tfvars"), *configuration.glob("*.auto.tfvars.json")])


def read(file: Path) -> dict[str, Any]:
    """The variables that a file sets.

    Raises:
        ToolError: it is neither HCL nor JSON.
    """
    try:
        with file.open(encoding="utf-8") as source:
            found: dict[str, Any] = json.load(source) if file.suffix == ".json" else hcl2.load(source)
    except (ValueError, LarkError) as error:
        raise ToolError(f"{file.name} cannot be read: {str(error).splitlines()[0]}") from error
    return {name: value for name, value in found.items() if not name.startswith("__")}


def ask(questions: Iterable[Question], answer: Callable[[str], str], say: Callable[[str], None]) -> dict[str, Any]:
    """Asks each question; an empty answer means the default, and an invalid one repeats the question."""
    values = {}
    for question in questions:
        default = f" [{question.default}]" if question.default else ""
        while True:
            try:
                text = answer(f"{question.text}{default}: ").strip()
                values[question.name] = question.parse(text or question.default)
                break
            except ValueError as error:
                say(f"  {error}")
    return values


def answers(
    file: Path,
    taken: Mapping[str, Any],
    answer: Callable[[str], str] | None,
    say: Callable[[str], None] = print,
    *,
    remembered: Mapping[str, Any] | None = None,
    name: str = "",
) -> dict[str, Any]:
    """The values in ``file``, completed by questions; without an ``answer`` function the defaults complete them.

    A deployment with a ``name`` has it in its prefix, unless another is given.

    Variables that are ``taken``, set in another way, are left out. The values ``remembered`` from the deployment
    override the file and are not asked for: at that deployment they may have been set in another way.
    """
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    known |= remembered or {}
    asked = [replace(one, default=f"{one.default}-{name}") if name and one is PREFIX else one for one in QUESTIONS]
    open_questions = [question for question in asked if question.name not in known and question.name not in taken]
    if answer:
        known |= ask(open_questions, answer, say)
    else:
        known |= {question.name: question.parse(question.default) for question in open_questions}
    if not known.get("emails", True) and known.get("monthly_budget_usd"):
        say("  a budget warns by mail, and there is no address, so no budget is set; set `emails`")
        known["monthly_budget_usd"] = None
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(known, indent=2) + "\n")
    return {name: value for name, value in known.items() if name not in taken}
