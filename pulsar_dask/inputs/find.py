"""What the user names as input (a folder, a mask, a sequence, a list), as paths."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pulsar_dask.errors import PulsarError, printable, reason, warn
from pulsar_dask.inputs.numbers import NUMBER_FORM
from pulsar_dask.inputs.words import (
    FITS_NAME,
    NUMBERED,
    as_texts,
    has_mask,
    in_list,
    is_list,
    is_store,
    list_path,
    natural_key,
    sequence_siblings,
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
        warn(remark)
    return inputs


def resolve(
    spec: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    sequence: bool = True,
    recursive: bool = False,
) -> Inputs:
    """`find_inputs` without a warning."""
    remarks: list[str] = []
    texts = as_texts(spec)
    found: list[str] = []
    explicit: set[str] = set()
    folders: list[str] = []
    for text in texts:
        if not text:
            raise PulsarError('a name is empty (""): is a variable of the shell not set?')
        if "\0" in text:
            raise PulsarError(f"{printable(text)}: no such file or folder")
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
            named = in_list(list_path(text), among=len(texts) > 1 and not text.startswith("@"))
            explicit.update(named)
        elif not os.path.exists(text):
            last = len(texts) > 1 and NUMBER_FORM.fullmatch(text)
            hint = "; a number comes last, after the input" if last else ""
            raise PulsarError(f"{printable(text)}: no such file or folder{hint}")
        elif len(texts) == 1 and sequence and NUMBERED.match(os.path.basename(text)):
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


def _in_folder(folder: str, recursive: bool) -> list[str]:
    found = []

    def fail(error: OSError) -> None:
        raise PulsarError(f"{printable(error.filename)}: {reason(error)}") from error

    for parent, folders, names in os.walk(folder, onerror=fail):
        found += [os.path.abspath(os.path.join(parent, n)) for n in names if _wanted(n)]
        if not recursive:
            folders.clear()
    if not found:
        more = "" if recursive else " (folders in it are entered with ⟦recursive⟧)"
        raise PulsarError(
            f"{printable(folder)}: no FITS file (.fit, .fits, .fts) in this folder{more}"
        )
    return found


def _in_mask(mask: str) -> list[str]:
    # a link to nothing or a pipe is no less meant than in a folder, and is refused when scanned
    names = [p for p in glob.iglob(mask, recursive=True) if not os.path.isdir(p)]
    found = [os.path.abspath(p) for p in names if _wanted(os.path.basename(p))]
    if not found:
        why = "no file matches this mask" if not names else "no FITS file matches this mask"
        raise PulsarError(f"{printable(mask)}: {why}{_literal_folder(mask)}")
    return found


def _literal_folder(mask: str) -> str:
    """What to write where a folder's own name is taken for a mask."""
    folder, name = os.path.split(mask)
    if not glob.has_magic(folder) or not os.path.isdir(folder):
        return ""
    escaped = printable(os.path.join(glob.escape(folder), name))
    return f'; for the folder {printable(folder)} itself write "{escaped}"'


def _wanted(name: str) -> bool:
    return bool(FITS_NAME.search(name)) and not name.startswith(".")


def _sequence_from(path: str, remarks: list[str]) -> list[str]:
    shared = sequence_siblings(path)
    match = NUMBERED.match(os.path.basename(path))
    assert shared is not None
    assert match is not None
    folder, prefix, digits, suffix = shared
    first = int(match["number"])
    numbers = {}
    # a2.FIT belongs to the sequence of a1.fit, except where there is an a2.fit
    try:
        entries = os.listdir(folder)
    except OSError as error:
        raise PulsarError(
            f"{printable(folder)}: {error.strerror}, so the sequence of {printable(path)} cannot "
            "be looked for; ⟦no_sequence⟧ takes this one file"
        ) from error
    for name in sorted(entries, key=lambda n: n.endswith(match["suffix"])):
        other = NUMBERED.match(name)
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
