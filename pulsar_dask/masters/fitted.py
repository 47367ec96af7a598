"""A method as it is for some frames: what it has to know of them is measured, once, before they are
combined, and stands in the master's HISTORY, so that `verify` need not measure it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.errors import PulsarError, note, warn
from pulsar_dask.formats.reading import read_values
from pulsar_dask.frames.colour import Colours
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.quality import CURRENT, Quality
from pulsar_dask.frames.stack import stack_type
from pulsar_dask.frames.step import Step
from pulsar_dask.kernels.noise import Noise, NoModelError
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.noise import Flats, noise_of, noise_of_flats, scale_of_flats
from pulsar_dask.masters.noiseparts import Parts
from pulsar_dask.masters.survey import Survey, stated_limit

#: Frames, rows of each and values of a row that are looked at.
_FRAMES, _ROWS, _COLUMNS = 8, 32, 4096
MEASURED = "measured"
#: Share of the largest number that a camera's 16 (8) bits hold from which a pixel is saturated,
#: where nothing else says so.
_FULL = 0.98


class Fitted(NamedTuple):
    """What frames are combined by."""

    method: Combine
    noise: Noise | Parts | None = None
    """Of a frame, where errors are to follow from it, or where parts of the sensor have their own
    and values are rejected by it."""
    steps: tuple[Step, ...] = ()
    """That say so."""


def fitted(
    method: Combine,
    frames: Sequence[Frame],
    planes: Sequence[str] = (),
    *,
    flats: Flats | None = None,
    noise: Noise | Parts | str | None = MEASURED,
) -> Fitted:
    """The method for these frames.

    Parameters
    ----------
    method : Combine
    frames : sequence of Frame
        Of one shape.
    planes : sequence of str
        Wanted.
    flats : Flats, optional
        Where these are flats that are scaled before they are combined.
    noise : Noise or Parts, optional
        Where it is known already, or known to be none (None).

    Raises
    ------
    PulsarError
        It would leave nothing of so many frames, or wants a noise that cannot be told.
    """
    given: Any = method
    knows = getattr(given, "grain", 0.0) is not None and given.name not in ("auto", "ccdclip")
    wanted = bool({"uncertainty", "quality"} & {*planes})
    if knows and not wanted and not hasattr(given, "check"):
        return Fitted(method)
    found = getattr(given, "noise", None)
    asked = noise == MEASURED and found is None
    if isinstance(noise, (Noise, Parts)):
        found = noise
    measures = wanted or given.name in ("auto", "ccdclip")
    step = 0.0 if knows and not (wanted and asked) else grain(frames)
    refused = ""
    if asked and len(frames) > 2 and measures:
        try:
            found = _noise(given, frames, step, flats)
        except NoModelError as error:
            refused = str(error)
    if given.name == "auto":
        given = given.chosen(len(frames), modelled=found is not None)
        if refused:
            note(f"auto takes the {given.name} of {frames[0].name} and others: {refused}")
    if given.name == "ccdclip" and given.noise is None:
        if found is None and len(frames) > 2:
            raise PulsarError(
                f"ccdclip wants one noise for all pixels of a level, but {refused}; give it with "
                "⟦rdnoise⟧ and ⟦gain⟧, or take ⟦combine⟧ winsorized",
                "noise",
            )
        one = found.noises[0] if isinstance(found, Parts) else found
        given = given.knowing(one or Noise(0, 0, 0, 0, 0), len(frames), flats=flats is not None)
        if isinstance(found, Parts):  # then it is of each
            given = replace(given, **dict.fromkeys(Noise._fields))
    if hasattr(given, "check"):
        _check(given, len(frames))
    if getattr(given, "grain", 0.0) is None:
        if flats is not None:
            step *= scale_of_flats(frames, flats) if step else 0.0
        given = replace(given, grain=float(f"{step:.6g}"))
    if "uncertainty" in planes and refused:
        note(f"errors of {frames[0].name} and others are by their own values: {refused}")
    if "quality" in planes and found is None and asked:
        why = refused or "fewer than 3 frames tell no noise"
        note(f"no pixel of {frames[0].name} and others is told to be unreliable: {why}")
    if not wanted and not (isinstance(found, Parts) and given.name == "ccdclip"):
        found = None
    steps: tuple[Step, ...] = (Step("noise", (tuple(found),)),) if found else ()
    if isinstance(found, Parts):
        pairs = zip(found.sections, found.noises, strict=True)
        steps = tuple(Step("noise of part", (part, tuple(noise))) for part, noise in pairs)
    return Fitted(given, found, steps)


def _check(method: Any, frames: int) -> None:
    try:
        said = method.check(frames)
    except ValueError as error:
        raise PulsarError(str(error)) from None
    if said:
        warn(said, "nothing-rejected")


def _noise(method: Any, frames: Sequence[Frame], step: float, flats: Flats | None) -> Noise | Parts:
    if getattr(method, "gain", None) is not None:
        if flats is not None:
            return method.given(0.0, scale_of_flats(frames, flats))  # type: ignore[no-any-return]
        level = noise_of(frames, step)
        level = level.noises[0] if isinstance(level, Parts) else level
        return method.given(level.level)  # type: ignore[no-any-return]
    return noise_of(frames, step) if flats is None else noise_of_flats(frames, flats, step)


def grain(frames: Sequence[Frame]) -> float:
    """The least difference of two values of some frames, where all are whole numbers: 16 for a
    camera of 12 bits whose values are shifted to 16. Else 0.

    It is the greatest common divisor of the differences of a sample: up to 8 frames, of each 32
    rows in adjacent pairs, in which a colour sensor shows all colours.
    """
    rows, columns = frames[0].shape[-2:]
    wide = min(columns, _COLUMNS)
    pairs = max(1, min(rows, _ROWS) // 2)
    starts = sorted({2 * int((i + 0.5) * (rows // 2) / pairs) for i in range(pairs)})
    found, lowest = 0, None
    for k in sorted({int(i * len(frames) / _FRAMES) for i in range(_FRAMES)}):
        for y in starts:
            tile = Tile(0, y, (columns - wide) // 2, min(2, rows - y), wide)
            values = read_values([frames[k]], tile, np.dtype("f8"), counted=None)
            values = values[np.isfinite(values)]
            if not values.size:
                continue
            if (values % 1).any() or np.abs(values).max() > 2**53:
                return 0.0
            if lowest is None:
                lowest = values[0]
            found = int(np.gcd.reduce((values - lowest).astype(np.int64), initial=found))
    return float(found)


def quality_of(
    kind: str | None,
    frames: Sequence[Frame],
    survey: Survey | None = None,
    *,
    current: bool = False,
    colours: Colours | None = None,
    scale: float = 1.0,
) -> Quality:
    """By what the quality of a master of some frames is told.

    A pixel is saturated from the value that is asked for or that the frames state; else, of 16
    bits or 8, from 98 % of the largest number.

    Parameters
    ----------
    kind : str or None
        Of the master.
    frames : sequence of Frame
    survey : Survey, optional
        How they are looked at, which knows the value that is asked for.
    current : bool
        Whether of a dark the bias is out.
    colours : Colours, optional
        Of a flat.
    scale : float
        By what the frames are multiplied, about.
    """
    pixels = stack_type(frames)
    limit = stated_limit(frames) if survey is None else survey.limit
    if limit is None and pixels.bitpix in (8, 16) and not pixels.scaled:
        limit = int(_FULL * (255 if pixels.bitpix == 8 else 65535 if pixels.other_sign else 32767))
    named = CURRENT if kind == "dark" and current else kind
    return Quality(
        named if named in ("bias", "dark", CURRENT, "flat") else "image",
        np.inf if limit is None else float(limit),
        float(f"{grain(frames) * scale:.6g}"),
        *(() if colours is None else (colours.period, colours.cells)),
    )
