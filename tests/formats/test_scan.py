"""What headers say of a frame, and that no pixel is read for it."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from helpers import BLOCK, OTHER_SIGN, STORED, datasum, header_bytes, scalings, write_frame
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.gzipped import Gzipped
from pulsar_dask.formats.plain import Plain
from pulsar_dask.formats.scan import scan_frame, scan_frames
from pulsar_dask.formats.sums import pixel_sum
from pulsar_dask.formats.tiled import Tiled

PLACES = ["primary", "extension", "tiled", "gzip"]


def write_at(folder, place, stored, **kwargs):
    name = {"tiled": "f.fits.fz", "gzip": "f.fits.gz"}.get(place, "f.fits")
    where = "primary" if place == "gzip" else place
    return write_frame(folder / name, stored, place=where, **kwargs)


def scan(path):
    (frame,) = scan_frames([str(path)])
    return frame


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (2, 3, 4)])
def test_shape_and_place(tmp_path, place, shape):
    path = write_at(tmp_path, place, np.zeros(shape, "i2"))
    frame = scan(path)
    assert frame.path == str(path)
    assert frame.shape == shape
    assert frame.stored.hdu == (1 if place in ("extension", "tiled") else 0)
    assert type(frame.stored) is {"tiled": Tiled, "gzip": Gzipped}.get(place, Plain)
    assert frame.nbytes == np.prod(shape) * 2


@pytest.mark.parametrize("place", ["primary", "extension", "gzip"])
def test_pixels_lie_where_it_says(tmp_path, place):
    stored = np.arange(35, dtype="i2").reshape(5, 7)
    path = write_at(tmp_path, place, stored)
    frame = scan(path)
    content = gzip.decompress(path.read_bytes()) if place == "gzip" else path.read_bytes()
    assert content[frame.stored.offset :][: stored.nbytes] == stored.astype(">i2").tobytes()


@pytest.mark.parametrize("bitpix", STORED)
@pytest.mark.parametrize("place", ["primary", "tiled"])
def test_bitpix(tmp_path, bitpix, place):
    stored = np.zeros((3, 4), STORED[bitpix])
    pixels = scan(write_at(tmp_path, place, stored, compression="GZIP_1")).pixels
    assert (pixels.bitpix, pixels.bscale, pixels.bzero, pixels.blank) == (bitpix, 1, 0, None)
    assert pixels.stored == stored.astype(stored.dtype.newbyteorder(">")).dtype


@given(st.sampled_from(sorted(STORED)), st.sampled_from(["primary", "extension"]), st.data())
def test_scaling(tmp_path, bitpix, place, data):
    cards = data.draw(scalings(bitpix))
    pixels = scan(write_at(tmp_path, place, np.zeros((2, 2), STORED[bitpix]), **cards)).pixels
    assert pixels.bscale == cards.get("bscale", 1)
    assert pixels.bzero == cards.get("bzero", 0)
    assert pixels.blank == cards.get("blank")


@pytest.mark.parametrize(
    ("bitpix", "cards", "native"),
    [
        (8, {}, "u1"),
        (16, {}, "i2"),
        (64, {}, "i8"),
        (8, {"bzero": OTHER_SIGN[8]}, "i1"),
        (16, {"bzero": OTHER_SIGN[16]}, "u2"),
        (32, {"bzero": OTHER_SIGN[32]}, "u4"),
        (64, {"bzero": OTHER_SIGN[64]}, "u8"),
        (16, {"blank": 0}, "f4"),
        (32, {"blank": 0}, "f8"),
        (-32, {}, "f4"),
        (-64, {}, "f8"),
        (16, {"bscale": 2.0}, "f8"),
        (16, {"bzero": 100.0}, "f8"),
    ],
)
def test_type_that_holds_the_values(tmp_path, bitpix, cards, native):
    path = write_frame(tmp_path / "f.fit", np.zeros((2, 2), STORED[bitpix]), **cards)
    assert scan(path).pixels.native == np.dtype(native)


def test_blank_of_floats_means_nothing(tmp_path):
    path = write_frame(tmp_path / "f.fit", np.zeros((2, 2), "f4"), blank=0)
    assert scan(path).pixels.blank is None


def test_blank_outside_the_type_means_nothing(tmp_path):
    path = write_frame(tmp_path / "f.fit", np.zeros((2, 2), "i2"), blank=70000)
    assert scan(path).pixels.blank is None


@pytest.mark.parametrize("tile", [(1, 20), (4, 5), (10, 20), (3, 20)])
def test_compression_tile(tmp_path, tile):
    path = write_at(tmp_path, "tiled", np.zeros((10, 20), "i2"), tile=tile)
    assert scan(path).stored.block == tile


@pytest.mark.parametrize("place", PLACES)
def test_keywords(tmp_path, place):
    cards = {
        "IMAGETYP": "Dark Frame", "EXPTIME": 120.5, "FILTER": " Ha ", "GAIN": 100, "OFFSET": 30,
        "CCD-TEMP": -9.8, "DATE-OBS": "2024-05-20T21:00:00.5", "XBINNING": 2, "YBINNING": 3,
        "INSTRUME": "ZWO", "READOUTM": "Fast", "BAYERPAT": "RGGB",
    }  # fmt: skip
    frame = scan(write_at(tmp_path, place, np.zeros((2, 2), "i2"), cards=cards))
    assert (frame.about.label, frame.kind, frame.is_master) == ("Dark Frame", "dark", False)
    assert (frame.exposure, frame.filter, frame.temperature) == (120.5, "Ha", -9.8)
    settings = dict(frame.about.settings)
    assert (settings["GAIN"], settings["OFFSET"], settings["XBINNING"]) == (100, 30, "2x3")
    assert (settings["INSTRUME"], settings["READOUTM"]) == ("ZWO", "Fast")
    assert settings["BAYERPAT"] == "RGGB"
    assert frame.date == "2024-05-20T21:00:00.5"
    assert frame.about.problem is None


@pytest.mark.parametrize("place", ["extension", "tiled"])
def test_keywords_of_the_primary_count_for_its_extensions(tmp_path, place):
    primary = {"IMAGETYP": "FLAT", "FILTER": "R", "EXPTIME": 1.0}
    cards = {"FILTER": "G"}
    path = write_at(tmp_path, place, np.zeros((2, 2), "i2"), primary_cards=primary, cards=cards)
    frame = scan(path)
    assert (frame.kind, frame.filter, frame.exposure) == ("flat", "G", 1.0)


def test_scaling_of_the_primary_is_not_that_of_the_extension(tmp_path):
    path = write_at(
        tmp_path, "extension", np.zeros((2, 2), "i2"), primary_cards={"BZERO": 32768, "BLANK": 1}
    )
    assert (scan(path).pixels.bzero, scan(path).pixels.blank) == (0, None)


def test_what_is_no_image_is_gone_past(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(5))])
    line, empty = fits.ImageHDU(np.zeros(7, "i2")), fits.ImageHDU(np.zeros((0, 7), "i2"))
    image = fits.ImageHDU(np.zeros((3, 4), "i2"))
    fits.HDUList([fits.PrimaryHDU(), table, line, empty, image, table]).writeto(tmp_path / "f.fit")
    frame = scan(tmp_path / "f.fit")
    assert (frame.stored.hdu, frame.shape) == (4, (3, 4))


def write_ccds(path, *, empty=True, packed=False, names=("blue", "red"), shape=(5, 6)):
    """A file of several images, of 1, 2, … everywhere."""
    kind = fits.CompImageHDU if packed else fits.ImageHDU
    images = [kind(np.full(shape, i, "i2"), name=name) for i, name in enumerate(names, 1)]
    first = fits.PrimaryHDU() if empty else fits.PrimaryHDU(np.zeros(shape, "i2"))
    fits.HDUList([first, *images]).writeto(path)
    if path.suffix == ".gz":  # astropy has gzipped it
        assert path.read_bytes()[:2] == b"\x1f\x8b"
    return path


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("f.fit", {}),
        ("f.fit.gz", {}),
        ("f.fit.fz", {"packed": True}),
        ("f.fit", {"empty": False, "names": ("red",)}),
    ],
)
def test_several_images_are_no_choice_of_ours(tmp_path, name, how):
    path = write_ccds(tmp_path / name, **how)
    with pytest.raises(PulsarError, match=r"f\.fit.*: 2 images in this file .*RED.*`hdu`"):
        scan(path)
    for wanted in ("red", " RED", "red,1", 2 if how.get("empty", True) else 1):
        frame = scan_frame(path, wanted)
        index = len(how.get("names", "br"))
        assert (frame.stored.hdu, frame.stored.chosen) == (index, wanted)
        assert pixel_sum(frame) == datasum(np.full((5, 6), index, "i2"))
        assert frame != scan_frame(path, 1 if index == 2 else 0)
    for wanted in ("green", 7, "red,2"):
        with pytest.raises(PulsarError, match=r"f\.fit.*no image in .*holds 2 images"):
            scan_frame(path, wanted)


def test_two_images_of_one_name(tmp_path):
    path = write_ccds(tmp_path / "f.fit", names=("SCI", "SCI"))
    with fits.open(path, "update") as hdus:
        hdus[2].header["EXTVER"] = 2
    assert scan_frame(path, "sci,2").stored.hdu == 2
    with pytest.raises(PulsarError, match=r"2 images of the name 'sci'.*EXTVER"):
        scan_frame(path, "sci")


@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize("name", ["UNCERT", "mask", "ERR", "DQ", "BPM", "VAR", "SCI_VAR", "WEIGHT"])
def test_what_describes_an_image_is_none(tmp_path, name, empty):
    path = write_ccds(tmp_path / "f.fit", empty=empty, names=("SCI", name) if empty else (name,))
    frame = scan(path)
    assert (frame.stored.hdu, frame.stored.chosen) == (int(empty), None)
    assert scan_frame(path, name).stored.hdu == 1 + empty
    other = np.zeros((9, 9), "i2")  # of another shape it is something else
    fits.append(path, other, fits.Header({"EXTNAME": "DQ"}))
    with pytest.raises(PulsarError, match="2 images"):
        scan(path)


def test_an_image_that_is_alone_needs_no_name(tmp_path):
    path = write_ccds(tmp_path / "f.fit", names=("MASK",))
    assert scan(path).stored.hdu == 1
    path = write_frame(tmp_path / "g.fit", np.zeros((3, 4), "i2"))
    assert scan_frame(path, 0).stored.chosen is None
    with pytest.raises(PulsarError, match="no image in HDU 1"):
        scan_frame(path, 1)
    path = write_frame(
        tmp_path / "m.fit", np.zeros((3, 4), "i2"), cards={"IMAGETYP": "Master Bias"}
    )
    assert scan_frame(path, "red").stored.hdu == 0  # what calibrates was made of that one


@pytest.mark.parametrize("place", ["primary", "extension", "tiled", "gzip"])
@pytest.mark.parametrize("shape", [(1, 5, 6), (1, 1, 5, 6), (5, 6, 1), (1, 3, 5, 6), (1, 5, 1)])
def test_axes_of_length_1_do_not_count(tmp_path, place, shape):
    stored = np.arange(np.prod(shape), dtype="i2").reshape(shape)
    path = write_at(tmp_path, place, stored)
    squeezed = [n for n in shape if n > 1]
    frame = scan(path)
    assert frame.shape == (tuple(squeezed) if len(squeezed) > 1 else (5, 1))
    assert pixel_sum(frame) == datasum(stored)


@pytest.mark.parametrize(
    "cards",
    [
        {"NAXIS1": b"NAXIS1  =                  4.0"},
        {"NAXIS2": b"NAXIS2  = '3       '"},
        {"BZERO": b"BZERO   = '32768   '", "BSCALE": b"BSCALE  = '1.0'"},
        {"IMAGETYP": b"IMAGETYP='Dark'", "BZERO": b"BZERO   =32768"},
        {"IMAGETYP": b"IMAGETYP= Dark              / what it is", "EXPTIME": b"EXPTIME =60.0/[s]"},
    ],
)
def test_cards_near_the_standard(tmp_path, cards):
    right = {"SIMPLE": True, "BITPIX": 16, "NAXIS": 2, "NAXIS1": 4, "NAXIS2": 3, "BZERO": 32768}
    stored = np.arange(12, dtype=">i2")
    header = header_bytes(right | {"IMAGETYP": "Dark", "EXPTIME": 60.0} | cards)
    path = tmp_path / "f.fit"
    path.write_bytes(
        header.rstrip(b" ").ljust(len(header), b"\0") + stored.tobytes() + b"<xml>" * 99
    )
    frame = scan(path)
    assert (frame.shape, str(frame.pixels.native)) == ((3, 4), "uint16")
    assert (frame.about.label, frame.exposure) == ("Dark", 60.0)
    assert pixel_sum(frame) == datasum(stored)


LABELS = {
    "dark": ["Dark Frame", "Dark", "DARK", "dark frame", "  DARK FRAME ", "DARKFRAME"],
    "flat": ["Flat Frame", "Flat", "FLAT", "Flat Field", "Sky Flat", "Dome Flat",
             "Twilight Flat", "twilight flat  ", "FLAT FIELD"],
    "bias": ["Bias", "Bias Frame", "BIAS", "Zero", "ZERO", " zero "],
    "light": ["Light Frame", "Light", "LIGHT", "object"],
    "other": ["Focus", "darkness", "no flat"],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "label"), [(k, label) for k, v in LABELS.items() for label in v])
def test_imagetyp(tmp_path, kind, label):
    path = write_frame(tmp_path / "f.fit", np.zeros((2, 2), "i2"), cards={"IMAGETYP": label})
    assert (scan(path).kind, scan(path).is_master) == (kind, False)


@pytest.mark.parametrize(
    ("label", "kind"),
    [("Master Dark", "dark"), ("MASTER BIAS", "bias"), ("masterflat", "flat"),
     ("Master", "other"), ("Master Flat Frame", "flat")],
)  # fmt: skip
def test_imagetyp_of_masters(tmp_path, label, kind):
    path = write_frame(tmp_path / "f.fit", np.zeros((2, 2), "i2"), cards={"IMAGETYP": label})
    assert (scan(path).kind, scan(path).is_master) == (kind, True)


@pytest.mark.parametrize("cards", [{}, {"IMAGETYP": ""}, {"IMAGETYP": "   "}, {"IMAGETYP": None}])
def test_unlabelled(tmp_path, cards):
    path = write_frame(tmp_path / "f.fit", np.zeros((2, 2), "i2"), cards=cards)
    assert (scan(path).kind, scan(path).about.label) == (None, None)


@pytest.mark.parametrize(
    ("cards", "exposure"),
    [
        ({"EXPTIME": 2}, 2.0),
        ({"EXPOSURE": 2.5}, 2.5),
        ({"EXPTIME": 1.0, "EXPOSURE": 3.0}, 1.0),
        ({"EXPOSURE": 3.0, "EXPTIME": None}, 3.0),
        ({"EXPTIME": 0}, 0.0),
        ({"EXPTIME": "2.5"}, 2.5),
        ({}, None),
    ],
)
def test_exposure(tmp_path, cards, exposure):
    frame = scan(write_frame(tmp_path / "f.fit", np.zeros((2, 2), "i2"), cards=cards))
    assert (frame.exposure, frame.about.problem) == (exposure, None)


@pytest.mark.parametrize(
    "card",
    [b"EXPTIME = 'long'", b"EXPTIME =                   -1", b"EXPTIME =                  NaN",
     b"EXPTIME =                1E300", b"EXPTIME =                    T",
     b"EXPTIME =                1E999"],
)  # fmt: skip
def test_exposure_that_is_no_time_is_told(tmp_path, card):
    frame = scan(write_frame(tmp_path / "f.fit", np.zeros((2, 2), "i2"), cards={"EXPTIME": card}))
    assert frame.exposure is None
    assert "EXPTIME" in frame.about.problem


@pytest.mark.parametrize("text", [b"", b"FILTER  = ''", b"FILTER  = '" + b" " * 68 + b"'"])
def test_filter_of_blanks_is_none(tmp_path, text):
    frame = scan(write_frame(tmp_path / "f.fit", np.zeros((2, 2), "i2"), cards={"FILTER": text}))
    assert frame.filter is None


def test_odd_cards_do_no_harm(tmp_path):
    odd = {
        "a": b"HIERARCH ESO DET CHIP = 'x'",
        "b": "OBJECT  = 'caf\u00e9'".encode("latin-1"),
        "c": b"LONGSTR = 'abc&'",
        "d": b"CONTINUE  'def'",
        "e": b"EXPTIME =                  3.5",
        "f": b"EXPTIME =                  4.5",
        "g": b"NONSENSE without a value \x01\x02",
        "h": b"=       = 3",
    }
    frame = scan(write_frame(tmp_path / "f.fit", np.zeros((2, 2), "i2"), cards=odd))
    assert (frame.shape, frame.exposure) == ((2, 2), 3.5)


STRUCTURE = {"SIMPLE": True, "BITPIX": 16, "NAXIS": 2, "NAXIS1": 4, "NAXIS2": 3}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"BITPIX": 12}, "BITPIX"),
        ({"BITPIX": "x"}, "BITPIX"),
        ({"NAXIS": -2}, "NAXIS"),
        ({"NAXIS": "two"}, "NAXIS"),
        ({"NAXIS": 0}, "no image"),
        ({"NAXIS": 1}, "no image"),
        ({"NAXIS1": 0}, "no pixels"),
        ({"NAXIS1": -4}, "negative"),
        ({"NAXIS1": 2.5}, "NAXIS1"),
        ({"NAXIS1": True}, "NAXIS1"),
        ({"NAXIS1": 10**15}, "truncated"),
        ({"NAXIS2": None}, "NAXIS2"),
        ({"BSCALE": 0.0}, "BSCALE"),
        ({"BZERO": "much"}, "BZERO"),
        ({"BZERO": b"BZERO   =                  NaN"}, "BZERO"),
        ({"BLANK": 1.5}, "BLANK"),
        ({"SIMPLE": b"SIMPL   = T"}, "not a FITS file"),
    ],
)
@pytest.mark.parametrize("suffix", ["fit", "fit.gz"])
def test_bad_structure_is_refused(tmp_path, change, word, suffix):
    content = header_bytes(STRUCTURE | change) + bytes(BLOCK)
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(gzip.compress(content) if suffix == "fit.gz" else content)
    with pytest.raises(PulsarError, match=word) as caught:
        scan(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"some text\n" * 1000, "not a FITS file"),
        (b"SIMPLE  =                    T".ljust(80), "END"),
        (header_bytes(STRUCTURE).replace(b"END  ", b"     "), "END"),
        (header_bytes(STRUCTURE)[:200], "END"),
        (header_bytes({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0}), "no image"),
        (b"\x1f\x8b" + b"rubbish" * 100, "cannot be read"),
        (gzip.compress(header_bytes(STRUCTURE) + bytes(BLOCK))[:60], "cannot be read"),
        (gzip.compress(b""), "it holds nothing"),
    ],
    ids=["empty", "text", "one card", "no END", "half a header", "no image", "bad gzip",
         "short gzip", "gzip of nothing"],
)  # fmt: skip
def test_what_is_no_frame_is_refused(tmp_path, content, word):
    path = tmp_path / "bad.fit"
    path.write_bytes(content)
    with pytest.raises(PulsarError, match=word) as caught:
        scan(path)
    assert "bad.fit" in str(caught.value)


@pytest.mark.parametrize("place", ["primary", "extension", "tiled"])
@pytest.mark.parametrize("how", ["one byte", "half"])
def test_truncated_data_are_refused(tmp_path, place, how):
    stored = np.random.default_rng(1).integers(0, 999, (40, 36)).astype("i2")  # fills a block
    path = write_at(tmp_path, place, stored, tile=(1, 36))
    frame = scan(path)
    with fits.open(path, disable_image_compression=True) as hdus:
        info = hdus[frame.stored.hdu].fileinfo()
        start, size = info["datLoc"], hdus[frame.stored.hdu].header
        used = abs(size["BITPIX"]) // 8 * (size["NAXIS1"] * size["NAXIS2"]) + size.get("PCOUNT", 0)
    os.truncate(path, start + (used - 1 if how == "one byte" else used // 2))
    with pytest.raises(PulsarError, match="truncated") as caught:
        scan(path)
    assert path.name in str(caught.value)


def test_data_without_padding_are_whole(tmp_path):
    path = write_frame(tmp_path / "f.fit", np.zeros((3, 5), "i2"))
    os.truncate(path, BLOCK + 30)
    assert scan(path).shape == (3, 5)


@pytest.mark.parametrize("kind", ["folder", "fifo", "gone", "dangling link"])
def test_what_is_no_file_is_refused(tmp_path, kind):
    path = tmp_path / "odd.fit"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        if not hasattr(os, "mkfifo"):
            pytest.skip("this system has no FIFOs")
        os.mkfifo(path)
    elif kind == "dangling link":
        path.symlink_to("nowhere.fit")
    with pytest.raises(PulsarError, match=r"odd\.fit"):
        scan(path)


def test_unreadable_file_is_refused(tmp_path):
    path = write_frame(tmp_path / "f.fit", np.zeros((2, 2), "i2"))
    path.chmod(0)
    try:
        with open(path, "rb"):
            pytest.skip("this user may read every file")
    except PermissionError:
        pass
    with pytest.raises(PulsarError, match="Permission denied"):
        scan(path)


@pytest.mark.parametrize("place", ["primary", "extension"])
@pytest.mark.slow
def test_headers_of_a_thousand_big_frames_are_all_that_is_read(tmp_path, place):
    if not os.path.exists("/proc/self/io"):
        pytest.skip("this system does not count the bytes that a process reads")
    count, pixels = 1000, 60_000_000
    cards = {"BITPIX": 16, "NAXIS": 2, "NAXIS1": 10_000, "NAXIS2": pixels // 10_000}
    if place == "primary":
        header = header_bytes({"SIMPLE": True} | cards)
    else:
        header = header_bytes({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0}) + header_bytes(
            {"XTENSION": "IMAGE"} | cards | {"PCOUNT": 0, "GCOUNT": 1}
        )
    for i in range(count):
        with open(tmp_path / f"f{i}.fit", "wb") as file:
            file.write(header)
            file.truncate(len(header) + 2 * pixels)  # sparse: takes no space
    script = (
        "import sys, os; from pulsar_dask.formats.scan import scan_frames\n"
        "def read():\n"
        "    return int(open('/proc/self/io').readline().split()[1])\n"
        "paths = [e.path for e in os.scandir(sys.argv[1])]\n"
        "before = read(); n = len(scan_frames(paths)); print(n, read() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    scanned, read = map(int, done.stdout.split())
    assert scanned == count
    assert read < count * 40_000


def test_scanning_alone_gives_the_same(tmp_path):
    path = write_frame(tmp_path / "f.fit", np.zeros((2, 2), "i2"), cards={"EXPTIME": 3.0})
    assert scan_frame(path) == scan(path)
    assert hash(scan_frame(path)) == hash(scan(path))


@given(st.binary(max_size=400), st.integers(0, 900), st.booleans())
def test_damaged_headers_give_a_frame_or_an_error(tmp_path, noise, at, zipped):
    content = bytearray(header_bytes(STRUCTURE | {"EXPTIME": 1.0, "FILTER": "R"}) + bytes(BLOCK))
    content[at : at + len(noise)] = noise
    path = tmp_path / "f.fit"
    path.write_bytes(gzip.compress(bytes(content)) if zipped else bytes(content))
    try:
        shape, message = scan(path).shape, None
    except PulsarError as error:
        shape, message = None, str(error)
    assert min(shape) > 0 if shape else "f.fit" in message and message.isprintable()
