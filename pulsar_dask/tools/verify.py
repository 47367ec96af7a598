"""``pulsar-dask verify``: whether a master is whole, whether the files it was made of are still
those, and whether they give the same pixels again; whether a cube holds the pixels of its files."""

from __future__ import annotations

import contextlib
import functools
import os
from collections import Counter
from collections.abc import Callable, Sequence

from pulsar_dask._version import CREATOR
from pulsar_dask.cli.report import Report
from pulsar_dask.engine.sink import Executor
from pulsar_dask.errors import PulsarError, count, printable
from pulsar_dask.formats import reading
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.formats.zarr import in_cube
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.provenance import read_trace, written_in
from pulsar_dask.frames.table import READ_BY
from pulsar_dask.tools.again import check_cube, compare_again
from pulsar_dask.tools.judged import Findings, Status, summary, worst
from pulsar_dask.tools.meant import in_folder, made_here, threads_for
from pulsar_dask.tools.options import Options
from pulsar_dask.tools.origins import find_origins, say_problems
from pulsar_dask.tools.outputs import is_store_name
from pulsar_dask.tools.whole import check_lists, check_seal, check_whole

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
                if os.path.isdir(named) and not is_store_name(named):
                    found = in_folder(named, recursive, passed)
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
    if not made_here(master):
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
    own = {*compared} - {"image"} if len(compared) > 1 else set()
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
