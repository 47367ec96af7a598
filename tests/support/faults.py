"""Runs that are disturbed, and what is found after them."""

from __future__ import annotations

import re
import resource
import shutil
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import command, names
from night import stack, write_stack

from pulsar_dask.files.leftovers import remove_stale

ENDINGS = {number: -number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)}


@dataclass
class Scene:
    """A tool, its inputs, and a folder with the masters of an earlier run."""

    folder: Path
    arguments: list[str]
    old: dict[str, bytes] = field(default_factory=dict)
    new: dict[str, bytes] = field(default_factory=dict)
    took: float = 0.0

    def start(self, place: Path, **kwargs: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command(*self.arguments),
            cwd=place, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs,
        )  # fmt: skip

    def place(self) -> Path:
        """A new folder with the old masters."""
        place = Path(self.folder, f"out{time.monotonic_ns()}")
        place.mkdir()
        for name, content in self.old.items():
            (place / name).write_bytes(content)
        return place

    def states(self, place: Path) -> Counter[str]:
        """Count outputs that are the old or the new ones bit for bit; nothing else may be."""
        found: Counter[str] = Counter()
        for name, old in self.old.items():
            content = (place / name).read_bytes()
            state = "old" if content == old else "new"
            assert content == old or timeless(content) == self.new[name], name
            found[state] += 1
        return found

    def left(self, place: Path) -> list[str]:
        """What is there beside the outputs."""
        return [n for n in names(place) if n not in self.old]


def timeless(content: bytes) -> bytes:
    """A file without the time at which it was written, nor the checksum of that."""
    content = re.sub(rb"DATE    = '[^']*'", b"DATE", content, count=1)
    return re.sub(rb"CHECKSUM= '[^']*'", b"CHECKSUM", content, count=1)


def make_scene(folder: Path, tool: str, shape: tuple[int, int], count: int = 12) -> Scene:
    """Frames, the masters of some of them, and the masters of all."""
    raw = folder / "raw"
    before = folder / "before"
    more: list[Any] = []
    if tool == "med":
        write_stack(raw, "b", stack(1, count, 1000, shape=shape), "Bias")
        outputs = ["m.fit"]
        more = ["m.fit"]
    elif tool == "makedark":
        write_stack(raw, "d", stack(2, count // 3, 1100, shape=shape), "Dark", 2)
        write_stack(raw, "e", stack(3, count // 3, 1200, shape=shape), "Dark", 5)
        write_stack(folder / "bias", "b", stack(4, count // 3, 1000, shape=shape), "Bias")
        outputs = ["bias.fit", "dark2s.fit", "cosme2s.lst", "dark5s.fit", "cosme5s.lst"]
        more = [folder / "bias"]
    else:
        write_stack(raw, "l", stack(5, count // 2, 20000, shape=shape), "Flat", 1, "L")
        write_stack(raw, "r", stack(6, count // 2, 15000, shape=shape), "Flat", 1, "R")
        write_stack(folder, "dark", stack(7, 1, 1000, shape=shape), "Dark", 1)
        outputs = ["flat_l.fit", "flat_r.fit"]
        more = ["--dark", folder / "dark0001.fit"]
    shutil.copytree(raw, before)
    for path in before.glob("*2.fit"):
        path.unlink()
    scene = Scene(folder, [tool, str(raw), *map(str, more)])
    earlier = Scene(folder, [tool, str(before), *map(str, more)])
    place = scene.place()
    for one, keep in ((earlier, scene.old), (scene, scene.new)):
        began = time.monotonic()
        process = one.start(place)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        scene.took = time.monotonic() - began
        assert names(place) == sorted(outputs)
        for name in outputs:
            keep[name] = (place / name).read_bytes()
    scene.new = {name: timeless(content) for name, content in scene.new.items()}
    assert all(scene.new[n] != timeless(scene.old[n]) for n in outputs if n != "bias.fit")
    return scene


def strike(scene: Scene, number: signal.Signals, share: float) -> Counter[str]:
    """Send a signal when some share of a run is done; what was found."""
    place = scene.place()
    began = time.monotonic()
    process = scene.start(place)
    time.sleep(max(0.0, share * scene.took - (time.monotonic() - began)))
    ended = process.poll() is not None
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    took = time.monotonic() - began
    found = scene.states(place)
    states = "+".join(sorted(found))
    said = "interrupted" in errors or "start.py" in errors
    if number == signal.SIGINT and process.returncode == -number and not said:
        # Python itself was still starting, and the tool not yet there
        assert states == "old"
        assert scene.left(place) == []
        shutil.rmtree(place)
        return Counter({"tried": 1, "while Python starts": 1})
    if process.returncode == 0:
        assert found["old"] == 0
        scene.took += (min(took, 2 * scene.took) - scene.took) / 10  # as the machine is busy
    else:
        assert process.returncode == ENDINGS[number], (process.returncode, errors)
        scene.took += max(0.0, took - scene.took) / 10
    assert "Traceback" not in errors, errors
    assert "Exception ignored" not in errors, errors
    left = scene.left(place)
    if number == signal.SIGKILL:  # struck while a master took its name: the next run removes it
        assert len(left) <= 1
        remove_stale(str(place))  # and brings all outputs to one state
        assert scene.left(place) == []
        assert len(scene.states(place)) == 1
        assert left or scene.states(place) == found
    else:
        assert left == []
    if process.returncode == ENDINGS[signal.SIGINT]:
        said_nothing = "nothing was written" in errors
        assert said_nothing == (found["new"] == 0), errors
    shutil.rmtree(place)
    return Counter(
        {
            "tried": 1,
            f"before or after the run: {states}" if ended else f"{states}": 1,
            "left": len(left),
            "removed by the next run": len(left),
        }
    )


def limit(which: int, value: int) -> Any:
    """For `preexec_fn`: a limit of the system on the process."""
    return lambda: resource.setrlimit(which, (value, value))
