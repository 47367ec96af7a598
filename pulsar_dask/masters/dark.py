"""Master darks, one for each exposure: the combined frames minus the bias, which is made once and
serves all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pulsar_dask.combine import Combine
from pulsar_dask.engine.layer import Layer
from pulsar_dask.engine.recipe import Product, Recipe
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.naming import exposure_name
from pulsar_dask.frames.provenance import Source
from pulsar_dask.frames.stack import default_dtype
from pulsar_dask.frames.step import Step
from pulsar_dask.masters.stack import one_image, stacked
from pulsar_dask.masters.survey import Surveying


@dataclass(frozen=True)
class Bias:
    """What is subtracted from a dark: frames to combine, one file, or a constant."""

    frames: tuple[Frame, ...] = ()
    constant: float = 0.0
    combine: bool = False
    """Whether the frames are combined into a master of their own."""

    def step(self, method: Combine) -> Step | None:
        """What it does to a dark."""
        if self.combine:
            return Step("minus combined", ("bias.fit", key(method), len(self.frames)))
        if self.frames:
            return Step("minus", (self.frames[0].path.replace("\\", "/").rsplit("/", 1)[-1],))
        return Step("minus number", (self.constant,)) if self.constant else None

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(Source.of("bias", frame) for frame in self.frames)


def dark_recipe(
    groups: Mapping[float, Sequence[Frame]],
    bias: Bias,
    method: Combine,
    planes: Sequence[str] = ("image",),
    surveyed: Surveying | None = None,
) -> Recipe:
    """Masters of darks by exposure.

    A dark is combined(frames) - bias in float64, rounded once; the bias is what its file holds,
    that is, rounded to its own type.
    """
    products = []
    level: Layer | float = bias.constant
    if bias.combine:
        product = stack_product("bias", "bias", bias.frames, method, planes, surveyed=surveyed)
        products.append(product)
        level = product.layer
    elif bias.frames:
        level = one_image("bias", bias.frames[0])
    step = bias.step(method)
    for exposure, frames in groups.items():
        name = f"dark{exposure_name(exposure)}"
        products.append(
            stack_product(
                name,
                "dark",
                frames,
                method,
                planes,
                minus=level,
                dtype="float32",
                steps=(step,) if step else (),
                sources=bias.sources,
                surveyed=surveyed,
            )
        )
    return Recipe(products)


def stack_product(
    name: str,
    kind: str | None,
    frames: Sequence[Frame],
    method: Combine,
    planes: Sequence[str] = ("image",),
    *,
    minus: Layer | float = 0.0,
    dtype: str | None = None,
    rounds: bool = True,
    steps: Sequence[Step] = (),
    sources: Sequence[Source] = (),
    surveyed: Surveying | None = None,
) -> Product:
    """A master that is combined from frames, minus something.

    With `rounds` those who take its values (darks a bias, a list a dark) get them as they stand
    in its file.
    """
    dtype = dtype or default_dtype(frames)
    survey = surveyed(frames) if surveyed is not None else None
    layer = stacked(
        kind or "stack",
        frames,
        method,
        planes=planes,
        minus=minus,
        dtype=dtype if rounds else None,
        survey=survey,
    )
    return Product(
        name,
        kind,
        layer,
        tuple(frames),
        {p.name: dtype if p.name == "image" else p.dtype for p in layer.planes},
        (Step("combine", (key(method), len(frames))), *steps),
        tuple(sources),
        survey=survey,
    )


def key(method: Combine) -> tuple[str, tuple[tuple[str, float], ...]]:
    """A method as a step has it."""
    return method.name, method.parameters
