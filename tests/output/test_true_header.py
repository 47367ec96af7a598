"""A master's header says nothing that is not true of all its frames, and all that any of them says
of its settings."""

from __future__ import annotations

import warnings
from datetime import datetime

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.time import Time, TimeDelta
from helpers import fitsverify_clean, run, write_frame
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.output.header import master_header
from pulsar_dask.output.times import moment

IMAGE = np.arange(24, dtype="i2").reshape(4, 6)


def header_of(folder, *cards, kind="dark", **kwargs):
    paths = []
    for i, each in enumerate(cards, 1):
        image = IMAGE + np.int16(i)
        paths.append(str(write_frame(folder / f"f{i:02}.fit", image, cards=each, **kwargs)))
    return master_header(scan_frames(paths), kind=kind)


def frames_in(folder, name, *cards, level=100):
    (folder / name).mkdir()
    for i, each in enumerate(cards):
        image = np.full((4, 6), level + i, "i2")
        write_frame(folder / name / f"{name}{i}.fit", image, cards=each)


# --- any cards -----------------------------------------------------------------------------------

VALUES = st.sampled_from([None, 1, 2, 2.0, "2", "a", "a  ", "b", True, 1.5])


CARDS = st.dictionaries(st.sampled_from(["OBSERVER", "FOCUS", "ROT"]), VALUES)
GAINS = st.sampled_from([None, 100, 100.0, "100", " 100", 0, "low"])


@given(st.lists(CARDS, min_size=1, max_size=4))
def test_no_card_stays_whose_value_differs(tmp_path, cards):
    cards = [{k: v for k, v in some.items() if v is not None} for some in cards]
    header = header_of(tmp_path, *cards)
    truth = [fits.getheader(tmp_path / f"f{i:02}.fit") for i in range(1, len(cards) + 1)]
    for keyword in ("OBSERVER", "FOCUS", "ROT"):
        values = [h[keyword] for h in truth if keyword in h]
        if keyword == "OBSERVER":
            values = [str(v) for v in values]  # a text, by the standard
        same = all(v == values[0] and (v is True) == (values[0] is True) for v in values)
        assert (keyword in header) == (keyword in truth[0] and same)
        if keyword in header:
            assert header[keyword] == values[0]


@given(st.lists(GAINS, min_size=1, max_size=4))
def test_a_setting_that_any_frame_states_stays_as_the_first_writes_it(tmp_path, gains):
    header = header_of(tmp_path, *({} if g is None else {"GAIN": g} for g in gains))
    stated = [g for g in gains if g is not None]
    keys = {float(g) if g != "low" else g for g in stated}
    assert ("GAIN" in header) == (len(keys) == 1)
    if len(keys) == 1:
        assert header["GAIN"] == (stated[0].rstrip() if isinstance(stated[0], str) else stated[0])
        assert type(header["GAIN"]) is type(stated[0])


def test_a_setting_of_two_cards_stays_or_goes_whole(tmp_path):
    both = {"XBINNING": 2, "YBINNING": 2}
    header = header_of(tmp_path, {}, both)
    assert (header["XBINNING"], header["YBINNING"]) == (2, 2)
    header = header_of(tmp_path, both, {"XBINNING": 2, "YBINNING": 1})
    assert not {"XBINNING", "YBINNING"} & set(header)
    header = header_of(tmp_path, {"CCDSUM": "2 2"}, both)
    assert header["CCDSUM"] == "2 2"


def test_set_points_of_one_group_are_one(tmp_path):
    cards = [{"CCD-TEMP": -9.9}, {"CCD-TEMP": -9.7, "SET-TEMP": -10.0}, {"SET-TEMP": -9.5}]
    header = header_of(tmp_path, *cards)
    assert (header["SET-TEMP"], header["CCD-TEMP"]) == (-10.0, -9.7)
    assert "SET-TEMP" not in header_of(tmp_path, {"SET-TEMP": -10.0}, {"SET-TEMP": 0.0})


def test_comments_that_all_frames_have(tmp_path):
    own = b"HISTORY " + b"x" * 71 + b"&"
    header = header_of(
        tmp_path,
        {"a": b"COMMENT of all", "b": own, "c": b"HISTORY one", "d": b"COMMENT of this"},
        {"a": b"COMMENT of all", "b": own, "c": b"HISTORY two", "d": b"COMMENT of that"},
    )
    assert list(header["COMMENT"]) == ["of all"]
    assert "HISTORY" not in header  # half of a text would take the next one with it


@pytest.mark.parametrize("place", ["primary", "extension", "tiled"])
def test_wherever_the_image_lies(tmp_path, place):
    header = header_of(
        tmp_path,
        {"OBJECT": "M 31", "TELESCOP": "70 cm"},
        {"OBJECT": "M 33", "TELESCOP": "70 cm"},
        place=place,
    )
    assert "OBJECT" not in header
    assert header["TELESCOP"] == "70 cm"


@pytest.mark.usefixtures("fitsverify")
def test_coordinates_stay_or_go_whole(tmp_path):
    one = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 1.0, "CRPIX2": 1.0,
           "CRVAL1": 2.0, "CRVAL2": 2.0, "CD1_1": 0.1, "CD2_2": 0.1}  # fmt: skip
    for i, cards in enumerate([one, one | {"CRVAL1": 3.0}]):
        write_frame(tmp_path / f"f{i}.fit", IMAGE + np.int16(i), cards=cards)
    run("med", "f0.fit", "f1.fit", "m.fit", cwd=tmp_path)
    assert not set(one) & set(fits.getheader(tmp_path / "m.fit"))
    fitsverify_clean(tmp_path / "m.fit")


# --- time ----------------------------------------------------------------------------------------


DATES = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1))


@given(st.lists(st.tuples(DATES, st.floats(0, 4000)), min_size=1, max_size=3))
def test_start_end_and_days(tmp_path, times):
    header = header_of(
        tmp_path, *({"DATE-OBS": d.isoformat(), "EXPTIME": t, "JD": 1.0} for d, t in times)
    )
    first = min(Time(d.isoformat(), scale="tai") for d, _ in times)
    last = max(Time(d.isoformat(), scale="tai") + TimeDelta(t, format="sec") for d, t in times)
    assert header["DATE-OBS"] == min(d for d, _ in times).isoformat()
    assert abs((Time(header["DATE-END"], scale="tai") - last).sec) < 2e-6
    assert abs(header["JD"] - first.jd) < 1e-9
    assert abs(header["MJD-OBS"] - first.mjd) < 1e-10


@pytest.mark.parametrize("cards", [
    {"JD": 2460451.375}, {"MJD-OBS": 60450.875}, {"JD": "2460451.375"},
    {"DATE-OBS": "2024-05-20", "TIME-OBS": "21:00:00"},
    {"DATE-OBS": "2024-05-20", "JD": 2460451.375},
    {"DATE-OBS": "last night", "MJD-OBS": 60450.875},
    {"DATE-OBS": "2024-05-20T21:00:00Z", "JD": 2460452.0, "MJD-OBS": 1.0},
])  # fmt: skip
def test_whatever_tells_the_time(tmp_path, cards):
    header = header_of(tmp_path, cards | {"EXPTIME": 60.0})
    assert header["DATE-OBS"] == "2024-05-20T21:00:00"
    assert header["DATE-END"] == "2024-05-20T21:01:00"
    assert (header["JD"], header["MJD-OBS"]) == (2460451.375, 60450.875)


def test_an_end_that_a_frame_states(tmp_path):
    cards = {"DATE-OBS": "2024-05-20T21:00:00", "EXPTIME": 60.0, "DATE-LOC": "2024-05-20T23:00:00"}
    header = header_of(tmp_path, cards | {"DATE-END": "2024-05-20T21:01:07.5"}, {})
    assert header["DATE-END"] == "2024-05-20T21:01:07.5"
    assert "DATE-LOC" not in header  # of that frame alone
    header = header_of(tmp_path, cards | {"DATE-END": "2024-05-20T20:00:00"})
    assert header["DATE-END"] == "2024-05-20T21:01:00"
    header = header_of(tmp_path, {"DATE-OBS": "2024-05-20", "EXPTIME": 60.0})
    assert (header["DATE-OBS"], header["DATE-END"]) == ("2024-05-20", "2024-05-20")
    assert moment("2024-13-01") is None


# --- what is said of the pixels ------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "truth"), [(None, "adu"), ("ADU", "adu"), ("counts", "adu"),
                                             ("DN", "adu"), ("electron", "electron")])  # fmt: skip
def test_ccddata_reads_it_without_arguments(tmp_path, unit, truth):
    write_frame(tmp_path / "f.fit", IMAGE, cards={} if unit is None else {"BUNIT": unit})
    run("med", "f.fit", "m.fit", cwd=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert str(CCDData.read(tmp_path / "m.fit").unit) == truth


def test_units_that_differ(tmp_path):
    assert "BUNIT" not in header_of(tmp_path, {"BUNIT": "electron"}, {})
    assert header_of(tmp_path, {"BUNIT": "counts"}, {})["BUNIT"] == "adu"


def test_spellings_and_sisters(tmp_path):
    header = header_of(tmp_path, {"FILTER": "r"}, {"FILTER": "Red"}, {"FILTER": "Red"}, kind="flat")
    assert header["FILTER"] == "Red"
    header = header_of(tmp_path, {"EXPOSURE": 2.0}, {"EXPTIME": 2.0001}, {"EXPTIME": 2.0001})
    assert header["EXPTIME"] == 2.0001
    assert "EXPOSURE" not in header


def test_counts_of_stacks_do_not_go_on(tmp_path):
    cards = {"STACKCNT": 30, "LIVETIME": 1800.0, "NCOMBINE": 30, "DATAMAX": 9}
    header = header_of(tmp_path, cards, cards)
    assert header["NCOMBINE"] == 2
    assert not {"STACKCNT", "LIVETIME", "DATAMAX"} & set(header)


def test_pedestal_and_calstat_of_a_plain_stack(tmp_path):
    cards = {"PEDESTAL": -100, "CALSTAT": "B", "SATURATE": 60000}
    assert not set(cards) - set(header_of(tmp_path, cards, cards))
    header = header_of(tmp_path, cards, {"SATURATE": 60000})
    assert not {"PEDESTAL", "CALSTAT"} & set(header)
    assert header["SATURATE"] == 60000


def test_biassub_pedestal_and_saturation_of_the_tools(tmp_path):
    raw = {"PEDESTAL": -100, "SATURATE": 60000, "EXPTIME": 2.0}
    frames_in(tmp_path, "b", *[raw | {"IMAGETYP": "Bias"}] * 3)
    frames_in(tmp_path, "d", *[raw | {"IMAGETYP": "Dark"}] * 3)
    frames_in(tmp_path, "f", *[raw | {"IMAGETYP": "Flat", "FILTER": "r"}] * 3, level=9000)
    run("makedark", "d", cwd=tmp_path)
    header = fits.getheader(tmp_path / "dark2s.fit")
    assert header["BIASSUB"] is False
    assert (header["PEDESTAL"], header["SATURATE"]) == (-100, 60000)
    run("makeflat", "f", "--filter", "Green", cwd=tmp_path)
    header = fits.getheader(tmp_path / "flat_g.fit")
    assert header["BIASSUB"] is True
    assert header["FILTER"] == "Green"
    assert not {"PEDESTAL", "SATURATE"} & set(header)
    run("makedark", "d", "b", "--overwrite", "--exposure", "3", cwd=tmp_path)
    header = fits.getheader(tmp_path / "dark3s.fit")
    assert header["BIASSUB"] is True
    assert header["EXPTIME"] == 3.0
    assert not {"PEDESTAL", "SATURATE"} & set(header)
    assert fits.getheader(tmp_path / "bias.fit")["PEDESTAL"] == -100
    run("makeflat", "f", "--dark", "0", "--output-dir", "o", cwd=tmp_path)
    assert fits.getheader(tmp_path / "o" / "flat_r.fit")["BIASSUB"] is False
    run("med", "=dark2s.fit", "m.fit", cwd=tmp_path)
    assert fits.getheader(tmp_path / "m.fit")["BIASSUB"] is False


def test_the_same_in_a_store_and_in_a_notebook(tmp_path):
    import xarray as xr

    import pulsar_dask as pulsar

    cards = {"IMAGETYP": "Dark", "GAIN": 1, "OBJECT": "a"}
    frames_in(tmp_path, "d", cards, cards | {"OBJECT": "b"})
    run("med", "d", "m.fit", cwd=tmp_path)
    run("med", "d", "m.zarr", cwd=tmp_path)
    truth = fits.getheader(tmp_path / "m.fit")
    stored = xr.open_zarr(tmp_path / "m.zarr").master.attrs["header"]
    lazy = pulsar.master(str(tmp_path / "d")).master.attrs["header"]
    for text in (stored, lazy):
        header = fits.Header.fromstring(text, sep="\n")
        for keyword in ("IMAGETYP", "NCOMBINE", "GAIN", "BUNIT", "BIASSUB"):
            assert header[keyword] == truth[keyword]
        assert "OBJECT" not in header


def test_frames_in_a_store(tmp_path):
    frames_in(tmp_path, "d", {"OBJECT": "a", "GAIN": 1}, {"OBJECT": "b", "GAIN": 1.0})
    run("cube", "d", "c.zarr", cwd=tmp_path)
    header = master_header(scan_frames([str(tmp_path / "c.zarr")]), kind=None)
    assert "OBJECT" not in header
    assert header["GAIN"] == 1
