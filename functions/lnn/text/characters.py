"""Characters in texts from anyone: which of them are unsafe to show, and how those are escaped.

A control character can command a terminal, a bidi control can turn the text around it (Unicode Technical Report 36,
section 2.4), a line separator can begin a line that looks like somebody else's, and half of a surrogate pair cannot be
encoded. Every other character is shown as it is: joiners, for example, are part of emoji and of many scripts.
"""

import json
import re
import unicodedata
from collections.abc import Callable

KINDS = {
    "Cc": "a control character",
    "Cn": "an unassigned character",
    "Cs": "half of a surrogate pair",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
"""What an unsafe character is, by its general category."""

BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""The characters with the property Bidi_Control (Unicode Standard Annex 9)."""

_DOUBTFUL = re.compile("[^ -~]")


def unsafe(character: str) -> str | None:
    """What makes a character unsafe to show; None for a safe one."""
    if character in BIDI_CONTROLS:
        return "a control of the direction of writing"
    return KINDS.get(unicodedata.category(character))


def escaped(text: str, keep: str = "") -> str:
    r"""The text with each unsafe character as its escape, such as ``\x1b``; those in ``keep`` stay."""
    return _escaped(text, _of_python, keep)


def quoted(text: str) -> str:
    """The text in quotation marks, as ``repr`` gives it, but with every safe character as it is."""
    mark = '"' if "'" in text and '"' not in text else "'"
    return mark + escaped(text.replace("\\", "\\\\").replace(mark, f"\\{mark}")) + mark


def in_ascii(text: str) -> str:
    """The text in printable ASCII, with every other character as its escape."""
    return escaped(text).encode("ascii", "backslashreplace").decode()


def in_json(value: object, indent: int | None = None) -> str:
    r"""A value as JSON in which each unsafe character is an escape, such as ``\u001b``, so that it means the same.

    Raises ValueError for numbers that JSON does not have.
    """
    return _escaped(json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False), _of_json, "\n")


def _escaped(text: str, escape: Callable[[str], str], keep: str) -> str:
    def shown(found: re.Match[str]) -> str:
        character = found.group()
        return character if character in keep or not unsafe(character) else escape(character)

    return _DOUBTFUL.sub(shown, text)


def _of_python(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _of_json(character: str) -> str:
    return json.dumps(character)[1:-1]
