"""The header of a master: true, clean, and nothing made up."""

from __future__ import annotations

import os

import numpy as np
import pytest
from helpers import fitsverify_clean, write_frame
from hypothesis import assume, given
from hypothesis import strategies as st
from masters import read, write_master

from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.frames.provenance import Source, Trace, read_trace
from pulsar_dask.output.header import master_header


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
    assert header["DATE-END"] == "2024-05-20T23:02:00"
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
