"""Planes of masters: no frames of anything, and no stale ones beside a new master."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import zarr
from astropy.io import fits
from helpers import names, same
from night import noted, pixels, stack, tool, write_stack

import pulsar_dask
from pulsar_dask import combine
from pulsar_dask.errors import PulsarError

PLANES = ("--planes", "count")


@pytest.fixture
def night(here):
    """Frames, and a master of each kind beside them, with its planes."""
    frames = {"b": stack(1, 4, 300), "d": stack(2, 4, 500), "f": stack(3, 4, 20000)}
    write_stack(here / "b", "b", frames["b"], "Bias")
    write_stack(here / "d", "d", frames["d"], "Dark", 1.0)
    write_stack(here / "f", "f", frames["f"], "Flat", 1.0, "V")
    tool("makedark", "d", "b", *PLANES, cwd=here)
    tool("makeflat", "f", *PLANES, cwd=here)
    return frames


def median(images):
    return np.median(images, axis=0).astype("f4")


METHOD = """
from dataclasses import dataclass
from typing import ClassVar

from pulsar_dask.formats.reading import to_values
from pulsar_dask.frames.holds import Holds


@dataclass(frozen=True)
class Method:
    name: ClassVar[str] = "highest"
    parameters: ClassVar[tuple] = ()

    def block(self, stack, pixels, planes, *, compiled):
        return {"image": to_values(stack, pixels).max(axis=0).astype("f8")}

    def holds(self, frames, pixels, area, planes, *, compiled):
        return Holds(pixel={"work": 16 * frames})
"""


def test_a_method_that_gives_no_count(here, night, monkeypatch):
    """Where nothing is missing it need not, for no master."""
    (here / "more").mkdir()
    (here / "more" / "highest.py").write_text(METHOD)
    monkeypatch.setattr(combine, "__path__", [*combine.__path__, str(here / "more")])
    with noted():
        darks = pulsar_dask.dark_masters(here / "d", combine="highest", planes=("count",))
        flats = pulsar_dask.flat_masters(
            here / "f", dark=0, combine="highest", planes=("count",)
        ).compute()
    same(darks["dark1s"].values, night["d"].max(axis=0).astype("f4"))
    for count in (darks["dark1s_count"], flats["flat_v_count"]):
        same(count.values, np.full(night["d"][0].shape, 4, "i4"))


# --- they are no frames ------------------------------------------------------------------------


def test_in_folders_they_are_passed_over(here, night):
    for name in ("bias", "dark1s", "flat_v"):
        shutil.copy2(here / f"{name}.planes.fit", here / name[0])
    out, _ = tool("makedark", "d", "b", "--output-dir", "new", cwd=here)
    assert "passed over: 2 masters" in out
    bias = median(night["b"])
    same(pixels(here / "new" / "bias.fit"), bias)
    same(
        pixels(here / "new" / "dark1s.fit"),
        (np.median(night["d"], axis=0) - bias).astype("f4"),
    )
    out, _ = tool("makeflat", "f", "--output-dir", "new", cwd=here)
    assert "passed over: 1 master\n" in out
    same(pixels(here / "new" / "flat_v.fit"), pixels(here / "flat_v.fit"))
    for frames in ("d", "d/*.fit"):
        out, _ = tool("med", frames, "m.fit", cwd=here)
        assert "passed over: 1 master\n" in out
        same(pixels(here / "m.fit"), median(night["d"]))
    out, _ = tool("cube", "d", "c.zarr", cwd=here)
    assert "passed over: 1 master\n" in out
    same(pulsar_dask.open_frames(here / "c.zarr").values, night["d"])
    same(pulsar_dask.open_frames(here / "d").values, night["d"])
    same(pulsar_dask.median(here / "d").values, median(night["d"]))


def test_a_master_among_them_is_the_bias(here, night):
    (here / "m").mkdir()
    for name in ("bias.fit", "bias.planes.fit"):
        shutil.copy2(here / name, here / "m")
    tool("makedark", "d", "m", "--output-dir", "new", cwd=here)
    same(pixels(here / "new" / "dark1s.fit"), pixels(here / "dark1s.fit"))


@pytest.mark.parametrize(
    "words",
    [
        ("med", "dark1s.planes.fit", "m.fit"),
        ("med", "dark1s.planes.fit", "bias.planes.fit", "m.fit"),
        ("makedark", "dark1s.planes.fit"),
        ("makedark", "d", "bias.planes.fit", "--output-dir", "new"),
        ("makedark", "d", "--bias", "bias.planes.fit", "--output-dir", "new"),
        ("makeflat", "flat_v.planes.fit", "--output-dir", "new"),
        ("makeflat", "f", "--dark", "dark1s.planes.fit", "--output-dir", "new"),
        ("make_cosme", "dark1s.planes.fit", "m.lst"),
        ("cube", "dark1s.planes.fit", "m.zarr"),
    ],
)
def test_named_they_are_refused(here, night, words):
    before = names(here)
    _, err = tool(*words, cwd=here, status=1)
    assert "planes.fit: no image" in err
    assert "name the master" in err
    assert names(here) == before


def test_in_python_they_are_refused(here, night):
    path = here / "dark1s.planes.fit"
    for take in (
        pulsar_dask.open_frames,
        pulsar_dask.median,
        pulsar_dask.master,
        pulsar_dask.hot_pixels,
        lambda p: pulsar_dask.write_cube(p, here / "c.zarr"),
        lambda p: pulsar_dask.dark_masters(here / "d", p),
        lambda p: pulsar_dask.flat_masters(here / "f", dark=p),
    ):
        with noted(), pytest.raises(PulsarError, match="no image"):
            take(path)


def test_another_image_of_that_name_is_one(here):
    header = fits.Header({"IMAGETYP": "Dark", "EXTNAME": "COUNT"})
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 4), "i2"), header)]).writeto("c.fit")
    tool("med", "c.fit", "m.fit", cwd=here)
    same(pixels(here / "m.fit"), np.ones((3, 4), "f4"))


# --- none of a master that was replaced ------------------------------------------------------


def test_planes_of_the_master_before_do_not_stay(here, night):
    out, _ = tool("makedark", "d", "b", cwd=here)
    for name in ("bias", "dark1s"):
        assert f"{name}.planes.fit: removed, it was of the master that was replaced" in out
    assert names(here) == [
        "b", "bias.fit", "cosme1s.lst", "d", "dark1s.fit", "f", "flat_v.fit", "flat_v.planes.fit"
    ]  # fmt: skip
    out, _ = tool("makedark", "d", "b", cwd=here)
    assert "removed" not in out


def test_planes_that_may_be_the_users_stay(here, night):
    before = (here / "dark1s.fit").read_bytes()
    (here / "dark1s.planes.fit").write_bytes(b"mine")
    (here / "bias.planes.fit").unlink()
    _, err = tool("makedark", "d", "b", cwd=here, status=1)
    assert "dark1s.planes.fit exists and was not written by pulsar-dask" in err
    assert "--overwrite" in err
    assert (here / "dark1s.planes.fit").read_bytes() == b"mine"
    assert (here / "dark1s.fit").read_bytes() == before
    tool("makedark", "d", "b", "--overwrite", cwd=here)
    assert not (here / "dark1s.planes.fit").exists()


# --- in a store -----------------------------------------------------------------------------------


def rewrite(array):
    """One value of a variable is another one, its chunk a right one."""
    array[3, 4] += 1


def test_verify_looks_at_all_of_a_store(here, night, executing):
    tool("med", "d", "m.zarr", *PLANES, cwd=here)
    size = night["d"][0].size
    out, _ = tool("verify", "m.zarr", "--all", *executing, cwd=here)
    assert f"m.zarr: {size} pixels computed again are the same" in out
    assert f"m.zarr: {size} pixels of its count computed again are the same" in out
    rewrite(zarr.open_group("m.zarr", mode="r+")["count"])
    out, _ = tool("verify", "m.zarr", "--all", *executing, cwd=here, status=1)
    assert "m.zarr: was changed after pulsar-dask wrote it" in out
    assert f"m.zarr: {size} pixels computed again are the same" in out
    assert f"m.zarr: 1 of {size} pixels of its count that were computed again differ" in out


@pytest.mark.parametrize("tool_of", ["med", "cube"])
def test_verify_looks_at_the_seal(here, night, tool_of):
    tool(tool_of, "d", "m.zarr", cwd=here)
    out, _ = tool("verify", "m.zarr", cwd=here)
    assert "changed" not in out
    (here / "m.zarr" / "notes.txt").write_text("mine")
    out, _ = tool("verify", "m.zarr", cwd=here, status=1)
    assert "m.zarr: was changed after pulsar-dask wrote it" in out


def test_verify_says_which_store_has_no_seal(here, night):
    tool("med", "d", "m.zarr", cwd=here)
    text = (here / "m.zarr" / "zarr.json").read_text()
    (here / "m.zarr" / "zarr.json").write_text(re.sub(r'"seal": "\w+"', '"sealed": ""', text))
    out, _ = tool("verify", "m.zarr", cwd=here)
    assert "was written by an earlier version of pulsar-dask, which did not seal it" in out
