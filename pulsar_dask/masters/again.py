"""A recipe made again from what a master says of itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pulsar_dask import combine
from pulsar_dask.combine import Combine
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frames.colour import colours_among
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.mastererror import known_again
from pulsar_dask.frames.quality import Quality
from pulsar_dask.frames.step import Step
from pulsar_dask.kernels.correct import find_rings
from pulsar_dask.kernels.noise import Noise
from pulsar_dask.masters.dark import dark_recipe, stack_product
from pulsar_dask.masters.darkgroup import Bias, Dark
from pulsar_dask.masters.flat import flat_recipe
from pulsar_dask.masters.flatgroup import FlatGroup, Minus
from pulsar_dask.masters.flatlists import cells_of, old_cells, read_places
from pulsar_dask.masters.noiseparts import Parts
from pulsar_dask.masters.survey import Surveying


def recipe_again(
    sources: Mapping[str, Sequence[Any]],
    steps: Sequence[Step | str],
    *,
    planes: Sequence[str] = ("image",),
    threads: int,
    gigabytes: float | None,
    surveyed: Surveying | None = None,
) -> Recipe:
    """The recipe of one master, its last product.

    Parameters
    ----------
    sources : mapping
        By role: frames as "input", "bias", "dark" and "error", paths as "list".
    steps : sequence of Step or str
    planes : sequence of str
    threads : int
        That will compute.
    gigabytes : float or None
        That the process may take, for a list of pixels.
    surveyed : callable, optional
        Gives from frames the `Survey` by which they are looked at meanwhile.

    Raises
    ------
    PulsarError
        A step, or a way to combine, is not known to this version.
    """
    by_verb: dict[str, Step] = {}
    for step in steps:
        if isinstance(step, str):
            raise PulsarError(
                f"this version does not know the step {printable(step)!r}, so it cannot make "
                "the pixels again",
                "unknown-step",
            )
        by_verb[step.verb] = step
    frames: Sequence[Frame] = sources["input"]
    errors = known_again(sources.get("error", ()), steps)
    (name, parameters), _ = by_verb["combine"].args if "combine" in by_verb else (("", ()), 0)
    method = _method(name, parameters)
    noise = noise_again(steps)
    quality = None
    if "quality" in by_verb:
        quality = Quality(*by_verb["quality"].args)
        if quality.kind == "flat" and (colours := colours_among(frames)) is not None:
            quality = replace(quality, period=colours.period, cells=colours.cells)
    constant = by_verb["minus number"].args[0] if "minus number" in by_verb else 0.0
    scale = by_verb.get("scale colours", by_verb.get("scale"))
    if scale is not None:
        defects, colours = None, None
        if scale.verb == "scale colours":
            colours = colours_among(frames)
            cells = cells_of(colours)
        else:
            cells = () if "one colour" in by_verb else old_cells(frames)
        for path in sources["list"]:
            shape, top = frames[0].shape, "from top" in by_verb
            places = read_places(path, shape, origin_top=top, gigabytes=gigabytes)
            defects = find_rings(places, shape, *cells)
        minus = _minus(frames, sources, steps, constant)
        group = FlatGroup(tuple(frames), minus, defects, colours)
        (target,) = scale.args
        return flat_recipe(
            {"flat": group},
            method,
            target=target,
            threads=threads,
            planes=planes,
            surveyed=surveyed,
            noise=noise,
            errors=errors,
            quality=quality,
        )
    biases = tuple(sources["bias"])
    if not biases and not constant:
        made = stack_product(
            "",
            None,
            frames,
            method,
            planes,
            rounds=False,
            surveyed=surveyed,
            noise=noise,
            quality=quality,
        )
        return Recipe([made])
    bias, of_bias = Bias(biases, constant, combine="minus combined" in by_verb), None
    if bias.combine:
        of_bias = _method(*by_verb["minus combined"].args[1])
    dark = Dark("", tuple(frames), bias)
    return dark_recipe(
        [dark],
        method,
        planes,
        surveyed,
        of_bias=of_bias,
        noise=noise,
        errors=errors,
        quality=quality,
    )


def noise_again(steps: Sequence[Step | str]) -> Noise | Parts | None:
    """The noise of a frame, as a header has it."""
    of_parts = [s.args for s in steps if isinstance(s, Step) and s.verb == "noise of part"]
    if of_parts:
        sections, noises = zip(*of_parts, strict=True)
        return Parts(sections, tuple(Noise(*numbers) for numbers in noises))
    known = [step.args[0] for step in steps if isinstance(step, Step) and step.verb == "noise"]
    return Noise(*known[0]) if known else None


def _method(name: str, parameters: Sequence[tuple[str, float]]) -> Combine:
    try:
        return combine.method(name, parameters)
    except ValueError as error:
        raise PulsarError(f"this version cannot make the pixels again: {error}") from error


def _minus(
    frames: Sequence[Frame],
    sources: Mapping[str, Sequence[Any]],
    steps: Sequence[Step | str],
    constant: float,
) -> tuple[Minus, ...]:
    """What was subtracted from flats."""
    images = (*sources["dark"], *sources["bias"])
    each = [step.args for step in steps if isinstance(step, Step) and step.verb == "minus from"]
    if not each:
        return (Minus(images, constant),)
    by_name = {os.path.basename(f.path): f for f in images}
    found: list[Minus] = []
    for names, number, count in each:
        try:
            some = tuple(by_name[name] for name in names.split(", ") if name)
        except KeyError as error:
            raise PulsarError(
                f"it cannot be told which of its darks was {printable(error)}", "unknown-step"
            ) from None
        found += [Minus(some, number)] * count
    if len(found) != len(frames):
        raise PulsarError(
            "its steps do not say what was subtracted from each of its frames", "unknown-step"
        )
    return tuple(found)
