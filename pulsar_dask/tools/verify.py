"""``pulsar-dask verify``: whether a master is whole, whether the files it was made of are still
those, and whether they give the same pixels again; whether a cube holds the pixels of its files."""

from __future__ import annotations

import contextlib
import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from dask.system import CPU_COUNT

from pulsar_dask._version import CREATOR
from pulsar_dask.cli.report import Report
from pulsar_dask.engine import memory
from pulsar_dask.engine.sink import Executor
from pulsar_dask.errors import PulsarError, count, printable, reason
from pulsar_dask.formats import holding, reading, sums
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.formats.zarr import in_cube
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.provenance import read_trace, written_in
from pulsar_dask.frames.table import READ_BY
from pulsar_dask.inputs.words import FITS_NAME
from pulsar_dask.kernels import loaded
from pulsar_dask.output.ours import is_ours
from pulsar_dask.tools.again import check_cube, compare_again
from pulsar_dask.tools.judged import Findings, Status, summary, worst
from pulsar_dask.tools.options import Options
from pulsar_dask.tools.origins import find_origins, say_problems
from pulsar_dask.tools.whole import check_lists, check_seal, check_whole

#: Bytes that a look at the inputs may take whatever the budget, which has more to spare.
SOME_BYTES = 10_000_000
#: Tiles that are computed again, spread over the image.
SAMPLE = 16


def verify(
    paths: Sequence[str],
    *,
    tiles: int | None = SAMPLE,
    folders: Sequence[str] = (),
    recursive: bool = False,
    options: Options,
) -> Status:
    """``verify master.fit …``.

    Parameters
    ----------
    paths : sequence of str
        Masters that this program wrote, cubes, and folders of them. One that cannot be judged
        does not cost the others.
    tiles : int or None
        How many tiles of a master to compute again; None: all.
    folders : sequence of str
        Where its inputs are now, if not where they were.
    recursive : bool
        Whether the folders in a folder are entered.
    options : Options

    Returns
    -------
    Status
        That of all together.
    """
    report = options.report()
    statuses: dict[str, Status] = {}
    passed: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        # one for all files, started where one is computed again
        executor = functools.cache(lambda: stack.enter_context(options.executor()))
        for named in paths:
            try:
                found = [named]
                if os.path.isdir(named) and not _is_store_name(named):
                    found = _in_folder(named, recursive, passed)
            except PulsarError as error:
                statuses[named] = _not_judged(error, options)
                report.know("verified", {"path": os.path.abspath(named), "status": "wrong"})
                continue
            for path in found:
                place = os.path.realpath(path)
                if place not in statuses:
                    status = _judge(path, tiles, folders, executor, options, report)
                    statuses[place] = status
                    known = {"path": os.path.abspath(path), "status": status.name.lower()}
                    report.know("verified", known)
    report.passed_over(passed)
    if len(statuses) > 1:
        report.say(summary(list(statuses.values())))
    report.end()
    return worst(statuses.values())


def _judge(
    path: str,
    tiles: int | None,
    folders: Sequence[str],
    executor: Callable[[], Executor],
    options: Options,
    report: Report,
) -> Status:
    findings = Findings(printable(path), report)
    try:
        frames = scan_frames([path])
        if os.path.isdir(path):
            check_seal(path, findings)
        if in_cube(frames[0]):
            check_cube(frames, folders, executor, options, findings)
        else:
            _check_master(frames[0], tiles, folders, executor, options, findings)
    except PulsarError as error:
        return _not_judged(error, options)
    finally:
        reading.close_files()
    return findings.status


def _not_judged(error: PulsarError, options: Options) -> Status:
    if options.debug:
        raise error
    options.report().error(error)
    return Status.WRONG


# --- which files are meant -----------------------------------------------------------------


def _in_folder(folder: str, recursive: bool, passed: Counter[str]) -> list[str]:
    """The masters and cubes of this program in a folder; others are counted."""
    others: Counter[str] = Counter()
    found = []
    for path in _files(folder, recursive):
        if other := _what_else(path):
            others[other] += 1
        else:
            found.append(path)
    passed.update(others)
    if not found:
        name = printable(folder)
        there = f" ({', '.join(f'{n} {what}' for what, n in others.items())})" if others else ""
        deeper = "" if recursive else "; --recursive looks into the folders below"
        raise PulsarError(
            f"{name}: a folder; verify takes masters and cubes, not folders of frames, "
            f"and none that {CREATOR} wrote is in it{there}{deeper}",
            "not-ours",
        )
    return found


def _files(folder: str, recursive: bool) -> Iterator[str]:
    """FITS files and Zarr stores."""

    def fail(error: OSError) -> None:
        raise PulsarError(
            f"{printable(error.filename)}: {printable(reason(error))}", "not-ours"
        ) from error

    for parent, below, names in os.walk(folder, onerror=fail):
        stores = [name for name in below if _is_store_name(name)]
        below[:] = sorted(set(below) - set(stores)) if recursive else []
        for name in sorted([*stores, *filter(FITS_NAME.search, names)]):
            if not name.startswith("."):
                yield os.path.normpath(os.path.join(parent, name))


def _is_store_name(path: str) -> bool:
    return path.lower().rstrip("/\\").endswith(".zarr")


def _what_else(path: str) -> str:
    """What a file is that this program has not made as a master or a cube; else nothing."""
    try:
        frame = scan_frames([path])[0]
        if in_cube(frame) or _made_here(frame):
            return ""
    except PulsarError:
        # one of ours that is damaged is to be told
        return "" if is_ours(path, changed=True) else "unreadable files"
    if frame.is_master:
        return "foreign masters"
    return "raw frames" if frame.kind not in (None, "other") else "unlabelled files"


def _made_here(frame: Frame) -> bool:
    return str(read_header(frame).get("CREATOR", "")).startswith(f"{CREATOR} ")


# --- a master ------------------------------------------------------------------------------


def _check_master(
    master: Frame,
    tiles: int | None,
    folders: Sequence[str],
    executor: Callable[[], Executor],
    options: Options,
    findings: Findings,
) -> None:
    header = read_header(master)
    if not _made_here(master):
        raise PulsarError(
            f"{findings.name}: {_words_for(master)}; verify takes masters and cubes "
            f"that {CREATOR} wrote, which say what they were made of",
            "not-ours",
        )
    check_whole(master, threads_for([master], options), findings)
    check_lists(master, written_in(map(str, header.get("HISTORY", []))), findings)
    trace = read_trace(map(str, header.get("HISTORY", [])), _home(master))
    if not any(source.role == "input" for source in trace.sources):
        raise PulsarError(
            f"{findings.name}: its HISTORY does not say what it was made of; "
            "only masters that this version or a later one made do",
            "not-ours",
        )
    if all(source.order is None for source in trace.sources):
        findings.say("an older master: its sums do not see the order of pixels, or of lines")
    for note in trace.notes:
        if note.startswith(READ_BY):
            findings.say(f"its {note}")
    origins = find_origins(trace.sources, folders, lambda frames: threads_for(frames, options))
    say_problems(origins, findings)
    same = sum(o.status == Status.GOOD for o in origins)
    findings.say(f"{same} of {count(len(origins), 'file')} that it was made of are as they were")
    found = {o.source: o.file for o in origins if o.file is not None}
    if tiles == 0 or any(source not in found for source in trace.sources):
        return
    compared = compare_again(master, trace, found, tiles, executor, options)
    own = {*compared} - {"image"} if not master.is_master else master.stored.beside(master)
    for plane, (differing, of) in compared.items():
        what = f"pixels of its {plane}" if plane in own else "pixels"
        if differing:
            text = f"{differing} of {of} {what} that were computed again differ"
            findings.say(text, Status.WRONG)
        else:
            findings.say(f"{of} {what} computed again are the same")


def _words_for(frame: Frame) -> str:
    """What a file is that is no master of ours."""
    label = f"IMAGETYP '{printable(frame.about.label)}'" if frame.about.label else "no IMAGETYP"
    if frame.is_master:
        return f"a master of another program ({label})"
    if frame.kind in (None, "other"):
        return f"not a master ({label})"
    return f"a raw frame, not a master ({label})"


def _home(master: Frame) -> str:
    return os.path.dirname(master.place)


def threads_for(frames: Sequence[Frame], options: Options) -> int:
    """On how many threads the sums of frames can be taken.

    Raises
    ------
    PulsarError
        Not on one: the budget is too small.
    """
    threads = options.threads or CPU_COUNT
    if not frames:
        return threads
    compiled = loaded.worth_compiling(frames)
    each = holding.sum_bytes(frames, compiled, sums.STRETCH)
    room = max(memory.room(options.memory), SOME_BYTES)
    if each > room:
        raise memory.too_little(options.memory, each, "a look at its inputs")
    return max(1, min(threads, room // each))
