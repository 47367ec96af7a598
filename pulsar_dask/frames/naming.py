"""What masters are called: the words for exposures and filters in names of files."""

from __future__ import annotations

import re

EXPOSURE_TOLERANCE = 0.001
#: Filter names, lower case without blanks, '-' and '_': code in the name of the master.
FILTER_CODES = {
    **dict.fromkeys(("l", "lum", "luminance"), "l"),
    **dict.fromkeys(("r", "red"), "r"),
    **dict.fromkeys(("g", "green"), "g"),
    **dict.fromkeys(("b", "blue"), "b"),
    **dict.fromkeys(("h", "ha", "halpha"), "h"),
    **dict.fromkeys(("o", "oiii", "o3"), "o"),
    **dict.fromkeys(("s", "sii", "s2"), "s"),
}


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
    meaning = filter_meaning(name)
    if meaning in FILTER_CODES.values():
        return meaning
    # never a name that begins with a dot, so neither hidden nor on the way to another folder
    return re.sub(r"[^a-z0-9._-]", "_", name.strip().lower()).lstrip("._")[:80] or "_"


def filter_meaning(name: str) -> str:
    """What spellings of a filter share: its code, else the name without case, blanks, '-', '_'."""
    word = re.sub(r"[\s_-]+", "", name.lower())
    return FILTER_CODES.get(word, word)


#: IMAGETYP, lower case, without blanks, '_' and '-': what it means.
KINDS = {
    "dark": "dark",
    "darkframe": "dark",
    "flat": "flat",
    "flatframe": "flat",
    "flatfield": "flat",
    "skyflat": "flat",
    "domeflat": "flat",
    "twilightflat": "flat",
    "bias": "bias",
    "biasframe": "bias",
    "zero": "bias",
    "zeroframe": "bias",
    "light": "light",
    "lightframe": "light",
    "object": "light",
    "science": "light",
}


def kind_of(label: str | None) -> tuple[str | None, bool]:
    """The kind that an IMAGETYP stands for, and whether it is a master.

    >>> kind_of(" DARK  "), kind_of("Master Flat"), kind_of(None)
    (('dark', False), ('flat', True), (None, False))
    """
    if label is None:
        return None, False
    words = re.sub(r"[\s_-]+", "", label.lower())
    master = words.startswith("master")
    return KINDS.get(words.removeprefix("master"), "other"), master
