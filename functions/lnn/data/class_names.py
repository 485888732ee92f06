"""Class names: what may be one, their normal form, and when two of them name the same class.

Datasets, folders of pictures and models share this rule. A name may have any characters that are safe to show: emoji
with their joiners, scripts whose words need a joiner or a non-joiner, any blanks, soft hyphens.

Case, Unicode form and blanks around or of another width are ignored when names are compared: macOS stores ``é`` as two
code points and other systems as one, and ``Cat`` beside ``cat`` is the same class. Characters that show nothing are
ignored, too. Single letters are the exception: a data set of handwriting has both ``A`` and ``a``.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence

from lnn.text.characters import quoted, unsafe

MOST_SHOWN = 5
MAX_NAME_BYTES = 1_024
MAX_NAMES_BYTES = 60_000
"""All names as JSON: an attribute of ``params.h5`` holds 64 KB, and a run in DynamoDB, which has them twice, 400 KB."""


def expected(kind: str) -> str:
    """What a name of a ``class`` or ``target`` should be."""
    return f"expected a name in UTF-8 of visible characters, at most {MAX_NAME_BYTES:,} bytes long: rename the {kind}"


_JOINERS = "\u200c\u200d"
_INVISIBLE = frozenset({"Cf", "Zs"})
"""The general categories of characters that are safe, but show nothing by themselves: formats and blanks."""


def kept(name: str) -> str:
    """The name in Unicode's composed form (NFC), without blanks around it."""
    return unicodedata.normalize("NFC", name).strip()


def flaw(name: str) -> str | None:
    """What keeps a text from being a name, as a relative clause; None for a name."""
    size = len(name.encode(errors="surrogatepass"))
    if size > MAX_NAME_BYTES:
        return f"which takes {size:,} bytes"
    for character in name:
        if kind := unsafe(character):
            return f"which holds {kind}, U+{ord(character):04X}"
    if all(unicodedata.category(character) in _INVISIBLE for character in name):
        return "which shows nothing"
    return None


def problems_with(names: Sequence[str], kind: str = "class") -> list[str]:
    """Every problem with a list of names, the first few of each kind; empty when there is none."""
    flaws = [(index, name, told) for index, name in enumerate(names) if (told := flaw(name))]
    problems = [f"found {name[:40]!r} at index {index}, {told}; {expected(kind)}" for index, name, told in flaws]
    found = [problem for problem in (oversize(names), clash(names, kind)) if problem]
    return problems[:MOST_SHOWN] or found


def oversize(names: Sequence[str]) -> str | None:
    """The problem with names that are too long together; None for others."""
    size = len(json.dumps(list(names)))
    if size <= MAX_NAMES_BYTES:
        return None
    return (
        f"found {len(names):,} names that take {size:,} bytes in all, as JSON; "
        f"expected at most {MAX_NAMES_BYTES:,}: use shorter names"
    )


def clash(names: Iterable[str], kind: str = "class") -> str | None:
    """The problem with a list of names in which some are the same; None when all differ."""
    spellings: dict[str, list[str]] = {}
    for name in names:
        spellings.setdefault(_key(name), []).append(name)
    alike = [_alike(spelled) for spelled in spellings.values() if len(spelled) > 1]
    if not alike:
        return None
    more = f" and {len(alike) - MOST_SHOWN} more" if len(alike) > MOST_SHOWN else ""
    return (
        f"found {', '.join(alike[:MOST_SHOWN])}{more}; expected different names (case, Unicode form and blanks around "
        f"a name make no difference): rename a {kind}, or join both under one name"
    )


def _key(name: str) -> str:
    """A key that is equal for names of the same class."""
    plain = _seen(name)
    return plain if len(plain) == 1 else unicodedata.normalize("NFC", plain.casefold())


def _seen(name: str) -> str:
    """The name as a reader sees it."""
    return kept("".join(map(_character_seen, name)))


def _character_seen(character: str) -> str:
    """One blank for all, and nothing for what shows nothing; joiners change the letters beside them."""
    if character.isascii() or character in _JOINERS:
        return character
    category = unicodedata.category(character)
    return " " if category == "Zs" else "" if category == "Cf" else character


def _alike(spelled: list[str]) -> str:
    """The spellings of one name, escaped where they look alike."""
    first, *others = dict.fromkeys(spelled)
    if not others:
        return f"{quoted(first)} more than once"
    show = ascii if len({_seen(name) for name in spelled}) < 1 + len(others) else quoted
    return f"{show(first)} more than once, also as {', '.join(map(show, others[:MOST_SHOWN]))}"
