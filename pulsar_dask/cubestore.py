"""A stack of frames as one Zarr store: written in parallel, resumed, and read as frames.

A chunk holds a tile of all frames, as a tile of a stack is what every tool reads. The store has
its name from the start, and its attribute ``complete`` says whether it is whole. A chunk's file
appears whole, so that the files that there are tell where an interrupted run goes on. Beside the
pixels lie the coordinates that `open_frames` gives, and the header of each frame, from which a
`Frame` is made just as from a file's.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import importlib
import json
import os
import secrets
import shutil
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.io import fits

from pulsar_dask import pipelines
from pulsar_dask._version import __version__
from pulsar_dask.atomicfolder import AtomicFolder
from pulsar_dask.disk import failure
from pulsar_dask.errors import PulsarError, count, printable
from pulsar_dask.frame import Frame, PixelType, frame_keywords
from pulsar_dask.graph import TileGraph
from pulsar_dask.groups import check_alike
from pulsar_dask.kernels import needed
from pulsar_dask.leftovers import remove_stale
from pulsar_dask.master import clean_header
from pulsar_dask.outputs import CREATOR, check_output, is_ours
from pulsar_dask.part import is_temporary
from pulsar_dask.reading import check_unchanged
from pulsar_dask.run import Computer, OnDone, Output
from pulsar_dask.scan import DAMAGED_STORE, Keywords, refusal
from pulsar_dask.tiles import Costs, Grid, Plan, Tile

Array = np.ndarray[Any, Any]
#: What has to be loaded before a store is written.
ZARR = ("zarr", "zarr.codecs")
#: Variable of a cube; of a master.
FRAMES, MASTER = "frames", "master"

#: dtype of values: how a FITS file would store them (see `frame.PixelType.native`).
_PIXELS = {
    "uint8": PixelType(8),
    "int8": PixelType(8, 1.0, -128.0),
    "int16": PixelType(16),
    "uint16": PixelType(16, 1.0, 32768.0),
    "int32": PixelType(32),
    "uint32": PixelType(32, 1.0, 2147483648.0),
    "int64": PixelType(64),
    "uint64": PixelType(64, 1.0, 9223372036854775808.0),
    "float32": PixelType(-32),
    "float64": PixelType(-64),
}


# --- writing -------------------------------------------------------------------------------


class CubeStore:
    """A store that some frames are written to; a `run.Writer`, here or on a cluster."""

    def __init__(self, path: str, frames: Sequence[Frame], *, overwrite: bool) -> None:
        """Look at what is there; nothing is written yet.

        Raises
        ------
        PulsarError
            Something else has that name, or a cube of other frames without `overwrite`.
        """
        self.path = os.path.abspath(path)
        self.frames = tuple(frames)
        self.shape = pipelines.check_shapes(frames)
        self.dtype = np.result_type(*{f.pixels.native for f in frames})
        self.source = pipelines.frames_token(frames)
        self.complete = False
        self.grid: Grid | None = None
        """Tiles of a run before this one, which goes on."""
        self._new = True
        name = printable(path)
        if not self.path.lower().endswith(".zarr"):
            raise PulsarError(f"{name}: the name of a cube ends in .zarr")
        inputs = [f.path for f in frames] + _stores(frames)
        check_output(path, inputs, overwrite=overwrite, resumes=True)
        if os.path.lexists(self.path) and not overwrite:
            self._go_on(name)
        else:
            check_alike(os.path.basename(path), frames, cube=True)

    def _go_on(self, name: str) -> None:
        """Take up what a run before this one has written."""
        known = attributes_of(self.path) if is_ours(self.path) else {}
        if known.get("source") != self.source:
            raise PulsarError(
                f"{name} exists and holds other frames, or these as they were before; "
                "name another output or add --overwrite"
            )
        height, width = known["chunk"]
        self.grid = Grid(self.shape, height, width)
        done, of = self.progress()
        self.complete = known["complete"] and done == of
        self._new = False

    def plan(self, computer: Computer, gigabytes: float | None) -> Plan:
        """The tiles of the run; those of the run before this one, where it goes on."""
        block = (self.grid.height, self.grid.width) if self.grid else None
        rice = any(f.rice for f in self.frames)
        importlib.import_module("pulsar_dask.cube")  # xarray, for the coordinates
        plan = computer.plan(
            cube_costs(self.frames, self.dtype),
            self.frames,
            kernel=needed(self.frames, median=0, pixels=self.frames[0].pixels) if rice else None,
            gigabytes=gigabytes,
            block=block,
            load=ZARR,
        )
        return replace(plan, grid=self.grid) if self.grid else plan

    def begin(self, grid: Grid) -> None:
        """Make the store, or take up the one that there is."""
        if self._new:
            self._create(grid)
        self.grid = grid
        self._remove_partial()

    def graph(self) -> tuple[TileGraph, str]:
        """What is left to do, and the name of its layer."""
        assert self.grid is not None
        done = frozenset(index for index, _ in self.grid if self._chunk(index))
        graph = TileGraph(self.grid, done=done)
        frames = graph.share("frames", self.frames)
        layer = graph.add("cube", pipelines.cube_tile, frames, graph.share("dtype", self.dtype))
        return graph, layer

    def write(self, tile: Tile, values: Any) -> None:
        self.far()(tile, values)

    def far(self) -> Callable[[Tile, Any], Any]:
        return ChunkWriter(self.path, FRAMES, identity(self.path))

    def written(self, tile: Tile, result: Any) -> None:
        pass

    def finish(self) -> None:
        """Say in the store that it is complete."""
        self._remove_partial()
        set_attribute(self.path, "complete", True)
        self.complete = True

    def progress(self) -> tuple[int, int]:
        """Chunks that are done, and all."""
        assert self.grid is not None
        return sum(self._chunk(index) for index, _ in self.grid), len(self.grid)

    def give_up(self) -> None:
        """After an error: a store without a chunk is of no use to a run to come."""
        if self._new and self.grid is not None and not self.progress()[0]:
            shutil.rmtree(self.path, ignore_errors=True)

    def _chunk(self, index: tuple[int, ...]) -> bool:
        with contextlib.suppress(OSError):
            return os.path.getsize(chunk_path(self.path, FRAMES, (0, *index))) > 0
        return False

    def _remove_partial(self) -> None:
        for path in glob.iglob(
            os.path.join(glob.escape(self.path), FRAMES, "**", "*.partial"), recursive=True
        ):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _create(self, grid: Grid) -> None:
        """All but the chunks, under another name until it is whole."""
        remove_stale(os.path.dirname(self.path))
        with AtomicFolder(self.path) as folder:
            try:
                self._write_description(folder.store, grid)
            except OSError as error:
                raise failure(self.path, error) from error
            folder.seal()
            folder.commit()

    def _write_description(self, store: str, grid: Grid) -> None:
        import xarray as xr
        import zarr
        from zarr.codecs import BloscCodec, Crc32cCodec

        from pulsar_dask.cube import attributes, coordinates

        headers = [
            clean_header(f).tostring(sep="\n", padding=False, endcard=False) for f in self.frames
        ]
        known = coordinates(self.frames) | {"header": ("frame", headers)}
        for text in ("file", "header"):  # not padded to the longest one
            known[text] = ("frame", np.array(known[text][1], object))
        described = xr.Dataset(
            coords=known,
            attrs={
                "creator": f"{CREATOR} {__version__}",
                "complete": False,
                "source": self.source,
                "chunk": [grid.height, grid.width],
            },
        )
        with warnings.catch_warnings():  # that text is not in Zarr's specification yet
            warnings.simplefilter("ignore")
            described.to_zarr(store, mode="w-", zarr_format=3, consolidated=False)
            size = self.dtype.itemsize
            zarr.open_group(store, mode="r+").create_array(
                FRAMES,
                shape=(len(self.frames), *self.shape),
                chunks=(
                    len(self.frames),
                    *(1,) * (len(self.shape) - 2),
                    min(grid.height, self.shape[-2]),
                    min(grid.width, self.shape[-1]),
                ),
                dtype=self.dtype,
                compressors=[
                    # raw frames are mostly noise: a higher level costs time and gains nothing
                    BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=size),
                    Crc32cCodec(),
                ],
                fill_value=np.nan if self.dtype.kind == "f" else 0,
                dimension_names=("frame", *("plane", "y", "x")[-len(self.shape) :]),
                attributes=attributes(self.frames[0]),
            )
            zarr.consolidate_metadata(store)


def cube_costs(frames: Sequence[Frame], dtype: np.dtype[Any]) -> Costs:
    """Memory of reading a tile of all frames and compressing it."""
    reading = pipelines.median_costs(frames, 4)
    size = len(frames) * dtype.itemsize
    kept = {k: v for k, v in reading.per_pixel.items() if k not in ("median", "output")}
    return replace(
        reading,
        per_pixel={
            **kept,
            "frames": size,
            "conversion": 3 * 8,
            "compression": 2 * size,
        },
        per_thread={},
        stored=size,
        results=0,
    )


def write(
    store: CubeStore, computer: Computer, plan: Plan, on_done: OnDone = lambda key, result: None
) -> None:
    """Write what is missing of a store, whole or as far as it goes."""
    store.begin(plan.grid)
    try:
        graph, layer = store.graph()
        computer.run(graph, [Output(layer, (store,))], store.frames, plan, on_done)
        check_unchanged(store.frames)
        store.finish()
    except BaseException:
        store.give_up()
        raise


@dataclass(frozen=True)
class ChunkWriter:
    """Writes chunks of an array of a store, in any process that sees it."""

    store: str
    variable: str
    identity: str
    """What tells the store from another one of that name."""

    def __call__(self, tile: Tile, values: Any) -> None:
        self._check()
        folder = os.path.dirname(self.store)
        try:
            array = _open_array(self.store, self.variable, self.identity)
            rows, columns = slices(tile)
            planes = (tile.plane,) if len(array.shape) - (values.ndim - 2) == 3 else ()
            array[(..., *planes, rows, columns)] = values
            index = (
                *(0,) * (values.ndim - 2),
                *planes,
                tile.y // array.chunks[-2],
                tile.x // array.chunks[-1],
            )
            _sync(chunk_path(self.store, self.variable, index))
        except OSError as error:
            place = os.path.dirname(folder) if is_temporary(folder) else folder
            raise failure(os.path.join(place, os.path.basename(self.store)), error) from error
        finally:
            if not os.path.exists(os.path.join(self.store, "zarr.json")) and is_temporary(folder):
                # a task that came late has brought back to life what was removed
                shutil.rmtree(folder, ignore_errors=True)

    def _check(self) -> None:
        if not os.path.exists(os.path.join(self.store, "zarr.json")):
            raise PulsarError(
                f"{printable(self.store)} is not there; a Zarr store that workers write must lie "
                "where all of them see it"
            )


def slices(tile: Tile) -> tuple[slice, slice]:
    """Rows and columns."""
    return slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width)


def chunk_path(store: str, variable: str, index: Sequence[int]) -> str:
    """Where Zarr keeps a chunk."""
    return os.path.join(store, variable, "c", *map(str, index))


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@functools.lru_cache(maxsize=32)
def _open_array(store: str, variable: str, identity: str) -> Any:
    import zarr

    # a chunk of zeros is written like any other: that it is there says that it is done
    with zarr.config.set({"array.write_empty_chunks": True}):
        return zarr.open_array(os.path.join(store, variable), mode="r+")


def identity(store: str) -> str:
    """What tells a store from another one that has or had its name."""
    status = os.stat(os.path.join(store, "zarr.json"))
    return f"{status.st_ino}-{status.st_mtime_ns}"


def set_attribute(store: str, name: str, value: Any) -> None:
    """Change an attribute of a store, all or nothing."""
    path = os.path.join(store, "zarr.json")
    with open(path, encoding="utf-8") as file:
        description = json.load(file)
    description["attributes"][name] = value
    new = f"{path}.{secrets.token_hex(6)}.part"
    with open(new, "w", encoding="utf-8") as file:
        json.dump(description, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def _stores(frames: Sequence[Frame]) -> list[str]:
    return list({os.path.dirname(f.file) for f in frames if f.storage == "zarr"})


# --- reading -------------------------------------------------------------------------------


def attributes_of(store: str) -> dict[str, Any]:
    """Attributes of a store."""
    try:
        with open(os.path.join(store, "zarr.json"), encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file).get("attributes", {})
    except (OSError, ValueError, AttributeError) as error:
        raise PulsarError(f"{printable(store)}: not a Zarr store that can be read") from error
    return found


def scan_store(path: str) -> list[Frame]:
    """The frames of a cube, or the one of a master, as their headers describe them.

    Raises
    ------
    PulsarError
        The store is not complete, parts of it are gone, or this program did not write it.
    """
    path = os.path.abspath(path)
    name = printable(path)
    known = attributes_of(path)
    variable = FRAMES if "source" in known else MASTER
    if not str(known.get("creator", "")).startswith(CREATOR) or not os.path.isdir(
        os.path.join(path, variable)
    ):
        raise PulsarError(
            f"{name}: neither a cube nor a master that {CREATOR} wrote; "
            "make a cube of frames with `python -m pulsar_dask cube`"
        )
    if not known.get("complete", variable == MASTER):
        raise PulsarError(
            f"{name} is not complete: the run that writes it goes on, or was interrupted; "
            "the same command takes it up again"
        )
    status = os.stat(os.path.join(path, "zarr.json"))
    key = path, status.st_size, status.st_mtime_ns
    try:
        array = _read_array(*key, variable)
        texts = _headers(*key)
    except Exception as error:  # zarr has no one class for what can be wrong
        raise PulsarError(f"{name}: cannot be read ({printable(error)})") from error
    if str(array.dtype) not in _PIXELS:
        raise PulsarError(f"{name}: values of type {array.dtype}, which no frame has")
    # those that are not there would be read as zeros
    if missing := array.nchunks - array.nchunks_initialized:
        what = f"not whole, {missing} of its {count(array.nchunks, 'chunk')} missing"
        raise refusal(path, what, DAMAGED_STORE)
    shape = array.shape[1:] if variable == FRAMES else array.shape
    names = _texts(path, "file") if variable == FRAMES else [os.path.basename(path)]
    return [
        Frame(
            path=os.path.join(path, str(i), os.path.basename(file.replace("\\", "/"))),
            hdu=0,
            shape=tuple(shape),
            pixels=_PIXELS[str(array.dtype)],
            storage="zarr",
            offset=0,
            block=(array.chunks[-2], array.chunks[-1]),
            rice=None,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
            ctime_ns=status.st_ctime_ns,
            index=i,
            depth=len(names),
            **frame_keywords(Keywords(_header(text))),  # type: ignore[arg-type]
        )
        for i, (file, text) in enumerate(zip(names, texts, strict=True))
    ]


def header_of(frame: Frame) -> fits.Header:
    """The header that a frame of a store had in its file."""
    texts = _headers(os.path.dirname(frame.file), frame.size, frame.mtime_ns)
    return _header(texts[frame.index])


def has_checksums(frame: Frame) -> bool:
    """Whether each chunk of a store is read with a checksum of its own."""
    array = _read_array(os.path.dirname(frame.file), frame.size, frame.mtime_ns, _variable(frame))
    return any("crc32c" in str(codec).lower() for codec in array.compressors)


def files_of(frames: Sequence[Frame]) -> list[str]:
    """The files that frames are in, of those in a cube the ones that it was made of."""
    names = functools.cache(lambda store: _texts(store, "file"))
    return [names(os.path.dirname(f.file))[f.index] if in_cube(f) else f.path for f in frames]


def _header(text: str) -> fits.Header:
    return fits.Header.fromstring(text, sep="\n")


_HELD = threading.local()


def read_window(frame: Frame, tile: Tile, image: Array) -> None:
    """Pixels of one frame, as a FITS file would store them.

    The chunks hold all frames; they stay at hand for the next frame's same tile.
    """
    key = frame.file, frame.mtime_ns, tile
    if getattr(_HELD, "key", None) != key:
        _HELD.key = _HELD.values = None  # before the next ones are made
        array = _read_array(
            os.path.dirname(frame.file),
            frame.size,
            frame.mtime_ns,
            _variable(frame),
        )
        planes = (tile.plane,) if len(frame.shape) == 3 else ()
        values = array[(..., *planes, *slices(tile))]
        _HELD.values = values if values.ndim == 3 else values[None]
        _HELD.key = key
    values = _HELD.values[frame.index]
    if frame.pixels.other_sign:
        unsigned = values.view(f"u{values.itemsize}")
        flipped = unsigned ^ unsigned.dtype.type(1 << (8 * values.itemsize - 1))
        values = flipped.view("u1" if values.itemsize == 1 else f"i{values.itemsize}")
    image[...] = values


def in_cube(frame: Frame) -> bool:
    """Whether a frame is one of a cube."""
    return frame.storage == "zarr" and os.path.isdir(
        os.path.join(os.path.dirname(frame.file), FRAMES)
    )


def _variable(frame: Frame) -> str:
    return FRAMES if in_cube(frame) else MASTER


@functools.lru_cache(maxsize=32)
def _read_array(store: str, size: int, mtime_ns: int, variable: str) -> Any:
    import zarr

    status = os.stat(os.path.join(store, "zarr.json"))
    if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
        raise PulsarError(
            f"{printable(store)}: the store changed after it was looked at; "
            "run again when nothing writes to it"
        )
    return zarr.open_array(os.path.join(store, variable), mode="r")


@functools.lru_cache(maxsize=8)
def _headers(store: str, size: int, mtime_ns: int) -> list[str]:
    if os.path.isdir(os.path.join(store, FRAMES)):
        return _texts(store, "header")
    return [str(_read_array(store, size, mtime_ns, MASTER).attrs["header"])]


def _texts(store: str, variable: str) -> list[str]:
    import zarr

    with warnings.catch_warnings():  # that text is not in Zarr's specification yet
        warnings.simplefilter("ignore")
        return [str(text) for text in zarr.open_array(os.path.join(store, variable), mode="r")[:]]
