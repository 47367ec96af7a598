"""The quality of pixels, as bits: those of the JWST data-quality flags (STScI, stdatamodels,
``dqflags.pixel``), so that tools that know these print their names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

DO_NOT_USE = 1 << 0
SATURATED = 1 << 1
OUTLIER = 1 << 4
DEAD = 1 << 10
HOT = 1 << 11
WARM = 1 << 12
LOW_QE = 1 << 13
TELEGRAPH = 1 << 15
NO_FLAT_FIELD = 1 << 18
UNRELIABLE_BIAS, UNRELIABLE_DARK, UNRELIABLE_FLAT = 1 << 22, 1 << 23, 1 << 25
OTHER_BAD_PIXEL = 1 << 30
#: What the values of the frames tell, pixel by pixel; the others follow from the finished image.
OF_FRAMES = SATURATED | OUTLIER | TELEGRAPH | UNRELIABLE_BIAS | UNRELIABLE_DARK | UNRELIABLE_FLAT
#: What is not to be used.
UNUSABLE = DO_NOT_USE | SATURATED | DEAD | HOT | NO_FLAT_FIELD
_UNRELIABLE = {"bias": UNRELIABLE_BIAS, "dark": UNRELIABLE_DARK, "flat": UNRELIABLE_FLAT}
#: Kinds of frames as HISTORY has them; a dark without its bias is a current.
CURRENT = "dark current"
KINDS = ("bias", "dark", CURRENT, "flat", "image")


@dataclass(frozen=True)
class Quality:
    """By what the quality of a master's pixels is told; small, so that it travels."""

    kind: str
    """One of `KINDS`."""
    saturated: float = math.inf
    """ADU of a frame, as it was taken."""
    grain: float = 0.0
    """Least difference of two values of a frame, as it is combined."""
    period: int = 1
    """Of a colour sensor's pattern, in flats: so far away are neighbours of one colour."""
    cells: Any = ((0,),)
    """Of each pixel of that pattern, which colour it has."""

    @property
    def unreliable(self) -> int:
        """The bit of what is noisier than it should be; 0 where there is none."""
        return _UNRELIABLE.get(self.kind.removesuffix(" current"), 0)

    @property
    def said(self) -> tuple[str, float, float]:
        """What HISTORY has of it."""
        return self.kind, self.saturated, self.grain
