"""`--memory` holds: any geometry, in any format, with any tool, in a process started anew; and what
plans say is what is held."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from few import also
from geometry import TOOLS, draw, least_of, measured, prepare
from helpers import image_bytes, write_frame
from night import XTRANS

from pulsar_dask import combine
from pulsar_dask.engine.memory import SLACK
from pulsar_dask.formats import buffers, reading
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.frames.colour import colours
from pulsar_dask.inputs import pixellists
from pulsar_dask.kernels import correct, highest, median
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.masters import flatgroup, levels, lightfit, stack
from pulsar_dask.masters.calibration import Calibration
from pulsar_dask.masters.light import light_recipe
from pulsar_dask.masters.lightband import Light
from pulsar_dask.masters.lightnoise import Noise
from pulsar_dask.output import lists
from pulsar_dask.output.encoding import ENCODED_COPIES, OUTPUT_TYPES, encode, encoding_bytes

DRAWS, SOAK_DRAWS = 12, 1000
#: Bytes of the stacks of a long run: mostly as large as a draw takes seconds; every third larger,
#: so that it is far beyond the libraries.
SOAK_BYTES = 40_000_000, 12_000_000, 12_000_000
#: Gigabytes beside the least: a process is not of the same size each time.
HAIR = 0.005
#: Gigabytes that are more than most draws need.
AMPLE = 0.6
#: What is planned may be so many times what is held, from so many bytes above the libraries on.
LOOSE, FROM = 1.6, 50_000_000

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a peak so well")


def try_draw(number: int, most: int, folder: Path, record, *, tight: bool, easy: bool) -> None:
    """Ask for the least that a draw needs, then give it just that, and more."""
    d = draw(number, most)
    words = prepare(folder, d)
    memory = 0.01
    for hair in [HAIR] * tight + [0] * easy:
        memory = memory if hair else max(AMPLE, 1.5 * memory)
        # what is held before there is a plan, such as a list, may be refused first
        while least := least_of(took := measured(folder, words, memory, d.threads, hair=hair)):
            assert took.status == 1, d
            assert memory < least, (d, took.said)
            memory = least + HAIR
        assert took.status == 0, (d, memory, took.said)
        give = max(plan["budget"] for plan in took.plans)
        assert took.peak <= give, (d, give, took.plans)
        memory = give / 1e9
        total = max(plan["total"] for plan in took.plans)
        libraries = max(plan["process"] for plan in took.plans) - SLACK
        if took.peak > libraries + FROM:
            assert total <= LOOSE * took.peak, (d, give, took.peak, took.plans)
        record("memory", (str(d), give, took.peak, total))


@linux
@pytest.mark.slow
@pytest.mark.parametrize("number", [*range(len(TOOLS)), *also(*range(len(TOOLS), DRAWS))])
def test_any_geometry(tmp_path, number, record_property):
    tight = number % 2 == 0
    try_draw(number, 6_000_000, tmp_path, record_property, tight=tight, easy=not tight)


@linux
@pytest.mark.soak
@pytest.mark.parametrize("number", range(DRAWS, DRAWS + SOAK_DRAWS))
def test_any_geometry_long(tmp_path, number, record_property):
    most = SOAK_BYTES[number % len(SOAK_BYTES)]
    try_draw(number, most, tmp_path, record_property, tight=True, easy=True)


# --- what was exceeded, and what was refused though it fits -----------------------------------


def holds(folder: Path, *words: str, threads: int = 4) -> float:
    """Run a command with the least that it asks for; returns that."""
    memory = 0.01
    while (least := least_of(took := measured(folder, list(words), memory, threads))) is not None:
        assert took.peak < 0.25e9, "refused before anything is read"
        assert least > memory
        memory = least + HAIR
    assert took.status == 0, took.said
    assert took.peak <= memory * 1e9, took.plans
    return memory


def links(first: Path, count: int) -> None:
    for i in range(1, count):
        first.with_name(first.name.replace("0000", f"{i:04d}")).hardlink_to(first)


@linux
@pytest.mark.slow
def test_a_report(tmp_path):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 2000, (1500, 2000)).astype("i2")
    write_frame(tmp_path / "d0000.fit", pixels, cards={"IMAGETYP": "Dark Frame", "EXPTIME": 9.0})
    links(tmp_path / "d0000.fit", 4)
    holds(tmp_path, "med", "d0000.fit", "m.fit", "--report", "r.html", "--planes", "count")
    assert (tmp_path / "r.html").stat().st_size < 3_000_000


@linux
@pytest.mark.slow
@pytest.mark.parametrize("how", ["RICE_1", *also("GZIP_2", "quantised")])
def test_whole_images_as_compression_tiles(tmp_path, how):
    (tmp_path / "in").mkdir()
    first = tmp_path / "in" / "f0000.fit.fz"
    shape = (1500, 2000)
    values = np.random.default_rng(0).normal(2000, 9, shape)
    if how == "quantised":
        image = fits.CompImageHDU(
            values.astype("f4"), compression_type="RICE_1", tile_shape=shape, quantize_level=16
        )
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(first)
    else:
        write_frame(first, values.astype("i4"), place="tiled", tile=shape, compression=how)
    links(first, 6)
    assert holds(tmp_path, "med", "in", "o.fit", threads=6) < 0.4


def large_zeros(path: Path) -> None:
    """An image of 200 MB as one gzipped tile of 0.2 MB."""
    image = np.zeros((10_000, 10_000), "i2")
    write_frame(path, image, place="tiled", tile=image.shape, compression="GZIP_1")


@linux
def test_a_tile_larger_than_the_budget_is_refused_before_it_is_decoded(tmp_path):
    large_zeros(tmp_path / "f.fit.fz")
    took = measured(tmp_path, ["med", "f.fit.fz", "o.fit"], 0.3, 2)
    assert took.status == 1
    assert 0.7 < (least_of(took) or 0) < 1.2
    assert took.peak < 0.25e9


@linux
def test_a_tile_that_holds_more_than_its_header_says(tmp_path):
    path = tmp_path / "f.fit.fz"
    large_zeros(path)
    with fits.open(path, mode="update", disable_image_compression=True) as hdus:
        for keyword in ("ZNAXIS1", "ZNAXIS2", "ZTILE1", "ZTILE2"):
            hdus[1].header[keyword] = 50
    took = measured(tmp_path, ["med", "f.fit.fz", "o.fit"], 0.3, 2)
    assert took.status == 1
    assert "a compressed tile expands to more than its pixels" in took.said
    assert took.peak < 0.15e9


@linux
@pytest.mark.slow
def test_wide_flats(tmp_path):
    (tmp_path / "in").mkdir()
    first = tmp_path / "in" / "f0000.fit"
    image = np.random.default_rng(0).integers(20000, 20100, (100, 70_000)).astype("i2")
    write_frame(first, image, cards={"IMAGETYP": "Flat", "EXPTIME": 1, "FILTER": "L"})
    links(first, 8)
    holds(tmp_path, "makeflat", "in", "--dark", "0", threads=2)


@pytest.mark.more
@linux
@pytest.mark.slow
def test_a_long_list(tmp_path):
    (tmp_path / "in").mkdir()
    image = np.full((1500, 2000), 20000, "i2")
    cards = {"IMAGETYP": "Flat", "EXPTIME": 1, "FILTER": "L"}
    write_frame(tmp_path / "in" / "f.fit", image, cards=cards)
    lines = [f"P {x} {y}\n" for y in range(1500) for x in range(1, 2000, 2)]
    (tmp_path / "c.lst").write_text("".join(lines))
    words = ["makeflat", "in", "--dark", "0", "--cosme", "c.lst"]
    took = measured(tmp_path, words, 0.1, 2)
    assert "a list of up to 1500000 pixels" in took.said
    assert took.peak < 0.1e9
    assert holds(tmp_path, *words, threads=2) < 0.3


@pytest.mark.more
@linux
@pytest.mark.slow
def test_many_small_frames(tmp_path):
    (tmp_path / "in").mkdir()
    first = tmp_path / "in" / "f0000.fit"
    first.write_bytes(image_bytes(np.zeros((20, 20), "i2"), {}))
    links(first, 1500)
    assert holds(tmp_path, "med", "in", "o.fit") < 0.17


# --- a first run compiles, before it plans ------------------------------------------------------

ALL = {
    "makedark": ["makedark", "in", "--bias", "100", "--planes", "all", "--hot", "5"],
    "makeflat": ["makeflat", "in", "--dark", "0", "--planes", "all"],
    "med": ["med", "in", "o.fit", "--planes", "all", "--combine", "ccdclip"],
}


def few_frames(folder: Path, tool: str) -> list[str]:
    (folder / "in").mkdir()
    kind = "Flat" if tool == "makeflat" else "Dark Frame"
    cards = {"IMAGETYP": kind, "EXPTIME": 9, "FILTER": "L"}
    for i in range(6):
        image = np.random.default_rng(i).normal(20000, 9, (60, 80)).astype("i2")
        write_frame(folder / "in" / f"f{i}.fit", image, cards=cards)
    return ALL[tool]


@linux
@pytest.mark.slow
@pytest.mark.parametrize("tool", ALL)
def test_compiled_code_is_there_before_memory_is_planned(tmp_path, tool):
    took = measured(tmp_path, few_frames(tmp_path, tool), 1.0, 2)
    assert (took.status, took.late) == (0, 0), took.said


@linux
@pytest.mark.soak
def test_a_first_run_that_compiles(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir(0o700)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "code"))
    monkeypatch.setenv("NUMBA_OF_THIS_TEST", "1")  # what is kept elsewhere is of other settings
    took = measured(tmp_path, few_frames(tmp_path, "makedark"), 0.01, 2, hair=HAIR)
    assert (took.status, took.late) == (0, 0), took.said
    assert len(list((tmp_path / "code").iterdir())) == took.plans[-1]["kernels"]
    assert took.peak <= took.plans[-1]["budget"], took.plans


# --- what the parts of a plan say ---------------------------------------------------------


def traced(function, *args, **given) -> int:
    """The most bytes that a call held, as NumPy and Python tell it."""
    function(*args, **given)  # what is made once
    tracemalloc.start()
    try:
        held = function(*args, **given)  # noqa: F841
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


TYPES = [
    PixelType(16),
    PixelType(8),
    PixelType(16, blank=3),
    PixelType(32, 2.0, 1.0),
    PixelType(64),
    PixelType(-32),
    PixelType(-64),
]


@pytest.mark.few(2)
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("frames", [1, 4, 300])
@pytest.mark.parametrize("pixels", TYPES, ids=str)
def test_a_median_holds_what_is_planned(pixels, frames, compiled):
    n = 2_000_000 // frames if frames > 4 else 200_000
    stack = np.random.default_rng(0).integers(0, 9, (frames, n)).astype(pixels.stored)
    if pixels.floating:
        stack[0, ::7] = np.nan
    used = traced(median.median, stack, pixels, compiled=compiled)
    planned = n * median.pixel_bytes(pixels, frames, compiled=compiled)
    scratch = median.scratch_bytes(frames, stack.itemsize, n, compiled=compiled)
    assert used <= planned + scratch
    assert planned <= 1.7 * used + 100_000
    if not compiled:
        assert scratch <= 4 * used


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("dtype", OUTPUT_TYPES)
def test_encoding_holds_what_is_planned(dtype, missing):
    values = np.random.default_rng(0).normal(100, 9, 400_000)
    values[0] = np.nan if missing else 0
    used = traced(encode, values, dtype)
    planned = len(values) * encoding_bytes(dtype, ENCODED_COPIES)
    assert used <= planned + 100_000
    if missing or dtype.startswith("float"):
        assert planned <= 1.1 * used


@pytest.mark.parametrize("minus", [0.0, 7.0])
@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
@pytest.mark.parametrize("pixels", [PixelType(8), PixelType(16, blank=3), PixelType(-64)], ids=str)
def test_a_tile_of_a_stack_holds_what_is_planned(tmp_path, pixels, dtype, minus):
    """The image that is made is a plane, which is not counted again."""
    image = np.random.default_rng(0).integers(0, 9, (400, 500)).astype(pixels.stored)
    path = write_frame(tmp_path / "f.fit", image, blank=pixels.blank)
    method = combine.method("median")
    layer = stack.stacked("x", scan_frames([str(path)]), method, minus=minus, dtype=dtype)

    def tile() -> dict[str, np.ndarray]:
        buffers.drop_buffers()
        return layer.function(Tile(0, 0, 0, *image.shape), *layer.inputs)

    used = traced(tile)
    planned = max(
        image.size * (sum({**layer.holds.pixel, **phase.pixel}.values()) + 8)
        + sum(phase.thread.values())
        for phase in layer.holds.phases
    )
    assert used <= planned + 100_000
    assert planned <= 1.2 * used + 600_000


@pytest.mark.few(2)
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("how", ["stored", "values", "bad", "noise"])
def test_a_tile_of_a_light_holds_what_is_planned(tmp_path, how, listed):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 99, (1700, 1000))
    dtype = "i2" if how == "values" else "f4"
    images = {"light": image.astype("i2"), "dark": image.astype(dtype), "flat": image + 1e3}
    paths = [str(write_frame(tmp_path / f"{n}.fit", im.astype("f4") if n == "flat" else im))
             for n, im in images.items()]  # fmt: skip
    frame, dark, flat = scan_frames(paths)
    (tmp_path / "bad.lst").write_text("".join(f"P {x} {x}\n" for x in range(0, 999, 3)))
    c = Calibration(
        bias=5.0, dark=dark, flat=flat, lists=(str(tmp_path / "bad.lst"),) if listed else (),
        bad=0.0 if how == "bad" else None, errors=how == "noise",
    )  # fmt: skip
    found = lightfit.fit(c, frame.shape, None, gigabytes=None)
    noise = Noise(1.0, 3.0) if how == "noise" else None
    (product,) = light_recipe(Light(frame, c, found, 90.0, noise), "x", "float32").products
    layer = product.layer

    def tile() -> dict[str, np.ndarray]:
        buffers.drop_buffers()
        return layer.function(Tile(0, 0, 0, *image.shape), *layer.inputs)

    used = traced(tile)
    each = sum(plane.nbytes for plane in layer.planes)
    planned = max(image.size * (sum(phase.pixel.values()) + each) + sum(phase.thread.values())
                  for phase in layer.holds.phases)  # fmt: skip
    assert used <= planned + 100_000
    assert planned <= 1.6 * used + correct.CORRECTION_BYTES


@pytest.mark.parametrize(
    "pixels",
    [*TYPES, PixelType(16, bzero=32768.0), PixelType(8, bzero=-128.0, blank=1),
     PixelType(64, bzero=2.0**63), PixelType(-64, 1e300, 0.0)],
    ids=str,
)  # fmt: skip
def test_reading_values_holds_what_is_planned(tmp_path, pixels):
    stored = np.random.default_rng(0).integers(0, 9, (400, 500)).astype(pixels.stored)
    path = write_frame(tmp_path / "f.fit", stored, bscale=pixels.bscale, bzero=int(pixels.bzero),
                       blank=pixels.blank)  # fmt: skip
    (frame,) = scan_frames([str(path)])
    assert frame.pixels == pixels
    # as float64, compiled code makes float32 where it is loaded, and holds less
    out = np.empty((1, 400, 500), pixels.native)
    buffers.drop_buffers()  # of tests before
    used = traced(reading.read_values, [frame], Tile(0, 0, 0, 400, 500), out.dtype, out)
    planned = 200_000 * reading.conversion_bytes(pixels)
    assert used <= planned + 100_000
    assert planned <= 1.1 * used


@pytest.mark.few
@pytest.mark.parametrize("shape", [(900, 1000), (70, 200_000)])
@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize("pattern", ["NONE", "RGGB", XTRANS])
def test_the_sample_of_flats_holds_what_is_planned(tmp_path, shape, together, pattern):
    image = np.random.default_rng(0).integers(0, 9000, shape).astype("i2")
    paths = [str(write_frame(tmp_path / f"f{i}.fit", image)) for i in range(together)]
    frames = tuple(scan_frames(paths))
    group = flatgroup.FlatGroup(
        frames, (flatgroup.Minus.of(1.0),), None, colours({"BAYERPAT": pattern}, shape[0])
    )
    used = traced(levels._sample, 0, group, frames)
    planned = levels.level_holds(group, together).thread["sample of the frames"]
    assert used <= planned <= 1.6 * used + 500_000
    assert planned < 40_000_000


@pytest.mark.parametrize("top", [True, *also(False)])
def test_a_list_holds_what_is_planned(tmp_path, top):
    """Also one that has each pixel twice."""
    places = np.random.default_rng(0).permutation(1_000_000)
    for times in (1, 2):
        y, x = np.divmod(np.tile(places, times), 1000)
        lines = (f"P {a} {b}\n" for a, b in zip(x.tolist(), y.tolist(), strict=True))
        (tmp_path / "c.lst").write_text("".join(lines))

        def read() -> None:
            found = pixellists.read_list(
                str(tmp_path / "c.lst"), (1000, 1000), origin_top=top, most=1_000_000
            )
            assert len(found) == 1_000_000

        used = traced(read)
        planned = correct.LIST_BYTES * len(places)
        assert used <= planned + 8_000_000
        assert planned <= 2.5 * used
    with pytest.raises(pixellists.TooMany) as info:
        pixellists.read_list(str(tmp_path / "c.lst"), (1000, 1000), most=300_000)
    assert info.value.count == 1_000_000


@pytest.mark.parametrize("pattern", ["NONE", *also("RGGB", XTRANS)])
def test_rings_and_correction_hold_what_is_planned(pattern):
    known = colours({"BAYERPAT": pattern}, 1000)
    cells = known.cells if known else ((0,),)
    places = np.flatnonzero(np.random.default_rng(0).random(1_500_000) < 0.5)
    held = 12 * len(places)
    used = traced(correct.find_rings, places, (1000, 1500), cells)
    assert used <= held + 12_000_000
    defects = correct.find_rings(places, (1000, 1500), cells)
    window = np.random.default_rng(0).normal(100, 1, (5, 1000, 1500))
    tile = Tile(0, 0, 0, 1000, 1500)
    used = traced(lambda: len(correct.correct(window, (0, 0), defects, tile)[0]))
    assert used <= correct.CORRECTION_BYTES


@pytest.mark.parametrize("planes", [1, 3])
def test_many_hot_pixels_hold_what_is_planned(tmp_path, planes):
    from pulsar_dask.output.lists import CANDIDATE_BYTES, LIST_BYTES, ORDER_BYTES

    count, n = 100_000, 400_000
    values = np.random.default_rng(0).permutation(n).astype("f8").reshape(400, 1000)
    shape = (planes, 400, 1000)[3 - (2 if planes == 1 else 3) :]

    def find() -> None:
        hot = highest.HotPixels(shape, count)
        for plane in range(planes):
            for y in range(0, 400, 50):
                hot.write(Tile(plane, y, 0, 50, 1000), values[y : y + 50])
        x, y = hot.positions()
        lists.write_list(str(tmp_path / "c.lst"), x, y)

    used = traced(find)
    held = CANDIDATE_BYTES * planes
    planned = count * (held + max(ORDER_BYTES, LIST_BYTES, held))
    assert used <= planned + 3_000_000
    assert planned <= 2.5 * used
