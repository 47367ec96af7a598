"""A night of calibration frames, and the masters that they must give, computed in float64 by
NumPy and plain Python."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from helpers import run, write_frame

from pulsar_dask.errors import PulsarWarning
from pulsar_dask.tools.commands import tools

SHAPE = (24, 31)
#: The colours of an X-Trans sensor, 6 x 6.
XTRANS = "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"


# --- writing -------------------------------------------------------------------------------


def write(
    path: Path,
    image: Any,
    kind: str | None = None,
    exposure: float | None = None,
    filter: str | None = None,
    **cards: Any,
) -> Path:
    """Write a frame as a camera does: uint16 with BZERO, anything else as it is.

    Further cards by keyword; '_' in a name stands for '-'.
    """
    image = np.asarray(image)
    given = {"IMAGETYP": kind, "EXPTIME": exposure, "FILTER": filter}
    given |= {k.replace("_", "-"): v for k, v in cards.items()}
    given = {k: v for k, v in given.items() if v is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.dtype == np.uint16:
        stored = (image.astype("i4") - 32768).astype("i2")
        return write_frame(path, stored, bzero=32768, cards=given)
    return write_frame(path, image, cards=given)


def stack(seed: int, count: int, level: float, noise: float = 12, shape: Any = SHAPE) -> np.ndarray:
    """uint16 frames of noise around a level, with hot pixels, ties among them."""
    rng = np.random.default_rng(seed)
    frames = rng.normal(level, noise, (count, *shape))
    for n, place in enumerate(rng.choice(np.prod(shape), 9, replace=False)):
        frames.reshape(count, -1)[:, place] += 500 * (1 + n // 3)
    return np.clip(frames.round(), 0, 65535).astype("u2")


def write_stack(
    folder: Path,
    prefix: str,
    images: np.ndarray,
    kind: str | None,
    exposure: float | None = None,
    filter: str | None = None,
    **cards: Any,
) -> list[Path]:
    return [
        write(folder / f"{prefix}{i:04d}.fit", image, kind, exposure, filter, **cards)
        for i, image in enumerate(images, 1)
    ]


class Night:
    """Bias in a folder; darks of two exposures and flats of three filters in folders of it."""

    def __init__(self, folder: Path, shape: tuple[int, int] = SHAPE) -> None:
        self.folder = folder

        def frames(seed: int, count: int, level: float) -> np.ndarray:
            return stack(seed, count, level, shape=shape)

        self.bias = frames(1, 5, 300)
        self.darks = {120: frames(2, 4, 420), 300: frames(3, 5, 600)}
        vignette = np.linspace(0.6, 1.0, shape[1])
        self.flats = {
            "L": (frames(4, 4, 20000) * vignette).astype("u2"),
            "R": (frames(5, 3, 22000) * vignette).astype("u2"),
            "Ha": (frames(6, 5, 18000) * vignette).astype("u2"),
        }
        for i, images in enumerate(self.flats.values(), 1):
            for j, image in enumerate(images, 1):
                image += np.uint16(700 * i * j)  # twilight: no two alike
        write_stack(folder, "bias", self.bias, "Bias Frame", 0)
        for seconds, images in self.darks.items():
            write_stack(folder / "darks", f"d{seconds}_", images, "Dark Frame", float(seconds))
        for name, images in self.flats.items():
            seconds = 300.0 if name == "Ha" else 120.0
            write_stack(folder / "flats", f"f{name}_", images, "Flat Frame", seconds, name)
        light = frames(9, 1, 1000)[0]
        write(folder / "darks" / "m31_0001.fit", light, "Light Frame", 120.0)
        write(folder / "flats" / "m31_0001.fit", light, "Light Frame", 120.0)


# --- running -------------------------------------------------------------------------------


def tool(*args: Any, cwd: Path, status: int = 0, **kwargs: Any) -> tuple[str, str]:
    """What a command says on stdout and stderr; its exit status must be `status`."""
    done = run(*args, "--threads", 2, cwd=cwd, status=status, **kwargs)
    return done.stdout, done.stderr


@contextlib.contextmanager
def noted() -> Iterator[list[str]]:
    """The texts of the warnings that are given meanwhile."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PulsarWarning)
        yield texts
    texts += [str(w.message) for w in caught if issubclass(w.category, PulsarWarning)]


def pixels(path: Path) -> np.ndarray:
    """Pixels as astropy reads them, in native order."""
    data = fits.getdata(path)
    return np.asarray(data, data.dtype.newbyteorder("="))


def points(path: Path) -> list[tuple[int, int]]:
    """(x, y) of a list that holds nothing but ``P X Y`` lines, CRLF."""
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\r\n")
    found = []
    for line in content.split(b"\r\n")[:-1]:
        letter, x, y = line.decode("ascii").split(" ")
        assert letter == "P"
        found.append((int(x), int(y)))
    return found


# --- what is right -------------------------------------------------------------------------


def median64(images: np.ndarray) -> np.ndarray:
    """numpy.median over the frames in float64; missing values are NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that a pixel has no value
        return np.nanmedian(np.asarray(images, "f8"), axis=0)


def hottest(master: np.ndarray, count: int) -> list[tuple[int, int]]:
    """(x, y) of the highest values, highest first, ties by row, then column."""
    image = np.asarray(master, "f8")
    if image.ndim == 3:
        image = np.where(np.isnan(image), -np.inf, image).max(axis=0)
        image[np.isnan(master).all(axis=0)] = np.nan
    values = image.ravel()
    there = np.flatnonzero(~np.isnan(values))
    if 0 < count < len(there):  # no lower than the last of them
        there = there[values[there] >= -np.partition(-values[there], count - 1)[count - 1]]
    y, x = np.divmod(there, image.shape[1])
    first = np.lexsort((x, y, -values[there]))[:count]
    return list(zip(x[first].tolist(), y[first].tolist(), strict=True))


def corrected(
    image: np.ndarray, listed: set[tuple[int, int]], step: int = 1, pattern: str | None = None
) -> np.ndarray:
    """Listed pixels, (x, y), replaced by the mean of the nearest good neighbours, those that have
    the same letter in a 6 x 6 `pattern`; one at a time."""
    colour = colour_map(image.shape, pattern or "G").tolist()
    rows, columns = image.shape
    out = image.astype("f8")
    good = ~np.isnan(out)
    for x, y in listed:
        good[y, x] = False
    there, pixel = good.tolist(), image.tolist()
    for x, y in listed:
        for ring in range(1, max(rows, columns) + 1):
            values = []
            for dy in range(-ring, ring + 1):
                for dx in range(-ring, ring + 1, 1 if abs(dy) == ring else 2 * ring):
                    a, b = y + dy * step, x + dx * step
                    if not (0 <= a < rows and 0 <= b < columns and there[a][b]):
                        continue
                    if colour[a][b] == colour[y][x]:
                        values.append(float(pixel[a][b]))
            if values:
                total = 0.0
                for value in values:  # not sum(), which some Pythons make more exact than this
                    total += value
                out[y, x] = total / len(values)
                break
    return out


def colour_map(shape: tuple[int, ...], pattern: str) -> np.ndarray:
    """The colour of each pixel, of the letters of a pattern, a square."""
    side = round(len(pattern) ** 0.5)
    tile = np.array(list(pattern)).reshape(side, side)
    rows, columns = shape[-2:]
    return np.tile(tile, (-(-rows // side), -(-columns // side)))[:rows, :columns]


def flat_by_colours(
    images: np.ndarray,
    pattern: str,
    dark: Any = 0.0,
    listed: Any = (),
    target: float = 5000.0,
) -> np.ndarray:
    """A master flat of which each colour is scaled apart: target * mean(m_fc / m_f) / m_fc."""
    two = len(pattern) == 4
    colours = colour_map(images[0].shape, "abcd" if two else pattern)
    nets = [
        corrected(np.asarray(image, "f8") - dark, set(listed), 2)
        if two
        else corrected(np.asarray(image, "f8") - dark, set(listed), pattern=pattern)
        for image in images
    ]
    whole = [np.nanmedian(net) for net in nets]
    out = np.array(nets)
    for colour in np.unique(colours):
        there = colours == colour
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # that a frame has none of it
            own = [np.nanmedian(net[there]) for net in nets]
        ratios = [a / b for a, b in zip(own, whole, strict=True) if a == a]
        mean = math.fsum(ratios) / max(1, len(ratios))
        for scaled, level in zip(out, own, strict=True):
            scaled[there] *= target * mean / level
    return median64(out)


def flat64(
    images: np.ndarray,
    dark: Any = 0.0,
    listed: Any = (),
    target: float = 5000.0,
    step: int = 1,
) -> np.ndarray:
    """A master flat in float64, each plane on its own."""
    if np.ndim(images) == 4:
        darks = np.broadcast_to(dark, np.shape(images)[1:])
        return np.stack(
            [
                flat64(np.asarray(images)[:, p], darks[p], listed, target, step)
                for p in range(np.shape(images)[1])
            ]
        )
    scaled = []
    for image in images:
        net = corrected(np.asarray(image, "f8") - dark, set(listed), step)
        scaled.append(net * (target / np.nanmedian(net)))
    return median64(np.array(scaled))


def verify(folder: Path, *args: object, status: int = 0) -> str:
    """What ``verify`` says; as the program does it, in this process."""
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        found = tools.main(["verify", *map(str, args), "--threads", "2"], standalone_mode=False)
    assert found == status, said.getvalue()
    return said.getvalue()
