"""The mean of the values within some robust deviations, whose outliers are pulled in first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from pulsar_dask.combine._clipped import Clipped, all_stay, check_limits
from pulsar_dask.kernels.clipping import WINSORIZED, Rule


@dataclass(frozen=True)
class Method(Clipped):
    """As `sigclip` about the median, but the scale is that of the values pulled in to 1.5 of it
    from the median, 1.134 times their standard deviation, found by repeating that until it changes
    by less than 0.0005 (PixInsight and Siril have it by this name). Of fewer than 4 values none
    goes."""

    name: ClassVar[str] = "winsorized"
    low: float = 5.0
    high: float = 4.0
    maxiters: float = 10
    nkeep: float | None = None
    grain: float | None = None
    """Least difference of two values of the frames; measured where it is not given."""

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def rule(self) -> Rule:
        nkeep = math.nan if self.nkeep is None else self.nkeep
        return Rule(WINSORIZED, self.low, self.high, self.maxiters, 0.0, nkeep, self.grain or 0.0)

    def check(self, frames: int) -> str | None:
        return all_stay(self, frames, least=4)
