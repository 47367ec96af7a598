"""Values of cards as programs write them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Protocol

from pulsar_dask.frames.about import Value

KELVIN = 273.15
_HOTTEST = 100.0  # °C; above it a sensor's temperature is in other units, or not known


class Header(Protocol):
    """Keyword to value, as `astropy.io.fits.Header`, `hdus.Keywords` or a dict."""

    def get(self, keyword: str, default: Any = None, /) -> Any: ...


def bare(plain: str) -> str:
    """A word without a number, its unit and brackets at the end: "dark60s" as "dark"."""
    return re.sub(r"[,:]?[(\[]?\d+([.,/]\d+)?(s|sec|ms|us|min|c)?[)\]]?$", "", plain) or plain


def pair(header: Header, keyword: str) -> str | None:
    """Two whole numbers, from one card or two: "2x1"."""
    x = _whole_numbers(header.get(keyword))
    y = _whole_numbers(header.get(keyword.replace("X", "Y"))) if "X" in keyword else []
    if not x and not y:
        return None
    place = "OR" in keyword or "OFF" in keyword  # of which one that is not written is 0
    first = x[0] if x else 0 if place else y[0]
    second = (x[1:] + y) or [0 if place else first]
    return f"{first}x{second[0]}"


def _whole_numbers(value: Any) -> list[int]:
    if value is None or isinstance(value, bool):
        return []
    numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d*)?", str(value))]
    return [int(n) for n in numbers] if all(n == int(n) for n in numbers) else []


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


def as_degrees(value: Any) -> float | None:
    """A temperature in °C; what no sensor has is none: drivers write -999, 9999 or 0 K for
    unknown.

    >>> [as_degrees(v) for v in (-10, "-10,5 C", "263.15 K", "N/A", -999.0, 9999, -273.15)]
    [-10.0, -10.5, -10.0, None, None, None, None]
    """
    zero = 0.0
    if isinstance(value, str):
        text, found = re.subn(r"\s*K(elvin)?\s*$", "", value)
        zero = KELVIN if found else 0.0
        value = written_number(re.sub(r"\s*(°|deg)?\s*C?\s*$", "", text, flags=re.IGNORECASE))
    number = as_number(value)
    if number is None or not -KELVIN < (number := round(number - zero, 6)) <= _HOTTEST:
        return None
    return number


def in_kelvin(comment: str) -> bool:
    """Whether a comment names kelvins.

    >>> [in_kelvin(t) for t in ("[K] detector", "in Kelvin", "temperature (K)", "degrees C")]
    [True, True, True, False]
    """
    return re.search(r"[\[(]\s*K\s*[\])]|\bkelvins?\b|^\s*K\s*$", comment, re.I) is not None


_WORDS = ("mks", "min", "h")  # that comments have for other things, too


def unit_in(comment: str, units: Mapping[str, float]) -> str | None:
    """The unit of the table that a comment names. In square brackets its case does not matter, nor
    where it stands alone; elsewhere "US" or "MS" are no units, and "mks" is a system of them.

    >>> table = {"s": 1.0, "us": 1e-6, "µs": 1e-6, "mks": 1e-6, "seconds": 1.0, "min": 60.0}
    >>> comments = "[US] time", "US, in Seconds", "min. time", "mks units", "(\u03bcs)", "(US)"
    >>> [unit_in(comment, table) for comment in comments]
    ['us', 'seconds', None, None, 'µs', 'us']
    """
    known = {text.casefold(): text for text in units}  # of "µ" there are two characters
    comment = re.sub(r"\b(milli|micro|nano)[\s-]+(?=sec)", r"\1", comment, flags=re.IGNORECASE)
    for text in re.findall(r"\[\s*([^\W\d]+)\.?\s*\]", comment):
        if text.casefold() in known:
            return known[text.casefold()]
    for text in re.findall(r"[^\W\d_]+", comment):
        small = text.casefold()
        if small in known and small not in _WORDS and (len(text) > 3 or text.islower()):
            return known[small]
    for text in re.findall(r"(?:\(|^)\s*([^\W\d]+)\.?\s*(?:\)|$)", comment):
        if text.casefold() in known:
            return known[text.casefold()]
    return None


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
