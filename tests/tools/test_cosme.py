"""cosme, darkopt and newflat."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from astropy.io import fits
from helpers import same
from hypothesis import given, settings
from hypothesis import strategies as st
from night import XTRANS, corrected, pixels, stack, tool, verify, write

from pulsar_dask.inputs.flatlog import Entry, add_entry, read_log


@pytest.mark.few
@pytest.mark.parametrize("pattern", [None, "RGGB", XTRANS])
@pytest.mark.parametrize("dtype", ["u2", "i4", "f4", "f8"])
def test_cosme(tmp_path, pattern, dtype):
    rng = np.random.default_rng(1)
    image = rng.normal(900, 50, (20, 25)).astype(dtype)
    cards = {} if pattern is None else {"BAYERPAT": pattern}
    write(tmp_path / "a.fit", image, "Light Frame", 60.0, **cards)
    (tmp_path / "bad.lst").write_text("# a comment\nP 3 4\nP 4 4\nC 10 0\nP 24 19\n")
    tool("cosme", "a.fit", "b.fit", "bad.lst", cwd=tmp_path)
    listed = {(3, 4), (4, 4), (24, 19)} | {(10, y) for y in range(20)}
    step = 2 if pattern == "RGGB" else 1
    right = corrected(image, listed, step, pattern if pattern == XTRANS else None)
    right = np.rint(right) if np.dtype(dtype).kind in "iu" else right
    same(pixels(tmp_path / "b.fit"), right.astype(dtype))
    assert "computed again are the same" in verify(tmp_path, "b.fit")
    tool("cosme", "a.fit", "m.fit", "bad.lst", "-t", cwd=tmp_path)
    mask = np.zeros(image.shape, dtype)
    for x, y in listed:
        mask[y, x] = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 1
    same(pixels(tmp_path / "m.fit"), mask)


def test_what_has_no_neighbour_stays_and_what_is_wrong_is_told(tmp_path):
    write(tmp_path / "a.fit", np.full((2, 2), 7, "u2"))
    (tmp_path / "all.lst").write_text("L 0 0\nL 1 0\n")
    tool("cosme", "a.fit", "b.fit", "all.lst", cwd=tmp_path)
    same(pixels(tmp_path / "b.fit"), np.full((2, 2), 7, "u2"))
    (tmp_path / "odd.lst").write_text("3 4\n")
    _, err = tool("cosme", "a.fit", "c.fit", "odd.lst", cwd=tmp_path, status=1)
    assert "odd.lst, line 1" in err
    _, err = tool("cosme", "a.fit", "bad.lst", cwd=tmp_path, status=2)
    assert "three names are needed" in err
    _, err = tool("cosme", "a.fit", "a.fit", "all.lst", cwd=tmp_path, status=1)
    assert "never replaced" in err


def test_darkopt_takes_pulsars_order(tmp_path):
    rng = np.random.default_rng(2)
    shape = (64, 90)
    hot = np.zeros(shape)
    hot.ravel()[rng.choice(hot.size, 300, replace=False)] = rng.exponential(2000, 300)
    dark = (hot + rng.normal(5, 1, shape)).astype("f4")
    light = np.round(500 + 200 + 0.5 * (hot + 5) + rng.normal(0, 10, shape)).astype("u2")
    write(tmp_path / "l.fit", light, "Light Frame", 60.0)
    write(tmp_path / "d.fit", dark, "Master Dark", 120.0, BIASSUB=True)
    (tmp_path / "bad.lst").write_text("P 1 1\n")
    tool("darkopt", "l.fit", "o.fit", "d.fit", "bad.lst", "-b", 500, cwd=tmp_path)
    head = fits.getheader(tmp_path / "o.fit")
    k = head["OPTIMIZ"]
    assert abs(k - 0.5) < 0.01
    right = light - 500.0 - k * dark.astype("f8")
    right = corrected(right, {(1, 1)})
    same(pixels(tmp_path / "o.fit"), right.astype("f4"))
    assert "computed again are the same" in verify(tmp_path, "o.fit")
    # -o in PULSAR's words is the same
    tool("calibrate", "l.fit", "p.fit", "-d", "d.fit", "-b", 500, "-OPTIMIZE", "-c", "bad.lst",
         cwd=tmp_path)  # fmt: skip
    same(pixels(tmp_path / "p.fit"), right.astype("f4"))


def test_a_dark_of_another_sensor_gives_no_k(tmp_path):
    shape = (64, 90)
    write(tmp_path / "l.fit", stack(1, 1, 900, shape=shape)[0], "Light Frame", 60.0)
    dark = stack(7, 1, 100, shape=shape)[0].astype("f4")
    dark[::7, ::5] += 900
    write(tmp_path / "d.fit", dark, "Master Dark", 120.0, BIASSUB=True)
    line = ("calibrate", "l.fit", "o.fit", "-d", "d.fit", "-b", 500, "-o")
    _, err = tool(*line, cwd=tmp_path, status=1)
    assert "not to be believed" in err
    assert not (tmp_path / "o.fit").exists()
    _, err = tool(*line, "--fallback", "exposure", cwd=tmp_path)
    assert "taken by exposure: k = 0.5" in err


# --- newflat ---------------------------------------------------------------------------------


def test_newflat_writes_utc(tmp_path):
    line = ("newflat", "--camera", "ASI, 1600", "--log", "logs/f.csv")

    def add(*more, status=0):
        from helpers import run

        done = run(*line, *more, cwd=tmp_path, status=status)
        return done.stdout, done.stderr

    out, _ = add("--date", "2026-01-31T14:30:00+10:00", "-m", "dust, again")
    assert "2026-01-31T04:30:00,ASI_ 1600,dust; again added" in out
    out, _ = add("-d", "2026-01-31T04:30:00")
    assert "is there already" in out
    out, _ = add("-d", "2026-02-10")
    assert "noon here" in out
    _, err = add("-d", "2199-01-01T00:00:00")
    assert "in the future" in err
    _, err = add("-d", "tomorrow", status=1)
    assert "is no time" in err
    lines = (tmp_path / "logs/f.csv").read_text().splitlines()
    assert [text[:1] for text in lines[:2]] == ["#", "#"]
    assert len(lines) == 5
    out, _ = add("--list")
    assert "ASI_ 1600: until 2026-01-31T04:30:00" in out


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2090, 1, 1)),
            st.sampled_from(["a", "b c", "d"]),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_a_log_holds_what_was_added(tmp_path_factory, entries, cut):
    path = tmp_path_factory.mktemp("log") / "f.csv"
    made = []
    for when, camera in entries:
        entry = Entry(when.replace(microsecond=0, tzinfo=datetime.UTC), camera)
        assert add_entry(str(path), entry) is not (entry in made)
        made += [] if entry in made else [entry]
        if cut:  # as an editor leaves it
            path.write_bytes(path.read_bytes().rstrip(b"\n"))
    found = read_log(str(path)) if made else []
    assert sorted(found, key=str) == sorted(made, key=str)
