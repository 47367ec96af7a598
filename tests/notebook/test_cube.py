"""The lazy cube, against the pixels that were written and against astropy."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from few import also
from helpers import (
    OTHER_SIGN,
    STORED,
    clone,
    exact_median,
    images,
    same,
    scalings,
    shapes,
    values,
    write_frame,
)
from hypothesis import given
from hypothesis import strategies as st

import pulsar_dask
from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.reading import close_files


@pytest.fixture(autouse=True)
def _closed():
    yield
    close_files()


def astropy_values(path, hdu):
    """What astropy reads, as float64; what is not finite in the file is missing."""
    with fits.open(path) as hdus:
        data = np.asarray(hdus[hdu].data)
    data = data.astype("f8")
    return np.where(np.isfinite(data), data, np.nan)


@pytest.mark.filterwarnings("ignore:.*planes in this file")
@given(st.data())
def test_any_frame(tmp_path, data):
    bitpix = data.draw(st.sampled_from(sorted(STORED)))
    cards = data.draw(scalings(bitpix))
    stored = data.draw(images(STORED[bitpix], data.draw(shapes)))
    place = data.draw(st.sampled_from(["primary", "extension"]))
    suffix = data.draw(st.sampled_from(["fit", "fits.gz"]))
    path = write_frame(tmp_path / f"f.{suffix}", stored, place=place, **cards)
    cube = pulsar_dask.open_frames(path, sequence=False)
    truth = values(stored, **cards)
    same(cube.values[0].astype("f8"), truth)
    same(pulsar_dask.median(path, sequence=False).values, truth.astype(default_type(bitpix)))


def default_type(bitpix):
    return "f8" if bitpix in (32, 64, -64) else "f4"


@pytest.mark.filterwarnings("ignore:.*planes in this file")
@given(st.data())
def test_any_compressed_frame(tmp_path, data):
    bitpix = data.draw(st.sampled_from(sorted(STORED)))
    kinds = ["GZIP_1", "GZIP_2"] + (["RICE_1"] if bitpix in (8, 16, 32) else [])
    shape = data.draw(shapes)
    tile = tuple(data.draw(st.integers(1, n)) for n in shape[-2:])
    tile = (*(1,) * (len(shape) - 2), *tile)
    cards = data.draw(scalings(bitpix)) if bitpix > 0 else {}
    stored = data.draw(images(STORED[bitpix], shape))
    kind = data.draw(st.sampled_from(kinds))
    path = write_frame(
        tmp_path / "f.fits.fz", stored, place="tiled", tile=tile, compression=kind, **cards
    )
    cube = pulsar_dask.open_frames(path)
    same(cube.values[0].astype("f8"), values(stored, **cards))


@pytest.mark.few(2)
@pytest.mark.parametrize("tile", [(1, 40), (30, 40), (7, 40), (8, 8), (5, 13), (16, 40)])
@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1"])
def test_compression_types_and_tiles(tmp_path, kind, tile):
    if kind == "HCOMPRESS_1" and (tile[0] < 4 or 30 % tile[0] not in (0, 6, 14)):
        pytest.skip("HCOMPRESS has no tiles of so few rows")
    if kind == "HCOMPRESS_1" and 40 % tile[1] in (1, 2, 3):
        pytest.skip("HCOMPRESS has no tiles of so few columns")
    rng = np.random.default_rng(0)
    stacks = [rng.integers(0, 2000, (30, 40)).astype("i2") for _ in range(3)]
    for i, stored in enumerate(stacks):
        write_frame(tmp_path / f"f{i}.fits.fz", stored, place="tiled", tile=tile, compression=kind)
    cube = pulsar_dask.open_frames(tmp_path)
    same(cube.values, np.array(stacks))
    same(cube[:, 3:11, 5:29].values, np.array(stacks)[:, 3:11, 5:29])
    same(pulsar_dask.median(tmp_path).values, exact_median(np.array(stacks)).astype("f4"))


def test_compression_tiles_of_many_rows(tmp_path):
    stored = np.random.default_rng(0).integers(0, 999, (200, 30)).astype("i2")
    for i in range(2):
        write_frame(tmp_path / f"f{i}.fits.fz", stored + i, place="tiled", tile=(100, 30))
    same(pulsar_dask.open_frames(tmp_path)[1].values, stored + 1)


def test_quantized_floats_are_as_astropy_reads_them(tmp_path):
    data = np.random.default_rng(0).normal(100, 5, (30, 40)).astype("f4")
    data[3, 4] = np.nan
    image = fits.CompImageHDU(data, quantize_level=16, quantize_method=1, dither_seed=5)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "f.fits.fz")
    cube = pulsar_dask.open_frames(tmp_path / "f.fits.fz")
    same(cube.values[0].astype("f8"), astropy_values(tmp_path / "f.fits.fz", 1))


@pytest.mark.parametrize("bitpix", STORED)
@pytest.mark.parametrize("other", [False, True])
def test_astropy_reads_the_same(tmp_path, bitpix, other):
    """The pixels that the tests hold for true are those that astropy finds in the file."""
    rng = np.random.default_rng(1)
    stored = rng.integers(0, 120, (5, 7)).astype(STORED[bitpix])
    cards = {"bzero": OTHER_SIGN[bitpix]} if other and bitpix > 0 else {}
    for place in ("primary", "extension", "tiled"):
        path = write_frame(
            tmp_path / f"{place}.fits", stored, place=place, compression="GZIP_1", **cards
        )
        truth = astropy_values(path, int(place != "primary"))
        same(truth, values(stored, **cards))
        same(pulsar_dask.open_frames(path).values[0].astype("f8"), truth)


@pytest.mark.parametrize(
    ("bitpix", "cards", "dtype"),
    [
        (8, {}, "u1"),
        (16, {}, "i2"),
        (16, {"bzero": 32768}, "u2"),
        (32, {"bzero": 2**31}, "u4"),
        (64, {"bzero": 2**63}, "u8"),
        (16, {"blank": 5}, "f4"),
        (64, {"blank": 5}, "f8"),
        (16, {"bscale": 0.5}, "f8"),
        (-32, {}, "f4"),
        (-64, {}, "f8"),
    ],
)
def test_dtype(tmp_path, bitpix, cards, dtype):
    path = write_frame(tmp_path / "f.fit", np.full((3, 3), 5, STORED[bitpix]), **cards)
    cube = pulsar_dask.open_frames(path)
    assert cube.dtype == np.dtype(dtype)
    assert cube.values.dtype == np.dtype(dtype)


def test_64_bit_integers_are_exact(tmp_path):
    stored = np.array([[2**63 - 1, -(2**63), 2**53 + 1]], "i8")
    write_frame(tmp_path / "signed.fit", stored)
    write_frame(tmp_path / "unsigned.fit", stored, bzero=2**63)
    same(pulsar_dask.open_frames(tmp_path / "signed.fit").values[0], stored)
    truth = [[int(v) + 2**63 for v in stored[0]]]
    assert pulsar_dask.open_frames(tmp_path / "unsigned.fit").values[0].tolist() == truth


@given(st.data())
def test_frames_of_mixed_types(tmp_path, data):
    shape = data.draw(shapes)
    truth, paths = [], []
    for i in range(data.draw(st.integers(2, 5))):
        bitpix = data.draw(st.sampled_from([8, 16, 32, -32, -64]))
        cards = data.draw(scalings(bitpix))
        stored = data.draw(images(STORED[bitpix], shape))
        date = {"DATE-OBS": f"2026-01-01T00:00:0{i}"}  # so that none is a copy
        paths.append(write_frame(tmp_path / f"m{i}.fit", stored, cards=date, **cards))
        truth.append(values(stored, **cards))
    cube = pulsar_dask.open_frames(paths)
    same(cube.values.astype("f8"), np.array(truth))
    middle = exact_median(np.array(truth))
    result = pulsar_dask.median(paths).values
    with np.errstate(over="ignore"):
        same(result, middle.astype(result.dtype))


@pytest.fixture
def night(tmp_path):
    """Seven frames of 24 x 31 pixels with the keywords of a night."""
    stack = np.random.default_rng(0).integers(0, 2**16, (7, 24, 31)).astype("u2")
    for i, image in enumerate(stack):
        cards = {"IMAGETYP": "Bias", "EXPTIME": 0.5 * i, "FILTER": "R", "CCD-TEMP": -10.0 - i,
                 "DATE-OBS": f"2024-05-20T21:00:{i:02}", "OBJECT": "none"}  # fmt: skip
        stored = (image.astype(int) - 32768).astype("i2")
        write_frame(tmp_path / f"b{i + 1}.fit", stored, bzero=32768, cards=cards)
    return tmp_path, stack


def test_plain_xarray_works_on_it(night):
    folder, stack = night
    cube = pulsar_dask.open_frames(folder / "b1.fit")
    assert cube.dims == ("frame", "y", "x")
    same(cube.isel(frame=0, y=slice(0, 10)).compute(), stack[0, :10])
    same(cube.isel(frame=[5, 1], x=slice(None, None, -2)).values, stack[[5, 1], :, ::-2])
    np.testing.assert_allclose(cube.mean("frame").values, stack.mean(0), rtol=1e-12)
    same(cube.max(("y", "x")).values, stack.max((1, 2)))
    same(cube.sel(frame=cube.exposure > 1.2).values, stack[3:])
    same(cube.set_index(frame="exposure").sel(frame=1.0).values, stack[2])
    same((cube - cube.isel(frame=0)).dtype, np.dtype("u2"))
    same(cube.groupby("filter").first().values[0], stack[0])


def test_nothing_is_read_before_it_is_asked_for(night):
    folder, stack = night
    cube = pulsar_dask.open_frames(folder)
    assert dask.is_dask_collection(cube)
    (folder / "b4.fit").unlink()
    same(cube.isel(frame=0).shape, stack[0].shape)
    with pytest.raises(PulsarError, match=r"b4\.fit"):
        cube.compute()


def test_a_chunk_is_all_frames_of_a_tile(tmp_path):
    for i in range(40):
        write_frame(tmp_path / f"b{i}.fit", np.full((300, 2000), i, "i2"))
    cube = pulsar_dask.open_frames(tmp_path, threads=2)
    assert cube.chunks[0] == (40,)
    assert len(cube.chunks[1]) > 1
    same(cube[:, 150:152, 1000].values, np.repeat(np.arange(40, dtype="i2")[:, None], 2, 1))


def test_coordinates(night):
    folder, _ = night
    cube = pulsar_dask.open_frames(folder)
    assert [Path(str(f)).name for f in cube.file.values] == [f"b{i}.fit" for i in range(1, 8)]
    same(cube.exposure.values, 0.5 * np.arange(7))
    same(cube.temperature.values, -10.0 - np.arange(7))
    same(cube.date.values[3], np.datetime64("2024-05-20T21:00:03"))
    assert set(cube["filter"].values) == {"R"}
    assert set(cube.kind.values) == {"bias"}
    assert cube.exposure.attrs["units"] == "s"


def test_coordinates_of_what_is_not_known(tmp_path):
    write_frame(tmp_path / "a.fit", np.zeros((2, 2), "i2"), cards={"DATE-OBS": "last night"})
    cube = pulsar_dask.open_frames(tmp_path / "a.fit")
    assert np.isnat(cube.date.values[0])
    assert np.isnan(cube.exposure.values[0])
    assert np.isnan(cube.temperature.values[0])
    assert cube["filter"].values[0] == ""


def test_attrs_hold_units_and_header(night):
    folder, _ = night
    attrs = pulsar_dask.open_frames(folder).attrs
    assert attrs["units"] == "adu"
    header = fits.Header.fromstring(attrs["header"], sep="\n")
    assert (header["OBJECT"], header["IMAGETYP"]) == ("none", "Bias")
    assert "BZERO" not in header


def test_units_of_the_header(tmp_path):
    write_frame(tmp_path / "a.fit", np.zeros((2, 2), "i2"), cards={"BUNIT": "electron"})
    assert pulsar_dask.open_frames(tmp_path / "a.fit").attrs["units"] == "electron"


@pytest.mark.parametrize("name", ["f.fits", "f.fits.fz", "f.fits.gz"])
def test_it_pickles(tmp_path, name):
    stored = np.arange(600, dtype="i2").reshape(20, 30)
    path = write_frame(tmp_path / name, stored, place="tiled" if "fz" in name else "primary")
    cube = pulsar_dask.open_frames(path)
    cube.values  # noqa: B018 - with its files open
    same(pickle.loads(pickle.dumps(cube)).values[0], stored)
    middle = pickle.loads(pickle.dumps(pulsar_dask.median(path)))
    same(middle.values, stored)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", *also("processes")])
def test_any_scheduler(night, scheduler):
    folder, stack = night
    cube = pulsar_dask.open_frames(folder)
    with dask.config.set(scheduler=scheduler, num_workers=2):
        same(cube.isel(y=slice(3, 9)).values, stack[:, 3:9])
        same(pulsar_dask.median(folder).values, np.median(stack, 0).astype("f4"))


def test_median_of_the_cube_is_the_median(night):
    folder, stack = night
    result = pulsar_dask.median(folder)
    assert dask.is_dask_collection(result)
    assert (result.dims, result.dtype) == (("y", "x"), np.float32)
    same(result.values, np.median(stack.astype("f8"), 0).astype("f4"))


def test_planes(tmp_path):
    stack = np.random.default_rng(0).integers(0, 999, (4, 3, 6, 8)).astype("i2")
    for i, image in enumerate(stack):
        write_frame(tmp_path / f"f{i}.fit", image)
    cube = pulsar_dask.open_frames(tmp_path)
    assert cube.dims == ("frame", "plane", "y", "x")
    same(cube.values, stack)
    same(cube.sel(plane=2).isel(y=-1).values, stack[:, 2, -1])
    result = pulsar_dask.median(tmp_path)
    assert result.dims == ("plane", "y", "x")
    same(result.values, np.median(stack, 0).astype("f4"))


def test_different_shapes_are_refused(tmp_path):
    write_frame(tmp_path / "a.fit", np.zeros((2, 3), "i2"))
    write_frame(tmp_path / "b.fit", np.zeros((3, 2), "i2"))
    with pytest.raises(PulsarError, match=r"a\.fit is 3 x 2, .*b\.fit is 2 x 3"):
        pulsar_dask.open_frames(tmp_path)


def test_a_file_that_changed_is_refused(tmp_path):
    path = write_frame(tmp_path / "a.fit", np.zeros((2, 3), "i2"))
    cube = pulsar_dask.open_frames(path)
    write_frame(path, np.zeros((20, 300), "i2"))
    with pytest.raises(PulsarError, match=r"a\.fit.* changed"):
        cube.compute()


def damage(path):
    """Overwrite the last bytes of the data with other ones."""
    with fits.open(path, disable_image_compression=True) as hdus:
        info, header = hdus[-1].fileinfo(), hdus[-1].header
        start = info["datLoc"] + header["NAXIS1"] * header["NAXIS2"]
    content = bytearray(path.read_bytes())
    content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)


def test_a_damaged_compression_tile_is_an_error_that_names_the_file(tmp_path):
    stored = np.random.default_rng(0).integers(0, 9999, (40, 50)).astype("i2")
    path = write_frame(tmp_path / "f.fits.fz", stored, place="tiled", compression="GZIP_1")
    damage(path)
    with pytest.raises(PulsarError, match=r"f\.fits\.fz.*cannot be read"):
        pulsar_dask.open_frames(path).compute()


@pytest.mark.parametrize("cut", [20, 5000])
def test_a_gzip_cut_short_is_an_error_that_names_the_file(tmp_path, cut):
    stored = np.random.default_rng(0).integers(-(2**15), 2**15, (300, 300)).astype("i2")
    path = write_frame(tmp_path / "f.fits.gz", stored)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    with pytest.raises(PulsarError, match=r"f\.fits\.gz.*cannot be read"):
        pulsar_dask.open_frames(path).compute()


def test_a_gzip_with_a_wrong_checksum_is_an_error(tmp_path):
    path = write_frame(tmp_path / "f.fits.gz", np.zeros((300, 300), "i2"))
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    with pytest.raises(PulsarError, match=r"f\.fits\.gz.*cannot be read"):
        pulsar_dask.open_frames(path).compute()


# --- xr.open_dataset ---------------------------------------------------------------------


def index(length):
    bound = st.one_of(st.none(), st.integers(-length - 2, length + 2))
    step = st.one_of(st.none(), st.integers(-4, 4).filter(bool))
    # xarray itself is wrong about empty slices that go backwards
    slices = st.builds(slice, bound, bound, step).filter(
        lambda s: (s.step or 1) > 0 or range(length)[s]
    )
    return st.one_of(
        slices,
        st.integers(-length, length - 1),
        st.lists(st.integers(-length, length - 1), min_size=1, max_size=4),
    )


@given(st.data())
def test_open_dataset_takes_any_index(tmp_path, data):
    shape = data.draw(shapes)
    stored = np.arange(np.prod(shape)).astype("i4").reshape(shape)
    place = data.draw(st.sampled_from(["primary", "tiled", "gzip"]))
    name = {"tiled": "d.fits.fz", "gzip": "d.fit.gz"}.get(place, "d.fit")
    where = "tiled" if place == "tiled" else "primary"
    path = write_frame(tmp_path / name, stored, place=where)
    key = {d: data.draw(index(n)) for d, n in zip(("plane", "y", "x")[-len(shape) :], shape,
                                                  strict=True)}  # fmt: skip
    truth = xr.DataArray(stored, dims=list(key)).isel(key).values
    for chunks in (None, {}):
        with xr.open_dataset(path, engine="pulsar", chunks=chunks) as dataset:
            same(dataset.image.isel(key).values, truth)


def test_open_dataset(tmp_path):
    stored = np.arange(35, dtype="i2").reshape(5, 7)
    cards = {"IMAGETYP": "Dark Frame", "EXPTIME": 120.0, "OBJECT": "x"}
    path = write_frame(tmp_path / "d.fit", stored, bzero=32768, cards=cards)
    dataset = xr.open_dataset(path, engine="pulsar", chunks={})
    assert dataset.image.dtype == np.uint16
    assert dataset.image.dims == ("y", "x")
    assert dask.is_dask_collection(dataset.image)
    assert (dataset.attrs["kind"], dataset.attrs["exposure"]) == ("dark", 120.0)
    assert dataset.image.attrs["units"] == "adu"
    same(dataset.image.values, stored.astype("i4") + 32768)
    same(pickle.loads(pickle.dumps(dataset)).image.values, stored.astype("i4") + 32768)


def test_open_dataset_knows_fits_by_its_name(tmp_path):
    path = write_frame(tmp_path / "d.fts", np.ones((2, 2), "i2"))
    same(xr.open_dataset(path).image.values, np.ones((2, 2)))
    assert not xr.open_dataset(path, engine="pulsar", drop_variables=["image"])


def test_the_header_survives_netcdf_and_zarr(tmp_path):
    path = write_frame(tmp_path / "d.fit", np.ones((4, 5), "i2"), cards={"OBJECT": "M 31"})
    dataset = xr.open_dataset(path, engine="pulsar", chunks={})
    dataset.to_zarr(tmp_path / "d.zarr", consolidated=False)
    again = xr.open_zarr(tmp_path / "d.zarr", consolidated=False)
    assert "M 31" in again.image.attrs["header"]
    same(again.image.values, np.ones((4, 5)))


# --- many files ----------------------------------------------------------------------------

MANY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import numpy as np
from pulsar_dask import open_frames
with __import__("dask").config.set(scheduler="threads", num_workers=2):
    cube = open_frames(sys.argv[1])
    print(len(cube), int(cube.values.astype("i8").sum()), len(open_frames(sys.argv[1])))
"""


@pytest.mark.parametrize("place", ["primary", *also("tiled")])
def test_hundreds_of_frames_with_few_open_files(tmp_path, place):
    pytest.importorskip("resource")
    total = 0
    for i in range(150):
        total += 12 * 20 * (i % 10)
        if i < 10:
            stored = np.full((12, 20), i, "i2")
            write_frame(tmp_path / f"f{i}.fits", stored, place=place)
        else:
            clone(tmp_path / f"f{i % 10}.fits", tmp_path / f"f{i}.fits", i)
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    count, found, _ = map(int, done.stdout.split())
    assert (count, found) == (150, total)
