"""The files that a master was made of: where they are now, and whether they are as they were."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from pulsar_dask.errors import PulsarError, count, printable
from pulsar_dask.formats import reading, sums
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.formats.scan import scan_frame, scan_frames
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.provenance import Source
from pulsar_dask.kernels.checksum import file_sums
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.tools.judged import Findings, Status

#: A frame, or the path of a list.
File = Frame | str


@dataclass(frozen=True)
class Origin:
    """What has become of a file that a master or a cube was made of."""

    source: Source
    file: File | None = None
    """Where it is there and can be read."""
    status: Status = Status.GOOD
    problem: str = ""
    """In words, where the status is not good."""


def find_origins(
    sources: Sequence[Source], folders: Sequence[str], threads: Callable[[Sequence[Frame]], int]
) -> list[Origin]:
    """Look for files, in `folders` first, then where they were, and compare them with the sums
    that are known of them. Of several of one name the one that is as it was is taken.

    `threads` says how many may take sums of some frames at once.
    """
    stored = functools.cache(lambda store: scan_frames([store]))  # one scan for all its frames
    found = {source: _find(source, folders, stored) for source in sources}
    alone = [source for source in found if not source.store]
    frames = [f for source in alone for f in found[source] if isinstance(f, Frame)]
    with ThreadPoolExecutor(threads(frames)) as pool:
        looked = dict(zip(alone, pool.map(lambda s: _look(s, found[s]), alone), strict=True))
    looked |= {s: _look(s, files) for s, files in found.items() if s.store}
    return _compare_stored([looked[source] for source in sources])


def say_problems(origins: Sequence[Origin], findings: Findings) -> None:
    """Say what is wrong, then what is not there, one of each folder, and what to do about that."""
    findings.say_all([o.problem for o in origins if o.status == Status.WRONG], Status.WRONG)
    if away := [o for o in origins if o.status == Status.AWAY]:
        folders: dict[str, list[Origin]] = {}
        for origin in away:
            folders.setdefault(origin.source.place[0], []).append(origin)
        texts = []
        for first, *more in folders.values():
            others = f", nor {count(len(more), 'other')} of that folder" if more else ""
            texts.append(first.problem + others)
        findings.say_all(texts, Status.AWAY)
        of = f"{len(away)} of {count(len(origins), 'file')}"
        text = f"{of} that it was made of are not where they were"
        findings.say(f"{text}; --inputs DIR says where they are now", Status.AWAY)


def _find(
    source: Source, folders: Sequence[str], stored: Callable[[str], list[Frame]]
) -> list[File | PulsarError]:
    """All files that a source may be now, or why they cannot be read."""
    home, name = source.place
    found: list[File | PulsarError] = []
    for folder in (*folders, home):
        try:
            if (file := _open(source, os.path.join(folder, name), stored)) is not None:
                found.append(file)
        except PulsarError as error:
            found.append(error)
    return found


def _look(source: Source, files: Sequence[File | PulsarError]) -> Origin:
    first: Origin | None = None
    for file in files:
        try:
            if isinstance(file, PulsarError):
                raise file
            origin = Origin(source, file)
            if source.sum is not None and not source.store:
                origin = _compare(origin, _sums(file))
        except PulsarError as error:
            origin = Origin(source, None, Status.WRONG, f"{source.role} {error.on_command_line}")
        if origin.status == Status.GOOD:
            return origin
        first = first or origin
    there = printable(os.path.join(*source.place))
    return first or Origin(source, None, Status.AWAY, f"{source.role} {there}: not there")


def _open(source: Source, path: str, stored: Callable[[str], list[Frame]]) -> File | None:
    """The file of that path; None where it is not there."""
    if source.role == "list":
        return path if os.path.isfile(path) else None
    if source.store:
        place, number, _ = re.split(r"[/\\](\d+)[/\\](?=[^/\\]*$)", path)
        frames = stored(place) if os.path.isdir(place) else []
        return frames[int(number)] if int(number) < len(frames) else None
    other = next(_also_compressed(path), None)
    return scan_frame(other, source.hdu) if other else None


def _also_compressed(path: str) -> Iterator[str]:
    """A file, or what an archive has made of it."""
    plain = re.sub(r"\.(fz|gz)$", "", path, flags=re.IGNORECASE)
    return filter(os.path.isfile, (path, plain, plain + ".fz", plain + ".gz"))


def _sums(file: File) -> Sums:
    if isinstance(file, Frame):
        return sums.pixel_sums(file)
    try:
        return file_sums(file)
    except OSError as error:
        raise PulsarError(f"{printable(file)}: {error.strerror}", "unreadable") from error


def _compare(origin: Origin, sums: Sums) -> Origin:
    """With what its source says of it; where that is of 0.1, order is not known."""
    source, file = origin.source, origin.file
    if sums.words != source.sum:
        problem = f"its pixels are not those any more (DATASUM {sums.words}, was {source.sum})"
    elif source.order not in (None, sums.order):
        what = "lines" if source.role == "list" else "pixels"
        problem = f"its {what} are not in the order any more in which they were"
    else:
        return origin
    path = printable(file.path if isinstance(file, Frame) else file)
    return replace(origin, status=Status.WRONG, problem=f"{source.role} {path}: {problem}")


def _compare_stored(origins: Sequence[Origin]) -> list[Origin]:
    """Compare what lies in Zarr stores, whose chunks hold all frames of one."""
    compared = []
    for store, together in groupby(origins, key=lambda o: o.source.store and _store(o)):
        some = list(together)
        frames = [o.file for o in some if isinstance(o.file, Frame)] if store else []
        if not frames or some[0].source.sum is None:
            compared += some
            continue
        ledger, problem = Ledger(), ""
        try:
            _count(frames, ledger)
        except PulsarError as error:
            problem = error.on_command_line
        for origin in some:
            if problem:
                text = f"{origin.source.role} {problem}"
                compared.append(replace(origin, file=None, status=Status.WRONG, problem=text))
            elif isinstance(origin.file, Frame):
                sums = ledger.sums(origin.file.key, origin.file.nbytes) or Sums()
                compared.append(_compare(origin, sums))
            else:
                compared.append(origin)
    return compared


def _store(origin: Origin) -> str:
    return origin.file.place if isinstance(origin.file, Frame) else ""


def _count(frames: Sequence[Frame], ledger: Ledger) -> None:
    first = frames[0]
    with reading.counting(ledger):
        for _, tile in Grid(first.shape, *first.stored.block):
            image = np.empty((1, *tile.shape), first.pixels.stored)
            for frame in frames:
                reading.read_tile([frame], tile, image)
