"""One spelling, American, in every text file of the repository: names, sentences, names of files."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from support.repository import REPOSITORY

BRITISH = re.compile(
    r"""(?:optimi|initiali|synchroni|normali|standardi|vectori|summari|minimi|maximi|recogni|organi|generali
        |speciali|seriali|regulari|utili|visuali|randomi|finali|authori|locali|paralleli|quanti|customi|memori
        |categori|prioriti|emphasi|reali|stabili|tokeni|penali|capitali)s(?:e[drs]{0,2}\b|ing|ation)
    |analys(?:e[drs]?|ing)\b|paralys
    |artefact|colour|behaviour|favour|honour|humour|labour|neighbour|flavour|rumour|endeavour
    |(?<![a-z])grey|(?<![a-z])centre[sd]?\b|licence|catalogue|dialogue|judgement|programme(?![dr])|defence|offence
    |cancell(?:ed|ing)|labell(?:ed\b|ing)|modell(?:ed|ing|er)|travell|signall(?:ed|ing)|panell|levell(?:ed|ing)|fuell
    |totall(?:ed|ing)|dialled|learnt|spelt\b|burnt\b|whilst|amongst|ageing|maths\b|fulfil\b|instalment|enrol\b
    """,
    re.VERBOSE | re.IGNORECASE,
)

ALLOWED = {
    r"\bartefacts?\b": "an attribute of a run as DynamoDB stores it and as `lnn show --json` prints it",
    r"SynchronisationSeconds": "a metric's name in CloudWatch, whose data outlive a release",
    r"--grey": "the option's first spelling, which goes on working beside --gray",
    r"aria-labelledby": "HTML",
    r'"optimiser"': "an unknown key of parameters.json, in the tests of its error",
}
"""What stays, as patterns, each with its reason."""

NOT_PROSE = re.compile(r"(\.(png|h5|ico|gz)|\.lock\.hcl)$|^requirements/|^tests/unit/project/test_spelling\.py$")
"""Binary files, others' names in lists of packages, and the words above."""


def british(text: str) -> list[str]:
    """The British words of a text, but for those that stay."""
    for pattern in ALLOWED:
        text = re.sub(pattern, "", text)
    return sorted(word for word in set(re.findall("[A-Za-z]+", text)) if BRITISH.search(word))


def texts() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if not NOT_PROSE.search(name) and (REPOSITORY / name).is_file():
            yield name, (REPOSITORY / name).read_text(errors="replace")


def test_every_file_is_spelled_in_one_way() -> None:
    assert not {name: words for name, text in texts() if (words := british(name) + british(text))}


@pytest.mark.parametrize("pattern", ALLOWED)
def test_each_exception_is_still_needed(pattern: str) -> None:
    assert any(re.search(pattern, text) for _, text in texts()), ALLOWED[pattern]


@pytest.mark.parametrize("word", ["OPTIMISERS", "initialises", "colours", "cancelled", "is_grey", "centres"])
def test_a_british_word_is_found(word: str) -> None:
    assert british(f"the {word} of a run")


@pytest.mark.parametrize("word", ["optimistic", "raised", "noise", "programmed", "Analysis", "promises", "center"])
def test_other_words_are_not(word: str) -> None:
    assert not british(word)
