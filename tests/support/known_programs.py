"""Whether there is such a command: by the command line itself, the Makefile, the scripts, Terraform, botocore."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import typer
import typer.main
from botocore import xform_name

from lnn.errors import SettingsError
from lnn.job.hyperparameters import Settings, apply_overrides
from lnn_cli.main import app
from support.repository import REPOSITORY

UsageError: Any = typer.BadParameter.__base__


class UnknownCommandError(Exception):
    """Nothing that is here knows the command, or it does not take what is shown."""


def check_command(words: list[str], *, whole: bool) -> None:
    """Raises UnknownCommandError where nothing takes such a command; only a whole one needs all its arguments."""
    words = _without_variables(words)
    if not words:
        return
    program, *arguments = words
    if program in PROGRAMS:
        PROGRAMS[program](arguments, whole)
    elif program.startswith(("scripts/", "benchmarks/", "tests/")):
        _script([program, *arguments], whole, runs_by_itself=True)
    else:
        raise UnknownCommandError(f"no program {program!r} is known here")


def _without_variables(words: list[str]) -> list[str]:
    """A command without the variables set before it. Raises UnknownCommandError for one that nothing reads."""
    while words and (variable := re.match(r"([A-Z][A-Za-z_]*)=", words[0])):
        name = variable[1]
        known = _terraform_names("variable") if name.startswith("TF_VAR_") else _variables_read()
        if name.removeprefix("TF_VAR_") not in known:
            raise UnknownCommandError(f"nothing reads the variable {name}")
        words = words[1:]
    return words


def _is_placeholder(word: str) -> bool:
    return bool(re.fullmatch(r"[A-Z][A-Z.]*(\.\w+)?", word))


def _lnn(words: Sequence[str], whole: bool) -> None:
    command: Any = typer.main.get_command(app)
    context: Any = typer.Context(command, info_name="lnn", **command.context_settings)
    rest = list(words)
    try:
        while hasattr(command, "commands"):
            _, rest, _ = command.make_parser(context).parse_args(args=rest)
            if not rest or _is_placeholder(rest[0]):
                return
            name, command, rest = command.resolve_command(context, rest)
            context = typer.Context(command, info_name=name, parent=context)
        values, extra, _ = command.make_parser(context).parse_args(args=rest)
        if extra:
            raise UnknownCommandError(f"lnn {name} takes no {extra[0]!r}")
        for parameter in command.params:
            _check_value(context, parameter, values.get(parameter.name), whole=whole)
    except UsageError as error:
        raise UnknownCommandError(error.format_message()) from error


def _check_value(context: Any, parameter: Any, value: Any, *, whole: bool) -> None:
    """What is shown of an option or an argument, as the command would take it; a placeholder stands for anything."""
    several = value if isinstance(value, list | tuple) else [] if value is None else [value]
    if (not several and not whole) or parameter.is_eager or any(_is_placeholder(str(one)) for one in several):
        return
    parameter.process_value(context, value)
    if "--set" in parameter.opts:
        _check_assignments([one for one in several if not one.startswith(("key=", "KEY="))])


def _check_assignments(assignments: list[str]) -> None:
    try:
        keys = apply_overrides({}, assignments)
    except SettingsError as error:
        raise UnknownCommandError(str(error)) from error
    if unknown := keys.keys() - Settings.model_fields.keys():
        raise UnknownCommandError(f"parameters.json has no {', '.join(sorted(unknown))}")


def _make(words: Sequence[str], _whole: bool) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    recipes = dict(re.findall(r"^([a-z][a-z-]*):(.*(?:\n(?:\t.*)?)*)", makefile, re.MULTILINE))
    targets = [word for word in words if "=" not in word]
    for target in targets:
        if "## " not in recipes.get(target, "") and not _is_placeholder(target):
            raise UnknownCommandError(f"the Makefile has no target {target!r} with a description")
    recipe = "".join(recipes.get(target, "") for target in targets)
    for word in set(words) - set(targets):
        name, _, value = word.partition("=")
        if f"$({name})" not in recipe and f"$({name})" not in recipes["setup"]:
            raise UnknownCommandError(f"make {' '.join(targets)} reads no variable {name}")
        if name == "OPTIONS":
            for module in re.findall(r"-m (lnn_tools\S+)", recipe):
                _check_options(REPOSITORY / "scripts" / module.replace(".", "/") / "__main__.py", value.split())
            for script in re.findall(r"\S+\.py", recipe):
                _check_options(REPOSITORY / script, value.split())


def _script(words: Sequence[str], _whole: bool, *, runs_by_itself: bool = False) -> None:
    """A script, or a module's folder with a __main__, of the repository."""
    path = REPOSITORY / words[0]
    if not path.exists() or (runs_by_itself and not path.stat().st_mode & 0o100):
        raise UnknownCommandError(f"{words[0]} is not there, or not executable")
    _check_options(path, words[1:])


def _check_options(script: Path, words: Sequence[str]) -> None:
    if script.name == "upload_dataset.sh":  # which passes on what it is given
        _lnn(["upload", *words], False)
        return
    around = [path for path in script.parent.rglob("*") if path.suffix in {".py", ".sh"}]
    for option in (word.partition("=")[0] for word in words if word.startswith("-")):
        if not any(f'"{option}"' in path.read_text() for path in around):
            raise UnknownCommandError(f"{script.name} has no option {option}")


def _python(words: Sequence[str], whole: bool) -> None:
    if words[:2] == ["-m", "http.server"]:
        return
    _script(words, whole)


def _pytest(words: Sequence[str], _whole: bool) -> None:
    for word in words:
        if not word.startswith("-") and not (REPOSITORY / word).exists():
            raise UnknownCommandError(f"there are no tests {word}")
        if word.startswith("-") and word.partition("=")[0] not in {"-s", "-x", "-ra", "--randomly-seed"}:
            raise UnknownCommandError(f"{word} is no option of pytest's that is known here")


TERRAFORM_COMMANDS = [
    "apply",
    "force-unlock",
    "import",
    "init",
    "output",
    "plan",
    "providers",
    "state",
    "test",
    "validate",
]


def _terraform(words: Sequence[str], _whole: bool) -> None:
    words = [
        word for word in words if not word.startswith("-chdir=") or not (REPOSITORY / word.partition("=")[2]).is_dir()
    ]
    if words[0] not in TERRAFORM_COMMANDS:
        raise UnknownCommandError(f"terraform {words[0]} is not known here")
    for filtered in (word.partition("=")[2] for word in words if word.startswith("-filter=")):
        if not (REPOSITORY / "terraform" / filtered).is_file():
            raise UnknownCommandError(f"there is no {filtered} in terraform/")
    if words[0] == "output" and (unknown := set(words[1:]) - _terraform_names("output") - {"-raw", "-json"}):
        raise UnknownCommandError(f"Terraform has no output {', '.join(unknown)}")


def _aws(words: Sequence[str], _whole: bool) -> None:
    """Services and operations as botocore knows them, and what the AWS CLI has besides."""
    if list(words[:2]) in (["configure"], ["login"], ["sso", "login"]) or (
        words[0] == "s3" and words[1] in {"cp", "ls", "sync"}
    ):
        return
    session = botocore.session.get_session()
    if words[0] not in session.get_available_services():
        raise UnknownCommandError(f"AWS has no service {words[0]!r}")
    model = session.get_service_model(words[0])
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    if words[1] not in operations:
        raise UnknownCommandError(f"aws {words[0]} has no {words[1]!r}")
    shape = model.operation_model(operations[words[1]]).input_shape
    known = {f"--{xform_name(member, '-')}" for member in (shape.members if shape else {})}
    known |= {"--output", "--profile", "--query", "--region"}
    if unknown := {word for word in words if word.startswith("--")} - known:
        raise UnknownCommandError(f"aws {words[0]} {words[1]} has no {', '.join(unknown)}")


def _one_of(*first: str) -> Callable[[Sequence[str], bool], None]:
    def check_first(words: Sequence[str], _whole: bool) -> None:
        if not words or words[0] not in first:
            raise UnknownCommandError(f"found {' '.join(words)!r}; expected one of {', '.join(first)}")

    return check_first


def _in_the_repository(words: Sequence[str], _whole: bool) -> None:
    """sed, and the shell's own commands: what they are given is a file or folder that is there, or is made here."""
    made = {"lnn", ".venv/bin/activate"}
    if missing := [
        word for word in words if word not in made and "s/" not in word and not (REPOSITORY / word).exists()
    ]:
        raise UnknownCommandError(f"{', '.join(missing)} is not there")


@cache
def _terraform_names(kind: str) -> set[str]:
    files = (REPOSITORY / "terraform").glob("*.tf")
    return {name for file in files for name in re.findall(rf'^{kind} "(\w+)"', file.read_text(), re.MULTILINE)}


@cache
def _variables_read() -> set[str]:
    """Variables of the environment that the code names."""
    files = [*REPOSITORY.glob("Makefile"), *REPOSITORY.glob(".ci/*"), REPOSITORY / "mkdocs.yml"]
    for folder in ("cli", "client", "functions", "scripts", "tests"):
        files += [path for path in (REPOSITORY / folder).rglob("*") if path.suffix in {".py", ".sh"}]
    code = "".join(file.read_text() for file in files if file.parent != REPOSITORY / "tests" / "docs")
    return set(re.findall(r"\b(?:LNN|AWS)_[A-Z_]+\b", code))


PROGRAMS: dict[str, Callable[[Sequence[str], bool], None]] = {
    ".": _in_the_repository,
    ".venv-bench/bin/python": _python,
    ".venv-mlflow/bin/lnn": _lnn,
    ".venv-mlflow/bin/mlflow": _one_of("server"),
    ".venv/bin/lnn": _lnn,
    ".venv/bin/pytest": _pytest,
    ".venv/bin/python": _python,
    "aws": _aws,
    "cd": _in_the_repository,
    "curl": _one_of("--data-binary", "--json"),
    "git": _one_of("clone", "pull", "push", "rev-parse", "tag"),
    "jq": lambda _words, _whole: None,
    "lnn": _lnn,
    "make": _make,
    "python3": _python,
    "sed": _in_the_repository,
    "tensorboard": _one_of("--logdir"),
    "terraform": _terraform,
}
