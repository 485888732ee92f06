"""Names of classes: one rule for when two of them are one, wherever names come from."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from lnn.data.class_names import MAX_NAME_BYTES, clash, flaw, kept, problems_with
from lnn.models.model_file import Model
from lnn.models.validation import misfits
from support.odd_names import NO_NAMES, REAL_NAMES, SHOW_NOTHING

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))

ALIKE = {
    "Unicode form": (COMPOSED, DECOMPOSED, r"'caf\xe9' more than once, also as 'cafe\u0301'"),
    "case": ("Cat", "cat", "'Cat' more than once, also as 'cat'"),
    "case beyond ASCII": ("ÉTÉ", "été", "'ÉTÉ' more than once, also as 'été'"),
    "blanks around it": ("cat", " cat", "'cat' more than once, also as ' cat'"),
    "a blank that is not ASCII": ("cat", "cat\u3000", r"'cat' more than once, also as 'cat\u3000'"),
    "the width of a blank": ("New York", "New\u00a0York", r"'New York' more than once, also as 'New\xa0York'"),
    "a character that shows nothing": ("boat", "bo\u00adat", r"'boat' more than once, also as 'bo\xadat'"),
    "nothing": ("cat", "cat", "'cat' more than once"),
}


@pytest.mark.parametrize("difference", ALIKE)
def test_names_that_differ_in_form_only_are_one(difference: str) -> None:
    one, other, shown = ALIKE[difference]
    assert clash([one, "dog", other]) == (
        f"found {shown}; expected different names (case, Unicode form and blanks around a name make no difference): "
        "rename a class, or join both under one name"
    )


def test_letters_of_a_handwriting_set_differ_by_case() -> None:
    assert clash([*"ABCabcÉé", "ß", "ss"]) is None
    assert clash(["A", "a", " a"]) is not None


def test_many_names_that_clash_are_counted() -> None:
    problem = clash([f"{name} {number}" for number in range(9) for name in ("cat", "Cat")])
    assert problem is not None
    assert problem.count("more than once") == 5
    assert " and 4 more; " in problem


def test_a_name_is_kept_composed_and_without_blanks() -> None:
    assert kept(f" {DECOMPOSED}\t") == COMPOSED


@pytest.mark.parametrize("difference", ALIKE)
def test_a_model_whose_classes_are_one_does_not_fit_together(difference: str) -> None:
    one, other, shown = ALIKE[difference]
    model = Model([(np.ones((1, 4)), np.zeros((1, 1)))], "run", ["sigmoid"], [one, other], (2, 2), 255.0)
    (problem,) = misfits(model)
    assert problem.startswith(f"list_classes: found {shown}; ")


@pytest.mark.parametrize("name", REAL_NAMES.values(), ids=REAL_NAMES)
def test_a_name_that_people_have_is_one(name: str) -> None:
    assert flaw(name) is None
    assert problems_with([name, "dog"]) == []


@pytest.mark.parametrize("name", [*NO_NAMES.values(), *SHOW_NOTHING.values()], ids=[*NO_NAMES, *SHOW_NOTHING])
def test_a_text_that_is_unsafe_or_shows_nothing_is_no_name_and_the_problem_can_be_shown(name: str) -> None:
    (problem,) = problems_with(["dog", name])
    assert problem.isprintable()
    assert problem.encode()
    assert problem.startswith("found '")
    assert " at index 1, which " in problem
    assert problem.endswith(": rename the class")


def test_a_name_is_as_long_as_it_may_be() -> None:
    assert flaw("\u732b" * (MAX_NAME_BYTES // 3)) is None
    assert flaw("\u732b" * (MAX_NAME_BYTES // 3 + 1)) == "which takes 1,026 bytes"


def test_words_that_a_joiner_tells_apart_are_two_classes() -> None:
    assert clash(["\u0646\u0627\u0645\u0647\u0627", "\u0646\u0627\u0645\u200c\u0647\u0627"]) is None
    assert clash(["\U0001f468\u200d\U0001f467", "\U0001f468\U0001f467"]) is None


def test_a_list_of_names_that_is_too_long_is_refused() -> None:
    (problem,) = problems_with([f"class {number}" for number in range(5_000)])
    assert problem.startswith("found 5,000 names that take ")
