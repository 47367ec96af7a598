"""Master darks, one for each exposure: the combined frames minus the bias, which is made once and
serves all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pulsar_dask.combine import Combine
from pulsar_dask.engine.layer import Layer
from pulsar_dask.engine.recipe import Product, Recipe
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.mastererror import Error
from pulsar_dask.frames.provenance import Source
from pulsar_dask.frames.quality import Quality
from pulsar_dask.frames.stack import default_dtype
from pulsar_dask.frames.step import Step
from pulsar_dask.kernels.noise import Noise
from pulsar_dask.masters.darkgroup import Bias, Dark, key
from pulsar_dask.masters.fitted import MEASURED, fitted, quality_of
from pulsar_dask.masters.mastererrors import errors_of
from pulsar_dask.masters.noiseparts import Parts
from pulsar_dask.masters.stack import images, one_image, stacked
from pulsar_dask.masters.survey import Surveying


def dark_recipe(
    darks: Sequence[Dark],
    method: Combine,
    planes: Sequence[str] = ("image",),
    surveyed: Surveying | None = None,
    *,
    of_bias: Combine | None = None,
    noise: Noise | Parts | str | None = MEASURED,
    errors: Mapping[str, Error] | None = None,
    quality: Quality | None = None,
) -> Recipe:
    """Masters of darks of one shape, and of the biases that are combined for them, by the same
    method or by `of_bias`. `noise` is that of a frame of the darks, and `quality` by what theirs is
    told, where that is known; `errors` are those of biases that are files.

    A dark is combined(frames) - bias in float64, rounded once; the bias is what its file holds,
    that is, rounded to its own type.
    """
    if "uncertainty" in planes:
        with_errors = {
            bias: replace(bias, error=errors_of(bias.frames, errors)[0])
            for bias in dict.fromkeys(dark.bias for dark in darks)
            if bias.frames and not bias.combine
        }
        darks = [replace(d, bias=with_errors.get(d.bias, d.bias)) for d in darks]
    products = {}
    levels: dict[Bias, Layer | float] = {}
    methods: dict[Bias, Combine] = {}
    for bias in dict.fromkeys(dark.bias for dark in darks):
        methods[bias] = of_bias or method
        if bias.combine:
            # darks say by which numbers their bias is made, too
            own = methods[bias] = fitted(methods[bias], bias.frames).method
            made = stack_product(bias.name, "bias", bias.frames, own, planes, surveyed=surveyed)
            products[bias.name] = made
            levels[bias] = made.layer
        else:
            levels[bias] = bias.constant
            if isinstance(bias.error, Frame):
                both = {"image": bias.frames[0], "uncertainty": bias.error}
                levels[bias] = images("bias", both)
            elif bias.frames:
                levels[bias] = one_image("bias", bias.frames[0])
    for dark in darks:
        step = dark.bias.step(methods[dark.bias])
        products[dark.name] = stack_product(
            dark.name,
            "dark",
            dark.frames,
            method,
            planes,
            minus=levels[dark.bias],
            dtype="float32",
            error=dark.bias.error if isinstance(dark.bias.error, float) else 0.0,
            steps=(*((step,) if step else ()), *dark.bias.error_steps),
            sources=dark.bias.sources,
            surveyed=surveyed,
            noise=noise,
            quality=quality,
        )
    return Recipe(list(products.values()))


def stack_product(
    name: str,
    kind: str | None,
    frames: Sequence[Frame],
    method: Combine,
    planes: Sequence[str] = ("image",),
    *,
    minus: Layer | float = 0.0,
    error: float = 0.0,
    dtype: str | None = None,
    rounds: bool = True,
    steps: Sequence[Step] = (),
    sources: Sequence[Source] = (),
    surveyed: Surveying | None = None,
    noise: Noise | Parts | str | None = MEASURED,
    quality: Quality | None = None,
) -> Product:
    """A master that is combined from frames, minus something, whose error may be one number.

    With `rounds` those who take its values (darks a bias, a list a dark) get them as they stand
    in its file.
    """
    method, found, known = fitted(method, frames, planes, noise=noise)
    dtype = dtype or default_dtype(frames)
    survey = surveyed(frames) if surveyed is not None else None
    if "quality" in planes:
        out = kind == "dark" and (isinstance(minus, Layer) or bool(minus))
        quality = quality or quality_of(kind, frames, survey, current=out)
        known = (*known, Step("quality", quality.said))
    layer = stacked(
        kind or "stack",
        frames,
        method,
        planes=planes,
        minus=minus,
        error=error,
        dtype=dtype if rounds else None,
        survey=survey,
        noise=found,
        quality=quality if "quality" in planes else None,
    )
    return Product(
        name,
        kind,
        layer,
        tuple(frames),
        {p.name: dtype if p.name == "image" else p.dtype for p in layer.planes},
        (Step("combine", (key(method), len(frames))), *known, *steps),
        tuple(sources),
        survey=survey,
        finish=quality if "quality" in planes else None,
    )
