"""Lists of names: a path a line."""

from __future__ import annotations

import io
import itertools
import os
import select
import stat
from collections.abc import Iterator

from pulsar_dask.errors import PulsarError, printable, reason
from pulsar_dask.inputs.words import LIST_NAME, at_home, same_file

#: Characters of a line, and lines, beyond which a file is no list of names: the longest path
#: that a system takes, and more frames than a night has.
_LONGEST_LINE = 32_767
_MOST_LINES = 1_000_000
#: Seconds in which something has to come through a named pipe.
_PIPE_PATIENCE = 5


def in_list(path: str, *, among: bool = False) -> list[str]:
    """The files that a list names; `among` other files, one may not have been meant as a list."""
    try:
        return _listed(path)
    except PulsarError as error:
        if not among:
            raise
        raise PulsarError(
            f"{error.text}. A .txt or .lst is read as a list of files; "
            "a folder's name or a quoted mask takes the FITS files only"
        ) from error


def _listed(path: str) -> list[str]:
    name = printable(path)
    if not path:
        raise PulsarError("@: the list's name is missing, as in @list.txt")
    if os.path.isdir(path):
        raise PulsarError(f"{name}: a folder, not a list; name it without the @")
    folder = os.path.dirname(os.path.abspath(path))
    found = []
    for number, line in enumerate(_list_lines(path), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        # a name may end in blanks, and blanks may stand around a name
        texts = dict.fromkeys((entry, line))
        places = [p for text in texts for p in (at_home(text), os.path.join(folder, text))]
        existing = next((p for p in places if "\0" not in p and os.path.isfile(p)), None)
        where = f"{name}, line {number}: {_shortened(entry)}"
        if existing is None:
            there = next((p for p in places if "\0" not in p and os.path.exists(p)), None)
            if entry.startswith("@"):
                raise PulsarError(f"{where} is a list; a list names files, not lists")
            if there is not None:
                what = "a folder" if os.path.isdir(there) else "not a regular file"
                raise PulsarError(f"{where} is {what}; a list names files")
            raise PulsarError(
                f"{where}: no such file, neither from the current folder nor from the list's"
            )
        if same_file(existing, path):
            raise PulsarError(f"{where} is this list itself; a list names files, not lists")
        if LIST_NAME.search(existing):
            raise PulsarError(f"{where} is a list; a list names files, not lists")
        found.append(os.path.abspath(existing))
    if not found:
        raise PulsarError(f"{name}: the list names no file")
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
                    raise PulsarError(f"{printable(path)}, line {number}: too long for a name")
                if number > _MOST_LINES:
                    raise PulsarError(f"{printable(path)}: over {_MOST_LINES} lines are no list")
                yield line.removesuffix("\n")
    except OSError as error:
        raise PulsarError(f"{printable(path)}: {reason(error)}") from error


def open_text(path: str, flags: int) -> int:
    """An opener for `open`: a named pipe that nobody writes to is not waited for without end."""
    if not stat.S_ISFIFO(os.lstat(path).st_mode) or not hasattr(select, "poll"):
        return os.open(path, flags)
    pipe = os.open(path, flags | os.O_NONBLOCK)
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    if not waiting.poll(_PIPE_PATIENCE * 1000):
        os.close(pipe)
        raise PulsarError(f"{printable(path)}: a pipe through which nothing comes")
    os.set_blocking(pipe, True)
    return pipe


def _shortened(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= 300 else f"{shown[:300]}…"
