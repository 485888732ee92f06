"""Names of classes: the form that they are kept in, and when two of them are one.

Case, Unicode form and blanks around a name make no difference: macOS stores ``é`` as two code points where others have
one, and ``Cat`` beside ``cat`` is one class that was written twice. Single letters are the exception: a data set of
handwriting has both ``A`` and ``a``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

MOST_SHOWN = 5


def kept(name: str) -> str:
    """The name in Unicode's composed form (NFC), without blanks around it."""
    return unicodedata.normalize("NFC", name).strip()


def clash(names: Iterable[str]) -> str | None:
    """What is wrong with names of which some are one; None when all differ."""
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
    """Equal for names that are one."""
    plain = kept(name)
    return plain if len(plain) == 1 else unicodedata.normalize("NFC", plain.casefold())


def _alike(spelled: list[str]) -> str:
    """The spellings of one name; escaped where a reader would see no difference."""
    first, *others = dict.fromkeys(spelled)
    if not others:
        return f"{first!r} more than once"
    show = ascii if len({kept(name) for name in spelled}) < 1 + len(others) else repr
    return f"{show(first)} more than once, also as {', '.join(map(show, others[:MOST_SHOWN]))}"
