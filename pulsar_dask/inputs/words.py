"""The words of an input spec: what a text names."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable

from pulsar_dask.errors import PulsarError, wrong_argument

#: File names that are FITS: .fit .fits .fts, in any case, also with .fz or .gz.
FITS_NAME = re.compile(r"\.(fit|fits|fts)(\.(fz|gz))?$", re.IGNORECASE)
LIST_NAME = re.compile(r"\.(txt|lst)$", re.IGNORECASE)
NUMBERED = re.compile(
    r"^(?P<prefix>.*?)(?P<number>[0-9]+)(?P<suffix>\.(?:fit|fits|fts)(?:\.(?:fz|gz))?)$",
    re.IGNORECASE | re.DOTALL,
)


def as_texts(
    spec: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    name: str = "spec",
    give: str = "a path, or several",
) -> list[str]:
    """The words of an input spec, which is an argument of that name.

    Raises
    ------
    PulsarError
        It is none, or empty: nobody means nothing by what a mask has found.
    """
    try:
        texts = [at_home(s) for s in ([spec] if isinstance(spec, (str, os.PathLike)) else spec)]
    except TypeError:
        raise wrong_argument(name, spec, give) from None
    if not texts:
        raise PulsarError(f"⟦{name}⟧ is empty, it names no file; did a mask find none?")
    return texts


def as_text(path: str | os.PathLike[str], name: str, give: str = "a path") -> str:
    """A path that is an argument of that name."""
    try:
        return at_home(path)
    except TypeError:
        raise wrong_argument(name, path, give) from None


def at_home(path: str | os.PathLike[str]) -> str:
    """A path, its leading ``~`` or ``~name`` as a shell takes it; unless it exists as it is.

    A shell leaves it as it is within quotes and behind ``--option=`` and ``@``.
    """
    text = os.fspath(path)
    if text.startswith("@~") and not os.path.lexists(text):
        return "@" + at_home(text[1:])
    if not text.startswith("~") or os.path.lexists(text):
        return text
    name = text.replace(os.altsep or os.sep, os.sep).split(os.sep)[0]
    try:
        home = os.path.expanduser(name)
    except ValueError:  # characters that no name of a user has
        return text
    # Windows makes a folder of any name
    return home + text[len(name) :] if name == "~" or os.path.isdir(home) else text


def is_store(path: str) -> bool:
    """Whether an argument is a Zarr store, of whatever format."""
    return path.lower().rstrip("/\\").endswith(".zarr") and any(
        os.path.isfile(os.path.join(path, name)) for name in ("zarr.json", ".zgroup", ".zarray")
    )


def is_list(text: str) -> bool:
    """Whether an argument names a list: ``@list.txt`` or ``list.txt``."""
    if os.path.exists(text):
        return bool(LIST_NAME.search(text))
    return text.startswith("@")


def list_path(text: str) -> str:
    """The file that a list's argument names."""
    return text if os.path.exists(text) else text[1:]


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
    match = NUMBERED.match(name)
    if not match:
        return None
    prefix, suffix = match["prefix"], match["suffix"].lower()
    return folder, prefix, len(match["number"]), suffix


def same_file(a: str, b: str) -> bool:
    """Whether two paths name one file, be it by a hard link, however they are spelled.

    The system says which files are one; where its numbers of files mean nothing (some network
    folders give a file another one each time), the names do, links resolved.
    """
    number = file_number(a)
    if number is not None and number == file_number(b):
        return True
    return os.path.normcase(os.path.realpath(a)) == os.path.normcase(os.path.realpath(b))


def file_number(path: str) -> tuple[int, int] | None:
    """The system's numbers of what a path leads to; None where it has none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None
