"""Whether images that a user combines look as if they belonged together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pulsar_dask.errors import Remark, printable
from pulsar_dask.frames import exposures, settings, temperature
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.group import USUAL, Ways
from pulsar_dask.frames.naming import filter_code
from pulsar_dask.frames.table import Setting, table


def differences(
    frames: Sequence[Frame],
    ways: Ways = USUAL,
    *,
    into: str = "median",
) -> list[str]:
    """What differs among frames that go into one median, whatever they are; or into one cube, where
    the tools find groups by themselves, but one kind only. In one line."""
    looks: dict[str, Callable[[Frame], Any]] = {"IMAGETYP": _kind}
    if into != "cube":
        looks |= _looks(frames, ways)
    differ = {k: found for k, look in looks.items() if (found := differing(frames, look))}
    if not differ:
        return []
    what = ", ".join(f"{keyword} ({some})" for keyword, (some, _) in differ.items())
    odd = next(iter(differ.values()))[1].name
    return [
        Remark(
            f"the frames differ in {what}; the first odd one is {odd}. Do they belong into one "
            f"{into}?",
            "frames-differ",
        )
    ]


def _kind(frame: Frame) -> str | None:
    return frame.about.label if frame.kind == "other" else frame.kind


def _looks(frames: Sequence[Frame], ways: Ways) -> Mapping[str, Callable[[Frame], Any]]:
    found: dict[str, Callable[[Frame], Any]] = {}
    times = [f.exposure for f in frames if f.exposure is not None and f.kind != "bias"]
    if (
        times
        and "exposure" not in ways.mix
        and not exposures.same_exposure(min(times), max(times), ways.tolerance)
    ):
        found["EXPTIME"] = lambda f: f.exposure
    found["FILTER"] = lambda f: None if f.filter is None else filter_code(f.filter)
    for setting in table().settings:
        if setting.word not in ("size", *ways.mix):
            found[setting.keyword] = _look(frames, setting)
    steady = all(f.kind in ("bias", "flat") for f in frames)
    most = temperature.WIDE if steady else temperature.ONE
    if "temperature" not in ways.mix and temperature.apart(frames, most):
        found["temperature"] = lambda f: f.temperature
    return found


def _look(frames: Sequence[Frame], setting: Setting) -> Callable[[Frame], Any]:
    keys = {k for f in frames if (k := settings.key_of(f, setting)) is not None}
    clusters = settings.clusters(keys, setting)
    if len(set(clusters.values())) < 2:
        return lambda frame: None  # a card that some do not have is no difference
    first: dict[Any, str] = {}
    for frame in frames:
        value = settings.value_of(frame, setting)
        if value is not None:
            first.setdefault(clusters[settings.key(value, setting)], settings.shown(value))

    def look(frame: Frame) -> str | None:
        key = settings.key_of(frame, setting)
        return None if key is None else first[clusters[key]]

    return look


def differing(frames: Sequence[Frame], value: Callable[[Frame], Any]) -> tuple[str, Frame] | None:
    """Some of the values that frames have, and the first frame whose value most have not."""
    counts = Counter(value(f) for f in frames)
    if len(counts) < 2:
        return None
    usual = counts.most_common(1)[0][0]
    odd = next(f for f in frames if value(f) != usual)
    some = list(dict.fromkeys((usual, value(odd), *counts)))
    more = " …" if len(some) > 3 else ""
    texts = (
        "none" if v is None else f"{v:g}" if isinstance(v, float) else printable(v)
        for v in some[:3]
    )
    return " and ".join(texts) + more, odd
