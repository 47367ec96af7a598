"""Which flat serves a light: of its filter, of its night, or the nearest in time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pulsar_dask.errors import PulsarError, shown
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.gates import OLD
from pulsar_dask.frames.group import Ways
from pulsar_dask.frames.naming import filter_code
from pulsar_dask.frames.when import as_jd, night
from pulsar_dask.inputs.flatlog import entries_of, interval
from pulsar_dask.masters.choice import CANCELS, Found, Rules, apart, latest, nearest, shut, split


def choose_flat(
    light: Frame, flats: Sequence[Frame], rules: Rules, holds_bias: Callable[[Frame], bool]
) -> Found:
    """The flat of a light.

    Parameters
    ----------
    light : Frame
    flats : sequence of Frame
    rules : Rules
    holds_bias : callable
        Whether a flat may hold its bias; one that does not goes before it.
    """
    left, reasons = split(flats, lambda f: rules.differ(f, light, CANCELS), rules)
    own = [f for f in left if same_filter(f.filter, light.filter, rules.ways)]
    of_l = [f for f in left if f.filter and filter_code(f.filter) == "l"]
    tries = [some for some in (own, of_l if rules.l_flat else []) if some]
    if not tries:
        there = sorted({_filter(f) for f in left})
        more = f", but {', '.join(there)}" if there else ""
        way = "; ⟦l_flat⟧ takes that of L" if of_l else ""
        way += "" if light.filter or not there else "; ⟦filter⟧ says which it is"
        return Found(why=f"no flat {_filter(light)}{more}{shut(reasons)}{way}", reasons=reasons)
    errors: list[str] = []
    for some in tries:
        notes: list[str] = []
        try:
            best = _in_time(light, some, rules, holds_bias, notes)
        except PulsarError as error:
            errors.append(error.text)
            continue
        break
    else:
        return Found(why=f"no flat {_filter(light)}: {errors[0]}", reasons=reasons)
    if some is not own:
        notes.append(
            f"no flat {_filter(light)}: one of L is taken, whose dust and vignetting are other ones"
        )
    name = rules.name(best)
    if differ := rules.differ(best, light):
        notes.append(f"{name} has {'; '.join(differ)}, which cancels if its dark fits")
    days = apart(best, light)
    if OLD < days < math.inf:
        notes.append(f"{name} was taken {days:.0f} days from the light")
    if holds_bias(best):
        notes.append(
            f"{name} may hold its bias, an error of 1 to 4 % in the corners; make it again with "
            "makeflat"
        )
    return Found(best, notes=tuple(notes), reasons=reasons)


def same_filter(a: str | None, b: str | None, ways: Ways) -> bool:
    """Whether two frames have one filter, or none."""
    if not a or not b:
        return not a and not b
    if ways.split_case and a != b and a.casefold() == b.casefold():
        return False
    return filter_code(a) == filter_code(b)


def _filter(frame: Frame) -> str:
    return f"of filter {shown(frame.filter)}" if frame.filter else "without a filter"


def log_interval(light: Frame, rules: Rules) -> tuple[tuple[float, float] | None, str | None]:
    """Between which JD flats serve a light by the log; None where it does not say, and why."""
    if rules.log is None:
        return None, None
    camera = light.about.setting("INSTRUME")
    if camera is None:
        return None, "no INSTRUME, so the log of flats does not count"
    if light.about.jd is None:
        return None, "no time, so the log of flats does not count"
    entries = entries_of(rules.log, str(camera))
    if not entries:
        return None, f"the log of flats has no entry for {camera}"
    return interval([as_jd(e.when) for e in entries], light.about.jd), None


def _in_time(
    light: Frame,
    flats: Sequence[Frame],
    rules: Rules,
    holds_bias: Callable[[Frame], bool],
    notes: list[str],
) -> Frame:
    span, why = log_interval(light, rules)
    if why:
        notes.append(why)
    left: Sequence[Frame] = []
    if span is not None:
        left = [f for f in flats if f.about.jd is not None and span[0] <= f.about.jd < span[1]]
        if not left:
            notes.append("no flat lies between the entries of the log, which does not count")
    if not left:
        left = [f for f in flats if _ahead(f, light) <= rules.future_days]
    if not left:
        days = min(_ahead(f, light) for f in flats)
        raise PulsarError(
            f"none until {rules.future_days:g} days after it; the next was taken {days:.1f} days "
            f"after, ⟦flat_future_days⟧ {math.ceil(days)} takes it"
        )
    if rules.latest:
        return latest(left)

    def rank(flat: Frame) -> tuple[bool, bool, bool]:
        return bool(rules.differ(flat, light)), not _own_night(flat, light), holds_bias(flat)

    first = min(map(rank, left))
    return nearest([f for f in left if rank(f) == first], light, rules, "the flat", earlier=True)


def _ahead(flat: Frame, light: Frame) -> float:
    """Days by which a flat was taken after a light; nothing where a time is not known."""
    if flat.about.jd is None or light.about.jd is None:
        return 0.0
    return flat.about.jd - light.about.jd


def _own_night(flat: Frame, light: Frame) -> bool:
    ours, theirs = light.about, flat.about
    if ours.jd is None or theirs.jd is None:
        return False
    hours = ours.hours if ours.hours is not None else theirs.hours
    return night(ours.jd, hours) == night(theirs.jd, hours)
