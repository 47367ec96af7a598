"""Which frames belong together, and what their master is called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pulsar_dask.errors import printable
from pulsar_dask.frames import exposures
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.group import USUAL, Group, Grouped, Ways
from pulsar_dask.frames.naming import filter_code, filter_meaning
from pulsar_dask.frames.split import ordered, split

NO_EXPOSURE = "no EXPTIME (nor EXPOSURE) in its header; ⟦exposure⟧ S says it"


def dark_groups(frames: Sequence[Frame], ways: Ways = USUAL) -> Grouped:
    """Darks by exposure, settings and temperature."""
    timed, out = _timed(frames)
    if "exposure" in ways.mix:
        by_time = [timed] if timed else []
    else:
        by_time = exposures.by_exposure(timed, ways.tolerance)
    stems = exposures.stems([exposures.commonest(some) for some in by_time])
    groups: list[Group] = []
    for some, stem in zip(by_time, stems, strict=True):
        found, left = split("dark", some, stem, ways, warm=True)
        groups += [_with_exposure(group, ways) for group in found]
        out += left
    near = exposures.hint(g.exposure for g in groups if g.exposure is not None)
    times = sorted({g.exposure for g in groups if g.exposure is not None})
    notes = [f"the darks of {', '.join(f'{t:g}' for t in times)} s are made one by one; {near}"]
    return Grouped(_unique(groups), tuple(out), tuple(notes if near else ()))


def bias_groups(frames: Sequence[Frame], ways: Ways = USUAL) -> Grouped:
    """Biases by settings; exposures are not compared."""
    groups, _ = split("bias", frames, "", ways)
    return Grouped(_unique([_spread(group, ways) for group in groups]))


def flat_groups(
    frames: Sequence[Frame],
    ways: Ways = USUAL,
    *,
    timed: bool = True,
) -> Grouped:
    """Flats by filter and settings; each of one exposure, unless these are mixed. `timed` says that
    an exposure is needed."""
    kept, out = _timed(frames) if timed else (ordered(frames), [])
    groups: list[Group] = []
    failed: list[tuple[str, str]] = []
    for code, some in _by_code(kept, ways).items():
        meanings: dict[str, Frame] = {}
        for f in some:
            meanings.setdefault(filter_meaning(f.filter) if f.filter else "", f)
        if len(meanings) > 1:
            one, other, *_ = meanings.values()
            failed.append((f"flat_{code}.fit", _clash(one, other, code)))
            continue
        for group in split("flat", some, code, ways)[0]:
            group = _with_exposure(_with_filter(group, ways), ways)
            if group.exposure is None and "exposure" not in ways.mix and len(_times(group)) > 1:
                failed.append((f"{group.name}.fit", _inconsistent(group, ways)))
            else:
                groups.append(_spread(group, ways))
    return Grouped(_unique(groups), tuple(out), (), tuple(failed))


# --- exposures and filters -------------------------------------------------------------------


def _timed(frames: Sequence[Frame]) -> tuple[list[Frame], list[tuple[Frame, str]]]:
    """Those that have an exposure, and the others with the reason why they are left out."""
    out = [
        (f, f"{f.about.problem}; ⟦exposure⟧ S says it" if f.about.problem else NO_EXPOSURE)
        for f in ordered(frames)
        if f.exposure is None
    ]
    return [f for f in ordered(frames) if f.exposure is not None], out


def _times(group: Group) -> list[float]:
    return sorted({f.exposure for f in group.frames if f.exposure is not None})


def _with_exposure(group: Group, ways: Ways) -> Group:
    """With the one exposure of its frames, if they have one; the header gets that."""
    times = _times(group)
    if not times:
        return group
    if exposures.same_exposure(times[0], times[-1], ways.tolerance):
        return replace(group, exposure=exposures.commonest(group.frames))
    what = f"exposures from {times[0]:g} to {times[-1]:g} s"
    return replace(group, mixed=(*group.mixed, what), notes=(*group.notes, f"{what} are mixed"))


def _inconsistent(group: Group, ways: Ways) -> str:
    lines = []
    for some in exposures.by_exposure(group.frames, ways.tolerance):
        files = [printable(os.path.basename(f.path)) for f in some]
        more = f" and {len(files) - 5} more" if len(files) > 5 else ""
        lines.append(f"{exposures.commonest(some):g} s: {', '.join(files[:5])}{more}")
    more = f" and {len(lines) - 5} more exposures" if len(lines) > 5 else ""
    near = exposures.hint(_times(group))
    return (
        f"Inconsistent exposures for {group.name}.fit: {'; '.join(lines[:5])}{more}. "
        "⟦mix⟧ exposure makes one flat of all of them (sky flats, automatic exposures; with "
        "⟦dark⟧ bias.fit where there are no darks)" + (f"; {near}" if near else "")
    )


def _by_code(frames: Sequence[Frame], ways: Ways) -> dict[str, list[Frame]]:
    codes: dict[str, list[Frame]] = {}
    for frame in frames:
        code = filter_code(frame.filter) if frame.filter else "nothing"
        codes.setdefault("nofilter" if code == "nothing" else code, []).append(frame)
    if ways.split_case:
        for code, some in list(codes.items()):
            lower = [f for f in some if f.filter and f.filter == f.filter.lower()]
            if lower and len(lower) < len(some):
                codes[code] = [f for f in some if f not in lower]
                codes[f"{code}_lower"] = lower
    return dict(sorted(codes.items()))


def _with_filter(group: Group, ways: Ways) -> Group:
    spellings = Counter(f.filter for f in group.frames if f.filter)
    if not spellings:
        return replace(
            group, notes=(*group.notes, "no FILTER in the headers; ⟦filter⟧ NAME gives one")
        )
    commonest = min(spellings, key=lambda s: (-spellings[s], s))
    notes = group.notes
    if len(spellings) > 1:
        names = ", ".join(repr(printable(s)) for s in sorted(spellings))
        apart = len({s.lower() for s in spellings}) < len(spellings)
        way = "; ⟦split_case⟧ keeps those of different case apart" if apart else ""
        notes = (*notes, f"the filters {names} are taken as one{way}")
    return replace(group, filter=commonest, notes=notes)


def _clash(one: Frame, other: Frame, code: str) -> str:
    return (
        f"{printable(one.path)} with the filter {printable(repr(one.filter))} and "
        f"{printable(other.path)} with {printable(repr(other.filter))} would both become "
        f"flat_{code}.fit; rename one filter in the headers, or make the flats of each in a folder "
        "of their own"
    )


#: °C over which biases and flats of one group are warned about.
_WIDE = 10.0


def _spread(group: Group, ways: Ways) -> Group:
    """With a warning where biases or flats are of very different temperatures."""
    known = [f.temperature for f in group.frames if f.temperature is not None]
    if not known or max(known) - min(known) <= _WIDE or "temperature" in ways.mix:
        return group
    text = f"the temperature goes from {min(known):g} to {max(known):g} degC"
    return replace(group, notes=(*group.notes, text))


def _unique(groups: Sequence[Group]) -> tuple[Group, ...]:
    """No two share a name, whatever letters a name cannot hold."""
    seen: Counter[str] = Counter()
    found = []
    for group in groups:
        name = group.name.lower()
        seen[name] += 1
        more = f"_{seen[name]}" if seen[name] > 1 else ""
        found.append(replace(group, suffix=group.suffix + more))
    return tuple(found)
