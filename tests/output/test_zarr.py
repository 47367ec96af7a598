"""Stacks and masters in Zarr stores: the same values, whole or told, resumed, in parallel."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from astropy.io import fits
from clusters import cluster_in, ended, under_way, until
from distributed import Client
from few import also
from helpers import command, names, one_line, run, same, write_frame
from masters import DTYPES, as_type
from night import Night, noted, pixels
from stores import begun, replaced, truth, with_datasum, write_frames

import pulsar_dask
from pulsar_dask.errors import PulsarError
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.output.ours import is_ours
from pulsar_dask.output.zarrstore import ZarrMaster


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    Night(folder)
    return folder


_OF_THE_MOMENT = ("DATE", "CHECKSUM", "DATASUM", "")


def headers(path: Path) -> list[str]:
    """Cards of a master, but for those of the moment and the pixels, and blank ones: how many
    fill a block depends on the length of paths."""
    from astropy.io import fits

    cards = fits.getheader(path).cards
    return [str(c) for c in cards if c.keyword not in _OF_THE_MOMENT]


def stacks(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    integers = {
        f"{kind}{extra}": {"stored": rng.integers(-90, 90, (4, 33, 47)).astype(kind), **cards}
        for kind in ("i2", "i4", "i8")
        for extra, cards in (("", {}), ("u", {"bzero": 2 ** (8 * int(kind[1]) - 1)}))
    }
    floats = rng.normal(0, 9, (4, 2, 33, 47))
    floats[0, 0, :5] = np.nan
    floats[:, 1, 7, 8] = np.inf
    return integers | {
        "u1": {"stored": rng.integers(0, 200, (3, 33, 47)).astype("u1")},
        "i1": {"stored": rng.integers(0, 200, (3, 33, 47)).astype("u1"), "bzero": -128},
        "f4 planes": {"stored": floats.astype("f4")},
        "f8 planes": {"stored": floats},
        "zeros": {"stored": np.zeros((3, 33, 47), "i2")},
        "blank": {"stored": rng.integers(-2, 2, (5, 33, 47)).astype("i2"), "blank": 1},
    }


FIRST = ("i2u", "u1", "f4 planes", "blank")


@pytest.mark.filterwarnings("ignore:.*the frames differ")
@pytest.mark.parametrize(
    "name", [*FIRST, *also(*(n for n in stacks(np.random.default_rng(0)) if n not in FIRST))]
)
def test_any_type(tmp_path, name):
    stack = stacks(np.random.default_rng(0))[name]
    for i, image in enumerate(stack.pop("stored")):
        write_frame(tmp_path / f"f{i}.fit", image, cards={"EXPTIME": 1.5 * i, "GAIN": i}, **stack)
    truth = pulsar_dask.open_frames(tmp_path)
    pulsar_dask.write_cube(tmp_path, tmp_path / "c.zarr", threads=2)
    dataset = xr.open_zarr(tmp_path / "c.zarr")
    assert dataset.attrs["complete"] is True
    assert dataset.frames.dims == truth.dims
    assert dataset.frames.dtype == truth.dtype
    same(dataset.frames, truth)
    assert dataset.frames.attrs == truth.attrs
    for key, values in truth.coords.items():
        np.testing.assert_array_equal(dataset[key].values, values.values)
    assert all(f"GAIN    = {i:20}" in str(dataset.header.values[i]) for i in range(len(truth)))
    again = pulsar_dask.open_frames(tmp_path / "c.zarr")
    same(again, truth)
    assert again.dtype == truth.dtype
    assert again.file.values.tolist() == truth.file.values.tolist()
    same(pulsar_dask.median(tmp_path / "c.zarr"), pulsar_dask.median(tmp_path))
    assert pulsar_dask.median(tmp_path / "c.zarr").dtype == pulsar_dask.median(tmp_path).dtype


def test_every_tool_takes_a_cube(night, tmp_path):
    for what in ("darks", "flats", "bias0*.fit"):
        with noted():  # of a light frame among them
            pulsar_dask.write_cube(night / what, tmp_path / f"{what.split('0')[0]}.zarr")
    for folder, (bias, darks, flats) in {
        "files": (night / "bias0*.fit", night / "darks", night / "flats"),
        "cubes": ("bias.zarr", "darks.zarr", "flats.zarr"),
    }.items():
        out = ("--output-dir", folder)
        run("makedark", darks, bias, *out, cwd=tmp_path)
        run("med", bias, f"{folder}/m.fit", cwd=tmp_path)
        listed = f"{folder}/cosme120s.lst"
        run("makeflat", flats, "--dark", 300, "--cosme", listed, *out, cwd=tmp_path)
    made = names(tmp_path / "files")
    assert made == names(tmp_path / "cubes")
    assert len(made) == 9
    for name in made:
        ours, truth = (tmp_path / folder / name for folder in ("cubes", "files"))
        if name.endswith(".lst"):
            assert ours.read_bytes() == truth.read_bytes()
        else:
            assert pixels(ours).tobytes() == pixels(truth).tobytes()
            assert without_places(headers(ours)) == without_places(headers(truth))


def without_places(cards):
    """Cards without the folders of inputs, and those in a store as they were in a folder."""
    kept = (card for card in cards if not card.startswith("HISTORY folder "))
    return [re.sub(r"\S+\.zarr/\d+/", "", card).ljust(80) for card in kept]


def test_frames_of_several_kinds_are_warned_about(night, tmp_path):
    says = (
        "c.zarr: the frames differ in IMAGETYP (dark and light); the first odd one is "
        "m31_0001.fit. Do they belong into one cube?"
    )
    assert says in run("cube", night / "darks", "c.zarr", cwd=tmp_path).stderr
    done = run("cube", night / "darks", "c.zarr", cwd=tmp_path)
    assert "complete already" in done.stdout
    assert done.stderr == ""
    # which holds groups, as the tools make them of it
    assert run("cube", night / "darks" / "d*.fit", "d.zarr", cwd=tmp_path).stderr == ""


def test_a_master_in_a_store_is_an_input(night, tmp_path):
    for name in ("bias.zarr", "bias.fit"):
        run("med", night / "bias0*.fit", name, cwd=tmp_path)
    dataset = xr.open_zarr(tmp_path / "bias.zarr")
    same(dataset.master, pixels(tmp_path / "bias.fit"))
    for bias in ("bias.zarr", "bias.fit"):
        out = ("--output-dir", bias.replace(".", "_"))
        run("makedark", night / "darks", bias, *out, cwd=tmp_path)
    ours, truth = (pixels(tmp_path / f / "dark300s.fit") for f in ("bias_zarr", "bias_fit"))
    same(ours, truth)


# --- faults --------------------------------------------------------------------------------------


@pytest.mark.more
@pytest.mark.slow
def test_an_interrupted_run_goes_on(slow, tmp_path):
    """Killed, then again killed, then done: no chunk is written twice."""
    words = command("cube", slow / "f*.fz", "c.zarr", "--threads", 1)
    times: dict[Path, int] = {}
    for more in range(1, 3):
        with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
            until(lambda n=more: len(chunks(tmp_path)) >= n)
            process.kill()
        found = {path: path.stat().st_mtime_ns for path in chunks(tmp_path)}
        assert found.items() >= times.items()
        times = found
    assert times
    with pytest.raises(ValueError, match="not complete"):
        xr.open_zarr(tmp_path / "c.zarr")
    said = run("med", "c.zarr", "m.fit", cwd=tmp_path, status=1).stderr
    assert "c.zarr is not complete" in one_line(said)
    run(*words[3:], cwd=tmp_path)
    assert {p: p.stat().st_mtime_ns for p in chunks(tmp_path)}.items() >= times.items()
    run("med", "c.zarr", "m.fit", cwd=tmp_path)
    same(pixels(tmp_path / "m.fit"), pixels(slow / "truth.fit"))
    assert not list(tmp_path.rglob("*.part*"))
    assert names(tmp_path) == ["c.zarr", "m.fit"]


def chunks(folder: Path) -> list[Path]:
    found = (folder / "c.zarr" / "frames" / "c").rglob("*")
    return [path for path in found if path.is_file() and path.suffix != ".part"]


@pytest.mark.more
@pytest.mark.slow
def test_ctrl_c(slow, tmp_path):
    words = command("cube", slow / "f*.fz", "c.zarr", "--threads", 1)
    process = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: chunks(tmp_path))
    process.send_signal(signal.SIGINT)
    assert "takes it up again" in one_line(ended(process, -signal.SIGINT).replace("warning: ", ""))
    run(*words[3:], cwd=tmp_path)
    run("med", "c.zarr", "m.fit", cwd=tmp_path)
    same(pixels(tmp_path / "m.fit"), pixels(slow / "truth.fit"))


def test_a_damaged_frame_leaves_nothing(night, tmp_path):
    for path in night.glob("bias0*.fit"):
        shutil.copy2(path, tmp_path)
    image = np.zeros((24, 31), "i2")
    write_frame(tmp_path / "z.fit.gz", image, bzero=32768)
    content = (tmp_path / "z.fit.gz").read_bytes()
    (tmp_path / "z.fit.gz").write_bytes(content[:-9] + b"\0" + content[-8:])
    before = names(tmp_path)
    said = run("cube", tmp_path, "c.zarr", cwd=tmp_path, status=1).stderr
    assert "z.fit.gz" in one_line(said)
    assert names(tmp_path) == before


def test_what_is_in_the_way(night, tmp_path):
    bias, darks = night / "bias0*.fit", night / "darks"
    path = tmp_path / "c.zarr"
    pulsar_dask.write_cube(bias, path)
    before = (path / "zarr.json").read_bytes()
    assert "complete already" in run("cube", bias, "c.zarr", cwd=tmp_path).stdout
    with pytest.raises(PulsarError, match="other frames"):
        pulsar_dask.write_cube(darks, path)
    assert (path / "zarr.json").read_bytes() == before
    with noted() as notes:
        pulsar_dask.write_cube(darks, path, overwrite=True)
    assert len(notes) == 1
    assert xr.open_zarr(path).sizes["frame"] == len(list(darks.glob("*.fit")))
    with pytest.raises(PulsarError, match="is an input"):
        pulsar_dask.write_cube(path, path, overwrite=True)
    with pytest.raises(PulsarError, match=r"ends in \.zarr"):
        pulsar_dask.write_cube(bias, tmp_path / "c.fit")
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "mine").write_text("x")
    with pytest.raises(PulsarError, match="not written by"):
        pulsar_dask.write_cube(bias, tmp_path / "mine.zarr", overwrite=True)
    assert names(tmp_path / "mine.zarr") == ["mine"]
    with pytest.raises(PulsarError, match="no FITS file"):
        pulsar_dask.median(tmp_path / "mine.zarr")
    assert names(tmp_path) == ["c.zarr", "mine.zarr"]


def test_stores_of_others(tmp_path):
    others = xr.Dataset({"frames": (("frame", "y", "x"), np.zeros((2, 3, 4)))})
    others.to_zarr(tmp_path / "o.zarr", consolidated=False)
    with pytest.raises(PulsarError, match=r"o\.zarr: neither a cube nor a master"):
        pulsar_dask.open_frames(tmp_path / "o.zarr")
    (tmp_path / "o.zarr" / "zarr.json").write_text("{")
    with pytest.raises(PulsarError, match=r"o\.zarr: not a Zarr store"):
        pulsar_dask.open_frames(tmp_path / "o.zarr")


@pytest.mark.parametrize(
    ("tool", "variable"),
    [("cube", "frames"), ("cube", "header"), ("cube", "file"), ("med", "master")],
)
def test_a_damaged_chunk_is_told(night, tmp_path, tool, variable):
    run(tool, night / "bias0*.fit", "c.zarr", cwd=tmp_path)
    found = sorted(p for p in (tmp_path / "c.zarr" / variable).glob("c/**/*") if p.is_file())
    path = found[len(found) // 2]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for words in (("med", "c.zarr", "m.fit"), ("verify", "c.zarr")):
        said = run(*words, cwd=tmp_path, status=1).stderr
        what = "" if variable in {"header", "file"} else "its pixels "
        told = rf"c\.zarr: {what}cannot be read \(.*\); write this store again"
        assert re.search(told, one_line(said))
        assert "--overwrite" in one_line(said)
    assert names(tmp_path) == ["c.zarr"]


@pytest.mark.parametrize(("tool", "variable"), [("med", "master"), ("cube", "frames")])
def test_a_chunk_that_is_gone_is_told(night, tmp_path, tool, variable):
    """It would be read as zeros."""
    run(tool, night / "bias0*.fit", "c.zarr", cwd=tmp_path)
    next(p for p in (tmp_path / "c.zarr" / variable / "c").rglob("*") if p.is_file()).unlink()
    for words in (("med", "c.zarr", "m.fit"), ("verify", "c.zarr")):
        said = run(*words, cwd=tmp_path, status=1).stderr
        assert re.search(r"c\.zarr: not whole, 1 of its \d+ chunks? missing", one_line(said))
        assert "--overwrite" in said
    run(tool, night / "bias0*.fit", "c.zarr", "--overwrite", cwd=tmp_path)
    run("verify", "c.zarr", cwd=tmp_path)


def test_a_master_without_checksums(night, tmp_path):
    """As earlier versions wrote them."""
    run("med", night / "bias0*.fit", "m.zarr", cwd=tmp_path)
    array: Any = zarr.open_array(tmp_path / "m.zarr" / "master")
    values, attributes = array[:], dict(array.attrs)
    shutil.rmtree(tmp_path / "m.zarr" / "master")
    group = zarr.open_group(tmp_path / "m.zarr")
    del group.attrs["seal"]
    group.create_array("master", data=values, fill_value=np.nan, attributes=attributes)
    run("med", "m.zarr", "m.fit", cwd=tmp_path)
    same(pixels(tmp_path / "m.fit"), values)
    out = run("verify", "m.zarr", cwd=tmp_path).stdout
    assert "whole" not in out
    assert "are the same" in out


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.parametrize("ending", ["fit", "fit.fz"])
def test_memory(tmp_path, ending):
    """The least that is said to be needed is enough, and a cube's chunks count, and what decodes
    compressed frames."""
    image = np.random.default_rng(0).integers(0, 9, (600, 700)).astype("i2")
    place = "tiled" if ending == "fit.fz" else "primary"
    for i in range(30):
        write_frame(tmp_path / f"f{i}.{ending}", image + np.int16(i), place=place)
    for words in (("cube", f"f*.{ending}", "c.zarr"), ("med", "c.zarr", "m.fit")):
        said = run(*words, "--memory", 0.01, cwd=tmp_path, status=1, alone=True).stderr
        least = one_line(said).split("at least ")[1].split(" GB")[0]
        done = run(*words, "--memory", least, cwd=tmp_path, alone=True).stdout
        peak = done.rsplit("peak memory ", 1)[1].split()
        assert float(peak[0]) * {"MB": 1e-3, "GB": 1}[peak[1]] <= float(least)


# --- on a cluster --------------------------------------------------------------------------------


@pytest.mark.more
def test_workers_write_a_cube(cluster, slow, tmp_path):
    run("cube", slow / "f*.fz", "c.zarr", "--scheduler", cluster.address, cwd=tmp_path)
    run("med", "c.zarr", "m.fit", "--scheduler", cluster.address, cwd=tmp_path)
    same(pixels(tmp_path / "m.fit"), pixels(slow / "truth.fit"))
    with Client(cluster.address):
        pulsar_dask.write_cube(slow / "f*.fz", tmp_path / "d.zarr")
    same(xr.open_zarr(tmp_path / "c.zarr").frames, xr.open_zarr(tmp_path / "d.zarr").frames)


def test_workers_go_on_with_a_cube(cluster, tmp_path):
    """They compare what is there, and what they read with the sums that the frames state."""
    write_frames(tmp_path)
    with_datasum(tmp_path)
    begun(tmp_path)
    replaced(tmp_path / "f3.fit", in_place=False, pixel=-1)  # beyond what is there
    words = ("cube", "f?.fit", "c.zarr", "--scheduler", cluster.address)
    done = run(*words, cwd=tmp_path)
    assert "3 of 8 chunks are there already" in done.stdout
    assert "f3.fit: the data do not match their DATASUM" in done.stderr
    same(xr.open_zarr(tmp_path / "c.zarr").frames, truth(tmp_path))
    assert is_ours(str(tmp_path / "c.zarr"))
    replaced(tmp_path / "f1.fit", in_place=False, pixel=0)
    said = one_line(run(*words, cwd=tmp_path, status=1).stderr)
    assert "c.zarr holds other pixels than " in said
    assert "f1.fit: one of them" in said


def test_workers_write_a_master(cluster, slow, tmp_path):
    options = ("--scheduler", cluster.address)
    run("med", slow / "f*.fz", "m.zarr", *options, cwd=tmp_path)
    same(xr.open_zarr(tmp_path / "m.zarr").master, pixels(slow / "truth.fit"))
    types = ("--dtype", "uint8")
    said = [
        run("med", slow / "f*.fz", "u.zarr", *types, *more, cwd=tmp_path).stderr
        for more in ((), options)
    ]
    assert said[0] == said[1]
    assert "were clipped" in said[0]
    assert names(tmp_path) == ["m.zarr", "u.zarr"]


@pytest.mark.more
def test_a_cube_outlives_its_cluster(slow, tmp_path):
    """The scheduler killed in the middle of a cube: a run on threads goes on."""
    (tmp_path / "out").mkdir()
    words = command("cube", slow / "f*.fz", "c.zarr")
    with cluster_in(tmp_path / "cluster") as made:
        process = subprocess.Popen(
            [*words, "--scheduler", made.address], cwd=tmp_path / "out",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until(lambda: chunks(tmp_path / "out"))
        made.scheduler.kill()
        assert "scheduler" in ended(process, 1)
    assert (
        json.loads((tmp_path / "out/c.zarr/zarr.json").read_text())["attributes"]["complete"]
        is False
    )
    run(*words[3:], cwd=tmp_path / "out")
    run("med", "c.zarr", "m.fit", cwd=tmp_path / "out")
    same(pixels(tmp_path / "out" / "m.fit"), pixels(slow / "truth.fit"))


@pytest.mark.more
def test_an_interrupted_master_leaves_nothing(cluster, slow, tmp_path):
    with under_way(slow, tmp_path, cluster.address, "m.zarr") as (process, _):
        process.send_signal(signal.SIGINT)
        ended(process, -signal.SIGINT)
    assert os.listdir(tmp_path) == []


@pytest.mark.few
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(9, 11), (2, 9, 11)])
def test_zarr(tmp_path, dtype, shape):
    values = np.random.default_rng(0).normal(100, 300, shape)
    values.flat[3] = np.nan
    grid = Grid(shape, 4, 5)
    header = fits.Header({"CREATOR": "pulsar-dask 0", "OBJECT": "x"})
    with ZarrMaster(str(tmp_path / "m.zarr"), grid, dtype, header) as master:
        for _, t in grid:
            plane = values[t.plane] if len(shape) == 3 else values
            master.write(t, plane[t.y : t.y + t.height, t.x : t.x + t.width])
        master.commit()
    assert master.missing == 1
    dataset = xr.open_zarr(tmp_path / "m.zarr")
    assert dataset.master.dims == ("plane", "y", "x")[-len(shape) :]
    same(dataset.master.values, as_type(values, dtype))
    assert dataset.master.dtype == np.dtype(dtype)
    assert "OBJECT" in dataset.master.attrs["header"]
    assert is_ours(str(tmp_path / "m.zarr"))
