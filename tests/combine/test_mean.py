"""The mean: exact for integers, in the order of the frames for the rest; as a way to combine it
goes through every tool, a cluster, verify and the notebook."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from helpers import OTHER_SIGN, STORED, images, same, scalings, values
from hypothesis import given
from hypothesis import strategies as st
from night import SHAPE, pixels, stack, tool, write_stack

import pulsar_dask
from pulsar_dask import combine
from pulsar_dask.errors import PulsarError
from pulsar_dask.kernels.mean import mean
from pulsar_dask.kernels.pixels import PixelType


def exact_mean(stack):
    """Of integers with Python's whole numbers, rounded once; of floats one after the other."""
    result = np.full(stack.shape[1], np.nan)
    for i, column in enumerate(stack.T):
        there = [v for v in column.tolist() if v - v == 0]
        if not there:
            continue
        if all(isinstance(v, int) for v in there):
            result[i] = np.float64(sum(there)) / len(there)
            continue
        total = 0.0
        for v in there:
            total += v
        result[i] = total / len(there) if np.isfinite(total) else sum(v / len(there) for v in there)
    return result


def physical(stored, pixels, cards):
    """Values as the oracle takes them: whole numbers where they are."""
    truth = values(stored, **cards)
    if pixels.floating or pixels.scaled or pixels.bitpix == 64:
        return truth
    whole = truth.astype(object)
    for place in np.ndindex(whole.shape):
        whole[place] = int(truth[place]) if np.isfinite(truth[place]) else float("nan")
    return whole


@given(st.data())
def test_any_stack(data):
    bitpix = data.draw(st.sampled_from(sorted(STORED)))
    cards = data.draw(scalings(bitpix))
    frames, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 9))
    stored = data.draw(images(STORED[bitpix], (frames, width)))
    pixels = PixelType(bitpix, **cards)
    truth = exact_mean(physical(stored, pixels, cards))
    there = np.isfinite(values(stored, **cards)).sum(axis=0)
    for order in (">", "="):
        same_order = np.ascontiguousarray(stored.astype(stored.dtype.newbyteorder(order)))
        for compiled in (True, False):
            result, counts = mean(same_order, pixels, compiled=compiled)
            same(result, truth)
            if counts is None:
                assert (there == frames).all()
            else:
                same(counts, there)


@pytest.mark.parametrize("other_sign", [False, True])
@pytest.mark.parametrize("bitpix", sorted(OTHER_SIGN))
def test_blank_in_every_type(bitpix, other_sign):
    stored = np.random.default_rng(bitpix).integers(0, 3, (5, 40)).astype(STORED[bitpix])
    stored[:, 7] = 1
    cards = {"blank": 1} | ({"bzero": OTHER_SIGN[bitpix]} if other_sign else {})
    pixels = PixelType(bitpix, **cards)
    truth = exact_mean(physical(stored, pixels, cards))
    assert np.isnan(truth[7])
    for compiled in (True, False):
        result, counts = mean(stored.astype(pixels.stored), pixels, compiled=compiled)
        same(result, truth)
        same(counts, (stored != 1).sum(axis=0))


@pytest.mark.parametrize("bitpix", [8, 16, 32])
def test_extremes_of_many_frames(bitpix):
    """Sums that go beyond 32 bits."""
    info = np.iinfo(STORED[bitpix])
    for value in (info.min, info.max):
        stored = np.full((70_000, 3), value, STORED[bitpix])
        for compiled in (True, False):
            assert mean(stored, PixelType(bitpix), compiled=compiled)[0].tolist() == [value] * 3


def test_a_sum_beyond_float64():
    big = np.full((4, 3), 1.7e308)
    for compiled in (True, False):
        same(mean(big, PixelType(-64), compiled=compiled)[0], np.full(3, 1.7e308))


def test_the_methods_there_are():
    assert {"mean", "median"} <= set(combine.names())
    for name in combine.names():
        assert combine.method(name).name == name
    with pytest.raises(ValueError, match="'mode' is not a way to combine"):
        combine.method("mode")
    with pytest.raises(ValueError, match="sigma"):
        combine.method("mean", {"sigma": 3.0})


# --- in the tools ----------------------------------------------------------------------------


@pytest.fixture
def night(here):
    frames = {"b": stack(1, 7, 300), "d": stack(2, 6, 500), "f": stack(3, 5, 20000)}
    write_stack(here / "b", "b", frames["b"], "Bias")
    write_stack(here / "d", "d", frames["d"], "Dark", 1.0)
    write_stack(here / "f", "f", frames["f"], "Flat", 1.0, "V")
    return frames


def check_night(folder, frames):
    bias = frames["b"].astype("f8").mean(0).astype("f4")
    dark = (frames["d"].astype("f8").mean(0) - bias).astype("f4")
    same(pixels(folder / "bias.fit"), bias)
    same(pixels(folder / "dark1s.fit"), dark)
    for name in ("bias", "dark1s", "flat_v"):
        with fits.open(folder / f"{name}.fit") as hdus:
            assert len(hdus) == 1
            assert hdus[0].header["COMBMETH"] == "mean"
        with fits.open(folder / f"{name}.planes.fit", checksum=True) as hdus:
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "COUNT"]
            frames_of = {"bias": 7, "dark1s": 6, "flat_v": 5}[name]
            assert hdus[1].data.dtype.newbyteorder("=") == np.int32
            assert (hdus[1].data == frames_of).all()


def options(*more):
    return ("--combine", "mean", "--planes", "count", *more)


def test_every_tool_and_verify(here, night):
    tool("makedark", "d", "b", *options(), cwd=here)
    tool("makeflat", "f", "--cosme", "cosme1s.lst", *options(), cwd=here)
    check_night(here, night)
    out, _ = tool("verify", ".", "--all", cwd=here)
    assert out.count("computed again are the same") == 6
    tool("med", "b", "m.fit", *options(), cwd=here)
    same(pixels(here / "m.fit"), night["b"].astype("f8").mean(0).astype("f4"))
    # a second run finds no frames in masters and planes
    tool("med", ".", "--recursive", "again.fit", cwd=here)
    assert fits.getheader(here / "again.fit")["NCOMBINE"] == 18


def test_a_plane_that_was_changed(here, night):
    tool("med", "b", "m.fit", *options(), cwd=here)
    with fits.open(here / "m.planes.fit", mode="update") as hdus:
        hdus[1].data[3, 4] += 1
        hdus[1].add_checksum()
    out, _ = tool("verify", "m.planes.fit", "--all", cwd=here, status=1)
    assert f"1 of {np.prod(SHAPE)} pixels that were computed again differ" in out
    _, err = tool("med", "b", "m.fit", *options(), cwd=here, status=1)
    assert "m.planes.fit was changed" in err


@pytest.mark.more
def test_on_workers(here, night, cluster):
    there = ("--scheduler", cluster.address)
    tool("makedark", "d", "b", *options(*there), cwd=here)
    tool("makeflat", "f", "--cosme", "cosme1s.lst", *options(*there), cwd=here)
    check_night(here, night)
    tool("med", "b", "m.zarr", *options(*there), cwd=here)
    master = pulsar_dask.master(here / "b", "mean", planes=("count",))
    import xarray as xr

    stored = xr.open_zarr(here / "m.zarr")
    same(stored["master"].values, master.master.values)
    same(stored["count"].values, master["count"].values)


def test_missing_values_are_counted(here):
    frames = stack(0, 5, 300).astype("f4")
    frames[2, 3, 4] = np.nan
    frames[:, 0, 0] = np.inf
    write_stack(here / "b", "b", frames, "Bias")
    for method in ("mean", "median"):
        tool("med", "b", f"{method}.fit", "--combine", method, "--planes", "all", cwd=here)
        with fits.open(here / f"{method}.planes.fit") as hdus:
            same(hdus["COUNT"].data, np.isfinite(frames).sum(axis=0))
        lazy = pulsar_dask.master(here / "b", method, planes=("count",))
        same(lazy.master.values, pixels(here / f"{method}.fit"))
        same(lazy["count"].values, np.isfinite(frames).sum(axis=0))


def test_what_the_command_line_refuses(here, night):
    for words in (("--combine", "mode"), ("--planes", "colour")):
        _, err = tool("med", "b", "m.fit", *words, cwd=here, status=2)
        assert words[1] in err
    with pytest.raises(PulsarError, match="`planes`: 'colour' is none of count"):
        pulsar_dask.master(here / "b", planes=("colour",))
    with pytest.raises(PulsarError, match="`combine`: 'mode' is not a way"):
        pulsar_dask.dark_masters(here / "d", combine="mode")
