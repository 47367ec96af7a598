"""Which frames of a stack do not belong, as a question of its own."""

from __future__ import annotations

from dask.system import CPU_COUNT

from pulsar_dask import combine
from pulsar_dask.engine.make import make
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.threads import Threads
from pulsar_dask.errors import PulsarError, warn
from pulsar_dask.frames import stack
from pulsar_dask.frames.table import using
from pulsar_dask.masters.dark import stack_product
from pulsar_dask.masters.judged import judged, surveyed
from pulsar_dask.masters.search import Search, Spec
from pulsar_dask.notebook.arguments import check_number, check_resources, searching
from pulsar_dask.output.header import common
from pulsar_dask.output.survey_sink import SurveySink


def check_frames(
    spec: Spec,
    *,
    saturation: float | None = None,
    search: Search | None = None,
    memory: float | None = None,
    threads: int | None = None,
) -> dict[str, str]:
    """Frames of one stack that do not belong: what `med` warns of. All pixels are read once, now.

    Level, noise, corners, saturated pixels, values of another scale: the limits are those of the
    commands. Lazy masters do not look, as their tiles are computed when, and as many as, somebody
    wants them; leave out what is found here, then make the master. Of flats, which are not scaled
    here, only what is wrong whatever they are is told, and those that are saturated or of too
    little or too much light.

    Parameters
    ----------
    spec : path or iterable of paths
        Frames of one kind and size, raw ones; masters among them are passed over.
    saturation : float, optional
        ADU from which a pixel is saturated, as for ``--saturation``.
    search : Search, optional
        How to look for them, and what they are taken for.
    memory, threads
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
    check_resources(memory, threads)
    if saturation is not None:
        check_number("saturation", saturation, "ADU as a number, such as 65535", above=0)
    search = searching(search)
    with using(search.table):
        found = search.frames(spec).frames
    frames = [f for f in found if not f.is_master]
    if not frames:
        raise PulsarError("no raw frames are among them; a master of masters is not judged")
    stack.check_shapes(frames)
    kind = common([f.kind for f in frames])
    product = stack_product(
        "the frames",
        None if kind == "other" else kind,
        frames,
        combine.method("median"),
        surveyed=lambda some: surveyed(some, saturation),
    )
    sink, slots = SurveySink(product), threads or CPU_COUNT
    run = make(Recipe([product]), [sink], Threads(slots), memory=memory, threads=slots, summed=())
    odd: dict[str, str] = {}
    for said in judged(product, sink.surveyed, run):
        if not said.note:
            warn(said.text, said.code, frames=tuple(f.path for f in said.about))
        for frame in said.frames:
            odd[frame.path] = "; ".join(filter(None, (odd.get(frame.path), said.text)))
    return odd
