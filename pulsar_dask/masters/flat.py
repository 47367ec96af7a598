"""Master flats, one for each filter: calibrated frames scaled to one level and combined.

Two passes over the frames in one recipe: layers that find the levels of some frames each, one
that makes scales of them, and the flat, which takes the scales.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pulsar_dask.combine import Combine
from pulsar_dask.engine.layer import layer
from pulsar_dask.engine.recipe import Product, Recipe
from pulsar_dask.formats.reading import read_header
from pulsar_dask.frames.biasout import stated
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.mastererror import Error, said_of
from pulsar_dask.frames.planes import planes_of
from pulsar_dask.frames.provenance import Trace
from pulsar_dask.frames.quality import Quality
from pulsar_dask.frames.step import Step
from pulsar_dask.kernels import loaded
from pulsar_dask.kernels.noise import Noise
from pulsar_dask.kernels.pixels import Grid, PixelType, Tile
from pulsar_dask.masters import calibrated
from pulsar_dask.masters.combined import errors_hold, parts_hold
from pulsar_dask.masters.darkgroup import key
from pulsar_dask.masters.errors import needs
from pulsar_dask.masters.fitted import MEASURED, fitted, quality_of
from pulsar_dask.masters.flaterrors import with_dark
from pulsar_dask.masters.flatgroup import FlatGroup
from pulsar_dask.masters.flatholds import flat_holds
from pulsar_dask.masters.flatscales import FrameLevels, frame_scales
from pulsar_dask.masters.levels import frame_levels, level_holds
from pulsar_dask.masters.mastererrors import errors_of
from pulsar_dask.masters.noise import Flats, scale_of_flats
from pulsar_dask.masters.noiseparts import Parts
from pulsar_dask.masters.stack import combining_holds
from pulsar_dask.masters.survey import Survey, Surveying

Array = np.ndarray[Any, Any]
#: Frames whose levels are found in one task: a dark is read once for all of them.
LEVEL_FRAMES = 8
_FLOAT64 = PixelType(-64)


def flat_recipe(
    groups: Mapping[str, FlatGroup],
    combine: Combine,
    *,
    target: float,
    threads: int,
    planes: Sequence[str] = ("image",),
    calibration: Mapping[str, Trace] | None = None,
    surveyed: Surveying | None = None,
    each_lit: bool = False,
    noise: Noise | Parts | str | None = MEASURED,
    errors: Mapping[str, Error] | None = None,
    quality: Quality | None = None,
) -> Recipe:
    """Masters of flats of one shape.

    Parameters
    ----------
    groups : mapping
        By the name of the master.
    combine : Combine
    target : float
        The median to which each frame is scaled, ADU.
    threads : int
        That will compute: so many frames are looked at apart for their levels.
    planes : sequence of str
    calibration : mapping, optional
        What headers say of how each group is calibrated.
    surveyed : callable, optional
        Gives from frames the `Survey` by which they are looked at meanwhile.
    each_lit : bool
        Whether a colour without light is refused: where nobody is there to be told of it.
    noise : Noise or Parts, optional
        Of a scaled frame, where it is known.
    errors : mapping, optional
        Of what is subtracted, by the names of its files, where they are known.
    quality : Quality, optional
        By what that of pixels is told, where it is known.
    """
    products = []
    for name, group in groups.items():
        known = (calibration or {}).get(name, Trace())
        n = len(group.frames)
        if "uncertainty" in planes:
            group = _with_errors(group, errors)
        dark = [said_of(minus.images, minus.errors) for minus in dict.fromkeys(group.minus)]
        values, told = _flats(group, target), None
        method, found, more = fitted(combine, group.frames, planes, flats=values, noise=noise)
        together = level_frames(n, threads)
        combining = combining_holds(group.frames, method, _FLOAT64, planes)
        combining += parts_hold(group.frames, 8, found)
        levels = [
            layer(
                "levels",
                _levels,
                group,
                first,
                min(n, first + together),
                also=group.reads,
                holds=level_holds(group, together),
                kernel=_kernel(group, method),
                once=True,
            )
            for first in range(0, n, together)
        ]
        survey = None
        if surveyed is not None:
            survey = replace(
                surveyed(group.frames),
                pixels=PixelType(-32),
                stored=calibrated.looked_at(group.frames),
            )
        if "quality" in planes:
            told = quality
            if told is None:
                scale = scale_of_flats(group.frames, values)
                told = quality_of("flat", group.frames, survey, colours=group.colours, scale=scale)
            more = (*more, Step("quality", told.said))
        fused = calibrated.as_stored(group, method, planes)
        holds = flat_holds(group, together, as_stored=fused) | combining
        scales = layer("scales", _scales, group, target, each_lit, *levels, once=True)
        function = partial(
            calibrated.flat_tile,
            method=method,
            planes=tuple(planes),
            survey=survey,
            noise=found,
            quality=told,
        )
        if any(minus.errors for minus in group.minus):
            function = partial(with_dark, function)
        flat = layer(
            "flat",
            function,
            group,
            scales,
            planes=planes_of(planes),
            reads=group.frames,
            also=(*group.reads[n:], *group.errors),
            holds=holds if survey is None else holds + survey.holds(),
            kernel=_kernel(group, method, survey)._replace(
                planes=needs(tuple(planes)),
                levels=(calibrated.looked_at(group.frames), _FLOAT64) if told is not None else (),
                errors=bool(errors_hold(planes).pixel),
            ),
            passes=2,
        )
        products.append(
            Product(
                name,
                "flat",
                flat,
                group.frames,
                {p.name: "float32" if p.name == "image" else p.dtype for p in flat.planes},
                (
                    *known.steps,
                    Step("scale" if group.colours is None else "scale colours", (target,)),
                    Step("combine", (key(method), n)),
                    *more,
                    *dict.fromkeys(step for _, steps in dark for step in steps),
                ),
                (*known.sources, *dict.fromkeys(one for sources, _ in dark for one in sources)),
                levels=tuple(levels),
                survey=survey,
                finish=told,
            )
        )
    return Recipe(products)


def _with_errors(group: FlatGroup, errors: Mapping[str, Error] | None) -> FlatGroup:
    images = tuple(dict.fromkeys(image for minus in group.minus for image in minus.images))
    found = dict(zip(images, errors_of(images, errors), strict=True))
    minus = (
        replace(one, errors=tuple(found[i] for i in one.images), cancels=_cancels(one.images))
        for one in group.minus
    )
    return replace(group, minus=tuple(minus))


def _cancels(images: Sequence[Frame]) -> bool:
    if len(images) != 2 or not os.path.exists(images[0].path):
        return False
    out = stated(read_header(images[0]), images[0].path)[2]
    return out is None or os.path.realpath(out) == os.path.realpath(images[1].path)


def _flats(group: FlatGroup, target: float) -> Flats:
    def read(tile: Tile) -> Array:
        return calibrated.calibrated(tile, group, group.frames)[0]

    return Flats(read, None if group.colours is None else group.colours.cells, target)


def level_frames(n: int, threads: int) -> int:
    """Frames whose levels are found together."""
    return max(1, min(LEVEL_FRAMES, -(-n // max(1, threads))))


def _kernel(group: FlatGroup, method: Combine, survey: Survey | None = None) -> loaded.Kernel:
    kernel = loaded.Kernel.of(group.frames, _FLOAT64, method)._replace(
        flat=calibrated.looked_at(group.frames)
    )
    return kernel if survey is None else kernel._replace(survey=survey.stored)


def _levels(grid: Grid, group: FlatGroup, first: int, last: int) -> FrameLevels:
    return frame_levels(group, first, last, size=(grid.height, grid.width))


def _scales(
    grid: Grid, group: FlatGroup, target: float, each_lit: bool, *levels: FrameLevels
) -> Array:
    return frame_scales(group.frames, target, *levels, each_lit=each_lit)
