"""``library folder``: which masters there are, which are stale, and which some lights lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pulsar_dask.errors import NotMade, count, printable, warn
from pulsar_dask.formats.reading import read_header
from pulsar_dask.frames import exposures
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.gates import OLD, held_apart
from pulsar_dask.frames.when import as_jd, now
from pulsar_dask.inputs.flatlog import entries_of
from pulsar_dask.masters.choice import Choice
from pulsar_dask.masters.darkchoice import Bias
from pulsar_dask.masters.library import Library
from pulsar_dask.masters.shelf import exposure_of
from pulsar_dask.tools.choices import find_lights, grouped, library_of, say_choices, say_library
from pulsar_dask.tools.frames import settings_of
from pulsar_dask.tools.options import Options, telling

_COLUMNS = ("master", "kind", "exposure", "filter", "degC", "settings", "frames", "bias", "taken")
_KINDS = ("bias", "dark", "flat")


@telling
def library(
    places: Sequence[str], lights: Sequence[str], *, asked: dict[str, Any], options: Options
) -> None:
    """Tell which masters lie in folders; with lights, which serve them and what is missing."""
    report = options.report()
    found = library_of(places, places, asked, options.search)
    wanted: list[Frame] = []
    unread: list[tuple[str, str]] = []
    if lights:
        wanted, unread = find_lights(lights, options.search, report)
    ends = [f.about.jd for f in wanted if f.about.jd is not None]
    at = max(ends) if ends else now()
    masters = sorted(found.masters, key=lambda f: (_KINDS.index(f.kind or "bias"), f.path))
    stale = {f.path: list(_stale(f, found, at)) for f in masters}
    lines = [_COLUMNS, *(_row(f, found) for f in masters)]
    for master, _ in zip([None, *masters], report.rows(lines), strict=True):
        for why in stale[master.path] if master is not None else ():
            report.row(f"    stale: {why}")
    for master in masters:
        report.know("library", _as_data(master, found, stale[master.path]))
    counts = Counter(f.kind for f in masters)
    each = ", ".join(f"{counts[kind]} of {kind}" for kind in _KINDS if counts[kind])
    report.say(count(len(masters), "master") + (f": {each}" if each else ""))
    say_library(found, report)
    if not wanted:
        return
    choices = [found.match(f) for f in wanted]
    without = unread + say_choices(choices, found.rules, report, all_reasons=True)
    for some in grouped(c for c in choices if c.error is None):
        for note in dict.fromkeys(note for c in some for note in c.notes):
            warn(f"{some[0].light.name}: {note}", "calibrator", frames=(some[0].light.path,))
    for need in needs(choices):
        report.say(f"{need.pop('text')}")
        report.know("missing", need)
    if without:
        lost = NotMade(
            f"{len(without)} of {count(len(wanted) + len(unread), 'light')} lack masters"
        )
        lost.reasons = tuple(without)
        raise lost


def needs(choices: Sequence[Choice]) -> list[dict[str, Any]]:
    """What to shoot next for lights: darks of their exposures, flats of their filters."""
    found: dict[tuple[Any, ...], list[Choice]] = {}
    for choice in choices:
        light = choice.light
        warmth = light.about.set_point if light.about.set_point is not None else light.temperature
        settings = tuple(settings_of(light))
        lacks = dict(choice.missing)
        if "dark" in lacks or choice.k != 1:
            time = light.exposure and exposures.name(light.exposure)
            degrees = None if warmth is None else round(warmth)
            found.setdefault(("dark", time, degrees, settings), []).append(choice)
        if "flat" in lacks:
            found.setdefault(("flat", light.filter, None, settings), []).append(choice)
    return [_need(key, some) for key, some in found.items()]


def _need(key: tuple[Any, ...], some: Sequence[Choice]) -> dict[str, Any]:
    kind, what, degrees, settings = key
    lights = count(len(some), "light")
    if kind == "dark":
        words = [f"darks of {what or 'no stated exposure'}"]
        words += [f"at {degrees} degC"] if degrees is not None else []
    else:
        words = [f"flats of filter {printable(what)}" if what else "flats without a filter"]
    better = all(not choice.missing for choice in some)
    begin = "better than scaling" if better else "missing"
    text = f"{begin}: {' '.join(words)}, {' '.join(settings)} ({lights})"
    first = some[0].light
    return {
        "text": text,
        "kind": kind,
        "exposure": first.exposure if kind == "dark" else None,
        "filter": what if kind == "flat" else None,
        "temperature": degrees,
        "settings": dict(first.about.settings),
        "needed": not better,
        "lights": [choice.light.path for choice in some],
    }


def _stale(master: Frame, found: Library, at: float) -> Iterator[str]:
    """Why a master is to be made again, or serves no more."""
    rules, jd = found.rules, master.about.jd
    if jd is not None and at - jd > OLD:
        yield f"{at - jd:.0f} days old"
    if master.kind == "flat":
        camera = master.about.setting("INSTRUME")
        entries = entries_of(rules.log or (), str(camera)) if camera else []
        if jd is not None and entries and as_jd(entries[-1].when) > jd:
            yield f"from before {entries[-1].when:%Y-%m-%d}, when flats became others (newflat)"
        if found.holds_bias(master):
            yield "it may hold its bias, an error of 1 to 4 % in the corners"
        return
    if master.kind == "dark" and found.bias_of(master, master) == Bias(True, None):
        yield "its bias was subtracted and is not there"
    others = found.darks if master.kind == "dark" else found.biases
    newer = [f for f in others if _replaces(f, master, found)]
    if newer:
        yield f"{rules.name(max(newer, key=lambda f: f.about.jd or 0.0))} is newer"


def _replaces(new: Frame, old: Frame, found: Library) -> bool:
    """Whether a dark or bias is the newer one of two that serve the same frames."""
    rules = found.rules
    if new.about.jd is None or old.about.jd is None or new.about.jd <= old.about.jd:
        return False
    if dict(new.about.settings) != dict(old.about.settings) or rules.differ(new, old):
        return False
    if old.kind == "dark":
        ours, theirs = exposure_of(old) or 0.0, exposure_of(new) or 0.0
        if not exposures.same_exposure(ours, theirs, rules.ways.tolerance):
            return False
    warm, cold = new.temperature, old.temperature
    near = warm is None or cold is None or abs(warm - cold) <= 1
    return near and held_apart(new, old, rules.ways) is None


def _row(master: Frame, found: Library) -> tuple[str, ...]:
    time_ = exposure_of(master) if master.kind == "dark" else None
    frames = read_header(master).get("NCOMBINE")
    return (
        found.rules.name(master),
        master.kind or "",
        "" if time_ is None else f"{time_:.10g} s",
        printable(master.filter or ""),
        "" if master.temperature is None else f"{master.temperature:g}",
        " ".join(settings_of(master)),
        "" if frames is None else printable(frames),
        _bias_word(master, found),
        printable((master.date or "")[:10]),
    )


def _bias_word(master: Frame, found: Library) -> str:
    if master.kind == "dark":
        return {True: "out", False: "in", None: "?"}[found.says(master).out]
    return ("in?" if found.holds_bias(master) else "") if master.kind == "flat" else ""


def _as_data(master: Frame, found: Library, stale: Sequence[str]) -> dict[str, Any]:
    about = master.about
    return {
        "path": master.path,
        "kind": master.kind,
        "exposure": exposure_of(master) if master.kind == "dark" else about.exposure,
        "filter": about.filter,
        "temperature": about.temperature,
        "set_point": about.set_point,
        "shape": list(master.shape),
        "settings": dict(about.settings),
        "date": about.date,
        "jd": about.jd,
        "bias_out": found.says(master).out if master.kind == "dark" else None,
        "stale": list(stale),
    }
