"""Which frames of a stack do not belong, as a question of its own."""

from __future__ import annotations

from typing import Unpack

import xarray as xr
from dask.system import CPU_COUNT

from pulsar_dask import combine
from pulsar_dask.engine.make import make
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.threads import Threads
from pulsar_dask.errors import PulsarError, warn
from pulsar_dask.frames import stack
from pulsar_dask.masters.dark import stack_product
from pulsar_dask.masters.judged import judged, surveyed
from pulsar_dask.masters.search import Spec
from pulsar_dask.notebook.arguments import Ask, Asked, asking, check_number
from pulsar_dask.notebook.chosen import chosen
from pulsar_dask.notebook.selected import given
from pulsar_dask.output.header import common
from pulsar_dask.output.survey_sink import SurveySink


@asking
def check_frames(
    spec: Spec | xr.DataArray,
    *,
    saturation: float | None = None,
    kind: str | None = None,
    **how: Unpack[Asked],
) -> dict[str, str]:
    """Frames of one stack that do not belong: what `med` warns of. All pixels are read once, now.

    Level, noise, corners, saturated pixels, values of another scale: the limits are those of the
    commands. Lazy masters do not look, as their tiles are computed when, and as many as, somebody
    wants them; leave out what is found here, then make the master. Of flats, which are not scaled
    here, only what is wrong whatever they are is told, and those that are saturated or of too
    little or too much light.

    Parameters
    ----------
    spec : path, iterable of paths, or xarray.DataArray
        Frames of one kind and size, raw ones; masters among them are passed over.
    saturation : float, optional
        ADU from which a pixel is saturated, as for ``--saturation``.
    kind, search, sequence, recursive, hdu, memory, threads
        As for `open_frames`.

    Returns
    -------
    dict of str to str
        Path of each frame that is better left out, and why. Whatever else there is to say is a
        `PulsarWarning`, and so is this.

    Raises
    ------
    PulsarError
        No frames, or of several sizes; one of them cannot be read.

    Examples
    --------
    >>> odd = pulsar.check_frames("darks/")                                   # doctest: +SKIP
    >>> pulsar.master(sorted(set(map(str, paths)) - set(odd)))                # doctest: +SKIP
    """
    ask = Ask.of(how)
    if saturation is not None:
        check_number("saturation", saturation, "ADU as a number, such as 65535", above=0)
    frames = [f for f in chosen(given(spec, "spec"), kind, ask.search) if not f.is_master]
    if not frames:
        raise PulsarError("no raw frames are among them; a master of masters is not judged")
    stack.check_shapes(frames)
    what = common([f.kind for f in frames])
    product = stack_product(
        "the frames",
        None if what == "other" else what,
        frames,
        combine.method("median"),
        surveyed=lambda some: surveyed(some, saturation),
    )
    sink, slots = SurveySink(product), ask.threads or CPU_COUNT
    recipe, here = Recipe([product]), Threads(slots)
    run = make(recipe, [sink], here, memory=ask.memory, threads=slots, summed=())
    odd: dict[str, str] = {}
    for said in judged(product, sink.surveyed, run):
        if not said.note:
            warn(said.text, said.code, frames=tuple(f.path for f in said.about))
        for frame in said.frames:
            odd[frame.path] = "; ".join(filter(None, (odd.get(frame.path), said.text)))
    return odd
