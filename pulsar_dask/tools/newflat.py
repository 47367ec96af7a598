"""``newflat --camera ID --log CSV``: from now on flats of a camera are others."""

from __future__ import annotations

import datetime
import os

from pulsar_dask.cli.report import Report
from pulsar_dask.errors import PulsarError, printable, told, warn
from pulsar_dask.inputs.flatlog import Entry, add_entry, as_utc, entries_of, read_log


def newflat(
    log: str,
    *,
    camera: str | None,
    date: str | None,
    comment: str | None,
    listed: bool,
    strict: bool,
    dry_run: bool = False,
) -> None:
    """Add an entry to a log, or show the intervals of a camera."""
    report = Report(quiet=False, verbose=False, dry=dry_run)
    name = " ".join((camera or "").replace(",", "_").split())
    if listed:
        return show(log, name, report)
    if not name:
        raise PulsarError("which camera? give its name, as INSTRUME has it, with --camera")
    now = datetime.datetime.now(datetime.UTC)
    when = now if date is None else moment(date, report)
    text = " ".join((comment or "").replace(",", ";").split())
    entry = Entry(when.replace(microsecond=0), name, text)
    with told(strict=strict):
        if when > now:
            warn(f"{entry.when:%Y-%m-%dT%H:%M:%S} UTC is in the future", "future")
    known = read_log(log) if os.path.exists(log) else []
    added = not any(map(entry.same, known)) if dry_run else add_entry(log, entry)
    done = ("would be added" if dry_run else "added") if added else "is there already"
    report.say(f"{printable(log)}: {printable(entry.line.strip())} {done}")
    kind = "planned" if dry_run and added else "products"
    report.know(kind, {"path": os.path.abspath(log), "what": "log", "made": added})
    return None


def moment(text: str, report: Report) -> datetime.datetime:
    """The time that a text tells, UTC; of a date alone the local noon, when no flats are taken.

    Raises
    ------
    PulsarError
        It tells none.
    """
    try:
        when = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise PulsarError(
            f"{printable(text)!r} is no time; write it as 2026-01-31T12:00:00, +02:00 behind it "
            "if it is not UTC"
        ) from None
    if len(text.strip()) > 10:
        return as_utc(when)
    noon = when.replace(hour=12).astimezone()
    utc = noon.astimezone(datetime.UTC)
    report.say(f"{text.strip()}: noon here, {utc:%Y-%m-%dT%H:%M:%S} UTC")
    return utc


def show(log: str, camera: str, report: Report) -> None:
    """Say from when to when flats of a camera are the same."""
    entries = read_log(log)
    entries = entries_of(entries, camera) if camera else entries
    if not entries:
        whom = f" for {printable(camera)}" if camera else ""
        raise PulsarError(f"{printable(os.path.basename(log))} has no entry{whom}")
    for name in dict.fromkeys(e.camera for e in entries):
        own = [e for e in entries if e.camera == name]
        report.say(f"{printable(name)}: until {own[0].when:%Y-%m-%dT%H:%M:%S}")
        for entry, after in zip(own, [*own[1:], None], strict=True):
            end = f"to {after.when:%Y-%m-%dT%H:%M:%S}" if after else "on"
            said = f"  {printable(entry.comment)}" if entry.comment else ""
            report.say(f"{printable(name)}: {entry.when:%Y-%m-%dT%H:%M:%S} {end}{said}")
