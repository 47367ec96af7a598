"""The uncertainty of calibrated lights, propagated from the noise of light, dark, bias and flat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: Noise of a median of n frames in that of their mean, by n; between them, on a line.
_MEDIAN = {1: 1.0, 2: 1.0, 3: 1.16, 4: 1.09, 5: 1.20, 10: 1.18, 30: 1.2, 31: 1.2533}


@dataclass(frozen=True)
class Share:
    """How a master was combined, as far as its noise goes."""

    count: float = np.inf
    """Frames; infinite: it has no noise."""
    median: bool = True

    @property
    def factor(self) -> float:
        """Variance of the master in that of a frame."""
        if not np.isfinite(self.count):
            return 0.0
        known = sorted(_MEDIAN)
        more = np.interp(self.count, known, [_MEDIAN[n] for n in known]) if self.median else 1.0
        return float(more) ** 2 / max(1.0, self.count)


@dataclass(frozen=True)
class Noise:
    """What noise there is."""

    gain: float
    """g, electrons per ADU."""
    read_noise: float
    """RN, electrons."""
    bias: Share = Share()
    dark: Share = Share()
    own_bias: bool = True
    """Whether the bias that is subtracted is the one that was taken out of the dark."""
    flat: Share = Share()
    flat_level: float | None = None
    """Median of the flat's frames before they were scaled, ADU; None: its noise is not known."""
    flat_median: float = 1.0

    @property
    def read_variance(self) -> float:
        """Of reading a pixel of one frame and making a whole number of it, ADU²."""
        return (self.read_noise / self.gain) ** 2 + 1 / 12


def variance(
    noise: Noise,
    raw: Array,
    net: Array,
    dark: Array | None,
    scale: float,
    values: Array,
    level: Array | None,
    flat: Array | None,
) -> Array:
    """Variance of calibrated pixels, ADU².

    (max(R-B,0)/g + (RN/g)² + 1/12 + k²σ_D² + (1-k)²σ_B²)·(M/F)² + (C·σ_F/F)²; where another bias
    than the dark's own is subtracted, (1+k²)σ_B². Noise of a master is that of a frame, by the
    number of its frames and the way in which they were combined.

    Parameters
    ----------
    noise : Noise
    raw, net : ndarray
        R, and R - B.
    dark : ndarray, optional
        D', the dark without its bias.
    scale : float
        k.
    values : ndarray
        C, before bad pixels are replaced.
    level, flat : ndarray, optional
        M and F.
    """
    read = noise.read_variance
    found: Array = np.maximum(net, 0) / noise.gain + read
    k = scale if dark is not None else 0.0
    if dark is not None:
        of_dark = (np.maximum(dark, 0) / noise.gain + read) * noise.dark.factor
        found += k**2 * of_dark
    found += ((1 - k) ** 2 if noise.own_bias else 1 + k**2) * read * noise.bias.factor
    if flat is not None and level is not None:
        found *= (level / flat) ** 2
        if noise.flat_level is not None:
            exposed = flat * (noise.flat_level / noise.flat_median)
            found += values**2 * ((exposed / noise.gain + read) * noise.flat.factor / exposed**2)
    return found
