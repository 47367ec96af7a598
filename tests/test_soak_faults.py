"""Each fault at many moments; run by `make soak`, which ends with what was tried and found."""

from __future__ import annotations

import shutil
import signal
import sys
from collections import Counter

import numpy as np
import pytest

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
