"""The log of `newflat`, from when on flats of a camera are others: ``UTC,CAMERA[,COMMENT]``."""

from __future__ import annotations

import bisect
import contextlib
import datetime
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pulsar_dask.errors import PulsarError, printable, reason
from pulsar_dask.kernels.locks import lock_file

_HEAD = "# when flats of a camera became others: UTC,CAMERA[,COMMENT]\n# a line for each change\n"
#: Seconds to wait for another process that writes to a log.
_PATIENCE = 10.0


@dataclass(frozen=True)
class Entry:
    """One change."""

    when: datetime.datetime
    """UTC."""
    camera: str
    comment: str = ""

    @property
    def line(self) -> str:
        more = f",{self.comment}" if self.comment else ""
        return f"{self.when:%Y-%m-%dT%H:%M:%S},{self.camera}{more}\n"

    def same(self, other: Entry) -> bool:
        """Whether it tells of the same change."""
        return self.when == other.when and self.camera == other.camera


def read_log(path: str) -> list[Entry]:
    """The entries of a log, in the order of time.

    Raises
    ------
    PulsarError
        It cannot be read, or a line is no entry; the message has the line's number.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise PulsarError(f"{printable(path)}: {reason(error)}") from error
    found = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        date, _, rest = text.partition(",")
        camera, _, comment = rest.partition(",")
        where = f"{printable(path)}, line {number}"
        if not camera.strip():
            raise PulsarError(f"{where}: no camera; write UTC,CAMERA[,COMMENT]")
        try:
            when = datetime.datetime.fromisoformat(date.strip())
        except ValueError:
            raise PulsarError(
                f"{where}: {printable(date[:40])!r} is no time; write it as 2026-01-31T12:00:00"
            ) from None
        found.append(Entry(as_utc(when), camera.strip(), comment.strip()))
    return sorted(found, key=lambda entry: (entry.when, entry.camera))


def entries_of(entries: Sequence[Entry], camera: str | None) -> list[Entry]:
    """Those of one camera: case and blanks do not count."""
    wanted = _plain(camera or "")
    return [entry for entry in entries if wanted and _plain(entry.camera) == wanted]


def interval(times: Sequence[float], at: float) -> tuple[float, float]:
    """Between which of some times, in order, another lies; an entry's own time belongs to what
    comes after it.

    >>> interval([1.0, 2.0], 1.0), interval([1.0, 2.0], 0.5), interval([1.0, 2.0], 2.0)
    ((1.0, 2.0), (-inf, 1.0), (2.0, inf))
    """
    after = bisect.bisect_right(times, at)
    ends = [-math.inf, *times, math.inf]
    return ends[after], ends[after + 1]


def _plain(camera: str) -> str:
    return "".join(camera.split()).casefold()


def as_utc(when: datetime.datetime) -> datetime.datetime:
    """A time in UTC; one without a zone is."""
    return (
        when.replace(tzinfo=datetime.UTC) if when.tzinfo is None else when.astimezone(datetime.UTC)
    )


def add_entry(path: str, entry: Entry) -> bool:
    """Append an entry, whole or not at all, also where others write to the log meanwhile.

    Returns
    -------
    bool
        False where it is there already.

    Raises
    ------
    PulsarError
        The log cannot be written.
    """
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        number = os.open(path, flags, 0o666)
        with (
            contextlib.closing(os.fdopen(number, "r+b", buffering=0)) as file,
            _locked(number, path),
        ):
            if any(map(entry.same, read_log(path))):
                return False
            size = file.seek(0, os.SEEK_END)
            text = entry.line
            if not size:
                text = _HEAD + text
            else:
                file.seek(size - 1)
                text = text if file.read(1) == b"\n" else f"\n{text}"
            file.seek(0, os.SEEK_END)
            file.write(text.encode())
            os.fsync(number)
    except OSError as error:
        raise PulsarError(f"{printable(path)}: {reason(error)}") from error
    return True


@contextlib.contextmanager
def _locked(number: int, path: str) -> Iterator[None]:
    """Until the file is closed."""
    end = time.monotonic() + _PATIENCE
    with contextlib.suppress(OSError):  # a file system without locks
        while not lock_file(number):
            if time.monotonic() > end:
                raise PulsarError(f"{printable(path)}: another process writes to it; try again")
            time.sleep(0.02)
    yield
