"""Rice-coded images, decoded by compiled code, against what astropy encodes and decodes."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from helpers import same, write_frame
from hypothesis import given
from hypothesis import strategies as st

import pulsar_dask.kernels.rice  # noqa: F401 - loaded, it is used for small frames, too
from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.reading import close_files, read_tile
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.kernels.pixels import Tile


def read(path, *window):
    frame = scan_frame(str(path))
    tile = Tile(0, *window) if window else Tile(0, 0, 0, *frame.shape)
    try:
        return read_tile([frame], tile, np.empty((1, *tile.shape), frame.pixels.stored))[0]
    finally:
        close_files()


def noise(dtype, shape, scale, far, seed):
    """Pixels around a level, as many as `far` of a thousand somewhere else altogether."""
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    pixels = info.max // 2 + rng.normal(0, scale, shape)
    pixels = np.where(rng.integers(0, 1000, shape) < far, rng.uniform(info.min, info.max), pixels)
    return np.clip(np.rint(pixels), info.min, info.max).astype(dtype)


@given(st.data())
def test_pixels_of_any_noise(tmp_path, data):
    """From blocks of one value to those that are stored as they are, with single pixels whose
    codes are longer than a word."""
    dtype = data.draw(st.sampled_from(["u1", "i2", "i4"]))
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 140)))
    scale = data.draw(st.sampled_from([0, 0.3, 1, 5, 40, 300, 2000, 9000, 1e6, 1e8]))
    far = data.draw(st.sampled_from([0, 3, 100]))
    stored = noise(dtype, shape, scale, far, data.draw(st.integers(0, 2**32)))
    tile = data.draw(st.sampled_from([(1, shape[1]), (1, 50), (4, 33)]))
    tile = tuple(map(min, tile, shape))
    path = write_frame(tmp_path / "f.fits.fz", stored, place="tiled", tile=tile)
    assert scan_frame(str(path)).stored.rice is not None
    same(read(path), stored)
    y, x = (data.draw(st.integers(0, n - 1)) for n in shape)
    same(read(path, y, x, shape[0] - y, shape[1] - x), stored[y:, x:])


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
@pytest.mark.parametrize("scale", [0, 3, 40, 1e8])
def test_a_tile_that_ends_elsewhere_is_damaged(tmp_path, dtype, scale):
    """Its length is in the table, its last bit in its last byte: the two must agree."""
    stored = noise(dtype, (5, 90), scale, 10, 0)
    path = write_frame(tmp_path / "f.fits.fz", stored, place="tiled", tile=(1, 90))
    table, whole = scan_frame(str(path)).stored.rice, path.read_bytes()
    at = table.rows + 3 * table.row_bytes + table.column
    length = int.from_bytes(whole[at : at + 4], "big")
    for wrong in (1, length // 2, length - 1, length + 1, length + 7):
        path.write_bytes(whole[:at] + wrong.to_bytes(4, "big") + whole[at + 4 :])
        with pytest.raises(PulsarError, match="compressed row 3 is damaged"):
            read(path)
    path.write_bytes(whole)
    same(read(path), stored)


@pytest.mark.parametrize("fill", [0, 255])
def test_codes_without_an_end_stop_at_the_end_of_their_tile(tmp_path, fill):
    """Zeros to the end of the file are one code, of more bits than a pixel has."""
    stored = noise("i2", (3, 5000), 40, 0, 0)
    path = write_frame(tmp_path / "f.fits.fz", stored, place="tiled", tile=(1, 5000))
    table, whole = scan_frame(str(path)).stored.rice, bytearray(path.read_bytes())
    whole[table.heap + 3 :] = bytes([fill]) * len(whole[table.heap + 3 :])
    path.write_bytes(whole)
    with pytest.raises(PulsarError, match="compressed row 0 is damaged"):
        read(path)


@pytest.mark.parametrize(("dtype", "stated"), [("u1", 16), ("u1", 32), ("i2", 32), ("i2", 8)])
def test_pixels_of_another_size_than_their_codes(tmp_path, dtype, stated):
    stored = noise(dtype, (5, 90), 3, 0, 0) // 100
    stored[:, ::7] -= stored[:, ::7] * 2
    path = write_frame(tmp_path / "f.fits.fz", stored, place="tiled", tile=(1, 90))
    with fits.open(path, mode="update", disable_image_compression=True) as hdus:
        hdus[1].header["ZBITPIX"] = stated
    same(read(path), fits.getdata(path))
