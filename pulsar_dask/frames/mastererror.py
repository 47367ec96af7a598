"""What a header says of the errors of masters that are files: from which file they were taken, or
which number stands for all pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.planes import master_path
from pulsar_dask.frames.provenance import Source
from pulsar_dask.frames.step import Step

Error = Frame | float
"""A plane of errors; or one for all pixels, ADU."""


def known_again(errors: Sequence[Frame], steps: Sequence[Step | str]) -> dict[str, Error]:
    """Errors by the names of masters, as a header has them."""
    said = [step.args for step in steps if isinstance(step, Step) and step.verb == "error of"]
    found: dict[str, Error] = dict(said)
    for plane in errors:
        name = os.path.basename(plane.path)
        found[master_path(name) or name] = plane
    return found


def said_of(
    masters: Sequence[Frame], errors: Sequence[Error]
) -> tuple[tuple[Source, ...], tuple[Step, ...]]:
    """What header and HISTORY say of errors that were taken."""
    pairs = dict(zip((os.path.basename(m.path) for m in masters), errors, strict=False))
    sources = [Source.of("error", e) for e in pairs.values() if isinstance(e, Frame)]
    steps = [Step("error of", (n, e)) for n, e in pairs.items() if isinstance(e, float) and e]
    return tuple(sources), tuple(steps)
