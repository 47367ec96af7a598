"""The mean of the values within some deviations of the noise that all frames have."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from pulsar_dask.combine._clipped import Clipped, all_stay, check_limits, check_numbers
from pulsar_dask.kernels.clipping import CCDCLIP, Rule
from pulsar_dask.kernels.noise import Noise

#: Frames from which the upper limit is less tight, so that the master is not biased.
_MANY = 50


@dataclass(frozen=True)
class Method(Clipped):
    """Values farther from the median than `low` and `high` times the noise at its level go, in one
    pass. The noise is measured from the frames (`masters.noise`), or follows from `rdnoise`
    (electrons), `gain` (electrons per ADU) and `offset` (the level without light, ADU). From 10
    values on a pixel that is noisier by itself counts by 0.7 of its own median absolute deviation.
    Of fewer than `nkeep` values left (half of them) the median of all is taken.

    With more `maxiters` it is IRAF's ``imcombine reject=ccdclip mclip=yes``, again and again until
    nothing goes, and no pixel's own noise counts."""

    name: ClassVar[str] = "ccdclip"
    low: float = 5.0
    high: float | None = None
    """3.5, from 50 frames on and of flats 4."""
    maxiters: float = 1
    nkeep: float | None = None
    rdnoise: float | None = None
    gain: float | None = None
    offset: float | None = None
    grain: float | None = None
    """Least difference of two values of the frames; measured where it is not given."""
    variance: float | None = None
    slope: float | None = None
    square: float | None = None
    level: float | None = None
    floor: float | None = None
    """The noise; see `kernels.noise.Noise`."""

    def __post_init__(self) -> None:
        check_limits(self)
        check_numbers(rdnoise=(self.rdnoise, 0), gain=(self.gain, 1e-6))
        if (self.rdnoise is None) != (self.gain is None):
            raise ValueError("ccdclip takes rdnoise and gain together, or measures both")

    @property
    def rule(self) -> Rule:
        nkeep = math.nan if self.nkeep is None else self.nkeep
        guard = float(self.maxiters == 1)
        high = 3.5 if self.high is None else self.high
        rule = Rule(CCDCLIP, self.low, high, self.maxiters, 0.0, nkeep, self.grain or 0.0, guard)
        return rule._replace(**self.noise._asdict()) if self.noise else rule

    @property
    def noise(self) -> Noise | None:
        """The noise, where it is known."""
        known = self.variance, self.slope, self.square, self.level, self.floor
        return None if None in known else Noise(*known)  # type: ignore[arg-type]

    def given(self, level: float, scale: float = 1.0) -> Noise | None:
        """The noise that the user has given, of frames with a level without light that are scaled;
        None if there is none."""
        if self.gain is None or self.rdnoise is None:
            return None
        grain = (self.grain or 0.0) * scale
        variance = max((self.rdnoise / self.gain * scale) ** 2, grain * grain / 12)
        level = level if self.offset is None else self.offset
        return Noise(variance, scale / self.gain, 0.0, level, variance)

    def knowing(self, noise: Noise, frames: int, *, flats: bool = False) -> Method:
        """With the noise, and the limits that so many frames have."""
        high = self.high or (4.0 if flats or frames >= _MANY else 3.5)
        low = self.low
        made = replace(self, high=high, low=low, rdnoise=None, gain=None, offset=None)
        return replace(made, **noise._asdict())

    def check(self, frames: int) -> str | None:
        return all_stay(self, frames, least=3)
