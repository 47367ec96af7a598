"""Which frames belong together, what their masters are called, and what looks odd in them."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

from pulsar_dask.errors import PulsarError, printable, warn
from pulsar_dask.frame import Frame, shown

EXPOSURE_TOLERANCE = 0.001
FEW_FRAMES = 15
TEMPERATURE_SPREAD = 1.0
#: Share of an exposure within which two were hardly meant to be told apart.
NEAR = 0.01

#: Filter names, lower case without blanks, '-' and '_': code in the name of the master.
FILTER_CODES = {
    **dict.fromkeys(("l", "lum", "luminance"), "l"),
    **dict.fromkeys(("r", "red"), "r"),
    **dict.fromkeys(("g", "green"), "g"),
    **dict.fromkeys(("b", "blue"), "b"),
    **dict.fromkeys(("h", "ha", "halpha"), "h"),
    **dict.fromkeys(("o", "oiii", "o3"), "o"),
    **dict.fromkeys(("s", "sii", "s2"), "s"),
}


def choose(
    frames: Iterable[Frame], kind: str, *, assume_type: bool = False
) -> tuple[list[Frame], dict[str, int]]:
    """Raw frames of one kind, and why the others were passed over: reason and count."""
    chosen: list[Frame] = []
    others: list[Frame] = []
    for frame in frames:
        wanted = frame.kind == kind or (frame.kind is None and assume_type)
        (chosen if wanted and not frame.is_master else others).append(frame)
    return chosen, why_passed(others)


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
        return f"of type '{printable(frame.label)[:20]}'"
    return f"{frame.kind} frames"


def by_exposure(
    frames: Sequence[Frame], tolerance: float = EXPOSURE_TOLERANCE
) -> dict[float, list[Frame]]:
    """Frames by exposure in seconds, ascending; exposures within `tolerance` are the same.

    A group goes by the exposure that most of its frames have.

    Raises
    ------
    PulsarError
        A frame has no exposure.
    """
    timed = []
    for frame in frames:
        if frame.exposure is None:
            what = frame.problem or "no EXPTIME (nor EXPOSURE) in its header"
            raise PulsarError(
                f"{printable(frame.path)}: {printable(what)}; write the exposure time in "
                "seconds into its header"
            )
        timed.append((frame.exposure, frame))
    groups: list[list[Frame]] = []
    last = None
    for exposure, frame in sorted(timed, key=lambda pair: pair[0]):
        # a hair of room, so that two times written 1 ms apart are within 1 ms
        if last is None or exposure - last > tolerance + 1e-9:
            groups.append([])
        groups[-1].append(frame)
        last = exposure
    named = {}
    for group in groups:
        exposures = Counter(f.exposure for f in group)
        named[float(exposures.most_common(1)[0][0] or 0.0)] = group
    return named


def tolerance_hint(exposures: Iterable[float]) -> str:
    """The --exposure-tolerance that makes one of exposures that lie close together, if some do.

    >>> tolerance_hint([59.98, 60, 60.01, 120])
    '--exposure-tolerance 0.02 takes exposures so close together as one'
    """
    gaps = [b - a for a, b in itertools.pairwise(sorted(exposures)) if b - a <= NEAR * b]
    if not gaps:
        return ""
    least = math.ceil(max(gaps) * 1000 - 1e-6) / 1000
    return f"--exposure-tolerance {least:g} takes exposures so close together as one"


def exposure_name(seconds: float) -> str:
    """Exposure as it stands in a file's name.

    >>> [exposure_name(t) for t in (120, 119.9997, 0.5, 1.5, 1e-4, 0)]
    ['120s', '120s', '500ms', '1500ms', '100us', '0s']
    """
    whole = round(seconds)
    if seconds >= 1 and abs(seconds - whole) <= EXPOSURE_TOLERANCE / 2:
        return f"{whole}s"
    microseconds = round(seconds * 1e6)
    if microseconds % 1_000_000 == 0:
        return f"{microseconds // 1_000_000}s"
    if microseconds % 1000 == 0:
        return f"{microseconds // 1000}ms"
    return f"{microseconds}us"


_EXPOSURE_NAME = re.compile(r"([0-9]+)(s|ms|us)")


def named_exposure(text: str) -> float | None:
    """The seconds that `exposure_name` wrote.

    >>> named_exposure("500ms"), named_exposure("x")
    (0.5, None)
    """
    match = _EXPOSURE_NAME.fullmatch(text)
    if not match:
        return None
    return int(match[1]) / {"s": 1, "ms": 1000, "us": 1_000_000}[match[2]]


def filter_code(name: str) -> str:
    """A filter's part in the name of its master flat; only letters, digits, '.', '_', '-'.

    >>> [filter_code(n) for n in ("Luminance", "H-alpha", "OIII", "V", "Sloan g'", "../x")]
    ['l', 'h', 'o', 'v', 'sloan_g_', 'x']
    """
    meaning = _filter_meaning(name)
    if meaning in FILTER_CODES.values():
        return meaning
    # never a name that begins with a dot, so neither hidden nor on the way to another folder
    return re.sub(r"[^a-z0-9._-]", "_", name.strip().lower()).lstrip("._")[:80] or "_"


def _filter_meaning(name: str) -> str:
    """What spellings of a filter share: its code, else the name without case, blanks, '-', '_'."""
    word = re.sub(r"[\s_-]+", "", name.lower())
    return FILTER_CODES.get(word, word)


def by_filter(frames: Sequence[Frame]) -> dict[str, list[Frame]]:
    """Frames by the code of their filter; several spellings of one code are one group.

    Raises
    ------
    PulsarError
        A frame has no FILTER, or two filters would have one name of a master.
    """
    groups: dict[str, list[Frame]] = {}
    for frame in frames:
        if frame.filter is None:
            raise PulsarError(f"{printable(frame.path)}: no FILTER in its header; add its name")
        group = groups.setdefault(filter_code(frame.filter), [])
        if group and _filter_meaning(str(group[0].filter)) != _filter_meaning(frame.filter):
            raise PulsarError(
                f"{printable(group[0].path)} with the filter {shown(group[0].filter)} and "
                f"{printable(frame.path)} with {shown(frame.filter)} would both become "
                f"flat_{filter_code(frame.filter)}.fit; rename one filter in the headers, or make "
                "the flats of each in a folder of their own"
            )
        group.append(frame)
    for code, group in groups.items():
        spellings = sorted({str(f.filter) for f in group})
        if len(spellings) > 1:
            names = ", ".join(map(shown, spellings))
            warn(f"flat_{code}.fit: the filters {names} are taken as one")
    return dict(sorted(groups.items()))


def check_group(name: str, frames: Sequence[Frame]) -> None:
    """Warn of what makes a master of these frames worse than it could be."""
    if len(frames) == 1:
        warn(f"{name}: one frame is its own median, no cleaner than that frame")
    elif len(frames) < FEW_FRAMES:
        warn(f"{name}: {len(frames)} frames; with fewer than {FEW_FRAMES} a master is noisy")
    temperatures = [f.temperature for f in frames if f.temperature is not None]
    if temperatures and max(temperatures) - min(temperatures) > TEMPERATURE_SPREAD:
        warn(
            f"{name}: CCD-TEMP from {min(temperatures):g} to {max(temperatures):g} degC; "
            "the dark current differs among the frames"
        )
    for keyword, value in SETTINGS.items():
        if found := _differing(frames, value):
            some, odd = found
            warn(
                f"{name}: {keyword} differs among the frames ({some}; the first odd one is "
                f"{_file(odd)}); they do not belong together"
            )


#: What the frames of a stack and of what calibrates them have in common.
SETTINGS: dict[str, Callable[[Frame], Any]] = {
    "GAIN": lambda f: f.gain,
    "OFFSET": lambda f: f.bias_level,
    "INSTRUME": lambda f: f.camera,
    "READOUTM": lambda f: f.readout,
    "binning": lambda f: "x".join(map(str, f.binning)) if f.binning else None,
}


def check_alike(
    name: str,
    frames: Sequence[Frame],
    tolerance: float = EXPOSURE_TOLERANCE,
    *,
    cube: bool = False,
) -> None:
    """Warn, in one line, of frames that hardly belong into one median, whatever they are, or into
    one cube, where the tools find groups by themselves, but one kind only."""
    exposures = [f.exposure for f in frames if f.exposure is not None]
    apart = bool(exposures) and max(exposures) - min(exposures) > tolerance + 1e-9
    looks: dict[str, Callable[[Frame], Any]] = {
        "IMAGETYP": lambda f: f.label if f.kind == "other" else f.kind,
        "EXPTIME": lambda f: f.exposure if apart else None,
        "FILTER": lambda f: None if f.filter is None else filter_code(f.filter),
        **SETTINGS,
    }
    if cube:
        looks = {"IMAGETYP": looks["IMAGETYP"]}
    differ = {k: found for k, look in looks.items() if (found := _differing(frames, look))}
    if differ:
        what = ", ".join(f"{keyword} ({some})" for keyword, (some, _) in differ.items())
        odd = next(iter(differ.values()))[1]
        warn(
            f"{printable(name)}: the frames differ in {what}; the first odd one is {_file(odd)}. "
            f"Do they belong into one {'cube' if cube else 'median'}?"
        )


def check_calibrator(
    name: str, frames: Sequence[Frame], kind: str, calibrators: Sequence[Frame]
) -> None:
    """Warn of a bias or dark that was not taken as the frames were."""
    first, other = frames[0], calibrators[0]
    differ = [
        f"{keyword} {printable(value(other))}, not {printable(value(first))}"
        for keyword, value in SETTINGS.items()
        if None not in (value(other), value(first)) and value(other) != value(first)
    ]
    warm, cold = _temperature(calibrators), _temperature(frames)
    if warm is not None and cold is not None and abs(warm - cold) > TEMPERATURE_SPREAD:
        differ.append(f"CCD-TEMP {warm:g} degC, not {cold:g}")
    if differ:
        warn(
            f"{name}: the {kind} {_file(other)} has {'; '.join(differ)} as {_file(first)}; "
            "they do not belong together"
        )


def _temperature(frames: Sequence[Frame]) -> float | None:
    known = [f.temperature for f in frames if f.temperature is not None]
    return median(known) if known else None


def _differing(frames: Sequence[Frame], value: Callable[[Frame], Any]) -> tuple[str, Frame] | None:
    """Some of the values that frames have, and the first frame whose value most have not."""
    counts = Counter(value(f) for f in frames)
    if len(counts) < 2:
        return None
    usual = counts.most_common(1)[0][0]
    odd = next(f for f in frames if value(f) != usual)
    some = list(dict.fromkeys((usual, value(odd), *counts)))
    more = " …" if len(some) > 3 else ""
    return " and ".join("none" if v is None else printable(v) for v in some[:3]) + more, odd


def _file(frame: Frame) -> str:
    return printable(os.path.basename(frame.path))


def check_one_exposure(name: str, frames: Sequence[Frame], tolerance: float) -> float:
    """The one exposure of a group of flats, in seconds; else a PulsarError."""
    groups = by_exposure(frames, tolerance)
    if len(groups) > 1:
        lines = []
        for exposure, group in groups.items():
            files = [printable(os.path.basename(f.path)) for f in group]
            more = f" and {len(files) - 5} more" if len(files) > 5 else ""
            lines.append(f"{exposure:g} s: {', '.join(files[:5])}{more}")
        hint = tolerance_hint(groups)
        raise PulsarError(
            f"Inconsistent exposures for {name}: {'; '.join(lines)}. "
            "Put the flats of each exposure into a folder of their own"
            + (f"; {hint}" if hint else "")
        )
    return next(iter(groups))
