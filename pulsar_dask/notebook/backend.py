"""``xr.open_dataset("dark.fit", engine="pulsar", chunks={})``."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from pulsar_dask.engine.cut import TARGET
from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.formats.reading import read_values
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.frames.frame import Frame
from pulsar_dask.inputs.words import FITS_NAME, as_text
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.output.header import clean_header
from pulsar_dask.output.labels import coordinates, header_attributes, places


class PulsarBackend(BackendEntrypoint):
    """Opens the first image of a FITS file as the variable ``image``, lazily, with what it says of
    itself as coordinates: `xarray.open_mfdataset` makes a row of each in which files differ."""

    description = "Open a FITS image (plain, tile-compressed or gzipped)"
    url = "https://pypi.org/project/pulsar-dask/"
    open_dataset_parameters: ClassVar[tuple[str, ...]] = ("filename_or_obj", "drop_variables")

    def open_dataset(self, filename_or_obj: Any, *, drop_variables: Any = None) -> xr.Dataset:
        file = filename_or_obj if hasattr(filename_or_obj, "read") else None
        path = as_text(filename_or_obj, "filename_or_obj") if file is None else _copied(file)
        frames = scan_frames([path])
        if len(frames) > 1:
            raise PulsarError(
                f"{printable(path)}: a cube of {len(frames)} frames; "
                "pulsar_dask.open_frames opens it, or xarray.open_zarr"
            )
        (frame,) = frames
        rows = max(1, TARGET // (frame.shape[-1] * frame.pixels.native.itemsize))
        rows = -(-rows // frame.stored.block[0]) * frame.stored.block[0]
        dims = ("plane", "y", "x")[-len(frame.shape) :]
        chunks = dict(zip(dims, (1, rows, frame.shape[-1])[-len(dims) :], strict=True))
        array = _Image(frame)
        image = xr.Variable(
            dims,
            indexing.LazilyIndexedArray(array),
            attrs=header_attributes(clean_header(frame)),
            encoding={"preferred_chunks": chunks},
        )
        coords = places(frame.shape)
        for name, (_, values, *attrs) in coordinates([frame]).items():
            coords[name] = ((), values[0], *attrs)
        if file is not None:
            coords["file"] = str(getattr(file, "name", "") or "")
            weakref.finalize(array, _remove, path)
        dropped = {drop_variables} if isinstance(drop_variables, str) else {*(drop_variables or ())}
        dataset = xr.Dataset(
            {} if "image" in dropped else {"image": image},
            {name: one for name, one in coords.items() if name not in dropped},
        )
        dataset.attrs.update(
            {
                name: value
                for name in ("kind", "exposure", "filter", "date", "temperature")
                if (value := getattr(frame, name)) is not None
            }
        )
        dataset.set_close(_nothing)  # which `open_mfdataset` calls
        return dataset

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        name = getattr(filename_or_obj, "name", filename_or_obj)
        return isinstance(name, (str, os.PathLike)) and bool(FITS_NAME.search(os.fspath(name)))


def _nothing() -> None:
    """Files are closed by who reads them."""


def _copied(file: Any) -> str:
    """What comes through a file object, as a file of its own: frames are read in any order, by
    several threads."""
    head = file.read(2)
    if not isinstance(head, bytes):
        raise PulsarError("⟦filename_or_obj⟧ gives text; open the file with mode 'rb'", "argument")
    ending = ".fits.gz" if head == b"\x1f\x8b" else ".fits"
    with tempfile.NamedTemporaryFile(prefix="pulsar-dask-", suffix=ending, delete=False) as copy:
        try:
            copy.write(head)
            shutil.copyfileobj(file, copy, 1 << 20)
        except BaseException:
            _remove(copy.name)
            raise
    return copy.name


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):  # Windows keeps what is open
        os.remove(path)


class _Image(BackendArray):
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.shape = frame.shape
        self.dtype = frame.pixels.native

    def __getstate__(self) -> Frame:
        return self.frame

    def __setstate__(self, frame: Frame) -> None:
        self.__init__(frame)  # type: ignore[misc]

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._window
        )

    def _window(self, key: tuple[Any, ...]) -> Any:
        """Read the rectangle around a basic index, then index within it."""
        inner: list[Any] = []
        bounds: list[tuple[int, int]] = []
        for item, length in zip(key, self.shape, strict=True):
            if isinstance(item, slice):
                wanted = range(length)[item]
                low, high = (
                    (min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1]) + 1)
                    if wanted
                    else (0, 0)
                )
                step = wanted.step
                first = wanted[0] - low if wanted else 0
                stop = first + step * len(wanted)
                inner.append(slice(first, stop if stop >= 0 else None, step))
            else:
                low = int(item) % length
                high = low + 1
                inner.append(0)
            bounds.append((low, high))
        *planes, (y0, y1), (x0, x1) = bounds
        dtype = np.dtype(self.dtype)
        parts = [
            read_values([self.frame], Tile(plane, y0, x0, y1 - y0, x1 - x0), dtype)[0]
            if y1 > y0 and x1 > x0
            else np.empty((y1 - y0, x1 - x0), dtype)
            for plane in (range(*planes[0]) if planes else [0])
        ]
        if not planes:
            return parts[0][tuple(inner)]
        window = np.stack(parts) if parts else np.empty((0, y1 - y0, x1 - x0), dtype)
        return window[tuple(inner)]
