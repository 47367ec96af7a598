"""Master calibration frames from stacks that do not fit in memory.

A night in a notebook, each line lazy until something is computed, shown or written:

    import pulsar_dask as pulsar
    cube = pulsar.open_frames("darks/", kind="dark")     # (frame, y, x)
    cube.exposure, cube.gain, cube.temperature           # what frames say of themselves
    odd = pulsar.check_frames(cube)                      # those that do not belong, and why
    cube = cube.sel(frame=~cube.file.isin(list(odd)))
    darks = pulsar.dark_masters(cube, bias="bias*.fit")  # dark120s, …
    pulsar.hot_pixels(darks.dark120s, 100)               # x, y and value
    pulsar.to_fits(darks, "masters/")                    # the files of makedark

Frames       `open_frames` (folder, mask, list, files: a cube), `check_frames`, `write_cube`
Masters      `median`, `master` (any method, planes), `dark_masters`, `flat_masters`
Lights       `library` (the masters that serve a light), `calibrate`
Of a master  `hot_pixels`, `to_fits`, `to_ccddata`; also as methods: ``darks.pulsar.to_fits(…)``
Files        ``xarray.open_dataset("dark120s.fit", engine="pulsar", chunks={})``
Understood   `scan_frame`, `Frame`, `find_inputs`; `Search`: what the commands have options for

Functions that take frames take a cube, too: one from which frames, rows or columns were chosen, or
in which values changed. All take `search`, `sequence`, `recursive`, `hdu`, `memory` and `threads`.
What is wrong is a `PulsarError` in words, what is odd a `PulsarWarning`, which the filters of
`warnings` can make an error. ``docs/night.ipynb`` shows a whole night.

The public names are here; they are imported when first used, so that `--help` does not
wait for the libraries behind them.
"""

import os
import sys

# `python -m pulsar_dask` comes through here while modules are looked for in the current folder
# first, where downloads lie that may be named as one of them (`__future__`, too). With `-P`, and in
# an installed command, it does not. `os` and `sys` are loaded by then.
if (
    sys.argv[:1] == ["-m"]
    and "pulsar_dask" in sys.orig_argv
    and not sys.flags.safe_path
    and sys.path[0] != os.path.dirname(os.path.dirname(__file__))
):
    del sys.path[0]

import importlib

from pulsar_dask._version import __version__
from pulsar_dask.errors import PulsarError, PulsarWarning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pulsar_dask.formats.scan import scan_frame
    from pulsar_dask.frames.frame import Frame
    from pulsar_dask.inputs.find import find_inputs
    from pulsar_dask.masters.search import Search
    from pulsar_dask.notebook.ccddata import to_ccddata
    from pulsar_dask.notebook.cube import open_frames, write_cube
    from pulsar_dask.notebook.files import to_fits
    from pulsar_dask.notebook.hotpixels import hot_pixels
    from pulsar_dask.notebook.levels import check_frames
    from pulsar_dask.notebook.library import library
    from pulsar_dask.notebook.lights import calibrate
    from pulsar_dask.notebook.masters import dark_masters, flat_masters, master, median

_PLACES = {
    "open_frames": "notebook.cube",
    "master": "notebook.masters",
    "median": "notebook.masters",
    "dark_masters": "notebook.masters",
    "flat_masters": "notebook.masters",
    "check_frames": "notebook.levels",
    "hot_pixels": "notebook.hotpixels",
    "calibrate": "notebook.lights",
    "library": "notebook.library",
    "write_cube": "notebook.cube",
    "to_fits": "notebook.files",
    "to_ccddata": "notebook.ccddata",
    "Search": "masters.search",
    "find_inputs": "inputs.find",
    "scan_frame": "formats.scan",
    "Frame": "frames.frame",
}

__all__ = [
    "Frame",
    "PulsarError",
    "PulsarWarning",
    "Search",
    "__version__",
    "calibrate",
    "check_frames",
    "dark_masters",
    "find_inputs",
    "flat_masters",
    "hot_pixels",
    "library",
    "master",
    "median",
    "open_frames",
    "scan_frame",
    "to_ccddata",
    "to_fits",
    "write_cube",
]


if "xarray" in sys.modules:  # in a notebook, where arrays of any origin are to have .pulsar
    importlib.import_module("pulsar_dask.notebook")


if not TYPE_CHECKING:  # which would take any name for one

    def __getattr__(name: str) -> "Any":
        if name not in _PLACES:
            raise AttributeError(f"module 'pulsar_dask' has no attribute {name!r}")
        return getattr(importlib.import_module(f"pulsar_dask.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
