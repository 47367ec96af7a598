"""From a path to its frames: which format it is of is asked here, and nowhere else."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import warnings
from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

from astropy.utils.exceptions import AstropyWarning

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.hdus import status_of
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.planes import IN_FILES, planes_path
from pulsar_dask.inputs.checks import check_hdu
from pulsar_dask.inputs.find import Inputs
from pulsar_dask.inputs.words import as_text


class Format(NamedTuple):
    """A format that files can be of."""

    ending: str
    """That a path has, small letters; what has another is not asked about."""
    module: str
    """The file of this room that knows it, a `Scanner`: loaded when such a path comes."""


class Scanner(Protocol):
    """What a module of a format has; where planes of a master can be images of their own in a file,
    also `scan_planes`, which gives these by name."""

    def recognise(self, path: str) -> bool:
        """Whether a path is of this format."""

    def scan(self, path: str, hdu: int | str | None = None) -> list[Frame]:
        """The frames there, as their headers describe them; no pixel is read. Of a file of several
        images the one of an HDU, by index or name.

        Raises
        ------
        PulsarError
            They cannot be read, or are damaged.
        """


#: In the order in which they are asked; the last one takes, or refuses, whatever comes.
FORMATS = (Format(".zarr", "zarr"), Format("", "fitsfile"))


def scan_frame(path: str | os.PathLike[str], hdu: int | str | None = None) -> Frame:
    """What the headers of a file say of its image.

    In a FITS file that is the HDU with 2 axes, or 3 (planes, Y, X), those of length 1 aside:
    primary, IMAGE extension or tile-compressed. Keywords that it lacks are looked for in the
    primary header. The file may be gzipped.

    Parameters
    ----------
    path : path
    hdu : int or str, optional
        Where the file holds several images: the index or EXTNAME of one.

    Raises
    ------
    PulsarError
        The file cannot be read, is not FITS, is damaged, or holds no image, or several.
    """
    check_hdu(hdu)
    path = os.path.abspath(as_text(path, "path"))
    status_of(path)  # a folder has more than one
    return _frames_of(path, hdu)[0]


def scan_frames(paths: Sequence[str], hdu: int | str | None = None) -> list[Frame]:
    """`scan_frame` of each path, in order; of a Zarr store all its frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        return [frame for path in paths for frame in _frames_of(os.path.abspath(path), hdu)]


def scan_inputs(inputs: Inputs) -> tuple[list[Frame], list[Frame]]:
    """Frames of what a user named, each once, and planes of masters that lie among them, to be
    passed over.

    Raises
    ------
    PulsarError
        As for `scan_frame`; or planes were named, or there is nothing else.
    """
    frames = scan_frames(inputs.paths, inputs.hdu)
    planes = [frame for frame in frames if frame.plane]
    refuse_planes(planes if len(planes) == len(frames) else [])
    refuse_planes([frame for frame in planes if frame.path in inputs.explicit])
    return [frame for frame in frames if not frame.plane], planes


def refuse_planes(frames: Sequence[Frame]) -> None:
    """Refuse what is a plane of a master where an image is asked for."""
    for frame in frames:
        if frame.plane:
            raise PulsarError(
                f"{printable(frame.path)}: no image, it holds what is beside one in a master "
                f"({frame.plane}: {IN_FILES[frame.plane].words}); name the master",
                "unreadable",
            )


def planes_in(path: str) -> dict[str, Frame]:
    """The planes in a file that this program wrote, by name."""
    path = os.path.abspath(path)
    scan_planes = getattr(_scanner(path), "scan_planes", None)
    with contextlib.suppress(PulsarError):
        return scan_planes(path) if scan_planes is not None else {}
    return {}


def planes_near(master: Frame) -> dict[str, Frame]:
    """Those in the file of a master, else those in the file beside it."""
    return planes_in(master.path) or planes_in(planes_path(master.path))


def _frames_of(path: str, hdu: int | str | None) -> list[Frame]:
    known = _scanner(path)
    return known.scan(path) if hdu is None else known.scan(path, hdu)


def _scanner(path: str) -> Scanner:
    for ending, module in FORMATS:
        if path.lower().endswith(ending):
            known = _loaded(module)
            if known.recognise(path):
                return known
    raise AssertionError("the last format takes all paths")


@functools.cache
def _loaded(module: str) -> Scanner:
    return cast(Scanner, importlib.import_module(f"{__package__}.{module}"))
