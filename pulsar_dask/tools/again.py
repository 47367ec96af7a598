"""The pixels of a master or cube computed again from the files that it was
made of, and compared."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from pulsar_dask.engine.make import make
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Executor
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats import holding, reading
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import planes_in, scan_frame
from pulsar_dask.formats.storeformat import read_description
from pulsar_dask.frames import stack
from pulsar_dask.frames.colour import colours_of
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.planes import MASK, PLANES, master_path, plane_named
from pulsar_dask.frames.provenance import Source, Trace, as_hdu, in_store, roles_of
from pulsar_dask.frames.quality import DO_NOT_USE, Quality
from pulsar_dask.kernels.pixels import Grid, Tile
from pulsar_dask.masters.again import recipe_again
from pulsar_dask.masters.calibration import PLANES as LIGHT_PLANES
from pulsar_dask.masters.finish import Finished
from pulsar_dask.masters.light import light_recipe
from pulsar_dask.masters.lightagain import calibration_again
from pulsar_dask.masters.lightband import Light
from pulsar_dask.masters.lightfit import fit
from pulsar_dask.masters.lightnoise import noise_of
from pulsar_dask.masters.stack import cube_layer
from pulsar_dask.output.compare_sink import CompareSink, DifferingFrames, DifferingPixels
from pulsar_dask.tools.judged import Findings
from pulsar_dask.tools.options import Options
from pulsar_dask.tools.origins import File, find_origins, say_problems


def planes_of(master: Frame) -> dict[str, Frame]:
    """What there is to compare, by the name of the plane.

    Raises
    ------
    PulsarError
        This version does not know one.
    """
    plane = plane_named(str(read_header(master).get("EXTNAME", "image")).strip())
    plane = plane.replace("compressed_image", "image")  # as astropy and fpack name it
    beside = master.stored.beside(master)
    found = {plane: master, **{plane_named(name): frame for name, frame in beside.items()}}
    if not master.is_master:  # a light, whose uncertainty lies in its file
        more = LIGHT_PLANES if read_header(master).get("NEXTEND") else ()
        return found | {p.name: scan_frame(master.path, p.extname) for p in more}
    found |= {name: frame for name, frame in planes_in(master.path).items() if name not in found}
    found.pop(MASK.name, None)  # follows from the quality
    if unknown := set(found) - {"image", *PLANES}:
        raise PulsarError(
            f"this version does not know the plane {printable(min(unknown))!r}", "unknown-step"
        )
    return found


def compare_again(
    master: Frame,
    trace: Trace,
    found: Mapping[Source, File],
    tiles: int | None,
    executor: Callable[[], Executor],
    options: Options,
) -> dict[str, tuple[int, int]]:
    """Compute some tiles of a master again, all of them for None, from what its trace names.
    `executor` starts it, or gives the one that has been started.

    Returns
    -------
    dict
        Pixels that differ and that were compared, by plane.

    Raises
    ------
    PulsarError
        A step of the master is not known to this version; see `recipe_again`.
    """
    by_role = roles_of((source, found[source]) for source in trace.sources)
    there = planes_of(master)
    stack.check_shapes([*there.values(), *by_role["input"], *by_role["bias"], *by_role["dark"]])
    started = executor()
    recipe = _light_again(by_role, trace, options) or recipe_again(
        by_role,
        trace.steps,
        planes=("image", *(name for name in there if name != "image")),
        threads=started.slots,
        gigabytes=options.memory,
    )
    layer = recipe.products[-1].layer
    sinks = {
        name: CompareSink(layer, DifferingPixels(frame, name), comparing_holds(frame), tiles)
        for name, frame in there.items()
    }
    make(recipe, list(sinks.values()), started, memory=options.memory, summed=())
    compared = {name: tuple(sink.total.tolist()) for name, sink in sinks.items()}
    finish, image = recipe.products[-1].finish, there.get("image") or _image_of(master)
    if finish is not None and image is not None:
        size = math.prod(image.shape)
        differing = compared["quality"][0] + _differing_quality(finish, image, there["quality"])
        compared["quality"] = min(differing, size), size
        if (mask := planes_in(master.path).get(MASK.name)) is not None:
            compared[MASK.name] = _differing_mask(there["quality"], mask), size
    return compared


def _image_of(planes: Frame) -> Frame | None:
    """The master whose planes lie in a file, if it is beside that."""
    path = master_path(planes.path)
    if path is None or not os.path.isfile(path):
        return None
    image = scan_frame(path)
    return image if image.shape == planes.shape else None


def _differing_quality(finish: Quality, image: Frame, quality: Frame) -> int:
    """How many pixels have another quality than follows from the image and what the frames told."""

    def there(tile: Tile) -> Any:
        return reading.read_image(quality, tile).astype(np.int32)

    again = Finished(finish, image.shape, functools.partial(reading.read_image, image), there)
    return sum(int(np.count_nonzero(again.bits(t) != there(t))) for t in again.bands())


def _differing_mask(quality: Frame, mask: Frame) -> int:
    """Where a mask is not what the quality beside it says."""
    differ = 0
    for _, tile in Grid(mask.shape, 64, mask.shape[-1]):
        bad = reading.read_image(quality, tile).astype(np.int64) & DO_NOT_USE
        differ += int(np.count_nonzero(bad != reading.read_image(mask, tile)))
    return differ


def _light_again(
    by_role: Mapping[str, Sequence[Any]], trace: Trace, options: Options
) -> Recipe | None:
    """The recipe of a light; None where it is none."""
    again = calibration_again(by_role, trace.steps)
    if again is None:
        return None
    calibration, steps = again
    (frame,) = by_role["input"]
    levels = steps["flat levels"].args[0] if "flat levels" in steps else None
    saturation = steps["saturated"].args[0] if "saturated" in steps else None
    colours = colours_of(frame)
    found = fit(calibration, frame.shape, colours, gigabytes=options.memory, levels=levels)
    light = Light(frame, calibration, found, saturation)
    if calibration.errors:
        light = replace(light, noise=noise_of(frame, calibration, found, *steps["errors"].args))
    return light_recipe(light, "light", "float64")


def comparing_holds(there: Frame) -> Holds:
    """What comparing a plane with that of a master holds: both as float64, and which are
    missing."""
    return Holds(pixel={"comparison": 2 * 8 + 3}) + reading.values_holds([there])


def check_cube(
    frames: Sequence[Frame],
    folders: Sequence[str],
    executor: Callable[[], Executor],
    options: Options,
    findings: Findings,
) -> None:
    """Compare all pixels of a cube with those of the files that it was made of."""
    hdu = read_description(frames[0].place)["attributes"].get("hdu")
    chosen = None if hdu is None else as_hdu(hdu)
    sources = [
        Source("input", path, in_store(path), hdu=chosen)
        for path in (f.stored.origin(f) for f in frames)
    ]
    origins = find_origins(sources, folders, lambda frames: options.threads or CPU_COUNT)
    say_problems(origins, findings)
    pairs = [
        (frame, origin.file)
        for frame, origin in zip(frames, origins, strict=True)
        if isinstance(origin.file, Frame)
    ]
    differing = _differing_pixels(pairs, executor, options) if pairs else []
    findings.say_all(
        [
            f"input {printable(file.path)}: {n} of its pixels are others than in the cube"
            for (_, file), n in zip(pairs, differing, strict=True)
            if n
        ]
    )
    same = differing.count(0)
    findings.say(f"{same} of {len(frames)} frames have the pixels of their files")


def _differing_pixels(
    pairs: Sequence[tuple[Frame, Frame]], executor: Callable[[], Executor], options: Options
) -> list[int]:
    """How many pixels of each frame of a cube are not those of its file."""
    cube, files = zip(*pairs, strict=True)
    stack.check_shapes([*cube, *files])
    layer = cube_layer(files)
    size = cube[0].pixels.native.itemsize
    holds = Holds(pixel={"cube": len(cube) * size, "comparison": 3 * len(cube)})
    take = DifferingFrames(cube, str(cube[0].pixels.native))
    sink = CompareSink(layer, take, holds + holding.reading_holds(cube))
    make(Recipe((), (layer,)), [sink], executor(), memory=options.memory, summed=())
    return [int(n) for n in sink.total]
