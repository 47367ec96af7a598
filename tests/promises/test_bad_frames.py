"""Bad frames, put through the commands as a user does: a right master comes out, or one line
says what is wrong with which file and what to do, and the folder is as it was."""

from __future__ import annotations

import gzip
import os
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits
from harm import snapshot
from helpers import (
    BLOCK,
    exact_median,
    fitsverify_clean,
    header_bytes,
    image_bytes,
    run,
    same,
    write_frame,
)
from server import forked

from pulsar_dask.formats.reading import close_files, read_tile
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.kernels.pixels import Tile

SHAPE = 40, 80  # 6400 bytes: two blocks and a part of a third
IMAGE = np.random.default_rng(0).integers(0, 30_000, SHAPE).astype("i2")
DARK = {"IMAGETYP": "Dark Frame", "EXPTIME": 2.0}
FLAT = {"IMAGETYP": "Flat Frame", "EXPTIME": 2.0, "FILTER": "R"}
STRUCTURE = {"SIMPLE": True, "BITPIX": 16, "NAXIS": 2, "NAXIS1": 80, "NAXIS2": 40}
DATA = image_bytes(IMAGE, {})[BLOCK:]

# --- the commands, many of them in little time ---------------------------------------------


class Done:
    """How a command ended."""

    def __init__(self, status, stdout, stderr, megabytes):
        self.status, self.stdout, self.stderr = status, stdout, stderr
        self.megabytes = megabytes


@pytest.fixture
def tool():
    """Runs a tool in a folder: ``tool("med", "bad.fit", "m.fit", cwd=folder)``; further keywords
    are environment variables."""

    def one(*args, cwd, compiled=False, **variables):
        load = ["warm"] if compiled else []
        return Done(*forked(list(map(str, args)), cwd, load=load, env=variables))

    return one


WAY_OUT = (
    "copy it again|remove it from the input|expand it|write the exposure|add its name|rename|TMPDIR"
)


def refused(tool, folder, *args, names, says, **kwargs):
    """Run a tool that must fail: one line, which names the file and says what to do; nothing
    in the folder changes."""
    before = snapshot(folder)
    done = tool(*args, cwd=folder, **kwargs)
    assert done.status == 1, (done.status, done.stdout, done.stderr)
    error = done.stderr.removesuffix("\n").split("\n")[-1]
    others = done.stderr.removesuffix("\n").split("\n")[:-1]
    assert error.startswith("pulsar-dask: error: "), done.stderr
    assert all(line.startswith("warning: ") for line in others), done.stderr
    assert "Traceback" not in done.stderr
    assert "should not happen" not in done.stderr
    assert done.stderr.replace("\n", "").isprintable()
    assert len(error) < 600
    assert names in error
    assert re.search(says, error), error
    assert re.search(WAY_OUT, error), error
    assert snapshot(folder) == before
    return done


# --- files that are no frame, or a damaged one ------------------------------------------------


def with_header(change, data=DATA):
    """A frame whose header has other cards: keyword to value, or bytes of a whole card."""
    return header_bytes(STRUCTURE | DARK | change) + data


def tiled(folder, name="bad.fit.fz", stored=IMAGE, **kwargs):
    return write_frame(folder / name, stored, place="tiled", cards=DARK, **kwargs)


def change_table(path, **cards):
    """Change cards of a compressed image's table."""
    with fits.open(path, mode="update", disable_image_compression=True) as hdus:
        hdus[1].header.update(cards)


def heap(path):
    """Where the compressed tiles lie in a file: first byte and their number."""
    with fits.open(path, disable_image_compression=True) as hdus:
        header, start = hdus[1].header, hdus[1].fileinfo()["datLoc"]
        return start + header["NAXIS1"] * header["NAXIS2"], header["PCOUNT"]


WHOLE = with_header({})
EXTENSION = header_bytes({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0} | DARK) + header_bytes(
    {"XTENSION": "IMAGE"} | {k: v for k, v in STRUCTURE.items() if k != "SIMPLE"}
)
TABLE = header_bytes(
    {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 4, "NAXIS2": 3, "PCOUNT": 0,
     "GCOUNT": 1, "TFIELDS": 1, "TFORM1": "J"}
) + bytes(BLOCK)  # fmt: skip
NO_IMAGE = header_bytes({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0})

#: What it is: bytes, what the message must say.
BYTES = {
    "empty": (b"", "empty|holds nothing"),
    "text": (b"Once upon a time there was a frame.\n" * 200, "not a FITS file"),
    "zeros": (bytes(9 * BLOCK), "not a FITS file"),
    "half a card": (WHOLE[:40], "END"),
    "half a header": (WHOLE[:200], "END"),
    "header without its last byte": (WHOLE[: WHOLE.index(b"END     ") + 2], "END"),
    "header alone": (WHOLE[:BLOCK], "truncated"),
    "one byte short": (WHOLE[: BLOCK + 6400 - 1], "truncated"),
    "half": (WHOLE[: BLOCK + 3200], "truncated"),
    "last block missing": (WHOLE[: BLOCK + 2 * BLOCK], "truncated"),
    "extension one byte short": ((EXTENSION + DATA)[: 2 * BLOCK + 6399], "truncated"),
    "missing END": (WHOLE.replace(b"END     ", b"ENX     "), "END"),
    "NAXIS=0": (with_header({"NAXIS": 0}), "no image"),
    "NAXIS=1": (with_header({"NAXIS": 1}), "no image"),
    "NAXIS=4": (with_header({"NAXIS": 4, "NAXIS3": 2, "NAXIS4": 2}), "no image"),
    "NAXIS1=0": (with_header({"NAXIS1": 0}), "no pixels"),
    "NAXIS1 huge": (with_header({"NAXIS1": 10**12}), "truncated"),
    "NAXIS1 beyond any file": (with_header({"NAXIS1": 10**40}), "truncated"),
    "many huge axes": (
        header_bytes({"SIMPLE": True, "BITPIX": 16, "NAXIS": 999}
                     | {f"NAXIS{i}": 10**60 for i in range(1, 1000)}),
        "truncated",
    ),
    "one huge axis first": (
        header_bytes({"SIMPLE": True, "BITPIX": 8, "NAXIS": 1, "NAXIS1": 10**30}), "truncated"
    ),
    "NAXIS negative": (with_header({"NAXIS": -2}), "NAXIS is -2"),
    "NAXIS text": (with_header({"NAXIS": "two"}), "NAXIS is 'two'"),
    "NAXIS with an escape": (
        with_header({"NAXIS": b"NAXIS   = '\x1b[31mtwo'"}), "NAXIS is .*\\\\x1b"
    ),
    "NAXIS missing": (with_header({"NAXIS": b"COMMENT none"}), "NAXIS is missing"),
    "NAXIS2 negative": (with_header({"NAXIS2": -40}), "negative"),
    "NAXIS2 fractional": (with_header({"NAXIS2": 40.5}), "NAXIS2"),
    "BITPIX 12": (with_header({"BITPIX": 12}), "BITPIX is 12"),
    "BITPIX text": (with_header({"BITPIX": "x"}), "BITPIX"),
    "BSCALE=0": (with_header({"BSCALE": 0.0}), "BSCALE is 0"),
    "BZERO text": (with_header({"BZERO": "much"}), "BZERO is 'much'"),
    "BZERO NaN": (with_header({"BZERO": b"BZERO   =  NaN"}), "BZERO"),
    "BSCALE 1e400": (with_header({"BSCALE": b"BSCALE  =  1E400"}), "BSCALE"),
    "BLANK fractional": (with_header({"BLANK": 1.5}), "BLANK"),
    "table only": (NO_IMAGE + TABLE, "no image"),
    "negative PCOUNT": (
        NO_IMAGE + TABLE.replace(b"PCOUNT  =                    0",
                                 b"PCOUNT  =                -2892"), "PCOUNT",
    ),
    "negative GCOUNT": (
        NO_IMAGE + TABLE.replace(b"GCOUNT  =                    1",
                                 b"GCOUNT  =                 -240"), "GCOUNT",
    ),
    "tables without end": (NO_IMAGE + TABLE * 1500, "no image"),
    "a header without end": (
        WHOLE[: WHOLE.index(b"END     ")] + b"HISTORY x".ljust(80) * 60_000, "END"
    ),
    "a compressed file": (b"BZh91AY&SY" + bytes(300), "not a FITS file"),
}  # fmt: skip


@pytest.mark.few
@pytest.mark.parametrize("name", BYTES)
@pytest.mark.parametrize("suffix", ["fit", "fit.gz"])
def test_what_is_no_frame(tool, tmp_path, name, suffix):
    """Between good ones, and alone."""
    data, says = BYTES[name]
    bad = tmp_path / f"bad.{suffix}"
    bad.write_bytes(gzip.compress(data, 1) if suffix == "fit.gz" else data)
    for good in ("a.fit", "z.fit"):
        write_frame(tmp_path / good, IMAGE, cards=DARK)
    done = refused(tool, tmp_path, "makedark", ".", names=bad.name, says=says)
    assert done.megabytes < 300
    if suffix == "fit":
        refused(tool, tmp_path, "med", bad.name, "m.fit", names=bad.name, says=says)


# --- tile-compressed ---------------------------------------------------------------------------

#: Cards of the table that holds the tiles, what the message must say.
TABLES = {
    "ZNAXIS1 huge": ({"ZNAXIS1": 10**12}, "damaged, its table"),
    "ZNAXIS1 and its tiles huge": ({"ZNAXIS1": 10**12, "ZTILE1": 10**12}, "truncated"),
    "ZNAXIS2 huge": ({"ZNAXIS2": 10**9}, "damaged, its table"),
    "ZNAXIS1=0": ({"ZNAXIS1": 0}, "no pixels"),
    "ZNAXIS1 negative": ({"ZNAXIS1": -80}, "negative"),
    "ZNAXIS text": ({"ZNAXIS": "two"}, "ZNAXIS is 'two'"),
    "ZBITPIX 12": ({"ZBITPIX": 12}, "BITPIX is 12"),
    "BSCALE=0": ({"BSCALE": 0.0}, "BSCALE is 0"),
    "rows of its table missing": ({"NAXIS2": 20}, "damaged, its table"),
    "a heap beyond the file": ({"PCOUNT": 10**9}, "truncated"),
    "a heap elsewhere": ({"THEAP": 10**8}, "cannot be read"),
    "an algorithm of no name": ({"ZCMPTYPE": "MAGIC_1"}, "cannot be read"),
    "no column of data": ({"TTYPE1": "OTHER"}, "cannot be read"),
    "no columns": ({"TFIELDS": 0}, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "compiled"),
    [(n, c) for n, (_, says) in TABLES.items() for c in (False, True)[: 1 + ("cannot" in says)]],
)
def test_a_table_that_is_no_image(tool, tmp_path, name, compiled):
    cards, says = TABLES[name]
    change_table(tiled(tmp_path), **cards)
    refused(tool, tmp_path, "med", "bad.fit.fz", "m.fit", names="bad.fit.fz", says=says,
            compiled=compiled)  # fmt: skip


def damaged(path, how):
    """Damage the compressed tiles of a file."""
    start, size = heap(path)
    data = bytearray(path.read_bytes())
    if how == "short":
        del data[start + size - 100 :]
    elif how == "pointers":
        data[start - 320 : start] = b"\x7f" * 320
    else:
        fill = {"ones": b"\xff", "zeros": b"\0"}[how]
        data[start + size // 2 : start + size // 2 + 900] = fill * 900
    path.write_bytes(data)


@pytest.mark.few
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("tile", [(1, 80), (40, 80), (16, 16)])
@pytest.mark.parametrize("how", ["short", "pointers", "zeros"])
@pytest.mark.parametrize("compression", ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"])
def test_damaged_tiles(tool, tmp_path, compression, how, tile, compiled):
    if compiled and compression != "RICE_1":
        pytest.skip("only Rice coding is decoded by compiled code")
    if compression == "HCOMPRESS_1" and (tile[0] == 1 or how == "zeros"):
        pytest.skip("it needs tiles of several rows, and zeros are a valid tile to it")
    path = tiled(tmp_path, compression=compression, tile=tile)
    damaged(path, how)
    says = "truncated" if how == "short" else "cannot be read"
    refused(tool, tmp_path, "med", path.name, "m.fit", names=path.name, says=says,
            compiled=compiled)  # fmt: skip


def test_threads_do_not_spoil_each_others_tiles(tmp_path):
    """HCOMPRESS's decoder has one state for the whole process."""
    stack = np.stack([np.roll(IMAGE, i) for i in range(4)])
    paths = [
        str(tiled(tmp_path, f"f{i}.fit.fz", image, compression="HCOMPRESS_1", tile=(8, 8)))
        for i, image in enumerate(stack)
    ]
    frames = scan_frames(paths)

    def read(i):
        return read_tile([frames[i % 4]], Tile(0, 0, 0, *SHAPE), np.empty((1, *SHAPE), ">i2"))[0]

    with ThreadPoolExecutor(8) as pool:
        for i, image in enumerate(pool.map(read, range(48))):
            same(image, stack[i % 4])
    close_files()


# --- gzipped -----------------------------------------------------------------------------------

ZIPPED = gzip.compress(WHOLE, 6)
#: 64 MB of zeros, in 62 kB: as a part of a gzipped file it can stand many times.
ZEROS = gzip.compress(bytes(1 << 26))
GZIPPED = {
    "one byte short": (ZIPPED[:-1], "ended before"),
    "without its trailer": (ZIPPED[:-8], "ended before"),
    "half": (ZIPPED[: len(ZIPPED) // 2], "ended before"),
    "ten bytes": (ZIPPED[:10], "ended before|cannot be read"),
    "wrong CRC": (ZIPPED[:-8] + bytes([ZIPPED[-8] ^ 1]) + ZIPPED[-7:], "CRC"),
    "wrong length": (ZIPPED[:-4] + bytes([ZIPPED[-4] ^ 1]) + ZIPPED[-3:], "length"),
    "garbage inside": (ZIPPED[:3000] + b"\xff" * 200 + ZIPPED[3200:], "cannot be read"),
    "garbage": (b"\x1f\x8b" + b"rubbish" * 99, "cannot be read"),
    "garbage behind": (ZIPPED + b"rubbish", "cannot be read"),
    "more claimed than gzip can hold": (gzip.compress(with_header({"NAXIS2": 10**6})), "truncated"),
    "a bomb behind the image": (ZIPPED + ZEROS * 4, "much more than its image"),
    "a bomb before the image": (
        gzip.compress(header_bytes({"SIMPLE": True, "BITPIX": 8, "NAXIS": 1, "NAXIS1": 4 << 26}))
        + ZEROS * 4,
        "no image in the first",
    ),
    "a bomb of headers": (gzip.compress(WHOLE[:400] + b" " * (1 << 26)), "no END"),
    "tiles in a .gz": (None, "expand it with gunzip"),
}


@pytest.mark.parametrize("name", GZIPPED)
def test_gzipped(tool, tmp_path, name):
    data, says = GZIPPED[name]
    bad = tmp_path / "bad.fit.gz"
    bad.write_bytes(data or gzip.compress(tiled(tmp_path, "tiled.fit").read_bytes()))
    (tmp_path / "temporary").mkdir()
    done = refused(tool, tmp_path, "med", bad.name, "m.fit", names=bad.name, says=says,
                   TMPDIR=str(tmp_path / "temporary"))  # fmt: skip
    assert done.megabytes < 300


def test_a_gz_that_no_disk_holds_expanded(tool, tmp_path):
    bad = tmp_path / "bad.fit.gz"
    bad.write_bytes(gzip.compress(with_header({"BITPIX": 8, "NAXIS1": 10**10, "NAXIS2": 10**5})))
    try:
        os.truncate(bad, 10**12)  # sparse: takes no space
    except OSError:
        pytest.skip("this disk has no sparse files of that size")
    before = bad.stat()
    done = tool("make_cosme", bad.name, "hot.lst", cwd=tmp_path)
    assert done.status == 1
    assert re.search(r"bad\.fit\.gz: no space .*1e\+06 GB .*TMPDIR", done.stderr), done.stderr
    assert os.listdir(tmp_path) == [bad.name]
    assert (bad.stat().st_mtime_ns, bad.stat().st_size) == (before.st_mtime_ns, before.st_size)
    assert done.megabytes < 500


# --- what is no file ---------------------------------------------------------------------------


def odd_file(path, what):
    if what == "folder":
        path.mkdir()
    elif what == "FIFO":
        os.mkfifo(path)
    elif what == "dangling link":
        path.symlink_to("nowhere.fit")
    elif what == "looping link":
        path.symlink_to(path.name)
    elif what == "link to a folder":
        path.symlink_to(".")
    else:
        path.symlink_to(what)


@pytest.mark.skipif(os.name == "nt", reason="these are files of POSIX")
@pytest.mark.parametrize(
    "what",
    [
        "folder",
        "FIFO",
        "dangling link",
        "looping link",
        "link to a folder",
        "/dev/zero",
        "/dev/null",
        "/dev/full",
    ],
)
def test_what_is_no_file(tool, tmp_path, what):
    """Nothing is waited for; named alone, between good ones, and found in a folder."""
    for good in ("a.fit", "z.fit"):
        write_frame(tmp_path / good, IMAGE, cards=DARK)
    odd_file(tmp_path / "bad.fit", what)
    says = "no such file|no FITS file|not a regular file|Too many levels|No such file"
    for args in (["bad.fit"], ["a.fit", "bad.fit", "z.fit"], ["."]):
        before = snapshot(tmp_path)
        done = tool("med", *args, "m.fit", cwd=tmp_path)
        if done.status == 0:  # a folder among the files is no frame, whatever its name
            assert "folder" in what
            (tmp_path / "m.fit").unlink()
        else:
            assert re.fullmatch(rf".*error: .*bad\.fit.*({says}).*\n", done.stderr), done.stderr
        assert snapshot(tmp_path) == before


def test_unreadable(tool, tmp_path):
    write_frame(tmp_path / "bad.fit", IMAGE).chmod(0)
    try:
        with open(tmp_path / "bad.fit", "rb"):
            pytest.skip("this user may read every file")
    except PermissionError:
        pass
    done = tool("med", "bad.fit", "m.fit", cwd=tmp_path)
    assert done.status == 1
    assert re.fullmatch(r".*error: .*bad\.fit: Permission denied; .*\n", done.stderr)
    assert os.listdir(tmp_path) == ["bad.fit"]


def test_a_list_that_comes_through_a_pipe(tmp_path):
    """It can be read once, and reading ahead is not to take it."""
    if not os.path.isdir("/dev/fd"):
        pytest.skip("this system does not name pipes")
    for i in range(3):
        write_frame(tmp_path / f"a{i}.fit", IMAGE + i)
    end, start = os.pipe()
    os.write(start, b"a0.fit\na1.fit\na2.fit\n")
    os.close(start)
    run("med", f"@/dev/fd/{end}", "m.fit", cwd=tmp_path, pass_fds=[end])
    os.close(end)
    same(fits.getdata(tmp_path / "m.fit"), (IMAGE + 1).astype("f4"))


@pytest.mark.skipif(os.name == "nt", reason="links need a right on Windows")
def test_links_to_frames_are_frames(tool, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for i in range(3):
        path = write_frame(tmp_path / "elsewhere" / f"x{i}.fit", IMAGE + i)
        (tmp_path / f"bias{i}.fit").symlink_to(path)
    assert tool("med", "bias*.fit", "m.fit", cwd=tmp_path).status == 0
    same(fits.getdata(tmp_path / "m.fit"), (IMAGE + 1).astype("f4"))


# --- keywords ----------------------------------------------------------------------------------

TIMES = {
    "missing": (b"COMMENT", "no EXPTIME"),
    "undefined": (b"EXPTIME =", "no EXPTIME"),
    "text": (b"EXPTIME = 'long'", "EXPTIME is 'long'"),
    "unclosed text": (b"EXPTIME = 'long", "EXPTIME is"),
    "escapes": (b"EXPTIME = '\x1b[31m2'", "EXPTIME is"),
    "long text": (b"EXPTIME = '" + b"x" * 67 + b"&'", "EXPTIME is 'xxx"),
    "logical": (b"EXPTIME =                    T", "EXPTIME is True"),
    "complex": (b"EXPTIME = (1.0, 2.0)", "EXPTIME is"),
    "negative": (b"EXPTIME =                   -2", "EXPTIME is -2"),
    "NaN": (b"EXPTIME =                  NaN", "EXPTIME is 'NaN'"),
    "text NaN": (b"EXPTIME = 'NaN'", "EXPTIME is 'NaN'"),
    "1e300": (b"EXPTIME =                1E300", "EXPTIME is 1e.?300"),
    "1e999": (b"EXPTIME =                1E999", "EXPTIME is"),
}


@pytest.mark.parametrize("name", TIMES)
def test_exposure_that_is_no_time(tool, tmp_path, name):
    """The frame is left out where others have a time, and an error where none has."""
    card, says = TIMES[name]
    write_frame(tmp_path / "bad.fit", IMAGE, cards=DARK | {"EXPTIME": card})
    refused(tool, tmp_path, "makedark", ".", names="bad.fit", says=says)
    for number, good in enumerate(("a.fit", "z.fit")):
        write_frame(tmp_path / good, IMAGE + number, cards=DARK)
    done = tool("makedark", ".", cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert re.search(
        rf"warning: left out: bad\.fit \({says}.*write the exposure.*--exposure S says it",
        done.stderr,
    )
    with fits.open(tmp_path / "dark2s.fit") as hdus:
        assert hdus[0].header["NCOMBINE"] == 2


@pytest.mark.parametrize("text", [b"", b" " * 68], ids=["empty", "68 blanks"])
def test_no_filter(tool, tmp_path, text):
    card = b"FILTER  = '" + text + b"'"
    write_frame(tmp_path / "a.fit", IMAGE + 1, cards=FLAT | {"FILTER": card})
    done = tool("makeflat", ".", "--dark", 0, cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert "flat_nofilter.fit: no FILTER in the headers; --filter NAME gives one" in done.stderr


#: A card's value, as bytes, and the name of the master.
FILTERS = {
    "slashes": (b"'/etc/passwd'", "flat_etc_passwd.fit"),
    "parent": (b"'../../up'", "flat_up.fit"),
    "two dots": (b"'..'", "flat__.fit"),
    "a home": (b"'~root'", "flat_root.fit"),
    "backslashes": (b"'..\\..\\C:\\x'", "flat_c__x.fit"),
    "quotes": (b"'Sloan g'''", "flat_sloan_g_.fit"),
    "double quotes": (b"'\"R\" 10'", "flat_r__10.fit"),
    "Latin-1": (b"'H\xe9'", "flat_h_.fit"),
    "UTF-8": ("'Hα'".encode(), "flat_h_.fit"),
    "an escape": (b"'\x1b]0;title\x07R'", None),
    "a newline": (b"'a\nb'", None),
    "NUL": (b"'R\0R'", None),
    "DEL": (b"'R\x7fR'", None),
    "a format": (b"'{0.__class__} %s %n'", "flat_0.__class_____s__n.fit"),
    "a command": (b"'; rm -rf * $(id) `id`'", None),
    "unclosed": (b"'R", None),
    "a number": (b"                  3.5", "flat_3.5.fit"),
    "logical": (b"                    T", "flat_true.fit"),
    "a device of Windows": (b"'CON'", "flat_con.fit"),
    "long": (b"'" + b"x" * 68 + b"'", f"flat_{'x' * 68}.fit"),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_stay_in_the_folder(tool, tmp_path, name):
    value, master = FILTERS[name]
    here = tmp_path / "deep" / "er"
    here.mkdir(parents=True)
    for i in range(3):
        write_frame(here / f"f{i}.fit", IMAGE + i, cards=FLAT | {"FILTER": b"FILTER  = " + value})
    before = snapshot(tmp_path)
    done = tool("makeflat", ".", "--dark", 0, cwd=here)
    assert done.status == 0, done.stderr
    assert (done.stdout + done.stderr).replace("\n", "").isprintable()
    after = snapshot(tmp_path)
    (made,) = after.keys() - before.keys()
    assert {k: v for k, v in after.items() if k != made} == before
    made = os.path.relpath(tmp_path / made, here)
    assert re.fullmatch(r"flat_[a-z0-9._-]+\.fit", made)
    assert made == (master or made)
    truth = [(IMAGE + i) * 5000.0 / np.median(IMAGE + i) for i in range(3)]
    np.testing.assert_allclose(fits.getdata(here / made), np.median(truth, 0), rtol=1e-6)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("g'", 'g"'),
        ("V/1", "V:1"),
        (".R", "R"),
        ("é", "ü"),
        ("é", "?"),
        ("x" * 60 + "1", "x" * 60 + "2"),
    ],
)
def test_two_filters_of_one_name(tool, tmp_path, one, two):
    """Neither overwrites the other, nor are they mixed."""
    for i, name in enumerate((one, two)):
        card = f"FILTER  = '{name.replace(chr(39), chr(39) * 2)}'".encode()
        write_frame(tmp_path / f"f{i}.fit", IMAGE, cards=FLAT | {"FILTER": card})
    if len(one) >= 60:
        assert tool("makeflat", ".", "--dark", 0, cwd=tmp_path).status == 0
        assert len(list(tmp_path.glob("flat_*"))) == 2
    else:
        refused(tool, tmp_path, "makeflat", ".", "--dark", 0, names="f1.fit", says="both")


CARDS = {
    "duplicates": [b"OBJECT  = 'one'", b"OBJECT  = 'two'", b"IMAGETYP= 'Flat'", b"EXPTIME = 9.0",
                   b"BITPIX  = 8", b"NAXIS1  = 3", b"BZERO   = 5", b"BZERO   = 7"],
    "CONTINUE": [b"LONGSTR = '" + b"x" * 66 + b"&'", b"CONTINUE  'yz&'", b"CONTINUE  '' / end",
                 b"CONTINUE  'of nothing'", b"CONTINUE without a string", b"CONTINUE"],
    "HIERARCH": [b"HIERARCH ESO DET CHIP1 NAME = 'abc' / chip", b"HIERARCH low er = 3",
                 b"HIERARCH = 5", b"HIERARCH", b"HIERARCH EXPTIME = 'x'", b"HIERARCH a"],
    "not ASCII": ["OBSERVER= 'Café'".encode("latin-1"), "TELESCOP= 'Ø 20 cm ✓'".encode(),
                  b"COMMENT \xff\xfe\x80", b"KEY\xff    = 3", b"HISTORY \x00\x01\x1b[2J"],
    "numbers": [b"CCD-TEMP= 'cold'", b"GAIN    = NaN", b"OFFSET  = 1E999", b"XBINNING= 1E300",
                b"YBINNING= 2.5", b"DATE-OBS= 'now'", b"CCD-TEMP= (1,2)"],
    "settings": [b"INSTRUME= '\x1b[31mred'", b"READOUTM= 5", b"BAYERPAT= 7", b"GAIN    = '\x07'",
                 b"OFFSET  = T", b"INSTRUME= 5"],
}  # fmt: skip


@pytest.mark.parametrize("name", CARDS)
def test_odd_cards_do_no_harm(tool, tmp_path, fitsverify, name):
    odd = {str(i): card for i, card in enumerate(CARDS[name])}
    for i in range(2):
        write_frame(tmp_path / f"a{i}.fit", IMAGE + i, bzero=5, cards=DARK | odd)
    write_frame(tmp_path / "a2.fit", IMAGE + 2, bzero=5, cards=DARK)
    before = snapshot(tmp_path)
    for args in (["med", "a*.fit", "m.fit"], ["makedark", "a*.fit"]):
        done = tool(*args, cwd=tmp_path)
        assert done.status == 0, done.stderr
        assert (done.stdout + done.stderr).replace("\n", "").isprintable()
    assert {k: v for k, v in snapshot(tmp_path).items() if k in before} == before
    for master in ("m.fit", "dark2s.fit"):
        same(fits.getdata(tmp_path / master), (IMAGE + 6.0).astype("f4"))
        fitsverify_clean(tmp_path / master)


def test_damaged_cards_of_the_primary_header(tool, tmp_path):
    """Where the image's header ends in blank cards, which they would fill: found by fuzzing."""
    odd = {"a": b"ODD     = " + bytes(70), "b": b"\0" * 8 + b"= \1", "c": b"HISTORY \xff\0"}
    write_frame(
        tmp_path / "a.fit", IMAGE, place="extension", cards={"d": b"", "e": b""}, primary_cards=odd
    )
    done = tool("med", "a.fit", "m.fit", cwd=tmp_path)
    assert done.status == 0, done.stderr
    same(fits.getdata(tmp_path / "m.fit"), IMAGE.astype("f4"))


# --- a stack of several kinds ------------------------------------------------------------------


def test_mixed_shapes(tool, tmp_path):
    write_frame(tmp_path / "a.fit", IMAGE, cards=DARK)
    for i, other in enumerate([IMAGE.T.copy(), np.stack([IMAGE] * 3), IMAGE[:, :79]]):
        write_frame(tmp_path / "b.fit", other, cards=DARK)
        before = snapshot(tmp_path)
        done = tool("med", "*.fit", "m.fit", cwd=tmp_path)
        assert done.status == 1
        shape = " x ".join(map(str, reversed(other.shape)))
        assert re.fullmatch(
            rf".*one shape: .*a\.fit is 80 x 40, .*b\.fit is {shape}; remove .*\n", done.stderr
        ), (i, done.stderr)
        assert snapshot(tmp_path) == before
        done = tool("makedark", ".", "--output-dir", f"o{i}", cwd=tmp_path)
        assert done.status == 0, done.stderr
        sizes = ("x".join(map(str, reversed(x.shape))) for x in (IMAGE, other))
        assert {p.name for p in (tmp_path / f"o{i}").glob("*.fit")} == {
            f"dark2s_{size}.fit" for size in sizes
        }


@pytest.mark.parametrize("compiled", [False, True])
def test_mixed_types(tool, tmp_path, compiled):
    """Every type and place in one stack, in bits those of float64."""
    small = IMAGE % 200
    stack = []
    for i, (dtype, scaling) in enumerate(
        [("u1", {}), ("i2", {"bzero": 32768}), ("i4", {"bscale": 0.5}), ("i8", {"bzero": -7}),
         ("f4", {}), ("f8", {"bscale": 3.0, "bzero": 0.25}), ("i2", {"blank": 7}), ("u1", {})]
    ):  # fmt: skip
        stored = (small + i).astype(dtype)
        place = ["primary", "extension", "tiled"][i % 3] if dtype != "i8" else "primary"
        end = ".fit.gz" if i == 6 else ".fit"
        write_frame(tmp_path / f"f{i}{end}", stored, place="primary" if i == 6 else place,
                    compression="GZIP_1" if dtype[0] == "f" else "RICE_1", **scaling)  # fmt: skip
        value = stored.astype("f8") * scaling.get("bscale", 1) + scaling.get("bzero", 0)
        stack.append(np.where(stored == scaling.get("blank"), np.nan, value))
    done = tool("med", ".", "m.fit", cwd=tmp_path, compiled=compiled)
    assert done.status == 0, done.stderr
    same(fits.getdata(tmp_path / "m.fit"), exact_median(np.array(stack)))


@pytest.mark.parametrize("length", [BLOCK + 6400, BLOCK + 6401, BLOCK + 3 * BLOCK - 1])
def test_missing_padding_is_not_missing_data(tool, tmp_path, length):
    """Whole data in a last block cut short are read by other programs, and here."""
    for i in range(3):
        path = write_frame(tmp_path / f"f{i}.fit", IMAGE + i)
        os.truncate(path, length)
    assert tool("med", ".", "m.fit", cwd=tmp_path).status == 0
    same(fits.getdata(tmp_path / "m.fit"), (IMAGE + 1).astype("f4"))


def test_a_real_frame_cut_short_or_damaged(tool, tmp_path, real):
    for i in (1, 2, 3):
        data = (real / f"bias000{i}.fits.fz").read_bytes()
        (tmp_path / f"bias000{i}.fits.fz").write_bytes(data)
    bad = tmp_path / "bias0002.fits.fz"
    whole = bad.read_bytes()
    middle = len(whole) // 2
    for data, says in (
        (whole[:middle], "truncated"),
        (whole[:middle] + bytes(500) + whole[middle + 500 :], "cannot be read"),
    ):
        bad.write_bytes(data)
        refused(tool, tmp_path, "med", "bias0001.fits.fz", "m.fit", names=bad.name, says=says)


def test_the_command_itself(tmp_path):
    """The same in a process from its start, as everything above."""
    (tmp_path / "bad.fit").write_bytes(BYTES["half"][0])
    done = run("med", "bad.fit", "m.fit", cwd=tmp_path, status=1, alone=True)
    assert re.fullmatch(r".*error: .*bad\.fit: truncated, .*; copy it again.*\n", done.stderr)
    assert os.listdir(tmp_path) == ["bad.fit"]
