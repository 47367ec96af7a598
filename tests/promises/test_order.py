"""Sums that see the order of what they sum: of inputs, masters and lists, and of what was just
written; compared with sums made by hand."""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from harm import flip
from helpers import datasum, images, names, run, shapes, write_frame
from hypothesis import given
from hypothesis import strategies as st
from night import Night, stack, tool, verify

from pulsar_dask.errors import PulsarError
from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.formats.reading import close_files, counting, read_tile
from pulsar_dask.formats.scan import scan_frame
from pulsar_dask.formats.sums import pixel_sums
from pulsar_dask.frames.provenance import read_trace
from pulsar_dask.kernels import ordersum
from pulsar_dask.kernels.checksum import both_sums, file_sums, is_as_written
from pulsar_dask.kernels.loading import warm_up
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.kernels.pixels import Grid
from pulsar_dask.output.fits import FitsMaster

P = 2**61 - 1
MULTIPLIER = 6364136223846793005


def weight(word: int) -> int:
    """By definition."""
    inner = pow(MULTIPLIER, word % 720 + 1, 2**64) >> 38
    return inner * pow(MULTIPLIER, 2 * (word // 720), P) % P


def order_of(data: bytes, offset: int = 0) -> int:
    """Byte by byte, in Python's integers."""
    total = 0
    for at, byte in enumerate(data, offset):
        total += (byte << 8 * (3 - at % 4)) * weight(at // 4)
    return total % P


def order_of_image(stored: np.ndarray) -> int:
    """Of pixels as a FITS file holds them, by NumPy's arithmetic on objects."""
    data = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    words = np.frombuffer(data + bytes(-len(data) % 4), ">u4").astype(object)
    return int((words * np.array([weight(i) for i in range(len(words))], object)).sum() % P)


@pytest.fixture(params=["numpy", "compiled"])
def code(request, monkeypatch) -> str:
    """Sums by NumPy, or by compiled code, whatever is loaded."""
    warm_up([])
    if request.param == "numpy":
        for module in ("kernels.checksum", "formats.plain"):
            monkeypatch.setattr(f"pulsar_dask.{module}.if_loaded", lambda *names: None)
    return str(request.param)


# --- the sum -----------------------------------------------------------------------------------


@given(st.data())
def test_both_sums_of_parts_in_any_order(code, data):
    block = data.draw(st.sampled_from([0, 0, 1, 2, 40]))
    first = 2880 * block + data.draw(st.integers(-5, 5)) if block else data.draw(st.integers(0, 9))
    length = data.draw(st.sampled_from([0, 1, 7, 64, 2879, 2880, 2885, 6000]))
    kind = data.draw(st.sampled_from(["noise", "full"]))
    content = (
        bytes([255]) * length if kind == "full" else np.random.default_rng(first).bytes(length)
    )
    cuts = data.draw(st.lists(st.integers(0, length), max_size=6))
    places = sorted({0, length, *cuts})
    parts = data.draw(st.permutations(list(itertools.pairwise(places))))
    ledger = Ledger()
    for a, b in parts:
        sums = both_sums(np.frombuffer(content[a:b], np.uint8), first + a)
        ledger.add("x", sums.words, b - a, sums.order)
    found = ledger.sums("x", length) if parts else Sums()
    padded = bytes(first % 4) + content
    padded += bytes(-len(padded) % 4)
    words = sum(int.from_bytes(padded[i : i + 4], "big") for i in range(0, len(padded), 4))
    assert (found.words - words) % (2**32 - 1) == 0
    assert found.order == order_of(content, first)


@given(st.integers(0, 9), st.integers(1, 30), st.integers(0, 50), st.integers(0, 6000))
def test_rows_of_a_window(code, rows, length, gap, first):
    wide = np.random.default_rng(first).integers(0, 256, (rows, length + 7), np.uint8)
    data = wide[:, 3 : 3 + length]
    found = both_sums(data, first, step=length + gap)
    right = sum(order_of(row.tobytes(), first + i * (length + gap)) for i, row in enumerate(data))
    assert found.order == right % P


def test_many_full_words_do_not_overflow(code):
    data = np.full(3 * 2880 * 32 + 44, 255, np.uint8)  # more than is turned into numbers at once
    inner, left = [weight(i) for i in range(720)], len(data) // 4 % 720
    for block in (0, 10**6):
        right = sum(weight(720 * (block + b)) for b in range(3 * 32)) * sum(inner)
        right = right * pow(inner[0], -1, P) + sum(
            weight(720 * (block + 96) + i) for i in range(left)
        )
        right = right * (2**32 - 1) % P
        assert both_sums(data, 2880 * block).order == right
        assert both_sums(data).later(2880 * block).order == right


def no_two_weigh_the_same(blocks: int) -> bool:
    """Whether weights differ, in so many blocks: a quotient of two within a block would have to
    be a power of the step."""
    inner = [weight(i) for i in range(720)]
    inverse = [pow(w, -1, P) for w in inner]
    quotients = {a * b % P for a in inner for b in inverse}
    step, power = MULTIPLIER**2 % P, 1
    for _ in range(blocks):
        power = power * step % P
        if power in quotients:
            return False
    return len(set(inner)) == 720


def test_no_two_words_weigh_the_same():
    assert ordersum.WEIGHTS.tolist() == [weight(i) for i in range(720)]
    assert ordersum.WEIGHTS.max() < 2**26  # see what is said of overflow there
    assert no_two_weigh_the_same(100_000)


@pytest.mark.soak
def test_no_two_words_weigh_the_same_in_48_gigabytes():
    assert no_two_weigh_the_same(2**24)


CHANGES = {
    "two words": lambda a: np.concatenate([a[0, 4:8], a[0, :4], a[0, 8:]]),
    "two rows": lambda a: a[[0, 2, 1, *range(3, len(a))]],
    "two far rows": lambda a: a[[len(a) - 1, *range(1, len(a) - 1), 0]],
    "upside down": lambda a: a[::-1],
    "mirrored": lambda a: a[:, ::-1],
    "turned round": lambda a: a[::-1, ::-1],
    "rows moved on": lambda a: np.roll(a, 1, axis=0),
    "columns moved on": lambda a: np.roll(a, 4, axis=1),
    "halves": lambda a: np.roll(a, len(a) // 2, axis=0),
    "quarters": lambda a: np.block([[a[:20, :24], a[20:, 24:]], [a[20:, :24], a[:20, 24:]]]),
}


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
def test_what_changes_places_is_seen(code, how, dtype):
    noise = np.random.default_rng(5).normal(100, 3, (40, 48))
    image = noise.astype(dtype).astype(np.dtype(dtype).newbyteorder(">"))
    other = image.copy()
    changed = CHANGES[how](image)
    other[: 1 if changed.ndim == 1 else None] = changed
    before, after = (both_sums(np.ascontiguousarray(x).view("u1").ravel()) for x in (image, other))
    if how not in ("mirrored", "turned round"):  # which may turn words round, too
        assert before.words == after.words
    assert before.order != after.order


# --- of what is read ---------------------------------------------------------------------------


@given(st.data())
def test_the_sums_of_an_image_read_in_any_tiles(tmp_path_factory, code, data):
    folder = tmp_path_factory.mktemp("f")
    dtype = data.draw(st.sampled_from(["u1", "i2", "i4", "i8", "f4", "f8"]))
    image = data.draw(images(dtype, data.draw(shapes), missing=False))
    place = data.draw(st.sampled_from(["primary", "extension", "gz", "tiled"]))
    if place == "tiled" and dtype in ("i8", "f4", "f8"):
        place = "extension"
    name = "a.fit.gz" if place == "gz" else "a.fit"
    frame = scan_frame(
        write_frame(folder / name, image, place="primary" if place == "gz" else place)
    )
    right = Sums(datasum(image), order_of_image(image))
    assert pixel_sums(frame) == right
    rows, columns = image.shape[-2:]
    grid = Grid(image.shape, data.draw(st.integers(1, rows)), data.draw(st.integers(1, columns)))
    ledgers = Ledger(), Ledger()
    for n, (_, tile) in enumerate(data.draw(st.permutations(list(grid)))):
        with counting(ledgers[n % 2]):
            read_tile([frame], tile, np.empty((1, *tile.shape), frame.pixels.stored))
    close_files()
    ledgers[0].unpack([frame.path], ledgers[1].pack([frame.path]))  # as from a worker
    assert ledgers[0].sums(frame.path, frame.nbytes) == right


def orders(master: Path) -> dict[str, int | None]:
    """The sums that see order in the trace of a master, by name."""
    header = fits.getheader(master)
    trace = read_trace(map(str, header["HISTORY"]), str(master.parent))
    return {os.path.basename(s.path): s.order for s in trace.sources}


def test_the_trace_of_a_night(tmp_path):
    Night(tmp_path)
    tool("makedark", "darks/", "bias*.fit", cwd=tmp_path)
    tool("makeflat", "flats/", cwd=tmp_path)
    found = orders(tmp_path / "dark120s.fit")
    frames = [tmp_path / "darks" / f"d120_{i:04}.fit" for i in range(1, 5)]
    frames += [tmp_path / f"bias{i:04}.fit" for i in range(1, 6)]
    assert found == {p.name: order_of_image(raw(p)) for p in frames}
    found = orders(tmp_path / "flat_l.fit")
    assert found["cosme120s.lst"] == order_of((tmp_path / "cosme120s.lst").read_bytes())
    assert found["dark120s.fit"] == order_of_image(raw(tmp_path / "dark120s.fit"))


def raw(path: Path) -> np.ndarray:
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        return np.array(hdus[0].data)


def test_the_order_does_not_care_how_an_archive_keeps_the_frame(tmp_path):
    frame = stack(3, 1, 500, shape=(40, 33))[0]
    stored = (frame.astype("i4") - 32768).astype("i2")
    for name, place in (("a.fit", "primary"), ("b.fit", "tiled"), ("c.fit.gz", "primary")):
        write_frame(tmp_path / name, stored, bzero=32768, place=place)
    tool("cube", "a.fit", "d.zarr", "--no-sequence", cwd=tmp_path)
    for name in ("a.fit", "b.fit", "c.fit.gz", "d.zarr"):
        tool("med", name, "m.fit", "--no-sequence", "--overwrite", cwd=tmp_path)
        assert list(orders(tmp_path / "m.fit").values()) == [order_of_image(stored)]


# --- verify ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A night, its darks and flats, a bias of planes, and a dark made of frames in a store."""
    folder = tmp_path_factory.mktemp("night")
    Night(folder)
    planes = np.random.default_rng(0).normal(300, 9, (3, 3, 20, 30)).astype("f4")
    for i, image in enumerate(planes):
        write_frame(folder / f"p{i}.fit", image, cards={"IMAGETYP": "Bias"})
    tool("makedark", "darks/", "bias*.fit", cwd=folder)
    tool("makeflat", "flats/", cwd=folder)
    tool("med", "p?.fit", "planes.fit", cwd=folder)
    tool("cube", "darks/d300*", "d.zarr", cwd=folder)
    tool("med", "d.zarr", "stored.fit", cwd=folder)
    tool("med", "d.zarr", "stored.zarr", cwd=folder)
    return folder


@pytest.fixture
def night(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "night"))


def exchange(path: Path, a: int, b: int) -> None:
    """Two rows, or planes, of a frame change places in its file."""
    image = raw(path)
    before, start = datasum(image), scan_frame(path).stored.offset
    image[[a, b]] = image[[b, a]]
    assert datasum(image) == before
    data = bytearray(path.read_bytes())
    data[start : start + image.nbytes] = image.astype(image.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(data)


@pytest.mark.few
@pytest.mark.parametrize("kept", ["fit", "gz", "fz"])
@pytest.mark.parametrize(
    ("changed", "master", "role"),
    [
        ("darks/d300_0002.fit", "dark300s.fit", "input"),
        ("bias0003.fit", "dark300s.fit", "bias"),
        ("p1.fit", "planes.fit", "input"),
    ],
)
def test_rows_of_an_input_that_change_places(night, changed, master, role, kept):
    path = night / changed
    exchange(path, 2, 0 if changed == "p1.fit" else 6)
    if kept == "gz":
        (path.parent / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    elif kept == "fz" and changed != "p1.fit":  # of floats it would not keep all bits
        stored = raw(path)
        write_frame(path.parent / f"{path.name}.fz", stored, bzero=32768, place="tiled")
        path.unlink()
    out = verify(night, master, status=1)
    assert f"{changed}" in out
    assert f"{role} " in out
    assert "its pixels are not in the order any more in which they were" in out


def test_lines_of_a_list_that_change_places(night):
    path = night / "cosme120s.lst"
    lines = path.read_bytes().splitlines(keepends=True)
    before = file_sums(str(path)).words
    for i, j in itertools.combinations(range(40), 2):
        others = list(lines)
        others[i], others[j] = others[j], others[i]
        path.write_bytes(b"".join(others))
        if file_sums(str(path)).words == before:  # as whole words
            break
    assert others != lines
    out = verify(night, "flat_l.fit", status=1)
    assert "cosme120s.lst: its lines are not in the order any more" in out


def test_frames_that_change_places(night):
    a, b = night / "darks" / "d300_0001.fit", night / "darks" / "d300_0002.fit"
    a.rename(night / "x"), b.rename(a), (night / "x").rename(b)
    out = verify(night, "dark300s.fit", status=1)
    assert out.count("its pixels are not those any more") == 2


def test_frames_in_a_store_whose_rows_change_places(night):
    for name in ("stored.fit", "stored.zarr"):
        assert "5 of 5 files" in verify(night, name)
    exchange(night / "darks" / "d300_0002.fit", 2, 6)
    tool("cube", "darks/d300*", "d.zarr", "--overwrite", cwd=night)
    for name in ("stored.fit", "stored.zarr"):
        out = verify(night, name, status=1)
        assert "4 of 5 files" in out
        assert out.count("its pixels are not in the order any more") == 1


@pytest.mark.parametrize("name", ["dark300s.fit", "planes.fit"])
@pytest.mark.parametrize("compressed", [False, True])
def test_rows_of_a_master_that_change_places(night, name, compressed):
    exchange(night / name, 2, 0)
    if compressed:
        content = (night / name).read_bytes()
        (night / name).unlink()
        name += ".gz"
        (night / name).write_bytes(gzip.compress(content))
    out = verify(night, name, "--tiles", "0", status=1)
    assert f"{name}: the data are not in the order in which they were written" in out
    assert "whole" not in out


def test_a_dark_whose_rows_changed_places_is_warned_about_where_it_is_used(night):
    exchange(night / "dark120s.fit", 2, 6)
    _, err = tool("makeflat", "flats/", "--output-dir", "more", cwd=night)
    assert "dark120s.fit: the data are not in the order in which they were written" in err
    assert "copy the file again" in err


def test_a_compressed_master_is_whole(night):
    tool("med", "bias*.fit", "b16.fit", "--dtype", "uint16", cwd=night)
    with fits.open(night / "b16.fit", do_not_scale_image_data=True) as hdus:
        header, image = hdus[0].header, np.array(hdus[0].data)
    for name, rows in (("whole.fit.fz", [1, 5]), ("other.fit.fz", [5, 1])):
        image[[1, 5]] = image[rows]
        packed = fits.CompImageHDU(image, header, compression_type="RICE_1")
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(night / name)
        with fits.open(
            night / name, mode="update", disable_image_compression=True, checksum=True
        ) as hdus:
            scaling = {"BSCALE": 1, "BZERO": 32768}
            hdus[1].header.update(scaling | {"ZDATASUM": header["DATASUM"]})  # as fpack does
    assert "whole.fit.fz: whole" in verify(night, "whole.fit.fz")
    out = verify(night, "other.fit.fz", "--tiles", "0", status=1)
    assert "other.fit.fz: the data are not in the order in which they were written" in out


def test_a_pixel_that_changed_with_its_checksums_is_seen_without_computing(night):
    with fits.open(night / "dark300s.fit", mode="update", checksum=True) as hdus:
        hdus[0].data[11, 7] += 1
    out = verify(night, "dark300s.fit", "--tiles", "0", status=1)
    assert "its pixels are not those that were written, its DATASUM was made anew" in out


def test_a_master_of_masters_has_its_own_order(night):
    tool("med", "dark120s.fit", "dark300s.fit", "both.fit", cwd=night)
    cards = fits.getheader(night / "both.fit").cards
    (card,) = (c for c in cards if c.keyword == "DATAORD")
    image = raw(night / "both.fit")
    assert card.value == f"{datasum(image):010} {order_of_image(image):016x}"
    assert "whole" in verify(night, "both.fit")


# --- masters of 0.1 ----------------------------------------------------------------------------


def as_of_0_1(path: Path) -> None:
    """A master without what 0.1 did not write."""
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        header, image = hdus[0].header, np.array(hdus[0].data)
    texts, open_ = [], False
    for text in map(str, header["HISTORY"]):
        drop = open_ or text.startswith("order ")
        open_ = drop and len(text) == 72 and text.endswith("&")
        texts += [] if drop else [text]
    assert len(texts) < len(header["HISTORY"])
    del header["HISTORY"], header["DATAORD"]
    for text in texts:
        header.add_history(text)
    fits.PrimaryHDU(image, header).writeto(path, overwrite=True, checksum=True)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("dark300s.fit", "darks/d300_0001.fit"),
        ("flat_l.fit", "flats/fL_0001.fit"),
        ("planes.fit", "p0.fit"),
    ],
)
def test_a_master_of_0_1(night, name, first):
    assert "older" not in verify(night, name)
    as_of_0_1(night / name)
    assert is_as_written(str(night / name))
    out = verify(night, name)
    assert f"{name}: whole, its CHECKSUM and DATASUM match" in out
    assert f"{name}: an older master: its sums do not see the order of pixels, or of lines" in out
    assert "pixels computed again are the same" in out
    flip(night / first, 2880 + 41, 64)
    assert "not those any more" in verify(night, name, status=1)


# --- whose a master is -------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["order", "pixel"])
def test_a_master_that_the_user_turned_round_is_not_replaced(night, change):
    with fits.open(night / "dark300s.fit", mode="update", checksum=True) as hdus:
        data = hdus[0].data
        if change == "order":
            hdus[0].data = data[::-1]
        else:
            data[0, 0] += 1
    kept = (night / "dark300s.fit").read_bytes()
    done = run("makedark", "darks/", "bias*.fit", cwd=night, status=1)
    assert "dark300s.fit was changed after pulsar-dask wrote it" in done.stderr
    assert (night / "dark300s.fit").read_bytes() == kept
    assert is_as_written(str(night / "dark120s.fit"))


# --- what was written is read back -------------------------------------------------------------


@pytest.mark.parametrize("places", [(0, 4), (0, 2880), (2**20, 5 * 2**20), (8 * 2**20 - 8, 12)])
def test_blocks_that_read_back_in_another_order(tmp_path, places):
    (tmp_path / "m.fit").write_bytes(b"old")
    data = np.random.default_rng(0).bytes(9 << 20)
    right = both_sums(np.frombuffer(data, np.uint8))
    with AtomicFile(str(tmp_path / "m.fit")) as file:
        file.write_at(data, 0)
        for here, there in (places, places[::-1]):
            file.write_at(data[here : here + 4], there)
        file.settle(0, 8 << 20)
        with pytest.raises(PulsarError, match=r"does not read back the same.*nothing was replaced"):
            file.seal(right.words, right.order)
    assert (tmp_path / "m.fit").read_bytes() == b"old"
    assert names(tmp_path) == ["m.fit"]


@pytest.mark.parametrize("place", ["early", "late", "header", None])
@pytest.mark.skipif(not hasattr(os, "pread"), reason="blocks are taken from the open file")
def test_a_master_with_blocks_exchanged(tmp_path, place):
    grid = Grid((2500, 3001), 40, 1501)
    values = np.random.default_rng(1).normal(1000, 10, grid.shape)
    header = fits.Header({"CREATOR": "pulsar-dask 0"})
    size = 4096
    with FitsMaster(str(tmp_path / "m.fit"), grid.shape, "float32", header) as master:
        for _, tile in grid:
            across = slice(tile.x, tile.x + tile.width)
            master.write(tile, values[tile.y : tile.y + tile.height, across])
            if place and tile.y == {"early": 0, "late": 2480}.get(place):
                swap(master, master._hdus["image"].data_start + 4 * 3001 * (tile.y + 1), size)
        if place == "header":  # DATE and CREATOR, say, once it is on the disk
            sealed = master.file.seal
            master.file.seal = lambda *sums: (swap_cards(master), sealed(*sums))
        if place:
            with pytest.raises(PulsarError, match="does not read back"):
                master.seal()
        else:
            master.commit()
    assert names(tmp_path) == ([] if place else ["m.fit"])


def swap(master: FitsMaster, at: int, size: int) -> None:
    fd = master.file._held.fd
    a, b = os.pread(fd, size, at), os.pread(fd, size, at + size)
    assert a != b
    master.file.write_at(b + a, at)


def swap_cards(master: FitsMaster) -> None:
    swap(master, 80, 80)
