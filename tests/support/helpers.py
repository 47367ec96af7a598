"""Frames to test with, and the answers they must give, made without the code under test."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from server import forked

REAL = Path(__file__).parents[3] / "shared" / "real"
BLOCK = 2880
STORED = {8: "u1", 16: "i2", 32: "i4", 64: "i8", -32: "f4", -64: "f8"}
OTHER_SIGN = {8: -128, 16: 2**15, 32: 2**31, 64: 2**63}
BITPIX = {np.dtype(v): k for k, v in STORED.items()}


# --- writing ---------------------------------------------------------------------------


def write_frame(
    path: Path | str,
    stored: Any,
    *,
    bscale: float | None = None,
    bzero: float | None = None,
    blank: int | None = None,
    cards: dict[str, Any] | None = None,
    place: str = "primary",
    primary_cards: dict[str, Any] | None = None,
    tile: tuple[int, ...] | None = None,
    compression: str = "RICE_1",
) -> Path:
    """Write pixels as they are to be stored, with just the scaling cards given.

    `stored` is u1, i2, i4, i8, f4 or f8. `place` is "primary", "extension" (an IMAGE extension
    behind an empty primary) or "tiled" (tile-compressed, with `tile` in the order of the array's
    axes). A name ending in .gz is gzipped. `cards` go to the image's header.
    """
    stored = np.asarray(stored)
    scaling = {
        k: v for k, v in (("BSCALE", bscale), ("BZERO", bzero), ("BLANK", blank)) if v is not None
    }
    cards = scaling | (cards or {})
    path = Path(path)
    if place == "tiled":
        _write_tiled(path, stored, cards, primary_cards or {}, tile, compression)
        return path
    content = image_bytes(stored, cards, extension=place == "extension")
    if place == "extension":
        content = (
            header_bytes(
                {"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True} | (primary_cards or {})
            )
            + content
        )
    path.write_bytes(gzip.compress(content, 1) if path.suffix.lower() == ".gz" else content)
    return path


def image_bytes(stored: np.ndarray, cards: dict[str, Any], *, extension: bool = False) -> bytes:
    """An image HDU, header and padded data."""
    axes = {f"NAXIS{i}": n for i, n in enumerate(reversed(stored.shape), 1)}
    structure = {"BITPIX": BITPIX[stored.dtype.newbyteorder("=")], "NAXIS": stored.ndim} | axes
    if extension:
        structure = {"XTENSION": "IMAGE"} | structure | {"PCOUNT": 0, "GCOUNT": 1}
    else:
        structure = {"SIMPLE": True} | structure
    return header_bytes(structure | cards) + padded(
        stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    )


def header_bytes(cards: dict[str, Any]) -> bytes:
    """Cards in FITS form; a value that is bytes is a whole card."""
    lines = [
        value.ljust(80) if isinstance(value, bytes) else str(fits.Card(key, value)).encode()
        for key, value in cards.items()
    ]
    return padded(b"".join([*lines, b"END".ljust(80)]), b" ")


def padded(data: bytes, fill: bytes = b"\0") -> bytes:
    return data + fill * (-len(data) % BLOCK)


def _write_tiled(
    path: Path,
    stored: np.ndarray,
    cards: dict[str, Any],
    primary_cards: dict[str, Any],
    tile: tuple[int, ...] | None,
    compression: str,
) -> None:
    image = fits.CompImageHDU(
        stored, compression_type=compression, tile_shape=tile, quantize_level=0
    )
    primary = fits.PrimaryHDU(header=fits.Header(primary_cards))
    fits.HDUList([primary, image]).writeto(path, overwrite=True, output_verify="silentfix")
    with fits.open(path, mode="update", disable_image_compression=True) as hdus:
        hdus[1].header.update(cards)


def clone(first: Path, path: Path, number: int) -> None:
    """A frame with the pixels of another one, and a DATE-OBS of its own, so that it is no copy."""
    content = first.read_bytes()
    content = gzip.decompress(content) if first.suffix == ".gz" else content
    end = next(i for i in range(0, len(content), 80) if content[i : i + 80].split() == [b"END"])
    date = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"
    cards = content[:end] + f"DATE-OBS= '{date}'".encode().ljust(80) + b"END".ljust(80)
    data = content[-(-(end + 80) // BLOCK) * BLOCK :]
    content = padded(cards, b" ") + data
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def write_old_master(path: Path) -> bytes:
    """A small master as an earlier run left it; returns its bytes."""
    header = fits.Header({"CREATOR": "pulsar-dask 0"})
    fits.PrimaryHDU(np.zeros((2, 2), "i2"), header).writeto(path, checksum=True)
    return path.read_bytes()


#: DATASUM counts in ones' complement.
MODULO = 0xFFFFFFFF


def datasum(stored: np.ndarray) -> int:
    """DATASUM of pixels as a FITS file holds them, as FITS standard 4.0, appendix J has it."""
    data = padded(stored.astype(stored.dtype.newbyteorder(">")).tobytes())
    total = sum(int.from_bytes(data[i : i + 4], "big") for i in range(0, len(data), 4))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


# --- what is right -----------------------------------------------------------------------


def values(
    stored: Any, bscale: float | None = None, bzero: float | None = None, blank: int | None = None
) -> np.ndarray:
    """float64 values of stored pixels; missing ones are NaN."""
    stored = np.asarray(stored)
    if stored.dtype.kind in "iu" and bscale in (None, 1) and bzero is not None:
        # in Python's integers: float64 would round the 64-bit ones before the offset is added
        out = (stored.astype(object) + int(bzero)).astype("f8") if bzero == int(bzero) else None
    else:
        out = None
    if out is None:
        out = stored.astype("f8") * (1 if bscale is None else bscale) + (bzero or 0)
    if stored.dtype.kind == "f":
        return np.where(np.isfinite(stored), out, np.nan)
    return np.where(stored == blank, np.nan, out) if blank is not None else out


def exact_median(stack: np.ndarray) -> np.ndarray:
    """Median over axis 0 of float64 values, NaN being missing, by sorting.

    The mean of two values is that of numpy.nanmedian, except that it does not overflow.
    """
    with np.errstate(all="ignore"):
        ordered = np.sort(stack.astype("f8"), axis=0)  # NaN last
        count = np.count_nonzero(~np.isnan(ordered), axis=0)
        pick = [
            np.take_along_axis(ordered, np.maximum(i, 0)[None], 0)[0]
            for i in ((count - 1) // 2, count // 2)
        ]
        mean = np.where(
            np.isfinite(pick[0] + pick[1]), (pick[0] + pick[1]) / 2, pick[0] / 2 + pick[1] / 2
        )
    mean = np.where(pick[0] == pick[1], pick[0], mean)
    return np.where(count == 0, np.nan, mean)


def same(a: Any, b: Any) -> None:
    """Assert that two arrays are equal: shape, dtype kind and every value, NaN as NaN."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    np.testing.assert_array_equal(a, b)


def halfway(values: np.ndarray, dtype: str) -> np.ndarray:
    """float64 as an integer type: half to even, clipped, missing 0; with Python's round."""
    info = np.iinfo(dtype)
    flat = [
        0 if np.isnan(v) else min(max(round(Fraction(float(v))), info.min), info.max)
        for v in values.ravel()
    ]
    return np.array(flat, dtype).reshape(values.shape)


# --- any frame -----------------------------------------------------------------------------


@st.composite
def scalings(draw: st.DrawFn, bitpix: int) -> dict[str, Any]:
    """BSCALE, BZERO and BLANK of a frame: none, other sign, scaled, with missing values."""
    how = draw(st.sampled_from(["plain", "other sign", "scaled"]))
    cards: dict[str, Any] = {}
    if how == "other sign" and bitpix > 0:
        cards["bzero"] = OTHER_SIGN[bitpix]
        if draw(st.booleans()):
            cards["bscale"] = 1
    elif how == "scaled":
        # not above 1 for float64: what is not finite after scaling is of no use as a truth
        cards["bscale"] = draw(st.sampled_from([0.5, -1.0, 0.1] + [2.0, -1.5] * (bitpix != -64)))
        cards["bzero"] = draw(st.sampled_from([0.0, 100.0, -32768.0, 0.3]))
    if bitpix > 0 and draw(st.booleans()):
        low = 0 if bitpix == 8 else -3
        cards["blank"] = draw(st.integers(low, 3))
    return cards


def pixels(dtype: str, *, missing: bool = True) -> st.SearchStrategy[Any]:
    """Elements of a stored type: small numbers, often alike, and the extremes."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        width = kind.itemsize * 8
        special = [
            0.0,
            -0.0,
            1.5,
            float(np.finfo(kind).max),
            float(np.finfo(kind).min),
            float(np.finfo(kind).smallest_subnormal),
        ]
        if missing:
            special += [np.nan, np.inf, -np.inf]
        return st.one_of(
            st.sampled_from(special), st.floats(-1e4, 1e4, width=width, allow_subnormal=False)
        )
    info = np.iinfo(kind)
    low = max(info.min, -300)
    return st.one_of(
        st.integers(max(low, -4), 4),
        st.integers(low, min(300, info.max)),
        st.sampled_from([info.min, info.max, info.max - 1]),
        st.integers(info.min, info.max),
    )


def images(dtype: str, shape: tuple[int, ...], **kwargs: Any) -> st.SearchStrategy[Any]:
    return hnp.arrays(dtype, shape, elements=pixels(dtype, **kwargs))


shapes = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 23)),
    st.tuples(st.integers(2, 3), st.integers(2, 7), st.integers(2, 11)),  # 1 does not count
    st.sampled_from([(1, 1), (1, 257), (300, 1), (17, 33)]),
)


# --- the commands ------------------------------------------------------------------------


def command(*args: Any) -> list[str]:
    """The command line of a tool: ``command("med", "bias*.fit", "bias.fit")``."""
    return [sys.executable, "-m", "pulsar_dask", *map(os.fspath, map(_text, args))]


def _text(value: Any) -> Any:
    return value if isinstance(value, os.PathLike) else str(value)


def run(
    *args: Any,
    cwd: Path,
    status: int = 0,
    alone: bool = False,
    variables: dict[str, str] | None = None,
    **kwargs: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a tool as a user does; its exit status must be `status`, and no traceback shown.

    The libraries are loaded already, except where it is to be alone or needs more (`kwargs`):
    then it runs from the start of Python on. `variables` are added to the environment.
    """
    line = command(*args)
    if alone or kwargs:
        kwargs.setdefault("env", {**os.environ, **(variables or {})})
        done = subprocess.run(line, cwd=cwd, capture_output=True, text=True, timeout=120, **kwargs)
    else:
        load = ["pulsar_dask.engine.cluster"] if "--scheduler" in line else []
        done = subprocess.CompletedProcess(
            line, *forked(line[3:], cwd, load=load, env=variables)[:3]
        )
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done.stderr or done.stdout
    return done


def one_line(err: str) -> str:
    """The only line beside warnings that a command has said."""
    (line,) = [line for line in err.splitlines() if not line.startswith("warning: ")]
    return line


def fitsverify_clean(path: Path) -> None:
    """Assert that fitsverify finds neither error nor warning (to be called where it is there)."""
    done = subprocess.run(["fitsverify", str(path)], capture_output=True, text=True)
    assert "0 warning(s) and 0 error(s)" in done.stdout, done.stdout + done.stderr


def names(folder: Path) -> list[str]:
    """Everything in a folder, hidden files too."""
    return sorted(os.listdir(folder))
