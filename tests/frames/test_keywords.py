"""What is understood of the keywords of capture programs and observatories."""

from __future__ import annotations

import pytest
from astropy.io import fits

from pulsar_dask.formats.values import Keywords
from pulsar_dask.frames.keywords import about

pytestmark = pytest.mark.filterwarnings("ignore:Keyword name")


def read(*cards, path="", **more):
    """What is understood of cards: (keyword, value) or (keyword, value, comment)."""
    header = fits.Header()
    for card in [*cards, *more.items()]:
        header.append(fits.Card(*card), end=True)
    return about(Keywords(header), path)


#: Program; cards; what is understood of them.
PROGRAMS = [
    (
        "N.I.N.A.",
        {"IMAGETYP": "DARK", "EXPOSURE": 60.0, "EXPTIME": 60.0, "CCD-TEMP": -9.8, "SET-TEMP": -10.0}
        | {"GAIN": 100, "OFFSET": 50, "EGAIN": 0.25, "XBINNING": 2, "YBINNING": 2}
        | {"READOUTM": "High Gain", "ROWORDER": "TOP-DOWN"},
        {"kind": "dark", "exposure": 60.0, "temperature": -9.8, "set_point": -10.0}
        | {"GAIN": 100, "OFFSET": 50, "EGAIN": 0.25, "XBINNING": "2x2", "READOUTM": "High Gain"}
        | {"ROWORDER": "TOP-DOWN"},
    ),
    ("N.I.N.A. 2", {"IMAGETYP": "DARKFLAT"}, {"kind": "dark"}),
    ("N.I.N.A. snapshot", {"IMAGETYP": "SNAPSHOT"}, {"kind": "light"}),
    ("INDI", {"FRAME": "Dark", "DARKTIME": 9.0, "EXPTIME": 8.0}, {"kind": "dark", "exposure": 8.0}),
    ("INDI, a lens", {"FRAME": "Bias", "ISOSPEED": 800}, {"kind": "bias", "ISOSPEED": 800}),
    (
        "MaxIm DL",
        {"IMAGETYP": "Tricolor Image", "SET-TEMP": -20.0, "PEDESTAL": 100, "XORGSUBF": 4},
        {"kind": "light", "set_point": -20.0, "temperature": None, "XORGSUBF": "4x0"},
    ),
    ("MaxIm DL, calibrated", {"IMAGETYP": "Flat Field", "CALSTAT": "BD"}, {"calibrated": True}),
    ("MaxIm DL, raw", {"IMAGETYP": "Flat Field", "CALSTAT": " "}, {"kind": "flat"}),
    ("SGP", {"IMAGETYP": "LIGHT", "EXPOSURE": 30.0}, {"kind": "light", "exposure": 30.0}),
    ("APT", {"IMAGETYP": "Light Frame", "SET-TEMP": -5.0}, {"kind": "light", "set_point": -5.0}),
    ("SharpCap", {"FRAMETYP": "Dark", "BLKLEVEL": 30}, {"kind": "dark", "BLKLEVEL": 30}),
    ("SharpCap stack", {"IMAGETYP": "Light", "STACKCNT": 30}, {"kind": "light", "master": True}),
    ("ASICAP", {"IMAGETYP": "Dark", "EXPOINUS": 500, "FILTER": "None"}, {"exposure": 5e-4}),
    ("Dwarf", {"EXP": 15.0, "BINNING": "2*2"}, {"kind": None, "exposure": 15.0, "XBINNING": "2x2"}),
    ("QHY", {"TEMPERAT": -7.0, "BINX": 2, "BINY": 1}, {"temperature": -7.0, "XBINNING": "2x1"}),
    ("QHY, camera", {"CAMTCCD": -7.5}, {"temperature": -7.5}),
    (
        "AstroPixelProcessor",
        {"CALFRAME": "MasterFlat", "FILT-1": "Ha"},
        {"kind": "flat", "filter": "Ha", "master": True},
    ),
    ("PixInsight", {"IMAGETYP": "Master Dark"}, {"kind": "dark", "master": True}),
    (
        "LCO",
        {"OBSTYPE": "SKYFLAT", "CCDATEMP": -100.0, "CCDSTEMP": -101.0, "CCDSUM": "2 2"}
        | {"CONFMODE": "central_2k_2x2", "FILTER": "rp"},
        {"kind": "flat", "temperature": -100.0, "set_point": -101.0, "XBINNING": "2x2"}
        | {"CONFMODE": "central_2k_2x2", "filter": "rp"},
    ),
    ("LCO master", {"OBSTYPE": "BIAS", "ISMASTER": True}, {"kind": "bias", "master": True}),
    ("LCO raw", {"OBSTYPE": "EXPERIMENTAL", "ISMASTER": False}, {"kind": "light"}),
    ("LCO mask", {"OBSTYPE": "BPM"}, {"kind": "other"}),
    ("DECam", {"OBSTYPE": "dome flat", "FILTER": "r DECam"}, {"kind": "flat", "filter": "r DECam"}),
    ("DECam zero", {"OBSTYPE": "zero"}, {"kind": "bias"}),
    ("SDSS", {"FLAVOR": "science"}, {"kind": "light"}),
    (
        "ESO",
        {"ESO DPR TYPE": "FLAT,SKY", "ESO INS FILT1 NAME": "R_SPECIAL", "ESO DET WIN1 DIT1": 3.0}
        | {"ESO DET BINX": 2, "ESO DET BINY": 2},
        {"kind": "flat", "filter": "R_SPECIAL", "exposure": 3.0, "XBINNING": "2x2"},
    ),
    ("ESO master", {"ESO PRO CATG": "MASTER_BIAS"}, {"kind": "bias", "master": True}),
    ("Subaru", {"DATA-TYP": "DOMEFLAT"}, {"kind": "flat"}),
    ("CAHA", {"IMAGETYP": "flat", "INSFLNAM": "V"}, {"kind": "flat", "filter": "V"}),
    ("Keck", {"KOAIMTYP": "twiflat", "ELAPTIME": 5}, {"kind": "flat", "exposure": 5.0}),
    ("Keck 2", {"IMTYPE": "Dark", "TTIME": 5}, {"kind": "dark", "exposure": 5.0}),
    ("LSSTCam", {"IMGTYPE": "BIAS"}, {"kind": "bias"}),
    ("SBIG", {"PICTTYPE": 4}, {"kind": "flat"}),
]


@pytest.mark.parametrize(("program", "cards", "understood"), PROGRAMS, ids=lambda v: str(v)[:20])
def test_programs(program, cards, understood):
    found = read(**cards)
    wanted = {"master": None, "calibrated": None, "problem": None} | understood
    for what, value in wanted.items():
        got = getattr(found, what) if hasattr(found, what) else found.setting(what)
        assert (bool(got) if value is True else got) == value, what


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        (
            "dark",
            "Dark Frame,Dark,DARK, dark ,Dark_Field,darks,noir,DARK 60s,Dark (120 s),dark flat,"
            "FlatDark,DARKFLAT,dark-flat-frame,Flat Darks,Dark Frames,"
            "Dark: 60s,Dark -10C,dark 1/4 s",
        ),
        (
            "flat",
            "Flat Frame,FLAT,Flat Field,Sky Flat,Dome Flat Frame,Twilight,PLU,Flats,DFLAT,intflat,"
            "tflat,sflat,FLAT-SKY,lampflat,internalflat",
        ),
        ("bias", "Bias,Bias Frame,Zero,Offset,offsets,BIASES"),
        ("light", "Light Frame,LIGHT,expose,scienceframe,standard,object,lights"),
        ("other", "Focus,Odd,arc,flatness"),
    ],
)
def test_kinds(kind, labels):
    found = [read(IMAGETYP=label) for label in labels.split(",")]
    assert [(a.kind, a.master) for a in found] == [(kind, None)] * len(found)
    assert [a.label for a in found] == [label.strip() for label in labels.split(",")]


def test_the_first_keyword_whose_value_is_known_decides():
    assert read(IMAGETYP="Odd", FRAME="FK5", OBSTYPE="zero").kind == "bias"
    assert read(IMAGETYP="Light", FRAME="Dark").kind == "light"
    assert read(FRAME="FK5", PICTTYPE=9, FLAVOR="up").kind is None
    assert [read(IMAGETYP=t).kind for t in ("", "unknown", "N/A")] == [None] * 3
    found = read(IMAGETYP="Odd", FRAME="FK5")
    assert (found.kind, found.label, found.origin("kind")) == ("other", "Odd", "IMAGETYP")


@pytest.mark.parametrize(
    ("cards", "kind", "surely"),
    [
        ([("IMAGETYP", "Dark Master")], "dark", True),
        ([("IMAGETYP", "masterflatdark")], "dark", True),
        ([("IMAGETYP", "Master")], "other", True),
        ([("IMAGETYP", "superbias")], "bias", True),
        ([("IMAGETYP", "Dark"), ("CREATOR", "pulsar-dask 0.1.0")], "dark", True),
        ([("IMAGETYP", "Dark"), ("NCOMBINE", "20")], "dark", False),
        ([("HISTORY", "ImageIntegration.numberOfImages: 30")], None, True),
        ([("IMAGETYP", "Flat"), ("HISTORY", "FastIntegration.numberOfImages: 9")], "flat", True),
        # PULSAR's, behind the lines of the program that took the frame
        (
            [
                ("IMAGETYP", "Dark Frame"),
                ("HISTORY", "File was processed by PixInsight"),
                ("HISTORY", "MEDIAN combine from 20 input file(s)."),
            ],
            "dark",
            True,
        ),
    ],
)
def test_masters(cards, kind, surely):
    found = read(*cards)
    assert found.master
    assert (found.kind, found.surely, found.calibrated) == (kind, surely, None)


@pytest.mark.parametrize(
    "card",
    [
        ("STACKCNT", 1),
        ("NCOMBINE", 1),
        ("ISMASTER", False),
        ("CREATOR", "pulsar"),
        ("CALFRAME", ""),
        ("HISTORY", "to be used in the master dark"),
        ("HISTORY", "no dark subtracted"),
        ("HISTORY", "dark not subtracted"),
        ("HISTORY", "bias voltage 3 V applied"),
        ("FLATCOR", False),
        ("FLATCORR", "OMIT"),
        ("CALSTAT", ""),
        ("PEDESTAL", 100),
    ],
)
def test_raw_frames_are_neither_masters_nor_calibrated(card):
    found = read(("IMAGETYP", "Dark"), card)
    assert (found.kind, found.master, found.calibrated) == ("dark", None, None)


@pytest.mark.parametrize(
    "card",
    [
        ("HISTORY", "calibrated with master dark d.fit"),
        ("HISTORY", "Master dark of 2024 subtracted"),
        ("HISTORY", "Calibrated by calibrate.py"),
        ("HISTORY", "Bias corrected with mbias.fits"),
        ("HISTORY", "Dark Subtraction (Dark 3)"),
        ("ZEROCOR", "Jan  5 12:00 Zero level correction image is Zero"),
        ("CALSTAT", "D"),
        ("SUBDARK", "ccd=<CCDData>"),
    ],
)
def test_calibrated_frames_are_no_masters(card):
    found = read(("IMAGETYP", "Flat"), ("HISTORY", "x"), card)
    assert found.calibrated
    assert found.master is None


@pytest.mark.parametrize(
    ("cards", "seconds"),
    [
        ([("EXPTIME", "60,0")], 60),
        ([("EXPTIME", "1/4")], 0.25),
        ([("EXPTIME", "60 s")], 60),
        ([("EXPTIME", "6.0D+01")], 60),
        ([("EXPTIME", 60, "US time, MKS")], 60),
        ([("EXPTIME", 60, "[s] at 5 ms a line")], 60),
        ([("EXPTIME", 60, "sampled each min.")], 60),
        ([("EXPTIME", 0), ("EXPOSURE", 0)], 0),
    ],
)
def test_exposures(cards, seconds):
    found = read(("IMAGETYP", "Dark"), *cards)
    assert (found.exposure, found.remarks, found.problem) == (seconds, (), None)


@pytest.mark.parametrize(
    ("cards", "seconds"),
    [
        ([("EXPTIME", "250ms")], 0.25),
        ([("EXPTIME", 90000, "exposure time in ms")], 90),
        ([("EXPTIME", 90000, "[MS] exposure")], 90),
        ([("EXPTIME", 500, "Exposure (us)")], 5e-4),
        ([("EXPTIME", 2, "exposure in minutes")], 120),
        ([("EXPTIME", 2, "[min]")], 120),
        ([("EXPTIME", 90000, "MS")], 90),
        ([("EXPTIME", 90000, "Exposure time (MS)")], 90),
        ([("EXPTIME", 90000, "exposure [milli seconds]")], 90),
        ([("EXPTIME", 90000, "exposure in milli-seconds")], 90),
        ([("EXPTIME", 2, "Exposure in hours")], 7200),
        ([("EXPTIME", "0.5 h")], 1800),
        ([("EXPTIME", 5e8, "[ns]")], 0.5),
        ([("EXPTIME", 0), ("EXPOSURE", 60)], 60),
        ([("EXPTIME", -1), ("EXPOSURE", 60)], 60),
        ([("EXPTIME", "N/A"), ("EXPOSURE", 60)], 60),
        ([("EXPTIME", True), ("EXPOSURE", 60)], 60),
    ],
)
def test_exposures_that_are_not_taken_as_they_stand_are_told(cards, seconds):
    found = read(("IMAGETYP", "Dark"), *cards)
    assert found.exposure == pytest.approx(seconds, rel=1e-12)
    assert len(found.remarks) == 1
    assert "EXPTIME" in found.remarks[0]


@pytest.mark.parametrize(
    ("cards", "seconds", "told"),
    [
        (
            [("EXPTIME", 2500), ("EXPOSURE", 2.5)],
            2500,
            ["EXPTIME", "EXPOSURE", "2.5 s", "exposure"],
        ),
        ([("EXPTIME", 0.5), ("EXPOSURE", 500)], 0.5, ["EXPTIME", "500 s"]),
        ([("EXPTIME", 60), ("EXPOINUS", 60)], 60, ["EXPOINUS"]),
        ([("EXPTIME", 2.5), ("EXPOINUS", 2500000)], 2.5, None),
        ([("EXPTIME", 2500, "ms"), ("EXPOSURE", 2.5)], 2.5, ["EXPTIME is in ms"]),
        ([("EXPTIME", 300), ("EXPOSURE", 299.99)], 300, None),
        ([("EXPTIME", 300), ("EXPOSURE", 0)], 300, None),
        ([("EXPTIME", 300), ("EXPOSURE", "no")], 300, None),
        ([("EXPTIME", 90000)], 90000, ["90000 s, 25 hours", "exposure"]),
        ([("EXPTIME", 90000, "ms")], 90, ["EXPTIME is in ms"]),
        ([("EXPTIME", 3600)], 3600, None),
    ],
)
def test_two_cards_of_one_number_in_two_units_are_told(cards, seconds, told):
    found = read(("IMAGETYP", "Dark"), *cards)
    assert found.exposure == pytest.approx(seconds, rel=1e-12)
    assert len(found.remarks) == (told is not None)
    assert all(part in found.remarks[0] for part in told or ())


def test_of_a_unit_in_greek_letters_both_characters_count():
    for text in ("500 µs", "500 μs"):
        assert about({"EXPTIME": text}).exposure == 5e-4


@pytest.mark.parametrize("value", ["00:01:00", -1, "soon", "60 parsec", 1e12, True, "1/0"])
def test_an_exposure_that_cannot_be_right(value):
    found = read(("IMAGETYP", "Dark"), ("EXPTIME", value))
    assert found.exposure is None
    assert found.problem is not None
    assert "EXPTIME" in found.problem
    assert str(value) in found.problem


@pytest.mark.parametrize(
    ("card", "seconds"), [("1/4", 0.25), ("1/250 s", 0.004), ("3 / 2", 1.5), ("1/0", None)]
)
def test_a_fraction_without_quotes(card, seconds):
    header = fits.Header.fromstring("IMAGETYP= 'Dark'".ljust(80) + f"EXPTIME = {card}".ljust(80))
    found = about(Keywords(header))
    assert found.exposure == seconds
    assert found.remarks or found.problem


def test_biases_may_take_no_time():
    assert read(IMAGETYP="Bias", EXPTIME=0.0, EXPOSURE=1.0).exposure == 0


@pytest.mark.parametrize(
    ("cards", "name", "origin"),
    [
        ({"FILTER": "None", "INSFLNAM": "V"}, "V", "INSFLNAM"),
        ({"FILTER": "Clear"}, "Clear", "FILTER"),
        ({"FILTER": "NO_FILTER"}, None, None),
        ({"FILTER1": "Open", "FILTER2": "R"}, "R", "FILTER2"),
        ({"FILTER1": "Clear", "FILTER2": "R"}, "Clear+R", "FILTER1 and FILTER2"),
        ({"FILTER": "Ha", "FILTER2": "R"}, "Ha", "FILTER"),
    ],
)
def test_filters(cards, name, origin):
    found = read(IMAGETYP="Flat", **cards)
    assert (found.filter, found.origin("filter")) == (name, origin)


@pytest.mark.parametrize(
    ("cards", "binning"),
    [
        ({"XBINNING": 2, "YBINNING": 1}, "2x1"),
        ({"XBINNING": 2}, "2x2"),
        ({"YBINNING": 2}, "2x2"),
        ({"XBINNING": 2.0, "YBINNING": "2"}, "2x2"),
        ({"BINNING": "2x2"}, "2x2"),
        ({"BINNING": 3}, "3x3"),
        ({"CCDSUM": "1.0 2.0"}, "1x2"),
        ({"CCDXBIN": 4, "CCDYBIN": 4}, "4x4"),
        ({"XBINNING": "n/a"}, None),
    ],
)
def test_binning(cards, binning):
    assert read(**cards).setting("XBINNING") == binning


@pytest.mark.parametrize(
    ("value", "degrees"),
    [
        *((-10, -10), ("-10,5", -10.5), ("-10.0 C", -10), (-999.0, None), ("N/A", None)),
        *((True, None), (9999, None), ("263.15 K", -10)),
    ],
)
def test_temperatures(value, degrees):
    found = read(("CCD-TEMP", value), ("SET-TEMP", -12))
    assert (found.temperature, found.set_point) == (degrees, -12)


@pytest.mark.parametrize("comment", ["[K] of the detector", "in Kelvin", "Temperature (K)", "K"])
def test_kelvins(comment):
    found = read(("CCD-TEMP", 263.15, comment), ("SET-TEMP", 263.15, comment))
    assert (found.temperature, found.set_point) == (-10, -10)
    assert found.remarks == tuple(
        f"{k} is in K, as its card says" for k in ("CCD-TEMP", "SET-TEMP")
    )
    found = read(("CCD-TEMP", 25.0, comment), ("CCDATEMP", 110.0, comment))
    assert found.temperature == 25
