"""The mean of the values within some standard deviations, found by clipping again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from pulsar_dask.combine._clipped import Clipped, all_stay, check_limits
from pulsar_dask.kernels.clipping import SIGCLIP, Rule


@dataclass(frozen=True)
class Method(Clipped):
    """Values farther than `low` and `high` sample standard deviations (n - 1, about the mean) from
    the median of what is kept go, until none does or after `maxiters` times, as
    `astropy.stats.sigma_clip` does with ``stdfunc`` of ``ddof=1``. What is gone stays gone, and a
    value on the limit stays. At least `nkeep` values stay, by default half of them and 3: those
    nearest to the centre. With `center` 1 that is the mean."""

    name: ClassVar[str] = "sigclip"
    low: float = 3.0
    high: float = 3.0
    maxiters: float = 10
    center: float = 0
    nkeep: float | None = None
    grain: float | None = None
    """Least difference of two values of the frames; measured where it is not given."""

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def rule(self) -> Rule:
        nkeep = math.nan if self.nkeep is None else self.nkeep
        by_mean = float(self.center == 1)
        return Rule(SIGCLIP, self.low, self.high, self.maxiters, by_mean, nkeep, self.grain or 0.0)

    def check(self, frames: int) -> str | None:
        # the farthest that one value can be from the others, in their standard deviations
        reach = (frames - 1 if self.center == 1 else frames) / math.sqrt(frames)
        if min(self.low, self.high) < reach:
            return all_stay(self, frames, least=3)
        return (
            f"sigclip at {min(self.low, self.high):g} sigma cannot reject anything from {frames} "
            f"frames; ⟦combine⟧ {'winsorized' if frames > 3 else 'median'} can"
        )
