"""Which masters serve a light: a table of cases against a file of what is right, and what holds
for any library."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
from helpers import write_frame
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask import scan_frame
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.group import Ways
from pulsar_dask.inputs.flatlog import read_log
from pulsar_dask.masters.choice import Rules
from pulsar_dask.masters.library import find_masters

GOLDEN = Path(__file__).with_name("choices.txt")
#: What a camera says; None takes a card away.
CAMERA = {"INSTRUME": "Cam A", "GAIN": 100, "OFFSET": 50, "SET-TEMP": -10.0, "CCD-TEMP": -10.0}
NIGHT = "2026-01-10T22:00:00"


def frame(folder: Path, name: str, kind: str | None, **cards: object) -> Path:
    """A frame of 2 x 3 pixels."""
    cards = {k.replace("_", "-"): v for k, v in cards.items()}
    known = {"IMAGETYP": kind, "DATE-OBS": NIGHT, "SITELONG": 0.0} | CAMERA | cards
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_frame(
        path, np.zeros((2, 3), "i2"), cards={k: v for k, v in known.items() if v is not None}
    )


def bias(folder, name="bias.fit", **cards):
    return frame(folder, name, "Master Bias", **cards)


def dark(folder, name="dark120s.fit", exposure=120.0, **cards):
    return frame(folder, name, "Master Dark", **{"EXPTIME": exposure, "BIASSUB": False} | cards)


def flat(folder, name="flat_r.fit", filter="R", **cards):
    return frame(folder, name, "Master Flat", **{"FILTER": filter, "BIASSUB": True} | cards)


def light(folder, **cards):
    usual = {"EXPTIME": 120.0, "FILTER": "R"}
    return frame(folder / "lights", "light.fit", "Light Frame", **usual | cards)


def match(folder: Path, *, log: str | None = None, **rules):
    if log is not None:
        (folder / "flats.csv").write_text(log)
        rules["log"] = tuple(read_log(str(folder / "flats.csv")))
    found = find_masters([str(folder / "m")], [str(folder / "m")], rules=Rules(**rules))
    return found.match(scan_frame(folder / "lights/light.fit"))


def days(date: str) -> dict[str, str]:
    return {"DATE_OBS": date}


def two_of_one_time(m):
    """Of darks of one JD the one that was written last."""
    for name, date in (("a.fit", "2026-01-01"), ("b.fit", "2026-02-01"), ("c.fit", "2026-01-15")):
        dark(m, name, JD=2461000.5, DATE=date)


def exposures(*times, **cards):
    def make(m):
        for t in times:
            dark(m, f"dark{t}s.fit", float(t), **cards)

    return make


def flats_at(*dates, **cards):
    def make(m):
        dark(m)
        for n, date in enumerate(dates, 1):
            flat(m, f"flat{n}.fit", DATE_OBS=date, **cards)

    return make


LOG = "2026-01-05T12:00:00,cam  a,dust\n2026-01-10T22:00:00,CAM A\n2026-01-20T00:00:00,Cam A\n"
OUT = {"BIASSUB": True}
#: Name of a case; masters; cards of the light; rules.
CASES = [
    ("darks of one JD: the one written last", two_of_one_time, {}, {}),
    ("the same, as PULSAR does", two_of_one_time, {}, {"latest": True}),
    (
        "a dark before and one after, equally far: the one written last",
        lambda m: [
            dark(m, "a.fit", DATE_OBS="2026-01-09T22:00:00", DATE="2026-03-01"),
            dark(m, "b.fit", DATE_OBS="2026-01-11T22:00:00", DATE="2026-02-01"),
        ],
        {},
        {},
    ),
    (
        "the nearest dark in time, not the newest",
        lambda m: [
            dark(m, "near.fit", DATE_OBS="2026-01-05"),
            dark(m, "new.fit", DATE_OBS="2026-03-01"),
        ],
        {},
        {},
    ),
    (
        "the newest with --latest",
        lambda m: [
            dark(m, "near.fit", DATE_OBS="2026-01-05"),
            dark(m, "new.fit", DATE_OBS="2026-03-01"),
        ],
        {},
        {"latest": True},
    ),
    (
        "a master without time comes last",
        lambda m: [dark(m, "a.fit", DATE_OBS=None), dark(m, "b.fit", DATE_OBS="2020-01-01")],
        {},
        {},
    ),
    ("a light without time, one candidate", lambda m: [dark(m), flat(m)], {"DATE_OBS": None}, {}),
    (
        "a light without time, several",
        lambda m: [dark(m, "a.fit"), dark(m, "b.fit")],
        {"DATE_OBS": None},
        {},
    ),
    (
        "MJD-OBS alone",
        lambda m: [
            dark(m, "a.fit", DATE_OBS=None, MJD_OBS=61050.9),
            dark(m, "b.fit", DATE_OBS="2026-01-02"),
        ],
        {"DATE_OBS": None, "MJD_OBS": 61050.8},
        {},
    ),
    (
        "DATE-OBS with the time in UT; a JD of 0 is none",
        lambda m: [
            dark(m, "a.fit", DATE_OBS="2026-01-10", UT="21:00:00", JD=0.0),
            dark(m, "b.fit", DATE_OBS="2026-01-10", UT="10:00:00"),
        ],
        {},
        {},
    ),
    ("another gain", lambda m: dark(m, GAIN=0), {}, {}),
    ("another gain, let pass", lambda m: dark(m, GAIN=0), {}, {"ways": Ways(frozenset({"gain"}))}),
    (
        "another camera, binning, offset",
        lambda m: dark(m, INSTRUME="B", XBINNING=2, OFFSET=0),
        {"XBINNING": 1},
        {},
    ),
    (
        "two gains, the light states none",
        lambda m: [dark(m, "a.fit", GAIN=0), dark(m, "b.fit", GAIN=100)],
        {"GAIN": None},
        {},
    ),
    (
        "the one that states more",
        lambda m: [dark(m, "vague.fit", GAIN=None), dark(m, "exact.fit", DATE_OBS="2020-01-01")],
        {},
        {},
    ),
    ("a dark that does not state the gain", lambda m: dark(m, GAIN=None), {}, {}),
    ("held set points 10 degrees apart", lambda m: dark(m, SET_TEMP=0.0, CCD_TEMP=0.0), {}, {}),
    (
        "the nearest in temperature; one degree is none",
        lambda m: [
            dark(m, "warm.fit", SET_TEMP=None, CCD_TEMP=-4.0),
            dark(m, "near.fit", SET_TEMP=None, CCD_TEMP=-7.0),
        ],
        {"SET_TEMP": None},
        {},
    ),
    (
        "within a degree the time counts",
        lambda m: [
            dark(m, "old.fit", DATE_OBS="2025-06-01"),
            dark(m, "new.fit", SET_TEMP=None, CCD_TEMP=-9.1),
        ],
        {},
        {},
    ),
    (
        "a set point that is not held",
        lambda m: dark(m, SET_TEMP=-20.0, CCD_TEMP=-10.0),
        {},
        {},
    ),
    (
        "temperature tolerance",
        lambda m: dark(m, SET_TEMP=None, CCD_TEMP=-4.0),
        {},
        {"temperature_tolerance": 2.0},
    ),
    (
        "exposures that are the same",
        lambda m: dark(m, "dark300s.fit", 300.0011),
        {"EXPTIME": 300.0047},
        {},
    ),
    ("no bias, no dark of 90 s", exposures(60, 120), {"EXPTIME": 90.0}, {}),
    (
        "no bias, as PULSAR does: of two as near the later",
        exposures(60, 120),
        {"EXPTIME": 90.0},
        {"nearest_dark": True},
    ),
    ("no bias, within 5 %", exposures(60, 120), {"EXPTIME": 118.0}, {}),
    ("a number: the next longer", exposures(30, 60, 120, 300), {"EXPTIME": 90.0}, {"bias": 300.0}),
    (
        "none up to twice: the nearest by ratio",
        exposures(30, 600),
        {"EXPTIME": 90.0},
        {"bias": 300.0},
    ),
    ("k above 5 is refused", exposures(10), {"EXPTIME": 90.0}, {"bias": 300.0}),
    ("no k is too small", exposures(600), {"EXPTIME": 1.0}, {"bias": 300.0}),
    (
        "a longer one where k of the nearest is above 5",
        exposures(10, 900),
        {"EXPTIME": 60.0},
        {"bias": 300.0},
    ),
    ("a light without exposure", lambda m: dark(m), {"EXPTIME": None}, {}),
    ("a dark named by its exposure", lambda m: dark(m, "dark120s.fit", None), {}, {}),
    ("bias out, none there", lambda m: dark(m, **OUT), {}, {}),
    ("bias out, none there, insisted", lambda m: dark(m, **OUT), {}, {"no_bias": True}),
    (
        "bias out: the nearest to the dark",
        lambda m: [
            dark(m, DATE_OBS="2025-12-01", **OUT),
            bias(m, "near.fit", DATE_OBS="2025-12-02"),
            bias(m, "new.fit", DATE_OBS="2026-01-10"),
            bias(m, "gain0.fit", GAIN=0, DATE_OBS="2025-12-01"),
        ],
        {},
        {},
    ),
    (
        "bias out, HISTORY of a bias that holds no number",
        lambda m: [dark(m, "a.fit", BIASSUB=None, HISTORY="Bias subtracted"), bias(m)],
        {},
        {},
    ),
    (
        "an older dark that holds its bias goes before one that lacks it",
        lambda m: [dark(m, "in.fit", DATE_OBS="2025-01-20"), dark(m, "out.fit", **OUT)],
        {},
        {},
    ),
    (
        "raw frames and lights are no masters",
        lambda m: [
            frame(m / "raw", "d1.fit", "Dark Frame", EXPTIME=120.0),
            frame(m / "raw", "d2.fit", "Dark Frame", EXPTIME=120.0),
            frame(m, "l1.fit", "Light Frame", EXPTIME=120.0, FILTER="R", JD=2461051.5),
        ],
        {},
        {},
    ),
    (
        "calibrated frames are no masters",
        lambda m: frame(m, "dark120s.fit", "Dark Frame", CALSTAT="B", EXPTIME=60.0),
        {},
        {},
    ),
    ("the list beside", lambda m: [dark(m), (m / "cosme120s.lst").write_text("")], {}, {}),
    (
        "tonight's flat, not one of 1.5 days later",
        flats_at("2026-01-10T17:00:00", "2026-01-12T10:00:00"),
        {},
        {},
    ),
    (
        "a flat of 1.5 days later, as PULSAR does",
        flats_at("2026-01-10T17:00:00", "2026-01-12T10:00:00"),
        {},
        {"latest": True},
    ),
    (
        "this morning's is of this night",
        flats_at("2026-01-10T11:00:00", "2026-01-11T11:00:00"),
        {},
        {},
    ),
    (
        "the night by DATE-LOC",
        flats_at("2026-01-10T18:30:00", "2026-01-11T04:00:00"),
        {"SITELONG": None, "DATE_LOC": "2026-01-11T06:00:00"},
        {},
    ),
    (
        "two equally far: the earlier",
        flats_at("2026-01-12T22:00:00", "2026-01-08T22:00:00"),
        {},
        {},
    ),
    ("N = 0: none of later", flats_at("2026-01-10T22:00:01"), {}, {"future_days": 0.0}),
    ("N = 0: of the same time", flats_at("2026-01-10T22:00:00"), {}, {"future_days": 0.0}),
    ("later than N", flats_at("2026-01-13T23:00:00"), {}, {}),
    ("years old", flats_at("2023-01-01"), {}, {}),
    (
        "log: an entry's own time belongs to what comes after",
        flats_at("2026-01-10T21:59:59", "2026-01-10T22:00:00"),
        {},
        {"log": LOG},
    ),
    (
        "log: far ahead, but in the interval",
        flats_at("2026-01-10T20:00:00", "2026-01-19T23:00:00"),
        {},
        {"log": LOG},
    ),
    (
        "log: before its first entry",
        flats_at("2026-01-05T11:59:59", "2026-01-05T12:00:00"),
        {"DATE_OBS": "2026-01-05T11:00:00"},
        {"log": LOG},
    ),
    ("log: none in the interval", flats_at("2026-01-01", "2026-01-30"), {}, {"log": LOG}),
    ("log: no INSTRUME", flats_at("2026-01-10T17:00:00"), {"INSTRUME": None}, {"log": LOG}),
    (
        "log: no entry for the camera",
        flats_at("2026-01-10T17:00:00"),
        {},
        {"log": "2026-01-05,Cam\n"},
    ),
    ("flat of another gain: it cancels", flats_at(NIGHT, GAIN=0), {}, {}),
    (
        "flats of two gains: the one that agrees",
        lambda m: [dark(m), flat(m, "a.fit", GAIN=0), flat(m, "b.fit", DATE_OBS="2025-11-01")],
        {},
        {},
    ),
    ("flat of another camera", flats_at(NIGHT, INSTRUME="B"), {}, {}),
    ("R and r are one filter", lambda m: [dark(m), flat(m, filter="r")], {}, {}),
    (
        "R and r are two",
        lambda m: [dark(m), flat(m, filter="r")],
        {},
        {"ways": Ways(split_case=True)},
    ),
    ("Ha is H-alpha", lambda m: [dark(m), flat(m, filter="H-alpha")], {"FILTER": "Ha"}, {}),
    (
        "no flat of Ha, but of L",
        lambda m: [dark(m), flat(m, "flat_l.fit", "Lum")],
        {"FILTER": "Ha"},
        {},
    ),
    (
        "L for Ha",
        lambda m: [dark(m), flat(m, "flat_l.fit", "Lum")],
        {"FILTER": "Ha"},
        {"l_flat": True},
    ),
    (
        "no filter takes flats without",
        lambda m: [dark(m), flat(m, "a.fit", None), flat(m, "b.fit", "L")],
        {"FILTER": None},
        {},
    ),
    ("no filter, flats of some", lambda m: [dark(m), flat(m, "b.fit", "L")], {"FILTER": None}, {}),
    ("a number as a filter", lambda m: [dark(m), flat(m, "flat_3.fit", 3)], {"FILTER": 3}, {}),
    (
        "a flat that may hold its bias goes after",
        lambda m: [
            dark(m),
            frame(m, "flat_r.fit", "Flat Frame", FILTER="R"),
            flat(m, "b.fit", BIASSUB=False),
            flat(m, "c.fit", DATE_OBS="2026-01-10T17:00:00"),
        ],
        {},
        {},
    ),
    ("a flat that holds its bias", lambda m: [dark(m), flat(m, "b.fit", BIASSUB=False)], {}, {}),
]


def test_the_table_of_choices(tmp_path):
    """All cases, as the golden file has them; CHOICES=write writes it anew, to be looked at."""
    lines = []
    for n, (name, make, cards, rules) in enumerate(CASES):
        folder = tmp_path / str(n)
        (folder / "m").mkdir(parents=True)
        make(folder / "m")
        light(folder, **cards)
        choice = match(folder, **rules)
        got = " ".join(
            f"{role}={os.path.relpath(f.path, folder / 'm') if isinstance(f, Frame) else f}"
            for role, f in (("DARK", choice.dark), ("BIAS", choice.bias), ("FLAT", choice.flat))
            if f is not None
        )
        got += f" k={choice.k:.4g}" if choice.dark is not None else ""
        got += " LIST=" + os.path.basename(choice.list) if choice.list else ""
        lines.append(f"{name}\n  {got.strip() or '-'}")
        # what most cases have is told in one of them
        lines += [
            f"  {why}" for _, why in choice.missing if n == 0 or why != "no flat of filter 'R'"
        ]
        lines += [f"  note: {t}" for t in choice.notes if n == 0 or "no list of hot" not in t]
        lines += [f"  not {text}" for text in choice.reasons]
    text = "\n".join(lines) + "\n"
    if os.environ.get("CHOICES") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


MASTER = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["dark", "dark", "flat", "bias", "raw"]),
        "GAIN": st.sampled_from([0, 100, "100", None]),
        "INSTRUME": st.sampled_from(["Cam A", "CAM  A (2)", "Cam B", None]),
        "XBINNING": st.sampled_from([1, 2, None]),
        "EXPTIME": st.sampled_from([60.0, 120.0, 120.01, 300.0]),
        "FILTER": st.sampled_from(["R", "red", "L", None]),
        "DATE_OBS": st.sampled_from([NIGHT, "2026-01-09T05:00:00", "2024-03-01", None]),
        "BIASSUB": st.sampled_from([True, False]),
        "CCD_TEMP": st.sampled_from([-10.0, -9.5, 0.0]),
    }
)
WORDS = {"dark": "Master Dark", "flat": "Master Flat", "bias": "Master Bias", "raw": "Dark Frame"}


def plain(value):
    return str(value).lower().replace(" ", "").split("(")[0]


@given(masters=st.lists(MASTER, max_size=7), one=MASTER, seed=st.integers(0, 99))
def test_any_library(tmp_path_factory, masters, one, seed):
    """No master of a wrong camera, gain, binning or filter is ever chosen; nor does the order of
    files matter."""
    folder = tmp_path_factory.mktemp("any")
    for n, cards in enumerate(masters):
        says = {k: v for k, v in cards.items() if k != "kind"}
        frame(folder / "m", f"{n}.fit", WORDS[cards["kind"]], DATE=f"2026-02-{n + 1:02}", **says)
    light(folder, **{k: one[k] for k in ("GAIN", "INSTRUME", "XBINNING", "EXPTIME", "FILTER")})
    where = [str(folder / "m")] if masters else []
    taken = scan_frame(folder / "lights/light.fit")
    found = find_masters(where, where, rules=Rules(temperature_tolerance=3.0))
    choice = found.match(taken)

    def cards_of(master):
        return masters[int(Path(master.path).stem)]

    for role, master in (("dark", choice.dark), ("flat", choice.flat), ("bias", choice.bias)):
        if master is None:
            assert role == "bias" or dict(choice.missing).get(role)
            continue
        cards = cards_of(master)
        assert cards["kind"] == role
        for keyword in ("INSTRUME", "XBINNING", *(("GAIN",) if role != "flat" else ())):
            ours, theirs = one[keyword], cards[keyword]
            assert None in (ours, theirs) or plain(ours) == plain(theirs)
        if role == "flat":
            assert (cards["FILTER"] or "0")[0].lower() == (one["FILTER"] or "0")[0].lower()
        if role == "dark":
            assert abs(cards["CCD_TEMP"] + 10) <= 3
            assert choice.k == 1 or choice.bias is not None
            assert not cards["BIASSUB"] or choice.bias is not None
            alike = abs(cards["EXPTIME"] - one["EXPTIME"]) <= 0.1
            assert alike or choice.k == pytest.approx(one["EXPTIME"] / cards["EXPTIME"])
    mixed = list(found.masters)
    random.Random(seed).shuffle(mixed)
    again = type(found)(
        darks=tuple(f for f in mixed if f.kind == "dark"),
        flats=tuple(f for f in mixed if f.kind == "flat"),
        biases=tuple(f for f in mixed if f.kind == "bias"),
        others=found.others,
        rules=found.rules,
    ).match(taken)
    assert (again.key[:-1], set(again.reasons)) == (choice.key[:-1], set(choice.reasons))
    assert dict(again.missing).keys() == dict(choice.missing).keys()


def pulsars(time, name, jd, darks, flats, days):
    """The rules of PULSAR's autocalibrate, as they are: which dark and which flat, by number."""
    same = [n for n, (t, _) in darks.items() if abs(t - time) <= 1e-6 * max(1, t, time)]
    if not same and darks:
        least = min(abs(t - time) for t, _ in darks.values())
        same = [n for n, (t, _) in darks.items() if abs(t - time) == least]
    dark = max(same, key=lambda n: darks[n][1], default=None)
    early = [n for n, (_, at) in flats.items() if at <= jd + days]
    own = [n for n in early if flats[n][0] == name] or [n for n in early if flats[n][0] == "L"]
    return dark, max(own, key=lambda n: flats[n][1], default=None)


QUARTERS = st.integers(-40, 40).map(lambda n: 2461051.5 + n / 4)


@given(
    darks=st.lists(
        st.tuples(st.sampled_from([30.0, 60.0, 90.0, 120.0]), QUARTERS),
        max_size=5,
        unique_by=lambda d: d[1],
    ),
    flats=st.lists(
        st.tuples(st.sampled_from(["R", "L", "Ha"]), QUARTERS), max_size=5, unique_by=lambda f: f[1]
    ),
    time=st.sampled_from([30.0, 60.0, 75.0, 105.0, 120.0]),
    name=st.sampled_from(["R", "L", "Ha"]),
    days=st.sampled_from([0.0, 2.0, 5.0]),
)
def test_pulsars_way(tmp_path_factory, darks, flats, time, name, days):
    """With the options that say so, PULSAR's choice is made."""
    folder = tmp_path_factory.mktemp("way")
    (folder / "m").mkdir()
    for n, (t, jd) in enumerate(darks):
        dark(folder / "m", f"d{n}.fit", t, JD=jd, DATE_OBS=None)
    for n, (what, jd) in enumerate(flats):
        flat(folder / "m", f"f{n}.fit", what, JD=jd, DATE_OBS=None)
    light(folder, EXPTIME=time, FILTER=name, JD=2461051.5, DATE_OBS=None)
    choice = match(folder, latest=True, nearest_dark=True, l_flat=True, future_days=days)
    found = tuple(
        None if f is None else int(Path(f.path).stem[1:]) for f in (choice.dark, choice.flat)
    )
    numbered = dict(enumerate(darks)), dict(enumerate(flats))
    assert found == pulsars(time, name, 2461051.5, *numbered, days)


def test_a_dark_brings_its_own_bias(tmp_path):
    """By the sum of its pixels, then by its name, whatever is nearer in time."""
    from night import stack, tool, write, write_stack

    for folder, level in (("a", 300), ("b", 310)):
        write_stack(tmp_path / folder, "bias", stack(level, 3, level), "Bias Frame", 0.0)
        tool("med", folder, f"{folder}/bias.fit", cwd=tmp_path)
    write_stack(tmp_path / "darks", "d", stack(5, 3, 420), "Dark Frame", 120.0)
    write(tmp_path / "l.fit", stack(9, 1, 900)[0], "Light Frame", 120.0, DATE_OBS=NIGHT)
    taken = scan_frame(tmp_path / "l.fit")
    tool("makedark", "darks", "b/bias.fit", cwd=tmp_path)

    def own() -> str:
        choice = find_masters([str(tmp_path)], [str(tmp_path)]).match(taken)
        assert choice.dark is not None
        assert isinstance(choice.bias, Frame)
        return os.path.relpath(choice.bias.path, tmp_path)

    assert own() == os.path.join("b", "bias.fit")
    (tmp_path / "b/bias.fit").rename(tmp_path / "b/other.fit")  # the name is of another now
    assert own() == os.path.join("b", "other.fit")
    (tmp_path / "b/other.fit").unlink()
    assert own() == os.path.join("a", "bias.fit")
