"""The form of a user's table of keywords: what is in none is said, so that no slip of a hand is
passed over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_TYPES: dict[type, str] = {
    str: "a text",
    bool: "true or false",
    float: "a number",
    list: 'a list of texts, as ["word"]',
    dict: 'a table, as { by = "a program" }',
}

KEYWORD: dict[str, type | None] = {"by": str}
"""What any keyword may have."""
OF_KEYWORD: dict[str, dict[str, type | None]] = {
    "kind": {"word": bool, "words": dict},
    "exposure": {"unit": str},
    "filter": {"wheels": list},
    "calibrated": {"number": bool},
    "master": {"above": float, "true": bool, "text": str, "alone": bool},
}
"""What a keyword of a section may have beside that."""
SETTING: dict[str, type | None] = {
    "also": list,
    "name": str,
    "within": float,
    "absent": str,
    "same": list,
    "pair": bool,
    "by": str,
}


def check(where: str, value: Any, wanted: type) -> None:
    """Refuse a value of another type."""
    if wanted is float:
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        right = isinstance(value, wanted)
    if wanted is list and right:
        right = all(isinstance(text, str) for text in value)
    if not right:
        raise ValueError(f"{where} is not {_TYPES[wanted]}")


def table(where: str, value: Any, known: Mapping[str, type | None] | None = None) -> dict[str, Any]:
    """A table that has nothing but what is known; "settings" may have any name."""
    check(where, value, dict)
    for name, entry in value.items():
        if known is None or where == "settings":
            continue
        if name not in known:
            raise ValueError(f"{where} has no {name}, but {', '.join(sorted(known))}")
        if (wanted := known[name]) is not None:
            check(f"{where}.{name}", entry, wanted)
    return dict(value)


def one_of(where: str, text: Any, known: Iterable[str]) -> None:
    if text not in known:
        raise ValueError(f"{where}: there is no {text!r}, but {', '.join(known)}")


def plain_word(where: str, text: str) -> None:
    """Refuse what cannot stand in the name of a file, or on a command line."""
    if not re.fullmatch(r"[a-z0-9_-]+", text):
        raise ValueError(f"{where}: {text!r} has more than small letters, digits, '-' and '_'")


def numbers(where: str, value: Any) -> dict[str, float]:
    """Units and what they are in seconds."""
    found = table(where, value)
    for name, number in found.items():
        check(f"{where}.{name}", number, float)
        if not number > 0:
            raise ValueError(f"{where}.{name} is not above 0")
    return found


def patterns(where: str, value: Any) -> list[str]:
    """Regular expressions; of [calibrated] also plain words."""
    check(where, value, list)
    return [pattern(where, text) for text in value]


def pattern(where: str, text: Any) -> str:
    check(where, text, str)
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"{where}: {text!r} is no pattern ({error})") from error
    if where == "names.exposure" and groups != 2:
        raise ValueError(f"{where} has not two groups, the number and its unit")
    return str(text)
