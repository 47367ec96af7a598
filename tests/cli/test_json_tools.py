"""``--json`` of what the tools tell: frames that do not belong, lights, logs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from night import stack, write, write_stack
from programs import document

SHAPE = (64, 72)
LEAK = np.zeros(SHAPE, "u2")
LEAK[:32, :36] = 20


def names(paths):
    return sorted(Path(path).name for path in paths)


def odd_darks(folder, n=12):
    frames = stack(1, n, 1000, 6, SHAPE)
    frames[[3, 7]] += 600
    write_stack(folder, "d", frames, "Dark", 60.0)


def test_frames_that_do_not_belong(tmp_path):
    odd_darks(tmp_path / "d")
    found, _ = document("makedark", "d", cwd=tmp_path)
    by_code = {w["code"]: w for w in found["warnings"]}
    assert names(by_code["level"]["frames"]) == ["d0004.fit", "d0008.fit"]
    assert by_code["level"]["product"] == str(tmp_path / "dark60s.fit")
    assert found["left_out"] == []
    found, _ = document("makedark", "d", "--reject-frames", cwd=tmp_path)
    (master,) = (p for p in found["products"] if p["what"] == "master")
    out = {Path(item["path"]).name: item["reason"] for item in found["left_out"]}
    assert sorted(out) == ["d0004.fit", "d0008.fit"]
    assert "level of 2 of 12 frames" in out["d0004.fit"]
    assert not set(names(master["frames"])) & set(out)
    assert len(master["frames"]) == 10


@pytest.mark.parametrize(
    ("code", "frames", "about"),
    [
        ("constant", {2: np.full(SHAPE, 900)}, [2]),
        ("units", {4: stack(2, 1, 1000, 6, SHAPE)[0] / 65535}, [4]),
        ("noise", {1: stack(3, 1, 1000, 60, SHAPE)[0]}, [1]),
        ("corners", {3: stack(1, 4, 1000, 6, SHAPE)[3] + LEAK}, [3]),
        ("below-zero", {}, []),
    ],
)
def test_each_kind_has_a_code(tmp_path, code, frames, about):
    for i, image in enumerate(stack(1, 8, 1000, 6, SHAPE)):
        image = np.asarray(frames.get(i, image))
        kind = "f4" if image.dtype.kind == "f" else "u2"
        write(tmp_path / "d" / f"d{i}.fit", image.astype(kind), "Dark", 60.0)
    bias = "2000" if code == "below-zero" else "0"
    found, _ = document("makedark", "d", "--bias", bias, cwd=tmp_path)
    (told,) = (w for w in found["warnings"] if w["code"] == code)
    assert names(told["frames"]) == [f"d{i}.fit" for i in about]
    assert not any(w["code"] == "other" for w in found["warnings"])


def test_flats_have_codes(tmp_path):
    flats = np.minimum(stack(4, 8, 20000, 9000, SHAPE), 16383)
    write_stack(tmp_path / "f", "f", flats, "Flat", 1.0, "L")
    found, _ = document("makeflat", "f", "--dark", 0, cwd=tmp_path)
    codes = {w["code"]: w for w in found["warnings"]}
    assert {"saturated", "exposed"} <= set(codes)
    assert len(codes["saturated"]["frames"]) == 8


def test_lights(tmp_path):
    dark = stack(5, 1, 200, 4, SHAPE)[0]
    dark.flat[::97] += 3000
    write(tmp_path / "dark.fit", dark.astype("f4"), "Master Dark", 60.0, BIASSUB=True)
    lights = stack(6, 2, 1000, 10, SHAPE) + dark
    lights[0, 5, 5] = 65535
    write_stack(tmp_path / "l", "l", lights, "Light", 60.0, SATURATE=65535)
    (tmp_path / "bad.lst").write_text("P 3 4\r\n")
    (tmp_path / "out").mkdir()
    words = ("calibrate", "l", "out/", "-d", "dark.fit", "--no-bias")
    found, _ = document(*words, cwd=tmp_path)
    assert [p["what"] for p in found["products"]] == ["light"] * 2
    assert names(p["path"] for p in found["products"]) == ["l0001.fit", "l0002.fit"]
    (full,) = (w for w in found["warnings"] if w["code"] == "saturated")
    assert names(full["frames"]) == ["l0001.fit"]
    assert full["product"] == str(tmp_path / "out" / "l0001.fit")
    found, _ = document(*words, cwd=tmp_path)
    assert [p["made"] for p in found["products"]] == [False, False]
    write(tmp_path / "l" / "l0003.fit", lights[0, :32], "Light", 60.0)
    found, _ = document(*words, cwd=tmp_path, status=1)
    assert [f["name"] for f in found["failed"]] == ["l0003.fit"]
    assert names(found["errors"][0]["frames"]) == ["l0003.fit"]
    one = ("l/l0001.fit", "--no-sequence")
    found, _ = document("cosme", *one, "c.fit", "bad.lst", cwd=tmp_path)
    assert [Path(s["path"]).name for s in found["products"][0]["sources"]][-1] == "bad.lst"
    assert not found["products"][0]["replaces"]
    found, err = document("cosme", *one, "c.fit", "bad.lst", "--origin", "top", cwd=tmp_path)
    assert found["products"][0]["replaces"]
    assert ", replaces what was there\n" in err
    found, _ = document("darkopt", *one, "o.fit", "dark.fit", "--no-bias", cwd=tmp_path)
    assert found["products"][0]["what"] == "light"


def test_newflat(tmp_path):
    words = ("newflat", "--camera", "QHY", "--log", "flats.csv", "--date", "2024-01-01T00:00:00")
    for made in (True, False):
        found, _ = document(*words, cwd=tmp_path)
        log = str(tmp_path / "flats.csv")
        assert found["products"] == [{"path": log, "what": "log", "made": made}]
    late = (*words[:-1], "2999-01-01T00:00:00")
    assert [w["code"] for w in document(*late, cwd=tmp_path)[0]["warnings"]] == ["future"]
    assert "QHY: until" in json.dumps(document(*words, "--list", cwd=tmp_path)[0]["notes"])
