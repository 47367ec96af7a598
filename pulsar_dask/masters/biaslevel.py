"""The level of a bias that is made of cards of a light: "=64*$OFFSET"."""

from __future__ import annotations

import math
import re

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.reading import read_header
from pulsar_dask.frames.frame import Frame


def level_of(text: str, light: Frame) -> float:
    """The level of the bias that an expression gives: ``=64*$OFFSET``, sums and products of numbers
    and of cards of the light.

    Raises
    ------
    PulsarError
        It is no such expression, or the light has no such card.
    """
    header, total = read_header(light), 0.0
    body = text[1:].replace(" ", "")
    terms = re.findall(r"([+-]?)([^+-]+)", body)
    if not terms or "".join(a + b for a, b in terms) != body:
        raise _no_level(text)
    for sign, term in terms:
        product = 1.0
        for factor in term.split("*"):
            if match := re.fullmatch(r"\$([A-Za-z0-9_]+)", factor):
                value = header.get(match[1].upper())
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise PulsarError(
                        f"{light.name} has no number in {match[1].upper()}, of which ⟦bias⟧ "
                        f"{printable(text)} is made; give the bias as a file or a number"
                    )
                product *= float(value)
            elif re.fullmatch(r"[0-9]*\.?[0-9]+", factor):
                product *= float(factor)
            else:
                raise _no_level(text)
        total += -product if sign == "-" else product
    if not math.isfinite(total):
        raise _no_level(text)
    return total


def _no_level(text: str) -> PulsarError:
    return PulsarError(
        f"⟦bias⟧ {printable(text)}: no level; write sums and products of numbers and of cards of "
        'the light, as "=64*$OFFSET"'
    )
