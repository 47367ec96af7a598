"""Makes the frames of the benchmark: ``python frames.py KIND FOLDER --count N …``.

The same arguments and seed give the same pixels. The folder appears when it is complete.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

HOT = 0.0008
"""Part of the pixels that are hot."""
LISTED = 10_000
FLAT_EXPOSURE = 2.0
EXPOSURES = (120.0, 300.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["darks", "flats", "lights", "packed"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--distinct", type=int, help="frames that differ; the others are clones")
    parser.add_argument("--width", type=int, default=6248)
    parser.add_argument("--height", type=int, default=4176)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", type=Path, help="darks to be packed")
    args = parser.parse_args()
    part = args.folder.with_name(args.folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    makers = {"darks": make_darks, "flats": make_flats, "lights": make_lights}
    makers.get(args.kind, make_packed)(part, args)
    part.rename(args.folder)


def make_darks(folder: Path, args: argparse.Namespace) -> None:
    """Bias, dark current, hot pixels and read noise; two exposures, one after the other."""
    shape = args.height, args.width
    dark, hot = dark_pattern(shape, args.seed)
    distinct = min(args.distinct or args.count, args.count)
    for i in range(distinct):
        rng = np.random.default_rng([args.seed, 1, i])
        exposure = EXPOSURES[2 * i // distinct]
        image = rng.standard_normal(shape, dtype=np.float32)
        image *= 12
        image += dark
        image.ravel()[hot[0]] += hot[1] * np.float32(exposure / EXPOSURES[0])
        write(folder / f"dark_{i + 1:04d}.fit", image, i, IMAGETYP="Dark Frame", EXPTIME=exposure)
    for i in range(distinct, args.count):
        clone(folder / f"dark_{i % distinct + 1:04d}.fit", folder / f"dark_{i + 1:04d}.fit", i)


def make_flats(folder: Path, args: argparse.Namespace) -> None:
    """An unevenly lit field under a lamp that drifts; the master dark and its list beside."""
    shape = args.height, args.width
    dark, hot = dark_pattern(shape, args.seed)
    dark.ravel()[hot[0]] += hot[1]
    field = (20_000 * uneven(shape)).astype(np.float32)
    rng = np.random.default_rng([args.seed, 2])
    field *= 1 + np.float32(0.005) * rng.standard_normal(shape, dtype=np.float32)
    for i in range(args.count):
        rng = np.random.default_rng([args.seed, 3, i])
        light = field * np.float32(rng.uniform(0.95, 1.05))
        image = rng.standard_normal(shape, dtype=np.float32)
        image *= np.sqrt(light)
        image += light
        image += dark
        labels = {"IMAGETYP": "Flat Frame", "EXPTIME": FLAT_EXPOSURE, "FILTER": "L"}
        write(folder / f"flat_{i + 1:04d}.fit", image, i, **labels)
    masters = folder / "masters"
    masters.mkdir()
    name = f"{FLAT_EXPOSURE:.0f}s"
    labels = {"IMAGETYP": "Master Dark", "EXPTIME": FLAT_EXPOSURE}
    write(masters / f"dark{name}.fit", dark, 0, **labels)
    write_list(masters / f"cosme{name}.lst", hot, shape)


def make_lights(folder: Path, args: argparse.Namespace) -> None:
    """A sky behind an uneven field; the master dark, its list and the master flat beside, in floats
    as masters are."""
    shape = args.height, args.width
    dark, hot = dark_pattern(shape, args.seed)
    dark.ravel()[hot[0]] += hot[1]
    field = uneven(shape).astype(np.float32)
    distinct = min(args.distinct or args.count, args.count)
    for i in range(distinct):
        rng = np.random.default_rng([args.seed, 4, i])
        image = rng.standard_normal(shape, dtype=np.float32)
        image *= 30
        image += 800 * field
        image += dark
        labels = {"IMAGETYP": "Light Frame", "EXPTIME": EXPOSURES[0], "FILTER": "L"}
        write(folder / f"light_{i + 1:04d}.fit", image, i, **labels)
    for i in range(distinct, args.count):
        clone(folder / f"light_{i % distinct + 1:04d}.fit", folder / f"light_{i + 1:04d}.fit", i)
    masters = folder / "masters"
    masters.mkdir()
    labels = {"IMAGETYP": "Master Dark", "EXPTIME": EXPOSURES[0]}
    write(masters / "dark120s.fit", dark, 0, np.float32, **labels)
    write(masters / "flat_l.fit", 20_000 * field, 0, np.float32, IMAGETYP="Master Flat", FILTER="L")
    write_list(masters / "cosme120s.lst", hot, shape)


def make_packed(folder: Path, args: argparse.Namespace) -> None:
    """The darks of another folder, tile-compressed (Rice, a row a tile: what fpack does)."""
    for path in sorted(args.source.glob("*.fit")):
        image, header = fits.getdata(path, header=True)
        fits.CompImageHDU(image, header, compression_type="RICE_1").writeto(
            folder / f"{path.name}.fz"
        )


def dark_pattern(
    shape: tuple[int, int], seed: int
) -> tuple[np.ndarray[Any, Any], tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """What all darks share: the even part, and (places, heights) of hot pixels."""
    rng = np.random.default_rng([seed, 0])
    dark = rng.standard_exponential(shape, dtype=np.float32)
    dark *= 3
    dark += 1000
    places = np.unique(rng.integers(0, dark.size, max(1, int(HOT * dark.size))))
    return dark, (places, rng.uniform(100, 20_000, places.size).astype(np.float32))


def uneven(shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """How a field is lit."""
    y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return 1 - 0.15 * (x**2 + y**2)


def write_list(path: Path, hot: tuple[Any, Any], shape: tuple[int, int]) -> None:
    """The hottest pixels."""
    hottest = hot[0][np.argsort(-hot[1], kind="stable")[:LISTED]]
    rows, columns = np.divmod(hottest, shape[1])
    lines = (f"P {x} {y}\r\n" for y, x in zip(rows, columns, strict=True))
    path.write_text("".join(lines), newline="")


def write(
    path: Path,
    image: np.ndarray[Any, Any],
    number: int,
    dtype: Any = np.uint16,
    **keywords: Any,
) -> None:
    """Write a frame as a camera's program does: 16 bits, unsigned by way of BZERO; or a master."""
    header = fits.Header(keywords)
    header["CCD-TEMP"] = -10.0
    header["GAIN"] = 100
    header["OFFSET"] = 50
    header["XBINNING"] = header["YBINNING"] = 1
    header["INSTRUME"] = "Camera 26"
    header["DATE-OBS"] = date(number)
    np.clip(np.rint(image, out=image), 0, 65535, out=image)
    fits.PrimaryHDU(image.astype(dtype), header).writeto(path)


def date(number: int) -> str:
    """When a frame was taken."""
    return f"2024-05-{20 + number // 240:02d}T{20 + number // 60 % 4:02d}:{number % 60:02d}:00"


def clone(first: Path, path: Path, number: int) -> None:
    """A file of its own with the pixels of another frame, taken at another time: what is the same
    frame under two names counts once."""
    shutil.copyfile(first, path)
    with open(path, "r+b") as file:
        head = file.read(2880)
        file.seek(head.index(b"DATE-OBS= '") + 11)
        file.write(date(number).encode())


if __name__ == "__main__":
    main()
