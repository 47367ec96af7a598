"""A stack of frames: one shape, one type of pixels; and what looks odd in one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from pulsar_dask.errors import PulsarError, printable, warn
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.naming import EXPOSURE_TOLERANCE, filter_code
from pulsar_dask.kernels.pixels import PixelType

Array = np.ndarray[Any, Any]
_FLOAT64 = PixelType(-64)


def check_shapes(frames: Sequence[Frame]) -> tuple[int, ...]:
    """The one shape of a stack; else a PulsarError that names the first two that differ."""
    first = frames[0]
    for frame in frames:
        if frame.shape != first.shape:
            raise PulsarError(
                "frames of one stack must have one shape: "
                f"{printable(first.path)} is {describe_shape(first.shape)}, "
                f"{printable(frame.path)} is {describe_shape(frame.shape)}; "
                "remove one kind from the input"
            )
    return first.shape


def describe_shape(shape: Sequence[int]) -> str:
    """Columns x rows (x planes), as the field says it."""
    return " x ".join(str(n) for n in reversed(shape))


def stack_type(frames: Sequence[Frame]) -> PixelType:
    """How the pixels of a stack are held: as they are stored where that orders them, else as
    float64 values."""
    return frames[0].pixels if stored_alike(frames) else _FLOAT64


def stored_alike(frames: Sequence[Frame]) -> bool:
    """Whether all frames store their pixels in one way, in which stored numbers that are not
    missing are values that are not."""
    first = frames[0].pixels
    alike = all(f.pixels is first or f.pixels == first for f in frames)  # asked for each tile
    return alike and not first.overflows


def stack_block(frames: Sequence[Frame]) -> tuple[int, int]:
    """Rows and columns that a tile should be a multiple of."""
    blocks = [f.stored.block for f in frames if not f.stored.expanded]
    return max((b[0] for b in blocks), default=1), max((b[1] for b in blocks), default=1)


def default_dtype(frames: Sequence[Frame]) -> str:
    """float32, or float64 where a frame has 32- or 64-bit integers or 64-bit floats."""
    return "float64" if any(f.pixels.wide for f in frames) else "float32"


FEW_FRAMES = 15
TEMPERATURE_SPREAD = 1.0


def check_group(name: str, frames: Sequence[Frame], method: str = "median") -> None:
    """Warn of what makes a master of these frames, by that method, worse than it could be."""
    if len(frames) == 1:
        warn(f"{name}: one frame is its own {method}, no cleaner than that frame")
    elif len(frames) < FEW_FRAMES:
        warn(f"{name}: {len(frames)} frames; with fewer than {FEW_FRAMES} a master is noisy")
    temperatures = [f.temperature for f in frames if f.temperature is not None]
    if temperatures and max(temperatures) - min(temperatures) > TEMPERATURE_SPREAD:
        warn(
            f"{name}: CCD-TEMP from {min(temperatures):g} to {max(temperatures):g} degC; "
            "the dark current differs among the frames"
        )
    for keyword, value in SETTINGS.items():
        if found := _differing(frames, value):
            some, odd = found
            warn(
                f"{name}: {keyword} differs among the frames ({some}; the first odd one is "
                f"{_file(odd)}); they do not belong together"
            )


def _setting(keyword: str) -> Callable[[Frame], Any]:
    return lambda frame: frame.about.setting(keyword)


#: What the frames of a stack and of what calibrates them have in common.
SETTINGS: dict[str, Callable[[Frame], Any]] = {
    name: _setting(keyword)
    for name, keyword in (
        ("GAIN", "GAIN"),
        ("OFFSET", "OFFSET"),
        ("INSTRUME", "INSTRUME"),
        ("READOUTM", "READOUTM"),
        ("binning", "XBINNING"),
    )
}


def check_alike(
    name: str,
    frames: Sequence[Frame],
    tolerance: float = EXPOSURE_TOLERANCE,
    *,
    into: str = "median",
) -> None:
    """Warn, in one line, of frames that hardly belong into one median, whatever they are, or into
    one cube, where the tools find groups by themselves, but one kind only."""
    exposures = [f.exposure for f in frames if f.exposure is not None]
    apart = bool(exposures) and max(exposures) - min(exposures) > tolerance + 1e-9
    looks: dict[str, Callable[[Frame], Any]] = {
        "IMAGETYP": lambda f: f.about.label if f.kind == "other" else f.kind,
        "EXPTIME": lambda f: f.exposure if apart else None,
        "FILTER": lambda f: None if f.filter is None else filter_code(f.filter),
        **SETTINGS,
    }
    if into == "cube":
        looks = {"IMAGETYP": looks["IMAGETYP"]}
    differ = {k: found for k, look in looks.items() if (found := _differing(frames, look))}
    if differ:
        what = ", ".join(f"{keyword} ({some})" for keyword, (some, _) in differ.items())
        odd = next(iter(differ.values()))[1]
        warn(
            f"{printable(name)}: the frames differ in {what}; the first odd one is {_file(odd)}. "
            f"Do they belong into one {into}?"
        )


def check_calibrator(
    name: str, frames: Sequence[Frame], kind: str, calibrators: Sequence[Frame]
) -> None:
    """Warn of a bias or dark that was not taken as the frames were."""
    first, other = frames[0], calibrators[0]
    differ = [
        f"{keyword} {printable(value(other))}, not {printable(value(first))}"
        for keyword, value in SETTINGS.items()
        if None not in (value(other), value(first)) and value(other) != value(first)
    ]
    warm, cold = _temperature(calibrators), _temperature(frames)
    if warm is not None and cold is not None and abs(warm - cold) > TEMPERATURE_SPREAD:
        differ.append(f"CCD-TEMP {warm:g} degC, not {cold:g}")
    if differ:
        warn(
            f"{name}: the {kind} {_file(other)} has {'; '.join(differ)} as {_file(first)}; "
            "they do not belong together"
        )


def _temperature(frames: Sequence[Frame]) -> float | None:
    known = [f.temperature for f in frames if f.temperature is not None]
    return median(known) if known else None


def _differing(frames: Sequence[Frame], value: Callable[[Frame], Any]) -> tuple[str, Frame] | None:
    """Some of the values that frames have, and the first frame whose value most have not."""
    counts = Counter(value(f) for f in frames)
    if len(counts) < 2:
        return None
    usual = counts.most_common(1)[0][0]
    odd = next(f for f in frames if value(f) != usual)
    some = list(dict.fromkeys((usual, value(odd), *counts)))
    more = " …" if len(some) > 3 else ""
    return " and ".join("none" if v is None else printable(v) for v in some[:3]) + more, odd


def _file(frame: Frame) -> str:
    return printable(os.path.basename(frame.path))
