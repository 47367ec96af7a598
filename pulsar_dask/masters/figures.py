"""Figures of a product for programs and for reports: of each frame, of the noise, of the sensor;
from what was seen of the frames while they passed.

Read noise and gain are measured on pairs of frames that were taken one after the other, so that
whatever two frames have in common goes out (Janesick, Photon Transfer, 2007; the symmetric
difference of flats as in LSST's cp_pipe).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from pulsar_dask import combine
from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.formats.reading import to_values
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.step import Step
from pulsar_dask.masters.judged import in_time, measured_of
from pulsar_dask.masters.measured import median_of
from pulsar_dask.masters.survey import Surveyed

Array = np.ndarray[Any, Any]
#: Deviations within which differences of two frames are noise.
WITHIN, FLAT_WITHIN = 5.0, 5.5
#: The share of normal noise that lies within five deviations, as a deviation.
_CUT = 0.99999
#: Fewer values tell no noise.
_FEW = 100
#: Frames in a half of the stack of which a clipped mean says something.
_HALF = 3
#: sqrt(n times the variance of the median of n normal values): by quadrature up to 20.
_MEDIAN = {
    3: 1.1602, 4: 1.0922, 5: 1.1976, 6: 1.1351, 7: 1.2137, 8: 1.1599, 9: 1.2227, 10: 1.1761,
    11: 1.2283, 12: 1.1875, 13: 1.2322, 14: 1.1960, 15: 1.2351, 16: 1.2025, 17: 1.2373,
    18: 1.2077, 19: 1.2390, 20: 1.2119,
}  # fmt: skip


def figures(
    product: Product,
    run: Run,
    found: Surveyed | None = None,
    *,
    odd: Collection[str] = (),
    read_noise: float | None = None,
) -> dict[str, Any]:
    """What there is to tell of a product, by name; each list in the order of its frames.

    Parameters
    ----------
    product : Product
    run : Run
    found : Surveyed, optional
        What was seen of its frames.
    odd : collection of str
        Paths of frames that do not belong, which the sensor is not measured with.
    read_noise : float, optional
        Noise of a frame without light, ADU, where that is known.

    Returns
    -------
    dict
        `raw_levels`, `levels` (flats, ADU); `frame_levels`, `frame_noise` (ADU), `frame_hits`,
        `frame_rejected` (shares); `noise_of_frame`, `noise_expected`, `noise` (of the master,
        ADU); `read_noise`, `gain` (`value`, `error`, and what they were measured with).
    """
    told: dict[str, Any] = dict(_levels(product, run))
    if found is None or all(f.is_master for f in product.frames):
        return told
    frames, pixels = product.frames, found.survey.pixels
    flat = bool(product.levels)
    order = in_time(frames)
    grain = 0.0
    if not found.survey.stored.floating:
        grain = float(1 << min(seen.shift for seen in found.frames()))
    measured = measured_of(found, order, flat=flat, grain=0.0 if flat else grain)
    as_given = np.argsort(order)
    told["frame_levels"] = told["levels"] if flat else measured.level[as_given].tolist()
    told["frame_noise"] = measured.noise[as_given].tolist()
    told["frame_hits"] = measured.hits[as_given].tolist()
    samples = [to_values(image.ravel(), pixels).astype("f8") for image in found.sample]
    name, parameters = _method(product)
    try:
        method: Any = combine.method(name, parameters)
    except ValueError:  # of another version
        return told
    if hasattr(method, "rule"):
        told["frame_rejected"] = _rejected(method, samples).tolist()
    good = [i for i in order if frames[i].path not in odd]
    pairs = list(zip(good[::2], good[1::2], strict=False))
    if pairs:
        one = math.sqrt(np.mean([pair_variance(samples[a], samples[b]) for a, b in pairs]))
        if not math.isfinite(one):
            return told
        told["noise_of_frame"] = one
        factor = _factor(name, len(frames))
        if factor is not None:
            told["noise_expected"] = one * factor / math.sqrt(len(frames))
        if (noise := _of_halves(method, found, order)) is not None:
            told["noise"] = noise
        whole = not (found.survey.stored.floating or found.survey.stored.scaled)
        if product.kind == "bias" and whole:
            told["read_noise"] = _read_noise(one, len(pairs), len(samples[0]), grain)
        if flat and whole and (gain := _gain(product, run, found, samples, pairs, read_noise)):
            told["gain"] = gain
    return told


def _levels(product: Product, run: Run) -> Iterator[tuple[str, list[float]]]:
    """Levels of flats as they were taken, and before they were scaled."""
    parts = [run.values[layer.name] for layer in product.levels]
    if parts:
        yield "raw_levels", np.concatenate([part.raw for part in parts]).mean(axis=1).tolist()
        yield "levels", np.concatenate([part.medians for part in parts]).mean(axis=1).tolist()


def _method(product: Product) -> tuple[str, Sequence[tuple[str, float]]]:
    for step in product.steps:
        if isinstance(step, Step) and step.verb == "combine":
            return step.args[0][0], step.args[0][1]
    return "", ()


def pair_variance(x: Array, y: Array) -> float:
    """The variance of each of two frames of one scene: half that of their difference."""
    return _variance(x - y) / 2


def _variance(values: Array, within: float = WITHIN) -> float:
    """Of values without those that lie beyond some deviations."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return math.nan
    middle = median_of(values)
    spread = 1.4826 * median_of(np.abs(values - middle)) or float(values.std())
    for _ in range(20):
        kept = values[np.abs(values - middle) <= within * spread]
        before, spread, middle = spread, float(kept.std()), float(kept.mean())
        if abs(spread - before) <= 1e-6 * spread:
            break
    return (spread / _CUT) ** 2


def _factor(name: str, n: int) -> float | None:
    """How many times the noise of a mean that of a combination is; None where that is not known.

    Of an even number beyond 20: (pi/2)(1 - 1.37/n + 1.5/n²) as the square, of an odd one
    (pi/2)(1 - (4 - pi)/(2n)), within 4e-4 of the quadrature.
    """
    if n <= 2 or name in ("mean", "sigclip", "winsorized", "ccdclip"):
        return 1.0
    if name != "median":
        return None
    if n in _MEDIAN:
        return _MEDIAN[n]
    less = (4 - math.pi) / (2 * n) if n % 2 else 1.37 / n - 1.5 / n**2
    return math.sqrt(math.pi / 2 * (1 - less))


def _of_halves(method: Any, found: Surveyed, order: Sequence[int]) -> float | None:
    """The noise of the combination: half of what two halves of the frames differ by."""
    half = len(order) // 2
    try:
        if hasattr(method, "rule") and (half < _HALF or method.check(half)):
            return None
    except ValueError:
        return None
    images = []
    for part in (order[: 2 * half : 2], order[1 : 2 * half : 2]):
        stack = np.ascontiguousarray(found.sample[list(part)].reshape(half, -1))
        made = method.block(stack, found.survey.pixels, ["image"], compiled=False)
        images.append(np.array(made["image"], "f8"))
    noise = math.sqrt(_variance(images[0] - images[1]) / 4 * (2 * half) / len(order))
    # of half the frames a median is a little better than of all of them
    return noise * (_factor(method.name, len(order)) or 1) / (_factor(method.name, half) or 1)


def _rejected(method: Any, samples: Sequence[Array]) -> Array:
    """The share of the values of each frame that a method rejects, of a sample."""
    from pulsar_dask.kernels import clipping
    from pulsar_dask.kernels.pixels import PixelType

    stack = np.array(samples)
    ordered = np.sort(stack, axis=0)  # what is missing lies last
    kept = clipping.clip(stack.copy(), PixelType(-64), method.rule)
    there = np.isfinite(stack).sum(axis=0)
    first = np.clip(kept.low, 0, len(stack) - 1)
    last = np.clip(there - kept.high - 1, 0, len(stack) - 1)
    low = np.take_along_axis(ordered, first[None], 0)
    high = np.take_along_axis(ordered, last[None], 0)
    known = np.isfinite(stack)
    out = known & ((stack < low) | (stack > high))
    shares: Array = out.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return shares


def _read_noise(one: float, pairs: int, pixels: int, grain: float) -> dict[str, Any]:
    """r² = var(x1 - x2) / 2, its mean over pairs of biases; rounding is part of it."""
    less = math.sqrt(max(0.0, one**2 - grain**2 / 12))
    error = one / math.sqrt(2 * pairs * pixels)
    return {"value": one, "error": error, "without_rounding": less, "pairs": pairs}


def _gain(
    product: Product,
    run: Run,
    found: Surveyed,
    samples: Sequence[Array],
    pairs: Sequence[tuple[int, int]],
    read_noise: float | None,
) -> dict[str, Any] | None:
    """g = m / (V - r²) with V = var(D) / 2, D = (m2 x1 - m1 x2) / m, of each colour, and the
    weighted mean of them."""
    group, scales, *_ = product.layer.inputs
    factors = np.asarray(run.values[scales.name])
    if found.survey.planes > 1:
        return None
    look = found.survey
    place: Array = np.zeros((len(look.rows), len(look.columns)), np.int64)
    if group.colours is not None:
        cells, period = np.array(group.colours.cells), group.colours.period
        place = cells[np.ix_(look.rows % period, look.columns % period)]
    if group.defects is not None:  # means of others, which have less noise
        x = look.columns
        for row, y in zip(place, look.rows, strict=True):
            row[np.isin(y * look.shape[-1] + x, group.defects.places)] = -1
    place = place.ravel()
    factors = factors.reshape(len(samples), -1)
    gains, errors = [], []
    for colour in range(factors.shape[1]):
        there = place == colour
        levels, variances = [], []
        for a, b in pairs:
            x, y = samples[a][there] / factors[a, colour], samples[b][there] / factors[b, colour]
            known = np.isfinite(x) & np.isfinite(y)
            x, y = x[known], y[known]
            if len(x) < _FEW:  # as of a colour that lies in rows that are not sampled
                break
            m = float(x.mean()), float(y.mean())
            level = (m[0] + m[1]) / 2
            levels.append(level)
            variances.append(_variance((m[1] * x - m[0] * y) / level, FLAT_WITHIN) / 2)
        if len(levels) < len(pairs):
            continue
        level, variance = float(np.mean(levels)), float(np.mean(variances))
        shot = variance - (read_noise or 0.0) ** 2
        if not (shot > 0.01 * variance and level > 0):
            return None
        gains.append(level / shot)
        errors.append(gains[-1] * math.sqrt(2 / (len(pairs) * there.sum())) * variance / shot)
    if not gains:
        return None
    weights = 1 / np.square(errors)
    return {
        "value": float((weights * gains).sum() / weights.sum()),
        "error": float(1 / math.sqrt(weights.sum())),
        "pairs": len(pairs),
        "read_noise": read_noise,
    }


def times(frames: Sequence[Frame]) -> tuple[Array, str]:
    """Where frames lie on an axis of time, and what that counts; their number where their dates
    do not tell."""
    found = []
    for frame in frames:
        try:
            found.append(datetime.fromisoformat(str(frame.date or "").strip()).timestamp())
        except ValueError:
            return np.arange(1.0, len(frames) + 1), "frame"
    at = np.array(found) - min(found)
    if not len(set(found)) > 1 or np.ptp(at) < 1e-3:
        return np.arange(1.0, len(frames) + 1), "frame"
    first = str(frames[int(np.argmin(at))].date).strip().replace("T", " ").split(".")[0]
    for unit, seconds in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if np.ptp(at) >= 3 * seconds:
            return at / seconds, f"{unit} since {first}"
    return at, f"seconds since {first}"


def told_of(told: Mapping[str, Any], what: str) -> Array:
    """Figures of frames as an array; those that are not known NaN."""
    return np.array([math.nan if v is None else v for v in told.get(what, ())], "f8")
