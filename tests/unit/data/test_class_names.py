"""Names of classes: one rule for when two of them are one, wherever names come from."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from lnn.data.class_names import clash, kept
from lnn.models.model_file import Model
from lnn.models.validation import misfits

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))

ALIKE = {
    "Unicode form": (COMPOSED, DECOMPOSED, r"'caf\xe9' more than once, also as 'cafe\u0301'"),
    "case": ("Cat", "cat", "'Cat' more than once, also as 'cat'"),
    "case beyond ASCII": ("ÉTÉ", "été", "'ÉTÉ' more than once, also as 'été'"),
    "blanks around it": ("cat", " cat", "'cat' more than once, also as ' cat'"),
    "a blank that is not ASCII": ("cat", "cat\u3000", r"'cat' more than once, also as 'cat\u3000'"),
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
