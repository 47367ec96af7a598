"""The noise of frames as their values have it, measured from fixed rows of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pulsar_dask.formats.reading import read_values
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.noise import Noise, NoModelError, fit
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.noiseparts import Parts

Array = np.ndarray[Any, Any]
#: Values that are looked at, those of a read, and rows of a frame, in adjacent pairs.
_VALUES, _READ, _ROWS = 1_000_000, 2_000_000, 64
#: Stretches of a row that are taken, and parts of a sensor whose noise is compared.
_STRETCHES = 16
Read = Callable[[Tile], Array]
#: Into how many parts columns and rows are cut, one after the other.
_CUTS = ((2, 1), (1, 2), (2, 2), (4, 1), (1, 4), (4, 2), (2, 4), (4, 4))
_PHASES = ((0, 1), (2, 3))


def noise_of(frames: Sequence[Frame], grain: float) -> Noise | Parts:
    """The noise of a stack of frames.

    Raises
    ------
    NoModelError
        It does not follow the level; see `kernels.noise.fit`.
    """
    values, parts = _sample(
        frames[0].shape,
        len(frames),
        lambda tile: read_values(frames, tile, np.dtype("f8"), counted=None),
    )
    return _fitted(frames[0].shape, values, grain, parts)


class Flats(NamedTuple):
    """How flats are before they are combined."""

    read: Read
    """Their values minus what is subtracted from them."""
    cells: Sequence[Sequence[int]] | None
    """Where each colour is scaled apart: the colours of a square that repeats."""
    target: float
    """To which level they are scaled."""


def noise_of_flats(frames: Sequence[Frame], flats: Flats, grain: float) -> Noise | Parts:
    """The noise of flats, each scaled to a level: that of these pixels here.

    Raises
    ------
    NoModelError
        As above.
    """
    values, parts = _sample(frames[0].shape, len(frames), flats.read, flats.cells or _PHASES)
    colours = parts[-1] if flats.cells else np.zeros(values.shape[1], int)
    every = np.nanmedian(values, axis=1)
    scales = np.empty((colours.max() + 1, len(values)))
    for colour in range(len(scales)):
        where = colours == colour
        levels = np.nanmedian(values[:, where], axis=1) if where.any() else every
        # each colour to a level of its own, so that their mean ratios stay
        scales[colour] = flats.target * np.mean(levels / every) / levels
    values *= scales.T[:, colours]
    values[~np.isfinite(values)] = np.nan
    return _fitted(frames[0].shape, values, grain * float(np.median(scales)), parts)


def scale_of_flats(frames: Sequence[Frame], flats: Flats) -> float:
    """By about what flats are multiplied, the median of all."""
    values, _ = _sample(frames[0].shape, len(frames), flats.read)
    return float(f"{np.nanmedian(flats.target / np.nanmedian(values, axis=1)):.6g}")


def _fitted(shape: tuple[int, ...], values: Array, grain: float, parts: Array) -> Noise | Parts:
    """The noise of all pixels; where that of some parts of the sensor is another, of each half,
    quarter, … apart: the fewest of which each has one."""
    try:
        return _short(fit(values, grain, parts))
    except NoModelError as error:
        refused = error
    for across, down in _CUTS:
        column, row = (parts[way] * n // _STRETCHES for way, n in ((0, across), (1, down)))
        try:
            noises = [
                _short(fit(values[:, where], grain, parts[:, where]))
                for y in range(down)
                for x in range(across)
                if (where := (row == y) & (column == x)).any()
            ]
        except NoModelError:
            continue
        ys, xs = (
            [-(-length * i // n) for i in range(n + 1)]
            for length, n in zip(shape[-2:], (down, across), strict=True)
        )
        sections = tuple(
            (top, bottom, left, right)
            for top, bottom in itertools.pairwise(ys)
            for left, right in itertools.pairwise(xs)
        )
        if len(noises) == len(sections):
            return Parts(sections, tuple(noises))
    raise refused


def _short(noise: Noise) -> Noise:
    """In as many digits as a header is to have."""
    return Noise(*(float(f"{number:.6g}") for number in noise))


def _sample(
    shape: tuple[int, ...], frames: int, read: Read, cells: Sequence[Sequence[int]] = _PHASES
) -> tuple[Array, Array]:
    """Values of some pixels of all frames, shape (frames, pixels), and of each pixel in which
    sixteenth of the columns, of the rows, in which plane it lies, and in which of the cells, shape
    (4, pixels).

    All phases of a colour sensor are among them, in which rows and columns does not depend on how
    the frames are tiled.
    """
    rows, columns = shape[-2:]
    planes = shape[0] if len(shape) == 3 else 1
    pairs = max(1, min(rows, _ROWS) // 2)
    height = min(2, rows)
    starts = sorted({2 * int((i + 0.5) * (rows // 2) / pairs) for i in range(pairs)})
    wide = min(columns, max(height, _READ // (frames * height)))
    first = (columns - wide) // 2
    most = max(2, _VALUES // (frames * planes * height * len(starts)))
    length = max(2, most // _STRETCHES) & ~1
    taken = np.arange(wide)
    if wide > most:
        at = [2 * int((i + 0.5) * (wide - length) / (2 * _STRETCHES)) for i in range(_STRETCHES)]
        taken = np.unique(np.concatenate([np.arange(a, a + length) for a in at]))
    found, parts = [], []
    for plane in range(planes):
        for y in starts:
            values = read(Tile(plane, y, first, height, wide))[:, :, taken]
            found.append(values.reshape(frames, -1).copy())
            x, below = first + taken, np.arange(y, y + height)
            across = np.broadcast_to(_STRETCHES * x // columns, values.shape[1:])
            down = np.broadcast_to((_STRETCHES * below // rows)[:, None], values.shape[1:])
            phase = np.array(cells)[np.ix_(below % len(cells), x % len(cells))]
            where = np.stack([across, down, np.full(across.shape, plane), phase])
            parts.append(where.reshape(4, -1))
    values = np.concatenate(found, axis=1)
    values[~np.isfinite(values)] = np.nan
    return values, np.concatenate(parts, axis=1)
