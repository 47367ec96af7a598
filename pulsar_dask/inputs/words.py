"""The words of an input spec: what a text names, and lists of names."""

from __future__ import annotations

import glob
import io
import itertools
import os
import re
import select
import stat
from collections.abc import Iterable, Iterator

from pulsar_dask.errors import PulsarError, Remark, printable, reason, wrong_argument

#: File names that are FITS: .fit .fits .fts, in any case, also with .fz or .gz.
FITS_NAME = re.compile(r"\.(fit|fits|fts)(\.(fz|gz))?$", re.IGNORECASE)
LIST_NAME = re.compile(r"\.(txt|lst)$", re.IGNORECASE)


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
        raise PulsarError(f"⟦{name}⟧ is empty, it names no file; did a mask find none?", "input")
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
    if text.startswith(("@~", "=~")) and not os.path.lexists(text):
        return text[0] + at_home(text[1:])
    if not text.startswith("~") or os.path.lexists(text):
        return text
    name = text.replace(os.altsep or os.sep, os.sep).split(os.sep)[0]
    try:
        home = os.path.expanduser(name)
    except ValueError:  # characters that no name of a user has
        return text
    # Windows makes a folder of any name
    return home + text[len(name) :] if name == "~" or os.path.isdir(home) else text


def one_alone(text: str) -> str | None:
    """The file that ``=image.fit`` names, which stands for no sequence; None for other words."""
    return text[1:] if text.startswith("=") and not os.path.lexists(text) else None


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
    return glob.has_magic(text) and not text.startswith(("@", "=")) and not os.path.exists(text)


def natural_key(path: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", path)
    return tuple((1, int(p), p) if p.isdecimal() else (0, 0, p) for p in parts)


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


#: Characters of a line, and lines, beyond which a file is no list of names: the longest path
#: that a system takes, and more frames than a night has.
_LONGEST_LINE = 32_767
_MOST_LINES = 1_000_000
#: Seconds in which something has to come through a named pipe.
_PIPE_PATIENCE = 5


def in_list(path: str, remarks: list[str], *, among: bool = False) -> list[str]:
    """The files that a list names; `among` other files, one may not have been meant as a list."""
    try:
        return _listed(path, remarks)
    except PulsarError as error:
        if not among:
            raise
        raise PulsarError(
            f"{error.text}. A .txt or .lst is read as a list of files; "
            "a folder's name or a quoted mask takes the FITS files only",
            error.code,
        ) from error


def _listed(path: str, remarks: list[str]) -> list[str]:
    name = printable(path)
    if not path:
        raise PulsarError("@: the list's name is missing, as in @list.txt", "input")
    if os.path.isdir(path):
        raise PulsarError(f"{name}: a folder, not a list; name it without the @", "input")
    folder = os.path.dirname(os.path.abspath(path))
    found, twice = [], []
    for number, line in enumerate(_list_lines(path), 1):
        entry = line.strip()
        if not entry or entry.startswith(("#", ";")):
            continue
        # a name may end in blanks, and blanks may stand around a name
        texts = dict.fromkeys((entry, line))
        places = [os.path.join(at, at_home(text)) for text in texts for at in (folder, "")]
        files = [p for p in places if "\0" not in p and os.path.isfile(p)]
        existing = files[0] if files else None
        where = f"{name}, line {number}: {_shortened(entry)}"
        if existing is None:
            there = next((p for p in places if "\0" not in p and os.path.exists(p)), None)
            if entry.startswith("@"):
                raise PulsarError(f"{where} is a list; a list names files, not lists", "input")
            if there is not None:
                what = "a folder" if os.path.isdir(there) else "not a regular file"
                raise PulsarError(f"{where} is {what}; a list names files", "input")
            raise PulsarError(
                f"{where}: no such file, neither from the list's folder nor from the current one",
                "input",
            )
        if same_file(existing, path):
            raise PulsarError(
                f"{where} is this list itself; a list names files, not lists", "input"
            )
        if LIST_NAME.search(existing):
            raise PulsarError(f"{where} is a list; a list names files, not lists", "input")
        found.append(os.path.abspath(existing))
        if not same_file(existing, files[-1]):
            twice.append(existing)
    if twice:
        more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
        remarks.append(
            Remark(
                f"{name}: {printable(os.path.basename(twice[0]))}{more} of the list's folder "
                "taken, not of the current one, which has such files, too",
                "two-places",
            )
        )
    if not found:
        raise PulsarError(f"{name}: the list names no file", "input")
    return found


def _list_lines(path: str) -> Iterator[str]:
    """The lines of a list without their ends; what is no list is not held whole."""
    try:
        with open(path, "rb", opener=open_text) as raw:
            # PowerShell writes UTF-16
            wide = raw.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff")
            text = io.TextIOWrapper(
                raw,
                encoding="utf-16" if wide else "utf-8-sig",
                errors="replace" if wide else "surrogateescape",
                newline=None,
            )
            for number in itertools.count(1):
                line = text.readline(_LONGEST_LINE + 1)
                if not line:
                    return
                if len(line) > _LONGEST_LINE:
                    raise PulsarError(
                        f"{printable(path)}, line {number}: too long for a name", "input"
                    )
                if number > _MOST_LINES:
                    raise PulsarError(
                        f"{printable(path)}: over {_MOST_LINES} lines are no list", "input"
                    )
                yield line.removesuffix("\n")
    except OSError as error:
        raise PulsarError(f"{printable(path)}: {reason(error)}", "input") from error


def open_text(path: str, flags: int) -> int:
    """An opener for `open`: a named pipe that nobody writes to is not waited for without end."""
    if not stat.S_ISFIFO(os.lstat(path).st_mode) or not hasattr(select, "poll"):
        return os.open(path, flags)
    pipe = os.open(path, flags | os.O_NONBLOCK)
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    if not waiting.poll(_PIPE_PATIENCE * 1000):
        os.close(pipe)
        raise PulsarError(f"{printable(path)}: a pipe through which nothing comes", "input")
    os.set_blocking(pipe, True)
    return pipe


def _shortened(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= 300 else f"{shown[:300]}…"
