"""A master's header: the first frame's, and then the truth about the whole."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from pulsar_dask._version import CREATOR, __version__
from pulsar_dask.engine.recipe import Product
from pulsar_dask.formats.cards import (
    COMMENTARY,
    STRUCTURE,
    ascii_text,
    is_wcs,
    standard_card,
    tidy,
)
from pulsar_dask.formats.reading import read_header
from pulsar_dask.frames import exposures, temperature
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.step import Step
from pulsar_dask.frames.table import own_table
from pulsar_dask.output.agreement import Agreement, Comments, agreement, texts
from pulsar_dask.output.stated import Stand, bias_out, filter_of, set_points_agree, stands, unit
from pulsar_dask.output.times import KEYWORDS, OF_ONE, Times

#: Extremes of one frame, which a master does not share; a card that has lost its meaning.
_DROPPED = STRUCTURE | {"DATAMIN", "DATAMAX", "BLOCKED"}
#: What was true of a frame that is a stack itself, and is not of a stack of such.
_OF_STACKS = re.compile(r"STACKCNT|LIVETIME|ISMASTER|FLATLEV|IMCMB\d*|NCOMBINE|COMBMETH|BIASSUB")
#: What holds only where all frames state it.
_OF_ALL = ("PEDESTAL", "CALSTAT")
#: What holds only while pixels have the level at which they were read out.
_OF_LEVELS = (*_OF_ALL, *own_table().keywords("saturation"))


def common(values: Sequence[Any]) -> Any:
    """The one value that all share, else None."""
    return values[0] if all(v == values[0] for v in values) else None


def product_header(product: Product, tolerance: float | None = None) -> fits.Header:
    """`master_header` of a product."""
    return master_header(
        product.frames,
        kind=product.kind,
        method=product.method,
        tolerance=tolerance,
        steps=product.steps,
    )


def master_header(
    frames: Sequence[Frame],
    *,
    kind: str | None,
    method: str = "median",
    tolerance: float | None = None,
    steps: Sequence[Step | str] = (),
) -> fits.Header:
    """The header of the master of some frames, without the cards of its structure and its trace.

    It begins as the first frame's and then tells the truth about the whole: no card stays whose
    value differs among the frames.

    Parameters
    ----------
    frames : sequence of Frame
    kind : str or None
        "bias", "dark", "flat", …: IMAGETYP becomes 'Master Dark'; None: 'Master'.
    method : str
        COMBMETH.
    tolerance : float
        Seconds within which exposures are the same; EXPTIME is the one of most frames.
    steps : sequence of Step or str
        What was done: whether the bias is out, and which cards no longer hold.
    """
    cards = _first_cards(frames[0])
    ruled = [*stands(frames)]
    told = {keyword for stand in ruled for keyword in stand.origins}
    wanted: dict[int, list[str]] = {}
    for stand in ruled:
        if stand.agreed and stand.place:
            wanted.setdefault(stand.place, []).extend(stand.card)
    points = own_table().keywords("set_point")
    place = next((i for i, f in enumerate(frames) if f.about.set_point is not None), 0)
    if point := frames[place].about.origin("set_point"):
        told |= {*points, point}
        if place and set_points_agree(frames):
            wanted.setdefault(place, []).append(point)
    looked_at = {c.keyword for c, _ in cards} - told
    found = agreement(frames, looked_at, wanted)
    gone = _gone(frames, ruled, found, steps)
    if any(is_wcs(keyword) for keyword in gone):
        gone |= {keyword for keyword in looked_at if is_wcs(keyword)}
    kept = [card for card, said in cards if _stays(card, said, gone, found)]
    for keyword in (k for some in wanted.values() for k in some):
        kept = [card for card in kept if card.keyword != keyword] + found.wanted[keyword]
    header, tail = _without_tail(tidy(kept, len(frames[0].shape)))
    label = f"Master {kind.capitalize()}" if kind else "Master"
    _set(header, "IMAGETYP", label, "kind of frame")
    _set(header, "NCOMBINE", len(frames), "number of frames combined")
    _set(header, "COMBMETH", method, "how they were combined")
    _set(header, "EXPTIME", _common_exposure(frames, tolerance), "[s] exposure time")
    name = filter_of(frames)
    _set(header, "FILTER", name and ascii_text(name), "filter")
    _set(header, "BUNIT", _unit(frames), "unit of the pixels")
    _set(header, "BIASSUB", bias_out(kind, frames, steps), "whether the bias was subtracted")
    _set_times(header, found.times)
    _set_temperature(header, frames)
    _set(header, "CREATOR", f"{CREATOR} {__version__}", "program that wrote this file")
    _set(header, "DATE", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "[UTC] when written")
    header.extend(tail, unique=False, update=False, end=True)
    return header


def _gone(
    frames: Sequence[Frame], ruled: Sequence[Stand], found: Agreement, steps: Sequence[Step | str]
) -> set[str]:
    """Keywords of the first frame that do not hold for the master."""
    gone = found.differing | {k for s in ruled if not s.agreed for k in s.keywords}
    if not set_points_agree(frames):
        gone |= {*own_table().keywords("set_point")}
    gone |= {k for k in found.missing if k in _OF_ALL or OF_ONE.fullmatch(k)}
    if any(not (isinstance(step, Step) and step.verb == "combine") for step in steps):
        gone |= {*_OF_LEVELS}
    gone |= {*own_table().keywords("exposure"), *KEYWORDS, "FILTER", "BUNIT"}
    for frame in frames:
        about = frame.about
        gone |= {about.origin("exposure") or "EXPTIME"}
        for what in ("filter", "kind"):
            if (about.origin(what) or "").startswith("⟦"):  # the user's word, not a card's
                gone |= {*own_table().keywords(what)}
    return gone - {"IMAGETYP"}


def _stays(card: fits.Card, said: Comments, gone: set[str], found: Agreement) -> bool:
    if card.keyword in COMMENTARY:
        return found.comments is None or said in found.comments
    return card.keyword not in gone and not _OF_STACKS.fullmatch(card.keyword)


def _unit(frames: Sequence[Frame]) -> str | None:
    name = unit(frames)
    return name and ascii_text(name)


def _set_times(header: fits.Header, times: Times) -> None:
    if times.start is None or times.end is None:
        return
    start = times.start
    _set(header, "DATE-OBS", start.text, "start of the earliest frame")
    _set(header, "DATE-END", times.end.text, "end of the latest frame")
    _set(header, "JD", start.jd, "Julian date of DATE-OBS")
    _set(header, "MJD-OBS", start.mjd, "modified Julian date of DATE-OBS")


def _set_temperature(header: fits.Header, frames: Sequence[Frame]) -> None:
    known = temperature.known(frames)
    sisters = {k for f in frames if (k := f.about.origin("temperature"))}
    sisters |= {*own_table().keywords("temperature")}
    if known:
        value = round(median(known), 6)
        _set(header, "CCD-TEMP", value, "[degC] median of the frames")
        for keyword in sisters & set(header):
            header[keyword] = value


def _without_tail(header: fits.Header) -> tuple[fits.Header, list[fits.Card]]:
    """A header, and the comments at its end, which astropy would walk through for each card that
    is put before them."""
    cards = list(header.cards)
    last = next((i for i in reversed(range(len(cards))) if cards[i].keyword not in COMMENTARY), -1)
    return fits.Header(cards[: last + 1]), cards[last + 1 :]


def clean_header(frame: Frame) -> fits.Header:
    """A frame's cards in standard form, without those of its structure, scaling and checksums."""
    return tidy([card for card, _ in _first_cards(frame)], len(frame.shape))


def _first_cards(frame: Frame) -> list[tuple[fits.Card, Comments]]:
    """`clean_header` before it is tidied; with commentary the text that a card is part of, as it
    is written."""
    kept: dict[Any, fits.Card] = {}  # of a keyword the first card that is in form
    said: dict[Any, tuple[str, str]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        for i, card in enumerate(read_header(frame).cards):
            keyword = card.keyword
            if keyword in COMMENTARY:
                said[i] = keyword, str(card.value)
            if keyword in _DROPPED or keyword in kept or keyword.startswith("NAXIS"):
                continue
            new = standard_card(card)
            if new is not None:
                kept.setdefault(i if new.keyword in COMMENTARY else new.keyword, new)
    whole: dict[Any, Comments] = {}
    places = iter(said)
    for text in texts(said.values()):
        whole |= {next(places): text for _ in text}
    return [(card, whole.get(key, ())) for key, card in kept.items()]


def _common_exposure(frames: Sequence[Frame], tolerance: float | None) -> float | None:
    times = sorted(f.exposure for f in frames if f.exposure is not None)
    if not times or len(times) < len(frames):
        return None
    if not exposures.same_exposure(times[0], times[-1], tolerance):
        return None
    return exposures.commonest(frames)


def _set(header: fits.Header, keyword: str, value: Any, comment: str) -> None:
    if value is None:
        header.remove(keyword, ignore_missing=True)
    else:
        header[keyword] = (value, comment)
