"""Masters: their pixels, their header, and that they appear whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from helpers import fitsverify_clean, halfway, header_bytes, names, run, same, write_frame
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pulsar_dask.errors import PulsarError
from pulsar_dask.files import atomic
from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.frames.provenance import Source, Trace, read_trace
from pulsar_dask.kernels.checksum import encode_checksum
from pulsar_dask.kernels.tile import Grid
from pulsar_dask.output.encoding import OUTPUT_TYPES, to_dtype
from pulsar_dask.output.fits import FitsMaster
from pulsar_dask.output.header import master_header
from pulsar_dask.output.ours import check_output, is_ours
from pulsar_dask.output.zarrstore import ZarrMaster

DTYPES = sorted(OUTPUT_TYPES)


def read(path):
    """Pixels and header as astropy reads them; checksums that are wrong are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(path, checksum=True) as hdus:
            assert len(hdus) == 1
            assert {"CHECKSUM", "DATASUM"} <= set(hdus[0].header)
            return np.array(hdus[0].data), hdus[0].header.copy()


def write_master(
    path,
    values,
    dtype,
    *,
    header=None,
    tile=(1000, 1000),
    order=1,
    trace=Trace(),  # noqa: B008
):
    """Write float64 values tile by tile, in the order of the file or against it."""
    grid = Grid(values.shape, *tile)
    if header is None:
        header = fits.Header({"CREATOR": "pulsar-dask 0"})
    with FitsMaster(str(path), values.shape, dtype, header, trace) as master:
        for _, t in list(grid)[::order]:
            plane = values[t.plane] if values.ndim == 3 else values
            master.write(t, np.ascontiguousarray(plane[t.y : t.y + t.height, t.x : t.x + t.width]))
        master.commit()
    return master


def as_type(values, dtype):
    return values.astype(dtype) if dtype[0] == "f" else halfway(values, dtype)


sizes = st.one_of(
    st.tuples(st.integers(1, 12), st.integers(1, 19)),
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 9)),
)
numbers = st.one_of(
    st.floats(-1e5, 1e5),
    st.integers(-600, 600).map(lambda n: n / 2),
    st.sampled_from([np.nan, 2.0**31 - 0.5, 2.0**32, -(2.0**31), 65535.5, -0.5, 0.5, 1e20, -1e20]),
)


# --- pixels --------------------------------------------------------------------------------


@given(st.sampled_from(DTYPES), sizes, st.data())
def test_pixels_and_checksums(tmp_path, dtype, shape, data):
    values = data.draw(hnp.arrays("f8", shape, elements=numbers))
    tile = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 19))
    path = tmp_path / "m.fit"
    master = write_master(path, values, dtype, tile=tile, order=data.draw(st.sampled_from([1, -1])))
    pixels, header = read(path)
    same(pixels, as_type(values, dtype))
    assert pixels.dtype.newbyteorder("=") == np.dtype(dtype)
    assert header["BITPIX"] == OUTPUT_TYPES[dtype][0]
    assert master.missing == np.isnan(values).sum()
    assert path.stat().st_size % 2880 == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7), (1, 1), (36, 40)])
@pytest.mark.usefixtures("fitsverify")
def test_fitsverify_has_no_complaint(tmp_path, dtype, shape):
    values = np.random.default_rng(0).normal(100, 50, shape)
    values.flat[0] = np.nan
    write_master(tmp_path / "m.fit", values, dtype, tile=(2, 3))
    fitsverify_clean(tmp_path / "m.fit")


@given(hnp.arrays("f8", st.integers(1, 30), elements=numbers), st.sampled_from(DTYPES))
def test_rounding_half_to_even_and_clipping(values, dtype):
    before = values.copy()
    result, clipped, missing = to_dtype(values, dtype)
    same(result, as_type(values, dtype))
    same(values, before)
    assert missing == np.isnan(values).sum()
    if dtype[0] == "f":
        assert clipped == 0
    else:
        info = np.iinfo(dtype)
        rounded = [round(v) for v in values.tolist() if v == v]
        assert clipped == sum(not info.min <= r <= info.max for r in rounded)


def test_halves_go_to_the_even_neighbour():
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 254.5, 255.5])
    assert to_dtype(halves, "int16")[0].tolist() == [0, 2, 2, 0, -2, -2, 254, 256]
    assert to_dtype(halves, "uint8")[0].tolist() == [0, 2, 2, 0, 0, 0, 254, 255]
    assert to_dtype(halves, "uint8")[1] == 3


@given(st.integers(0, 2**32 - 1))
def test_checksum_letters(value):
    text = encode_checksum(value)
    assert len(text) == 16
    assert text.isalnum()
    assert text.isascii()
    letters = text[1:] + text[0]  # read back as the standard says (appendix J.3)
    parts = [sum(ord(letters[4 * j + i]) - 48 for j in range(4)) for i in range(4)]
    assert int.from_bytes(bytes(parts), "big") == value


def test_unknown_type_is_refused(tmp_path):
    with pytest.raises(PulsarError, match="complex64"):
        FitsMaster(str(tmp_path / "m.fit"), (2, 2), "complex64", fits.Header())
    assert names(tmp_path) == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(9, 11), (2, 9, 11)])
def test_zarr(tmp_path, dtype, shape):
    values = np.random.default_rng(0).normal(100, 300, shape)
    values.flat[3] = np.nan
    grid = Grid(shape, 4, 5)
    header = fits.Header({"CREATOR": "pulsar-dask 0", "OBJECT": "x"})
    with ZarrMaster(str(tmp_path / "m.zarr"), grid, dtype, header) as master:
        for _, t in grid:
            plane = values[t.plane] if len(shape) == 3 else values
            master.write(t, plane[t.y : t.y + t.height, t.x : t.x + t.width])
        master.commit()
    assert master.missing == 1
    dataset = xr.open_zarr(tmp_path / "m.zarr")
    assert dataset.master.dims == ("plane", "y", "x")[-len(shape) :]
    same(dataset.master.values, as_type(values, dtype))
    assert dataset.master.dtype == np.dtype(dtype)
    assert "OBJECT" in dataset.master.attrs["header"]
    assert is_ours(str(tmp_path / "m.zarr"))


# --- the header ------------------------------------------------------------------------------


def frames_with(folder, *cards, **kwargs):
    for i, each in enumerate(cards, 1):
        write_frame(folder / f"f{i:02}.fit", np.zeros((4, 6), "i2"), cards=each, **kwargs)
    return scan_frames([str(folder / f"f{i:02}.fit") for i in range(1, len(cards) + 1)])


def header_of(folder, *cards, kind="dark", steps=("median",), **kwargs):
    """The header of a master of frames with such cards, as it stands in the file."""
    frames = frames_with(folder, *cards, **kwargs)
    header = master_header(frames, kind=kind)
    trace = Trace(tuple(Source.of("input", frame) for frame in frames), tuple(steps))
    write_master(folder / "master.fit", np.zeros((4, 6)), "float32", header=header, trace=trace)
    return read(folder / "master.fit")[1]


def test_header_tells_the_truth(tmp_path):
    header = header_of(
        tmp_path,
        {"EXPTIME": 120.0, "FILTER": "R", "CCD-TEMP": -10.0, "DATE-OBS": "2024-05-20T22:00:00",
         "IMAGETYP": "Dark Frame", "OBJECT": "M 31", "GAIN": 100},
        {"EXPTIME": 120.0, "FILTER": "R", "CCD-TEMP": -8.0, "DATE-OBS": "2024-05-20T21:00:00"},
        {"EXPTIME": 120.0, "FILTER": "R", "CCD-TEMP": -9.5, "DATE-OBS": "2024-05-20T23:00:00"},
        steps=["bias subtracted", "median of 3 frames"],
    )  # fmt: skip
    assert header["IMAGETYP"] == "Master Dark"
    assert (header["NCOMBINE"], header["COMBMETH"]) == (3, "median")
    assert (header["EXPTIME"], header["FILTER"], header["CCD-TEMP"]) == (120.0, "R", -9.5)
    assert header["DATE-OBS"] == "2024-05-20T21:00:00"
    assert header["DATE-END"] == "2024-05-20T23:00:00"
    assert header["CREATOR"].startswith("pulsar-dask ")
    assert header["DATE"][:2] == "20"
    assert (header["OBJECT"], header["GAIN"]) == ("M 31", 100)
    history = list(header["HISTORY"])
    assert [h for h in history if h.startswith("input")] == [
        f"input f{i:02}.fit DATASUM 0000000000" for i in (1, 2, 3)
    ]
    assert history[-2:] == ["bias subtracted", "median of 3 frames"]


@pytest.mark.parametrize(("kind", "label"), [("bias", "Master Bias"), ("flat", "Master Flat"),
                                             (None, "Master")])  # fmt: skip
def test_imagetyp(tmp_path, kind, label):
    assert header_of(tmp_path, {"IMAGETYP": "x"}, kind=kind)["IMAGETYP"] == label


def test_what_differs_is_not_claimed(tmp_path):
    header = header_of(
        tmp_path, {"EXPTIME": 1.0, "FILTER": "R"}, {"EXPTIME": 2.0, "FILTER": "G"}, kind=None
    )
    assert "EXPTIME" not in header
    assert "EXPOSURE" not in header
    assert "FILTER" not in header


def test_exposures_within_a_millisecond_are_one(tmp_path):
    header = header_of(tmp_path, {"EXPTIME": 120.0}, {"EXPTIME": 120.0004})
    assert header["EXPTIME"] == pytest.approx(120, abs=1e-3)


def test_even_number_of_temperatures(tmp_path):
    header = header_of(tmp_path, *({"CCD-TEMP": t} for t in (-10.0, -9.0, -8.0, -20.0)))
    assert header["CCD-TEMP"] == -9.5


def test_nothing_is_made_up(tmp_path):
    header = header_of(tmp_path, {})
    assert not {"EXPTIME", "FILTER", "CCD-TEMP", "DATE-OBS", "DATE-END"} & set(header)


@pytest.mark.parametrize("place", ["primary", "extension", "tiled"])
def test_cards_of_the_files_structure_are_gone(tmp_path, place):
    cards = {"DATAMAX": 5, "ROWORDER": "TOP-DOWN", "BAYERPAT": "RGGB", "CHECKSUM": "x" * 16,
             "DATASUM": "0", "EXTNAME": "IMG"}  # fmt: skip
    header = header_of(tmp_path, cards, bzero=32768, bscale=1, blank=3, place=place)
    assert (header["ROWORDER"], header["BAYERPAT"]) == ("TOP-DOWN", "RGGB")
    gone = {"BSCALE", "BZERO", "BLANK", "XTENSION", "PCOUNT", "GCOUNT", "EXTNAME", "DATAMAX",
            "TFIELDS", "TTYPE1", "TFORM1", "ZIMAGE", "ZCMPTYPE", "ZBITPIX", "ZNAXIS1", "ZTILE1",
            "ZBLANK"}  # fmt: skip
    assert not gone & set(header)
    assert (header["BITPIX"], header["NAXIS1"], header["NAXIS2"]) == (-32, 6, 4)
    assert next(iter(header)) == "SIMPLE"


@pytest.mark.parametrize("place", ["extension", "tiled"])
def test_keywords_of_the_primary_are_kept(tmp_path, place):
    header = header_of(
        tmp_path, {"FILTER": "G"}, place=place, primary_cards={"TELESCOP": "70 cm", "FILTER": "R"}
    )
    assert (header["TELESCOP"], header["FILTER"]) == ("70 cm", "G")


ODD = {
    "a long string": [b"LONGSTR = '" + b"x" * 67 + b"&'", b"CONTINUE  '" + b"y" * 60 + b"'"],
    "LONGSTRN": [b"LONGSTRN= 'OGIP 1.0'", b"LONGSTR = '" + b"x" * 67 + b"&'", b"CONTINUE  'yz'"],
    "HIERARCH": [b"HIERARCH ESO DET CHIP1 NAME = 'abc' / chip", b"HIERARCH low er = 3"],
    "duplicates": [b"OBJECT  = 'one'", b"OBJECT  = 'two'", b"GAIN    = 1", b"GAIN    = 2"],
    "latin-1": ["OBSERVER= 'Café'".encode("latin-1"), "COMMENT naïve".encode("latin-1")],
    "utf-8": ["OBSERVER= 'Ångström' / °C".encode(), "HISTORY ✓ done".encode()],
    "control characters": [b"OBSERVER= 'a\x1b[31m\tb'", b"HISTORY \x00\x01", b"COMMENT \x7f"],
    "no value": [b"NOVALUE =", b"NOVALU2", b"NOVALU3 = / only a comment"],
    "lower case": [b"object  = 'x'", b"Filter  = 'R'"],
    "not FITS at all": [b"<xml></xml>", b"=       = 3", b"KEY 1   = 3", b"KEY\xff    = 3"],
    "numbers": [b"NUM1    = 1,5", b"NUM2    = NaN", b"NUM3    = Infinity", b"NUM4    = 0x12",
                b"NUM5    = 1E999", b"NUM6    = 12345678901234567890123", b"NUM7    =  1.D-3"],
    "strings": [b"STR1    = 'not closed", b"STR2    = 'it''s'", b"STR3    = ''", b"STR4    = '   '",
                b"STR5    = 'x'no comment"],
    "complex": [b"CPLX    = (1.5, -2.5)", b"LOGIC   = T", b"LOGIC2  = True"],
    "record valued": [b"DP1     = 'NAXIS: 2'", b"DP1     = 'AXIS.1: 1'"],
    "dates": [b"DATE-OBS= '20/05/24'", b"DATE    = 'yesterday'", b"DATE-END= 'x'"],
    "old": [b"EPOCH   =               2000.0", b"BLOCKED =                    T",
            b"EXTEND  =                    T"],
    "groups": [b"GROUPS  =                    F", b"PCOUNT  =                    0",
               b"GCOUNT  =                    1"],
    "columns": [b"TTYPE1  = 'a'", b"TFIELDS =                    1", b"TFORM1  = 'J'"],
    "comments": [b"COMMENT " + b"c" * 72, b"HISTORY " + b"h" * 72, b"", b"        blank keyword"],
    "END in a card": [b"COMMENT END", b"OBJECT  = 'END     '", b"ENDING  = 3"],
    "world coordinates": [b"CTYPE1  = 'RA---TAN'", b"CTYPE2  = 'DEC--TAN'", b"CRPIX1  = 1.0",
                          b"CRVAL1  = 2.0", b"CDELT1  = 0.1", b"EQUINOX = 2000.0"],
    "units": [b"BUNIT   = 'adu'", b"EXPTIME = 3 / [s]", b"OBJECT  = 'x' / [no unit"],
    "axes": [b"NAXIS3  =                    1", b"NAXIS4  =                    7"],
    "a long comment": [b"OBJECT  = '" + b"x" * 50 + b"' / " + b"c" * 15],
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
@pytest.mark.usefixtures("fitsverify")
def test_odd_headers_make_clean_masters(tmp_path, name):
    cards = {str(i): card for i, card in enumerate(ODD[name])}
    header_of(tmp_path, cards)
    fitsverify_clean(tmp_path / "master.fit")


@pytest.mark.usefixtures("fitsverify")
def test_all_odd_cards_at_once(tmp_path):
    cards = {f"{name}{i}": c for name, some in ODD.items() for i, c in enumerate(some)}
    header = header_of(tmp_path, cards)
    fitsverify_clean(tmp_path / "master.fit")
    assert header["LONGSTR"] == "x" * 67 + "y" * 60
    assert header["OBJECT"] == "one"
    assert header["ESO DET CHIP1 NAME"] == "abc"


def test_long_strings_are_kept(tmp_path):
    cards = dict(enumerate(ODD["a long string"]))
    assert header_of(tmp_path, {str(k): v for k, v in cards.items()})["LONGSTR"] == (
        "x" * 67 + "y" * 60
    )


keywords = st.one_of(
    st.from_regex(rb"[A-Z0-9_-]{1,8}", fullmatch=True),
    st.sampled_from([b"CRVAL1", b"CTYPE3", b"DATE", b"DATE-OBS", b"BUNIT", b"WCSAXES", b"CD1_1",
                     b"PC1_1", b"TELESCOP", b"COMMENT", b"HISTORY", b"CONTINUE", b"ZTILE1",
                     b"CHECKSUM", b"INHERIT", b"EXTVER", b"LONPOLE", b"TDMIN1", b"PSCAL1"]),
)  # fmt: skip
contents = st.one_of(
    st.binary(max_size=70),
    st.integers().map(lambda n: str(n).encode()),
    st.floats().map(lambda x: repr(x).encode()),
    st.from_regex(rb"'[ -~]{0,60}'( / [ -~]{0,30})?", fullmatch=True),
)
any_card = st.one_of(
    st.binary(max_size=80),
    st.builds(lambda k, v: (k.ljust(8) + b"= " + v)[:80], keywords, contents),
)


@pytest.mark.usefixtures("fitsverify")
@given(st.lists(any_card, max_size=8))
def test_any_cards_make_clean_masters(tmp_path, cards):
    cards = {str(i): c for i, c in enumerate(cards) if not c.startswith((b"END", b"XTENSION"))}
    try:
        header_of(tmp_path, cards)
    except PulsarError:
        assume(False)  # a card made the frame unreadable
    fitsverify_clean(tmp_path / "master.fit")


@pytest.mark.usefixtures("fitsverify")
def test_odd_file_names_in_history(tmp_path):
    files = ["naïve °.fit", "x" * 150 + ".fit", "two\nlines.fit", "tab\t.fit", "it's.fit"]
    for name in files:
        write_frame(tmp_path / name, np.zeros((4, 6), "i2"))
    frames = scan_frames([str(tmp_path / n) for n in files])
    trace = Trace(tuple(Source.of("input", frame) for frame in frames), ("median",))
    header = master_header(frames, kind="bias")
    write_master(tmp_path / "master.fit", np.zeros((4, 6)), "float32", header=header, trace=trace)
    fitsverify_clean(tmp_path / "master.fit")
    found = read_trace(read(tmp_path / "master.fit")[1]["HISTORY"], str(tmp_path))
    assert [os.path.basename(s.path) for s in found.sources] == [
        os.path.basename(f.path) for f in frames
    ]
    assert found.steps == ("median",)


# --- whole or not at all -----------------------------------------------------------------------


@pytest.fixture(params=["nameless", "named"])
def temporary(request, monkeypatch):
    """With temporary files that have no name, and as where the system cannot do so."""
    monkeypatch.delattr(os, "O_TMPFILE", raising=request.param == "nameless" and LINUX)
    if request.param == "nameless":
        monkeypatch.undo()
        if not LINUX:
            pytest.skip("this system has no files without a name")
    atomic._nameless_files.cache_clear()
    yield request.param
    atomic._nameless_files.cache_clear()


LINUX = sys.platform == "linux"


def test_a_new_file_is_there_on_commit_and_not_before(tmp_path, temporary):
    path = tmp_path / "m.fit"
    with AtomicFile(str(path), 10) as file:
        file.write_at(b"hello", 5)
        assert not path.exists()
        file.commit()
        assert path.read_bytes() == bytes(5) + b"hello"
    assert names(tmp_path) == ["m.fit"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_the_old_file_stays_when_the_work_fails(tmp_path, error, temporary):
    path = tmp_path / "m.fit"
    path.write_bytes(b"old")

    def fail():
        with AtomicFile(str(path), 100_000) as file:
            file.write_at(b"new", 0)
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["m.fit"]


@pytest.mark.parametrize("kind", ["fits", "zarr"])
def test_nothing_is_left_of_a_master_that_failed(tmp_path, kind, temporary):
    header = fits.Header({"CREATOR": "pulsar-dask 0"})
    grid = Grid((8, 8), 4, 8)
    make = {
        "fits": lambda: FitsMaster(str(tmp_path / "m.fit"), (8, 8), "float32", header),
        "zarr": lambda: ZarrMaster(str(tmp_path / "m.zarr"), grid, "float32", header),
    }[kind]

    def fail():
        with make() as master:
            master.write(next(iter(grid))[1], np.zeros((4, 8)))
            assert len(names(tmp_path)) == (kind == "zarr" or temporary == "named")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["fits", "zarr"])
def test_nothing_is_left_of_a_master_that_was_never_entered(tmp_path, kind, temporary):
    """As after an interrupt between the making of a master and the `with` around it."""
    header = fits.Header({"CREATOR": "pulsar-dask 0"})
    if kind == "fits":
        master = FitsMaster(str(tmp_path / "m.fit"), (8, 8), "float32", header)
    else:
        master = ZarrMaster(str(tmp_path / "m.zarr"), Grid((8, 8), 4, 8), "float32", header)
    assert len(names(tmp_path)) == (kind == "zarr" or temporary == "named")
    del master
    assert names(tmp_path) == []


def test_space_is_claimed_before_the_work(tmp_path, temporary):
    with AtomicFile(str(tmp_path / "m.fit"), 3_000_000) as file:
        status = os.fstat(file._held.fd)
        assert status.st_size == 3_000_000
        if hasattr(os, "posix_fallocate"):
            assert status.st_blocks * 512 >= 3_000_000


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
from pulsar_dask.errors import PulsarError
from pulsar_dask.files.atomic import AtomicFile
try:
    AtomicFile(sys.argv[1], 3_000_000)
except PulsarError as error:
    print(error)
"""


def test_no_space_is_an_error_that_leaves_nothing(tmp_path):
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "m.fit")], capture_output=True, text=True
    )
    assert os.strerror(errno.EFBIG) in done.stdout
    assert "m.fit: cannot be written" in done.stdout
    assert names(tmp_path) == []


def test_a_folder_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(PulsarError, match=r"gone.m\.fit: cannot be written"):
        AtomicFile(str(tmp_path / "gone" / "m.fit"), 10)


def test_a_long_name_is_no_problem(tmp_path):
    path = tmp_path / ("x" * 250 + ".fit")
    with AtomicFile(str(path), 1) as file:
        file.commit()
    assert names(tmp_path) == [path.name]


def test_a_link_is_replaced_not_followed_into_an_input(tmp_path):
    target = write_frame(tmp_path / "raw.fit", np.zeros((2, 2), "i2"))
    before = target.read_bytes()
    (tmp_path / "out.fit").symlink_to("raw.fit")
    with pytest.raises(PulsarError, match="is an input"):
        check_output(str(tmp_path / "out.fit"), [str(target)], overwrite=True)
    assert target.read_bytes() == before


# --- what may be replaced ------------------------------------------------------------------------


@pytest.fixture
def stack(here):
    for i in range(1, 4):
        write_frame(here / f"bias{i}.fit", np.zeros((2, 2), "i2"))
    write_frame(here / "other.fit", np.zeros((2, 2), "i2"))
    write_master(here / "master.fit", np.zeros((2, 2)), "float32")
    (here / "cosme.lst").write_bytes(b"P 1 2\r\nP 3 4\r\n")
    (here / "mine.lst").write_bytes(b"# by hand\nP 1 2\n")
    (here / "folder").mkdir()
    return [str(here / f"bias{i}.fit") for i in range(1, 4)]


@pytest.mark.parametrize("output", ["new.fit", "master.fit", "cosme.lst", "folder/bias1.fit"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_outputs_that_may_be_written(stack, output, overwrite):
    check_output(output, stack, overwrite=overwrite)


@pytest.mark.parametrize("output", ["other.fit", "mine.lst"])
def test_files_of_others_need_overwrite(stack, output):
    with pytest.raises(PulsarError, match=f"^{output} exists .*--overwrite"):
        check_output(output, stack, overwrite=False)
    check_output(output, stack, overwrite=True)


@pytest.mark.parametrize(
    "output", ["bias1.fit", "./bias3.fit", "bias4.fit", "bias9.fit", "folder/../bias2.fit"]
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_inputs_and_their_sequence_are_never_replaced(stack, output, overwrite):
    with pytest.raises(PulsarError, match="input"):
        check_output(output, stack, overwrite=overwrite)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_never_replaced(stack, overwrite):
    with pytest.raises(PulsarError, match=r"^folder "):
        check_output("folder", stack, overwrite=overwrite)


def test_a_missing_folder_is_named(stack):
    with pytest.raises(PulsarError, match="gone"):
        check_output("gone/m.fit", stack, overwrite=False)


@pytest.mark.parametrize("output", ["bias1.FIT", "BIAS4.fit", "bias01.fit", "bias4.fits"])
def test_other_names_are_other_sequences(stack, output):
    if os.path.exists("BIAS1.FIT"):
        pytest.skip("the file system does not tell upper from lower case")
    if output == "bias1.FIT":
        with pytest.raises(PulsarError, match="sequence"):
            check_output(output, stack, overwrite=False)
    else:
        check_output(output, stack, overwrite=False)


@pytest.mark.parametrize(
    "content",
    [
        header_bytes({"SIMPLE": True, "CREATOR": "pulsar-dask 0.1.0"}),
        header_bytes({"SIMPLE": True, "CREATOR": "siril"}),
        header_bytes({"SIMPLE": True, "COMMENT": "CREATOR = 'pulsar-dask"}),
        header_bytes({"SIMPLE": True}) + b"CREATOR = 'pulsar-dask'",
        b"",
        b"CREATOR = 'pulsar-dask'",
    ],
)
def test_what_is_no_master_of_ours(tmp_path, content):
    path = tmp_path / "m.fit"
    path.write_bytes(content)
    assert not is_ours(str(path))


def edit_header(path):
    """As a program does that knows nothing of CHECKSUM."""
    data = path.read_bytes()
    mine = b"OBJECT  = 'mine'".ljust(80) + b"END".ljust(80)
    path.write_bytes(data.replace(b"END".ljust(160), mine, 1))


def edit_pixel(path):
    data = bytearray(path.read_bytes())
    data[2880] ^= 1
    path.write_bytes(data)


def edit_with_checksum(path):
    with fits.open(path, mode="update", checksum=True) as hdus:
        hdus[0].header["CREATOR"] = "another program"


def append_to(path):
    path.write_bytes(path.read_bytes() + b"notes of mine")


@pytest.mark.parametrize("edit", [edit_header, edit_pixel, edit_with_checksum, append_to])
def test_a_master_that_was_changed_is_theirs_who_changed_it(tmp_path, edit):
    path = tmp_path / "m.fit"
    write_master(path, np.ones((5, 7)), "float32")
    assert is_ours(str(path))
    check_output(str(path), [], overwrite=False)
    edit(path)
    assert not is_ours(str(path))
    with pytest.raises(PulsarError, match=r"m.fit .* --overwrite") as told:
        check_output(str(path), [], overwrite=False)
    assert ("was changed after" in str(told.value)) is (edit is not edit_with_checksum)
    check_output(str(path), [], overwrite=True)


def test_what_is_read_only_needs_overwrite(stack, here):
    run("med", *stack, "bias.zarr", cwd=here)
    for name, words in {
        "master.fit": ("med", *stack),
        "bias.zarr": ("med", *stack),
        "cosme.lst": ("make_cosme", "bias1.fit"),
    }.items():
        path, inside = here / name, here / name / "zarr.json"
        found = inside if path.is_dir() else path
        before = found.stat()
        path.chmod(path.stat().st_mode & 0o555)
        said = run(*words, name, cwd=here, status=1).stderr
        assert f"{name} is read-only; name another output or add --overwrite" in said
        assert found.stat().st_mtime_ns == before.st_mtime_ns
        run(*words, name, "--overwrite", cwd=here)
        assert found.stat().st_mtime_ns > before.st_mtime_ns
        assert path.stat().st_mode & 0o200


# --- interrupted ----------------------------------------------------------------------------------

WORK = """
import sys, time
import numpy as np
from astropy.io import fits
from pulsar_dask.tools.commands import program
from pulsar_dask.output.fits import FitsMaster
from pulsar_dask.kernels.tile import Tile

def work():
    with FitsMaster(sys.argv[1], (100, 100), "float32", fits.Header()) as master:
        master.write(Tile(0, 0, 0, 50, 100), np.ones((50, 100)))
        print("ready", flush=True)
        time.sleep(60)
        master.commit()

class Job(program.Running):
    name = "job"
    def main(self, **kwargs):
        work()

Job().run("job")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("old", [b"old", None])
@pytest.mark.slow
def test_an_interrupt_leaves_what_was_there(tmp_path, number, old):
    path = tmp_path / "m.fit"
    if old:
        path.write_bytes(old)
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == -number
    assert b"Traceback" not in errors
    assert names(tmp_path) == (["m.fit"] if old else [])
    assert not old or path.read_bytes() == old


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_kill_leaves_the_old_file(tmp_path):
    path = tmp_path / "m.fit"
    path.write_bytes(b"old")
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait(30)
    process.stdout.close()
    time.sleep(0.05)
    assert path.read_bytes() == b"old"
