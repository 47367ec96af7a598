"""Whether what calibrates agrees with what it calibrates."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from statistics import median
from typing import Any

from pulsar_dask.errors import PulsarError, Remark
from pulsar_dask.frames import exposures, settings, temperature
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.group import USUAL, Group, Ways
from pulsar_dask.frames.table import Setting, table

#: °C between a dark and its frames, and days, beyond which it is warned.
WARM, OLD = 2.0, 365


def disagreements(
    calibrators: Sequence[Frame],
    frames: Sequence[Frame],
    ways: Ways = USUAL,
) -> list[str]:
    """The settings in which what calibrates differs from frames: "GAIN 100, not 0"."""
    found = []
    for setting in table().settings:
        if setting.word not in ways.mix and _differ(setting, calibrators, frames):
            values = (_values(calibrators, setting), _values(frames, setting))
            word = "size" if setting.word == "size" else setting.keyword
            found.append(f"{word} {values[0]}, not {values[1]}")
    return found


def cautions(
    kind: str,
    calibrators: Sequence[Frame],
    frames: Sequence[Frame],
    ways: Ways = USUAL,
) -> list[str]:
    """What is odd about a calibrator ("bias", "dark") that agrees in its settings, in words."""
    found = []
    warm, cold = _temperature(calibrators), _temperature(frames)
    most = temperature.WIDE if kind == "bias" or frames[0].kind == "flat" else WARM
    known = warm is not None and cold is not None and "temperature" not in ways.mix
    if known and abs(warm - cold) > most:  # type: ignore[operator]
        found.append(f"temperature {warm:g} degC, not {cold:g}")
    then, now = _dates(calibrators), _dates(frames)
    if then and now and (days := abs((now[0] - then[-1]).days)) > OLD:
        found.append(f"{days} days between it and the frames")
    theirs, ours = _exposures(calibrators), _exposures(frames)
    timed = kind == "dark" and theirs and ours and "exposure" not in ways.mix
    pairs = itertools.product(theirs, ours)
    if timed and not any(exposures.same_exposure(a, b, ways.tolerance) for a, b in pairs):
        found.append(f"an exposure of {theirs[0]:g} s, not {ours[0]:g} s")
    if not found:
        return []
    return [Remark(f"the {kind} {calibrators[0].name} has {'; '.join(found)}", "calibrator")]


def choose_calibrator(
    candidates: Sequence[Sequence[Frame]],
    frames: Sequence[Frame],
    ways: Ways = USUAL,
    *,
    newest: bool = False,
    option: str = "bias",
) -> int:
    """Which of several agrees: the one that states more of the frames' settings. With `newest`, of
    those the nearest in temperature, then the newest, then the first by name.

    Raises
    ------
    PulsarError
        None agrees; or those left differ in a setting that the frames do not state.
    """
    why = [disagreements(c, frames, ways) for c in candidates]
    left = [i for i, differ in enumerate(why) if not differ]
    if not left:
        lines = [f"{_name(c)} has {'; '.join(w)}" for c, w in zip(candidates, why, strict=True)]
        more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
        raise PulsarError(
            f"no {option} agrees with these frames: {'; '.join(lines[:3])}{more}; give one that "
            f"does with ⟦{option}⟧{_words(candidates, frames, ways)}",
            "calibration",
        )
    left = most_telling(candidates, left, frames, ways, f"say which with ⟦{option}⟧")
    if newest:
        left.sort(key=lambda i: _preference(candidates[i], frames))
    return left[0]


def most_telling(
    candidates: Sequence[Sequence[Frame]],
    left: Sequence[int],
    frames: Sequence[Frame],
    ways: Ways,
    way_out: str,
) -> list[int]:
    """Of those that agree the ones that state most of the frames' settings.

    Raises
    ------
    PulsarError
        They differ in a setting that the frames do not state.
    """
    most = max(_stated(candidates[i], frames) for i in left)
    left = [i for i in left if _stated(candidates[i], frames) == most]
    if differ := _open(candidates, left, frames, ways):
        names = " and ".join(_name(candidates[i]) for i in left[:3])
        raise PulsarError(
            f"several agree with these frames and differ in {differ}, which the frames do not "
            f"state: {names}; {way_out}",
            "calibration",
        )
    return left


def held_apart(a: Frame, b: Frame, ways: Ways = USUAL) -> str | None:
    """That two frames hold set points which are not one, in words."""
    points = a.about.set_point, b.about.set_point
    if None in points or "temperature" in ways.mix or not all(map(temperature.holds, (a, b))):
        return None
    far = abs(points[0] - points[1]) > temperature.ONE + 1e-9  # type: ignore[operator]
    return f"{points[0]:g} degC, not {points[1]:g}" if far else None


def unstated(calibrator: Frame, frame: Frame) -> list[str]:
    """The keywords of settings that a frame states and what calibrates it does not."""
    return [
        s.keyword
        for s in table().settings
        if s.absent is None and _keys([frame], s) and not _keys([calibrator], s)
    ]


def replaced(old: Frame, group: Group) -> list[str]:
    """In what a master that has the name of a new one was made of frames of other settings."""
    differ = disagreements([old], group.frames)
    if group.kind != "dark":
        return differ
    now, was = _temperature(group.frames), old.temperature
    if now is None or was is None or temperature.apart(group.frames, temperature.ONE):
        return differ
    if abs(now - was) > temperature.HELD:
        differ.append(f"temperature {was:g} degC, not {now:g}")
    return differ


def _keys(frames: Sequence[Frame], setting: Setting) -> set[settings.Key]:
    return {k for f in frames if (k := settings.key_of(f, setting)) is not None}


def _values(frames: Sequence[Frame], setting: Setting) -> str:
    values = [v for f in frames if (v := settings.value_of(f, setting)) is not None]
    texts = list(dict.fromkeys(map(settings.shown, values)))
    return " and ".join(t.replace("x", " x ") if setting.word == "size" else t for t in texts)


def _words(candidates: Sequence[Sequence[Frame]], frames: Sequence[Frame], ways: Ways) -> str:
    """What ``--mix`` needs, for the candidate that differs in least."""
    ways_out = []
    for some in candidates:
        differ = [
            s.word for s in table().settings if s.word not in ways.mix and _differ(s, some, frames)
        ]
        ways_out.append(list(dict.fromkeys(differ)))
    best = min(ways_out, key=len)
    return "" if "size" in best else f", or let it pass with ⟦mix⟧ {','.join(best)}"


def _differ(setting: Setting, some: Sequence[Frame], frames: Sequence[Frame]) -> bool:
    """Whether a calibrator and frames state different values of one setting."""
    theirs, ours = _keys(some, setting), _keys(frames, setting)
    return bool(theirs and ours) and not any(
        settings.same(a, b, setting) for a in theirs for b in ours
    )


def _stated(some: Sequence[Frame], frames: Sequence[Frame]) -> int:
    """How many of the settings that frames state a calibrator states, too."""
    return sum(
        1 for s in table().settings if s.absent is None and _keys(frames, s) and _keys(some, s)
    )


def _open(
    candidates: Sequence[Sequence[Frame]], left: Sequence[int], frames: Sequence[Frame], ways: Ways
) -> str:
    """Settings that frames do not state, and in which those left differ."""
    found = []
    for setting in table().settings:
        if setting.word in ways.mix or _keys(frames, setting):
            continue
        keys = set().union(*(_keys(candidates[i], setting) for i in left))
        if len(set(settings.clusters(keys, setting).values())) > 1:
            found.append(setting.keyword)
    return " and ".join(found)


def _preference(some: Sequence[Frame], frames: Sequence[Frame]) -> tuple[Any, ...]:
    warm, cold = _temperature(some), _temperature(frames)
    apart = abs(warm - cold) if warm is not None and cold is not None else float("inf")
    dates = _dates(some)
    when = dates[-1].timestamp() if dates else some[0].mtime_ns / 1e9
    return round(apart, 6), -when, some[0].path


def _temperature(frames: Sequence[Frame]) -> float | None:
    known = temperature.known(frames)
    return median(known) if known else None


def _exposures(frames: Sequence[Frame]) -> list[float]:
    return sorted({f.exposure for f in frames if f.exposure is not None})


def _dates(frames: Sequence[Frame]) -> list[datetime.datetime]:
    found = []
    for frame in frames:
        try:
            text = (frame.date or "").strip().removesuffix("Z")
            when = datetime.datetime.fromisoformat(text)
            found.append(when.replace(tzinfo=datetime.UTC))
        except ValueError:
            continue
    return sorted(found)


def _name(some: Sequence[Frame]) -> str:
    return some[0].name + (f" (and {len(some) - 1} more)" if len(some) > 1 else "")
