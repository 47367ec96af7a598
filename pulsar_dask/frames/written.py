"""Values of cards as programs write them."""

from __future__ import annotations

import math
import re
from typing import Any, Protocol

from pulsar_dask.frames.about import Value


class Header(Protocol):
    """Keyword to value, as `astropy.io.fits.Header`, `hdus.Keywords` or a dict."""

    def get(self, keyword: str, default: Any = None, /) -> Any: ...


def bare(plain: str) -> str:
    """A word without a number, its unit and brackets at the end: "dark60s" as "dark"."""
    return re.sub(r"[(\[]?\d+([.,]\d+)?(s|sec|ms|us|min)?[)\]]?$", "", plain) or plain


def pair(header: Header, keyword: str) -> str | None:
    """Two whole numbers, from one card or two: "2x1"."""
    first = header.get(keyword)
    if first is None or isinstance(first, bool):
        return None
    other = header.get(keyword.replace("X", "Y")) if "X" in keyword else None
    numbers = [n for value in (first, other) for n in _whole_numbers(value)]
    if not numbers:
        return None
    alone = 0 if "OR" in keyword or "OFF" in keyword else numbers[0]
    return f"{numbers[0]}x{numbers[1] if len(numbers) > 1 else alone}"


def _whole_numbers(value: Any) -> list[int]:
    number = as_number(value)
    if number is not None:
        return [int(number)] if number == int(number) else []
    return [int(n) for n in re.findall(r"-?\d+", str(value or ""))]


def as_text(value: Any) -> str | None:
    """A text, without what stands around it: blanks, and quotes on both sides.

    >>> as_text("'Dark' "), as_text("Sloan g'"), as_text("  ")
    ('Dark', "Sloan g'", None)
    """
    text = str(value).strip() if value is not None else ""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    return text or None


def as_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def written_number(text: str) -> float | None:
    """A number as people write it: "60,0", "1/4", "6.0D+01".

    >>> [written_number(t) for t in ("60,0", "1/4", "6.0D+01", "1,000,000")]
    [60.0, 0.25, 60.0, None]
    """
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    top, slash, bottom = text.replace("D", "E").replace("d", "e").partition("/")
    a, b = as_number(top), as_number(bottom) if slash else 1.0
    return None if a is None or not b else a / b


def plain(value: Any) -> Value | None:
    number = as_number(value)
    return number if number is not None else as_text(value)


def safe_name(text: str) -> str:
    """A text as part of a file's name: letters, digits, '.', '_', '-', and "_" for the rest."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)
