"""Layers as lazy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from astropy.io import fits
from dask.delayed import delayed
from dask.highlevelgraph import HighLevelGraph
from dask.system import CPU_COUNT

from pulsar_dask.combine import Combine
from pulsar_dask.engine.cut import Resources
from pulsar_dask.engine.graph import Graph, made_by
from pulsar_dask.engine.layer import Layer
from pulsar_dask.engine.memory import budget, process_bytes
from pulsar_dask.engine.plan import make_plan
from pulsar_dask.engine.recipe import Product, Recipe
from pulsar_dask.formats.storeformat import MASTER
from pulsar_dask.frames import stack
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.planes import Plane
from pulsar_dask.frames.provenance import plain_texts
from pulsar_dask.frames.quality import Quality
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.dark import stack_product
from pulsar_dask.masters.finish import Finished
from pulsar_dask.masters.search import Search
from pulsar_dask.masters.survey import Surveying
from pulsar_dask.notebook.arguments import Ask
from pulsar_dask.output.header import common, product_header
from pulsar_dask.output.labels import header_attributes


@dataclass(frozen=True)
class Made:
    """What a lazy master was made by, so that it can be written as the tools write it."""

    name: str
    """Of the product."""
    plane: str
    recipe: Callable[..., Recipe]
    """Declares it, and those of its size: of ``planes``, and of how frames are looked at
    (``surveyed``)."""
    search: Search
    notes: tuple[str, ...]
    """What was warned of."""
    files: tuple[str, ...]
    """The files that these would go by."""


def lazy_array(graph: Graph, layer: Layer, plane: Plane, dtype: str, made: Any = None) -> da.Array:
    """A plane of a layer as a dask array."""
    name, tasks = graph.lazy(layer, plane.name, dtype, made)
    chunks = (*((n,) for n in plane.leading), *graph.grid.chunks)
    return da.Array(tasks, name, chunks, dtype=np.dtype(dtype))


def graph_of(recipe: Recipe, memory: float | None, threads: int | None) -> Graph:
    """A recipe over tiles that so many threads can compute at once."""
    here = Resources(budget(memory), process_bytes(), threads or CPU_COUNT)
    return Graph(recipe.layers, make_plan(recipe, (), [here]).grid)


def lazy_planes(product: Product, graph: Graph, made: Made | None = None) -> dict[str, da.Array]:
    """The planes of a product as dask arrays, of their types in a file."""
    arrays = {}
    for plane in product.layer.planes:
        known = made and replace(made, name=product.name, plane=plane.name)
        dtype = product.dtypes[plane.name]
        arrays[plane.name] = lazy_array(graph, product.layer, plane, dtype, known)
    if product.finish is not None:
        known = made and replace(made, name=product.name, plane="quality")
        arrays["quality"] = _lazy_quality(product, arrays["image"], arrays["quality"], known)
    return arrays


def _lazy_quality(product: Product, image: da.Array, bits: da.Array, made: Any) -> da.Array:
    """The quality of all pixels, which is told once the whole image is there: one task."""
    whole = delayed(partial(_finish, product.finish), pure=True)(image, bits)
    array = da.from_delayed(whole, image.shape, "int32").rechunk(image.chunks)
    name = f"{array.name}-quality"
    tasks = {(name, *index): (array.name, *index) for index in np.ndindex(array.numblocks)}
    graph = HighLevelGraph.from_collections(name, tasks | made_by(name, made), [array])
    return da.Array(graph, name, array.chunks, array.dtype)


def _finish(quality: Quality, image: np.ndarray, bits: np.ndarray) -> np.ndarray:
    def rows(values: np.ndarray, tile: Tile) -> np.ndarray:
        plane = values[tile.plane] if values.ndim == 3 else values
        return plane[tile.y : tile.y + tile.height]

    looked = Finished(quality, image.shape, partial(rows, image), partial(rows, bits))
    found = np.empty(image.shape, np.int32)
    for tile in looked.bands():
        rows(found, tile)[...] = looked.bits(tile)
    return found


def traced_header(product: Product, tolerance: float | None = None) -> fits.Header:
    """The header of a master, with its inputs and steps as far as they are known before anything
    was read."""
    header = product_header(product, tolerance)
    for text in plain_texts(product.trace):
        header.add_history(text)
    return header


def stack_recipe(
    frames: Sequence[Frame],
    method: Combine,
    planes: Sequence[str] = ("image",),
    surveyed: Surveying | None = None,
) -> Recipe:
    """The recipe of the master of any frames, as `med` declares it."""
    stack.check_shapes(frames)
    kind = common([f.kind for f in frames])
    kind = None if kind == "other" else kind
    return Recipe(
        [stack_product(MASTER, kind, frames, method, planes, rounds=False, surveyed=surveyed)]
    )


def master_of(
    frames: Sequence[Frame],
    method: Combine,
    planes: Sequence[str],
    ask: Ask,
    notes: Sequence[str] = (),
) -> xr.Dataset:
    """The master of frames that were scanned already; see `master`."""
    declare = partial(stack_recipe, tuple(frames), method)
    recipe = declare(planes=planes)
    (product,) = recipe.products
    made = Made(MASTER, "image", declare, ask.search, tuple(notes), (product.file,))
    arrays = lazy_planes(product, graph_of(recipe, ask.memory, ask.threads), made)
    dims = ("plane", "y", "x")[-len(recipe.shape) :]
    known = header_attributes(traced_header(product))
    arrays = {MASTER if name == "image" else name: array for name, array in arrays.items()}
    return xr.Dataset({name: xr.Variable(dims, a, attrs=known) for name, a in arrays.items()})
