"""Which frames belong together, and what their master is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pulsar_dask.errors import count, printable
from pulsar_dask.frames import exposures, settings, temperature
from pulsar_dask.frames.about import Value
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.naming import filter_code, filter_meaning
from pulsar_dask.frames.table import Setting, table


@dataclass(frozen=True)
class Ways:
    """How frames are told apart."""

    mix: frozenset[str] = frozenset()
    """Settings (words of the table), "temperature", "exposure" that tell none apart."""
    tolerance: float | None = None
    """Seconds within which exposures are the same; None: see `exposures.tolerance`."""
    full_names: bool = False
    """Whether every setting that is known stands in every name."""
    split_case: bool = False
    """Whether filters that differ in case alone are two: Sloan r, Cousins R."""


@dataclass(frozen=True)
class Group:
    """Frames of one master."""

    kind: str
    frames: tuple[Frame, ...]
    stem: str = ""
    """What comes after the kind in its name: "120s", "l"."""
    suffix: str = ""
    """The settings in which it differs from others: "_gain100_-10C"."""
    exposure: float | None = None
    """The commonest, seconds; None where the frames state none, or several are mixed."""
    filter: str | None = None
    """In its commonest spelling."""
    notes: tuple[str, ...] = ()
    """What there is to say of it, in words."""
    mixed: tuple[str, ...] = ()
    """What was mixed, with its values, in words."""

    @property
    def name(self) -> str:
        """Of its master, without an ending."""
        between = "_" if self.kind == "flat" else ""
        return f"{self.kind}{between}{self.stem}{self.suffix}"

    @property
    def list_name(self) -> str:
        """Of its list of hot pixels."""
        return f"cosme{self.stem}{self.suffix}"


@dataclass(frozen=True)
class Grouped:
    """Frames told apart."""

    groups: tuple[Group, ...] = ()
    left_out: tuple[tuple[Frame, str], ...] = ()
    """Frames that belong to none, and why."""
    notes: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    """Name and reason of what cannot be made."""


NO_EXPOSURE = "no exposure in its header; ⟦exposure⟧ S says it"


def dark_groups(frames: Sequence[Frame], ways: Ways = Ways()) -> Grouped:
    """Darks by exposure, settings and temperature."""
    timed, out = _timed(frames)
    if "exposure" in ways.mix:
        by_time = [timed] if timed else []
    else:
        by_time = exposures.by_exposure(timed, ways.tolerance)
    stems = exposures.stems([exposures.commonest(some) for some in by_time])
    groups: list[Group] = []
    for some, stem in zip(by_time, stems, strict=True):
        found, left = _split("dark", some, stem, ways, warm=True)
        groups += [_with_exposure(group, ways) for group in found]
        out += left
    near = exposures.hint(g.exposure for g in groups if g.exposure is not None)
    times = sorted({g.exposure for g in groups if g.exposure is not None})
    notes = [f"the darks of {', '.join(f'{t:g}' for t in times)} s are made one by one; {near}"]
    return Grouped(_unique(groups), tuple(out), tuple(notes if near else ()))


def bias_groups(frames: Sequence[Frame], ways: Ways = Ways()) -> Grouped:
    """Biases by settings; exposures are not compared."""
    groups, _ = _split("bias", frames, "", ways)
    return Grouped(_unique([_spread(group, ways) for group in groups]))


def flat_groups(
    frames: Sequence[Frame],
    ways: Ways = Ways(),
    *,
    timed: bool = True,
) -> Grouped:
    """Flats by filter and settings; each of one exposure, unless these are mixed. `timed` says that
    an exposure is needed."""
    kept, out = _timed(frames) if timed else (_ordered(frames), [])
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
        for group in _split("flat", some, code, ways)[0]:
            group = _with_exposure(_with_filter(group, ways), ways)
            if group.exposure is None and "exposure" not in ways.mix and len(_times(group)) > 1:
                failed.append((f"{group.name}.fit", _inconsistent(group, ways)))
            else:
                groups.append(_spread(group, ways))
    return Grouped(_unique(groups), tuple(out), (), tuple(failed))


# --- exposures and filters -------------------------------------------------------------------


def _timed(frames: Sequence[Frame]) -> tuple[list[Frame], list[tuple[Frame, str]]]:
    """Those that have an exposure, and the others with the reason why they are left out."""
    ordered = _ordered(frames)
    out = [
        (f, f"{f.about.problem}; ⟦exposure⟧ S says it" if f.about.problem else NO_EXPOSURE)
        for f in ordered
        if f.exposure is None
    ]
    return [f for f in ordered if f.exposure is not None], out


def _ordered(frames: Iterable[Frame]) -> list[Frame]:
    """In an order that does not depend on that in which they were named."""
    from pulsar_dask.inputs.words import natural_key

    return sorted(frames, key=lambda f: natural_key(f.path))


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
        files = [_file(f) for f in some]
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


# --- settings and temperature ----------------------------------------------------------------

_Part = tuple[list[Frame], dict[str, str]]
"""Frames that agree so far, and what stands in a name of what told them apart."""


def _split(
    kind: str, frames: Sequence[Frame], stem: str, ways: Ways, *, warm: bool = False
) -> tuple[list[Group], list[tuple[Frame, str]]]:
    """Groups of frames that agree in the settings, one after the other in the table's order."""
    parts: list[_Part] = [(_ordered(frames), {})]
    notes: dict[int, list[str]] = {}
    for setting in table().settings:
        if setting.word in ways.mix:
            continue
        parts = [new for part in parts for new in _apart(part, setting)]
    differing = [s for s in table().settings if any(s.keyword in names for _, names in parts)]
    out: list[tuple[Frame, str]] = []
    groups = []
    for some, names in parts:
        warmths = [temperature.Warmth("", tuple(some))]
        if warm and "temperature" not in ways.mix:
            warmths, left = temperature.split(some)
            out += left
        if len(warmths) > 1 and not warmths[-1].name and len(warmths) == 2:
            together = (*warmths[0].frames, *warmths[1].frames)
            warmths = [replace(warmths[0], frames=tuple(_ordered(together)))]
        for warmth in warmths:
            said = [*_missing_notes(names, warmth.frames, differing), *warmth.notes]
            groups.append((warmth, names, said, len(warmths) > 1))
    notes.clear()
    warm_names = any(several for *_, several in groups)
    made = []
    for warmth, names, said, several in groups:
        ordered = tuple(_ordered(warmth.frames))
        words = _words(ordered, names, differing, ways)
        if warm and (warm_names or ways.full_names):
            words.append(warmth.name or "notemperature")
        if several and not warmth.name:
            said.append("frames without a temperature where others have several")
        suffix = "".join(f"_{w}" for w in words)
        group = Group(kind, ordered, stem, suffix, notes=(*said, *_chips(ordered)))
        made.append(_mixed(group, ways))
    return made, out


def _apart(part: _Part, setting: Setting) -> list[_Part]:
    """Frames that agree so far, told apart by one setting; those that do not state it are by
    themselves where others state several values."""
    frames, names = part
    keys = {id(f): settings.key_of(f, setting) for f in frames}
    cluster = settings.clusters([k for k in keys.values() if k is not None], setting)
    by_value: dict[settings.Key | None, list[Frame]] = {}
    for frame in frames:
        known = keys[id(frame)]
        by_value.setdefault(None if known is None else cluster[known], []).append(frame)
    if len(by_value.keys() - {None}) < 2:
        return [part]
    return [
        (some, names | {setting.keyword: _in_name(some, setting)})
        for _, some in sorted(by_value.items(), key=lambda item: _key_order(item[0]))
    ]


def _key_order(key: settings.Key | None) -> tuple[int, float, str]:
    if key is None:
        return 2, 0.0, ""
    return (0, key, "") if isinstance(key, float) else (1, 0.0, key)


def _in_name(frames: Sequence[Frame], setting: Setting) -> str:
    """What stands in a name for the value that frames share: as most of them write it."""
    values = [v for f in frames if (v := settings.value_of(f, setting)) is not None]
    if not values:
        return f"no{setting.word}"
    texts = Counter(settings.in_name(v, setting) for v in values)
    return min(texts, key=lambda t: (-texts[t], t))


def _words(
    frames: Sequence[Frame], names: Mapping[str, str], differing: Sequence[Setting], ways: Ways
) -> list[str]:
    """What stands in a name: settings that differ among those of its exposure or filter, or all."""
    words: list[str] = []
    for setting in table().settings if ways.full_names else differing:
        known = any(settings.value_of(f, setting) is not None for f in frames)
        if setting in differing:
            text = names.get(setting.keyword) or _in_name(frames, setting)
        elif not known or setting.word in ("size", *ways.mix) or setting.absent is not None:
            continue
        else:
            text = _in_name(frames, setting)
        if text not in words:
            words.append(text)
    return words


def _missing_notes(
    names: Mapping[str, str], frames: Sequence[Frame], differing: Sequence[Setting]
) -> list[str]:
    gone = [s.keyword for s in differing if names.get(s.keyword) == f"no{s.word}"]
    if not gone:
        return []
    return [
        f"{count(len(frames), 'frame')} without {' and '.join(gone)}, of which others state "
        "several values, are a master of their own"
    ]


def _mixed(group: Group, ways: Ways) -> Group:
    """With what was mixed on the user's word."""
    texts = []
    for setting in table().settings:
        if setting.word in ways.mix:
            keys = {k: f for f in group.frames if (k := settings.key_of(f, setting)) is not None}
            if len(set(settings.clusters(keys, setting).values())) > 1:
                values = [settings.value_of(keys[k], setting) for k in sorted(keys, key=_key_order)]
                texts.append(f"{setting.keyword} {' and '.join(map(_shown, values))}")
    known = [f.temperature for f in group.frames if f.temperature is not None]
    if "temperature" in ways.mix and known and max(known) - min(known) > temperature.ONE:
        texts.append(f"temperatures from {min(known):g} to {max(known):g} degC")
    notes = tuple(f"{text} are mixed" for text in texts)
    return replace(group, mixed=(*group.mixed, *texts), notes=(*group.notes, *notes))


def _shown(value: Value | None) -> str:
    return "none" if value is None else settings.shown(value)


#: °C over which biases and flats of one group are warned about.
_WIDE = 10.0


def _spread(group: Group, ways: Ways) -> Group:
    """With a warning where biases or flats are of very different temperatures."""
    known = [f.temperature for f in group.frames if f.temperature is not None]
    if not known or max(known) - min(known) <= _WIDE or "temperature" in ways.mix:
        return group
    text = f"the temperature goes from {min(known):g} to {max(known):g} degC"
    return replace(group, notes=(*group.notes, text))


def _chips(frames: Sequence[Frame]) -> list[str]:
    """A warning where frames may be the chips of one exposure."""
    dates = [f.date for f in frames if f.date and "T" in f.date]
    times = set(Counter(dates).values())
    if len(dates) < len(frames) or len(times) != 1 or times == {1}:
        return []
    (n,) = times
    return [
        f"each DATE-OBS occurs {n} times; if these are {n} chips of one exposure, ⟦keywords⟧ FILE "
        "names the card that tells them apart"
    ]


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


def _file(frame: Frame) -> str:
    return printable(frame.path.replace("\\", "/").rsplit("/", 1)[-1])


# --- kinds -----------------------------------------------------------------------------------


def raw_frames(frames: Iterable[Frame], kind: str) -> list[Frame]:
    """Those of one kind that are no masters."""
    return [f for f in frames if f.kind == kind and not f.is_master]


def why_passed(frames: Iterable[Frame]) -> dict[str, int]:
    """Why frames are passed over: reason and count."""
    return dict(Counter(map(why, frames)))


def why(frame: Frame) -> str:
    """Why a frame is passed over, as it is said of several."""
    if frame.is_master:
        return "masters"
    if frame.kind is None:
        return "without IMAGETYP"
    if frame.kind == "other":
        return f"of type '{printable(frame.about.label)[:20]}'"
    return f"{frame.kind} frames"
