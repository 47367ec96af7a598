"""Stacks of any geometry in any format, drawn by number, with a tool that is to work on them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from helpers import OTHER_SIGN, clone, run, write_frame
from night import XTRANS

TOOLS = ("med", "med to .zarr", "makedark", "makeflat", "make_cosme", "cube", "verify")
CODED = ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1")
FORMATS = ("plain", "extension", "gz", "zarr", *CODED, "quantised")
TILES = ("row", "band", "high band", "square", "whole")


@dataclass(frozen=True)
class Draw:
    """A command and what it works on."""

    number: int
    tool: str
    format: str
    bitpix: int
    shape: tuple[int, ...]
    frames: int
    threads: int
    tile: tuple[int, ...] | None
    extra: str
    """Algorithm of quantised floats, or how integers are scaled."""
    listed: float
    """Share of the pixels that a list names."""

    def __str__(self) -> str:
        x = " x ".join(map(str, reversed(self.shape)))
        tile = f" in tiles of {self.tile}" if self.tile else ""
        return (
            f"#{self.number} {self.tool}: {self.frames} of {x}, BITPIX {self.bitpix} "
            f"{self.extra}, {self.format}{tile}, {self.listed:.0%} listed, {self.threads} threads"
        )


def draw(number: int, most: int) -> Draw:
    """Draw a stack of up to `most` bytes; the same one for each number."""
    rng = np.random.default_rng(number)

    def one_of(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    tool = TOOLS[number % len(TOOLS)]
    format = one_of(*FORMATS)
    if tool == "makeflat" and format == "PLIO_1":
        format = "plain"
    bitpix = int(one_of(8, 16, 16, 32, 64, -32, -64))
    extra = one_of("", "other sign", "scaled", "blank") if bitpix > 0 else ""
    if format in ("RICE_1", "HCOMPRESS_1", "PLIO_1"):
        bitpix = int(one_of(8, 16, 16, 32)) if format != "PLIO_1" else 16
        extra = "" if format == "PLIO_1" else extra
    if format == "quantised":
        bitpix, extra = int(one_of(-32, -64)), one_of("RICE_1", "GZIP_1", "HCOMPRESS_1")
    frames = 1 if tool == "make_cosme" else int(one_of(1, 2, 3, 5, 8, 20, 50, 300, 1000))
    # astropy takes 50 ms to open a compressed file
    coded = format in CODED or format == "quantised"
    frames = min(frames, most // (600_000 if coded else 60_000))
    # an image of log-uniform size and of any aspect
    size = most // frames // (abs(bitpix) // 8)
    pixels = int(np.exp(rng.uniform(np.log(50), np.log(max(51, size)))))
    if rng.random() < 0.5:  # where memory counts
        pixels = max(50, int(size * rng.uniform(0.3, 1)))
    planes = one_of(1, 1, 1, 3)
    aspect = np.exp(one_of(rng.normal(0, 0.5), rng.uniform(-12, 12)))
    rows = int(np.clip(np.sqrt(pixels / planes / aspect), 1, max(1, pixels // planes)))
    columns = max(1, pixels // planes // rows)
    # an axis of length 1 does not count, so that planes would be rows
    shape = (planes, rows, columns) if planes > 1 and rows > 1 < columns else (rows, columns)
    tile = None
    if coded:
        # as many tiles as fpack may make, not more than astropy writes in a moment
        kind = one_of(*TILES)
        least = 4 if "HCOMPRESS_1" in (format, extra) else 1
        few = max(1, rows * planes * frames // 1000)  # astropy takes 1 ms for a tile
        few = min(few, rows)
        height, width = {
            "row": (max(least, few), columns),
            "band": (max(few, least, int(rng.integers(2, 65))), columns),
            "high band": (max(few, least, int(rng.integers(65, 400))), columns),
            "square": (max(few, int(rng.integers(30, 200))), max(50, columns // 20)),
            "whole": (rows, columns),
        }[kind]
        if least > 1:  # it takes no fewer than 4 rows or columns
            rows, columns = max(4, rows), max(4, columns)
            height = max(4, height)
            height = height if rows % height in (0, *range(4, height)) else rows
            width = columns if columns % max(4, width) in (1, 2, 3) else max(4, width)
            shape = (*shape[:-2], rows, columns)
        tile = (*(1,) * (len(shape) - 2), min(height, rows), min(width, columns))
    listed = float(one_of(0, 1e-4, 0.05, 0.6)) if tool in ("makeflat", "verify") else 0.0
    threads = int(one_of(1, 2, 2, 3, 8))
    return Draw(number, tool, format, bitpix, shape, frames, threads, tile, extra, listed)


def write_stack(folder: Path, d: Draw, label: str, level: float, count: int, **cards: Any) -> None:
    """Frames of which all but the first are links to it."""
    folder.mkdir()
    rng = np.random.default_rng(d.number)
    values = np.maximum(rng.normal(level, level / 50, d.shape), 1)
    cards = {"IMAGETYP": label, "EXPTIME": 60, "FILTER": "L"} | cards
    place = "primary" if d.format in ("plain", "gz", "zarr") else d.format
    name = "f0000.fit" + (".gz" if d.format == "gz" else ".fz" if d.tile else "")
    first = folder / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if d.format == "quantised":
            image = fits.CompImageHDU(
                values.astype(f"f{-d.bitpix // 8}"), compression_type=d.extra, tile_shape=d.tile,
                quantize_level=16,
            )  # fmt: skip
            image.header.update(cards)
            fits.HDUList([fits.PrimaryHDU(), image]).writeto(first)
        else:
            stored = values if d.bitpix < 0 else np.clip(values.round(), 0, 2**15 - 1)
            if d.bitpix == 8:
                stored = stored * (200 / 32768)
                if d.extra == "blank":  # else all of a dark would be missing
                    stored.flat[0] = 255
            dtype = f"f{-d.bitpix // 8}" if d.bitpix < 0 else f"i{d.bitpix // 8}"
            scaling: dict[str, Any] = {
                "other sign": {"bzero": OTHER_SIGN.get(d.bitpix, 0)},
                "scaled": {"bscale": 0.5, "bzero": 100.0},
                "blank": {"blank": int(stored.flat[0])},
            }.get(d.extra, {})
            write_frame(
                first, stored.astype("u1" if d.bitpix == 8 else dtype), cards=cards,
                place="tiled" if d.tile else place, tile=d.tile, compression=d.format, **scaling,
            )  # fmt: skip
    for i in range(1, count):
        clone(first, first.with_name(first.name.replace("f0000", f"f{i:04d}")), i)


def write_list(path: Path, d: Draw) -> int:
    """A list of a share of the pixels; returns how many."""
    rows, columns = d.shape[-2:]
    count = int(d.listed * rows * columns)
    rng = np.random.default_rng(d.number)
    places = np.sort(rng.choice(rows * columns, count, replace=False))
    y, x = np.divmod(places, columns)
    path.write_text("".join(f"P {a} {b}\r\n" for a, b in zip(x.tolist(), y.tolist(), strict=True)))
    return count


def prepare(folder: Path, d: Draw) -> list[str]:
    """Write what a draw works on; the words of its command but for memory and threads."""
    flats = d.tool == "makeflat" or (d.tool == "verify" and d.number % 3 == 0)
    darks = d.tool == "makedark" or (d.tool == "verify" and d.number % 3 == 1)
    label = "Flat" if flats else "Dark"
    colours = {"BAYERPAT": ("NONE", "RGGB", XTRANS)[d.number % 3]} if flats else {}
    write_stack(folder / "in", d, label, 20000 if flats else 500, d.frames, **colours)
    spec, words = "in", []
    if flats:
        write_stack(folder / "dark", d, "Dark", 300, 1, BIASSUB=False)
        (dark,) = (folder / "dark").iterdir()
        write_list(folder / "c.lst", d)
        words = ["--dark", f"dark/{dark.name}", "--cosme", "c.lst"]
    if darks:
        write_stack(folder / "bias", d, "Bias", 100, 1 + d.number % 2)
        words = ["--bias", "bias"]
        if d.tool == "makedark" and d.number % 3 == 0:
            words += ["--hot-pixels", "300000"]
    if d.format == "zarr":
        tool(folder, "cube", "in", "in.zarr")
        spec = "in.zarr"
    if d.tool == "make_cosme":
        (path,) = (folder / "in").iterdir()
        return ["make_cosme", spec if d.format == "zarr" else f"in/{path.name}", "o.lst",
                *(["--hot-pixels", "300000"] if d.number % 2 else [])]  # fmt: skip
    if d.tool == "verify":
        if d.number % 5 == 0 and not flats and not darks:
            tool(folder, "cube", spec, "o.zarr")
            return ["verify", "o.zarr"]
        made = "flat_l.fit" if flats else "dark60s.fit" if darks else "o.fit"
        if flats or darks:
            tool(folder, "makeflat" if flats else "makedark", spec, *words)
        else:
            tool(folder, "med", spec, made)
        return ["verify", made]
    output = {"med": "o.fit", "med to .zarr": "o.zarr", "cube": "o.zarr"}.get(d.tool)
    return [d.tool.split()[0], spec, *words, *([output] if output else [])]


def tool(folder: Path, *words: str) -> None:
    run(*words, cwd=folder)


@dataclass(frozen=True)
class Took:
    """What a run took."""

    status: int
    said: str
    peak: int
    plans: list[dict[str, Any]]
    late: int = 0
    """Kernels that were loaded or compiled after the last plan."""


def measured(
    folder: Path, words: list[str], gigabytes: float, threads: int, *, hair: float = 0.0
) -> Took:
    """Run a command in a process started anew. With a hair its plans get what they ask for, and
    so many GB more."""
    result = folder / "took.json"
    result.unlink(missing_ok=True)
    for output in ("o.fit", "o.lst", "o.zarr"):
        if words[0] != "verify":
            subprocess.run(["rm", "-rf", folder / output], check=True)
    line = [
        sys.executable,
        str(Path(__file__).with_name("peak.py")),
        str(result),
        str(hair),
        *words,
    ]
    done = subprocess.run(
        [*line, "--memory", f"{gigabytes:.6f}", "--threads", str(threads)],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    found = json.loads(result.read_text()) if result.exists() else {"peak": 0, "plans": []}
    return Took(done.returncode, done.stdout + done.stderr, **found)


def least_of(took: Took) -> float | None:
    """Gigabytes that a refusal names."""
    found = re.search(r"--memory .*at least ([\d.]+) GB", took.said)
    return float(found[1]) if found else None
