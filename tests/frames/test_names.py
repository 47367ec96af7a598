"""What the names of files and folders tell, where no card does."""

from __future__ import annotations

import pytest

from pulsar_dask.frames.keywords import about
from pulsar_dask.frames.names import kind_in_name, master_in_name


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("Flat_520.0ms_Bin1_H_gain0_20240707-002348_-10.0C_0001.fit", "flat"),
        ("Dark_60.0s_Bin1_gain100_20240707-002348_-10.0C_0001.fit", "dark"),
        ("Dark_ISO800_60s__20C.fit", "dark"),
        ("dark120_003.fit", "dark"),
        ("Dark-60s-001.fits.gz", "dark"),
        ("Dark_2024-07-07T00-23-48.fit", "dark"),
        ("Dark Frame 001.fit", "dark"),
        ("bias (001).fits", "bias"),
        ("offset30.fit", "bias"),
        ("flat-R-001.fit", "flat"),
        ("PLU_V_003.fit", "flat"),
        ("dark_flat_0001.fit", "dark"),
        ("flat.dark.001.fit", "dark"),
        ("FlatDark_001.fit", "dark"),
        ("DARK/2024-07-07_00-23-48_L_-10.00_60.00s_0001.fits", "dark"),
        ("BIAS/2024-07-07_00-23-48__-10.00_0.00s_0001.fits", "bias"),
        ("Flats/IMG_0001.fits", "flat"),
        ("flats/lum_001.fit", "flat"),
        # nothing is told
        ("dark_nebula.fit", None),
        ("darkness_001.fit", None),
        ("bias_dark_1.fit", None),
        ("flat_bias.fit", None),
        ("mydark_001.fit", None),
        ("IMG_0001.fit", None),
        ("lum_001.fit", None),
        ("exposure_60s_001.fit", None),
        ("lights/dark_nebula.fit", None),
        ("old darks/0001.fit", None),
    ],
)
def test_kinds(path, kind):
    assert (kind_in_name(f"/night/{path}") or (None,))[0] == kind


def test_a_card_comes_before_a_name():
    found = about({"IMAGETYP": "Light"}, "/night/darks/dark_60s_001.fit")
    assert (found.kind, found.exposure, found.remarks) == ("light", None, ())
    found = about({"IMAGETYP": "Odd"}, "/night/dark_001.fit")
    assert (found.kind, found.label) == ("other", "Odd")
    found = about({"EXPTIME": 30.0}, "/night/dark_60s_001.fit")
    assert (found.kind, found.exposure) == ("dark", 30.0)


def test_what_a_name_tells_is_said():
    found = about({}, "/night/Flat_520.0ms_Bin1_H_gain0_0001.fit")
    assert (found.kind, found.exposure, found.filter) == ("flat", 0.52, "H")
    assert [found.origin(what) for what in ("kind", "exposure", "filter")] == [
        "the name of the file"
    ] * 3
    assert len(found.remarks) == 3
    found = about({}, "/night/DARK/x.fit")
    assert (found.kind, found.origin("kind")) == ("dark", "the name of its folder")
    assert about({"FILTER": "None"}, "/night/flat_H_001.fit").filter is None


@pytest.mark.parametrize(
    "name",
    [
        "MasterDark.fit",
        "masterFlat_R.fits",
        "dark_stacked.fit",
        "Dark_Stack20_60.0s.fit",
        "dark_exp_60.000000_gain_60_bin_1_20C_stack_8.fits",
        "dark60s.fit",
        "dark60000ms.fits.gz",
        "flat_r.fit",
        "Flat_R.fit",
        "bias.fit",
    ],
)
def test_masters(name):
    assert master_in_name(f"/night/{name}", 60.0, "Red") is not None
    found = about({"IMAGETYP": "Dark", "EXPTIME": 60.0, "FILTER": "R"}, f"/night/{name}")
    assert found.master
    assert not found.surely


@pytest.mark.parametrize(
    "name",
    [
        "dark_001.fit",
        "dark120_003.fit",
        "dark60s_0001.fit",
        "dark120s.fit",
        "dark60.fit",
        "flat_g.fit",
        "flat_r_001.fit",
        "bias_0001.fit",
        "bias1.fit",
        "stack_1.fit",
        "haystack_8.fit",
        "unstacked_3.fit",
        "my_master.fit",
    ],
)
def test_raw_frames_are_no_masters(name):
    assert master_in_name(f"/night/masters/{name}", 60.0, "R") is None
