"""Frames told apart by their settings, and darks by their temperature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pulsar_dask.errors import Remark, count
from pulsar_dask.frames import settings, temperature
from pulsar_dask.frames.about import Value
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.group import Group, Ways
from pulsar_dask.frames.table import Setting, table
from pulsar_dask.inputs.words import natural_key

_Part = tuple[list[Frame], dict[str, str]]
"""Frames that agree so far, and what stands in a name of what told them apart."""


def split(
    kind: str, frames: Sequence[Frame], stem: str, ways: Ways, *, warm: bool = False
) -> tuple[list[Group], list[tuple[Frame, str]]]:
    """Groups of frames that agree in the settings, one after the other in the table's order."""
    parts: list[_Part] = [(ordered(frames), {})]
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
        if len(warmths) == 2 and not warmths[-1].name:
            together = (*warmths[0].frames, *warmths[1].frames)
            warmths = [replace(warmths[0], frames=tuple(ordered(together)))]
        for warmth in warmths:
            said = [*_missing_notes(names, warmth.frames, differing), *warmth.notes]
            groups.append((warmth, names, said, len(warmths) > 1))
    warm_names = any(several for *_, several in groups)
    made = []
    for warmth, names, said, several in groups:
        those = tuple(ordered(warmth.frames))
        words = _words(those, names, differing, ways)
        if warm and (warm_names or ways.full_names):
            words.append(warmth.name or "notemperature")
        if several and not warmth.name:
            said.append("frames without a temperature where others have several")
        suffix = "".join(f"_{w}" for w in words)
        group = Group(kind, those, stem, suffix, notes=(*said, *_chips(those)))
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
        Remark(
            f"{count(len(frames), 'frame')} without {' and '.join(gone)}, of which others state "
            "several values, are a master of their own",
            "not-stated",
        )
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
    if "temperature" in ways.mix and temperature.apart(group.frames, temperature.ONE):
        known = temperature.known(group.frames)
        texts.append(f"temperatures from {known[0]:g} to {known[-1]:g} degC")
    notes = tuple(Remark(f"{text} are mixed", "mixed") for text in texts)
    return replace(group, mixed=(*group.mixed, *texts), notes=(*group.notes, *notes))


def _shown(value: Value | None) -> str:
    return "none" if value is None else settings.shown(value)


def _chips(frames: Sequence[Frame]) -> list[str]:
    """A warning where frames may be the chips of one exposure."""
    dates = [f.date for f in frames if f.date and "T" in f.date]
    times = set(Counter(dates).values())
    if len(dates) < len(frames) or len(times) != 1 or times == {1}:
        return []
    (n,) = times
    return [
        Remark(
            f"each DATE-OBS occurs {n} times; if these are {n} chips of one exposure, ⟦keywords⟧ "
            "FILE names the card that tells them apart",
            "same-instant",
        )
    ]


def ordered(frames: Iterable[Frame]) -> list[Frame]:
    """In an order that does not depend on that in which they were named."""
    return sorted(frames, key=lambda f: natural_key(f.path))
