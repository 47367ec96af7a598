"""Zarr stores: what is ours, what is opened, what is complete."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from astropy.io import fits
from helpers import command, names, run, same, write_frame
from test_cluster import one_line, until
from zarr.codecs import Crc32cCodec, ZstdCodec

import pulsar_dask
from pulsar_dask.cubestore import CubeStore
from pulsar_dask.errors import PulsarError, PulsarWarning
from pulsar_dask.outputs import is_ours
from pulsar_dask.pipelines import cube_tile
from pulsar_dask.run import Threads
from pulsar_dask.scan import scan_frames
from pulsar_dask.tiles import Tile

SHAPE = (48, 40)
VARIABLE = {"med": "master", "cube": "frames"}
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


def write_frames(folder: Path, count: int = 4, **cards: Any) -> np.ndarray:
    """Frames of noise, each of its own."""
    images = np.random.default_rng(3).integers(-900, 900, (count, *SHAPE)).astype("i2")
    for i, image in enumerate(images):
        write_frame(folder / f"f{i}.fit", image, cards={"EXPTIME": 1.5, "GAIN": i} | cards)
    return images


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with frames, a master and a cube of them."""
    folder = tmp_path_factory.mktemp("made")
    write_frames(folder)
    for tool in VARIABLE:
        run(tool, "f*.fit", f"{tool}.zarr", cwd=folder)
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "made", symlinks=True)
    return tmp_path / "made"


def content(folder: Path) -> dict[str, Any]:
    """All that is in a folder: bytes, links and empty folders."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


def chunks(store: Path, variable: str) -> list[Path]:
    return sorted(path for path in (store / variable / "c").rglob("*") if path.is_file())


def truth(folder: Path) -> np.ndarray:
    return np.array([fits.getdata(path) for path in sorted(folder.glob("f?.fit"))])


# --- ours as long as it is what was written ----------------------------------------------------


def group_of(store: Path) -> Any:
    return zarr.open_group(store, mode="r+")


def change_pixel(store: Path, variable: str) -> None:
    array: Any = zarr.open_array(store / variable, mode="r+")
    array[(0,) * array.ndim] = 77


def change_attribute(store: Path, variable: str) -> None:
    zarr.open_array(store / variable, mode="r+").attrs["units"] = "electron"


def add_array(store: Path, variable: str) -> None:
    group_of(store).create_array("mine", data=np.arange(5))


def flip(store: Path, variable: str) -> None:
    path = chunks(store, variable)[1]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def swap(store: Path, variable: str) -> None:
    a, b = chunks(store, variable)[:2]
    a.rename(store / "x")
    b.rename(a)
    (store / "x").rename(b)


def link(store: Path, variable: str) -> None:
    """A chunk becomes a link to what it was."""
    path = chunks(store, variable)[0]
    place = path.rename(store.parent / "elsewhere")
    path.symlink_to(place)


CHANGES: dict[str, Callable[[Path, str], Any]] = {
    "an array added": add_array,
    "a group added": lambda store, variable: group_of(store).create_group("mine"),
    "a pixel": change_pixel,
    "an attribute": lambda store, variable: group_of(store).attrs.update({"note": "good seeing"}),
    "an attribute of the array": change_attribute,
    "a note": lambda store, variable: (store / "note.txt").write_text("keep this"),
    "a note deep inside": lambda store, variable: (store / variable / "c" / "n").write_text("x"),
    "a folder": lambda store, variable: (store / "mine").mkdir(),
    "a chunk removed": lambda store, variable: chunks(store, variable)[1].unlink(),
    "two chunks swapped": swap,
    "a bit": flip,
    "a chunk that is a link": link,
    "a link": lambda store, variable: (store / "raw").symlink_to(store.parent),
    "a dead link": lambda store, variable: (store / "raw").symlink_to("nowhere"),
}


@POSIX
@pytest.mark.parametrize("tool", VARIABLE)
@pytest.mark.parametrize("change", CHANGES)
def test_a_store_that_was_changed_is_the_users(copied, tool, change):
    store = copied / f"{tool}.zarr"
    CHANGES[change](store, VARIABLE[tool])
    before = content(copied)
    said = one_line(run(tool, "f*.fit", store.name, cwd=copied, status=1).stderr)
    assert f"{tool}.zarr was changed after pulsar-dask wrote it; name another output" in said
    assert "--overwrite" in said
    assert content(copied) == before
    run(tool, "f*.fit", store.name, "--overwrite", cwd=copied)
    assert is_ours(str(store))
    array = xr.open_zarr(store)[VARIABLE[tool]]
    same(array, truth(copied) if tool == "cube" else np.median(truth(copied), 0).astype("f4"))
    outside = {k: v for k, v in before.items() if not k.startswith(store.name)}
    assert {k: v for k, v in content(copied).items() if not k.startswith(store.name)} == outside


def test_a_store_that_was_not_touched(made, copied):
    for name in ("med.zarr", "cube.zarr"):  # opened and looked at
        xr.open_zarr(copied / name).load()
        xr.open_zarr(copied / name, consolidated=False).load()
        zarr.open(copied / name)
        assert is_ours(str(copied / name))
    before = content(copied / "cube.zarr")
    assert "complete already" in run("cube", made / "f*.fit", "cube.zarr", cwd=copied).stdout
    assert content(copied / "cube.zarr") == before
    times = [path.stat().st_ino for path in chunks(copied / "med.zarr", "master")]
    for output in ("med.zarr", "cube.zarr"):  # one of ours takes the place of another
        run("med", "f*.fit", output, cwd=copied)
        same(xr.open_zarr(copied / output).master, np.median(truth(copied), 0).astype("f4"))
    assert times != [path.stat().st_ino for path in chunks(copied / "med.zarr", "master")]
    shutil.copytree(copied / "med.zarr", copied / "moved.zarr")
    assert is_ours(str(copied / "moved.zarr"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["med.zarr", "cube.zarr"])
def test_a_sealed_store_opens_without_a_warning(made, name):
    for consolidated in (None, True):
        dataset = xr.open_zarr(made / name, consolidated=consolidated)
        assert dataset.attrs["complete"] is True
    assert dict(zarr.open_group(made / name, mode="r").members())


@pytest.mark.parametrize("tool", VARIABLE)
def test_a_store_of_an_earlier_version(copied, tool):
    """It has no seal, so nobody knows whether it was worked on. It is still read."""
    store = copied / f"{tool}.zarr"
    description = json.loads((store / "zarr.json").read_text())
    del description["attributes"]["seal"]
    (store / "zarr.json").write_text(json.dumps(description))
    run("med", store.name, "read.fit", cwd=copied)
    before = content(copied)
    said = one_line(run(tool, "f*.fit", store.name, cwd=copied, status=1).stderr)
    assert "was written by an earlier version of pulsar-dask, which did not seal it" in said
    assert content(copied) == before
    run(tool, "f*.fit", store.name, "--overwrite", cwd=copied)
    assert is_ours(str(store))


def test_a_seal_of_another_store(copied):
    """A copy that was changed and has the attributes of the first, as xarray keeps them."""
    dataset = xr.open_zarr(copied / "med.zarr").load()
    dataset.master[0, 0] += 1
    dataset.to_zarr(copied / "mine.zarr", consolidated=False)
    assert not is_ours(str(copied / "mine.zarr"))
    assert is_ours(str(copied / "mine.zarr"), changed=True)


# --- no code of others -------------------------------------------------------------------------


class Payload:
    """What makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def refuses(store: Path, says: str, *, inputs: Path | None = None) -> None:
    """All that opens stores names this one and what is wrong with it."""
    before = content(store.parent)
    path = str(store)
    for open_it in (
        lambda: pulsar_dask.open_frames(path),
        lambda: pulsar_dask.median(path),
        lambda: pulsar_dask.hot_pixels(path),
        lambda: pulsar_dask.write_cube(path, str(store.parent / "out.zarr")),
        lambda: xr.open_dataset(path, engine="pulsar"),
    ):
        with pytest.raises(PulsarError) as told:
            open_it().compute()
        assert store.name in str(told.value)
        assert says in str(told.value)
    assert content(store.parent) == before


def refuses_in_tools(store: Path, says: str) -> None:
    before = content(store.parent)
    for words in (("med", store.name, "m.fit"), ("verify", store.name),
                  ("make_cosme", store.name, "m.lst"), ("cube", store.name, "d.zarr")):  # fmt: skip
        said = one_line(run(*words, cwd=store.parent, status=1).stderr)
        assert store.name in said
        assert says in said
    assert content(store.parent) == before


#: As zarr takes it for an array of texts, and numcodecs up to 0.16.5 unpickles it.
OBJECT_ARRAY = {
    "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None,
    "fill_value": None, "order": "C",
    "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}],
}  # fmt: skip


@pytest.mark.parametrize("where", ["alone", "instead", "beside", "header", "root"])
def test_an_array_that_is_a_pickle(copied, where):
    """Of format 2, its one chunk a pickle, in any place of a store of ours."""
    marker, store = copied.parent / "marker", copied / "cube.zarr"
    chunk = pickle.dumps(np.array([Payload(marker)], object))
    with pytest.raises(AttributeError):  # it works: what is in the array is no Payload any more
        pickle.loads(chunk)[0].marker  # noqa: B018
    marker.rmdir()
    place = store / {"header": "header", "root": ".", "alone": "."}.get(where, "frames")
    if where == "alone":
        shutil.rmtree(store)
        store.mkdir()
    elif where in ("instead", "header"):
        shutil.rmtree(place)
        place.mkdir()
    (place / ".zarray").write_text(json.dumps(OBJECT_ARRAY))
    (place / "0").write_bytes(chunk)
    refuses(store, ".zarray, metadata of Zarr's format 2")
    refuses_in_tools(store, ".zarray, metadata of Zarr's format 2")
    assert not marker.exists()


def edited(store: Path, variable: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    path = store / variable / "zarr.json"
    metadata = json.loads(path.read_text())
    edit(metadata)
    path.write_text(json.dumps(metadata))


def with_codec(codec: Any, place: int = 1) -> Callable[[dict[str, Any]], Any]:
    return lambda metadata: metadata["codecs"].insert(place, codec)


SHARDING = {
    "chunk_shape": [1, 1, 1], "index_location": "end",
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
}  # fmt: skip
HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "pickle": (with_codec({"name": "numcodecs.pickle"}, 0), "the codec 'numcodecs.pickle'"),
    "json2": (with_codec({"name": "numcodecs.json2", "configuration": {}}), "numcodecs.json2"),
    "vlen-bytes": (with_codec({"name": "vlen-bytes"}, 0), "the codec 'vlen-bytes'"),
    "transpose": (with_codec({"name": "transpose", "configuration": {"order": [2, 1, 0]}}, 0),
                  "the codec 'transpose'"),
    "sharding": (lambda m: m.update(codecs=[{"name": "sharding_indexed",
                 "configuration": SHARDING}]), "the codec 'sharding_indexed'"),
    "unknown": (with_codec({"name": "of\nthe author"}), r"the codec 'of\nthe author'"),
    "text": (with_codec("evil"), "the codec"),
    "settings": (with_codec({"name": "zstd", "configuration": {"class": "x"}}), "settings of"),
    "nested": (with_codec({"name": "zstd", "configuration": {"level": {"a": 1}}}), "settings of"),
    "twice": (with_codec({"name": "zstd", "configuration": {}}), "the codecs ["),
    "no codecs": (lambda m: m.update(codecs=None), "the codecs None"),
    "transformers": (lambda m: m.update(storage_transformers=[{"name": "x"}]), "transformers"),
    "type": (lambda m: m.update(data_type={"name": "numpy.void", "configuration": {}}),
             "the data type {'name': 'numpy.void'"),
    "objects": (lambda m: m.update(data_type="object"), "the data type 'object'"),
    "complex": (lambda m: m.update(data_type="complex128"), "the data type 'complex128'"),
    "text type": (lambda m: m.update(data_type="string"), "the data type 'string'"),
    "grid": (lambda m: m["chunk_grid"].update(name="mine"), "the chunk grid {'name': 'mine'"),
    "keys": (lambda m: m["chunk_key_encoding"].update(name="v2"), "the chunk key encoding"),
    "entry": (lambda m: m.update(extra={"must_understand": False}), "the entry 'extra'"),
    "group": (lambda m: m.update(node_type="group"), "the node_type 'group'"),
    "format": (lambda m: m.update(zarr_format=2), "the zarr_format 2"),
    "huge": (lambda m: (m.update(shape=[4, 2**39, 2**39])), "the shape [4, 549755813888"),
    "negative": (lambda m: m.update(shape=[4, -1, 40]), "the shape [4, -1, 40]"),
    "true": (lambda m: m.update(shape=[4, True, 40]), "the shape [4, True, 40]"),
    "axes": (lambda m: m.update(shape=[1] * 32), "the shape [1, 1"),
    "chunk": (lambda m: (m["chunk_grid"]["configuration"].update(chunk_shape=[4, 99999, 99999])),
              "chunks of [4, 99999, 99999] for the shape"),
    "large chunk": (lambda m: (m["chunk_grid"]["configuration"].update(
                    chunk_shape=[4, 99999, 99999]), m.update(shape=[4, 99999, 99999])),
                    "chunks of [4, 99999, 99999]"),
    "part of the frames": (lambda m: m["chunk_grid"]["configuration"].update(
                           chunk_shape=[1, 6, 40]), "chunks of [1, 6, 40]"),
    "more than there is": (lambda m: m.update(shape=[4, 10**8, 10**8]), "not whole, "),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_this_program_does_not_write_is_not_opened(copied, name):
    edit, says = HOSTILE[name]
    store = copied / "cube.zarr"
    edited(store, "frames", edit)
    refuses(store, says)
    if name in ("pickle", "huge"):
        refuses_in_tools(store, says)


@pytest.mark.parametrize("variable", ["header", "file"])
@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (with_codec({"name": "numcodecs.pickle"}, 0), "the codec 'numcodecs.pickle'"),
        (lambda m: m.update(data_type={"name": "variable_length_bytes"}), "the data type"),
        (lambda m: m.update(codecs=[{"name": "bytes"}]), "the codecs ['bytes']"),
        (lambda m: m.update(shape=[10**12]), "the shape [1000000000000]"),
    ],
)
def test_texts_that_this_program_does_not_write(copied, variable, edit, says):
    edited(copied / "cube.zarr", variable, edit)
    refuses(copied / "cube.zarr", says)


@pytest.fixture
def asked() -> list[Any]:
    """What a codec was asked that Zarr finds by its name, as it would one that any installed
    package brings."""
    asked = []

    class Evil(Crc32cCodec):
        @classmethod
        def from_dict(cls, data: Any) -> Any:
            asked.append(data)
            return super().from_dict(data | {"name": "crc32c"})

    zarr.registry.register_codec("evil", Evil)
    return asked


def test_a_codec_that_is_installed_is_not_asked(copied, asked):
    edited(copied / "cube.zarr", "frames", with_codec({"name": "evil"}, 3))
    with pytest.raises(Exception):  # noqa: B017, PT011
        zarr.open_array(copied / "cube.zarr" / "frames", mode="r")[:]
    assert asked
    asked.clear()
    refuses(copied / "cube.zarr", "the codec 'evil'")
    assert not asked


_BEFORE_OPENING: dict[str, Callable[[], None]] = {}


@functools.cache
def _listen() -> None:
    """Python tells of each file that is about to be opened; such a hook stays."""

    def told(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and (act := _BEFORE_OPENING.get(str(args[0]))):
            act()

    sys.addaudithook(told)


@contextlib.contextmanager
def opened(*paths: Path, act: Callable[[int], None] = lambda number: None) -> Iterator[list[int]]:
    """How often each of some files is opened meanwhile; `act` before each opening."""
    _listen()
    counts = [0] * len(paths)

    def count(i: int) -> None:
        counts[i] += 1
        act(counts[i])

    _BEFORE_OPENING.update({str(path): partial(count, i) for i, path in enumerate(paths)})
    try:
        yield counts
    finally:
        _BEFORE_OPENING.clear()


@pytest.mark.parametrize("number", range(1, 6))
def test_metadata_that_are_exchanged_between_two_looks(copied, asked, number):
    """What was looked at is what is opened: before whichever opening another file gets the name,
    its codec is not asked."""
    place, other = copied / "cube.zarr" / "frames" / "zarr.json", copied / "other.json"
    shutil.copy(place, other)
    metadata = json.loads(other.read_text())
    with_codec({"name": "evil"}, 3)(metadata)
    other.write_text(json.dumps(metadata))
    pixels = truth(copied)
    with opened(place, act=lambda n: os.replace(other, place) if n == number else None):
        said = "the codec 'evil'"
        try:
            same(pulsar_dask.open_frames(str(copied / "cube.zarr")).values, pixels)
        except PulsarError as error:
            said = str(error)
    assert "the codec 'evil'" in said
    assert not asked


@pytest.mark.parametrize("tool", VARIABLE)
def test_a_chunk_is_opened_once(copied, tool):
    """Another file that gets its name after the look at it is not what is decoded."""
    store = copied / f"{tool}.zarr"
    frames = scan_frames([str(store)])
    files = chunks(store, VARIABLE[tool])
    with opened(*files) as counts:
        found = cube_tile(Tile(0, 0, 0, *SHAPE), frames, frames[0].pixels.native)
    assert counts == [1] * len(files)
    pixels = truth(copied)
    same(found, pixels if tool == "cube" else np.median(pixels, axis=0, keepdims=True))


def described(store: Path, text: str) -> None:
    (store / "zarr.json").write_text(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "not a Zarr store that can be read"),
        ("[]", "not a Zarr store that can be read"),
        ('{"zarr_format": 4, "node_type": "group"}', "a Zarr store of format 4"),
        ('{"zarr_format": 3, "node_type": "array"}', "a Zarr store that is 'array', no group"),
        ('{"zarr_format": 3, "node_type": "group", "attributes": 3}', "a Zarr store of format 3"),
        (" " * 33_000_000, "not a Zarr store that can be read"),
    ],
)
def test_metadata_of_a_group_that_are_none(copied, text, says):
    (copied / "cube.zarr" / "zarr.json").write_text(text)
    refuses(copied / "cube.zarr", says)
    assert not is_ours(str(copied / "cube.zarr"))


@POSIX
def test_metadata_that_never_end(copied):
    (copied / "cube.zarr" / "zarr.json").unlink()
    os.mkfifo(copied / "cube.zarr" / "zarr.json")
    with pytest.raises(PulsarError, match=r"cube\.zarr: not a Zarr store that can be read"):
        scan_frames([str(copied / "cube.zarr")])
    run("verify", "cube.zarr", cwd=copied, status=1)
    assert not is_ours(str(copied / "cube.zarr"))


@pytest.mark.parametrize("tool", VARIABLE)
def test_a_chunk_that_expands_to_more_than_its_array(copied, tmp_path, tool):
    """Refused before the room for it is made."""
    store = copied / f"{tool}.zarr"
    there: Any = zarr.open_array(store / VARIABLE[tool], mode="r")
    large = zarr.create_array(
        tmp_path / "large.zarr", shape=(30, 1000, 1000), chunks=(30, 1000, 1000),
        dtype=there.dtype, compressors=there.compressors, fill_value=1,
    )  # fmt: skip
    large[...] = 0
    (bomb,) = chunks(tmp_path, "large.zarr")
    shutil.copy(bomb, chunks(store, VARIABLE[tool])[0])
    said = one_line(run("med", store.name, "m.fit", cwd=copied, status=1).stderr)
    size = 30 * 1000 * 1000 * there.dtype.itemsize
    assert f"{store.name}: its pixels cannot be read (a chunk expands to {size} bytes" in said


@pytest.mark.parametrize(
    "text", [b"\xff\xff\xff\x7f", b"\x04\0\0\0\xff\xff\xff\x7f", b"\x04\0\0\0"]
)
def test_texts_that_are_not_as_many_as_they_say(copied, tmp_path, text):
    plain = zarr.create_array(
        tmp_path / "t.zarr", data=np.frombuffer(text, "u1"), compressors=[ZstdCodec(level=0)]
    )
    assert plain.shape == (len(text),)
    (chunk,) = chunks(tmp_path, "t.zarr")
    shutil.copy(chunk, copied / "cube.zarr" / "header" / "c" / "0")
    refuses(copied / "cube.zarr", "not as many texts as there are frames")


def test_fewer_headers_than_frames(copied):
    for variable in ("header", "file"):
        edited(copied / "cube.zarr", variable, lambda m: m.update(shape=[3]))
    with pytest.raises(PulsarError, match=r"cube\.zarr: "):
        pulsar_dask.open_frames(copied / "cube.zarr")


def test_frames_without_a_card(tmp_path):
    """Their headers are empty texts, of which Zarr writes no chunk."""
    images = np.random.default_rng(0).integers(0, 99, (2, 5, 6)).astype("i2")
    for i, image in enumerate(images):
        write_frame(tmp_path / f"f{i}.fit", image)
    run("cube", "f*.fit", "c.zarr", cwd=tmp_path)
    assert not (tmp_path / "c.zarr" / "header" / "c").exists()
    same(pulsar_dask.open_frames(tmp_path / "c.zarr"), images)
    assert is_ours(str(tmp_path / "c.zarr"))


def test_the_engine_names_the_way_to_open_a_cube(made):
    with pytest.raises(PulsarError, match=r"cube\.zarr: a cube of 4 frames; .*open_frames"):
        xr.open_dataset(str(made / "cube.zarr"), engine="pulsar")
    same(xr.open_dataset(str(made / "med.zarr"), engine="pulsar").image,
         np.median(truth(made), 0).astype("f4"))  # fmt: skip


# --- complete or not opened --------------------------------------------------------------------


def begun(folder: Path, count: int = 3) -> Path:
    """A cube of the frames in a folder, of which so many chunks are done."""
    frames = scan_frames(sorted(map(str, folder.glob("f?.fit"))))
    path = folder / "c.zarr"
    store = CubeStore(str(path), frames, overwrite=False)
    store.begin(store.plan(Threads(2), None).grid)
    tiles = [tile for _, tile in store.graph(frozenset())[0].tiles()]
    assert count < len(tiles)
    for tile in tiles[:count]:
        store.write(tile, cube_tile(tile, frames, store.dtype))
    return path


def nobody_opens(path: Path) -> None:
    """No reader of Zarr takes a store, whatever it is asked for, nor changes it."""
    before = content(path)
    for open_it in (
        lambda: xr.open_zarr(path),
        lambda: xr.open_zarr(path, consolidated=False),
        lambda: xr.open_dataset(path, engine="zarr"),
        lambda: xr.open_datatree(path, engine="zarr"),
        lambda: zarr.open(path),
        lambda: zarr.open(path, mode="r"),
        lambda: zarr.open_group(path),
        lambda: zarr.open_consolidated(path),
        lambda: zarr.open(path / "frames"),
        lambda: zarr.open_array(path / "frames", mode="r"),
        lambda: zarr.open_array(path, path="frames"),
        lambda: pulsar_dask.open_frames(path),
    ):
        with pytest.raises((ValueError, PulsarError), match=r"(?i)not complete"):
            open_it()
    assert content(path) == before


def test_a_cube_that_is_not_complete_is_not_opened(tmp_path):
    write_frames(tmp_path)
    path = begun(tmp_path)
    nobody_opens(path)
    said = run("med", "c.zarr", "m.fit", cwd=tmp_path, status=1).stderr
    assert "c.zarr is not complete" in one_line(said)
    assert "takes it up again" in said
    assert "3 of" in run("cube", "f*.fit", "c.zarr", cwd=tmp_path).stdout
    same(xr.open_zarr(path).frames, truth(tmp_path))
    assert is_ours(str(path))
    run("verify", "c.zarr", cwd=tmp_path)


SLOW = (700, 900)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Frames that take their time, since tiles in gzip are expanded by one thread."""
    folder = tmp_path_factory.mktemp("slow")
    images = np.random.default_rng(5).integers(-2000, 2000, (5, *SLOW)).astype("i2")
    for i, image in enumerate(images):
        path = folder / f"f{i}.fit.fz"
        write_frame(path, image, place="tiled", compression="GZIP_1", cards={"EXPTIME": 1.0})
    return folder, images


@pytest.mark.slow
def test_a_cube_that_is_killed_and_killed_again(slow, tmp_path):
    folder, images = slow
    words = command("cube", folder / "f*.fz", "c.zarr", "--threads", 1)
    for more in (0, 1, 3):
        with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
            until(lambda: (tmp_path / "c.zarr").exists())
            until(lambda n=more: len(chunks(tmp_path / "c.zarr", "frames")) >= n)
            process.kill()
        nobody_opens(tmp_path / "c.zarr")
    run(*words[3:], cwd=tmp_path)
    same(xr.open_zarr(tmp_path / "c.zarr").frames, images)
    assert is_ours(str(tmp_path / "c.zarr"))
    assert names(tmp_path) == ["c.zarr"]


@pytest.mark.soak
@POSIX
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_a_cube_that_is_killed_at_any_moment(slow, tmp_path, name, record_property):
    folder, images = slow
    number = getattr(signal, name)
    rng = np.random.default_rng(int(number))
    open_anyway = tried = 0
    for i in range(8):
        words = command("cube", folder / "f*.fz", f"{i}.zarr", "--threads", 1)
        path = tmp_path / f"{i}.zarr"
        while not (path / "zarr.json").exists() or "(not" in (path / "zarr.json").read_text():
            tried += 1
            process = subprocess.Popen(
                words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            done = len(chunks(path, "frames"))
            until(lambda n=done: len(chunks(path, "frames")) > n or process.poll() is not None)  # noqa: B023
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0, 0.4))
            process.send_signal(number)
            process.wait()
            if path.exists():
                try:
                    same(xr.open_zarr(path).frames, images)
                    open_anyway += 1
                except ValueError:
                    nobody_opens(path)
        assert is_ours(str(path))
        shutil.rmtree(path)
    assert open_anyway >= 8
    record_property("fault", (f"a cube, {name}", tried, 0, "complete, or not opened"))


STRIKE = """
import os, signal, sys
from pulsar_dask import cubestore
from pulsar_dask.cube import write_cube
count, before = int(sys.argv[1]), cubestore.write_whole
def write_whole(path, data):
    global count
    if not count:
        os.kill(os.getpid(), signal.SIGKILL)
    count -= 1
    before(path, data)
cubestore.write_whole = write_whole
write_cube("f*.fit", "c.zarr", threads=1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@POSIX
@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_cube_that_is_killed_while_it_becomes_complete(tmp_path, step):
    """Before, between and behind the two files that make it one."""
    write_frames(tmp_path)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(STRIKE), str(step)], cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    path = tmp_path / "c.zarr"
    if step < 2:
        with pytest.raises(ValueError, match="not complete"):
            xr.open_zarr(path)
    times = [chunk.stat().st_mtime_ns for chunk in chunks(path, "frames")]
    run("cube", "f*.fit", "c.zarr", cwd=tmp_path)
    assert times == [chunk.stat().st_mtime_ns for chunk in chunks(path, "frames")]
    same(xr.open_zarr(path).frames, truth(tmp_path))
    assert is_ours(str(path))


def in_work(store: Path, name: str, data: str = "mine") -> None:
    (store / name).parent.mkdir(exist_ok=True, parents=True)
    (store / name).write_text(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda store: in_work(store, "note.txt"),
        lambda store: in_work(store, "frames/note.txt"),
        lambda store: in_work(store, "frames/c/0/0/note.txt"),
        lambda store: in_work(store, "mine/zarr.json"),
        lambda store: (store / "file" / "c" / "0").unlink(),
        lambda store: in_work(store, "exposure/zarr.json", "{}"),
        pytest.param(lambda store: link(store, "frames"), marks=POSIX),
        pytest.param(lambda store: (store / "frames/c/1").symlink_to(store.parent), marks=POSIX),
    ],
)
def test_a_cube_in_work_that_was_changed(tmp_path, change):
    write_frames(tmp_path)
    change(begun(tmp_path))
    before = content(tmp_path)
    said = one_line(run("cube", "f*.fit", "c.zarr", cwd=tmp_path, status=1).stderr)
    assert "c.zarr was changed after pulsar-dask wrote it" in said
    assert content(tmp_path) == before
    run("cube", "f*.fit", "c.zarr", "--overwrite", cwd=tmp_path)
    same(xr.open_zarr(tmp_path / "c.zarr").frames, truth(tmp_path))


def test_what_a_kill_cut_short_goes(tmp_path):
    write_frames(tmp_path)
    path = begun(tmp_path)
    (chunks(path, "frames")[0].parent / "5.0123456789ab.part").write_bytes(b"half")
    run("cube", "f*.fit", "c.zarr", cwd=tmp_path)
    assert not list(tmp_path.rglob("*.part"))
    same(xr.open_zarr(path).frames, truth(tmp_path))
    assert is_ours(str(path))


# --- what a run takes over ---------------------------------------------------------------------


def replaced(path: Path, *, in_place: bool, pixel: int) -> None:
    """Another frame of that name, size and time."""
    status, image = path.stat(), fits.getdata(path)
    image.reshape(-1)[pixel] ^= 1
    data = bytearray(path.read_bytes())
    data[2880 : 2880 + image.nbytes] = image.astype(">i2").tobytes()
    if in_place:
        path.write_bytes(data)
    else:
        path.with_name("new").write_bytes(data)
        path.with_name("new").replace(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


@POSIX
@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("complete", [True, False])
def test_a_frame_that_was_replaced_is_seen(tmp_path, in_place, complete):
    write_frames(tmp_path)
    path = begun(tmp_path)
    if complete:
        run("cube", "f*.fit", "c.zarr", cwd=tmp_path)
    replaced(tmp_path / "f2.fit", in_place=in_place, pixel=83)
    before = content(path)
    said = one_line(run("cube", "f*.fit", "c.zarr", cwd=tmp_path, status=1).stderr)
    assert "c.zarr holds other pixels than " in said
    assert "f2.fit: one of them was changed or replaced since" in said
    assert "--overwrite" in said
    assert content(path) == before
    run("cube", "f*.fit", "c.zarr", "--overwrite", cwd=tmp_path)
    same(xr.open_zarr(path).frames, truth(tmp_path))


@pytest.mark.parametrize("complete", [True, False])
def test_a_folder_that_was_copied_back_goes_on(tmp_path, complete):
    """The files are others, by number and time of their status; their pixels are the same."""
    folder = tmp_path / "frames"
    folder.mkdir()
    write_frames(folder)
    path = begun(folder).rename(tmp_path / "c.zarr")
    words = ("cube", "frames/f*.fit", "c.zarr")
    if complete:
        run(*words, cwd=tmp_path)
    times = [chunk.stat().st_mtime_ns for chunk in chunks(path, "frames")]
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(folder)
    (tmp_path / "copy").rename(folder)
    assert "already" in run(*words, cwd=tmp_path).stdout
    assert [c.stat().st_mtime_ns for c in chunks(path, "frames")][: len(times)] == times
    same(xr.open_zarr(path).frames, truth(folder))
    assert is_ours(str(path))
    assert "complete already" in run(*words, cwd=tmp_path).stdout


def test_a_chunk_in_the_place_of_another_is_seen(tmp_path):
    write_frames(tmp_path)
    path = begun(tmp_path)
    swap(path, "frames")
    said = one_line(run("cube", "f*.fit", "c.zarr", cwd=tmp_path, status=1).stderr)
    assert "c.zarr holds other pixels than " in said


@pytest.mark.parametrize("damage", [flip, lambda s, v: chunks(s, v)[1].write_bytes(b"\0" * 50)])
def test_a_chunk_that_is_damaged_is_written_again(tmp_path, damage):
    write_frames(tmp_path)
    path = begun(tmp_path)
    damage(path, "frames")
    run("cube", "f*.fit", "c.zarr", cwd=tmp_path)
    same(xr.open_zarr(path).frames, truth(tmp_path))
    assert is_ours(str(path))


# --- sums of the inputs ------------------------------------------------------------------------


def with_datasum(folder: Path) -> None:
    for path in folder.glob("f?.fit"):
        with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
            hdus[0].add_checksum()


@pytest.mark.parametrize("kind", ["fresh", "gone on with", "compared"])
def test_a_flipped_bit_of_an_input_is_warned_about(tmp_path, kind):
    write_frames(tmp_path)
    with_datasum(tmp_path)
    run("cube", "f*.fit", "good.zarr", cwd=tmp_path)
    data = bytearray((tmp_path / "f1.fit").read_bytes())
    data[-2881] ^= 1
    (tmp_path / "f1.fit").write_bytes(data)
    if kind != "fresh":
        begun(tmp_path)
    if kind == "compared":  # which changes the time of its status
        os.link(tmp_path / "f1.fit", tmp_path / "another")
    done = run("cube", "f*.fit", "c.zarr", cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    assert "f1.fit: the data do not match their DATASUM; they were changed or damaged" in line
    same(xr.open_zarr(tmp_path / "c.zarr").frames, truth(tmp_path))
    if kind == "fresh":
        with pytest.warns(PulsarWarning, match=r"f1\.fit: the data do not match their DATASUM"):
            pulsar_dask.write_cube(tmp_path / "f*.fit", tmp_path / "d.zarr")


def test_good_inputs_are_not_warned_about(tmp_path):
    write_frames(tmp_path)
    with_datasum(tmp_path)
    assert run("cube", "f*.fit", "c.zarr", cwd=tmp_path).stderr == ""
