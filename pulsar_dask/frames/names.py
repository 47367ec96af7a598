"""What a file's name tells where no card does, and what tells a master by its name."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence

from pulsar_dask.errors import printable
from pulsar_dask.frames.naming import filter_code, named_exposure
from pulsar_dask.frames.table import Table, table, word
from pulsar_dask.inputs.words import FITS_NAME

FROM_NAME, FROM_FOLDER = "the name of the file", "the name of its folder"


def parts(path: str) -> list[str]:
    """What stands between "_", "-", blanks and points in a file's name, small letters; numbers keep
    their point and sign."""
    name = FITS_NAME.sub("", _base(path)).lower()
    return [p for p in re.split(r"(?<!\d)[.]|[.](?!\d)|[_\s]+|(?<![\s_])-|-(?!\d)", name) if p]


def kind_in_name(path: str) -> tuple[str, str] | None:
    """The kind that a file's name tells, else that of its folder, and which of the two.

    A name tells it if it begins with a word of one and holds nothing else but numbers, exposure,
    filter, gain, temperature, date and the like.

    >>> kind_in_name("/night/Dark_60s_gain100_-10C_0001.fit")
    ('dark', 'the name of the file')
    >>> kind_in_name("/night/flats/a1.fit"), kind_in_name("/night/dark_nebula.fit")
    (('flat', 'the name of its folder'), None)
    """
    known = _words(table())
    found = _leading(parts(path), known)
    if found is not None:
        kinds, rest = found
        if kinds and all(_is_filler(text, table()) for text in rest):
            return _one(kinds), FROM_NAME
    folder = word(_base(_folder(path)))
    if folder in known and not _says_other(path, known[folder]):
        return known[folder], FROM_FOLDER
    return None


def _leading(texts: Sequence[str], known: dict[str, str]) -> tuple[set[str], list[str]] | None:
    """Kinds of the words at the beginning of a name, and what comes after them; None where two
    kinds are among all of its words."""
    if not texts:
        return None
    split = [piece for text in texts for piece in _pieces(text, known)]
    kinds = {known[p] for p in split if p in known}
    if len(kinds) > 1 and kinds != {"dark", "flat"}:
        return None
    if not split or split[0] not in known:
        return None
    return kinds, [p for p in split if p not in known]


def _pieces(text: str, known: dict[str, str]) -> list[str]:
    """A word and the number behind it apart: "dark0001" as "dark" and "0001"."""
    match = re.fullmatch(r"([^\W\d_]+)(\d.*)", text)
    if match and word(match[1]) in known:
        return [word(match[1]), match[2]]
    return [word(text) if word(text) in known else text]


def _one(kinds: set[str]) -> str:
    return "dark" if "dark" in kinds else next(iter(kinds))


def _says_other(path: str, kind: str) -> bool:
    """Whether a file's name begins with the word of another kind than its folder's."""
    known = _words(table())
    first = next(iter(parts(path)), "")
    leading = re.match(r"[^\W\d_]*", first)
    other = known.get(word(leading[0] if leading else ""))
    return other is not None and other != kind


@functools.lru_cache(maxsize=8)
def _words_of(items: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {text: kind for text, kind in items if text and text != "n/a"}


def _words(known: Table) -> dict[str, str]:
    """Words of kinds that a name may tell."""
    others = set(map(word, known.data["names"]["not_kinds"]))
    found = tuple(
        (text, kind)
        for text, kind in known.kinds.items()
        if kind in ("bias", "dark", "flat", "light") and text not in others
    )
    return _words_of(found)


def _is_filler(text: str, known: Table) -> bool:
    """Whether a part of a name says nothing of a kind."""
    names = known.data["names"]
    patterns = (names["exposure"], *names["filler"])
    if any(re.fullmatch(p, text, re.IGNORECASE) for p in patterns):
        return True
    return word(text) in known.filters or len(text) == 1


def exposure_in_name(path: str) -> float | None:
    """The exposure that a file's name tells, in seconds, if it is one.

    >>> exposure_in_name("Flat_520.0ms_Bin1_H.fit"), exposure_in_name("dark0001.fit")
    (0.52, None)
    """
    pattern = table().data["names"]["exposure"]
    units = table().data["exposure"]["units"]
    found = {
        float(match[1]) * units[match[2].lower()]
        for text in _exposure_texts(path)
        if (match := re.fullmatch(pattern, text, re.IGNORECASE))
    }
    return round(found.pop(), 9) if len(found) == 1 else None


def _exposure_texts(path: str) -> list[str]:
    known = _words(table())
    return [piece for text in parts(path) for piece in _pieces(text, known)]


def filter_in_name(path: str) -> str | None:
    """The filter that a file's name tells, if it is one of those with a code.

    >>> filter_in_name("Flat_520.0ms_Bin1_H_gain0.fit"), filter_in_name("Flat_0001.fit")
    ('H', None)
    """
    name = FITS_NAME.sub("", _base(path))
    texts = [p for p in re.split(r"[_\s.-]+", name) if p]
    codes = {t for t in texts if table().filters.get(word(t), "nothing") != "nothing"}
    return codes.pop() if len(codes) == 1 else None


def master_in_name(path: str, exposure: float | None, filter: str | None) -> str | None:
    """What in a file's name tells that it is a master, in words.

    >>> master_in_name("MasterDark.fit", None, None), master_in_name("dark_001.fit", 60, None)
    ("the name 'MasterDark'", None)
    """
    name = FITS_NAME.sub("", _base(path))
    small = name.lower()
    words = re.findall(r"[a-z]+|\d+", small)
    stacked = "stacked" in words or any(
        a == "stack" and b.isdigit() and int(b) > 1 for a, b in itertools.pairwise(words)
    )
    stem, exact = small[4:], False
    if small.startswith("dark"):
        named = named_exposure(stem)
        exact = named is not None and exposure is not None and abs(named - exposure) <= 1e-3 * named
    elif small.startswith("flat_"):
        exact = bool(filter) and stem[1:] == filter_code(filter or "")
    if small.startswith("master") or stacked or exact or small == "bias":
        return f"the name '{printable(name)}'"
    return None


def _base(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def _folder(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[0]
