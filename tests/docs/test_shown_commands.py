"""A command that a page shows can be typed: each is held to the command line, the Makefile, the scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.known_programs import UnknownCommandError
from support.repository import REPOSITORY
from support.shown_commands import Shown, blocks_without_language, commands_in, commands_of, pages

PAGES = pages()


def names(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_command_on_a_page_is_one_that_there_is(page: Path) -> None:
    problems = []
    for shown in commands_of(page):
        try:
            shown.check()
        except UnknownCommandError as error:
            problems.append(f"{shown.text}: {error}")
    assert not problems, f"{names(page)} shows what nobody can type:\n" + "\n".join(problems)


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_code_block_says_what_it_holds(page: Path) -> None:
    assert blocks_without_language(page) == [], "begin the block with ```sh, ```text, ```json or the like"


def test_the_pages_that_people_start_with_are_among_them_and_show_commands() -> None:
    shown = {
        page: commands_of(REPOSITORY / page) for page in ("README.md", "CONTRIBUTING.md", "docs/getting-started.md")
    }
    assert all(len(commands) >= 5 for commands in shown.values())
    assert sum(len(commands_of(page)) for page in PAGES) > 150


@pytest.mark.parametrize(
    "command",
    [
        "lnn tran digits.h5",
        "lnn train",
        "lnn upload digits.h5 parameters.json more.json",
        "lnn train digits.h5 --wate",
        "lnn train digits.h5 --set epoch=3",
        "lnn promote staging --canary 200",
        "lnn export RUN --format hdf4",
        "lnn dataset draw digits.h5",
        "make dmeo",
        "make chaos ROUND=2",
        "make deploy OPTIONS=--no-questions",
        "LNN_EMULATOR_PROT=4666 make up",
        "TF_VAR_neurons_window=8 make deploy",
        "scripts/upload_data.sh digits.h5",
        "scripts/upload_dataset.sh digits.h5 --wate",
        ".venv/bin/pytest tests/units",
        "aws sts get-caller-identities",
        "aws sqs receive-message --queue lnn-launch-dlq",
        "terraform -chdir=terraform output dashboard",
        "make setup && pip install lnn",
        "npm install lnn",
    ],
)
def test_a_command_that_there_is_not_is_found(command: str) -> None:
    *_, last = commands_in(f"```sh\n{command}\n```", "a page")
    with pytest.raises(UnknownCommandError):
        last.check()


@pytest.mark.parametrize("option", ["--watch", "--format hdf4"])
def test_an_option_that_there_is_not_is_found_within_a_sentence_too(option: str) -> None:
    (shown,) = commands_in(f"Say `lnn export {option}` to see.", "a page")
    with pytest.raises(UnknownCommandError):
        shown.check()


def test_notation_for_what_is_optional_repeated_or_one_of_several_is_understood() -> None:
    shown = commands_in("`lnn compare RUN RUN... [-o compare.png]`, `lnn export RUN --format csv|onnx`", "a page")
    assert [one.text for one in shown] == [
        "lnn compare RUN RUN -o compare.png",
        "lnn export RUN --format csv",
        "lnn export RUN --format onnx",
    ]


def test_a_line_of_several_commands_is_checked_command_by_command() -> None:
    block = "```sh\ncd lnn && make demo    # all of it\nlnn logs RUN --json | jq '.[] | .level'\n```"
    assert list(commands_in(block, "a page")) == [
        Shown("a page", text, whole=True)
        for text in ("cd lnn", "make demo", "lnn logs RUN --json", "jq '.[] | .level'")
    ]
