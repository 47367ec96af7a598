"""Planes of a master that lie in a FITS file, its own or the one beside it."""

from __future__ import annotations

import contextlib
import os

from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.planes import IN_FILES, planes_path


def planes_in(path: str) -> dict[str, Frame]:
    """The planes in a file that this program wrote, by name."""
    found = {}
    for plane in IN_FILES.values() if os.path.isfile(path) else ():
        with contextlib.suppress(PulsarError):
            frame = scan_frame(path, plane.extname)
            if frame.plane == plane.name:  # else it is the only image there is
                found[plane.name] = frame
    return found


def planes_near(master: Frame) -> dict[str, Frame]:
    """Those in the file of a master, else those in the file beside it."""
    return planes_in(master.path) or planes_in(planes_path(master.path))
