"""Each fault at many moments; run by `make soak`, which ends with what was tried and found."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers import command, names, same, write_frame

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals and limits"),
]
SHAPE = (1500, 2000)
TOOLS = ("med", "makedark", "makeflat")


@pytest.fixture(params=TOOLS)
def scene(request, tmp_path):
    from faults import make_scene

    return make_scene(tmp_path, request.param, SHAPE)


def report(record_property, fault, found):
    found = Counter(found)
    tried, left = found.pop("tried"), found.pop("left", 0)
    how = ", ".join(f"{n} {what}" for what, n in sorted(found.items()) if n)
    record_property("fault", (fault, tried, left, how))


def moments(count):
    """Shares of a run: over all of it, and closer to each other where outputs get their names."""
    late = count // 4
    return [*np.linspace(0, 1.05, count - late), *np.linspace(0.85, 1.05, late)]


def test_kill(scene, record_property):
    from faults import strike

    found = Counter()
    for i, share in enumerate(moments(200)):
        found += strike(scene, signal.SIGKILL, float(share))
        if i % 20 == 0:  # the next run works, and leaves nothing of a killed one
            place = scene.place()
            (place / ".m.fit.pulsar-0123456789ab.part").write_bytes(b"left")
            process = scene.start(place)
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
            assert scene.states(place)["old"] == 0
            assert scene.left(place) == []
            shutil.rmtree(place)
            found["next runs"] += 1
    report(record_property, f"SIGKILL, {scene.arguments[0]}", found)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt(scene, number, record_property):
    from faults import strike

    found = Counter()
    for share in moments(50):
        # from 0.1 s on: before that it is Python that starts
        found += strike(scene, number, max(float(share), 0.1 / scene.took))
    report(record_property, f"{number.name}, {scene.arguments[0]}", found)


# --- limits of the system ----------------------------------------------------------------------


def limited(scene, which, values):
    """Run with a limit at several values; the outputs are all old, or the run succeeds."""
    from faults import limit

    found = Counter()
    for value in values:
        place = scene.place()
        process = scene.start(place, preexec_fn=limit(which, int(value)))
        _, errors = process.communicate(timeout=600)
        states = scene.states(place)
        assert process.returncode in (0, 1), (value, process.returncode, errors)
        assert "Traceback" not in errors, (value, errors)
        assert "should not happen" not in errors, (value, errors)
        assert states["old" if process.returncode == 0 else "new"] == 0, (value, errors)
        found += Counter({"tried": 1, "+".join(states): 1, "left": len(scene.left(place))})
        shutil.rmtree(place)
    assert found["left"] == 0
    return found


def test_size_of_files(scene, record_property):
    import resource

    largest = max(map(len, scene.old.values()))
    steps = [0, 1, 2879, 2880, 5760, 10_000, *np.linspace(20_000, largest + 3000, 14)]
    found = limited(scene, resource.RLIMIT_FSIZE, steps)
    report(record_property, f"limit of the size of files, {scene.arguments[0]}", found)


def test_memory(scene, record_property):
    import resource

    found = limited(scene, resource.RLIMIT_AS, np.linspace(40e6, 1.2e9, 30))
    report(record_property, f"limit of addresses (ulimit -v), {scene.arguments[0]}", found)


@pytest.mark.parametrize("form", ["plain", "fz", "gz"])
def test_open_files(tmp_path, form, record_property):
    import resource

    from faults import limit

    for i in range(200):
        image = np.full((50, 60), i, "i2")
        if form == "fz":
            write_frame(tmp_path / f"f{i:03}.fit.fz", image, place="tiled")
        else:
            write_frame(tmp_path / f"f{i:03}.fit{'.gz' * (form == 'gz')}", image)
    done = subprocess.run(
        command("med", "f*", "m.fit"), cwd=tmp_path, text=True, capture_output=True,
        preexec_fn=limit(resource.RLIMIT_NOFILE, 32),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same(fits.getdata(tmp_path / "m.fit"), np.full((50, 60), 99.5, "f4"))
    assert len(names(tmp_path)) == 201
    report(record_property, f"ulimit -n 32, 200 frames, {form}", {"tried": 1, "new": 1})


# --- disks, inputs, and each other -------------------------------------------------------------


@pytest.mark.parametrize("tool", TOOLS)
def test_full_disk(tmp_path, tool, record_property):
    """It becomes full at several moments: others write to it, too."""
    from faults import make_scene
    from harm import mounted

    scene = make_scene(tmp_path, tool, (600, 800))
    size = sum(map(len, scene.old.values()))
    found = Counter()
    for i, share in enumerate(np.linspace(0, 2.2, 20)):
        place = tmp_path / f"disk{i}"
        place.mkdir()
        with mounted(place, "-o", f"size={int(size * (1 + share)) + 16384}"):
            for name, content in scene.old.items():
                (place / name).write_bytes(content)
            process = scene.start(place)
            _, errors = process.communicate(timeout=600)
            states = scene.states(place)
            assert process.returncode in (0, 1)
            assert "Traceback" not in errors
            assert states["old" if process.returncode == 0 else "new"] == 0, errors
            left = scene.left(place)
            assert left == []
        found += Counter({"tried": 1, "+".join(states): 1, "left": len(left)})
    assert found["old"]
    assert found["new"]
    report(record_property, f"disk full, {tool}", found)


@pytest.mark.parametrize("how", ["truncated", "removed", "replaced", "rewritten"])
def test_inputs(tmp_path, how, record_property):
    from faults import make_scene, timeless
    from harm import disturb

    scene = make_scene(tmp_path, "med", SHAPE)
    raw = Path(scene.arguments[1])
    good = (raw / "b0003.fit").read_bytes()
    found = Counter()
    for share in np.linspace(0.2, 1.0, 20):
        (raw / "b0003.fit").write_bytes(good)
        place = scene.place()
        process = scene.start(place)
        time.sleep(share * scene.took)
        disturb(raw / "b0003.fit", how)
        _, errors = process.communicate(timeout=600)
        assert "Traceback" not in errors
        if process.returncode == 0:
            # it came after the run had looked again, or before the frame was first looked at
            state = (
                "new"
                if timeless((place / "m.fit").read_bytes()) == scene.new["m.fit"]
                else ("of what is there")
            )
            if state != "new":
                again = scene.place()
                assert scene.start(again).wait(600) == 0
                first, second = ((p / "m.fit").read_bytes() for p in (place, again))
                assert timeless(first) == timeless(second)
                shutil.rmtree(again)
        else:
            assert process.returncode == 1
            assert "b0003.fit" in errors
            assert scene.states(place)["new"] == 0
            state = "old"
        left = scene.left(place)
        assert left == []
        found += Counter({"tried": 1, state: 1, "left": len(left)})
        shutil.rmtree(place)
    report(record_property, f"input {how}", found)


@pytest.mark.parametrize("count", [2, 4])
def test_runs_at_once(scene, count, record_property):
    found = Counter()
    for _ in range(10):
        place = scene.place()
        for process in [scene.start(place) for _ in range(count)]:
            _, errors = process.communicate(timeout=600)
            assert process.returncode == 0, errors
        assert scene.states(place)["old"] == 0
        left = scene.left(place)
        assert left == []
        found += Counter({"tried": 1, "new": 1, "left": len(left)})
        shutil.rmtree(place)
    report(record_property, f"{count} runs to the same outputs, {scene.arguments[0]}", found)
