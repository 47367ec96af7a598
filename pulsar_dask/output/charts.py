"""Charts as SVG that lies in a page: its colours come from the page's style, so that they follow
light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from unicodedata import east_asian_width

import numpy as np

Array = np.ndarray[Any, Any]
#: Size of a chart in units of its own; the page stretches it. Margins: left, right, top, bottom.
WIDTH, HEIGHT = 420, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 14, 38
#: Frames of a chart that are named where they are odd, and points that have a text of their own.
NAMED, TITLED = 4, 300
#: Names of odd frames in the text that stands for a chart.
TOLD = 20
#: Share of values on each side of a histogram that lies outside of it, at most.
OUTSIDE = 0.0005
BINS = 96


def number(value: float | None) -> str:
    """A figure as people read it, four digits where they say something.

    >>> number(1234.56), number(0.012345), number(17.0), number(2.5e7)
    ('1234.6', '0.01235', '17', '2.5e+07')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == round(value) and abs(value) < 1e6:
        return f"{value:.0f}".replace("-", "−")
    size = abs(value)
    text = f"{value:.1f}" if 1000 <= size < 1e6 else f"{value:.4g}"
    return text.replace("-", "−", 1) if value < 0 else text


@dataclass(frozen=True)
class Series:
    """A figure of each frame."""

    title: str
    unit: str
    values: Array


@dataclass(frozen=True)
class _Axis:
    """From values to places in a chart."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: Any) -> Any:
        span = (self.high - self.low) or 1.0
        return self.first + (value - self.low) / span * (self.last - self.first)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers in a range.

    >>> ticks(0.0, 10.0)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    step = 10.0 ** math.floor(math.log10(span / most))
    step *= next(m for m in (1, 2, 2.5, 5, 10, 20) if span / (m * step) <= most + 1e-9)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick_texts(values: Sequence[float]) -> list[str]:
    """Numbers of an axis, all with as many decimals as they need."""
    if max(map(abs, values), default=0.0) >= 1e6:
        return [f"{v:.3g}".replace("-", "−", 1) for v in values]
    near = 1e-3 * (abs(values[1] - values[0]) if len(values) > 1 else 1.0)
    digits = next((d for d in range(7) if all(abs(round(v, d) - v) <= near for v in values)), 7)
    return [f"{v + 0.0:.{digits}f}".replace("-", "−", 1) for v in values]


def against_time(
    series: Series, at: Array, label: str, names: Sequence[str], odd: Sequence[bool]
) -> str:
    """A figure of each frame against time, odd frames marked and named; nothing where the figure
    is not known of any."""
    known = np.isfinite(series.values)
    if not known.any():
        return ""
    values, places = series.values[known], at[known]
    who = [name for name, there in zip(names, known, strict=True) if there]
    strange = [one for one, there in zip(odd, known, strict=True) if there]
    low, high = float(values.min()), float(values.max())
    pad = 0.08 * (high - low) or max(abs(high) * 0.01, 1e-3)
    if low >= 0 and low - pad < 0:
        low = pad  # a share is not below nothing
    y = _Axis(low - pad, high + pad, HEIGHT - _BOTTOM, _TOP)
    x = _Axis(float(places.min()), float(places.max()), _LEFT + 6, WIDTH - _RIGHT - 6)
    parts = _frame(x, y, label)
    order = np.argsort(places, kind="stable")
    line = " ".join(f"{x(places[i]):.1f},{y(values[i]):.1f}" for i in order)
    parts.append(f'<polyline class="line" points="{line}"/>')
    size = 3.0 if len(values) <= 60 else 2.0
    plain = []
    for i in order.tolist():
        px, py = float(x(places[i])), float(y(values[i]))
        if len(values) > TITLED and not strange[i]:  # many: a tenth of the bytes
            plain.append(f"M{px:.1f} {py:.1f}h0")
            continue
        title = f"<title>{escape(who[i])}: {number(float(values[i]))} {series.unit}</title>"
        kind = "odd" if strange[i] else "dot"
        radius = size + 1.5 if strange[i] else size
        parts.append(
            f'<circle class="{kind}" cx="{px:.1f}" cy="{py:.1f}" r="{radius:g}">{title}</circle>'
        )
    if plain:
        parts.append(f'<path class="dots" d="{"".join(plain)}"/>')
    parts += _labels([i for i in order.tolist() if strange[i]], places, values, who, x, y)
    named = [who[i] for i in order.tolist() if strange[i]]
    text = (
        f"{series.title} of {len(values)} frames against time: from {number(float(values.min()))} "
        f"to {number(float(values.max()))} {series.unit}"
    )
    if named:
        more = f" and {len(named) - TOLD} more" if len(named) > TOLD else ""
        text += f"; marked as odd: {', '.join(named[:TOLD])}{more}"
    return _svg(parts, text)


def _labels(
    odd: Sequence[int], places: Array, values: Array, who: Sequence[str], x: _Axis, y: _Axis
) -> list[str]:
    """Names of some odd frames beside their points, where they do not cover each other."""
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for i in odd:
        name = shortened(who[i])
        half = 3.7 * sum(2 if east_asian_width(c) in "WF" else 1 for c in name)
        px = min(max(float(x(places[i])), _LEFT + half), WIDTH - 2 - half)
        py = float(y(values[i]))
        py += 19 if py < _TOP + 16 else -9  # above the point, where there is room
        if len(parts) == NAMED or any(
            abs(py - ty) < 12 and abs(px - tx) < half + other for tx, ty, other in taken
        ):
            continue
        taken.append((px, py, half))
        parts.append(
            f'<text class="name" x="{px:.1f}" y="{py:.1f}" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
    return parts


def shortened(name: str) -> str:
    """A name that is not too long for a chart.

    >>> shortened("dark_0001.fit"), len(shortened(300 * "a"))
    ('dark_0001.fit', 24)
    """
    return name if len(name) <= 24 else f"{name[:11]}…{name[-12:]}"


def _frame(x: _Axis, y: _Axis, label: str, *, grid: bool = True) -> list[str]:
    """Axes with their numbers, lines behind the chart, and what the lower axis counts."""
    parts = []
    marks = ticks(y.low, y.high, 4) if grid else []
    for value, text in zip(marks, _tick_texts(marks), strict=True):
        at = float(y(value))
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">{text}</text>'
        )
    bottom = HEIGHT - _BOTTOM
    parts.append(f'<path class="axis" d="M{_LEFT} {bottom}H{WIDTH - _RIGHT}"/>')
    marks = ticks(x.low, x.high, 5)
    for value, text in zip(marks, _tick_texts(marks), strict=True):
        at = float(x(value))
        parts.append(f'<path class="axis" d="M{at:.1f} {bottom}v4"/>')
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>'
        )
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="label" x="{middle:g}" y="{HEIGHT - 5}" text-anchor="middle">'
        f"{escape(label)}</text>"
    )
    return parts


def histogram(values: Array, unit: str) -> tuple[str, str]:
    """How often each value is there, on a scale of powers of ten; and in words what lies outside.

    Parameters
    ----------
    values : ndarray
        Finite, at least one, ascending.
    unit : str
    """
    outside = int(OUTSIDE * len(values))
    low, high, middle = float(values[outside]), float(values[-1 - outside]), middle_of(values)
    grain = _grain(values)
    if grain:  # bins that hold as many of the values that there can be each
        step = grain * max(1, math.ceil(((high - low) / grain + 1) / BINS))
        edges = np.arange(low - grain / 2, high + step, step)
    else:
        edges = np.linspace(low, high, BINS + 1) if low < high else np.array([low - 0.5, low + 0.5])
    if len(edges) < 4:
        edges = low + (grain or 1.0) * np.array([-1.5, -0.5, 0.5, 1.5])
    first, *others = np.searchsorted(values, edges)
    last = np.searchsorted(values, edges[-1], "right")
    counts = np.diff([first, *others[:-1], last])
    x = _Axis(float(edges[0]), float(edges[-1]), _LEFT, WIDTH - _RIGHT)
    top = max(1.0, math.log10(max(1, int(counts.max()))))
    y = _Axis(-0.3, top, HEIGHT - _BOTTOM, _TOP + 12)
    parts = _frame(x, y, unit, grid=False)
    for power in range(math.floor(top) + 1):
        at = float(y(power))
        text = f"{10**power}" if power < 4 else f"10{_raised(power)}"
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">{text}</text>'
        )
    bottom = HEIGHT - _BOTTOM
    path = f"M{x(edges[0]):.1f} {bottom}"
    for n, start, stop in zip(counts.tolist(), edges[:-1], edges[1:], strict=True):
        level = float(y(math.log10(n))) if n else bottom
        path += f"H{x(start):.1f}V{level:.1f}H{x(stop):.1f}"
    parts.append(f'<path class="area" d="{path}V{bottom}Z"/>')
    at = float(x(middle))
    parts.append(f'<path class="middle" d="M{at:.1f} {_TOP}V{bottom}"/>')
    anchor, shift = ("start", 5) if at < (_LEFT + WIDTH) / 2 else ("end", -5)
    parts.append(
        f'<text class="note" x="{at + shift:.1f}" y="{_TOP + 3}" text-anchor="{anchor}">'
        f"median {number(middle)}</text>"
    )
    below, above = int(first), len(values) - int(last)
    out = f"outside: {below} values below, {above} above" if below or above else ""
    text = (
        f"Histogram of {len(values)} values: from {number(float(values[0]))} to "
        f"{number(float(values[-1]))} {unit}, median {number(middle)}"
    )
    return _svg(parts, text), out


def middle_of(values: Array) -> float:
    """The median of values, at least one, that are ascending."""
    return float((values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2)


def _grain(values: Array) -> float:
    """The step of values that are whole numbers, or halves as the median of two is; else 0."""
    for grain in (1.0, 0.5):
        if (values == np.rint(values / grain) * grain).all():
            return grain
    return 0.0


def _raised(power: int) -> str:
    return "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(power))


def _svg(parts: Sequence[str], text: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(text)}">'
        f"{''.join(parts)}</svg>"
    )
