"""Which dark serves a light, and how it is scaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pulsar_dask.errors import PulsarError
from pulsar_dask.frames import exposures
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.gates import held_apart
from pulsar_dask.masters.choice import Found, Level, Rules, latest, nearest, odd, shut, split
from pulsar_dask.masters.shelf import NEAR, exposure_of

#: Times the light's exposure up to which a longer dark is preferred; the most that k may be.
_LONGER, _MOST = 2.0, 5.0
#: °C within which darks are of one temperature.
_EQUAL = 1.0


class Bias(NamedTuple):
    """The bias of a dark."""

    out: bool | None
    """Whether it was taken out; None where the dark does not say it."""
    level: Level | None
    """What it is, where that is known."""


def choose_dark(
    light: Frame, darks: Sequence[Frame], rules: Rules, bias_of: Callable[[Frame], Bias]
) -> Found:
    """The dark of a light: of its exposure, else one that is scaled by the exposures.

    Parameters
    ----------
    light : Frame
    darks : sequence of Frame
    rules : Rules
    bias_of : callable
        The bias of a dark, which has to be known where it is out of it, or to scale it.
    """

    def why_not(dark: Frame) -> list[str]:
        found = [*rules.differ(dark, light)]
        if held := held_apart(dark, light, rules.ways):
            found.append(held)
        most, warm, cold = rules.temperature_tolerance, dark.temperature, light.temperature
        if not held and most is not None and warm is not None and cold is not None:
            found += [f"{warm:g} degC, not {cold:g}"] if abs(warm - cold) > most else []
        found += ["states no exposure"] if exposure_of(dark) is None else []
        if not found and not rules.no_bias and bias_of(dark) == (True, None):
            found.append("lacks its bias, which is not there (⟦bias⟧ gives it)")
        return found

    left, reasons = split(darks, why_not, rules)
    if not left:
        return Found(why=f"no dark{shut(reasons)}", reasons=reasons)
    if not light.exposure:
        return Found(why="no dark, as it states no exposure; give it with ⟦exposure⟧")
    try:
        frame, k, text = _of_exposure(light, light.exposure, left, rules, bias_of)
    except PulsarError as error:
        return Found(why=f"{error.text}{shut(reasons)}", reasons=reasons)
    notes = odd(frame, light, rules, scaled=bool(text))
    return Found(frame, k, (*([text] if text else ()), *notes), reasons=reasons)


def _of_exposure(
    light: Frame,
    time: float,
    left: Sequence[Frame],
    rules: Rules,
    bias_of: Callable[[Frame], Bias],
) -> tuple[Frame, float, str]:
    """The dark, its k, and what is said of that.

    Raises
    ------
    PulsarError
        There is none of this exposure, nor one that can be scaled; or it cannot be told which.
    """
    times = {d.path: exposure_of(d) or 0.0 for d in left}

    def away(dark: Frame) -> float:
        return round(abs(times[dark.path] - time), 9)

    def closest(darks: Sequence[Frame]) -> list[Frame]:
        least = min(map(away, darks))
        return [d for d in darks if away(d) == least]

    same = [d for d in left if exposures.same_exposure(times[d.path], time, rules.ways.tolerance)]
    if same or "exposure" in rules.ways.mix:
        return _best(same or closest(left), light, rules), 1.0, ""
    if rules.nearest_dark:
        return latest(closest(left)), 1.0, ""
    known = []
    for dark in left:
        out, level = bias_of(dark)
        if times[dark.path] > 0 and (level is not None or (out and rules.no_bias)):
            known.append(dark)
    few = [d for d in known if time <= _MOST * times[d.path]]
    if few:
        longer = [d for d in few if time < times[d.path] <= _LONGER * time]
        # the next longer one; else the nearest by ratio
        ratios = {t: max(t / time, time / t) for t in (times[d.path] for d in longer or few)}
        wanted = min(ratios, key=lambda t: (ratios[t], -t))
        best = _best([d for d in few if times[d.path] == wanted], light, rules)
        k = time / wanted
        text = f"no dark of {time:g} s; {rules.name(best)} of {wanted:g} s is scaled by {k:.4g}"
        return best, k, text
    near = [d for d in left if away(d) <= NEAR * time]
    if near:
        return _best(closest(near), light, rules), 1.0, ""
    there = ", ".join(f"{t:g} s" for t in sorted(set(times.values())))
    why = "k would be above 5" if known else "no bias is known to scale one by (⟦bias⟧ gives it)"
    raise PulsarError(
        f"no dark of {time:g} s, but of {there}, and {why}; make one, or take the nearest as it is "
        "with ⟦nearest_dark⟧"
    )


def _best(darks: Sequence[Frame], light: Frame, rules: Rules) -> Frame:
    """Of darks of one exposure the nearest in temperature, of those that are equal in it the one
    that states more, then the nearest in time, then the newest, then by path."""
    if rules.latest:
        return latest(darks)
    least = min(_warmth(d, light) for d in darks)
    return nearest([d for d in darks if _warmth(d, light) == least], light, rules, "the dark")


def _warmth(dark: Frame, light: Frame) -> float:
    """°C between a dark and a light; nothing where they count as one."""
    if light.temperature is None:
        return 0.0
    if dark.temperature is None:
        return float("inf")
    far = round(abs(dark.temperature - light.temperature), 6)
    return 0.0 if far <= _EQUAL else far
