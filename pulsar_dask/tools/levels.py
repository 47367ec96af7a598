"""What is said of frames that do not belong, and how they are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.errors import count, warn
from pulsar_dask.masters.judged import Said, judged, surveyed
from pulsar_dask.masters.survey import Surveying
from pulsar_dask.output.survey_sink import SurveySink

if TYPE_CHECKING:
    from pulsar_dask.cli.report import Report


class Asked(Protocol):
    """What is asked for of frames that do not belong; see `options.Options`."""

    @property
    def saturation(self) -> float | None: ...

    @property
    def reject_frames(self) -> bool: ...


class LeaveOut(Exception):
    """Some frames do not belong, and the masters are to be made without them."""

    def __init__(self, paths: frozenset[str]) -> None:
        self.paths = paths
        super().__init__()


def surveying(options: Asked) -> Surveying:
    """How the frames of products are looked at."""
    return partial(surveyed, saturation=options.saturation)


def survey_sinks(products: Sequence[Product]) -> list[SurveySink]:
    return [SurveySink(product) for product in products if product.survey is not None]


def tell(
    sinks: Sequence[SurveySink], run: Run, options: Asked, report: Report, *, again: bool = False
) -> None:
    """Warn of what was seen, before headers are finished; `again` where frames were left out
    already.

    Raises
    ------
    LeaveOut
        Frames are to be left out.
    """
    out: set[str] = set()
    for sink in sinks:
        product = sink.product
        said = judged(product, sink.surveyed, run)
        sink.said = said
        odd = {f.path for s in said for f in s.frames}
        leaves = (
            options.reject_frames
            and not again
            and bool(odd)
            and 2 * len(odd) <= len(product.frames)
        )
        for s in said:
            _tell(product, s, options, report, leaves=leaves)
        if leaves:
            out |= odd
    if out:
        report.say(f"{count(len(out), 'frame')} left out; the others are read once more")
        raise LeaveOut(frozenset(out))


def _tell(product: Product, said: Said, options: Asked, report: Report, *, leaves: bool) -> None:
    if said.note:
        report.say(f"{product.file}: {said.text}")
        return
    done = ""
    if said.frames:
        done = "; left out" if leaves else "; --reject-frames leaves such frames out"
        if options.reject_frames and not leaves:
            done = "; too many to be left out"
    about = tuple(frame.path for frame in said.about)
    left_out = leaves and bool(said.frames)
    warn(f"{product.file}: {said.text}{done}", said.code, frames=about, left_out=left_out)


def without_odd(make: Callable[[frozenset[str]], None]) -> None:
    """Make masters; once more, where that is asked for, without frames that do not belong: the
    paths that `make` is given."""
    try:
        make(frozenset())
    except LeaveOut as found:
        make(found.paths)
