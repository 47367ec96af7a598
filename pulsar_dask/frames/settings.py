"""Settings in which frames of one master agree: their values, when two are one, and how they are
written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from pulsar_dask.errors import printable
from pulsar_dask.frames.about import Value
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.table import Setting
from pulsar_dask.frames.written import safe_name

Key = float | str


def value_of(frame: Frame, setting: Setting) -> Value | None:
    """What a frame states, or what is meant where it does not; None where that is open."""
    if setting.word == "size":
        return f"{frame.shape[-1]}x{frame.shape[-2]}" + "".join(f"x{n}" for n in frame.shape[:-2])
    value = frame.about.setting(setting.keyword)
    return setting.absent if value is None else value


def key(value: Value, setting: Setting) -> Key:
    """What values that are one share: numbers whatever their type; of texts the letters, digits and
    points, without case and without a number in brackets at their end.

    >>> gain = Setting("gain", "GAIN")
    >>> key("100", gain), key(100.0, gain), key("ZWO ASI2600MM Pro(1)", gain)
    (100.0, 100.0, 'zwoasi2600mmpro')
    """
    if isinstance(value, str):
        text = value.strip()
        # not all that Python reads as a number is one in a header: '1_000', 'nan', 'infinity'
        if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", text, re.I | re.A):
            text = re.sub(r"\s*[(\[]\d+[)\]]\s*$", "", text)
            plain = "".join(c for c in text.casefold() if c.isalnum() or c == ".")
            return setting.absent or "" if plain in setting.same else plain
        value = float(text)
    return float(value) if math.isfinite(value) else str(float(value))


def key_of(frame: Frame, setting: Setting) -> Key | None:
    """`key` of what a frame states; None where it states nothing."""
    value = value_of(frame, setting)
    return None if value is None else key(value, setting)


def clusters(keys: Iterable[Key], setting: Setting) -> dict[Key, Key]:
    """Of each key the one that its cluster goes by: numbers within the setting's share of the
    lowest of them are one, never chained."""
    found: dict[Key, Key] = {}
    lowest: float | None = None
    for number in sorted({k for k in keys if isinstance(k, float)}):
        if lowest is None or number - lowest > setting.within * abs(lowest) + 1e-12:
            lowest = number
        found[number] = lowest
    return found | {k: k for k in keys if isinstance(k, str)}


def same(a: Key, b: Key, setting: Setting) -> bool:
    """Whether two keys are one value."""
    return len(set(clusters((a, b), setting).values())) == 1


def in_name(value: Value, setting: Setting) -> str:
    """What stands in a name for a value.

    >>> in_name(100.0, Setting("gain", "GAIN", name="gain{}"))
    'gain100'
    >>> in_name("2x2", Setting("binning", "XBINNING", name="bin{}", pair=True))
    'bin2'
    """
    text = shown(value)
    if setting.pair and setting.word == "binning":
        x, _, y = text.partition("x")
        text = x if x == y else text
    if setting.word in ("roworder", "bayer"):
        text = re.sub(r"[\s_-]+", "", text.lower())
    return setting.name.replace("{}", safe_name(text).strip("_.") or "_")[:60]


def shown(value: Value) -> str:
    """A value in words.

    >>> shown(100.0), shown("Low Gain")
    ('100', 'Low Gain')
    """
    return f"{value:.10g}" if isinstance(value, float) else printable(value)
