"""What masters are called: the words for exposures and filters in names of files."""

from __future__ import annotations

import re

from pulsar_dask.frames.table import table, word

EXPOSURE_TOLERANCE = 0.001


def exposure_name(seconds: float) -> str:
    """Exposure as it stands in a file's name.

    >>> [exposure_name(t) for t in (120, 119.9997, 0.5, 1.5, 1e-4, 0)]
    ['120s', '120s', '500ms', '1500ms', '100us', '0s']
    """
    whole = round(seconds)
    if seconds >= 1 and abs(seconds - whole) <= EXPOSURE_TOLERANCE / 2:
        return f"{whole}s"
    microseconds = round(seconds * 1e6)
    if microseconds % 1_000_000 == 0:
        return f"{microseconds // 1_000_000}s"
    if microseconds % 1000 == 0:
        return f"{microseconds // 1000}ms"
    return f"{microseconds}us"


_EXPOSURE_NAME = re.compile(r"([0-9]+)(s|ms|us)")


def named_exposure(text: str) -> float | None:
    """The seconds that `exposure_name` wrote.

    >>> named_exposure("500ms"), named_exposure("x")
    (0.5, None)
    """
    match = _EXPOSURE_NAME.fullmatch(text)
    if not match:
        return None
    return int(match[1]) / {"s": 1, "ms": 1000, "us": 1_000_000}[match[2]]


def filter_code(name: str) -> str:
    """A filter's part in the name of its master flat; only letters, digits, '.', '_', '-'.

    >>> [filter_code(n) for n in ("Luminance", "H-alpha", "OIII", "V", "Sloan g'", "../x")]
    ['l', 'h', 'o', 'v', 'sloan_g_', 'x']
    """
    known = table().filters.get(word(name))
    return known or safe_name(name.strip().lower()).lstrip("._")[:80] or "_"


def filter_meaning(name: str) -> str:
    """What spellings of a filter share: its code, else the name without case, blanks, '-', '_'."""
    plain = word(name)
    return table().filters.get(plain, plain)


def safe_name(text: str) -> str:
    """A text as part of a file's name: letters, digits, '.', '_', '-', and "_" for the rest."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)
