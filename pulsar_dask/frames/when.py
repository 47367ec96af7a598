"""When a frame was taken, and in which night."""

from __future__ import annotations

import datetime
import math
import re
from typing import Any

from pulsar_dask.frames.written import Header, as_number, as_text

#: JD of 1970-01-01, and of MJD 0; what is no more is no JD, as PULSAR has it.
_EPOCH, _MJD, _LEAST = 2440587.5, 2400000.5, 2400000.0
_CLOCKS = ("TIME-OBS", "UT", "UTC", "UTSTART")
#: Hours from UTC that a place on Earth may be.
_MOST = 14.5


def julian_date(header: Header) -> float | None:
    """JD of the start of a frame, UTC: JD, else MJD-OBS, else DATE-OBS (with TIME-OBS or UT).

    >>> julian_date({"DATE-OBS": "2000-01-01T12:00:00"}), julian_date({"MJD-OBS": 51544.5})
    (2451545.0, 2451545.0)
    >>> julian_date({"JD": 0, "DATE-OBS": "2000-01-01", "UT": "18:00:00"})
    2451545.25
    """
    number = as_number(header.get("JD"))
    if number is not None and number > _LEAST:
        return number
    number = as_number(header.get("MJD-OBS"))
    if number is not None and number > 0:
        return number + _MJD
    clock = next((t for k in _CLOCKS if (t := as_text(header.get(k))) and ":" in t), None)
    when = _moment(header.get("DATE-OBS"), clock)
    return None if when is None else as_jd(when)


def hours_ahead(header: Header) -> float | None:
    """Hours by which the clocks of its place are ahead of UTC: by DATE-LOC, else by SITELONG (east
    is positive).

    >>> hours_ahead({"DATE-OBS": "2024-01-02T03:00:00", "DATE-LOC": "2024-01-02T13:00:00"})
    10.0
    >>> hours_ahead({"SITELONG": "-70 44 00"})
    -4.7155555555555555
    """
    utc, here = _moment(header.get("DATE-OBS")), _moment(header.get("DATE-LOC"))
    if utc is not None and here is not None:
        hours = (here - utc).total_seconds() / 3600
        return round(4 * hours) / 4 if abs(hours) <= _MOST else None
    text = as_text(header.get("SITELONG"))
    parts = re.findall(r"\d+(?:\.\d+)?", text or "")
    if not parts or len(parts) > 3:
        return None
    degrees = sum(float(p) / 60**i for i, p in enumerate(parts))
    degrees = -degrees if re.match(r"-|.*[wW]", text or "") else degrees
    degrees -= 360 * (degrees > 180)
    return degrees / 15 if abs(degrees) <= 180 else None


def night(jd: float, hours: float | None) -> int:
    """The night of a time, from noon to noon where it was taken; where that is not known, where
    this computer is.

    >>> night(2451545.4, 0.0) - night(2451544.9, 0.0), night(2451545.4, 10.0) - night(2451545.4, 0)
    (1, 0)
    """
    if hours is None:
        local = datetime.datetime.fromtimestamp((jd - _EPOCH) * 86400, datetime.UTC).astimezone()
        hours = (local.utcoffset() or datetime.timedelta()).total_seconds() / 3600
    return math.floor(jd + hours / 24)


def now() -> float:
    """The JD of this moment."""
    return as_jd(datetime.datetime.now(datetime.UTC))


def as_jd(when: datetime.datetime) -> float:
    """The JD of a time."""
    return when.timestamp() / 86400 + _EPOCH


def _moment(date: Any, clock: str | None = None) -> datetime.datetime | None:
    text = (as_text(date) or "").removesuffix("Z")
    if clock and len(text) == 10:
        text = f"{text}T{clock.strip().removesuffix('Z')}"
    try:
        when = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+$", r"\1", text))
    except ValueError:
        return None
    return when.replace(tzinfo=datetime.UTC) if when.tzinfo is None else when
