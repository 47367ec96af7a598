"""Numbers as users write them."""

from __future__ import annotations

import math
import os
import re

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.inputs.words import FITS_NAME, LIST_NAME

#: Beyond this no pixel is, and single precision ends not far above it.
MOST_ADU = 1e30
NUMBER_FORM = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_LIKE_A_NUMBER = re.compile(r"[+-]?[.,]?\d[\w.,']*")


def number(text: str) -> float:
    """The number that a text is; infinite where it is too large for a float.

    Raises
    ------
    ValueError
        It is none; the message says how to write it.
    """
    text = text.strip()
    if NUMBER_FORM.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return float(text)
    plain = re.sub(r"(?<=[0-9])[_'](?=[0-9])", "", text)
    pointed = plain.replace(",", ".")
    if plain.count(",") == 1 and NUMBER_FORM.fullmatch(pointed):
        whole = plain.replace(",", "")
        also = f" (or {whole})" if re.search(r",[0-9]{3}$", plain) else ""
        raise ValueError(f"write it with a point: {pointed}{also}")
    if NUMBER_FORM.fullmatch(plain):
        raise ValueError(f"write it as {plain}")
    raise ValueError("not a number")


def as_number(text: str) -> float | None:
    """The number of ADU that an argument is, unless it is a file's name.

    Raises
    ------
    PulsarError
        It is a number that no pixel has, or one that is written in another way.
    """
    if os.path.lexists(text):
        return None
    try:
        value = number(text)
    except ValueError as error:
        if not _LIKE_A_NUMBER.fullmatch(text) or FITS_NAME.search(text) or LIST_NAME.search(text):
            return None
        why = "" if str(error) == "not a number" else f" ({error})"
        raise PulsarError(
            f"{printable(text)}: no such file or folder, and not a number of ADU as 100 or 4.5"
            + why,
            "argument",
        ) from None
    return finite(value, text)


def finite(value: float, text: object = None) -> float:
    """A number of ADU; a PulsarError for one that no pixel can have."""
    value = float(value)
    shown = printable(value if text is None else text)
    if not math.isfinite(value):
        raise PulsarError(f"{shown}: not a finite number; give ADU, such as 100", "argument")
    if abs(value) > MOST_ADU:
        raise PulsarError(f"{shown}: more than a pixel can have; give ADU, such as 100", "argument")
    return value
