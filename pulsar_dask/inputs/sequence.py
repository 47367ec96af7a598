"""Numbered sequences: names that differ in one number."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pulsar_dask.errors import PulsarError, Remark, printable

_ENDING = r"\.(?:fit|fits|fts)(?:\.(?:fz|gz))?"
#: Where the number stands: last (bias0001, IRIS: bias1), maybe in brackets, as Windows and MaxIm
#: write it (bias (1), bias[001]); else first and apart from the rest (001_bias).
_FORMS = tuple(
    re.compile(form, re.IGNORECASE | re.DOTALL)
    for form in (
        rf"(?P<prefix>.*?)(?P<number>[0-9]+)(?P<suffix>[)\]}}]?{_ENDING})",
        rf"(?P<prefix>)(?P<number>[0-9]+)(?P<suffix>[ _.-].*{_ENDING})",
    )
)


@dataclass(frozen=True)
class Numbered:
    """A name with a number, which stands for the sequence of those that differ in it alone."""

    folder: str
    prefix: str
    digits: str = field(compare=False)
    suffix: str

    @staticmethod
    def of(path: str) -> Numbered | None:
        """A path as one of a sequence; None where its name has no number."""
        folder, name = os.path.split(os.path.abspath(path))
        match = next((m for form in _FORMS if (m := form.fullmatch(name))), None)
        return match and Numbered(folder, match["prefix"], match["number"], match["suffix"])

    @property
    def number(self) -> int:
        return int(self.digits)

    def name(self, number: int) -> str:
        """The name of that number."""
        digits = str(number) if self._plain else f"{number:0{len(self.digits)}d}"
        return f"{self.prefix}{digits}{self.suffix}"

    def counts_as(self, other: Numbered) -> bool:
        """Whether the numbers of two names are of one way to write them: with zeros in front of
        one digit count, without them of any."""
        return len(self.digits) == len(other.digits) or (self._plain and other._plain)

    @property
    def _plain(self) -> bool:
        return self.digits == "0" or not self.digits.startswith("0")


def sequence_from(path: str, remarks: list[str]) -> list[str] | None:
    """The files of a sequence from one of them on; None where the name has no number."""
    first = Numbered.of(path)
    if first is None:
        return None
    try:
        entries = os.listdir(first.folder)
    except OSError as error:
        raise PulsarError(
            f"{printable(first.folder)}: {error.strerror}, so the sequence of {printable(path)} "
            "cannot be looked for; ⟦no_sequence⟧ takes this one file",
            "input",
        ) from error
    numbers = {}
    # a2.FIT belongs to the sequence of a1.fit, except where there is an a2.fit
    for name in sorted(entries, key=lambda n: n.endswith(first.suffix)):
        place = os.path.join(first.folder, name)
        other = Numbered.of(place)
        if (
            other
            and (other.prefix, other.suffix.lower()) == (first.prefix, first.suffix.lower())
            and other.counts_as(first)
            and other.number >= first.number
            and not os.path.isdir(place)
        ):
            numbers[other.number] = place
    gaps = _ranges(sorted(numbers), first.name)
    if gaps:
        remarks.append(
            Remark(
                f"the sequence of {printable(os.path.basename(path))} has gaps, "
                f"passed over: {printable(gaps)}",
                "gaps",
            )
        )
    return list(numbers.values())


def _ranges(numbers: Sequence[int], name: Callable[[int], str]) -> str:
    gaps = []
    for a, b in itertools.pairwise(numbers):
        if b == a + 2:
            gaps.append(name(a + 1))
        elif b > a + 2:
            gaps.append(f"{name(a + 1)} to {name(b - 1)}")
    return ", ".join(gaps)
