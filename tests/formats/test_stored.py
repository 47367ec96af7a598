"""Formats: what reads pixels goes through a frame's `stored` alone, so that a new format is one
small file and one entry."""

from __future__ import annotations

import ast
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from astropy.io import fits
from helpers import datasum, exact_median, same, write_frame
from night import noted, pixels

import pulsar_dask
from pulsar_dask import combine
from pulsar_dask.engine.make import make
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.threads import Threads
from pulsar_dask.errors import DAMAGED, PulsarError
from pulsar_dask.formats import reading, scan
from pulsar_dask.formats.zarr import DAMAGED_STORE
from pulsar_dask.frames.frame import Frame, Stored
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.keywords import about
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.masters.dark import stack_product
from pulsar_dask.notebook.lazy import graph_of
from pulsar_dask.notebook.masters import lazy_planes
from pulsar_dask.tools.med import med
from pulsar_dask.tools.options import Options

SHAPES = [(41, 30), (2, 23, 13)]
PACKAGE = Path(pulsar_dask.__file__).parent
#: Files that know a format of FITS or Zarr.
CONCRETE = {
    f"pulsar_dask.formats.{name}"
    for name in (
        "cards", "expansion", "fitsfile", "fitsimage", "gzipped", "hdus", "plain", "storechunks",
        "storeformat", "storeseal", "tables", "tiled", "zarr",
    )
}  # fmt: skip


# --- a format without files --------------------------------------------------------------------

_LOCK = threading.Lock()
READ: dict[str, np.ndarray] = {}
"""How often each pixel of a frame was read, by path."""
RUNS: list[list[type]] = []
"""The formats of frames that were read in one go."""


def computed(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """The pixels of a frame as they would be stored: of each place and frame another one."""
    number = np.arange(np.prod(shape)).reshape(shape) * 40503 + seed * 30011
    return ((number ^ number >> 7) % 65536 - 32768).astype(">i2")


@dataclass(frozen=True, slots=True)
class Computed(Stored):
    """Pixels that are computed, from frame and tile."""

    seed: int

    def file(self, path: str) -> None:
        return None

    def header(self, frame: Frame) -> fits.Header:
        return fits.Header({"OBJECT": f"frame {self.seed}"})

    def read(self, frames, tile, out, *, sums):
        with _LOCK:
            RUNS.append([type(f.stored) for f in frames])
        for frame, image in zip(frames, out, strict=True):
            rows, columns = np.s_[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
            place = (..., rows, columns) if len(frame.shape) == 2 else (tile.plane, rows, columns)
            image[...] = computed(frame.stored.seed, frame.shape)[place]
            with _LOCK:
                READ.setdefault(frame.path, np.zeros(frame.shape, int))[place] += 1

    def holds(self, frames, *, compiled):
        return Holds({"computed": 4}, process={"a computer": 1_000_000 * len(frames)})


@dataclass(frozen=True, slots=True)
class Together(Computed):
    """The same, several at once."""

    @property
    def at_once(self) -> int:
        return 3


@dataclass(frozen=True, slots=True)
class Expanded(Computed):
    """The same, all pixels first."""

    @property
    def expanded(self) -> bool:
        return True

    def parts(self, frame):
        whole = computed(self.seed, frame.shape).tobytes()
        yield from (whole[i : i + 100] for i in range(0, len(whole), 100))

    def read(self, frames, tile, out, *, sums):
        from pulsar_dask.formats.expanded import read_expanded

        read_expanded(frames, tile, out)

    def expanding_bytes(self, frame, *, compiled):
        return 12_345_678


@dataclass(frozen=True, slots=True)
class Broken(Computed):
    """Without pixels."""

    way_out: ClassVar[str] = "think of another one"

    def read(self, frames, tile, out, *, sums):
        raise ValueError("nothing comes to mind")


def frame_of(form: type[Computed], seed: int, shape: tuple[int, ...]) -> Frame:
    return Frame(
        path=f"/thought/of/{seed}",
        shape=shape,
        pixels=PixelType(16, 1.0, 32768.0),
        stored=form(seed),
        size=0,
        mtime_ns=0,
        about=about({"IMAGETYP": "Bias", "EXPTIME": 0.0}),
    )


class Collected:
    """See `make.Sink`: the planes of a layer in memory."""

    sends = 8
    holds = after = Holds()
    load = ()
    grid = None

    def __init__(self, layer):
        self.layer = layer

    def begin(self, plan):
        self.image = np.full(plan.grid.shape, np.nan)
        return frozenset()

    def taker(self):
        return lambda tile, planes: planes["image"]

    def here(self, tile: Tile, result):
        image = self.image if self.image.ndim == 2 else self.image[tile.plane]
        image[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] = result

    def seal(self, run):
        pass

    def files(self):
        return {}


def recipe_of(frames) -> Recipe:
    method = combine.method("median")
    return Recipe([stack_product("m", None, frames, method, rounds=False)])


@pytest.fixture(autouse=True)
def _nothing_read():
    READ.clear()
    RUNS.clear()
    with noted():
        yield
    reading.close_files()


def truth(seeds, shape):
    values = [computed(seed, shape).astype("i4") + 32768 for seed in seeds]
    return exact_median(np.array(values))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", [Computed, Together, Expanded])
def test_a_median_of_frames_of_another_format(form, shape):
    frames = [frame_of(form, seed, shape) for seed in range(8)]
    recipe = recipe_of(frames)
    sink = Collected(recipe.products[0].layer)
    run = make(recipe, [sink], Threads(3), threads=3)
    same(sink.image.astype("f4"), truth(range(8), shape).astype("f4"))
    assert len(run.plan.grid) > 3
    for seed, frame in enumerate(frames):
        assert run.sums[frame.path].words == datasum(computed(seed, shape))
    if form is Expanded:
        assert run.plan.before["expanding"] == run.plan.expanders * 12_345_678
        assert not READ
    else:  # each pixel of each frame once
        assert len(READ) == 8
        assert all((times == 1).all() for times in READ.values())
    assert max(map(len, RUNS), default=1) == (3 if form is Together else 1)
    assert run.plan.parts["a computer"] == 8_000_000
    assert run.plan.parts["computed"] > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_lazily(shape):
    recipe = recipe_of([frame_of(Computed, seed, shape) for seed in range(5)])
    graph = graph_of(recipe, None, 3)
    lazy = lazy_planes(recipe.products[0], graph)["image"]
    assert not READ
    assert len(graph.grid) > 3
    same(lazy.compute(scheduler="threads"), truth(range(5), shape).astype("f4"))
    assert all((times == 1).all() for times in READ.values())
    READ.clear()  # a part needs its tiles alone
    same(lazy[..., :1, :].compute(), truth(range(5), shape).astype("f4")[..., :1, :])
    assert all((times[..., -1, :] == 0).all() for times in READ.values())


def test_formats_in_one_stack(tmp_path):
    """What reads several at once is given those of its own format only."""
    shape = (41, 30)
    forms = [Together, Together, Computed, Expanded, Together, Together, Together, Together]
    frames = [frame_of(form, seed, shape) for seed, form in enumerate(forms)]
    path = write_frame(tmp_path / "f.fit", computed(8, shape).astype("i2"), bzero=32768)
    packed = write_frame(
        tmp_path / "f.fits.fz", computed(9, shape).astype("i2"), bzero=32768, place="tiled"
    )
    frames[3:3] = scan.scan_frames([str(path), str(packed)])
    recipe = recipe_of(frames)
    sink = Collected(recipe.products[0].layer)
    make(recipe, [sink], Threads(2))
    same(sink.image.astype("f4"), truth(range(10), shape).astype("f4"))
    assert all(len(set(run)) == 1 for run in RUNS)
    assert {len(run) for run in RUNS} == {1, 2, 3}


def test_what_its_pixels_raise_is_told_with_its_way_out():
    frames = [frame_of(form, seed, (9, 8)) for seed, form in enumerate([Computed, Broken])]
    recipe = recipe_of(frames)
    with pytest.raises(PulsarError) as caught:
        make(recipe, [Collected(recipe.products[0].layer)], Threads(1))
    why = "its pixels cannot be read (nothing comes to mind); think of another one"
    assert str(caught.value) == f"/thought/of/1: {why}"


# --- a format of files -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Npy(Stored):
    """An image in a file of NumPy's."""

    def header(self, frame):
        return fits.Header({"OBJECT": os.path.basename(frame.path), "IMAGETYP": frame.about.label})

    def read(self, frames, tile, out, *, sums):
        (frame,) = frames
        image = np.load(frame.path, mmap_mode="r")
        out[0] = image[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]


def scan_npy(path: str) -> list[Frame]:
    status, shape = os.stat(path), np.load(path, mmap_mode="r").shape
    return [
        Frame(
            path=path,
            shape=shape,
            pixels=PixelType(-32),
            stored=Npy(),
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
            ctime_ns=status.st_ctime_ns,
            about=about({"IMAGETYP": "Dark", "EXPTIME": 60.0}),
        )
    ]


@pytest.fixture
def npy(monkeypatch):
    """NumPy's files as a format: a module and an entry."""
    module = SimpleNamespace(recognise=os.path.isfile, scan=scan_npy)
    monkeypatch.setitem(sys.modules, "pulsar_dask.formats.npy", module)
    monkeypatch.setattr(scan, "FORMATS", (scan.Format(".npy", "npy"), *scan.FORMATS))


def test_a_new_format_is_a_module_and_an_entry(npy, here):
    values = np.random.default_rng(3).normal(1000, 30, (6, 40, 25)).astype("f4")
    for i, image in enumerate(values):
        np.save(f"dark{i}.npy", image)
    options = Options(quiet=True, threads=2)
    with noted():
        med([f"dark{i}.npy" for i in range(6)], "dark.fit", dtype=None, options=options)
    same(pixels(here / "dark.fit"), exact_median(values).astype("f4"))
    with fits.open(here / "dark.fit", checksum=True) as hdus:
        header = hdus[0].header
    assert header["IMAGETYP"] == "Master Dark"
    assert "OBJECT" not in header  # each frame has its own
    assert header["EXPTIME"] == 60
    assert header["NCOMBINE"] == 6
    sums = [text for text in header["HISTORY"] if text.startswith("input")]
    assert sums == [f"input dark{i}.npy DATASUM {datasum(v):010}" for i, v in enumerate(values)]


def test_other_files_are_not_asked_of_it(npy, here):
    path = write_frame(here / "f.fit", np.zeros((3, 4), "i2"))
    assert scan.scan_frame(path).shape == (3, 4)
    (here / "x.npy").mkdir()
    with pytest.raises(PulsarError, match="a folder"):
        scan.scan_frame("x.npy")


def test_a_file_that_changes_is_told_whatever_its_format(npy, here):
    np.save("a.npy", np.zeros((5, 6), "f4"))
    (frame,) = scan.scan_frames(["a.npy"])
    np.save("a.npy", np.ones((5, 7), "f4"))
    recipe = recipe_of([frame])
    with pytest.raises(PulsarError, match="the file changed after its header was read"):
        make(recipe, [Collected(recipe.products[0].layer)], Threads(1))


# --- formats that there are --------------------------------------------------------------------


@pytest.mark.parametrize("place", ["primary", "extension", "tiled", "gzip", "zarr"])
def test_frames_travel(tmp_path, place):
    image = np.arange(12, dtype="i2").reshape(3, 4)
    form = "primary" if place == "zarr" else place
    path = write_frame(tmp_path / "f.fit", image, place=form, cards={"OBJECT": "M 51"})
    if place == "zarr":
        path = tmp_path / "c.zarr"
        pulsar_dask.write_cube([str(tmp_path / "f.fit")] * 2, path, sequence=False)
    frame = scan.scan_frames([str(path)])[-1]
    assert frame.stored.origin(frame) == str(tmp_path / "f.fit")
    again = pickle.loads(pickle.dumps(frame))
    assert again == frame
    assert hash(again) == hash(frame)
    assert frame.place == str(path)
    assert frame.file == str(path / "zarr.json" if place == "zarr" else path)
    assert frame.stored.way_out == (DAMAGED_STORE if place == "zarr" else DAMAGED)
    assert reading.read_header(again)["OBJECT"] == "M 51"
    out = np.empty((1, 3, 4), ">i2")
    same(reading.read_tile([again], Tile(0, 0, 0, 3, 4), out)[0], image)


def imported(file: Path) -> set[str]:
    """Files of the package that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_what_reads_pixels_imports_no_format():
    for room in ("kernels", "frames", "combine", "engine", "masters"):
        for file in sorted((PACKAGE / room).glob("*.py")):
            assert not imported(file) & CONCRETE, f"{file} imports a format; go through `stored`"
    generic = [p for p in (PACKAGE / "formats").glob("*.py") if _name(p) not in CONCRETE]
    assert {p.stem for p in generic} >= {"reading", "openfiles", "sums", "expanded"}
    for file in generic:
        if file.stem != "scan":
            assert not imported(file) & CONCRETE, f"{file} imports a format; go through `stored`"


def _name(path: Path) -> str:
    return f"pulsar_dask.formats.{path.stem}"


def test_engine_and_masters_load_no_format():
    parts = ["engine.make", "engine.threads", "engine.cluster", "engine.worker", "masters.stack"]
    line = ", ".join(f"pulsar_dask.{part}" for part in [*parts, "combine.median"])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {line}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "pulsar_dask.formats.reading" in loaded
    assert not loaded & (CONCRETE | {"astropy.io.fits", "zarr"})


def test_a_fits_file_loads_no_zarr(tmp_path):
    path = write_frame(tmp_path / "f.fit", np.zeros((3, 4), "i2"))
    script = "import sys; from pulsar_dask import scan_frame; scan_frame(sys.argv[1]); "
    done = subprocess.run(
        [sys.executable, "-c", script + "print(*sys.modules)", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "pulsar_dask.formats.plain" in loaded
    assert not loaded & {"pulsar_dask.formats.zarr", "pulsar_dask.formats.storechunks", "zarr"}
