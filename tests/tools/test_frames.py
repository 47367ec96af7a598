"""``pulsar-dask frames``: what is understood, and from which card."""

from __future__ import annotations

import json

from helpers import run
from night import stack, write

SHAPE = (6, 8)


def make(folder):
    for i, image in enumerate(stack(0, 2, 500, shape=SHAPE)):
        write(folder / f"a{i}.fit", image, "Dark", 60.0, GAIN=100, CCD_TEMP=-10.0, SET_TEMP=-10)
    image = stack(1, 4, 900, shape=SHAPE)
    write(folder / "b.fit", image[0], None, OBSTYPE="SKYFLAT", EXPOSURE=2.0, FILTER="Ha")
    write(folder / "dark_stacked.fit", image[1], "Dark", 60.0, STACKCNT=30)
    write(folder / "light.fit", image[2], "Light", 60.0)
    write(folder / "flat_0.5s_R_001.fit", image[3])


def test_a_table(tmp_path):
    make(tmp_path / "f")
    done = run("frames", "f", cwd=tmp_path)
    out, err = done.stdout, done.stderr
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["a0.fit"].split()[1:] == [
        *("dark", "60", "s", "-10", "of", "-10", "8x6", "gain100", "dark60s.fit")
    ]
    assert lines["b.fit"].split() == ["b.fit", "flat", "2", "s", "Ha", "8x6", "flat_h.fit"]
    assert "dark (master)" in lines["dark_stacked.fit"]
    assert "passed over: STACKCNT 30" in lines["dark_stacked.fit"]
    assert lines["flat_0.5s_R_001.fit"].endswith("flat_r.fit")
    assert "dark60s.fit: 2 frames" in out
    assert "no card tells the kind; by the name of the file it is a flat" in err
    assert max(map(len, out.splitlines())) <= 110
    out = run("frames", "f", "-v", cwd=tmp_path).stdout
    assert "kind from OBSTYPE" in out
    assert "exposure from EXPOSURE" in out


def test_a_document(tmp_path):
    make(tmp_path / "f")
    out = run("frames", "f", "--json", "--exposure", 9, cwd=tmp_path).stdout
    found = json.loads(out)
    frames = {f["path"].rsplit("/", 1)[-1]: f for f in found["frames"]}
    assert frames["a0.fit"]["settings"]["GAIN"] == 100
    assert frames["b.fit"]["from"]["kind"] == "OBSTYPE"
    assert frames["b.fit"]["becomes"] == "flat_h.fit"
    assert frames["a0.fit"]["exposure"] == 9
    assert frames["a0.fit"]["from"]["exposure"] == "--exposure"
    assert {m["name"]: len(m["frames"]) for m in found["masters"]} == {
        "dark9s.fit": 2, "flat_h.fit": 1, "flat_r.fit": 1,
    }  # fmt: skip
    assert found["failed"] == []
