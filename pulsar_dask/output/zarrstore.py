"""A master as a Zarr store that xarray opens, a tile a chunk."""

from __future__ import annotations

import functools
import os
import threading
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from pulsar_dask.engine.cut import Plan
from pulsar_dask.engine.layer import Index
from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.errors import PulsarError
from pulsar_dask.files.atomicfolder import AtomicFolder
from pulsar_dask.files.disk import drop_cached, failure, unlike
from pulsar_dask.formats.storechunks import slices
from pulsar_dask.formats.storeformat import MASTER, ArrayFormat, read_array, read_description
from pulsar_dask.formats.storeseal import Piece, sealed_text
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.provenance import Trace
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.kernels.pixels import Grid, Tile
from pulsar_dask.masters.finish import Finished, holds_for
from pulsar_dask.output.chunks import ChunkWriter, write_whole
from pulsar_dask.output.encoding import OUTPUT_TYPES, encoding_bytes, to_dtype
from pulsar_dask.output.header import product_header

#: Copies of a tile of its type while a chunk is made: it, the chunk, and that compressed.
_COPIES = 3


@dataclass(frozen=True)
class MasterChunk:
    """Writes the chunks of a master; returns how many pixels were clipped, how many missing,
    a checksum of what was to be written, and what its file holds."""

    writer: ChunkWriter
    dtype: str

    def __call__(self, tile: Tile, values: Any) -> Written:
        data, clipped, missing = to_dtype(values, self.dtype)
        return clipped, missing, _crc(data), *self.writer(tile, data)


Written = tuple[int, int, int, str, Piece]


def _crc(values: Any) -> int:
    contiguous: Any = np.ascontiguousarray(values)
    return zlib.crc32(contiguous)


class ZarrMaster:
    """The variable ``master`` of a Zarr group, a tile a chunk; see `fits.FitsMaster`."""

    def __init__(
        self,
        path: str,
        grid: Grid,
        dtype: str,
        header: Any,
        trace: Trace = Trace(),  # noqa: B008
        *,
        planes: Mapping[str, str] = {},
        verify: bool = True,
    ) -> None:
        """`planes` are further variables, with their types."""
        if dtype not in OUTPUT_TYPES:
            raise PulsarError(f"⟦dtype⟧ {dtype}: not one of {', '.join(OUTPUT_TYPES)}", "output")
        self.path = os.path.abspath(path)
        self.dtype = dtype
        self._header, self._trace, self._verified = header, trace, verify
        self.clipped = 0
        self.missing = 0
        self._lock = threading.Lock()
        self._sums: dict[tuple[str, Tile], tuple[int, str]] = {}
        self._arrays: dict[str, ArrayFormat] = {}
        self._pieces: dict[str, Piece] = {}
        self._sealed = False
        self._folder = AtomicFolder(self.path)
        self._store = self._folder.store
        dims = ("plane", "y", "x")[-len(grid.shape) :]
        try:
            group = zarr.open_group(self._store, mode="w-", zarr_format=3)
            group.attrs.update({"creator": header["CREATOR"], "complete": True})
            for name, stored in {MASTER: dtype, **planes}.items():
                unit = str(header.get("BUNIT", "adu")) if name == MASTER else "1"
                group.create_array(
                    name,
                    shape=grid.shape,
                    chunks=(*(1,) * (len(dims) - 2), grid.height, grid.width),
                    dtype=stored,
                    compressors=[ZstdCodec(level=0), Crc32cCodec()],
                    fill_value=np.nan if np.dtype(stored).kind == "f" else 0,
                    dimension_names=dims,
                    attributes={"units": unit},
                )
                self._arrays[name] = read_array(self._store, name)
        except BaseException as error:
            self._folder.close()
            if isinstance(error, OSError):
                raise failure(self.path, error) from error
            raise

    def write(self, tile: Tile, values: Any) -> None:
        """Write the float64 values of a tile, rounded once."""
        self.written(tile, self.far()(tile, values))

    def far(self, name: str = MASTER) -> MasterChunk:
        """What writes a tile of a variable, in any process that sees the store."""
        array = self._arrays[name]
        return MasterChunk(ChunkWriter(self._store, array), array.dtype)

    def written(self, tile: Tile, result: Written, name: str = MASTER) -> None:
        clipped, missing, checksum, chunk, piece = result
        with self._lock:
            self.clipped += clipped
            self.missing += missing
            self._sums[name, tile] = checksum, chunk
            self._pieces[chunk] = piece

    def seal(self, sums: Mapping[str, Sums] = {}, notes: Sequence[str] = ()) -> None:
        """Bring the store to the disk; see `fits.FitsFile.seal`."""
        for text in self._trace.texts(os.path.dirname(self.path), sums, notes=notes):
            self._header.add_history(text)
        text = self._header.tostring(sep="\n", padding=False, endcard=False)
        try:
            zarr.open_array(os.path.join(self._store, MASTER)).attrs["header"] = text
            with warnings.catch_warnings():  # consolidated metadata are not specified yet
                warnings.simplefilter("ignore")
                zarr.consolidate_metadata(self._store)
            sealed = sealed_text(self._store, read_description(self._store), self._pieces)
            write_whole(os.path.join(self._store, "zarr.json"), sealed)
        except OSError as error:
            raise failure(self.path, error) from error
        self._folder.seal()
        if self._verified:
            self._verify()
        self._sealed = True

    def _verify(self) -> None:
        try:
            arrays: Any = zarr.open_group(self._store, mode="r")
            for (name, tile), (checksum, chunk) in self._sums.items():
                array = arrays[name]
                planes = (tile.plane,) if array.ndim == 3 else ()
                with open(os.path.join(self._store, chunk), "rb") as file:
                    drop_cached(file.fileno(), 0, os.fstat(file.fileno()).st_size)
                if _crc(array[(*planes, *slices(tile))]) != checksum:
                    raise unlike(self.path)
        except PulsarError:
            raise
        except Exception as error:  # what a damaged chunk makes its codecs raise
            raise unlike(self.path, f" ({error})") from error

    def rows(self, name: str, tile: Tile) -> Any:
        """Values of whole rows of a variable that was written."""
        array = self._open_arrays[name]
        return array[(*((tile.plane,) if array.ndim == 3 else ()), *slices(tile))]

    @functools.cached_property
    def _open_arrays(self) -> Any:
        return zarr.open_group(self._store, mode="r")

    def commit(self, check: Callable[[], None] | None = None, *, wait: bool = True) -> None:
        """Give the store its name, after `seal`; a store of that name goes away only then."""
        if not self._sealed:
            self.seal()
        self._folder.commit(check, wait=wait)

    def __enter__(self) -> ZarrMaster:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._folder.close()


@dataclass(frozen=True)
class _Planes:
    """Writes the planes of a tile where it was computed, each to its variable."""

    writers: Mapping[str, MasterChunk]

    def __call__(self, tile: Tile, planes: Mapping[str, Any]) -> dict[str, Written]:
        return {name: write(tile, planes[name]) for name, write in self.writers.items()}


def _variable(plane: str) -> str:
    return MASTER if plane == "image" else plane


class ZarrSink:
    """See `make.Sink`."""

    grid = None
    lines = None
    load: Sequence[str] = ("zarr", "zarr.codecs")

    def __init__(
        self, product: Product, path: str, *, tolerance: float | None = None, verify: bool
    ) -> None:
        self.product, self.path, self.layer = product, path, product.layer
        self.paths, self.laid = [path], {path: product.dtypes}
        self.dtype = product.dtype
        self._tolerance, self._verify = tolerance, verify
        self.sends = 0
        work = max(encoding_bytes(dtype, _COPIES) for dtype in product.dtypes.values())
        self.holds = Holds(pixel={"work": work})
        self.after = holds_for(product)

    def begin(self, plan: Plan) -> frozenset[Index]:
        header = product_header(self.product, self._tolerance)
        self._grid = plan.grid
        planes = {name: t for name, t in self.product.dtypes.items() if name != "image"}
        self.file = ZarrMaster(
            self.path,
            plan.grid,
            self.dtype,
            header,
            self.product.trace,
            planes=planes,
            verify=self._verify,
        )
        return frozenset()

    def taker(self) -> _Planes:
        return _Planes({name: self.file.far(_variable(name)) for name in self.product.dtypes})

    def here(self, tile: Tile, result: Mapping[str, Written]) -> None:
        for name, written in result.items():
            self.file.written(tile, written, _variable(name))

    def seal(self, run: Run) -> None:
        if self.product.finish is not None:
            self._finish()
        self.file.seal(run.sums, run.notes(os.path.basename(self.path)))

    def _finish(self) -> None:
        """Write the quality anew, chunk by chunk, once the whole image is there."""
        read, write = self.file.rows, self.file.far("quality")
        image, frame_bits = (functools.partial(read, name) for name in (MASTER, "quality"))
        quality = Finished(self.product.finish, self._grid.shape, image, frame_bits)
        for _, tile in self._grid:
            self.file.written(tile, write(tile, quality.bits(tile)), "quality")

    def files(self) -> Mapping[str, Any]:
        return {self.path: self.file}

    def close(self) -> None:
        if hasattr(self, "file"):
            self.file.__exit__()
