"""Times as cards write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pulsar_dask.frames.written import as_number, unit_in, written_number


class Seconds(NamedTuple):
    """What a card says of a time."""

    seconds: float | None
    """None where it is none."""
    unit: str | None = None
    """The unit where the card says one that is another than the keyword's."""
    remark: str | None = None
    """How it is read, where that is not as it stands there; behind the keyword."""


def read_seconds(value: Any, comment: str, units: Mapping[str, float], unit: str) -> Seconds:
    """A time in seconds.

    Parameters
    ----------
    value : any
        Of the card.
    comment : str
        Of the card, which may say the unit.
    units : mapping of str to float
        Seconds by the words of units.
    unit : str
        The one that the keyword has.
    """
    said = None
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([-+.,/\dEeDd]+)\s*([A-Za-zµμ]*)\.?\s*", value)
        if not match:
            return Seconds(None)
        number, said = written_number(match[1]), match[2] or None
        if said is not None and (said := unit_in(f"[{said}]", units)) is None:
            return Seconds(None)
    else:
        number = as_number(value)
    if number is None:
        return Seconds(None)
    comment = "" if said else comment
    if bottom := re.fullmatch(r"\s*(\d+)\s*(s|sec)?\s*", comment):  # 1/4 without quotes
        if int(bottom[1]) == 0 or isinstance(value, str):
            return Seconds(None)
        time = round(number / int(bottom[1]), 9)
        return Seconds(time, remark=f"is read as {number:g}/{bottom[1]} s")
    said = said or unit_in(comment, units)
    if said is not None:
        return Seconds(round(number * units[said], 9), said if units[said] != units[unit] else None)
    return Seconds(round(number * units[unit], 9))


def is_thousandfold(a: float, b: float) -> bool:
    """Whether two times are one number in seconds, ms or us.

    >>> is_thousandfold(2500, 2.5), is_thousandfold(0.0025, 2500), is_thousandfold(300, 0.5)
    (True, True, False)
    """
    low, high = sorted((a, b))
    return low > 0 and any(abs(high / low / times - 1) < 1e-3 for times in (1e3, 1e6))
