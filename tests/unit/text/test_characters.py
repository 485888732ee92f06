"""Texts from anyone: what is unsafe in them is escaped, and everything else is shown as it is."""

from __future__ import annotations

import json
import sys

import pytest

from lnn.text.characters import escaped, in_ascii, in_json, quoted, unsafe
from support.odd_names import NO_NAMES, REAL_NAMES


@pytest.mark.parametrize("name", REAL_NAMES.values(), ids=REAL_NAMES)
def test_a_name_that_people_have_is_shown_as_it_is(name: str) -> None:
    assert escaped(name) == name
    assert quoted(name) == (f"'{name}'" if not {"\\", "'"} & set(name) else repr(name))
    assert in_json({name: name}) == json.dumps({name: name}, ensure_ascii=False)


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES)
def test_an_unsafe_character_becomes_an_escape_and_the_text_can_be_encoded(name: str) -> None:
    for shown in (escaped(name), quoted(name), in_ascii(name), in_json([name])):
        assert not any(map(unsafe, shown))
        assert shown.encode()
    assert json.loads(in_json([name])) == [name]
    assert in_ascii(name).isascii()


def test_every_character_is_safe_or_escaped_in_every_form() -> None:
    for start in range(0, sys.maxunicode, 4_096):
        text = "".join(map(chr, range(start, start + 4_096)))
        shown = escaped(text)
        assert not any(map(unsafe, shown))
        assert json.loads(in_json(text)) == json.loads(json.dumps(text))


@pytest.mark.parametrize("text", ["a'b", 'a"b', "a'\"b", "a\\b", "a\nb", "\x7f", ""])
def test_quotation_marks_are_those_of_repr(text: str) -> None:
    assert quoted(text) == repr(text)


def test_json_of_several_lines_keeps_them() -> None:
    assert in_json({"a\u2028\n": [1]}, indent=2) == '{\n  "a\\u2028\\n": [\n    1\n  ]\n}'
