"""``pulsar-dask verify``: whether a master is whole, whether the files it was made of are still
those, and whether they give the same pixels again; whether a cube holds the pixels of its files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import click
from dask.system import CPU_COUNT

from pulsar_dask._version import CREATOR
from pulsar_dask.cli.report import Report
from pulsar_dask.engine import memory
from pulsar_dask.errors import PulsarError, count, printable, reason, terminal_text
from pulsar_dask.formats import holding, reading, sums
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.formats.storeseal import is_sealed, what_happened
from pulsar_dask.formats.zarr import in_cube
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.provenance import read_trace, written_in
from pulsar_dask.inputs.words import FITS_NAME
from pulsar_dask.kernels import loaded
from pulsar_dask.kernels.checksum import is_as_written
from pulsar_dask.output.ours import is_ours
from pulsar_dask.output.ownlists import file_crc
from pulsar_dask.tools.again import compare_again
from pulsar_dask.tools.cubecheck import check_cube
from pulsar_dask.tools.judged import Findings, Status, summary, worst
from pulsar_dask.tools.options import Options
from pulsar_dask.tools.origins import find_origins, say_problems

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
    for named in paths:
        try:
            found = [named]
            if os.path.isdir(named) and not _is_store_name(named):
                found = _in_folder(named, recursive, passed)
        except PulsarError as error:
            statuses[named] = _not_judged(error, options)
            continue
        for path in found:
            place = os.path.realpath(path)
            if place not in statuses:
                statuses[place] = _judge(path, tiles, folders, options, report)
    report.passed_over(passed)
    if len(statuses) > 1:
        report.say(summary(list(statuses.values())))
    report.end()
    return worst(statuses.values())


def _judge(
    path: str, tiles: int | None, folders: Sequence[str], options: Options, report: Report
) -> Status:
    findings = Findings(printable(path), report)
    try:
        frames = scan_frames([path])
        if os.path.isdir(path):
            _check_seal(path, findings)
        if in_cube(frames[0]):
            check_cube(frames, folders, options, findings)
        else:
            _check_master(frames[0], tiles, folders, options, findings)
    except PulsarError as error:
        return _not_judged(error, options)
    finally:
        reading.close_files()
    return findings.status


def _not_judged(error: PulsarError, options: Options) -> Status:
    if options.debug:
        raise error
    click.echo(terminal_text(f"error: {error.on_command_line}"), err=True)
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
            f"and none that {CREATOR} wrote is in it{there}{deeper}"
        )
    return found


def _files(folder: str, recursive: bool) -> Iterator[str]:
    """FITS files and Zarr stores."""

    def fail(error: OSError) -> None:
        raise PulsarError(f"{printable(error.filename)}: {printable(reason(error))}") from error

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
    options: Options,
    findings: Findings,
) -> None:
    header = read_header(master)
    if not _made_here(master):
        raise PulsarError(
            f"{findings.name}: {_words_for(master)}; verify takes masters and cubes "
            f"that {CREATOR} wrote, which say what they were made of"
        )
    _check_whole(master, threads_for([master], options), findings)
    _check_lists(master, written_in(map(str, header.get("HISTORY", []))), findings)
    trace = read_trace(map(str, header.get("HISTORY", [])), _home(master))
    if not any(source.role == "input" for source in trace.sources):
        raise PulsarError(
            f"{findings.name}: its HISTORY does not say what it was made of; "
            "only masters that this version or a later one made do"
        )
    if all(source.order is None for source in trace.sources):
        findings.say("an older master: its sums do not see the order of pixels, or of lines")
    origins = find_origins(trace.sources, folders, lambda frames: threads_for(frames, options))
    say_problems(origins, findings)
    same = sum(o.status == Status.GOOD for o in origins)
    findings.say(f"{same} of {count(len(origins), 'file')} that it was made of are as they were")
    found = {o.source: o.file for o in origins if o.file is not None}
    if tiles == 0 or any(source not in found for source in trace.sources):
        return
    for plane, (differing, compared) in compare_again(master, trace, found, tiles, options).items():
        what = f"pixels of its {plane}" if plane in master.stored.beside(master) else "pixels"
        if differing:
            text = f"{differing} of {compared} {what} that were computed again differ"
            findings.say(text, Status.WRONG)
        else:
            findings.say(f"{compared} {what} computed again are the same")


def _words_for(frame: Frame) -> str:
    """What a file is that is no master of ours."""
    label = f"IMAGETYP '{printable(frame.label)}'" if frame.label else "no IMAGETYP"
    if frame.is_master:
        return f"a master of another program ({label})"
    if frame.kind in (None, "other"):
        return f"not a master ({label})"
    return f"a raw frame, not a master ({label})"


def _check_whole(master: Frame, threads: int, findings: Findings) -> None:
    """Whether a master is as it was written, by the sums that it states."""
    found, remarks = sums.check_sums([master], Ledger(), threads)
    for remark in remarks:
        findings.say(remark.removeprefix(f"{printable(master.path)}: "), Status.WRONG)
    if master.stored.checks(master) and findings.status == Status.GOOD:
        findings.say("whole, the checksums of its chunks match")
    elif master.stated is not None and not remarks:
        order, pixels = master.stated.order, found[master.path].words
        anew = order and order[0] != pixels
        plain = master.stored.unit is not None and not master.stored.coded
        if plain and not anew and not is_as_written(master.path):
            what = "what is beside its image in the file is not what was written"
            findings.say(what, Status.WRONG)
        else:
            findings.say("whole, its CHECKSUM and DATASUM match")
        if order and anew:
            findings.say(
                "its pixels are not those that were written, its DATASUM was made anew since "
                f"({pixels}, was {order[0]})",
                Status.WRONG,
            )


def _check_seal(store: str, findings: Findings) -> None:
    """Whether all of a store is as it was written; one of an earlier version does not say."""
    if not is_ours(store):
        status = Status.WRONG if is_sealed(store) else Status.GOOD
        findings.say(what_happened(store, CREATOR), status)


def _check_lists(master: Frame, written: Mapping[str, int], findings: Findings) -> None:
    """Whether lists that were written with a master are as they were."""
    for name, crc in written.items():
        path = os.path.join(_home(master), os.path.basename(name))
        if not os.path.isfile(path):
            text = f"{printable(name)}, the list that was written with it, is not beside it"
            findings.say(text, Status.AWAY)
            continue
        try:
            text = "" if file_crc(path) == crc else "is not as it was written with it"
        except OSError as error:
            text = reason(error)
        if text:
            findings.say(f"list {printable(path)}: {printable(text)}", Status.WRONG)


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
