"""What the keywords of capture programs mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pulsar_dask.errors import printable
from pulsar_dask.frames import colour

EXPOSURE_KEYWORDS = ("EXPTIME", "EXPOSURE")
TEMPERATURE_KEYWORDS = ("CCD-TEMP", "CCDTEMP", "DET-TEMP", "SENSTEMP")
CAMERA_KEYWORDS = ("INSTRUME", "CAMERA")
READOUT_KEYWORDS = ("READOUTM", "READMODE")


def frame_keywords(header: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a `Frame` that comes from keywords about the exposure.

    Parameters
    ----------
    header : mapping
        Keyword to value, as `astropy.io.fits.Header` or a dict.

    Returns
    -------
    dict
        The fields `label` to `problem`, and `colour_cards`, of `Frame`.
    """
    exposure, problem = None, None
    for keyword in EXPOSURE_KEYWORDS:
        value = header.get(keyword)
        if value is None or value == "":
            continue
        number = _number(value)
        if number is None or not 0 <= number < 1e9:
            problem = f"{keyword} is {shown(value)}, not a time in seconds"
        else:
            exposure = number
        break
    binning = _number(header.get("XBINNING")), _number(header.get("YBINNING"))
    return {
        "label": _text(header.get("IMAGETYP")),
        "exposure": exposure,
        "filter": _text(header.get("FILTER")),
        "date": _text(header.get("DATE-OBS")),
        "temperature": _first(_number, header, TEMPERATURE_KEYWORDS),
        "gain": _setting(header.get("GAIN")),
        "bias_level": _setting(header.get("OFFSET")),
        "binning": None if None in binning else (int(binning[0] or 0), int(binning[1] or 0)),
        "camera": _first(_text, header, CAMERA_KEYWORDS),
        "readout": _first(_text, header, READOUT_KEYWORDS),
        "bayer": _text(header.get("BAYERPAT")),
        "problem": problem,
        "colour_cards": tuple(
            (k, v) for k in colour.KEYWORDS if isinstance(v := header.get(k), (str, int, float))
        ),
    }


def shown(value: Any) -> str:
    """A value of a header for a message: fit for a terminal, cut where it is long."""
    text = printable(repr(value))
    return text if len(text) <= 70 else f"{text[:70]}…"


def _first(convert: Any, header: Mapping[str, Any], keywords: tuple[str, ...]) -> Any:
    found = (convert(header.get(k)) for k in keywords)
    return next((v for v in found if v is not None), None)


def _text(value: Any) -> str | None:
    text = str(value).strip() if value is not None else ""
    return text or None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _setting(value: Any) -> float | str | None:
    number = _number(value)
    return number if number is not None else _text(value)
