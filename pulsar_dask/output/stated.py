"""What the frames of a master state, as it holds for all of them: settings, unit, filter; and
whether the bias is out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pulsar_dask.formats.reading import read_header
from pulsar_dask.frames import biasout, settings, temperature
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.naming import filter_code
from pulsar_dask.frames.step import Step
from pulsar_dask.frames.table import Setting, own_table


@dataclass(frozen=True)
class Stand:
    """One setting."""

    keywords: tuple[str, ...]
    """All that may state it."""
    origins: tuple[str, ...]
    """Those that do."""
    agreed: bool
    """Whether what frames state is one value."""
    place: int = 0
    """Of the first frame that states it."""
    card: tuple[str, ...] = ()
    """The keywords of its card, and of the other one of a pair."""


def stands(frames: Sequence[Frame]) -> Iterator[Stand]:
    """The settings that any of the frames states; the unit and the size aside."""
    known = {s.keyword: s for s in own_table().settings if s.word not in ("size", "unit")}
    stated = dict.fromkeys(k for f in frames for k, _ in f.about.settings if k != "BUNIT")
    for keyword in stated:
        setting = known.get(keyword) or Setting("", keyword)  # one of a user's
        values = [f.about.setting(keyword) for f in frames]
        keys = [settings.key(v, setting) for v in values if v is not None]
        agreed = len(set(settings.clusters(keys, setting).values())) == 1
        place = next(i for i, v in enumerate(values) if v is not None)
        told = frames[place].about.origin(keyword) or keyword
        origins = _with_pair([f.about.origin(keyword) or keyword for f in frames])
        named = _with_pair((keyword, *setting.also))
        yield Stand(named, origins, agreed, place, _with_pair((told,)))


def _with_pair(keywords: Sequence[str]) -> tuple[str, ...]:
    pairs = (k.replace("X", "Y") for k in keywords if "BIN" in k or "SUBF" in k or "OFF" in k)
    return tuple(dict.fromkeys((*keywords, *pairs)))


def unit(frames: Sequence[Frame]) -> str | None:
    """BUNIT: 'adu' for a word of it or none, else as the first frame writes it; None where they
    differ. One that astropy does not know stays as it is: who reads it has to say what it means."""
    (setting,) = (s for s in own_table().settings if s.keyword == "BUNIT")
    keys = [settings.key_of(f, setting) for f in frames]
    if any(key != keys[0] for key in keys):
        return None
    if keys[0] in (setting.absent, None):
        return "adu"
    return str(frames[0].about.setting("BUNIT"))


def filter_of(frames: Sequence[Frame]) -> str | None:
    """The filter of all frames in its commonest spelling; None where they have several."""
    names = Counter(f.filter for f in frames)
    if None in names or len({filter_code(name) for name in names if name}) != 1:
        return None
    return min((n for n in names if n), key=lambda n: (-names[n], n))


def set_points_agree(frames: Sequence[Frame]) -> bool:
    """Whether set points are one, as they are in a group."""
    known = [f.about.set_point for f in frames if f.about.set_point is not None]
    return not known or max(known) - min(known) <= temperature.ONE + 1e-9


def bias_out(kind: str | None, frames: Sequence[Frame], steps: Sequence[Step | str]) -> bool | None:
    """Whether the bias is out of a master dark or flat; None where it is neither, or cannot be
    told. What is subtracted from flats always takes it out: where a dark does not hold it, it is
    subtracted, too."""
    if kind not in ("dark", "flat"):
        return None
    out = [_takes(step) for step in steps if isinstance(step, Step) and "minus" in step.verb]
    if out:
        return out[0] if len(set(out)) == 1 else None
    before = {_out_of(frame, kind) for frame in frames}
    return before.pop() if len(before) == 1 else None


def _takes(step: Step) -> bool:
    """Whether a step subtracts anything."""
    return step.verb != "minus from" or bool(step.args[0] or step.args[1])


def _out_of(frame: Frame, kind: str) -> bool | None:
    if not frame.is_master and frame.about.calibrated is None:
        return False
    header = read_header(frame)
    return biasout.stated(header, frame.path)[0] if kind == "dark" else biasout.flag(header)
