"""Zarr stores: what is ours, and what is opened."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from harm import POSIX, snapshot
from helpers import one_line, run, same, write_frame
from stores import SHAPE, chunks, flip_chunk, link, swap, truth, write_frames
from zarr.codecs import Crc32cCodec, ZstdCodec

import pulsar_dask
from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.masters.stack import cube_tile
from pulsar_dask.output.ours import is_ours

VARIABLE = {"med": "master", "cube": "frames"}


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
    "a bit": flip_chunk,
    "a chunk that is a link": link,
    "a link": lambda store, variable: (store / "raw").symlink_to(store.parent),
    "a dead link": lambda store, variable: (store / "raw").symlink_to("nowhere"),
}


@pytest.mark.few
@POSIX
@pytest.mark.parametrize("tool", VARIABLE)
@pytest.mark.parametrize("change", CHANGES)
def test_a_store_that_was_changed_is_the_users(copied, tool, change):
    store = copied / f"{tool}.zarr"
    CHANGES[change](store, VARIABLE[tool])
    before = snapshot(copied)
    said = one_line(run(tool, "f*.fit", store.name, cwd=copied, status=1).stderr)
    assert f"{tool}.zarr was changed after pulsar-dask wrote it; name another output" in said
    assert "--overwrite" in said
    assert snapshot(copied) == before
    run(tool, "f*.fit", store.name, "--overwrite", cwd=copied)
    assert is_ours(str(store))
    array = xr.open_zarr(store)[VARIABLE[tool]]
    same(array, truth(copied) if tool == "cube" else np.median(truth(copied), 0).astype("f4"))
    outside = {k: v for k, v in before.items() if not k.startswith(store.name)}
    assert {k: v for k, v in snapshot(copied).items() if not k.startswith(store.name)} == outside


def test_a_store_that_was_not_touched(made, copied):
    for name in ("med.zarr", "cube.zarr"):  # opened and looked at
        xr.open_zarr(copied / name).load()
        xr.open_zarr(copied / name, consolidated=False).load()
        zarr.open(copied / name)
        assert is_ours(str(copied / name))
    before = snapshot(copied / "cube.zarr")
    assert "complete already" in run("cube", made / "f*.fit", "cube.zarr", cwd=copied).stdout
    assert snapshot(copied / "cube.zarr") == before
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
    before = snapshot(copied)
    said = one_line(run(tool, "f*.fit", store.name, cwd=copied, status=1).stderr)
    assert "was written by an earlier version of pulsar-dask, which did not seal it" in said
    assert snapshot(copied) == before
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
    before = snapshot(store.parent)
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
    assert snapshot(store.parent) == before


def refuses_in_tools(store: Path, says: str) -> None:
    before = snapshot(store.parent)
    for words in (("med", store.name, "m.fit"), ("verify", store.name),
                  ("make_cosme", store.name, "m.lst"), ("cube", store.name, "d.zarr")):  # fmt: skip
        said = one_line(run(*words, cwd=store.parent, status=1).stderr)
        assert store.name in said
        assert says in said
    assert snapshot(store.parent) == before


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
        found = cube_tile(Tile(0, 0, 0, *SHAPE), frames, str(frames[0].pixels.native))["frames"]
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
        tmp_path / "t.zarr", data=np.frombuffer(text, "u1"),
        compressors=[ZstdCodec(level=0), Crc32cCodec()],
    )  # fmt: skip
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
