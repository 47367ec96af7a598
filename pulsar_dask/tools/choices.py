"""What masters there are for some lights: asked for on a command line, and told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pulsar_dask.cli.report import Report
from pulsar_dask.errors import PulsarError, count, printable, warn
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.passed import why_passed
from pulsar_dask.frames.when import night
from pulsar_dask.inputs.flatlog import read_log
from pulsar_dask.inputs.numbers import as_number
from pulsar_dask.masters.choice import Choice, Rules
from pulsar_dask.masters.flatchoice import log_interval
from pulsar_dask.masters.library import Library, find_masters
from pulsar_dask.masters.search import Found, Search

#: Reasons that are said of one choice, beside those in an error.
_MOST = 4


def library_of(
    darks: Sequence[str], flats: Sequence[str], asked: Mapping[str, Any], search: Search
) -> Library:
    """The masters of folders, and the rules that a command line asks for."""
    given = asked["bias"]
    number = None if given is None else as_number(given)
    is_level = number is not None or (given or "").startswith("=")
    same = ("nearest_dark", "latest", "l_flat", "temperature_tolerance", "no_bias")
    rules = Rules(
        ways=search.ways,
        future_days=asked["flat_future_days"],
        log=tuple(read_log(asked["flatlog"])) if asked["flatlog"] else None,
        bias=(given if number is None else number) if is_level else None,
        **{name: asked[name] for name in same},
    )
    biases = [given] if given and not is_level else []
    return find_masters(darks, flats, biases, asked["dark_is"], rules)


def say_library(library: Library, report: Report) -> None:
    """Say what of the folders is none of the masters."""
    report.passed_over(why_passed(library.others), library.others)
    for path, why in library.unread:
        report.know("left_out", {"path": path, "reason": "unreadable"})
        report.detail(f"  {why}")
    if library.unread:
        first = library.unread[0][1]
        more = len(library.unread) - 1
        warn(f"passed over: {first}" + (f" (and {more} more)" if more else ""), "passed-over")


def find_lights(
    spec: Sequence[str], search: Search, report: Report, *, again: bool | None = None
) -> tuple[list[Frame], list[tuple[str, str]]]:
    """Lights, and frames that nothing tells the kind of; others are passed over and counted. And
    the files that cannot be read, with the reason, which cost only themselves. `again` tells
    whether those that are calibrated are taken, too; None: the tool does not ask for that.

    Raises
    ------
    PulsarError
        There are none, or all are calibrated.
    """
    found, unread = _scanned(spec, search)
    for _, why in unread:
        report.error(PulsarError(why, "unreadable"))
    lights = [f for f in found.frames if f.kind in ("light", None) and not f.is_master]
    raw = lights if again else [f for f in lights if not f.about.calibrated]
    passed = [*(f for f in found.frames if f not in raw), *found.planes]
    report.passed_over(why_passed(passed), passed)
    where = ", ".join(map(printable, spec[:3])) + (" …" if len(spec) > 3 else "")
    if lights and not raw:
        raise PulsarError(
            f"all lights in {where} are calibrated ({lights[0].about.calibrated}); name raw frames"
            + ("" if again is None else ", or insist with ⟦again⟧"),
            "frames",
        )
    if not raw:
        raise PulsarError(f"no lights in {where}; they have IMAGETYP = 'Light Frame'", "frames")
    return raw, unread


def _scanned(spec: Sequence[str], search: Search) -> tuple[Found, list[tuple[str, str]]]:
    inputs = search.find(spec)
    try:
        return search.scan(inputs, "light"), []
    except PulsarError:
        unread = {}
        for path in inputs.paths:
            try:
                scan_frames([path], inputs.hdu)
            except PulsarError as error:
                unread[path] = os.path.basename(path), error.text
        good = tuple(path for path in inputs.paths if path not in unread)
        if not unread or not good:
            raise
        return search.scan(replace(inputs, paths=good), "light"), list(unread.values())


def grouped(choices: Iterable[Choice]) -> list[list[Choice]]:
    """Choices that are the same, together."""
    found: dict[object, list[Choice]] = {}
    for choice in choices:
        found.setdefault(choice.key, []).append(choice)
    return list(found.values())


def say_choices(
    choices: Sequence[Choice], rules: Rules, report: Report, *, all_reasons: bool
) -> list[tuple[str, str]]:
    """Say what calibrates lights, a line for each choice; and which lights have no masters."""
    without: list[tuple[str, str]] = []
    for some in grouped(choices):
        first = some[0]
        more = f" and {count(len(some) - 1, 'more light')}" if len(some) > 1 else ""
        if first.error is None:
            report.say(f"{first.light.name}{more}: {first.words}")
            shown = first.reasons[:_MOST] if all_reasons else ()
            for reason in map(_plain, shown):
                report.say(f"    not {reason}")
            for reason in map(_plain, first.reasons[len(shown) :]):
                report.detail(f"    not {reason}")
        else:
            text = f"{first.light.name}{more}: {first.error.text}"
            report.error(PulsarError(text, "calibration"))
            without += [(c.light.name, c.words) for c in some]
    for choice in choices:
        report.know("choices", as_data(choice))
    _say_splits([c.light for c in choices], rules)
    return without


def _plain(text: str) -> str:
    return PulsarError(text).on_command_line


def as_data(choice: Choice) -> dict[str, Any]:
    """A choice for programs."""

    def path(master: Any) -> Any:
        return master.path if isinstance(master, Frame) else master

    return {
        "light": choice.light.path,
        "dark": path(choice.dark),
        "k": choice.k,
        "bias": path(choice.bias),
        "flat": path(choice.flat),
        "list": choice.list,
        "missing": {what: _plain(why) for what, why in choice.missing},
        "reasons": list(map(_plain, choice.reasons)),
        "notes": list(map(_plain, choice.notes)),
    }


def why_chosen(choice: Choice) -> list[str]:
    """What is to be said of a choice: what is odd about it, and why others were not taken."""
    return [*map(_plain, choice.notes), *(f"not {_plain(reason)}" for reason in choice.reasons)]


def _say_splits(lights: Sequence[Frame], rules: Rules) -> None:
    """Warn where an entry of the log lies within a night."""
    spans: dict[tuple[object, int], set[object]] = {}
    for light in lights:
        span, _ = log_interval(light, rules)
        if span is not None and light.about.jd is not None:
            key = light.about.setting("INSTRUME"), night(light.about.jd, light.about.hours)
            seen = spans.setdefault(key, set())
            seen.add(span)
            if len(seen) == 2:
                text = f"{light.name}: the log of flats splits its night; is its entry right?"
                warn(text, "calibrator", frames=(light.path,))
                seen.add(None)
