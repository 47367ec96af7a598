"""What the cards of a frame mean, by the table."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pulsar_dask.errors import printable
from pulsar_dask.frames import colour
from pulsar_dask.frames.about import About, Value
from pulsar_dask.frames.table import Table, table, word


def about(header: Mapping[str, Any], path: str = "") -> About:
    """What the keywords of a header say, by the table in use.

    Parameters
    ----------
    header : mapping
        Keyword to value, as `astropy.io.fits.Header` or a dict.
    path : str
        Of the frame: its name tells what no card does.
    """
    known = table()
    origins: dict[str, str] = {}
    exposure, problem = _exposure(header, known, origins)
    kind, label, master = _kind(header, known, origins)
    return About(
        kind=kind,
        label=label,
        master=master,
        exposure=exposure,
        filter=_filter(header, known, origins),
        date=_first(_text, header, known, "date", origins),
        temperature=_first(_number, header, known, "temperature", origins),
        set_point=_first(_number, header, known, "set_point", origins),
        saturation=_first(_number, header, known, "saturation", origins),
        settings=tuple(_settings(header, known)),
        colours=tuple(
            (k, v) for k in colour.KEYWORDS if isinstance(v := header.get(k), (str, int, float))
        ),
        origins=tuple(origins.items()),
        problem=problem,
    )


def shown(value: Any) -> str:
    """A value of a header for a message: fit for a terminal, cut where it is long."""
    text = printable(repr(value))
    return text if len(text) <= 70 else f"{text[:70]}…"


def _kind(
    header: Mapping[str, Any], known: Table, origins: dict[str, str]
) -> tuple[str | None, str | None, str | None]:
    first: str | None = None
    for keyword, what in known.keywords("kind").items():
        label = _text(header.get(keyword))
        if label is None:
            continue
        plain = word(label)
        master = plain.startswith("master")
        kind = known.kinds.get(plain.removeprefix("master"))
        if kind == "nothing":
            kind = None
        if kind is not None or master:
            origins["kind"] = keyword
            return kind or "other", label, f"{keyword} = {label!r}" if master else None
        if first is None and not what.get("word"):
            first = label
            origins["kind"] = keyword
    return ("other" if first else None), first, None


def _exposure(
    header: Mapping[str, Any], known: Table, origins: dict[str, str]
) -> tuple[float | None, str | None]:
    for keyword in known.keywords("exposure"):
        value = header.get(keyword)
        if value is None or value == "":
            continue
        origins["exposure"] = keyword
        number = _number(value)
        if number is None or not 0 <= number < 1e9:
            return None, f"{keyword} is {shown(value)}, not a time in seconds"
        return number, None
    return None, None


def _filter(header: Mapping[str, Any], known: Table, origins: dict[str, str]) -> str | None:
    return _first(_text, header, known, "filter", origins)  # type: ignore[no-any-return]


def _settings(header: Mapping[str, Any], known: Table) -> Iterator[tuple[str, Value]]:
    for setting in known.settings:
        for keyword in (setting.keyword, *setting.also):
            value = _pair(header, keyword) if setting.pair else _setting(header.get(keyword))
            if value is not None and setting.word != "size":
                yield setting.keyword, value
                break


def _pair(header: Mapping[str, Any], keyword: str) -> str | None:
    x, y = header.get(keyword), header.get(keyword.replace("X", "Y"))
    numbers = [int(n) for n in re.findall(r"\d+", f"{x} {y}")] if x is not None else []
    return f"{numbers[0]}x{numbers[1]}" if len(numbers) > 1 else None


def _first(
    convert: Any, header: Mapping[str, Any], known: Table, what: str, origins: dict[str, str]
) -> Any:
    for keyword in known.keywords(what):
        value = convert(header.get(keyword))
        if value is not None:
            origins[what] = keyword
            return value
    return None


def _text(value: Any) -> str | None:
    text = str(value).strip() if value is not None else ""
    return text or None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _setting(value: Any) -> Value | None:
    number = _number(value)
    return number if number is not None else _text(value)
