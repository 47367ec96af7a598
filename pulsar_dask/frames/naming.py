"""What masters are called: the words for exposures and filters in names of files."""

from __future__ import annotations

import os
import re

from pulsar_dask.frames.table import table, word
from pulsar_dask.frames.written import safe_name
from pulsar_dask.inputs.words import FITS_NAME

UNITS = {1: "s", 1000: "ms", 1_000_000: "us"}


def exposure_text(whole: int, unit: int) -> str:
    """A whole number of s (unit 1), ms (1000) or µs as it stands in a file's name."""
    return f"{whole}{UNITS[unit]}"


_EXPOSURE_NAME = re.compile(r"([0-9]+)(s|ms|us|mks)")


def named_exposure(text: str) -> float | None:
    """The seconds that an exposure in a name stands for.

    >>> named_exposure("500ms"), named_exposure("x")
    (0.5, None)
    """
    match = _EXPOSURE_NAME.fullmatch(text)
    if not match:
        return None
    unit = {"s": 1, "ms": 1000, "us": 1_000_000, "mks": 1_000_000}[match[2]]  # mks: PULSAR's
    return int(match[1]) / unit


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


def dark_stem(master: str) -> str | None:
    """What stands behind "dark" in the name of a master without an ending; None if it has no other.

    >>> dark_stem("dark120s_gain100"), dark_stem("dark"), dark_stem("bias")
    ('120s_gain100', None, None)
    """
    return master[4:] or None if master.lower().startswith("dark") else None


def master_name(path: str) -> str:
    """The name of a master without its ending."""
    return FITS_NAME.sub("", os.path.basename(path))


def list_name(stem: str) -> str:
    """The list of hot pixels of the dark whose name ends so."""
    return f"cosme{stem}.lst"
