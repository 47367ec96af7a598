"""What the notebook's functions are given: as it is meant, or refused by its name; and that they
make the tools' bits."""

from __future__ import annotations

import functools
import inspect
import pydoc

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from helpers import run, same
from night import hottest, noted, pixels, stack, tool, write, write_stack

import pulsar_dask
from pulsar_dask import Search
from pulsar_dask.errors import PulsarError


@pytest.fixture(autouse=True)
def _notes():
    """Small stacks are warned about; that is tested elsewhere."""
    with noted():
        yield


@pytest.fixture
def night(here):
    for folder, kind, seconds, code in (
        ("b", "Bias", 0.0, None),
        ("d", "Dark", 2.0, None),
        ("f", "Flat", 2.0, "V"),
    ):
        level = 900 if kind != "Flat" else 9000
        images = stack(len(folder) + ord(folder), 5, level).astype("f4")
        images[1, 3, 4] = np.nan
        write_stack(here / folder, folder, images, kind, seconds, code)
    return here


# --- the tools' bits -----------------------------------------------------------------------


def bits(a, b):
    """Equal to the last bit, and of one type."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype
    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("method", ["mean", "median"])
def test_the_bits_of_the_tools(night, method):
    how = ("--combine", method, "--planes", "count")
    tool("makedark", "d", "b", "--hot-pixels", 20, *how, cwd=night)
    tool("makeflat", "f", *how, cwd=night)
    tool("med", "d", "med.fit", *how, cwd=night)
    tool("med", "d", "med.zarr", *how, cwd=night)
    python = {"combine": method, "planes": ["count"]}
    made = pulsar_dask.dark_masters("d", "b", **python)
    made = made.merge(pulsar_dask.flat_masters("f", **python), combine_attrs="drop")
    master = pulsar_dask.master("d", **python)
    made["med"], made["med_count"] = master["master"], master["count"]
    assert {"bias", "dark2s", "flat_v", "med"} == {n for n in made if "count" not in n}
    for name in ("bias", "dark2s", "flat_v", "med"):
        bits(made[name], pixels(night / f"{name}.fit"))
        with fits.open(night / f"{name}.planes.fit") as hdus:
            counts = hdus["COUNT"].data
            bits(made[f"{name}_count"], counts.astype("i4"))
        assert counts[3, 4] == 4
        assert counts.sum() == 5 * counts.size - 1
    # the names are those in the store
    with xr.open_zarr(night / "med.zarr") as stored:
        assert set(stored) == set(master)
        for name in stored:
            bits(master[name], stored[name])


# --- planes, combine -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planes", "names"),
    [
        ("all", ["count", "low", "high", "std", "uncertainty", "quality"]),
        ("count", ["count"]),
        ("count, count", ["count"]),
        (("count", "count"), ["count"]),
        (["all"], ["count", "low", "high", "std", "uncertainty", "quality"]),
        (iter(["count"]), ["count"]),
        (None, []),
        ("", []),
        ((), []),
    ],
)
def test_planes_as_on_the_command_line(night, planes, names):
    assert list(pulsar_dask.master("d", planes=planes)) == ["master", *names]


#: Each function and what it cannot do without.
GIVEN = {
    "open_frames": {"spec": "d"},
    "median": {"spec": "d"},
    "master": {"spec": "d"},
    "dark_masters": {"spec": "d"},
    "flat_masters": {"spec": "f", "dark": 0},
    "check_frames": {"spec": "d"},
    "write_cube": {"spec": "d", "path": "c.zarr"},
    "calibrate": {"cube": "d"},
}
FUNCTIONS = {
    name: functools.partial(
        lambda name, given, **more: getattr(pulsar_dask, name)(**given | more), name, given
    )
    for name, given in GIVEN.items()
}
FRAMES = tuple(name for name in FUNCTIONS if name != "calibrate")
COMBINING = ("master", "dark_masters", "flat_masters")
WRONG = {
    "spec": [None, [], (), 5, b"d", [b"d"], [None], [["d"]], True],
    "cube": [None, [], (), 5, b"d", [None], True],
    "kind": ["darks", "", True, 5, ["dark"], "other", np.mean],
    "sequence": ["no", 2, [True], 0.0],
    "recursive": ["no", 2, [True], {}],
    "hdu": [-1, True, "", 1.5, [1]],
    "memory": [True, 0, -1, float("nan"), float("inf"), "2", [2]],
    "threads": [True, 0, -2, 1.5, 2.0, "2"],
    "combine": ["mode", "", None, 5, ["mean"], np.mean],
    "planes": ["colour", ["count", "image"], [5], 5, {"count": 1, None: 2}, "count,"],
    "search": [True, "recursive", {"recursive": True}],
    "bias": [True, [], b"b", [5], float("nan")],
    "dark": [True, [], ["d"], b"d"],
    "hot_pixels": [5, ["c.lst"], b"c.lst"],
    "target": [0, -5, True, "5000", None, float("nan"), float("inf"), [1]],
    "path": [None, b"c.zarr", 5],
}
ONLY = {
    "combine": COMBINING,
    "planes": COMBINING,
    "spec": FRAMES,
    "cube": ("calibrate",),
    "kind": ("open_frames", "median", "master", "check_frames", "write_cube"),
    "bias": ("dark_masters",),
    "dark": ("flat_masters",),
    "hot_pixels": ("flat_masters",),
    "target": ("flat_masters",),
    "path": ("write_cube",),
}


@pytest.mark.parametrize(
    ("function", "name"),
    [(f, name) for name in WRONG for f in ONLY.get(name, FUNCTIONS)],
)
def test_what_is_refused_by_its_name(night, function, name):
    for value in WRONG[name]:
        with pytest.raises(PulsarError) as caught:
            FUNCTIONS[function](**{name: value})
        finite = isinstance(value, float) and name == "bias"
        assert ("finite" if finite else f"`{name}`") in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (night / "c.zarr").exists()


#: What is none of any argument below, but where it is said.
JUNK = (
    [None], {"a": 1}, 1j, object(), np.mean, b"d", float("nan"), "", [5], np.ones(3), -1,
    np.array("d"),
    xr.DataArray(np.ones((2, 2)), dims=("row", "x")),
)  # fmt: skip
#: Other functions: what they cannot do without, and their arguments, by what each does take.
OTHERS = {
    "calibrate": (
        {"cube": "d", "dark": "d/d0001.fit"},
        ("dark", "bias", "flat", "level", "cosme", "by_exposure", "no_bias", "bias_in_dark",
         "one_level", "pedestal"),
    ),
    "library": (
        {"places": "d"},
        ("places", "bias", "flatlog", "flat_future_days", "nearest_dark", "temperature_tolerance",
         "l_flat", "latest", "no_bias", "search"),
    ),
    "to_ccddata": ({"master": None}, ("master", "unit")),
    "to_fits": (
        {"master": None, "path": "o.fit"},
        ("master", "path", "overwrite", "hot_pixels", "memory", "threads", "layout"),
    ),
    "find_inputs": ({"spec": "d"}, ("spec", "sequence", "recursive", "hdu")),
    "scan_frame": ({"path": "d/d0001.fit"}, ("path", "hdu")),
    "check_frames": ({"spec": "d"}, ("saturation",)),
    "Search": (
        {},
        ("sequence", "recursive", "assume_type", "force_type", "exposure", "filter", "hdu", "mix",
         "tolerance", "names", "split_case", "keywords"),
    ),
}  # fmt: skip
#: What is none of the junk there: a negative number of ADU is one, and so is no text no path.
TAKEN = {("calibrate", "pedestal"): (-1,), ("calibrate", "bias"): (-1,), ("library", "bias"): (-1,)}


@pytest.mark.parametrize(
    ("function", "name"), [(f, name) for f, (_, names) in OTHERS.items() for name in names]
)
def test_ten_kinds_of_what_is_none(night, function, name):
    given = dict(OTHERS[function][0])
    if "master" in given:
        given["master"] = pulsar_dask.median("d")
    wrong = [j for j in JUNK if not any(j is t for t in TAKEN.get((function, name), ()))]
    assert len(wrong) > 10
    for value in wrong:
        with pytest.raises(PulsarError) as caught:
            getattr(pulsar_dask, function)(**given | {name: value})
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400
    assert not (night / "o.fit").exists()


@pytest.mark.parametrize("name", ["\0", "é\ud800.fit"])
def test_names_that_no_file_has(night, name):
    for function, place in (("scan_frame", "path"), ("hot_pixels", "master"), ("master", "spec")):
        with pytest.raises(PulsarError):
            getattr(pulsar_dask, function)(**{place: name})
    for role in ("dark", "bias", "flat"):
        with pytest.raises(PulsarError):
            pulsar_dask.calibrate("d", **{"dark": "d/d0001.fit", role: name})


def test_a_library_matches_frames_alone(night):
    masters = pulsar_dask.library("d")
    for value in (*JUNK, "d/d0001.fit", None):
        with pytest.raises(PulsarError, match=r"`light` .*: give a Frame"):
            masters.match(value)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_one_set_of_arguments(function):
    """Each takes them all, and its help shows them."""
    signature = inspect.signature(getattr(pulsar_dask, function))
    shared = ["search", "sequence", "recursive", "hdu", "memory", "threads"]
    assert list(signature.parameters)[-len(shared) :] == shared
    assert all(signature.parameters[name].default is None for name in shared)
    help_text = pydoc.render_doc(getattr(pulsar_dask, function))
    assert all(f"{name}: " in help_text for name in shared)
    for wrong, says in (
        ({"recusive": True}, rf"^{function} takes no 'recusive'; did you mean `recursive`\?"),
        ({"zzz": 1}, rf"^{function} takes no 'zzz': it takes (spec|cube), "),
    ):
        with pytest.raises(PulsarError, match=says):
            FUNCTIONS[function](**wrong)
    with pytest.raises(PulsarError, match=rf"^{function}: missing a required argument"):
        getattr(pulsar_dask, function)()


def test_what_is_given_by_name_wins_over_the_search(night):
    write(night / "d" / "deeper" / "x1.fit", stack(1, 1, 900)[0], "Dark", 2.0)
    found = pulsar_dask.open_frames("d", search=Search(recursive=True))
    assert found.sizes["frame"] == 6
    assert pulsar_dask.open_frames("d", recursive=True).sizes["frame"] == 6
    assert (
        pulsar_dask.open_frames("d", recursive=False, search=Search(recursive=True)).sizes["frame"]
        == 5
    )
    one = pulsar_dask.dark_masters("d/d0001.fit", sequence=False)
    same(one.dark2s.values, pixels(night / "d" / "d0001.fit"))
    forced = Search(force_type=True, exposure=7.0)
    assert list(pulsar_dask.dark_masters("b", search=forced)) == ["dark7s"]
    again = pulsar_dask.open_frames("b", kind="dark", search=forced)
    assert set(again.kind.values) == {"dark"}
    assert set(again.exposure.values) == {7.0}


def test_what_numpy_gives_is_taken(night):
    paths = np.array(sorted(map(str, (night / "d").iterdir())))
    more = {"memory": np.float32(2), "threads": np.int64(2)}
    same(
        pulsar_dask.median(paths, **more).values,
        pulsar_dask.dark_masters("d", np.int16(0), search=None).dark2s.values,
    )
    assert pulsar_dask.flat_masters("f", np.int32(500), dark=np.float64(1)).flat_v.size


def test_a_search_of_a_wrong_tolerance():
    for value in (-1, True, "0.1", float("nan"), float("inf")):
        with pytest.raises(PulsarError, match=r"`tolerance` .*: give seconds"):
            pulsar_dask.Search(tolerance=value)


def test_the_command_line_takes_planes_as_before(night):
    tool("med", "d", "m.fit", "--planes", "count, count", cwd=night)
    for wrong in ("colour", "count,", "image"):
        err = run("med", "d", "m.fit", "--planes", wrong, cwd=night, status=2).stderr
        assert "is none of count, low, high, std, uncertainty, quality; all takes" in err


# --- hot pixels ----------------------------------------------------------------------------


def found(array, count):
    hot = pulsar_dask.hot_pixels(array, count)
    if isinstance(array, xr.DataArray):
        there = array.load().isel(x=hot.x, y=hot.y)
        same(hot.value.values, there.max("plane") if "plane" in there.dims else there)
        assert hot.value.dtype == np.float64
    assert list(hot.value.values) == sorted(hot.value.values, reverse=True)
    return list(zip(hot.x.values.tolist(), hot.y.values.tolist(), strict=True))


@pytest.mark.few
@pytest.mark.parametrize("chunks", [None, {"y": 5, "x": 4}, {"y": (1, 7, 5), "x": (2, 6, 1, 8)}])
@pytest.mark.parametrize("count", [0, 1, np.int64(30), 10_000])
def test_hot_pixels_whatever_the_order_of_axes(chunks, count):
    image = np.random.default_rng(0).integers(0, 50, (13, 17)).astype("f8")
    image[3, 4] = np.nan
    planes = np.stack([image, image[::-1], image * 2])
    for array, truth in (
        (xr.DataArray(image, dims=("y", "x")), hottest(image, count)),
        (xr.DataArray(planes, dims=("plane", "y", "x")), hottest(planes, count)),
    ):
        array = array if chunks is None else array.chunk(chunks)
        for dims in {array.dims, array.dims[::-1], (*array.dims[1:], array.dims[0])}:
            assert found(array.transpose(*dims), count) == truth


@pytest.mark.parametrize("dtype", ["?", "u1", ">i2", "u8", "f4", ">f8"])
def test_hot_pixels_of_real_numbers(dtype):
    image = (np.arange(12).reshape(3, 4) % 5).astype(dtype)
    assert found(xr.DataArray(image, dims=("y", "x")), 7) == hottest(image.astype("f8"), 7)


def test_hot_pixels_of_a_window(here):
    """They are told by their places in the whole frame, and their values have the unit."""
    write(here / "m.fit", stack(1, 1, 500)[0], "Dark", 1.0)
    whole = pulsar_dask.open_frames("m.fit").isel(frame=0)
    part = whole.isel(y=slice(5, 20), x=slice(7, 30))
    hot = pulsar_dask.hot_pixels(part, 6)
    truth = hottest(
        np.where((whole.y >= 5) & (whole.y < 20) & (whole.x >= 7) & (whole.x < 30), whole, np.nan),
        6,
    )
    assert list(zip(hot.x.values.tolist(), hot.y.values.tolist(), strict=True)) == truth
    same(part.sel(x=hot.x, y=hot.y).values, hot.value.values)
    assert hot.value.attrs == {"units": "adu"}


IMAGE = xr.DataArray(np.arange(12.0).reshape(3, 4), dims=("y", "x"))


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (IMAGE.expand_dims("band"), r"`master` has the dims \(band, y, x\); give \(y, x\)"),
        (IMAGE.expand_dims("frame", -1), r"`master` has the dims \(y, x, frame\)"),
        (IMAGE.rename(y="row"), r"`master` has the dims \(row, x\)"),
        (xr.DataArray(np.ones((2, 3))), r"`master` has the dims \(dim_0, dim_1\)"),
        (IMAGE[0], r"`master` has the dims \(x\)"),
        (IMAGE[0, 0], r"`master` has the dims \(\)"),
        (IMAGE[:0], r"`master` is empty \(4 x 0 pixels\)"),
        (IMAGE.expand_dims("plane")[:0], r"`master` is empty"),
        (IMAGE * 1j, r"`master` has values of type complex128; give real numbers"),
        (IMAGE.astype(str), r"`master` has values of type <U"),
        (IMAGE.astype("M8[ns]"), r"`master` has values of type datetime64"),
        (IMAGE.astype(object), r"`master` has values of type object"),
        (IMAGE.to_dataset(name="a"), r"`master` is a Dataset .*\(a\)"),
        (IMAGE.values, r"`master` is of type ndarray"),
        (da.ones((2, 2)), r"`master` is of type Array"),
        (None, r"`master` is of type NoneType"),
        (b"m.fit", r"`master` is of type bytes"),
        (["m.fit"], r"`master` is of type list"),
    ],
)
def test_hot_pixels_of_what_is_no_image(array, says):
    with pytest.raises(PulsarError, match=says):
        pulsar_dask.hot_pixels(array)


@pytest.mark.parametrize("count", [-1, 1.5, 2.0, True, "10", None, float("nan"), [1]])
def test_hot_pixels_of_no_number(count):
    with pytest.raises(PulsarError, match=r"`count` .*: give how many pixels as a whole number"):
        pulsar_dask.hot_pixels(IMAGE, count)


def test_hot_pixels_of_a_file(here):
    write(here / "d" / "m1.fit", stack(1, 1, 500)[0], "Dark", 1.0)
    write(here / "d" / "m2.fit", stack(2, 1, 500)[0], "Dark", 1.0)
    truth = hottest(stack(1, 1, 500)[0], 9)
    assert found("d/m1.fit", 9) == found(here / "d" / "m1.fit", 9) == truth
    tool("med", "d/m1.fit", "--no-sequence", "m.zarr", cwd=here)
    assert found("m.zarr", 9) == truth
    with pytest.raises(PulsarError, match=r"^d: a folder; name one image"):
        pulsar_dask.hot_pixels("d")
    for name in ("none.fit", "d/m*.fit", "@list.txt", ""):
        with pytest.raises(PulsarError):
            pulsar_dask.hot_pixels(name)
