"""Class names: their normal form, and when two of them name the same class.

Case, Unicode form and surrounding blanks are ignored: macOS stores ``é`` as two code points and other systems as one,
and ``Cat`` beside ``cat`` is the same class. Single letters are the exception: a data set of handwriting has both ``A``
and ``a``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

MOST_SHOWN = 5


def kept(name: str) -> str:
    """The name in Unicode's composed form (NFC), without blanks around it."""
    return unicodedata.normalize("NFC", name).strip()


def clash(names: Iterable[str]) -> str | None:
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
        "a name make no difference): rename a class, or join both under one name"
    )


def _key(name: str) -> str:
    """A key that is equal for names of the same class."""
    plain = kept(name)
    return plain if len(plain) == 1 else unicodedata.normalize("NFC", plain.casefold())


def _alike(spelled: list[str]) -> str:
    """The spellings of one name, escaped where they look alike."""
    first, *others = dict.fromkeys(spelled)
    if not others:
        return f"{first!r} more than once"
    show = ascii if len({kept(name) for name in spelled}) < 1 + len(others) else repr
    return f"{show(first)} more than once, also as {', '.join(map(show, others[:MOST_SHOWN]))}"
