"""A user's table of keywords: tools read, sort and name by it, from wherever it is found."""

from __future__ import annotations

import sys

import pytest
from helpers import names, run, same
from night import median64, noted, pixels, stack, write

import pulsar_dask
from pulsar_dask.masters.search import Search

SHAPE = (6, 8)
TABLE = """
[kind.words]
dark = ["oscuro"]
flat = ["campo plano"]
[exposure.keywords]
INTTIME = { unit = "ms" }
[filter.words]
h = ["H alpha 7nm"]
[settings.chip]
CHIP = { name = "chip{}" }
"""


@pytest.fixture
def chips(tmp_path):
    """Two chips of a mosaic, by chip; flats of another spelling; and the table."""
    chips = {n: stack(n, 3, 500 * n, shape=SHAPE) for n in (1, 2)}
    for n, images in chips.items():
        for i, image in enumerate(images):
            write(tmp_path / f"f/o{n}_{i}.fit", image, "Oscuro", None, INTTIME=2500, CHIP=n)
    for i, image in enumerate(stack(3, 3, 9000, shape=SHAPE)):
        write(tmp_path / f"f/p{i}.fit", image, "Campo plano", 2.0, FILTER="H alpha 7nm")
    (tmp_path / "ours.toml").write_text(TABLE, encoding="utf-8")
    return chips


def check(folder, chips):
    assert {n for n in names(folder) if n.startswith("dark")} == {
        f"dark2500ms_chip{n}.fit" for n in chips
    }
    for n, images in chips.items():
        same(pixels(folder / f"dark2500ms_chip{n}.fit"), median64(images).astype("f4"))


def test_settings_and_filters_of_a_table_sort_and_name(tmp_path, chips):
    run("makedark", "f", "--keywords", "ours.toml", cwd=tmp_path)
    check(tmp_path, chips)
    run("makeflat", "f", "--keywords", "ours.toml", "--dark", 0, cwd=tmp_path)
    assert (tmp_path / "flat_h.fit").exists()
    out = run("frames", "f", "--keywords", "ours.toml", cwd=tmp_path).stdout
    assert "dark2500ms_chip2.fit: 3 frames" in out
    assert "flat_h.fit: 3 frames" in out


@pytest.mark.skipif(sys.platform != "linux", reason="where the folder of settings is")
def test_a_table_that_is_always_found(tmp_path, chips):
    found = {"XDG_CONFIG_HOME": str(tmp_path / "settings")}
    folder = tmp_path / "settings/pulsar-dask"
    folder.mkdir(parents=True)
    (tmp_path / "ours.toml").rename(folder / "keywords.toml")
    run("makedark", "f", cwd=tmp_path, variables=found)
    check(tmp_path, chips)
    said = run("verify", "dark2500ms_chip1.fit", cwd=tmp_path, variables=found).stdout
    assert "its cards were read by the table settings/pulsar-dask/keywords.toml" in said
    (folder / "keywords.toml").write_text("[kidn]")
    failed = run("makedark", "f", cwd=tmp_path, status=1, variables=found)
    assert "keywords.toml: there is no section [kidn]" in failed.stderr


def test_words_of_a_table_can_be_mixed(tmp_path, chips):
    failed = run("makedark", "f", "--mix", "chip", cwd=tmp_path, status=2)
    assert "'chip' is no setting" in failed.stderr
    run("makedark", "f", "--mix", "chip", "--keywords", "ours.toml", cwd=tmp_path)
    assert (tmp_path / "dark2500ms.fit").exists()


def test_a_notebook_takes_a_table(tmp_path, chips):
    search = Search(keywords=tmp_path / "ours.toml")
    with noted():
        darks = pulsar_dask.dark_masters(tmp_path / "f", search=search)
        flats = pulsar_dask.flat_masters(tmp_path / "f", dark=0, search=search)
    assert sorted(darks) == ["dark2500ms_chip1", "dark2500ms_chip2"]
    assert list(flats) == ["flat_h"]
    same(darks["dark2500ms_chip1"].to_numpy(), median64(chips[1]).astype("f4"))


def test_the_way_out_is_told(tmp_path, chips):
    failed = run("makedark", "f", cwd=tmp_path, status=1)
    assert "6 with IMAGETYP 'Oscuro'" in failed.stderr
    assert "a table for --keywords says what words of your own mean" in failed.stderr
