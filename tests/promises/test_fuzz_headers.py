"""Any header, of real frames and of made ones, with bytes and cards changed: it is refused in
words, or a master made of it has a header that other programs accept."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import warnings
from functools import cache

import numpy as np
import pytest
from astropy.io import fits
from helpers import BLOCK, REAL, header_bytes, image_bytes, write_frame
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.errors import PulsarError
from pulsar_dask.formats.reading import close_files, read_header, read_values
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.frames.groups import bias_groups, dark_groups, flat_groups
from pulsar_dask.frames.naming import filter_code
from pulsar_dask.kernels.pixels import Tile
from pulsar_dask.output.fits import FitsMaster
from pulsar_dask.output.header import master_header

IMAGE = np.arange(12, dtype="i2").reshape(3, 4)
CARDS = {
    "IMAGETYP": "Dark Frame", "EXPTIME": 2.5, "FILTER": "H-alpha", "CCD-TEMP": -10.0,
    "DATE-OBS": "2024-05-20T21:00:00", "GAIN": 100, "XBINNING": 1, "YBINNING": 1,
    "BAYERPAT": "RGGB", "CRPIX1": 1.0, "CRVAL1": 2.0, "CTYPE1": "RA---TAN", "OBJECT": "M 31",
    "LONGSTR": "x" * 100, "HIERARCH ESO DET NAME": "abc", "COMMENT": "made",
}  # fmt: skip


@cache
def seeds(folder):
    """Frames as capture programs and archives write them: name, bytes, and the length of the
    file that they are the beginning of."""
    plain = image_bytes(IMAGE, CARDS | {"BZERO": 32768})
    empty = header_bytes({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0} | CARDS)
    write_frame(folder / "s.fits.fz", IMAGE, place="tiled", cards=CARDS, tile=(1, 4))
    found = {
        "plain": plain,
        "cube": image_bytes(np.stack([IMAGE] * 3), CARDS | {"BLANK": 3, "BSCALE": 0.5}),
        "float": image_bytes(IMAGE.astype("f4"), CARDS),
        "extension": empty + image_bytes(IMAGE, CARDS, extension=True),
        "tiled": (folder / "s.fits.fz").read_bytes(),
    }
    if REAL.is_dir():
        for name in ("bias0001", "flat_I0001", "dark0001", "unlabelled_dark0001"):
            data = (REAL / f"{name}.fits.fz").read_bytes()
            found[name] = data[: data.index(b"END".ljust(80), 20 * 80) + 2 * BLOCK], len(data)
            own = [c for c in fits.getheader(REAL / f"{name}.fits.fz", 1).cards if c.keyword]
            own = {str(i): str(c)[:80].encode() for i, c in enumerate(own) if _is_own(c.keyword)}
            found[f"{name}, plain"] = image_bytes(IMAGE, own)
    return {k: v if isinstance(v, tuple) else (v, len(v)) for k, v in found.items()}


def _is_own(keyword):
    return not keyword.startswith(("NAXIS", "BITPIX", "SIMPLE", "XTENSION", "PCOUNT", "GCOUNT"))


KEYWORDS = (
    b"SIMPLE XTENSION BITPIX NAXIS NAXIS1 NAXIS2 NAXIS3 PCOUNT GCOUNT GROUPS EXTEND BSCALE BZERO "
    b"BLANK TFIELDS TTYPE1 TFORM1 THEAP ZIMAGE ZCMPTYPE ZBITPIX ZNAXIS ZNAXIS1 ZNAXIS2 ZTILE1 "
    b"ZTILE2 ZNAME1 ZVAL1 ZBLANK ZQUANTIZ IMAGETYP EXPTIME EXPOSURE FILTER CCD-TEMP DATE-OBS GAIN "
    b"OFFSET INSTRUME XBINNING YBINNING BAYERPAT ROWORDER OBJECT COMMENT HISTORY CONTINUE HIERARCH "
    b"LONGSTRN CTYPE1 CRPIX1 CRVAL2 CD1_1 PC1_2 WCSAXES EQUINOX EPOCH DATE MJD-OBS DP1 END"
).split()
NUMBERS = [b"0", b"1", b"-1", b"2", b"3", b"4", b"7", b"12", b"16", b"-32", b"999", b"1000",
           b"2147483647", b"-2147483648", b"9223372036854775808", b"1" + b"0" * 60, b"2.5",
           b"1E300", b"-1E999", b"NaN", b"1.D5", b"0x10", b"T", b"F", b"(1, 2)", b""]  # fmt: skip
values = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from([b"'RICE_1'", b"'GZIP_1'", b"'BINTABLE'", b"'IMAGE   '", b"'1PB(5)'", b"'x",
                     b"'\x1b[31mred\x07'", "'Hα'".encode(), b"'../../x'", b"'&'", b"''"]),
    st.binary(max_size=72),
    st.from_regex(rb"'[ -~]{0,66}'( / [ -~]{0,20})?", fullmatch=True),
)  # fmt: skip
cards = st.one_of(
    st.binary(min_size=80, max_size=80),
    st.builds(
        lambda k, sign, v: (k.ljust(8) + sign + v)[:80].ljust(80),
        st.sampled_from(KEYWORDS),
        st.sampled_from([b"= ", b"= ", b"= ", b"  ", b"=  "]),
        values,
    ),
)
#: What is done, where (a share of the header), with what.
changes = st.lists(
    st.one_of(
        st.tuples(st.just("byte"), st.floats(0, 1), st.binary(min_size=1, max_size=9)),
        st.tuples(st.just("insert"), st.floats(0, 1), cards),
        st.tuples(st.just("replace"), st.floats(0, 1), cards),
        st.tuples(st.just("value"), st.floats(0, 1), values),
        st.tuples(st.just("repeat"), st.floats(0, 1), st.floats(0, 1)),
        st.tuples(st.just("remove"), st.floats(0, 1), st.none()),
        st.tuples(st.just("cut"), st.floats(0.3, 1), st.none()),
    ),
    min_size=1,
    max_size=4,
)


def header_size(data):
    """Bytes of the headers at the beginning, as far as changes go."""
    last = data.rindex(b"END".ljust(80)) if b"END".ljust(80) in data else len(data)
    return min(last + 80, len(data))


def changed(data, steps):
    """`data` with some of its header's bytes and cards changed."""
    for what, where, with_what in steps:
        size = header_size(data)
        byte = int(where * max(0, size - 1))
        card = byte // 80 * 80
        if what == "byte":
            data = data[:byte] + with_what + data[byte + len(with_what) :]
        elif what == "value":
            data = data[: card + 10] + with_what[:70].ljust(70) + data[card + 80 :]
        elif what == "replace":
            data = data[:card] + with_what + data[card + 80 :]
        elif what == "cut":
            data = data[: int(where * len(data))]
        else:
            if what == "repeat":
                other = int(with_what * max(0, size - 1)) // 80 * 80
                with_what = data[other : other + 80]
            # the block's last cards give way to what is inserted, so that the rest stays in place
            end = -(-(card + 1) // BLOCK) * BLOCK
            if what == "remove":
                data = data[:card] + data[card + 80 : end] + b" " * 80 + data[end:]
            else:
                data = data[:card] + with_what + data[card : end - 80] + data[end:]
    return data


def said(function, *args):
    """The message of a PulsarError that a function raises, fit for a terminal; else None."""
    try:
        function(*args)
    except PulsarError as error:
        message = str(error)
    else:
        return None
    assert message.isprintable()
    assert len(message) < 700
    return message


def check(path, folder, verify=False):
    """Scan a frame and make a master of it. Returns the message of a refusal, or None."""
    if message := said(scan_frames, [str(path)]):
        assert path.name in message
        return message
    frames = scan_frames([str(path)])
    read_header(frames[0])
    header = master_header(frames, kind=frames[0].kind)
    for groups in (dark_groups, bias_groups, flat_groups):
        for group in groups(frames).groups:
            assert re.fullmatch(r"[A-Za-z0-9._-]+", group.name)
            assert "".join(group.notes).isprintable()
    assert re.fullmatch(r"[a-z0-9._-]+", filter_code(frames[0].filter or "x"))
    frame = frames[0]
    assert min(frame.shape) > 0
    rows, columns = (min(n, 4) for n in frame.shape[-2:])
    said(read_values, frames, Tile(0, 0, 0, rows, columns), np.dtype("f8"))
    close_files()
    shape = (2, 2) if len(frame.shape) == 2 else (1, 2, 2)
    with FitsMaster(str(folder / "m.fit"), shape, "float32", header) as master:
        master.write(Tile(0, 0, 0, 2, 2), np.ones((2, 2)))
        master.commit()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(folder / "m.fit", checksum=True) as hdus:
            hdus.verify("exception")
            assert hdus[0].data.sum() == 4
            assert [
                hdus[0].header[k] for k in hdus[0].header if k not in ("COMMENT", "HISTORY", "")
            ]
    if verify:
        done = subprocess.run(["fitsverify", folder / "m.fit"], capture_output=True)
        assert b"0 warning(s) and 0 error(s)" in done.stdout, done.stdout
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.filterwarnings("ignore:::astropy")  # of damaged cards, and there are only such
@given(st.integers(0, 99), changes, st.booleans(), st.integers(0, 19))
def test_any_header(folder, which, steps, zipped, sample):
    """Refused or right; every twentieth master goes through fitsverify."""
    found = list(seeds(folder).values())
    begin, length = found[which % len(found)]
    data = changed(begin, steps)
    if len(data) == len(begin):
        data = data.ljust(length, b"\0")
    path = folder / "f.fit"
    path.write_bytes(gzip.compress(data, 1) if zipped else data)
    check(path, folder, verify=sample == 0 and shutil.which("fitsverify") is not None)


def test_the_seeds_are_frames(folder):
    """Unchanged, all of them pass."""
    for name, (begin, length) in seeds(folder).items():
        (folder / "f.fit").write_bytes(begin.ljust(length, b"\0"))
        assert check(folder / "f.fit", folder) is None, name
