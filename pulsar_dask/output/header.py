"""A master's header: the first frame's, and then the truth about the whole. The same for arrays:
attributes and coordinates."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from pulsar_dask._version import CREATOR, __version__
from pulsar_dask.formats.cards import (
    COMMENTARY,
    STRUCTURE,
    ascii_text,
    standard_card,
    standard_date,
    tidy,
)
from pulsar_dask.formats.reading import read_header
from pulsar_dask.frames import exposures
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.table import own_table

Array = np.ndarray[Any, Any]
#: Extremes of one frame, which a master does not share; a card that has lost its meaning.
EXPOSURE_KEYWORDS = tuple(own_table().keywords("exposure"))[:2]
TEMPERATURE_KEYWORDS = tuple(own_table().keywords("temperature"))
_DROPPED = STRUCTURE | {"DATAMIN", "DATAMAX", "BLOCKED"}


def common(values: Sequence[Any]) -> Any:
    """The one value that all share, else None."""
    return values[0] if all(v == values[0] for v in values) else None


def master_header(
    frames: Sequence[Frame],
    *,
    kind: str | None,
    method: str = "median",
    tolerance: float | None = None,
) -> fits.Header:
    """The header of the master of some frames, without the cards of its structure and its trace.

    It begins as the first frame's and then tells the truth about the whole.

    Parameters
    ----------
    frames : sequence of Frame
    kind : str or None
        "bias", "dark", "flat", …: IMAGETYP becomes 'Master Dark'; None: 'Master'.
    method : str
        COMBMETH.
    tolerance : float
        Seconds within which exposures are the same; EXPTIME is the one of most frames.
    """
    header, tail = _without_tail(clean_header(frames[0]))
    header["IMAGETYP"] = (f"Master {kind.capitalize()}" if kind else "Master", "kind of frame")
    header["NCOMBINE"] = (len(frames), "number of frames combined")
    header["COMBMETH"] = (method, "how they were combined")
    _set(header, EXPOSURE_KEYWORDS, _common_exposure(frames, tolerance), "[s] exposure time")
    name = common([f.filter for f in frames])
    _set(header, ("FILTER",), name and ascii_text(name), "filter")
    dates = sorted(d for f in frames if f.date and (d := standard_date(f.date)))
    if dates:
        header["DATE-OBS"] = (dates[0], "start of the earliest frame")
        header.set("DATE-END", dates[-1], "start of the latest frame", after="DATE-OBS")
    temperatures = [f.temperature for f in frames if f.temperature is not None]
    if temperatures:
        value = round(median(temperatures), 6)
        header["CCD-TEMP"] = (value, "[degC] median of the frames")
        for keyword in TEMPERATURE_KEYWORDS[1:]:
            if keyword in header:
                header[keyword] = value
    header["CREATOR"] = (f"{CREATOR} {__version__}", "program that wrote this file")
    header["DATE"] = (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "[UTC] when it was written")
    header.extend(tail, unique=False, update=False, end=True)
    return header


def _without_tail(header: fits.Header) -> tuple[fits.Header, list[fits.Card]]:
    """A header, and the comments at its end, which astropy would walk through for each card that
    is put before them."""
    cards = list(header.cards)
    last = next((i for i in reversed(range(len(cards))) if cards[i].keyword not in COMMENTARY), -1)
    return fits.Header(cards[: last + 1]), cards[last + 1 :]


def clean_header(frame: Frame) -> fits.Header:
    """A frame's cards in standard form, without those of its structure, scaling and checksums."""
    kept: dict[Any, fits.Card] = {}  # of a keyword the first card that is in form
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        for i, card in enumerate(read_header(frame).cards):
            keyword = card.keyword
            if keyword in _DROPPED or keyword in kept or keyword.startswith("NAXIS"):
                continue
            new = standard_card(card)
            if new is not None:
                kept.setdefault(i if new.keyword in COMMENTARY else new.keyword, new)
        return tidy(list(kept.values()), len(frame.shape))


def _common_exposure(frames: Sequence[Frame], tolerance: float | None) -> float | None:
    times = sorted(f.exposure for f in frames if f.exposure is not None)
    if not times or len(times) < len(frames):
        return None
    if not exposures.same_exposure(times[0], times[-1], tolerance):
        return None
    return exposures.commonest(frames)


def _set(header: fits.Header, keywords: Sequence[str], value: Any, comment: str) -> None:
    for keyword in keywords[1:] if keywords[0] in header or value is None else ():
        header.remove(keyword, ignore_missing=True)
    if value is None:
        header.remove(keywords[0], ignore_missing=True)
    else:
        header[keywords[0]] = (value, comment)


def coordinates(frames: Sequence[Frame]) -> dict[str, Any]:
    """Coordinates along ``frame``."""

    def dates() -> Iterable[np.datetime64]:
        for frame in frames:
            try:
                yield np.datetime64((frame.date or "NaT").rstrip("Z"), "ns")
            except ValueError:
                yield np.datetime64("NaT", "ns")

    def numbers(values: Iterable[float | None]) -> Array:
        return np.array([np.nan if v is None else v for v in values], "f8")

    return {
        "file": ("frame", [f.stored.origin(f) for f in frames]),
        "date": ("frame", np.array(list(dates()), "datetime64[ns]")),
        "exposure": ("frame", numbers(f.exposure for f in frames), {"units": "s"}),
        "filter": ("frame", [f.filter or "" for f in frames]),
        "temperature": ("frame", numbers(f.temperature for f in frames), {"units": "degC"}),
        "kind": ("frame", [f.kind or "" for f in frames]),
    }


def attributes(frame: Frame) -> dict[str, str]:
    """Units and header of a frame, as attributes that any store can keep."""
    return header_attributes(clean_header(frame))


def header_attributes(header: fits.Header) -> dict[str, str]:
    """Units and header, a card a line."""
    return {
        "units": str(header.get("BUNIT", "ADU")),
        "header": header.tostring(sep="\n", padding=False, endcard=False),
    }
