"""Which frames a function takes, and what there is to say of them: as the tools do."""

from __future__ import annotations

from collections.abc import Sequence

from pulsar_dask.errors import PulsarError, code_of, warn
from pulsar_dask.frames.alike import differences
from pulsar_dask.frames.frame import Frame, named
from pulsar_dask.frames.passed import without_masters
from pulsar_dask.frames.table import using
from pulsar_dask.masters.search import Found, Search, Spec, none_found, words_of
from pulsar_dask.notebook.arguments import check_kind


def chosen(spec: Spec | Found, kind: str | None, search: Search) -> list[Frame]:
    """The frames of a spec; with `kind` those of that kind, masters only where there is nothing
    else.

    Raises
    ------
    PulsarError
        There are none, or a file cannot be read.
    """
    check_kind(kind)
    found = search.frames(spec, kind).frames
    if kind is None:
        return found
    frames = [f for f in found if f.kind == kind]
    if not frames:
        label = f"{kind.capitalize()} Frame"
        raise PulsarError(none_found(kind, label, words_of(spec), found), "frames")
    return without_masters(frames)[0]


def warn_of_mix(name: str, frames: Sequence[Frame], search: Search, into: str) -> None:
    """What the tools say where frames of one median or cube differ in their kind or settings."""
    with using(search.table):
        for text in differences(frames, search.ways, into=into):
            warn(f"{name}: {text}", code_of(text))


def combined_frames(
    spec: Spec | Found, kind: str | None, search: Search, name: str, method: str
) -> tuple[list[Frame], list[Frame]]:
    """The frames that go into one master, as `med` takes them, and masters among them that it
    passes over; of a cube all that are in it."""
    found = chosen(spec, kind, search)
    frames: list[Frame] = found
    masters: list[Frame] = []
    if not isinstance(spec, Found) and any(f.is_master for f in found):
        frames, masters = without_masters(found, search.find(spec).explicit)
    warn_of_mix(name, frames, search, method)
    return frames, masters


def warn_of_masters(name: str, masters: Sequence[Frame]) -> None:
    """Say which masters were passed over: no part of a master's history."""
    if masters:
        warn(
            f"{name}: passed over: {named(masters)}, as masters among raw frames; name them alone "
            "to combine them",
            "passed-over",
        )
