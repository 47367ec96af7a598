"""What the user names as input (a folder, a mask, a sequence, a list), as paths."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pulsar_dask.errors import PulsarError, Remark, printable, reason, warn
from pulsar_dask.inputs.checks import check_hdu, check_switch
from pulsar_dask.inputs.numbers import NUMBER_FORM
from pulsar_dask.inputs.others import packed, what_else
from pulsar_dask.inputs.sequence import sequence_from
from pulsar_dask.inputs.words import (
    FITS_NAME,
    as_texts,
    has_mask,
    in_list,
    is_list,
    is_store,
    list_path,
    natural_key,
    one_alone,
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
    hdu: int | str | None = None
    """Which image of each file, where files hold several: an index or a name."""


def find_inputs(
    spec: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    sequence: bool = True,
    recursive: bool = False,
    hdu: int | str | None = None,
) -> Inputs:
    """Resolve an input spec to files.

    Parameters
    ----------
    spec : path or iterable of paths
        A folder, a mask (``bias*.fit``), a list (``@list.txt``, ``list.txt``), files, a cube
        (``bias.zarr``), or one numbered file, which stands for its sequence from that number on;
        ``=bias1.fit`` is that file alone.
    sequence : bool
        Whether one numbered file stands for its sequence.
    recursive : bool
        Whether a folder's folders are entered.
    hdu : int or str, optional
        Which image of each file, by index or EXTNAME, where files hold several.

    Raises
    ------
    PulsarError
        Something named does not exist or holds no FITS file.
    """
    check_switch("sequence", sequence)
    check_switch("recursive", recursive)
    check_hdu(hdu)
    inputs = resolve(spec, sequence=sequence, recursive=recursive)
    for remark in inputs.remarks:
        warn(remark)
    return replace(inputs, hdu=hdu)


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
            raise PulsarError('a name is empty (""): is a variable of the shell not set?', "input")
        if "\0" in text:
            raise PulsarError(f"{printable(text)}: no such file or folder", "input")
        if (alone := one_alone(text)) is not None:
            if not os.path.exists(alone) or os.path.isdir(alone):
                raise PulsarError(
                    f"{printable(text)}: no such file; = stands before one file", "input"
                )
            named = [os.path.abspath(alone)]
            explicit.update(named if len(texts) == 1 else [])
            found += named
            folders += [os.path.dirname(named[0])]
            continue
        if is_store(text):
            found.append(os.path.abspath(text))
            folders.append(os.path.dirname(os.path.abspath(text)))
            continue
        if os.path.isdir(text):
            found += _in_folder(text, recursive, remarks)
            folders.append(os.path.abspath(text))
            continue
        if has_mask(text):
            named = _in_mask(text)
        elif is_list(text):
            named = in_list(
                list_path(text), remarks, among=len(texts) > 1 and not text.startswith("@")
            )
            explicit.update(named)
        elif not os.path.exists(text):
            last = len(texts) > 1 and NUMBER_FORM.fullmatch(text)
            hint = "; a number comes last, after the input" if last else ""
            hint = hint or near_name(text)
            raise PulsarError(f"{printable(text)}: no such file or folder{hint}", "input")
        elif len(texts) == 1 and sequence and (numbered := sequence_from(text, remarks)):
            named = numbered
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


def near_name(path: str) -> str:
    """What is there of nearly that name, as a question; maybe nothing."""
    import difflib

    stripped = path.rstrip("/" + os.sep)
    folder, name = os.path.split(stripped)
    try:
        there = [n for n in os.listdir(folder or ".") if not n.startswith(".")]
    except OSError:
        return ""
    lower = {n.lower(): n for n in there}
    close = difflib.get_close_matches(name.lower(), lower, 1, 0.7)
    if not close:
        return ""
    found = os.path.join(folder, lower[close[0]])
    return f"; did you mean {printable(found)}{'/' if os.path.isdir(found) else ''}?"


def _in_folder(folder: str, recursive: bool, remarks: list[str]) -> list[str]:
    every: list[str] = []

    def fail(error: OSError) -> None:
        raise PulsarError(f"{printable(error.filename)}: {reason(error)}", "input") from error

    for parent, folders, names in os.walk(folder, onerror=fail):
        every += [os.path.abspath(os.path.join(parent, n)) for n in names]
        if not recursive:
            folders.clear()
    found = [path for path in every if _wanted(path)]
    if not found:
        more = "" if recursive else " (folders in it are entered with ⟦recursive⟧)"
        raise PulsarError(
            f"{printable(folder)}: no FITS file (.fit, .fits, .fts) in this folder"
            f"{what_else(every) or more}",
            "frames",
        )
    if remark := packed(every):
        remarks.append(Remark(remark, "passed-over"))
    return found


def _in_mask(mask: str) -> list[str]:
    # a link to nothing or a pipe is no less meant than in a folder, and is refused when scanned
    names = [p for p in glob.iglob(mask, recursive=True) if not os.path.isdir(p)]
    found = [os.path.abspath(p) for p in names if _wanted(p)]
    if not found:
        why = "no file matches this mask" if not names else "no FITS file matches this mask"
        raise PulsarError(
            f"{printable(mask)}: {why}{what_else(names) or _literal_folder(mask)}", "input"
        )
    return found


def _literal_folder(mask: str) -> str:
    """What to write where a folder's own name is taken for a mask."""
    folder, name = os.path.split(mask)
    if not glob.has_magic(folder) or not os.path.isdir(folder):
        return ""
    escaped = printable(os.path.join(glob.escape(folder), name))
    return f'; for the folder {printable(folder)} itself write "{escaped}"'


def _wanted(path: str) -> bool:
    name = os.path.basename(path)
    return bool(FITS_NAME.search(name)) and not name.startswith(".")


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
        remarks.append(Remark(f"named twice, counted once: {names}{more}", "named-twice"))
    return list(seen.values())
