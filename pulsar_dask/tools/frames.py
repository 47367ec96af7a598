"""``frames input_spec``: what is understood of each frame, and from which card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pulsar_dask.errors import PulsarError, count, printable
from pulsar_dask.frames import settings
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.group import Grouped, Ways
from pulsar_dask.frames.groups import bias_groups, dark_groups, flat_groups
from pulsar_dask.frames.passed import raw_frames, why, why_passed
from pulsar_dask.frames.stack import describe_shape
from pulsar_dask.frames.table import table
from pulsar_dask.tools.options import Options, telling

_COLUMNS = ("file", "kind", "exposure", "filter", "degC", "settings", "becomes")


@telling
def frames(spec: Sequence[str], *, options: Options) -> None:
    """Say what is understood of frames, and which masters they would become."""
    report = options.report()
    found = options.search.frames(spec)
    grouped = dict(_grouped(found.frames, options.search.ways))
    becomes: dict[str, str] = {}
    for some in grouped.values():
        becomes |= {f.path: f"{group.name}.fit" for group in some.groups for f in group.frames}
        becomes |= {f.path: f"left out: {why}" for f, why in some.left_out}
    for kind, items in _document(found.frames, grouped, becomes).items():
        for item in items:
            report.know(kind, item)
    lines = [_COLUMNS, *(_row(f, becomes.get(f.path, "")) for f in found.frames)]
    for frame, _ in zip([None, *found.frames], report.rows(lines), strict=True):
        for what, card in frame.about.origins if frame is not None else ():
            report.detail(f"    {what} from {PulsarError(card).on_command_line}")
    for some in grouped.values():
        for group in some.groups:
            report.say(f"{group.name}.fit: {count(len(group.frames), 'frame')}")
        for name, reason in some.failed:
            report.say(f"{name}: {reason}")
    others = [f for f in [*found.frames, *found.planes] if f.path not in becomes]
    report.passed_over(why_passed(others))


def _grouped(found: Sequence[Frame], ways: Ways) -> Iterator[tuple[str, Grouped]]:
    yield "bias", bias_groups(raw_frames(found, "bias"), ways)
    yield "dark", dark_groups(raw_frames(found, "dark"), ways)
    yield "flat", flat_groups(raw_frames(found, "flat"), ways)


def _row(frame: Frame, becomes: str) -> tuple[str, ...]:
    about = frame.about
    kind = about.kind or "?"
    if about.master is not None:
        kind += " (master)"
    elif about.calibrated is not None:
        kind += " (calibrated)"
    warmth = "" if frame.temperature is None else f"{frame.temperature:g}"
    if about.set_point is not None and about.temperature is not None:
        warmth += f" of {about.set_point:g}"
    return (
        frame.name,
        kind,
        "" if frame.exposure is None else f"{frame.exposure:.10g} s",
        printable(frame.filter or ""),
        warmth,
        " ".join(settings_of(frame)),
        printable(becomes or _why_not(frame)),
    )


def _why_not(frame: Frame) -> str:
    about = frame.about
    return f"passed over: {about.master}" if about.master is not None else "passed over"


def settings_of(frame: Frame) -> Iterator[str]:
    """What it states of each setting, as in a name; its size first."""
    yield describe_shape(frame.shape).replace(" ", "")
    for setting in table().settings:
        value = frame.about.setting(setting.keyword)
        if value is not None and setting.word not in ("size", "camera", "unit"):
            yield settings.in_name(value, setting)


def _document(
    found: Sequence[Frame], grouped: dict[str, Grouped], becomes: dict[str, str]
) -> dict[str, Any]:
    """The same as data; the keys are described in docs/keywords.md."""
    return {
        "frames": [
            {
                "path": f.path,
                "kind": f.about.kind,
                "label": f.about.label,
                "master": f.about.master,
                "calibrated": f.about.calibrated,
                "exposure": f.about.exposure,
                "filter": f.about.filter,
                "date": f.about.date,
                "temperature": f.about.temperature,
                "set_point": f.about.set_point,
                "shape": list(f.shape),
                "settings": dict(f.about.settings),
                "from": {w: PulsarError(card).on_command_line for w, card in f.about.origins},
                "remarks": [PulsarError(text).on_command_line for text in f.about.remarks],
                "becomes": becomes.get(f.path),
                "passed_over": None if f.path in becomes else why(f),
            }
            for f in found
        ],
        "masters": [
            {"name": f"{g.name}.fit", "frames": [f.path for f in g.frames], "notes": list(g.notes)}
            for some in grouped.values()
            for g in some.groups
        ],
        "failed": [
            {"name": name, "reason": reason}
            for some in grouped.values()
            for name, reason in some.failed
        ],
    }
