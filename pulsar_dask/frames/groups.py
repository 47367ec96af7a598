"""Which frames belong together, and what their master is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pulsar_dask.errors import Remark, printable
from pulsar_dask.frames import exposures, temperature
from pulsar_dask.frames.frame import Frame, named
from pulsar_dask.frames.group import USUAL, Group, Grouped, Ways
from pulsar_dask.frames.naming import filter_code, filter_meaning
from pulsar_dask.frames.split import ordered, split

WRITE_IT = "write the exposure time in seconds into its header, or ⟦exposure⟧ S says it"
NO_EXPOSURE = f"no EXPTIME (nor EXPOSURE) in its header; {WRITE_IT}"


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
    # of exposures, not of groups: several of one exposure are told apart by their settings
    times = [exposures.commonest(some) for some in by_time]
    near = exposures.hint(times)
    text = f"the darks of {', '.join(f'{t:g}' for t in times)} s are made one by one; {near}"
    notes = [Remark(text, "exposures")]
    return Grouped(_unique(groups), tuple(out), tuple(notes if near else ()))


def bias_groups(frames: Sequence[Frame], ways: Ways = USUAL) -> Grouped:
    """Biases by settings; exposures are not compared."""
    groups = split("bias", frames, "", ways)[0] if frames else []
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
        (f, f"{f.about.problem}; {WRITE_IT}" if f.about.problem else NO_EXPOSURE)
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
    return replace(
        group,
        mixed=(*group.mixed, what),
        notes=(*group.notes, Remark(f"{what} are mixed", "mixed")),
    )


def _inconsistent(group: Group, ways: Ways) -> str:
    lines = []
    for some in exposures.by_exposure(group.frames, ways.tolerance):
        lines.append(f"{exposures.commonest(some):g} s: {named(some, 5)}")
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
            group,
            notes=(
                *group.notes,
                Remark("no FILTER in the headers; ⟦filter⟧ NAME gives one", "no-filter"),
            ),
        )
    commonest = min(spellings, key=lambda s: (-spellings[s], s))
    notes = group.notes
    if len(spellings) > 1:
        names = ", ".join(repr(printable(s)) for s in sorted(spellings))
        apart = len({s.lower() for s in spellings}) < len(spellings)
        way = "; ⟦split_case⟧ keeps those of different case apart" if apart else ""
        notes = (*notes, Remark(f"the filters {names} are taken as one{way}", "filters"))
    return replace(group, filter=commonest, notes=notes)


def _clash(one: Frame, other: Frame, code: str) -> str:
    return (
        f"{printable(one.path)} with the filter {printable(repr(one.filter))} and "
        f"{printable(other.path)} with {printable(repr(other.filter))} would both become "
        f"flat_{code}.fit; rename one filter in the headers, or make the flats of each in a folder "
        "of their own"
    )


def _spread(group: Group, ways: Ways) -> Group:
    """With a warning where biases or flats are of very different temperatures."""
    if "temperature" in ways.mix or not temperature.apart(group.frames, temperature.WIDE):
        return group
    return replace(
        group, notes=(*group.notes, Remark(temperature.range_of(group.frames), "temperature"))
    )


def _unique(groups: Sequence[Group]) -> tuple[Group, ...]:
    """No two share a name, whatever letters a name cannot hold."""
    taken = {group.name.lower() for group in groups}
    seen: set[str] = set()
    found = []
    for group in groups:
        name, more, n = group.name.lower(), "", 1
        while name + more in seen or (more and name + more in taken):
            n += 1
            more = f"_{n}"
        seen.add(name + more)
        found.append(replace(group, suffix=group.suffix + more))
    return tuple(found)
