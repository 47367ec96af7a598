"""A master as a part of a report: all that is shown of it, as data for the page."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.errors import count, printable
from pulsar_dask.frames import settings
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.planes import PLANES
from pulsar_dask.frames.stack import describe_shape
from pulsar_dask.frames.table import table
from pulsar_dask.masters.figures import times, told_of
from pulsar_dask.output import views
from pulsar_dask.output.against import came_and_went
from pulsar_dask.output.charts import Series, against_time, histogram, middle_of, number
from pulsar_dask.output.picture_sink import Picture
from pulsar_dask.tools.record import group_of
from pulsar_dask.tools.shots import Shot

Array = np.ndarray[Any, Any]
Row = tuple[str, str]
#: Pixels that came or went of which the places are told.
PLACES = 6


def unit_of(frames: Sequence[Frame]) -> str:
    """The unit of pixels, as their cards have it."""
    stated = str((frames[0].about.setting("BUNIT") if frames else None) or "adu")
    return "ADU" if stated.casefold() == "adu" else printable(stated)


def sheet(shot: Shot, master: Frame, most: int) -> dict[str, Any]:
    """All that is shown of a master; `master` is its file, `most` the squares of its picture."""
    shown, told, product = shot.sink.picture, shot.told, shot.product
    unit = unit_of(shot.frames or [master])
    values = np.sort(shown.values)
    places = None
    if shot.hot is not None:
        places = shot.hot[1] * shown.how.shape[-1] + shot.hot[0]
    chart, outside = histogram(values, unit) if values.size else ("", "")
    what = "light" if product is not None and product.kind == "light" else "master"
    picture = views.picture(shown, most, places, what)
    return {
        "name": shot.name,
        "about": _about(shot, master),
        "unit": unit,
        "tiles": list(_tiles(shot, values, unit)),
        "picture": picture,
        "listed": 0 if shot.hot is None else len(shot.hot[0]),
        "caption": _caption(picture, shown, unit, what),
        "crops": views.crops(shown, master, unit),
        "charts": list(_charts(shot, unit)),
        "odd": [s.text for s in shot.said],
        "histogram": chart,
        "outside": outside,
        "share": "" if shown.how.step == 1 else f"one row of {shown.how.step}",
        "noise": list(_noise(shot, unit)),
        "sensor": list(_sensor(told, unit)),
        "planes": list(_planes(shown, len(shot.frames), most // 4)),
        "before": _before(shot, places, unit),
        "made": [*shot.facts, *(_made(product, shot.run) if product is not None else ())],
        "inputs": list(_inputs(product)) if product is not None else [],
    }


def _caption(picture: Mapping[str, Any], shown: Picture, unit: str, what: str) -> str:
    side, depth = picture["side"], shown.how.depth
    text = f"Each pixel of the {what}" if side == 1 else f"Means of {side} × {side} pixels"
    text += f" of its {depth} planes" if depth > 1 else ""
    return (
        f"{text}, black at {picture['low']} and white at {picture['high']} {unit} (ZScale); the "
        "first row of the file is at the bottom."
    )


def _about(shot: Shot, master: Frame) -> str:
    """In a line: what it is."""
    group = group_of(shot.frames or [master])
    words = {setting.keyword: setting.word for setting in table().settings}
    seconds, warmth = group["exposure"], group["temperature"]
    stated = [
        f"{'e⁻/ADU' if key == 'EGAIN' else words[key]} {settings.shown(value)}"
        for key, value in group["settings"].items()
        if key != "BUNIT" and key in words
    ]
    kind = shot.product.kind if shot.product is not None else master.kind
    parts = [
        kind or "image",
        count(len(shot.frames), "frame") if shot.frames else "",
        describe_shape(master.shape) + " pixels",
        f"{number(seconds)}\u00a0s" if seconds is not None else "",
        f"filter {printable(group['filter'])}" if group["filter"] else "",
        f"{number(warmth)}\u00a0°C" if warmth is not None else "",
        *stated,
    ]
    return " · ".join(filter(None, parts))


def _tiles(shot: Shot, values: Array, unit: str) -> Iterator[dict[str, str]]:
    """The few figures that are looked at first."""
    told, shown = shot.told, shot.sink.picture

    def tile(label: str, value: str, of: str = "", note: str = "") -> dict[str, str]:
        return {"label": label, "value": value, "unit": of, "note": note}

    if values.size:
        yield tile("level", number(middle_of(values)), unit, "median")
    if "noise" in told:
        one = told.get("noise_of_frame", math.nan)
        note = f"one frame has {number(one)}" if math.isfinite(one) else ""
        yield tile("noise", number(told["noise"]), unit, note)
    elif "noise_expected" in told:
        yield tile("noise, expected", number(told["noise_expected"]), unit, "of so many frames")
    if "read_noise" in told:
        value, error = told["read_noise"]["value"], told["read_noise"]["error"]
        yield tile("read noise", number(value), unit, f"± {error:.2g}")
    if "gain" in told:
        value, error = told["gain"]["value"], told["gain"]["error"]
        least = "" if told["gain"]["read_noise"] is not None else "≥ "
        yield tile("gain", f"{least}{number(value)}", f"e⁻/{unit}", f"± {error:.2g}")
    top = float(shown.high.max(initial=-math.inf))
    if math.isfinite(top):
        yield tile("highest pixel", number(top), unit)
    if shot.hot is not None:
        yield tile("listed pixels", f"{len(shot.hot[0])}", "", "the hottest")
    if gone := int(shown.missing.sum()):
        yield tile("without a value", f"{gone}", "pixels")


def _charts(shot: Shot, unit: str) -> Iterator[dict[str, str]]:
    """Figures of frames against time."""
    frames, told = shot.frames, shot.told
    if len(frames) < 2 or "frame_levels" not in told:
        return
    at, label = times(frames)
    strange = {f.path for s in shot.said for f in (*s.about, *s.frames)}
    odd, names = [f.path in strange for f in frames], [f.name for f in frames]
    warm = [math.nan if f.temperature is None else f.temperature for f in frames]
    for series in (
        Series("Level", unit, told_of(told, "frame_levels")),
        Series("Noise", unit, told_of(told, "frame_noise")),
        Series("Temperature", "°C", np.array(warm)),
        Series("Pixels far above the master", "%", 100 * told_of(told, "frame_hits")),
        Series("Rejected values", "%", 100 * told_of(told, "frame_rejected")),
    ):
        known = len(series.values) == len(frames) and (series.values != 0).any()
        if known and (svg := against_time(series, at, label, names, odd)):
            yield {"title": f"{series.title}, {series.unit}", "svg": svg}


def _noise(shot: Shot, unit: str) -> Iterator[Row]:
    told = shot.told
    one, expected, made = (told.get(k) for k in ("noise_of_frame", "noise_expected", "noise"))
    n = len(shot.frames)
    if one is not None:
        yield "noise of one frame", f"{number(one)} {unit}"
    if expected is not None and shot.product is not None:
        yield f"expected of the {shot.product.method} of {n}", f"{number(expected)} {unit}"
    if made is not None:
        less = f", {number(round(one / made, 2))} times less than one frame" if one and made else ""
        yield "measured, from two halves of the frames", f"{number(made)} {unit}{less}"
        if expected:
            yield "measured over expected", f"{made / expected:.3f}"


def _sensor(told: Mapping[str, Any], unit: str) -> Iterator[dict[str, str]]:
    """Read noise and gain, with formula and error."""
    if "read_noise" in told:
        r = told["read_noise"]
        less = r["without_rounding"]
        part = f" ({number(less)} without it)" if less < 0.995 * r["value"] else ""
        yield {
            "what": "read noise",
            "value": f"{number(r['value'])} ± {r['error']:.2g} {unit}",
            "formula": f"r² = mean of var(x₁ − x₂) / 2 over {count(r['pairs'], 'pair')} of biases "
            "that follow each other, without values beyond 5 deviations; rounding to whole numbers "
            f"is part of it{part}",
        }
    if "gain" in told:
        g, noise = told["gain"], told["gain"]["read_noise"]
        least = "" if noise is not None else "at least "
        known = "r is not known here and taken for 0, so that g is higher: name their bias or dark"
        if noise is not None:
            known = f"r = {number(noise)} {unit}, the noise of frames without light"
        yield {
            "what": "gain",
            "value": f"{least}{number(g['value'])} ± {g['error']:.2g} electrons per {unit}",
            "formula": "g = m / (V − r²), V = var(D) / 2, D = (m₂ x₁ − m₁ x₂) / m, over "
            f"{count(g['pairs'], 'pair')} of flats that follow each other, m their level; {known}",
        }


def _planes(shown: Picture, frames: int, most: int) -> Iterator[dict[str, Any]]:
    if not shown.planes:
        return
    from pulsar_dask.masters import calibration  # which few reports need

    known = {plane.name: plane.words for plane in (*PLANES.values(), *calibration.PLANES)}
    for name, (total, missing) in shown.planes.items():
        squares = shown.how.coarse
        there = shown.how.depth * squares.pixels() - missing
        mean = float(total.sum() / max(1, there.sum()))
        of = f" of {frames}" if name == "count" and frames else ""
        words = known.get(name, name)
        title = words[:1].upper() + words[1:]
        text = f"mean {number(mean)}{of}, least {number(shown.least[name])}"
        yield views.plane_picture(total, there, squares, most) | {"title": title, "text": text}


def _before(shot: Shot, places: Array | None, unit: str) -> dict[str, Any] | None:
    """Against the master that had its place."""
    before = shot.sink.before
    if before is None:
        return None
    rows: list[Row] = [
        ("level", f"{number(before.level)} → {number(before.now)} {unit}"),
        ("median of the differences", f"{number(before.change)} {unit}"),
        ("scatter of the differences", f"{number(before.scatter)} {unit}"),
    ]
    if (made := shot.told.get("noise")) is not None:
        text = f"{number(math.sqrt(2) * made)} {unit}"
        rows.append(("scatter that two masters of this noise have", text))
    if places is not None and before.listed is not None and len(places):
        came, went = came_and_went(places, before.listed)
        columns = before.frame.shape[-1]
        rows.append(("listed in both", f"{len(places) - len(came)} of {len(places)} pixels"))
        for word, some in (("came", came), ("went", went)):
            at = ", ".join(f"({p % columns}, {p // columns})" for p in some[:PLACES].tolist())
            at = f": {at}" + (" …" if len(some) > PLACES else "") if at else ""
            rows.append((f"hot pixels that {word}", f"{len(some)}{at}"))
    differ = _differ(shot.frames, before.frame) if shot.frames else []
    taken = f", of {before.frame.date}" if before.frame.date else ""
    text = f"{before.frame.name}{taken}"
    if before.frame.path == shot.path:
        text += ", which it took the place of"
    else:
        text += f", in {printable(os.path.dirname(before.frame.place))}"
    text += f"; it differs in {', '.join(differ)}" if differ else "; its settings are the same"
    return {"text": f"{text}.", "rows": rows}


def _differ(frames: Sequence[Frame], old: Frame) -> list[str]:
    """In what the master before is of other settings; what only one states is no difference."""
    now, was = group_of(frames), group_of([old])
    words = [key for key in ("exposure", "filter") if now[key] != was[key]]
    both = now["settings"].keys() & was["settings"].keys()
    return words + sorted(k for k in both if now["settings"][k] != was["settings"][k])


def _made(product: Product, run: Run) -> Iterator[Row]:
    """How it was made."""
    plan = run.plan
    where = f"{count(plan.workers, 'worker')} of " if plan.workers else ""
    yield "steps", "; ".join(map(str, product.steps))
    yield "type of pixels", product.dtype
    yield (
        "plan",
        f"{count(len(plan.grid), 'tile')} of {plan.grid.width} × {plan.grid.height} pixels on "
        f"{where}{count(plan.threads, 'thread')}, {plan.total / 1e9:.2f} GB of at most "
        f"{plan.budget / 1e9:.2f} GB",
    )
    yield "time", f"{run.seconds:.1f} s"


def _inputs(product: Product) -> Iterator[dict[str, Any]]:
    """The files that it was made of, by role and folder."""
    words = {"input": "frame", "list": "list of pixels"}
    for (role, folder), some in groupby(product.trace.sources, lambda s: (s.role, s.place[0])):
        names = [printable(source.place[1]) for source in some]
        what = count(len(names), words.get(role, role))
        yield {"title": f"{what} in {printable(folder)}", "names": names}
