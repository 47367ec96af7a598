"""When the frames of a master were taken: its DATE-OBS, DATE-END, JD and MJD-OBS."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from pulsar_dask.formats.cards import standard_date
from pulsar_dask.frames.frame import Frame

#: What states the start of a frame, in order of precedence.
_DAYS = {"MJD-OBS": 0.0, "JD": 2_400_000.5}
_CLOCKS = ("TIME-OBS", "UT", "UTC", "UTSTART")
KEYWORDS = ("DATE-OBS", "DATE-END", *_DAYS)
Get = Callable[[str], Any]
"""From a keyword to its value; None where there is none."""
#: Cards of one frame's own time: they hold for a master only where every frame has the same.
OF_ONE = re.compile(r"(DATE|MJD|JD|HJD|BJD|TIME|UT|LST).*|.*-(JD|MJD|UT)|ST|HA|OBJCTHA|AIRMASS")
_MJD_ZERO = date(1858, 11, 17).toordinal()
_DAY, _SECOND = 86_400 * 10**9, 10**9


class Moment(NamedTuple):
    """A time in UTC, or whatever scale the frames use."""

    ns: int
    """Since MJD 0."""
    text: str
    """As a header has it: a day alone where the time of day is not known."""

    @property
    def timed(self) -> bool:
        return "T" in self.text

    @property
    def mjd(self) -> float:
        return self.ns / _DAY

    @property
    def jd(self) -> float:
        return (2 * self.ns + 4_800_001 * _DAY) / (2 * _DAY)


def moment(text: Any) -> Moment | None:
    """The time that a date of a header tells.

    >>> moment("2000-01-01T12:00:00").jd, moment("2024-02-31"), moment("17/11/58")
    (2451545.0, None, Moment(ns=3155673600000000000, text='1958-11-17'))
    """
    text = standard_date(text) if isinstance(text, str) else None
    if text is None:
        return None
    day, _, clock = text.partition("T")
    try:
        days = date.fromisoformat(day).toordinal() - _MJD_ZERO
    except ValueError:
        return None
    return Moment(days * _DAY + (_clock(clock) or 0), text)


def _clock(text: Any) -> int | None:
    """Nanoseconds of a time of day."""
    match = re.fullmatch(r"\s*(\d\d?):(\d\d):(\d\d)(?:\.(\d{0,9})\d*)?\s*Z?", str(text))
    if match is None:
        return None
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3])
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return (3600 * hours + 60 * minutes + seconds) * _SECOND + int((match[4] or "").ljust(9, "0"))


def _at(ns: int) -> Moment | None:
    """A time that was computed, to the microsecond."""
    ns = (ns + 500) // 1000 * 1000
    days, rest = divmod(ns, _DAY)
    try:
        day = date.fromordinal(days + _MJD_ZERO).isoformat()
    except (ValueError, OverflowError):
        return None
    seconds, part = divmod(rest, _SECOND)
    fraction = f".{part // 1000:06}".rstrip("0").rstrip(".")
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return Moment(ns, f"{day}T{clock}{fraction}")


def start_of(frame: Frame, get: Get) -> Moment | None:
    """When a frame begins: its DATE-OBS; what that lacks, or all, by TIME-OBS, MJD-OBS or JD."""
    stated = moment(frame.date)
    if stated is not None and stated.timed:
        return stated
    if stated is not None:
        for keyword in _CLOCKS:
            clock = _clock(get(keyword))
            if clock is not None:
                return _at(stated.ns + clock)
    for keyword, zero in _DAYS.items():
        found = _of_days(get(keyword), zero)
        if found is not None and (stated is None or found.text.startswith(stated.text)):
            return found
    return stated


def _of_days(value: Any, zero: float) -> Moment | None:
    """Of a JD or MJD; one that is no time of any camera says nothing."""
    try:
        days = float(value) - zero
    except (TypeError, ValueError):
        return None
    # a float holds a JD to 0.04 ms
    return _at(round(days * 86_400_000) * 1_000_000) if 10_000 < days < 1_000_000 else None


def _end_of(frame: Frame, start: Moment | None, get: Get) -> Moment | None:
    own = moment(get("DATE-END"))
    if own is not None and (start is None or own.ns >= start.ns):
        return own
    if start is None or not start.timed or not frame.exposure:
        return start
    return _at(start.ns + round(frame.exposure * _SECOND)) or start


@dataclass
class Times:
    """The earliest start and the latest end of frames, told one after the other."""

    start: Moment | None = None
    end: Moment | None = None

    def add(self, frame: Frame, get: Get) -> None:
        """One more frame."""
        start = start_of(frame, get)
        end = _end_of(frame, start, get)
        if start is not None and (self.start is None or start.ns < self.start.ns):
            self.start = start
        if end is not None and (self.end is None or end.ns > self.end.ns):
            self.end = end
