"""Which layers make which masters: darks of all exposures with their bias, flats of all
filters. A recipe is one graph; commands run it into files, notebooks look at it lazily."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from dask.tokenize import tokenize

from pulsar_dask import flats, kernels, pipelines
from pulsar_dask.errors import count
from pulsar_dask.flats import FlatGroup
from pulsar_dask.frame import Frame, PixelType
from pulsar_dask.graph import TileGraph
from pulsar_dask.groups import exposure_name
from pulsar_dask.hotpixels import CORRECTION_BYTES, DEFECT_BYTES
from pulsar_dask.master import default_dtype
from pulsar_dask.pipelines import Array, frames_token
from pulsar_dask.reading import read_values
from pulsar_dask.tiles import Costs, Grid, Tile
from pulsar_dask.trace import Source, Trace, number_text

#: Steps that a trace is read back from.
MINUS = "minus the constant "
FROM_TOP = "rows of the list counted from the top"
SCALED = "each frame scaled to a median of "
#: Frames whose levels are found in one task: a dark is read once for all of them.
LEVEL_FRAMES = 8


@dataclass(frozen=True)
class Product:
    """One master that a recipe makes."""

    name: str
    """Name of the file without ".fit"."""
    kind: str
    layer: str
    frames: tuple[Frame, ...]
    dtype: str
    steps: tuple[str, ...]
    """What was done, for the header."""
    calibration: tuple[Source, ...] = ()
    """What else it is made of."""
    group: Any = None
    """The exposure (s) of a dark; the `FlatGroup` of a flat."""
    levels: tuple[str, ...] = ()
    """Single tasks that find the levels of a flat's frames."""

    @property
    def trace(self) -> Trace:
        inputs = tuple(Source.of("input", frame) for frame in self.frames)
        return Trace((*inputs, *self.calibration), self.steps)


@dataclass
class Recipe:
    graph: TileGraph
    products: list[Product] = field(default_factory=list)


# --- darks -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bias:
    """What is subtracted from a dark: frames to combine, one file, or a constant."""

    frames: tuple[Frame, ...] = ()
    constant: float = 0.0
    combine: bool = False
    """Whether the frames are combined into a master of their own."""

    @property
    def step(self) -> str | None:
        """What it does to a dark, in words."""
        if self.combine:
            return f"minus bias.fit, the median of {count(len(self.frames), 'frame')}"
        if self.frames:
            return f"minus {self.frames[0].path.replace(chr(92), '/').rsplit('/', 1)[-1]}"
        return f"{MINUS}{number_text(self.constant)}" if self.constant else None

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(Source.of("bias", frame) for frame in self.frames)


def dark_costs(groups: Sequence[Sequence[Frame]], bias: Bias) -> Costs:
    """Memory of `dark_recipe`: that of its largest stack, and the tiles that wait."""
    stacks = [pipelines.median_costs(frames, 4) for frames in groups]
    if bias.frames:
        stacks.append(pipelines.median_costs(bias.frames, 8))
    costs = most(stacks)
    waiting = {"tiles of other masters": 8 * (len(groups) + 1)}
    results = 4 * len(groups) + (8 if bias.combine else 0)
    return replace(costs, per_pixel=costs.per_pixel | waiting, results=results)


def dark_recipe(groups: dict[float, list[Frame]], bias: Bias, grid: Grid) -> Recipe:
    """Masters of darks by exposure; the bias is made once and serves all of them.

    A dark is median(frames) - bias in float64, rounded once; the bias is what its file
    holds, that is, rounded to its own type.
    """
    graph = TileGraph(grid)
    recipe = Recipe(graph)
    # names say all that a tile comes from, so that graphs can be merged
    source = tokenize(frames_token(bias.frames), bias.constant, bias.combine, grid)
    if bias.combine:
        dtype = default_dtype(bias.frames)
        shared = graph.share(f"bias-frames-{source}", bias.frames)
        rounding = graph.share(f"bias-type-{source}", dtype)
        level = graph.add(f"bias-{source}", _master_tile, shared, rounding)
        steps: tuple[str, ...] = (f"median of {count(len(bias.frames), 'frame')}",)
        recipe.products.append(Product("bias", "bias", level, bias.frames, dtype, steps))
    elif bias.frames:
        shared = graph.share(f"bias-frames-{source}", bias.frames)
        level = graph.add(f"bias-{source}", _values_tile, shared)
    else:
        level = graph.share(f"bias-constant-{source}", bias.constant)
    for exposure, frames in groups.items():
        token = tokenize(frames_token(frames), source)
        shared = graph.share(f"frames-{token}", tuple(frames))
        layer = graph.add(f"dark-{token}", _dark_tile, shared, level)
        steps = (f"median of {count(len(frames), 'frame')}", *([bias.step] if bias.step else []))
        recipe.products.append(
            Product(
                f"dark{exposure_name(exposure)}",
                "dark",
                layer,
                tuple(frames),
                "float32",
                steps,
                bias.sources,
                exposure,
            )
        )
    return recipe


def _dark_tile(tile: Tile, frames: Sequence[Frame], bias: Array | float) -> Array:
    return _rounded(pipelines.median_tile(tile, frames) - bias, "float32")


def _master_tile(tile: Tile, frames: Sequence[Frame], dtype: str) -> Array:
    return _rounded(pipelines.median_tile(tile, frames), dtype)


def _rounded(values: Array, dtype: str) -> Array:
    """Values as they stand in a file of some type."""
    with np.errstate(over="ignore"):
        rounded: Array = values.astype(dtype).astype("f8", copy=False)
    return rounded


def _values_tile(tile: Tile, frames: Sequence[Frame]) -> Array:
    values: Array = read_values(frames, tile, np.dtype("f8"), counted=None)[0]
    return values


# --- flats -------------------------------------------------------------------------------


def flat_costs(groups: Sequence[FlatGroup], threads: int) -> Costs:
    """Memory of `flat_recipe`."""
    costs = most([_flat_group_costs(group, threads) for group in groups])
    return replace(costs, results=4 * len(groups))


def _flat_group_costs(group: FlatGroup, threads: int) -> Costs:
    n = len(group.frames)
    together = _level_frames(n, threads)
    reach = group.defects.reach if group.defects is not None else 0
    listed = len(group.defects.places) if group.defects is not None else 0
    columns = group.shape[-1]
    read = [*group.frames, *([group.dark] if isinstance(group.dark, Frame) else [])]
    compiled = kernels.worth_compiling(group.frames)
    median = kernels.pixel_bytes(PixelType(-64), n, compiled=compiled)
    reading = pipelines.reading_costs(read, spare=median)
    size = max(f.pixels.stored.itemsize for f in group.frames)
    area = math.prod(group.shape[-2:])
    around = 2 * reach * columns
    if any(f.block[1] < columns for f in read if not f.expanded):  # a tile may be narrower
        around += 2 * reach * (group.shape[-2] + 2 * reach)
    blocks = max(f.block[0] * columns for f in read) if around and reading.per_pixel else 0
    window = (8 + size) * n + 32
    return replace(
        reading,
        per_pixel={
            "calibrated frames": 2 * 8 * n,
            "frames": size * n,
            "conversion": 4 * 8,
            "median": median,
            "output": 8 + 2 * 4,
        }
        | reading.per_pixel,
        per_thread={
            "selection": kernels.scratch_bytes(n, 8, area, compiled=compiled),
            "rows around a tile": around * window
            + (around + 2 * blocks) * sum(reading.per_pixel.values()),
            "values near the median": (together + 2) * 8 * flats.most_kept(area),
            **({"correction": CORRECTION_BYTES} if group.defects else {}),
        }
        | reading.per_thread,
        fixed=reading.fixed
        | ({"list of hot pixels": listed * DEFECT_BYTES} if group.defects else {}),
        earlier={"sample of the frames": flats.sample_bytes(together, group.shape)},
        stored=4 * n,
        frames=n,
    )


def _level_frames(n: int, threads: int) -> int:
    return max(1, min(LEVEL_FRAMES, -(-n // max(1, threads))))


def flat_recipe(
    groups: dict[str, FlatGroup],
    grid: Grid,
    *,
    target: float,
    threads: int,
    calibration: Mapping[str, Trace] | None = None,
) -> Recipe:
    """Masters of flats by the code of their filter; `calibration` is what headers say of it."""
    graph = TileGraph(grid)
    recipe = Recipe(graph)
    for code, group in groups.items():
        n = len(group.frames)
        known = (calibration or {}).get(code, Trace())
        token = tokenize(frames_token(group.frames), _calibration_token(group), code, target, grid)
        shared = graph.share(f"flats-{token}", group)
        frames = graph.share(f"frames-{token}", group.frames)
        levels = []
        step = _level_frames(n, threads)
        for first in range(0, n, step):
            last = min(n, first + step)
            size = grid.height, grid.width
            find = partial(flats.frame_levels, first=first, last=last, size=size)
            levels.append(graph.once(f"levels-{first}-{token}", find, shared))
        goal = graph.share(f"target-{token}", target)
        scales = graph.once(f"scales-{token}", flats.frame_scales, frames, goal, *levels)
        layer = graph.add(f"flat-{token}", flats.flat_tile, shared, scales)
        steps = (
            *known.steps,
            f"{SCALED}{number_text(target)}",
            f"median of {count(n, 'frame')}",
        )
        recipe.products.append(
            Product(
                f"flat_{code}",
                "flat",
                layer,
                group.frames,
                "float32",
                steps,
                known.sources,
                group,
                tuple(levels),
            )
        )
    return recipe


def _calibration_token(group: FlatGroup) -> str:
    dark = frames_token([group.dark]) if isinstance(group.dark, Frame) else group.dark
    listed = (group.defects.places, group.defects.step) if group.defects is not None else None
    return str(tokenize(dark, listed))


def most(costs: Sequence[Costs]) -> Costs:
    """The costs of stacks that are computed one after the other in each thread."""

    def highest(parts: Sequence[dict[str, int]]) -> dict[str, int]:
        return max(parts, key=lambda part: sum(part.values()))

    largest = max(costs, key=lambda c: c.stored)
    return Costs(
        per_pixel=highest([c.per_pixel for c in costs]),
        per_thread=highest([c.per_thread for c in costs]),
        fixed={
            name: (sum if name == "list of frames" else max)(c.fixed.get(name, 0) for c in costs)
            for name in dict.fromkeys(n for c in costs for n in c.fixed)
        },
        earlier=highest([c.earlier for c in costs]),
        expanding=highest([c.expanding for c in costs]),
        expanders=min((c.expanders for c in costs if c.expanders), default=None),
        stored=largest.stored,
        frames=largest.frames,
    )
