"""Calibrated lights against the formula in NumPy float64, bit for bit."""

from __future__ import annotations

import tempfile
import warnings
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from helpers import STORED, images, same, scalings, values, write_frame
from hypothesis import given, settings
from hypothesis import strategies as st
from night import XTRANS, colour_map, corrected

from pulsar_dask.errors import PulsarError, PulsarWarning
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.frames.colour import colours_of
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.masters.calibration import Calibration
from pulsar_dask.masters.flatlook import in_small_areas
from pulsar_dask.masters.light import light_recipe, light_tile
from pulsar_dask.masters.lightband import Light
from pulsar_dask.masters.lightfit import fit


def made(light, calibration, height=5, width=7, **more):
    """All pixels of a light, computed in tiles of so many rows and columns."""
    colours = colours_of(light)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PulsarWarning)  # of a colour without light
        found = fit(calibration, light.shape, colours, gigabytes=None)
    job = Light(light, calibration, found, **more)
    out = np.empty(light.shape)
    planes = out.reshape(-1, *light.shape[-2:])
    for _, tile in Grid(light.shape, height, width):
        part = slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width)
        image = light_tile(tile, job)["image"]
        planes[tile.plane][part] = image
        once = light_tile(tile, job, "float32")
        with np.errstate(over="ignore"):
            same(once["image"], image.astype("f4"))
        assert once["tally"] == (once["tally"][0], np.isnan(image).sum())
    return out


def small_areas(bad, kind):
    """Bad pixels in areas of fewer than nine that touch within one colour, by walking."""
    seen, small = np.zeros(bad.shape, bool), np.zeros(bad.shape, bool)
    for start in map(tuple, np.argwhere(bad)):
        if seen[start]:
            continue
        area, left = [start], deque([start])
        seen[start] = True
        while left:
            y, x = left.popleft()
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    a, b = y + dy, x + dx
                    inside = 0 <= a < bad.shape[0] and 0 <= b < bad.shape[1]
                    if inside and bad[a, b] and not seen[a, b] and kind[a, b] == kind[y, x]:
                        seen[a, b] = True
                        area.append((a, b))
                        left.append((a, b))
        for place in area:
            small[place] = len(area) < 9
    return small


def oracle(r, b, d, f, *, holds, k, level, one, floor, pattern, listed, pedestal):
    """C1, written down."""
    kind = np.zeros(r.shape, int)
    if pattern == "quad":
        y, x = np.indices(r.shape)
        kind = 2 * (y % 2) + x % 2
    elif pattern == "xtrans":
        kind = np.searchsorted(sorted("BGR"), colour_map(r.shape, XTRANS))
    with np.errstate(all="ignore"):
        if d is None:
            c = r - b if b is not None else r
        elif holds and (k == 1 or b is None):
            c = r - d
        else:
            own = d - b if holds else d
            c = (r - b if b is not None else r) - (own if k == 1 else k * own)
        masters = [m for m in (d, b if d is None or not holds or k != 1 else None) if m is not None]
        bad, unlit = np.zeros((2, *r.shape), bool)
        for master in masters:
            bad |= np.isnan(np.broadcast_to(master, r.shape))
        if f is not None:
            m = np.empty(r.shape)
            whole = np.nanmedian(f)
            for colour in np.unique(kind):
                own = np.nanmedian(f[kind == colour])
                if level is not None:
                    m[kind == colour] = level if one or pattern is None else level * own / whole
                else:
                    m[kind == colour] = whole if one else own
                if own <= 0:  # a colour without light has no value, and no area is filled
                    unlit |= kind == colour
                    continue
                bad |= (kind == colour) & ~(f > floor * own)
            c = (c * m) / f
    if pattern == "quad":
        small = np.zeros(r.shape, bool)
        for y in (0, 1):
            for x in (0, 1):
                part = bad[y::2, x::2]
                small[y::2, x::2] = small_areas(part, np.zeros(part.shape, int))
    else:
        small = small_areas(bad, kind)
    c[bad | unlit] = np.nan
    replaced = {(x, y) for y, x in np.argwhere(small)} | listed
    for x, y in replaced:
        c[y, x] = np.nan
    step = 2 if pattern == "quad" else 1
    c = corrected(c, replaced, step, XTRANS if pattern == "xtrans" else None)
    return c + pedestal if pedestal else c


CARDS = {None: {}, "quad": {"BAYERPAT": "RGGB"}, "xtrans": {"BAYERPAT": XTRANS}}


@st.composite
def nights(draw):
    shape = draw(st.sampled_from([(1, 1), (9, 14), (13, 8), (7, 31)]))
    found = {}
    for role in ("light", "bias", "dark"):
        plain = role != "light" and draw(st.booleans())  # as masters mostly are
        bitpix = -32 if plain else draw(st.sampled_from(list(STORED)))
        cards = {} if plain else draw(scalings(bitpix))
        found[role] = draw(images(STORED[bitpix], shape)), cards
    flat = np.random.default_rng(draw(st.integers(0, 99))).uniform(50, 150, shape)
    for y, x in draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12)):
        flat[y % shape[0], x % shape[1]] = draw(st.sampled_from([0.0, -5.0, np.nan, 0.4]))
    if draw(st.booleans()):
        flat[: shape[0] // 2, : shape[1] // 3] = 0
    found["flat"] = flat.astype("f4"), {}
    return found


@settings(max_examples=80, deadline=None)
@given(
    nights(),
    st.sampled_from([None, "quad", "xtrans"]),
    st.sampled_from(["frame", 100.5, None]),
    st.sampled_from([None, True, False]),
    st.booleans(),
    st.sampled_from([1.0, 0.4, 3.0]),
    st.sampled_from([None, 5000.0]),
    st.booleans(),
    st.sets(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=9),
    st.sampled_from([0.0, 100.0]),
    st.tuples(st.integers(1, 9), st.integers(1, 16)),
)
def test_the_formula(night, pattern, bias, dark, flat, k, level, one, listed, pedestal, tile):
    with tempfile.TemporaryDirectory() as folder:
        frames, truth = {}, {}
        for role, (stored, cards) in night.items():
            path = write_frame(Path(folder) / f"{role}.fit", stored, cards=CARDS[pattern], **cards)
            frames[role], truth[role] = scan_frame(path), values(stored, **cards)
        rows, columns = frames["light"].shape
        f = truth["flat"]
        listed = {(x, y) for x, y in listed if x < columns and y < rows}
        lists = ()
        if listed:
            lists = (str(Path(folder) / "bad.lst"),)
            Path(lists[0]).write_text("".join(f"P {x} {y}\n" for x, y in listed))
        if dark is True and bias is None:
            k = 1.0
        c = Calibration(
            bias=frames["bias"] if bias == "frame" else bias,
            dark=frames["dark"] if dark is not None else None,
            dark_holds_bias=bool(dark),
            flat=frames["flat"] if flat else None,
            level=level,
            one_level=one,
            lists=lists,
            scale=k,
            pedestal=pedestal,
        )
        light = frames["light"]
        with np.errstate(invalid="ignore"):
            colours = colours_of(light)
        kinds = [f] if colours is None else [f[m] for m in _masks(f.shape, colours)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            sound = np.nanmedian(f) > 0 and any(np.nanmedian(x) > 0 for x in kinds if x.size)
        if flat and not sound:
            with pytest.raises(PulsarError, match="no flat"):
                made(light, c)
            return
        right = oracle(
            truth["light"].copy(),
            truth["bias"] if bias == "frame" else bias,
            truth["dark"] if dark is not None else None,
            f if flat else None,
            holds=bool(dark),
            k=k,
            level=level,
            one=one,
            floor=0.01,
            pattern=pattern,
            listed=listed,
            pedestal=pedestal,
        )
        same(made(light, c, *tile), right)


def _masks(shape, colours):
    cells = np.array(colours.cells)
    tiled = np.tile(cells, (-(-shape[0] // len(cells)), -(-shape[1] // len(cells))))
    tiled = tiled[: shape[0], : shape[1]]
    return [tiled == n for n in range(colours.count)]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.3, 0.5])
def test_small_areas_of_bad_pixels(share):
    for seed in range(5):
        bad = np.random.default_rng(seed).random((23, 31)) < share
        places = np.flatnonzero(bad)
        right = small_areas(bad, np.zeros(bad.shape, int)).ravel()[places]
        same(in_small_areas(places, bad.shape), right)


def test_the_recipe_says_what_it_does(tmp_path):
    path = write_frame(tmp_path / "light.fit", np.full((4, 5), 900, "i2"))
    dark = write_frame(tmp_path / "dark.fit", np.full((4, 5), 30, "i2"))
    c = Calibration(
        bias=500.0, dark=scan_frame(dark), scale=0.5, scaled="by exposure, 60 s of 120 s"
    )
    light = Light(scan_frame(path), c, fit(c, (4, 5), None, gigabytes=None))
    (product,) = light_recipe(light, "out.fit", "float32").products
    assert list(map(str, product.steps)) == [
        "each pixel ((R - B) - k*D)",
        "minus the constant 500",
        "k = 0.5, by exposure, 60 s of 120 s",
    ]
