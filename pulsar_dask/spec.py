"""What the user names as input (a folder, a mask, a sequence, a list), as paths."""

from __future__ import annotations

import glob
import itertools
import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pulsar_dask.errors import PulsarError, PulsarWarning, printable

#: File names that are FITS: .fit .fits .fts, in any case, also with .fz or .gz.
FITS_NAME = re.compile(r"\.(fit|fits|fts)(\.(fz|gz))?$", re.IGNORECASE)
_LIST_NAME = re.compile(r"\.(txt|lst)$", re.IGNORECASE)
_NUMBERED = re.compile(
    r"^(?P<prefix>.*?)(?P<number>\d+)(?P<suffix>\.(?:fit|fits|fts)(?:\.(?:fz|gz))?)$",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Inputs:
    """The files that a spec stands for, in natural order, each once."""

    paths: tuple[str, ...]
    """Absolute paths."""
    explicit: frozenset[str]
    """Those that were named one by one rather than found in a folder or through a mask."""
    folders: tuple[str, ...]
    """Folders in which something was looked for."""
    remarks: tuple[str, ...] = ()
    """What was passed over, in words."""


def find_inputs(
    spec: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    sequence: bool = True,
    recursive: bool = False,
) -> Inputs:
    """Resolve an input spec to files.

    Parameters
    ----------
    spec : path or iterable of paths
        A folder, a mask (``bias*.fit``), a list (``@list.txt``, ``list.txt``), files, a cube
        (``bias.zarr``), or one numbered file, which stands for its sequence from that number on.
    sequence : bool
        Whether one numbered file stands for its sequence.
    recursive : bool
        Whether a folder's folders are entered.

    Raises
    ------
    PulsarError
        Something named does not exist or holds no FITS file.
    """
    inputs = resolve(spec, sequence=sequence, recursive=recursive)
    for remark in inputs.remarks:
        warnings.warn(PulsarWarning(remark), stacklevel=2)
    return inputs


def resolve(
    spec: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    sequence: bool = True,
    recursive: bool = False,
) -> Inputs:
    """`find_inputs` without a warning."""
    remarks: list[str] = []
    items = [spec] if isinstance(spec, (str, os.PathLike)) else list(spec)
    texts = [os.fspath(item) for item in items]
    found: list[str] = []
    explicit: set[str] = set()
    folders: list[str] = []
    for text in texts:
        if is_store(text):
            found.append(os.path.abspath(text))
            folders.append(os.path.dirname(os.path.abspath(text)))
            continue
        if os.path.isdir(text):
            found += _in_folder(text, recursive)
            folders.append(os.path.abspath(text))
            continue
        if has_mask(text):
            named = _in_mask(text)
        elif is_list(text):
            named = _in_list(text if os.path.exists(text) else text[1:])
            explicit.update(named)
        elif not os.path.exists(text):
            raise PulsarError(f"{printable(text)}: no such file or folder")
        elif len(texts) == 1 and sequence and _NUMBERED.match(os.path.basename(text)):
            named = _sequence_from(text, remarks)
        else:
            named = [os.path.abspath(text)]
            explicit.update(named if len(texts) == 1 else [])
        found += named
        folders += [os.path.dirname(p) for p in named]
    return Inputs(
        tuple(sorted(_once(found, remarks), key=natural_key)),
        frozenset(explicit),
        tuple(dict.fromkeys(folders)),
        tuple(remarks),
    )


def is_store(path: str) -> bool:
    """Whether an argument is a Zarr store."""
    return path.lower().rstrip("/\\").endswith(".zarr") and os.path.isfile(
        os.path.join(path, "zarr.json")
    )


def is_list(text: str) -> bool:
    """Whether an argument names a list: ``@list.txt`` or ``list.txt``."""
    if os.path.exists(text):
        return bool(_LIST_NAME.search(text))
    return text.startswith("@")


def has_mask(text: str) -> bool:
    """Whether an argument is a mask, not a file whose name happens to look like one."""
    return glob.has_magic(text) and not text.startswith("@") and not os.path.exists(text)


def natural_key(path: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", path)
    return tuple((1, int(p), p) if p.isdecimal() else (0, 0, p) for p in parts)


def sequence_siblings(path: str) -> tuple[str, str, int, str] | None:
    """What files of one numbered sequence share: folder, prefix, digit count, suffix."""
    folder, name = os.path.split(os.path.abspath(path))
    match = _NUMBERED.match(name)
    if not match:
        return None
    prefix, suffix = match["prefix"], match["suffix"].lower()
    return folder, prefix, len(match["number"]), suffix


def same_file(a: str, b: str) -> bool:
    """Whether two paths name one file, links resolved."""
    return os.path.normcase(os.path.realpath(a)) == os.path.normcase(os.path.realpath(b))


# --- the forms -----------------------------------------------------------------------


def _in_folder(folder: str, recursive: bool) -> list[str]:
    found = []

    def fail(error: OSError) -> None:
        raise PulsarError(f"{printable(error.filename)}: {error.strerror}") from error

    for parent, folders, names in os.walk(folder, onerror=fail):
        found += [os.path.abspath(os.path.join(parent, n)) for n in names if _wanted(n)]
        if not recursive:
            folders.clear()
    if not found:
        more = "" if recursive else " (folders in it are entered with --recursive)"
        raise PulsarError(
            f"{printable(folder)}: no FITS file (.fit, .fits, .fts) in this folder{more}"
        )
    return found


def _in_mask(mask: str) -> list[str]:
    names = [p for p in glob.iglob(mask, recursive=True) if os.path.isfile(p)]
    found = [os.path.abspath(p) for p in names if _wanted(os.path.basename(p))]
    if not found:
        why = "no file matches this mask" if not names else "no FITS file matches this mask"
        raise PulsarError(f"{printable(mask)}: {why}")
    return found


def _wanted(name: str) -> bool:
    return bool(FITS_NAME.search(name)) and not name.startswith(".")


def _in_list(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline=None) as file:
            lines = file.read().split("\n")
    except OSError as error:
        raise PulsarError(f"{printable(path)}: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        beside = os.path.join(os.path.dirname(os.path.abspath(path)), entry)
        existing = next((p for p in (entry, beside) if "\0" not in p and os.path.isfile(p)), None)
        if existing is None:
            raise PulsarError(
                f"{printable(path)}, line {number}: {printable(entry)}: no such file, "
                "neither from the current folder nor from the list's"
            )
        found.append(os.path.abspath(existing))
    if not found:
        raise PulsarError(f"{printable(path)}: the list names no file")
    return found


def _sequence_from(path: str, remarks: list[str]) -> list[str]:
    shared = sequence_siblings(path)
    match = _NUMBERED.match(os.path.basename(path))
    assert shared is not None
    assert match is not None
    folder, prefix, digits, suffix = shared
    first = int(match["number"])
    numbers = {}
    # a2.FIT belongs to the sequence of a1.fit, except where there is an a2.fit
    for name in sorted(os.listdir(folder), key=lambda n: n.endswith(match["suffix"])):
        other = _NUMBERED.match(name)
        if (
            other
            and (other["prefix"], len(other["number"])) == (prefix, digits)
            and other["suffix"].lower() == suffix
            and int(other["number"]) >= first
            and not os.path.isdir(os.path.join(folder, name))
        ):
            numbers[int(other["number"])] = os.path.join(folder, name)
    gaps = _ranges(sorted(numbers), lambda n: f"{prefix}{n:0{digits}d}{match['suffix']}")
    if gaps:
        remarks.append(
            f"the sequence of {printable(os.path.basename(path))} has gaps, "
            f"passed over: {printable(gaps)}"
        )
    return list(numbers.values())


def _ranges(numbers: Sequence[int], name: Callable[[int], str]) -> str:
    gaps = []
    for a, b in itertools.pairwise(numbers):
        if b == a + 2:
            gaps.append(name(a + 1))
        elif b > a + 2:
            gaps.append(f"{name(a + 1)} to {name(b - 1)}")
    return ", ".join(gaps)


def _once(paths: Iterable[str], remarks: list[str]) -> list[str]:
    seen: dict[str, str] = {}
    twice = []
    for path in paths:
        real = os.path.normcase(os.path.realpath(path))
        if real in seen:
            twice.append(path)
        else:
            seen[real] = path
    if twice:
        more = f" and {len(twice) - 3} more" if len(twice) > 3 else ""
        names = ", ".join(printable(os.path.basename(p)) for p in twice[:3])
        remarks.append(f"named twice, counted once: {names}{more}")
    return list(seen.values())
