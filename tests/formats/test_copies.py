"""The same pixels under two names count once, and hardly a pixel is read twice."""

from __future__ import annotations

import gzip
import shutil
import warnings

import numpy as np
import pytest
from astropy.io import fits
from helpers import write_frame

from pulsar_dask.errors import PulsarWarning
from pulsar_dask.formats import copies, reading
from pulsar_dask.formats.copies import without_copies
from pulsar_dask.formats.scan import scan_frames, scan_inputs
from pulsar_dask.inputs.find import find_inputs

IMAGES = np.random.default_rng(3).integers(0, 999, (5, 70, 30)).astype("i2")
DATE = {"DATE-OBS": "2026-01-01T00:00:00"}


@pytest.fixture
def read(monkeypatch):
    """How many pixels were read, by name."""
    count: dict[str, int] = {}
    real = reading.read_tile

    def counted(frames, tile, out, **how):
        for frame in frames:
            name = frame.path.rpartition("/")[2]
            count[name] = count.get(name, 0) + out[0].size
        return real(frames, tile, out, **how)

    monkeypatch.setattr(copies, "read_tile", counted)
    return count


def left(folder):
    frames = without_copies(scan_frames(sorted(map(str, folder.glob("f*")))))
    return [frame.path.rpartition("/")[2] for frame in frames]


@pytest.mark.parametrize("cards", [{}, DATE])
def test_copies_count_once_whatever_holds_them(tmp_path, cards):
    for i, image in enumerate(IMAGES):
        write_frame(tmp_path / f"f{i}.fit", image, cards=cards)
    shutil.copy(tmp_path / "f0.fit", tmp_path / "f0-1.fit")
    write_frame(tmp_path / "f1.fits.fz", IMAGES[1], cards=cards, place="tiled", tile=(1, 30))
    write_frame(tmp_path / "f2.fits.fz", IMAGES[2], cards=cards, place="tiled", tile=(70, 30))
    (tmp_path / "f3.fit.gz").write_bytes(gzip.compress((tmp_path / "f3.fit").read_bytes()))
    write_frame(tmp_path / "f4s.fit", IMAGES[4] - 100, cards=cards, bzero=100.0)
    write_frame(tmp_path / "f4f.fit", IMAGES[4].astype("f4"), cards=cards)
    with pytest.warns(PulsarWarning, match=r"f0\.fit is f0-1\.fit.* and 3 more") as caught:
        found = left(tmp_path)
    assert len(found) == 5
    assert len(caught) == 1
    assert {name[1] for name in found} == set("01234")


def test_what_differs_somewhere_is_no_copy(tmp_path, read):
    for i in range(4):
        image = IMAGES[0].copy()
        image[-1, -1] += i
        write_frame(tmp_path / f"f{i}.fit", image, cards=DATE)
    assert len(left(tmp_path)) == 4
    one = {"IMAGETYP": "Dark", "EXPTIME": 1.0}
    write_frame(tmp_path / "f5.fit", IMAGES[0], cards=DATE | one)
    assert len(left(tmp_path)) == 5


def test_hardly_a_pixel_is_read(tmp_path, read):
    wide = np.random.default_rng(4).integers(0, 999, (20, 40, 3000)).astype("i2")
    for i, image in enumerate(wide):
        write_frame(tmp_path / f"f{i}.fit", image)
    assert len(left(tmp_path)) == 20
    assert set(read.values()) == {3000}
    read.clear()
    for i, image in enumerate(wide):
        write_frame(tmp_path / f"f{i}.fit", image, cards={"DATE-OBS": f"2026-01-{i + 1:02}"})
    assert len(left(tmp_path)) == 20
    for i, image in enumerate(wide):
        fits.PrimaryHDU(image).writeto(tmp_path / f"f{i}.fit", overwrite=True, checksum=True)
    assert len(left(tmp_path)) == 20
    assert not read


def test_masters_are_left_alone(tmp_path):
    for i in range(2):
        cards = {"IMAGETYP": "Master Bias"}
        write_frame(tmp_path / f"f{i}.fit", IMAGES[0], cards=cards)
    assert len(left(tmp_path)) == 2


def test_one_instant_in_two_types(tmp_path):
    for i, image in enumerate(IMAGES[:3]):
        cards = {"DATE-OBS": f"2026-01-01T00:00:0{i}", "INSTRUME": "C"}
        write_frame(tmp_path / f"f{i}.fit", image, cards=cards)
        write_frame(tmp_path / f"f{i}c.fit", (image / 65535).astype("f4"), cards=cards)
    with pytest.warns(PulsarWarning, match="one DATE-OBS and .*2 more such pairs") as caught:
        assert len(left(tmp_path)) == 6
    assert len(caught) == 1


def test_a_cube_as_the_whole_input(tmp_path):
    write_frame(tmp_path / "f0.fit", IMAGES)
    with pytest.warns(PulsarWarning, match=r"f0\.fit: 5 planes in this file"):
        scan_inputs(find_inputs(tmp_path))
    write_frame(tmp_path / "f1.fit", IMAGES + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(scan_inputs(find_inputs(tmp_path))[0]) == 2
