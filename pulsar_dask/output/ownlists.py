"""Whose a list of hot pixels is: it has no header that could say so.

A master of ours beside it does, whose HISTORY names the list that was written with it, and its
checksum. One that is just as ours are, line by line, is replaced, too, but kept.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.files.disk import failure
from pulsar_dask.frames.provenance import read_written

_LINE = re.compile(rb"P \d+ \d+\r\n")
_NAME = re.compile(r"cosme(.*)\.lst", re.DOTALL)
_MOST_KEPT = 1000
_AT_ONCE = 1 << 20


def is_list(path: str, head: bytes) -> bool:
    """Whether a file, which begins with some bytes, is a list."""
    return path.lower().endswith(".lst") or head.startswith(b"P ")


def has_form(path: str, lines: int | None) -> bool:
    """Whether a file is a list exactly as this program writes them, of so many lines if that is
    given."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            if not is_list(path, file.read(2)):
                return False
            file.seek(0)
            found = 0
            for line in iter(_line_of(file), b""):
                if not _LINE.fullmatch(line):
                    return False
                found += 1
    except OSError:
        return False
    return lines is None or found == lines


def _line_of(file: IO[bytes]) -> Callable[[], bytes]:
    return lambda: file.readline(100)  # a file without lines is not held whole


def master_of(path: str) -> str | None:
    """The dark that a list was written with, if it is beside it."""
    folder, name = os.path.split(path)
    match = _NAME.fullmatch(name)
    master = os.path.join(folder, f"dark{match[1]}.fit") if match else ""
    return master if os.path.isfile(master) else None


def vouches(master: str, path: str) -> bool:
    """Whether a master, which is ours, says that a list was written with it as it is now."""
    return read_written(master).get(os.path.basename(path)) == file_crc(path)


def begins_alike(path: str, data: bytes) -> bool:
    """Whether of a list and of what is to take its place one begins as the other: more, or fewer,
    of the hottest pixels of one image."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(data))
    except OSError:
        return False
    return bool(head) and data.startswith(head)


def file_crc(path: str) -> int:
    """CRC-32 of a file, which sees the order of what is in it."""
    total = 0
    with open(path, "rb") as file:
        while part := file.read(_AT_ONCE):
            total = zlib.crc32(part, total)
    return total


# --- what is kept ----------------------------------------------------------------------------


@contextlib.contextmanager
def kept(paths: Iterable[str]) -> Iterator[list[tuple[str, str]]]:
    """Keep files under the first free of the names NAME.bak, NAME.bak1 …; not for an error.

    Yields
    ------
    list of (str, str)
        Each path and the name that its content has now, too.
    """
    made: list[tuple[str, str]] = []
    new: list[str] = []
    try:
        for path in paths:
            made.append((path, _keep(path, new)))
        yield made
    except BaseException:
        for name in new:
            with contextlib.suppress(OSError):
                os.unlink(name)
        raise


def _keep(path: str, new: list[str]) -> str:
    for number in range(_MOST_KEPT):
        name = f"{path}.bak{number or ''}"
        try:
            if _same_content(path, name):
                return name
            _copy(path, name)
        except FileExistsError:
            continue
        except OSError as error:
            raise failure(name, error) from error
        new.append(name)
        return name
    raise PulsarError(
        f"{printable(path)}: it was to be kept, and {printable(path)}.bak to .bak{_MOST_KEPT - 1} "
        "are there; remove some, or add ⟦overwrite⟧"
    )


def _same_content(a: str, b: str) -> bool:
    return os.path.isfile(b) and not os.path.islink(b) and filecmp.cmp(a, b, shallow=False)


def _copy(path: str, name: str) -> None:
    with contextlib.suppress(OSError):
        if not os.path.islink(path):
            os.link(path, name)
            return
    with open(path, "rb") as source, open(name, "xb") as copy:
        try:
            shutil.copyfileobj(source, copy)
        except OSError:
            os.unlink(name)
            raise
