"""The uncertainty of calibrated lights, propagated from the noise of light, dark, bias and flat."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.reading import read_header
from pulsar_dask.frames.biasout import stated
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.written import as_number
from pulsar_dask.masters.calibration import Calibration, Fit

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
    flat_scale: float | None = None
    """Level of the flat's frames before they were scaled, in that of the flat; None: its noise is
    not known."""

    @property
    def read_variance(self) -> float:
        """Of reading a pixel of one frame and making a whole number of it, ADU²."""
        return (self.read_noise / self.gain) ** 2 + 1 / 12


def variance(
    noise: Noise,
    counts: Array,
    dark: Array | None,
    scale: float,
    values: Array,
    level: Array | None,
    flat: Array | None,
) -> Array:
    """Variance of calibrated pixels, ADU².

    (max(N,0)/g + (RN/g)² + 1/12 + k²σ_D² + (1-k)²σ_B²)·(M/F)² + (C·σ_F/F)²; where another bias
    than the dark's own is subtracted, (1+k²)σ_B². Noise of a master is that of a frame, by the
    number of its frames and the way in which they were combined.

    Parameters
    ----------
    noise : Noise
    counts : ndarray
        N, what is expected of R - B (`expected.expected`).
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
    found: Array = np.maximum(counts, 0) / noise.gain + read
    k = scale if dark is not None else 0.0
    if dark is not None:
        of_dark = (np.maximum(dark, 0) / noise.gain + read) * noise.dark.factor
        found += k**2 * of_dark
    found += ((1 - k) ** 2 if noise.own_bias else 1 + k**2) * read * noise.bias.factor
    if flat is not None and level is not None:
        found *= (level / flat) ** 2
        if noise.flat_scale is not None:
            exposed = flat * noise.flat_scale
            found += values**2 * ((exposed / noise.gain + read) * noise.flat.factor / exposed**2)
    return found


#: Cards that state electrons per ADU, and electrons of read noise.
GAIN, READ = ("EGAIN",), ("RDNOISE", "READNOIS")


def noise_of(
    light: Frame, c: Calibration, fit: Fit, gain: float | None, read_noise: float | None
) -> Noise:
    """What noise a light and its masters have, by what is given and what their cards say.

    Raises
    ------
    PulsarError
        The gain, the read noise or the bias is not known.
    """
    header = read_header(light)
    gain = gain or number_in(header, GAIN)
    read_noise = number_in(header, READ) if read_noise is None else read_noise
    if not gain or gain < 0:
        raise PulsarError(f"{light.name} has no EGAIN; give the electrons per ADU with ⟦egain⟧")
    if read_noise is None or read_noise < 0:
        raise PulsarError(f"{light.name} has no RDNOISE; give electrons with ⟦read_noise⟧")
    if c.bias is None:
        raise PulsarError(
            "the uncertainty of a pixel comes from what is above the bias; give that with ⟦bias⟧ "
            "FILE or ⟦bias⟧ NUMBER"
        )
    own, flat_scale = True, None
    if c.dark is not None and not c.dark_holds_bias and isinstance(c.bias, Frame):
        path = stated(read_header(c.dark), c.dark.path)[2]
        own = path is None or os.path.realpath(path) == os.path.realpath(c.bias.path)
    if c.flat is not None and (level := number_in(read_header(c.flat), ("FLATLEV",))):
        flat_scale = level / fit.whole[0]
    bias = c.bias if isinstance(c.bias, Frame) else None
    return Noise(
        gain, read_noise, share_of(bias), share_of(c.dark), own, share_of(c.flat), flat_scale
    )


def share_of(master: Frame | None) -> Share:
    """How a master was combined, as it says."""
    if master is None:
        return Share()
    header = read_header(master)
    count = number_in(header, ("NCOMBINE", "STACKCNT"))
    method = str(header.get("COMBMETH", "median")).lower()
    return Share(count or np.inf, not method.startswith(("mean", "average")))


def number_in(header: Mapping[str, Any], keywords: tuple[str, ...]) -> float | None:
    """The number in the first of some cards that has one."""
    found = (as_number(header.get(keyword)) for keyword in keywords)
    return next((number for number in found if number is not None), None)
